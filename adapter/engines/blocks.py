"""Rows in blocks: what is voted on at a time. Every engine cuts the same blocks, so what a function says of many rows
at once is the same everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from adapter.engines.process import CELLS
from adapter.vocabulary import JsonObject

Block = list[dict[str, Any]]

_ROWS = 1000
_ROWS_DECLARED = 4000
_CHARACTERS = 4_000_000


def blocks(rows: Iterable[JsonObject], functions: int, *, declared: bool = False) -> Iterator[Block]:
    """Yield the rows in lists, in order: at most 1000 rows (4000 where all functions are declared ones, which need no
    process), fewer where their texts are long or the functions many. Takes no more of `rows` than it yields."""
    most = max(1, min(_ROWS_DECLARED if declared else _ROWS, CELLS // max(1, functions)))
    held: Block = []
    characters = 0
    for row in rows:
        data = row if type(row) is dict else dict(row)
        held.append(data)
        for value in data.values():
            if type(value) is str:
                characters += len(value)
        if len(held) >= most or characters >= _CHARACTERS:
            yield held
            held, characters = [], 0
    if held:
        yield held
