"""Stored votes replayed by those who gave them: each annotator is one person, with a queue of their own.

A real crowd worker has seen a small share of the tasks. So routing is on, by a plain `@router` that knows who labelled
what, and an annotator works on what routing gave them, as real ones do on their own view.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from adapter.kinds import kind_of
from adapter.label_studio.users import annotator_email
from adapter.policies import RoutingPolicy
from adapter.ports import Desk
from adapter.simulate.account import Served
from adapter.simulate.people import Person, answer, pace
from adapter.stages.context import Project
from adapter.stages.route_show import SEATS_NOTE, SHOWN_NOTE
from adapter.vocabulary import PRIORITY_FIELD, TASK_KEY_FIELD, Control

_ROUTER = '''"""Brings each task to the people who labelled it."""

import json
from pathlib import Path

from adapter.routing import router

VOTED = json.loads(Path(__file__).with_name("{votes}").read_text(encoding="utf-8"))


@router
def by_stored_votes(task, people):
    """The people whose votes on this task are stored."""
    return VOTED.get(task.task_id, [])
'''
SEATS = 6
"""Annotators who work at one time at a real server; the others wait for their turn."""


def routing_for(people: Sequence[Person], folder: Path, *, live: bool, most: int, seed: int) -> RoutingPolicy:
    """Write the router into `folder`; return the policy that uses it. live: whether annotators have accounts."""
    names = names_of(people, live=live)
    voted: dict[str, list[str]] = {}
    for person in people:
        for task_id in person.stored:
            voted.setdefault(task_id, []).append(names[person.name])
    folder.mkdir(parents=True, exist_ok=True)
    votes = folder / "stored_votes.json"
    votes.write_text(json.dumps(voted), encoding="utf-8")
    module = folder / "stored_votes_router.py"
    module.write_text(_ROUTER.format(votes=votes.name), encoding="utf-8")
    return RoutingPolicy(
        enabled=True,
        router=f"{module}:by_stored_votes",
        annotators=tuple(sorted(names.values())),
        gold_rate=0.0,
        ahead=most,
        idle_h=None,
        seed=seed,
    )


def names_of(people: Sequence[Person], *, live: bool) -> dict[str, str]:
    """Return person to the name that Label Studio knows them by."""
    return {person.name: annotator_email(person.name) if live else person.name for person in people}


def view_of(project: Project, name: str) -> int:
    """Return the Data Manager view of an annotator's own queue, which routing made. Raises KeyError before it has."""
    place = str(project.store.projects.notes(project.name, SEATS_NOTE)[SEATS_NOTE]["people"][name])
    return int(place.rpartition("tab=")[2])


def waiting(project: Project) -> list[str]:
    """Return who finds open tasks on their own view by now, those who find most first."""
    shown: Mapping[str, Sequence[str]] = project.store.projects.notes(project.name, SHOWN_NOTE).get(SHOWN_NOTE, {})
    places = {p.task_id: str(p.platform_id) for p in project.store.ledger.placements(project.name) if not p.gone}
    counts = Counter(
        row.annotator
        for row in project.store.routed.of(project.name)
        if not row.done and row.annotator in shown.get(places.get(row.task_id, ""), ())
    )
    return sorted(counts, key=lambda name: (-counts[name], name))


class Crowd:
    """Annotators who take turns. budget: annotations in all; `made` counts them, `served` says who got what."""

    def __init__(
        self,
        people: Mapping[str, Person],
        desk_of: Callable[[str], Desk],
        control: Control,
        *,
        budget: int,
        seed: int,
        now: Callable[[], float],
        wait: Callable[[float], None],
    ) -> None:
        self._people = people
        self._desk_of = desk_of
        self._control = control
        self._budget = budget
        self._seed = seed
        self._now = now
        self._wait = wait
        self._lock = threading.Lock()
        self._busy: set[str] = set()
        self.made = 0
        self.served: list[Served] = []

    @property
    def spent(self) -> bool:
        """Whether the budget is."""
        return self.made >= self._budget

    def take(self, names: Sequence[str]) -> str | None:
        """Return the first of these who sits nowhere yet, and keep the seat until `turn` is over."""
        with self._lock:
            for name in names:
                if name in self._people and name not in self._busy:
                    self._busy.add(name)
                    return name
        return None

    def turn(self, name: str, most: int) -> int:
        """Let one annotator do up to `most` tasks of their own queue; return how many."""
        try:
            desk, person = self._desk_of(name), self._people[name]
            for done in itertools.count():
                if done >= most or self.spent:
                    return done
                assignment = desk.next_task()
                if assignment is None:
                    return done
                at = self._now()
                key = str(assignment.data[TASK_KEY_FIELD])
                value = answer(person, self._control, key, None, self._seed)
                seconds = pace(person, key, self._seed)
                self._wait(seconds)
                if value is None:
                    number = desk.skip(assignment.task_id, seconds)
                else:
                    result = kind_of(self._control.kind).write(self._control, value)
                    number = desk.submit(assignment.task_id, result, seconds)
                priority = int(assignment.data.get(PRIORITY_FIELD, 0))
                with self._lock:
                    self.made += value is not None
                    self.served.append(Served(name, assignment.task_id, priority, at, number, value is None))
            return 0
        finally:
            with self._lock:
                self._busy.discard(name)


def replay_in_turns(
    project: Project, crowd: Crowd, judge: Callable[[], None], *, batch: int, progress: Callable[[int], None]
) -> None:
    """Let the crowd work one after the other until nobody holds a task or the budget is spent; `judge` runs the loop
    after every `batch` annotations."""
    judge()
    while not crowd.spent:
        since = 0
        for name in waiting(project):
            if crowd.take([name]) is not None:
                since += crowd.turn(name, batch - since)
                progress(crowd.made)
            if since >= batch or crowd.spent:
                break
        judge()
        if not since and not waiting(project):
            return


def replay_live(
    project: Project,
    crowd: Crowd,
    stop: threading.Event,
    *,
    idle_s: float,
    batch: int,
    progress: Callable[[int], None],
    failed: Callable[[str, Exception], None],
) -> list[threading.Thread]:
    """Return threads, not started, that let SEATS of the crowd work at one time at a real server; routing and the loop
    run elsewhere meanwhile. They end when the budget is spent or nobody has held a task for `idle_s`."""

    def work() -> None:
        idle_since = time.monotonic()
        while not stop.is_set() and not crowd.spent and time.monotonic() - idle_since < idle_s:
            name = crowd.take(waiting(project))
            if name is None:
                stop.wait(0.5)
                continue
            try:
                if crowd.turn(name, batch):
                    idle_since = time.monotonic()
                else:
                    stop.wait(0.5)  # what routing decided is not on the page yet
            except Exception as error:
                failed(name, error)
                return
            progress(crowd.made)

    return [threading.Thread(target=work, name=f"seat-{number}") for number in range(SEATS)]
