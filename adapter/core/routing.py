"""Who labels what: rules, fair queues, gold tasks, work-stealing. Pure; the stage `route` carries it out.

All choices between equals fall by a seeded hash of task and person, so the same input always gives the same routing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from adapter.core.blind import draw
from adapter.core.crowd.skill import Skill
from adapter.policies import RoutingPolicy, Rule
from adapter.vocabulary import JsonObject

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

BY_ROUTER = "the router chose"
EMPTY_QUEUE = "their queue was empty, and nobody waits while there is work"
NOBODY_FITS = "nobody fits it, so it goes to anyone"
ALL_AT_CAP = "all who fit have reached their cap of today, so it goes to anyone"


@dataclass(frozen=True, slots=True)
class RoutingTask:
    """A task that waits for people, as a router sees it.

    data: what the page shows; reason: why it is asked. priority: 1 is first. uncertainty: 0..1, of the model or of weak
    labels, 0 while nobody judges; disagreement: 0..1, between the people who have answered. label: the likeliest one
    before a person looked, empty if unknown. subgroup: attributes for bias audits. seats: different people it still
    needs. taken: people who have answered, skipped or hold it.
    """

    task_id: str
    data: JsonObject = field(default_factory=dict, hash=False)
    reason: str = ""
    priority: int = 0
    uncertainty: float = 0.0
    disagreement: float = 0.0
    label: str = ""
    subgroup: Mapping[str, str] = field(default_factory=dict, hash=False)
    seats: int = 1
    taken: frozenset[str] = frozenset()

    @property
    def hardness(self) -> float:
        """The greater of uncertainty and disagreement, 0..1."""
        return max(self.uncertainty, self.disagreement)


@dataclass(frozen=True, slots=True)
class Worker:
    """An annotator, as a router sees them.

    skill: accuracy with its interval; None while nothing is known. by_class: the same on each label. queue: open tasks
    that they hold. done_today: tasks given to them today, done ones too; cap: most tasks of a day, None for no cap.
    tiers: names of the tiers that they belong to.
    """

    name: str
    skill: Skill | None = None
    by_class: Mapping[str, Skill] = field(default_factory=dict, hash=False)
    queue: int = 0
    done_today: int = 0
    cap: int | None = None
    tiers: tuple[str, ...] = ()

    @property
    def left_today(self) -> float:
        """Tasks that they may still be given today; infinite without a cap."""
        return math.inf if self.cap is None else max(self.cap - self.done_today, 0)


@dataclass(frozen=True, slots=True)
class Given:
    """A task and the people that it goes to now. why: in words. taker_of: whose queue it leaves, empty for none."""

    task_id: str
    annotators: tuple[str, ...]
    why: str
    taken_from: str = ""


def rule_of(task: RoutingTask, policy: RoutingPolicy) -> Rule | None:
    """Return the first rule that fits a task; None for anyone."""
    for rule in policy.rules:
        if rule.when == "hard" and task.hardness < rule.at_least:
            continue
        if rule.when == "class" and task.label not in rule.labels:
            continue
        if rule.when == "subgroup" and str(task.subgroup.get(rule.field, "")) not in rule.labels:
            continue
        return rule
    return None


def fits(worker: Worker, task: RoutingTask, rule: Rule | None) -> bool:
    """Whether a rule sends this task to this person. Accuracy counts once it was judged on `rule.judged` items."""
    if rule is None or rule.to == "anyone":
        return True
    if rule.to.startswith("tier:"):
        return rule.to[5:] in worker.tiers
    skill = worker.skill if rule.to == "skilled" else worker.by_class.get(task.label)
    return skill is not None and skill.n >= rule.judged and skill.accuracy >= rule.accuracy


def assign(
    tasks: Sequence[RoutingTask],
    people: Sequence[Worker],
    policy: RoutingPolicy,
    *,
    named: Mapping[str, Sequence[str]] | None = None,
    seed: int = 0,
) -> list[Given]:
    """Fill the seats of tasks with people, and say why.

    Tasks that a rule sends to some people go first, by priority, so that skilled people are kept for them; then the
    others. Each seat goes to the person with the shortest queue among those whom the rule names, who neither hold nor
    have answered the task, and who have room: fewer than `policy.ahead` open tasks and their cap of today not reached.
    A seat whose people are all merely busy waits; one whose people do not exist, or have all reached their cap, goes to
    anyone and says so. Last, a person whose queue is still empty gets the first waiting tasks that no tier guards,
    whatever the rule: nobody waits while there is work. named: task to the people that a router chose, in place of a
    rule. Greedy, O(tasks x people) in NumPy; the order of `tasks` and `people` does not matter.
    """
    people = sorted(people, key=lambda worker: worker.name)
    tasks = sorted(tasks, key=lambda task: (task.priority, task.task_id))
    desk = _Desk(people, policy, seed)
    named = named or {}
    rules = {task.task_id: rule_of(task, policy) for task in tasks}
    may: dict[str, Bools] = {}
    for task in tasks:
        chosen = named.get(task.task_id)
        may[task.task_id] = desk.fitting(task, rules[task.task_id]) if chosen is None else desk.called(chosen)
    found: dict[tuple[str, str], list[str]] = {}
    left = {task.task_id: task.seats for task in tasks}

    def give(task: RoutingTask, people: Bools, why: str) -> None:
        given = desk.give(task, people, left[task.task_id])
        left[task.task_id] -= len(given)
        found.setdefault((task.task_id, why), []).extend(given)

    everybody = np.ones(len(people), bool)
    for task in sorted(tasks, key=lambda task: bool(may[task.task_id].all())):  # stable: bound tasks first
        name, rule = task.task_id, rules[task.task_id]
        title = BY_ROUTER if name in named else "no rule fits: anyone" if rule is None else rule.title
        give(task, may[name], title)
        if left[name] > 0 and not desk.merely_busy(task, may[name]):
            give(task, everybody, f"{title}; {ALL_AT_CAP if desk.exist(task, may[name]) else NOBODY_FITS}")
    idle = desk.idle()
    for task in tasks:
        rule = rules[task.task_id]
        guarded = task.task_id in named or (rule is not None and rule.to.startswith("tier:"))
        if left[task.task_id] > 0 and not guarded and idle.any():
            give(task, desk.up_to(idle, policy.keep), EMPTY_QUEUE)
    return [Given(task_id, tuple(names), why) for (task_id, why), names in found.items() if names]


def steal(
    queues: Mapping[str, Sequence[RoutingTask]],
    people: Sequence[Worker],
    policy: RoutingPolicy,
    *,
    bound: Collection[str] = (),
    seed: int = 0,
) -> list[Given]:
    """Give people with an empty queue tasks from the longest queue: half of what stands behind its head.

    queues: person to open tasks, all with `taken` as it stands. The first `policy.keep` tasks of a queue stay, since
    they may be open on that person's page (task locks cannot be seen). Taken from the tail; tasks whose rule names the
    taker before others; a tier's tasks stay within the tier. bound: tasks that stay where they are. Nobody takes a task
    twice or over the cap of today.
    """
    known = {worker.name for worker in people}
    rest = {
        name: sorted(tasks, key=lambda task: (task.priority, task.task_id))
        for name, tasks in queues.items()
        if name in known
    }
    moves: list[Given] = []
    takers = [worker for worker in sorted(people, key=lambda w: (draw(w.name, seed, "taker"), w.name))]
    for taker in takers:
        if rest.get(taker.name) or taker.left_today < 1:
            continue
        for giver in sorted(rest, key=lambda name: (-len(rest[name]), name)):
            spare = rest[giver][policy.keep :]
            may = [task for task in reversed(spare) if task.task_id not in bound and may_take(taker, task, policy)]
            may.sort(key=lambda task: not fits(taker, task, rule_of(task, policy)))
            wanted = min(math.ceil(len(spare) / 2), policy.ahead, taker.left_today)
            taken = may[: int(wanted)]
            if not taken:
                continue
            gone = {task.task_id for task in taken}
            rest[giver] = [task for task in rest[giver] if task.task_id not in gone]
            rest[taker.name] = taken
            why = f"taken over from {giver}, so that nobody waits"
            moves += [Given(task.task_id, (taker.name,), why, giver) for task in reversed(taken)]
            break
    return moves


def gold_due(done: int, gold: int, rate: float, *, name: str, seed: int = 0) -> int:
    """Return how many gold tasks a person lacks, who has done `done` tasks (gold ones too) and was given `gold` gold
    ones.

    The n-th gold task of a person is due at a place drawn within the n-th stretch of 1 / rate tasks, so the share is
    kept and nobody can count out which task measures them.
    """
    due = 0
    while rate > 0 and done >= math.floor((gold + due + draw(f"{name}\x1f{gold + due}", seed, "gold")) / rate):
        due += 1
    return due


def may_take(worker: Worker, task: RoutingTask, policy: RoutingPolicy) -> bool:
    """Whether somebody may take over a task: who has nothing to do with it yet, and belongs to the tier that guards
    it."""
    if worker.name in task.taken:
        return False
    rule = rule_of(task, policy)
    return rule is None or not rule.to.startswith("tier:") or fits(worker, task, rule)


class _Desk:
    """Queues and caps while seats are filled."""

    def __init__(self, people: Sequence[Worker], policy: RoutingPolicy, seed: int) -> None:
        self._people = people
        self._row = {worker.name: row for row, worker in enumerate(people)}
        self._names = [worker.name for worker in people]
        self._seed = seed
        self._luck = np.array([draw(name, seed, "person") for name in self._names], np.float64)
        self._queue: Ints = np.array([worker.queue for worker in people], np.int64)
        self._left = np.array([worker.left_today for worker in people], np.float64)
        self._ahead = policy.ahead
        self._held: dict[str, Bools] = {}
        self._fits: dict[tuple[Rule | None, str], Bools] = {}

    def fitting(self, task: RoutingTask, rule: Rule | None) -> Bools:
        """Return (people,) whom the rule names for this task."""
        key = (rule, task.label)
        if key not in self._fits:
            self._fits[key] = np.array([fits(worker, task, rule) for worker in self._people], bool)
        return self._fits[key]

    def called(self, names: Collection[str]) -> Bools:
        """Return (people,) who are called by these names."""
        return self._mask(names)

    def give(self, task: RoutingTask, may: Bools, seats: int) -> list[str]:
        """Seat up to `seats` of the people who may, shortest queue first; return their names."""
        given: list[str] = []
        held = self._holding(task)
        luck = (self._luck + draw(task.task_id, self._seed, "route")) % 1.0
        while len(given) < seats:
            room = np.flatnonzero(may & ~held & (self._queue < self._ahead) & (self._left >= 1))
            if not len(room):
                break
            seat = int(room[np.lexsort((luck[room], self._queue[room]))[0]])
            held[seat] = True
            self._queue[seat] += 1
            self._left[seat] -= 1
            given.append(self._names[seat])
        return given

    def merely_busy(self, task: RoutingTask, may: Bools) -> bool:
        """Whether somebody who may has a full queue and is not at the cap: it is worth waiting for them."""
        return bool((may & ~self._holding(task) & (self._left >= 1)).any())

    def exist(self, task: RoutingTask, may: Bools) -> bool:
        """Whether anybody who may is left, at the cap or not."""
        return bool((may & ~self._holding(task)).any())

    def idle(self) -> Bools:
        """Return (people,) who have nothing to do."""
        return np.asarray(self._queue == 0, bool)

    def up_to(self, people: Bools, tasks: int) -> Bools:
        """Return those of the people who have fewer than so many tasks."""
        return np.asarray(people & (self._queue < tasks), bool)

    def _holding(self, task: RoutingTask) -> Bools:
        if task.task_id not in self._held:
            self._held[task.task_id] = self._mask(task.taken)
        return self._held[task.task_id]

    def _mask(self, names: Collection[str]) -> Bools:
        mask = np.zeros(len(self._names), bool)
        mask[[self._row[name] for name in names if name in self._row]] = True
        return mask
