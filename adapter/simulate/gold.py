"""The gold column: split off before the adapter sees the data. The adapter gets files without it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapter.errors import DataError, LabelError
from adapter.kinds import kind_of, label_kind
from adapter.readers import Reject, content_digest, read_rows
from adapter.vocabulary import Control, JsonObject, Value


@dataclass(frozen=True, slots=True)
class GoldSet:
    """pool: JSONL file with `id` and data, without gold. gold: task id to value, for the pool. test: examples and
    values that are never ingested nor annotated; no test row shares its content with a pool row. control: the one that
    gold is about."""

    pool: Path
    size: int
    gold: Mapping[str, Value]
    test: tuple[tuple[JsonObject, Value], ...]
    rejected: int
    control: str = ""


def split_gold(
    data: Path, control: Control, column: str, folder: Path, *, test_share: float, seed: int, limit: int | None = None
) -> GoldSet:
    """Read `data`, keep the gold column out of it, and put a share of the contents (not rows) aside as the test split.

    Raises DataError when the column is missing, LabelError with line number when a gold label is not in the label
    config.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pool_path = folder / "pool.jsonl"
    gold: dict[str, Value] = {}
    test: list[tuple[JsonObject, Value]] = []
    rejected = size = 0
    with pool_path.open("w", encoding="utf-8") as out:
        for number, row in enumerate(read_rows(data), start=1):
            if isinstance(row, Reject):
                rejected += 1
                continue
            if column not in row.data:
                raise DataError(
                    f"there is no column '{column}'",
                    where=f"{data}, line {row.line}",
                    remedy=f"Columns: {', '.join(map(str, row.data))}.",
                )
            value = _gold_value(control, row.data[column], f"{data}, line {row.line}")
            rest = {key: item for key, item in row.data.items() if key != column}
            content = content_digest(rest, {"id"})
            draw = int(hashlib.sha256(f"{seed}:{content}".encode()).hexdigest()[:8], 16) / 2**32
            if draw < test_share:
                test.append((rest, value))
                continue
            if limit is not None and size >= limit:
                continue
            task_id = str(rest.get("id") or f"t{number}")
            if task_id in gold:
                rejected += 1  # the pool knows a task by its id; a second row with it would be refused there
                continue
            size += 1
            gold[task_id] = value
            out.write(json.dumps({**rest, "id": task_id}, ensure_ascii=False) + "\n")
    if not gold:
        raise DataError("there is nothing to label", where=str(data), remedy="Check the file and --gold.")
    return GoldSet(pool_path, size, gold, tuple(test), rejected, control.name)


def _gold_value(control: Control, raw: Any, where: str) -> Value:
    """Return a gold value: labels as text (several with | between them), other kinds as JSON or plain text."""
    kind = kind_of(control.kind)
    given: Any = raw
    if label_kind(control) is not None:
        text = str(raw).strip()
        given = [part.strip() for part in text.split("|")] if control.multiple else text
    elif isinstance(raw, str) and raw[:1] in "[{":
        try:
            given = json.loads(raw)
        except ValueError:
            given = raw
    try:
        return kind.canonical(control, given)
    except LabelError as error:
        raise LabelError(
            f"gold value '{str(raw).strip()[:60]}' does not fit the label config: {error.what}",
            where=where,
            remedy=error.remedy or f"Labels: {', '.join(control.labels)}.",
        ) from error
