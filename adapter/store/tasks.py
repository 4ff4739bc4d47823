"""The pool of tasks: a million rows, dense row numbers, exact duplicates linked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from adapter.store.encoding import from_json, require_key, to_json
from adapter.store.group import Group
from adapter.store.tables import tasks
from adapter.vocabulary import JsonObject, Task

_CHUNK = 20_000


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
    """The whole pool without its data; arrays (n,) by seq. ids: str objects. duplicate_of: seq of the first with the
    same content, -1 if it is the first."""

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
            require_key(row.content, "the content digest")
        with self._db.write_project(project) as (conn, number):
            contents = self._contents(conn, number, [row.id for row in rows])
            fresh, changed = _sort_out(rows, contents)
            first = self._firsts(conn, number, {row.content for row in fresh})
            highest = sa.select(sa.func.coalesce(sa.func.max(tasks.c.seq), -1)).where(tasks.c.project_id == number)
            start = int(conn.scalar(highest) or 0) + 1
            values, duplicates = [], 0
            for seq, row in enumerate(fresh, start=start):
                original = first.setdefault(row.content, seq)
                duplicates += original != seq
                copy_of = None if original == seq else original
                texts = to_json(row.data), to_json(row.subgroup)
                values.append(
                    (number, seq, row.id, texts[0], row.content, copy_of, bool(blind(row.id)), texts[1], row.line)
                )
            if values:
                # Past SQLAlchemy's handling of each value, which would take as long as the database does.
                conn.exec_driver_sql(_INSERT.format(marks=", ".join([self._db.mark] * len(_COLUMNS))), values)
        return Added(new=len(fresh), known=len(rows) - len(fresh), duplicates=duplicates, changed=tuple(changed))

    def _contents(self, conn: Connection, number: int, ids: Sequence[str]) -> dict[str, str]:
        """Content of those ids that the pool knows."""
        given = self._db.listed(ids)
        found = given.outerjoin(tasks, sa.and_(tasks.c.project_id == number, tasks.c.id == given.c.value))
        rows = conn.execute(sa.select(tasks.c.id, tasks.c.content).select_from(found)).all()
        return {task_id: content for task_id, content in rows if task_id is not None}

    def _seqs(self, conn: Connection, number: int, ids: Collection[str]) -> list[int]:
        """Row numbers of those ids that the pool knows."""
        given = self._db.listed(ids)
        found = given.outerjoin(tasks, sa.and_(tasks.c.project_id == number, tasks.c.id == given.c.value))
        return [seq for seq in conn.scalars(sa.select(tasks.c.seq).select_from(found)).all() if seq is not None]

    def _firsts(self, conn: Connection, number: int, contents: Collection[str]) -> dict[str, int]:
        """Content to the seq of the first task that has it."""
        given = self._db.listed(contents)
        first = (tasks.c.project_id == number, tasks.c.duplicate_of.is_(None), tasks.c.content == given.c.value)
        rows = conn.execute(
            sa.select(tasks.c.content, tasks.c.seq).select_from(given.outerjoin(tasks, sa.and_(*first)))
        ).all()
        return {content: seq for content, seq in rows if content is not None}

    def count(self, project: str) -> int:
        """Return how many tasks the pool has."""
        with self._db.read_project(project) as (conn, number):
            highest = sa.select(sa.func.coalesce(sa.func.max(tasks.c.seq), -1)).where(tasks.c.project_id == number)
            return int(conn.scalar(highest) or 0) + 1

    def get(self, project: str, ids: Sequence[str]) -> list[Task]:
        """Return the tasks with these ids in the order asked; unknown ids are left out."""
        with self._db.read_project(project) as (conn, number):
            seqs = self._seqs(conn, number, set(ids))
            found = {task.id: task for task in self._tasks(conn, number, self._db.among(tasks.c.seq, seqs))}
        return [found[task_id] for task_id in ids if task_id in found]

    def at(self, project: str, seqs: Sequence[int]) -> list[Task]:
        """Return the tasks at these row numbers in the order asked; rows beyond the end are left out."""
        wanted = [int(seq) for seq in seqs]
        with self._db.read_project(project) as (conn, number):
            found = {task.seq: task for task in self._tasks(conn, number, self._db.among(tasks.c.seq, set(wanted)))}
        return [found[seq] for seq in wanted if seq in found]

    def between(self, project: str, lo: int, hi: int) -> list[Task]:
        """Return the tasks of rows lo to hi - 1, by seq."""
        with self._db.read_project(project) as (conn, number):
            return self._tasks(conn, number, sa.and_(tasks.c.seq >= lo, tasks.c.seq < hi))

    def data_between(self, project: str, lo: int, hi: int) -> list[tuple[str, JsonObject]]:
        """Return id and data of the tasks of rows lo to hi - 1, by seq: what labeling functions need, in half of the
        time of `between`."""
        with self._db.read_project(project) as (conn, number):
            # Past SQLAlchemy's handling of each value, as in `add`.
            rows = conn.exec_driver_sql(_DATA.format(mark=self._db.mark), (number, lo, hi)).all()
            return [(task_id, from_json(data)) for task_id, data in rows]

    def stream(self, project: str, chunk: int = 5000) -> Iterator[list[Task]]:
        """Yield the whole pool by seq in lists of at most `chunk`. No transaction stays open between them."""
        lo = 0
        while found := self.between(project, lo, lo + chunk):
            yield found
            lo += chunk

    def _tasks(self, conn: Connection, number: int, condition: sa.ColumnElement[bool]) -> list[Task]:
        query = (
            sa.select(*_READ).select_from(_JOINED).where(tasks.c.project_id == number, condition).order_by(tasks.c.seq)
        )
        return [Task(*row) for row in conn.execute(query).all()]

    def index(self, project: str) -> TaskIndex:
        """Return ids, blindness and duplicates of the whole pool: about 100 bytes of memory a task."""
        ids: list[str] = []
        blind: list[bool] = []
        duplicate_of: list[int] = []
        query = sa.select(tasks.c.id, tasks.c.blind, sa.func.coalesce(tasks.c.duplicate_of, -1)).order_by(tasks.c.seq)
        with self._db.read_project(project) as (conn, number):
            mine = query.where(tasks.c.project_id == number)
            lo = 0
            while rows := conn.execute(mine.where(tasks.c.seq >= lo, tasks.c.seq < lo + _CHUNK)).all():
                for task_id, is_blind, original in rows:
                    ids.append(task_id)
                    blind.append(is_blind)
                    duplicate_of.append(original)
                lo += _CHUNK
        names = np.empty(len(ids), dtype=np.object_)
        names[:] = ids
        return TaskIndex(names, np.array(blind, dtype=np.bool_), np.array(duplicate_of, dtype=np.int64))


_first = tasks.alias("first")
_JOINED = tasks.outerjoin(
    _first, sa.and_(_first.c.project_id == tasks.c.project_id, _first.c.seq == tasks.c.duplicate_of)
)
_READ = (  # in the order of the fields of Task
    tasks.c.id,
    tasks.c.seq,
    tasks.c.data,
    tasks.c.content,
    _first.c.id.label("original"),
    tasks.c.blind,
    tasks.c.subgroup,
)


_COLUMNS = ("project_id", "seq", "id", "data", "content", "duplicate_of", "blind", "subgroup", "line")
_INSERT = f"INSERT INTO {tasks.name} ({', '.join(_COLUMNS)}) VALUES ({{marks}})"  # noqa: S608 - constants of ours

_DATA = (
    f"SELECT id, data FROM {tasks.name} "  # noqa: S608 - as above
    "WHERE project_id = {mark} AND seq >= {mark} AND seq < {mark} ORDER BY seq"
)


def _sort_out(rows: Sequence[NewRow], contents: dict[str, str]) -> tuple[list[NewRow], list[str]]:
    """Return the rows whose id is new, and the ids that come with another content than the known one."""
    seen = dict(contents)
    fresh, changed = [], []
    for row in rows:
        if row.id not in seen:
            seen[row.id] = row.content
            fresh.append(row)
        elif seen[row.id] != row.content:
            changed.append(row.id)
    return fresh, changed
