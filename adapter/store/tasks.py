"""The pool of tasks: a million rows, dense row numbers, exact duplicates linked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from adapter.store.encoding import from_json, require_key, storable, to_json
from adapter.store.group import Group
from adapter.store.tables import tasks
from adapter.vocabulary import JsonObject, Task

_CHUNK = 20_000
_first = tasks.alias("first")


@dataclass(frozen=True, slots=True)
class NewRow:
    """A row to ingest. content: digest of the data. line: its place in the source, for messages."""

    id: str
    data: JsonObject
    content: str
    subgroup: JsonObject = field(default_factory=dict)
    line: int = 0


@dataclass(frozen=True, slots=True)
class Added:
    """What `Tasks.add` did: new + known = rows given. duplicates: new tasks that are copies of another one.
    changed: ids of known tasks whose content differs now; the pool keeps them as they were."""

    new: int
    known: int
    duplicates: int
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class TaskIndex:
    """The whole pool without its data; arrays (n,) by seq. ids: str objects. duplicate_of: seq of the first with the same
    content, -1 if it is the first."""

    ids: npt.NDArray[np.object_]
    blind: npt.NDArray[np.bool_]
    duplicate_of: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def seq_of(self) -> dict[str, int]:
        """Task id to seq."""
        return {task_id: seq for seq, task_id in enumerate(self.ids)}


class Tasks(Group):
    """The pool."""

    def add(self, project: str, rows: Sequence[NewRow], *, blind: Callable[[str], bool]) -> Added:
        """Append the rows whose id is new, in this order, in one transaction. Give batches of some thousand rows.

        blind: whether an id belongs to the blind sample; asked once for each new row. Raises StoreError for ids that no
        database can hold, DiskFull; then nothing of the batch was written.
        """
        for row in rows:
            require_key(row.id, "the task id")
        with self._db.write_project(project) as (conn, number):
            stored = self._contents(conn, number, [row.id for row in rows])
            fresh: dict[str, NewRow] = {}
            known, changed = 0, []
            for row in rows:
                content = stored.setdefault(row.id, row.content)
                if row.id in fresh or content is not row.content:
                    known += 1
                    if content != row.content:
                        changed.append(row.id)
                else:
                    fresh[row.id] = row
            first = self._firsts(conn, number, {row.content for row in fresh.values()})
            start = int(conn.scalar(sa.select(sa.func.max(tasks.c.seq)).where(tasks.c.project_id == number)) or 0)
            start = start + 1 if start or self._any(conn, number) else 0
            values, duplicates = [], 0
            for seq, row in enumerate(fresh.values(), start=start):
                original = first.setdefault(row.content, seq)
                duplicates += original != seq
                values.append(
                    {
                        "project_id": number,
                        "seq": seq,
                        "id": row.id,
                        "data": row.data,
                        "content": row.content,
                        "duplicate_of": None if original == seq else original,
                        "blind": bool(blind(row.id)),
                        "subgroup": row.subgroup,
                        "line": row.line,
                    }
                )
            if values:
                conn.execute(tasks.insert(), values)
        return Added(new=len(values), known=known, duplicates=duplicates, changed=tuple(changed))
