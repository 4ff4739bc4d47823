"""The review queue: which labelled tasks an expert looks at again, in which order, and why. Pure.

Blind tasks may come in where people differ or by the random draw, never because a model or a skill estimate doubts
them: a second look only there would bend the one sample that everything is measured on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from adapter.core.blind import draw
from adapter.policies import ReviewPolicy

PURPOSE = "review"
"""Names the draw of the random share; independent of the blind sample's."""
EVERY = 5
"""Every so many-th place belongs to the random share: a queue full of hard tasks must not starve the figures."""


class Why(StrEnum):
    """Reasons for review, the most urgent first."""

    UNDECIDED = "no consensus"
    REJECTED = "labelled again after a rejection"
    DIFFER = "people differ"
    FLAGGED = "label issue"
    LOW_SKILL = "low skill"
    RANDOM = "random share"


_RANK = {reason: rank for rank, reason in enumerate(Why)}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A labelled task. people: how many labelled it. undecided: why there is no consensus although nobody else will be
    asked; empty where there is one, or more people are still asked. differ: greatest distance between two people's
    values, 0 to 1. flag: score of its worst open label issue, 0 without. doubted: the part
    that it is about, in words; empty for the whole label. skill: accuracy of the best person who
    labelled it; None if it is not known of everybody. rejected: a reviewer rejected its labels, and somebody has
    labelled it since."""

    task_id: str
    people: int = 1
    blind: bool = False
    undecided: str = ""
    differ: float = 0.0
    flag: float = 0.0
    doubted: str = ""
    skill: float | None = None
    rejected: bool = False


@dataclass(frozen=True, slots=True)
class Queued:
    """A task of the queue. reasons: in words, by reason, the most urgent first."""

    task_id: str
    reasons: tuple[tuple[Why, str], ...]
    blind: bool = False

    @property
    def why(self) -> str:
        """All reasons as one sentence."""
        return "; ".join(text for _, text in self.reasons)


def is_drawn(task_id: str, policy: ReviewPolicy) -> bool:
    """Whether the task belongs to the random share. A larger share keeps all members of a smaller one (same seed)."""
    return draw(task_id, policy.seed, PURPOSE) < policy.random_share


def reasons(candidate: Candidate, policy: ReviewPolicy) -> tuple[tuple[Why, str], ...]:
    """Return why this task is in review, in words; empty if it is not."""
    found: list[tuple[Why, str]] = []
    if policy.low_agreement and candidate.undecided:
        found.append((Why.UNDECIDED, f"there is no consensus of {_people(candidate.people)}: {candidate.undecided}"))
    if candidate.rejected:
        found.append((Why.REJECTED, "a reviewer rejected its labels, and it was labelled again since"))
    if policy.low_agreement and candidate.differ > 0 and candidate.differ >= policy.differ:
        found.append((Why.DIFFER, f"people differ (distance {candidate.differ:.2f} of 1)"))
    part = f": {candidate.doubted}" if candidate.doubted else ""
    if policy.flagged and candidate.flag > 0 and not candidate.blind:
        found.append((Why.FLAGGED, f"its label is doubted (score {candidate.flag:.2f}){part}"))
    if candidate.skill is not None and candidate.skill < policy.low_skill and not candidate.blind:
        found.append((Why.LOW_SKILL, f"labelled only by people with an accuracy under {policy.low_skill:.2f}"))
    if is_drawn(candidate.task_id, policy):
        found.append((Why.RANDOM, "drawn at random, to measure"))
    return tuple(found)


def review_queue(candidates: Sequence[Candidate], policy: ReviewPolicy) -> list[Queued]:
    """Return the tasks that belong in review, in the order in which reviewers should see them, without a bound.

    By the most urgent reason, then its strength, then more reasons first, then a seeded hash; the order of candidates
    does not matter. Tasks that are there for the random share alone come in their own random order, one in every
    EVERY places, and after the others have run out.
    """
    urgent: list[tuple[tuple[float, ...], Queued]] = []
    drawn: list[tuple[tuple[float, ...], Queued]] = []
    for candidate in candidates:
        found = reasons(candidate, policy)
        if not found:
            continue
        chance = draw(candidate.task_id, policy.seed, PURPOSE)
        item = Queued(candidate.task_id, found, candidate.blind)
        if found[0][0] is Why.RANDOM:
            drawn.append(((chance,), item))
        else:
            strength = _strength(candidate, found[0][0])
            urgent.append(((float(_RANK[found[0][0]]), -strength, -float(len(found)), chance), item))
    first = [item for _, item in sorted(urgent, key=lambda pair: (pair[0], pair[1].task_id))]
    second = [item for _, item in sorted(drawn, key=lambda pair: (pair[0], pair[1].task_id))]
    return _interleaved(first, second)


def taken(queue: Sequence[Queued], held: Collection[str], size: int) -> list[Queued]:
    """Return the tasks to add to the reviewers' table, in order: those not held yet, while fewer than `size` are held.
    held: task ids that lie there now."""
    room = max(size - len(held), 0)
    return [item for item in queue if item.task_id not in held][:room]


def _strength(candidate: Candidate, reason: Why) -> float:
    if reason is Why.DIFFER or reason is Why.UNDECIDED:
        return candidate.differ
    if reason is Why.FLAGGED:
        return candidate.flag
    if reason is Why.LOW_SKILL:
        return 1.0 - (candidate.skill or 0.0)
    return 0.0


def _interleaved(first: Sequence[Queued], second: Sequence[Queued]) -> list[Queued]:
    found: list[Queued] = []
    i = j = 0
    while i < len(first) or j < len(second):
        if j < len(second) and (i == len(first) or len(found) % EVERY == EVERY - 1):
            found.append(second[j])
            j += 1
        else:
            found.append(first[i])
            i += 1
    return found


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count} people"
