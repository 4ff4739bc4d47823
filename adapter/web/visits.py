"""What the pages at which people work have told and were given, as long as this process remembers it.

Label Studio says neither who asks nor what was just done: a removed region comes as a call with those that are left. A
page is known again by the ids of the regions drawn on it, which it makes up itself; of a text, it tells only those with
one label, and the others when it has saved a draft, some seconds later.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from adapter.label_studio.payloads import PredictTask
from adapter.stages.interactive import id_of
from adapter.vocabulary import JsonObject

MOST_TASKS = 2_000
MOST_VISITS = 20
"""Visits to one task that are remembered."""
UNSAVED_S = 10.0
"""Seconds within which a call for a task is of the same page as the one before, whatever it tells: the page saves a
draft every five seconds."""


@dataclass(slots=True)
class Visit:
    """One person's work on one task. drawn: ids of regions that its page has told; given: of our suggestions. at: of
    the last call, in monotonic seconds."""

    drawn: set[str] = field(default_factory=set)
    given: set[str] = field(default_factory=set)
    at: float = 0.0


class Visits:
    """The visits to tasks, those of the tasks that were asked about longest ago forgotten first. For one thread."""

    def __init__(self) -> None:
        self._tasks: dict[int, list[Visit]] = {}

    def of(self, task: int | None, ids: Collection[str], now: float) -> Visit:
        """Return the visit in which a region with one of these ids was drawn before, else the last one if it was just
        now, else a new one. now: monotonic seconds."""
        if task is None:
            return Visit()
        visits = self._tasks.pop(task, [])
        self._tasks[task] = visits  # the youngest stand last
        if len(self._tasks) > MOST_TASKS:
            del self._tasks[next(iter(self._tasks))]
        found = next((visit for visit in visits if not visit.drawn.isdisjoint(ids)), None)
        if found is None and visits and now - visits[-1].at < UNSAVED_S:
            found = visits[-1]
        if found is None:
            found = Visit()
        visits[:] = [*(visit for visit in visits if visit is not found), found][-MOST_VISITS:]
        found.at = now
        return found


class Page(NamedTuple):
    """What is known of a page without its telling. items: on it when it was saved last, or as it was opened. own: ids
    in what was saved; shown: of pre-labels, which it begins with."""

    items: tuple[JsonObject, ...]
    own: frozenset[str]
    shown: frozenset[str]


def page_of(task: PredictTask, version: str) -> Page:
    """Return what an interactive call tells of the page beside its context: the newest draft, which the page saves
    every five seconds, and the pre-label of this model version. Both are hostile."""
    drafts = [one for one in _each(task.drafts) if isinstance(one.get("result"), list)]
    prelabels = [one for one in _each(task.predictions) if one.get("model_version") == version]
    draft = max(drafts, key=lambda one: str(one.get("updated_at", "")), default=None)
    shown = [item for one in prelabels for item in _each(one.get("result"))]
    saved = list(_each(draft["result"])) if draft is not None else []
    names = ids_of(shown)
    return Page(tuple(shown if draft is None else saved), frozenset(ids_of(saved) - names), frozenset(names))


def ids_of(items: object) -> set[str]:
    """Return the ids of result items."""
    return {name for item in _each(items) if (name := id_of(item)) is not None}


def _each(items: object) -> Iterator[dict[str, Any]]:
    if isinstance(items, list):
        yield from (item for item in items if isinstance(item, dict))
