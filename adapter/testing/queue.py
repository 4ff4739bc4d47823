"""One annotator's queue in the fake platform: what is open for them, kept in order, so that serving never scans all."""

from __future__ import annotations

import bisect
import heapq
import random
from collections.abc import Callable

_TRIES = 20


class Queue:
    """Tasks that are open for one annotator.

    started: those that others have begun, served first where the project asks several people. held: the task handed out
    last, 0 for none. shown: task to the prediction that was on the page, 0 for none.
    """

    def __init__(self) -> None:
        self.started: set[int] = set()
        self.held = 0
        self.shown: dict[int, int] = {}
        self._open: list[int] = []  # ascending
        self._heap: list[tuple[float, int]] = []
        self._heap_of: int | None = None  # the state of the predictions that the heap was built from
        self._matched = 0

    def update(self, task_id: int, is_open: bool, started: bool) -> None:
        """Take in how a task stands now."""
        place = bisect.bisect_left(self._open, task_id)
        known = place < len(self._open) and self._open[place] == task_id
        if is_open and not known:
            self._open.insert(place, task_id)
            self._heap_of = None
        elif known and not is_open:
            del self._open[place]
        (self.started.add if is_open and started else self.started.discard)(task_id)

    def first(self, free: Callable[[int], bool]) -> int | None:
        """Return the lowest task that nobody else has taken."""
        return next(filter(free, self._open), None)

    def any(self, rng: random.Random, free: Callable[[int], bool]) -> int | None:
        """Return a task drawn at random among those that nobody else has taken."""
        for _ in range(min(_TRIES, len(self._open))):
            task_id = self._open[rng.randrange(len(self._open))]
            if free(task_id):
                return task_id
        left = list(filter(free, self._open))
        return rng.choice(left) if left else None

    def least(
        self, score: Callable[[int], float | None], state: int, free: Callable[[int], bool]
    ) -> tuple[bool, int | None]:
        """Return whether any open task has a score, and the one with the least that nobody else has taken.

        state: changes whenever a score may have; only then are all of them looked at.
        """
        if self._heap_of != state:
            scored = ((score(task_id), task_id) for task_id in self._open)
            self._heap = [(value, task_id) for value, task_id in scored if value is not None]
            heapq.heapify(self._heap)
            self._heap_of = state
        aside: list[tuple[float, int]] = []
        found = None
        while self._heap and found is None:
            entry = heapq.heappop(self._heap)
            place = bisect.bisect_left(self._open, entry[1])
            if place == len(self._open) or self._open[place] != entry[1]:
                continue
            aside.append(entry)
            if free(entry[1]):
                found = entry[1]
        for entry in aside:
            heapq.heappush(self._heap, entry)
        return bool(aside), found
