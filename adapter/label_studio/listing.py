"""Lists of tasks by keyset: always the first page of what lies beyond the last id, so nothing shifts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

import httpx

from adapter.errors import PlatformRejected
from adapter.label_studio.client import Client
from adapter.label_studio.parse import integer, items, mapping
from adapter.vocabulary import JsonObject

LONGEST_QUERY = 5000
"""Bytes of an encoded query; common proxies refuse request lines of 8 KiB."""


def condition(field: str, operator: str, kind: str, value: Any) -> JsonObject:
    """Return one condition on a task's field, in the Data Manager's language."""
    return {"filter": f"filter:tasks:{field}", "operator": operator, "type": kind, "value": value}


def pages(
    client: Client,
    project_id: int,
    include: str,
    conditions: Sequence[JsonObject] = (),
    *,
    page_size: int,
    whole: bool = False,
    each: Callable[[httpx.Response], None] | None = None,
) -> Iterator[list[JsonObject]]:
    """Yield tasks in id order, a page at a time. whole: annotations and predictions too. each: sees every response."""
    last = 0
    while True:
        query = {
            "filters": {"conjunction": "and", "items": [*conditions, condition("id", "greater", "Number", last)]},
            "ordering": ["tasks:id"],
        }
        params: dict[str, Any] = {
            "project": project_id,
            "page": 1,
            "page_size": page_size,
            "resolve_uri": "false",
            "include": include,
            # The server unquotes this text once more than HTTP asks for: a per cent sign would not survive.
            "query": json.dumps(query).replace("%", "%25"),
        }
        if whole:
            # `review` spares the server the Data Manager's aggregate columns, and a call to the ML backend.
            # `expand` makes it build one serializer for all annotations, not one for each task: a quarter of the time.
            params |= {"fields": "all", "review": "true", "expand": "annotations"}
        answer = client.request("GET", "/api/tasks/", params=params)
        if each is not None:
            each(answer)
        body = mapping(client.json(answer), "a page of tasks")
        page = [mapping(raw, "a task") for raw in items(body.get("tasks"))]
        if not page:
            return
        yield page
        ids = [integer(item, "id") for item in page]
        if min(ids) <= last or ids != sorted(ids):
            raise PlatformRejected(
                "the server ignores filter or order of its task list",
                where=client.url,
                remedy="Its version may be one that we do not know; 1.23 is served.",
            )
        last = ids[-1]
        if len(page) < page_size:
            return


def chunks_of_values(values: Sequence[Any]) -> Iterator[list[Any]]:
    """Yield the values in runs that fit into one query."""
    chunk: list[Any] = []
    size = 0
    for value in values:
        cost = len(quote(json.dumps(value).replace("%", "%25"))) + 6
        if chunk and size + cost > LONGEST_QUERY:
            yield chunk
            chunk, size = [], 0
        chunk.append(value)
        size += cost
    if chunk:
        yield chunk
