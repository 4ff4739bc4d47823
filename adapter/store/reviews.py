"""Reviewers' decisions. A withdrawn one stays in the table with the moment when we saw that it is gone."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from adapter.store.encoding import cleaned, from_json, to_json
from adapter.store.group import Group
from adapter.store.tables import reviews
from adapter.vocabulary import Decision, Review

_FIELDS = tuple(Review.__slots__)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What `record_places` did. changed: the decisions that are new, changed or stand again. withdrawn: how many no
    longer stand."""

    changed: tuple[Review, ...]
    withdrawn: int


class Reviews(Group):
    """One row per review annotation and control."""

    def record(self, project: str, rows: Sequence[Review]) -> int:
        """Store decisions; one of the same annotation and control is replaced, a withdrawn one stands again. Return how
        many are new or changed. Raises StoreError for a task that is not in the pool."""
        if not rows:
            return 0
        with self._db.write_project(project) as (conn, number):
            return len(self._record(conn, number, {(row.annotation, row.control): (None, row) for row in rows}))

    def record_places(self, project: str, by_place: Mapping[int, Sequence[Review]]) -> Recorded:
        """Make these the decisions that stand at these places (Label Studio's ids of tasks in review), in one
        transaction: what stood there and is absent here is withdrawn. The same call twice changes nothing."""
        if not by_place:
            return Recorded((), 0)
        given = {(row.annotation, row.control): (place, row) for place, rows in by_place.items() for row in rows}
        with self._db.write_project(project) as (conn, number):
            changed = self._record(conn, number, given)
            where = (
                reviews.c.project_id == number,
                reviews.c.withdrawn_at.is_(None),
                self._db.among(reviews.c.place, by_place),
            )
            stored = conn.execute(sa.select(reviews.c.annotation, reviews.c.control).where(*where))
            gone = [{"gone": row.annotation, "of": row.control} for row in stored if tuple(row) not in given]
            if gone:
                mine = (reviews.c.annotation == sa.bindparam("gone"), reviews.c.control == sa.bindparam("of"))
                conn.execute(reviews.update().where(*where[:2], *mine).values(withdrawn_at=self._now()), gone)
        return Recorded(changed, len(gone))

    def _record(
        self, conn: sa.Connection, number: int, given: Mapping[tuple[int, str], tuple[int | None, Review]]
    ) -> tuple[Review, ...]:
        """Write what is new or changed, and return it."""
        query = sa.select(reviews).where(
            reviews.c.project_id == number,
            self._db.among(reviews.c.annotation, {annotation for annotation, _ in given}),
        )
        stored = {(row["annotation"], row["control"]): dict(row) for row in conn.execute(query).mappings()}
        changed, write = [], []
        for key, (place, review) in given.items():
            fresh = _values(review) | {"project_id": number, "place": place, "withdrawn_at": None}
            if stored.get(key) != fresh:
                changed.append(review)
                write.append(fresh)
        if write:
            conn.execute(self._upsert(reviews), write)
        return tuple(changed)

    def at_places(self, project: str, places: Collection[int] | None = None) -> dict[int, list[Review]]:
        """Return every decision that was ever made at these places (at all, if not given), oldest first; withdrawn ones
        too."""
        query = sa.select(reviews.c.place, *(reviews.c[name] for name in _FIELDS))
        with self._db.read_project(project) as (conn, number):
            query = query.where(reviews.c.project_id == number, reviews.c.place.is_not(None))
            if places is not None:
                query = query.where(self._db.among(reviews.c.place, places))
            rows = [dict(row) for row in conn.execute(query).mappings()]
        found: dict[int, list[Review]] = {}
        for row in sorted(rows, key=lambda row: (row["at"], row["annotation"], row["control"])):
            place = row.pop("place")
            found.setdefault(place, []).append(_review(row))
        return found

    def detach(self, project: str) -> None:
        """Forget the places of all decisions: the project they were made in is gone, and they stand for good."""
        with self._db.write_project(project) as (conn, number):
            conn.execute(reviews.update().where(reviews.c.project_id == number).values(place=None))

    def all(self, project: str) -> list[Review]:
        """Return the decisions that stand, oldest first."""
        query = sa.select(*(reviews.c[name] for name in _FIELDS))
        with self._db.read_project(project) as (conn, number):
            rows = conn.execute(
                query.where(reviews.c.project_id == number, reviews.c.withdrawn_at.is_(None))
            ).mappings()
            found = [_review(dict(row)) for row in rows]
        return sorted(found, key=lambda row: (row.at, row.annotation, row.control))

    def latest(self, project: str) -> dict[tuple[str, str], Review]:
        """Return the last decision that stands, by (task id, control)."""
        return {(row.task_id, row.control): row for row in self.all(project)}

    def withdraw(self, project: str, annotations: Collection[int]) -> int:
        """Note that these review annotations are gone; return how many decisions no longer stand."""
        if not annotations:
            return 0
        with self._db.write_project(project) as (conn, number):
            where = (
                reviews.c.project_id == number,
                reviews.c.withdrawn_at.is_(None),
                self._db.among(reviews.c.annotation, annotations),
            )
            return conn.execute(reviews.update().where(*where).values(withdrawn_at=self._now())).rowcount


def _review(row: dict[str, Any]) -> Review:
    return Review(**{**row, "decision": Decision(row["decision"])})


def _values(row: Review) -> dict[str, Any]:
    """Return the row as it comes back from the database, so that equal rows compare equal."""
    values: dict[str, Any] = {name: getattr(row, name) for name in _FIELDS}
    for name in ("proposed", "value"):
        values[name] = None if values[name] is None else from_json(to_json(values[name]))
    values["decision"] = str(row.decision)
    values["reviewer"], values["why"] = cleaned(row.reviewer), cleaned(row.why)
    if row.lead_time is not None and not math.isfinite(row.lead_time):
        values["lead_time"] = None
    return values
