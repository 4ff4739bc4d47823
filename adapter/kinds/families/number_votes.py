"""Consensus of numbers: what several people measured, counted or estimated.

People differ in two ways on a scale: some always say more than others (bias), some scatter more (spread). The
consensus is the numbers' centre with both taken into account: where most of the weight stands at one number, that one;
else Huber's estimate of location (1964), which is a mean but for what lies far off, and that pulls no more than from
FAR spreads. Weights are 1 / spread. Spreads and centres are fitted in turns, as in Raykar et al. (JMLR 2010, section
4). Both need overlap, so spread is shrunk to everybody's, and bias counts only where it is plain.

"Right" means within a tolerance: half a step where the config has steps or everybody gives whole numbers, else CLOSE of
the range. How sure a number is follows from who stands within it, by the model of `open_votes`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from adapter.core.crowd.skill import PRIOR_ACCURACY, PRIOR_STRENGTH, Skill, beta_skills
from adapter.kinds.base import Merged, Together
from adapter.kinds.families.open_votes import certainty

CLOSE = 0.01
"""Share of the range (max - min, or the middle 90 % of all numbers given) within which numbers count as the same."""
ENOUGH = 20
"""Tasks with other people's numbers, or a known truth, that a bias must show in."""
PLAIN = 2.0
"""Standard errors that a bias must be away from 0."""
FAR = 3.0
"""Spreads beyond which a number pulls no harder, and does not support the consensus."""

_ROUNDS = 5
_STEPS = 30
_HALF = 1e-9  # of a weight: what floating point may lose

Votes = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Person:
    """How one person gives numbers: too high by `bias`, and `spread` away from the truth on average."""

    bias: float
    spread: float


def consolidate_numbers(
    votes: Votes, gold: Mapping[str, float], *, step: float, span: float, snap: Callable[[float], float]
) -> Together:
    """Consolidate people's numbers.

    votes: task id to annotator to number. gold: task id to the true number. step: 0 for none. span: max - min, 0 if
    unbounded. snap: makes a number one that the control allows. A task whose numbers lie so far apart that no number
    has most of the weight within FAR spreads has no value; its proposal is their centre. `confidence` and `certainty`
    are the probability of lying within the tolerance.
    """
    ordered = {task: dict(sorted(votes[task].items())) for task in sorted(votes)}
    near, whole = tolerance(ordered, step=step, span=span)
    people = fit(ordered, gold, near)

    def centre(said: Mapping[str, float]) -> float:
        number = _centre(said, people, near)
        return snap(float(round(number)) if whole else number)

    centres = {task: gold.get(task, centre(said)) for task, said in ordered.items() if said}
    standing = {task for task, at in centres.items() if task in gold or _stands(ordered[task], at, people, near)}
    skill = _skills(ordered, centres, standing, set(gold), people, near)
    merged = {}
    for task, said in ordered.items():
        if task in gold:
            merged[task] = Merged(gold[task], 1.0, 1.0)
        elif not said:
            merged[task] = Merged(None, 0.0, 0.0, why="nobody has answered yet")
        else:
            sure = certainty(_supports(said, centres[task], people, skill, near))
            if task in standing:
                merged[task] = Merged(centres[task], sure, sure)
            else:
                numbers = ", ".join(f"{number:g}" for number in sorted(said.values()))
                merged[task] = Merged(None, sure, sure, (), centres[task], f"too far apart: {numbers}")
    return Together(merged, skill, "huber")


def tolerance(votes: Votes, *, step: float, span: float) -> tuple[float, bool]:
    """Return the distance within which two numbers are the same, and whether they are counted in whole numbers."""
    every = np.array([number for said in votes.values() for number in said.values()], np.float64)
    whole = step == 0 and len(every) > 0 and bool((every == np.round(every)).all())
    if not len(every):
        return max(step / 2, CLOSE * span), whole
    reach = span or float(np.diff(np.quantile(every, [0.05, 0.95]))[0])
    least = 1e-9 * max(1.0, float(np.abs(every).max()))
    return max(step / 2, 0.5 if whole else 0.0, CLOSE * reach, least), whole


def fit(votes: Votes, gold: Mapping[str, float], near: float) -> dict[str, Person]:
    """Estimate each person's bias and spread from the tasks of which others, or a known truth, speak too. The spread
    of somebody of whom nothing is known is that of PRIOR_ACCURACY to lie within the tolerance `near`."""
    names = sorted({who for said in votes.values() for who in said})
    prior = near / -math.log(1 - PRIOR_ACCURACY)
    people = dict.fromkeys(names, Person(0.0, prior))
    wild = near / CLOSE  # about the whole range: one slip of the keyboard says no more than that
    telling = {task: said for task, said in votes.items() if task in gold or len(said) > 1}
    for _ in range(_ROUNDS):
        off: dict[str, list[float]] = {who: [] for who in names}
        away: dict[str, list[float]] = {who: [] for who in names}
        for task, said in telling.items():
            at = gold[task] if task in gold else _centre(said, people, near)
            # The centre is itself uncertain (its information is the sum of 1 / spread^2); without this part, whoever
            # it falls on would look perfect.
            doubt = 0.0 if task in gold else 1 / sum(people[who].spread ** -2 for who in said)
            for who, number in said.items():
                off[who].append(number - at)
                away[who].append(min(math.hypot(number - people[who].bias - at, math.sqrt(doubt)), wild))
        n = sum(map(len, away.values()))
        common = (PRIOR_STRENGTH * prior + sum(map(sum, away.values()))) / (PRIOR_STRENGTH + n)
        found = {}
        for who in names:
            spread = (PRIOR_STRENGTH * common + sum(away[who])) / (PRIOR_STRENGTH + len(away[who]))
            found[who] = Person(_bias(off[who], near), spread)
        if all(math.isclose(found[who].spread, people[who].spread, rel_tol=1e-6) for who in names):
            return found
        people = found
    return people


def _bias(off: Sequence[float], near: float) -> float:
    """Return how much a person says too much in the median; 0 where that is within the tolerance, or may be chance."""
    if len(off) < ENOUGH:
        return 0.0
    middle = median(off)
    error = sum(abs(x - middle) for x in off) / len(off) / math.sqrt(len(off))  # of the median of Laplacian errors
    return middle if abs(middle) > max(near, PLAIN * error) else 0.0


def _centre(said: Mapping[str, float], people: Mapping[str, Person], near: float) -> float:
    """Return the centre of one task's numbers, freed of bias."""
    numbers = [(number - people[who].bias, people[who].spread) for who, number in said.items()]
    at = _median(numbers)
    total = sum(1 / spread for _, spread in numbers)
    if sum(1 / spread for number, spread in numbers if abs(number - at) <= near) > total / 2 * (1 + _HALF):
        return at
    for _ in range(_STEPS):
        pulls = [
            (number, min(1.0, FAR * spread / max(abs(number - at), 1e-300)) / spread) for number, spread in numbers
        ]
        before, at = at, sum(pull * number for number, pull in pulls) / sum(pull for _, pull in pulls)
        if abs(at - before) <= near / 100:
            break
    return at


def _median(numbers: Sequence[tuple[float, float]]) -> float:
    """Return the median of (number, spread) weighted by 1 / spread; the middle of two where both are as good."""
    ordered = sorted(numbers)
    half = sum(1 / spread for _, spread in ordered) / 2
    below = 0.0
    for at, (number, spread) in enumerate(ordered):
        below += 1 / spread
        if abs(below - half) <= _HALF * half and at + 1 < len(ordered):
            return number / 2 + ordered[at + 1][0] / 2
        if below > half:
            return number
    return ordered[-1][0]


def _stands(said: Mapping[str, float], at: float, people: Mapping[str, Person], near: float) -> bool:
    weights = {who: 1 / people[who].spread for who in said}
    backing = sum(
        weights[who]
        for who, number in said.items()
        if abs(number - people[who].bias - at) <= max(near, FAR * people[who].spread)
    )
    return backing > sum(weights.values()) / 2 * (1 + _HALF)


def _skills(
    votes: Votes,
    centres: Mapping[str, float],
    standing: set[str],
    known: set[str],
    people: Mapping[str, Person],
    near: float,
) -> dict[str, Skill]:
    """Return how often each person lies within the tolerance. Where no number stands, a number counts for right as
    far as others say the same."""
    names = sorted(people)
    place = {who: at for at, who in enumerate(names)}
    right, unsure, n = (np.zeros(len(names)) for _ in range(3))
    for task, said in votes.items():
        if task not in known and len(said) < 2:
            continue
        for who, number in said.items():
            if task in standing:
                chance = float(abs(number - people[who].bias - centres[task]) <= near)
            else:
                chance = sum(abs(number - other) <= near for other in said.values()) / len(said)
            right[place[who]] += chance
            unsure[place[who]] += chance * (1 - chance)
            n[place[who]] += 1
    return beta_skills(names, right, unsure, n) if names else {}


def _supports(
    said: Mapping[str, float], at: float, people: Mapping[str, Person], skill: Mapping[str, Skill], near: float
) -> list[list[float]]:
    """Return the accuracies of the people behind the number `at`, then of those behind each other number."""
    groups: list[list[float]] = [[]]
    first = -math.inf
    for number, who in sorted((number - people[who].bias, who) for who, number in said.items()):
        if abs(number - at) <= near:
            groups[0].append(skill[who].accuracy)
        elif number - first <= near:
            groups[-1].append(skill[who].accuracy)
        else:
            first = number
            groups.append([skill[who].accuracy])
    return groups
