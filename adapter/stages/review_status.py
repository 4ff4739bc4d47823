"""Where review stands: what lies on the table, what was decided, and the figures of it. Reads the store only."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from dataclasses import dataclass

from adapter.core.intervals import wilson
from adapter.core.review_queue import is_drawn
from adapter.errors import LabelError
from adapter.kinds import kind_of
from adapter.stages import review_project
from adapter.stages.context import Project
from adapter.stages.evidence import restored
from adapter.stages.gold import ADJUDICATED
from adapter.stages.reports import Report
from adapter.stages.review_decisions import rejected, standing
from adapter.vocabulary import Decision, JsonObject, Review


@dataclass(frozen=True, slots=True)
class ReviewStatus(Report):
    """platform_id: the review project. open: tasks on the table. waiting: in review beyond it. decided: decisions that
    stand, by what they are. asked_again: rejected tasks that wait for one more person. random: of the random share,
    labels accepted as they were, with interval; `drawn` labelled tasks belong to it, `reviewed` of them are decided.
    reviewers: what each decided, how long it took (median seconds), and how often it matched gold that was given."""

    enabled: bool
    platform_id: int | None
    open: int
    waiting: int
    decided: dict[str, int]
    asked_again: int
    random: JsonObject
    reviewers: tuple[JsonObject, ...]
    note: str


def review_status(project: Project) -> ReviewStatus:
    """Return where review stands."""
    policy = project.settings.review
    table = review_project.load(project)
    decisions = standing(project)
    random = _random(project, list(decisions.values()))
    note = "" if policy.enabled else "review is off in the project's settings (`review.enabled`)"
    if policy.enabled and random["reviewed"] < random["drawn"]:
        note = "until all drawn tasks are reviewed, the random share's figure leans to tasks that came first"
    return ReviewStatus(
        enabled=policy.enabled,
        platform_id=table.platform_id,
        open=len(table.entries),
        waiting=table.waiting,
        decided=dict(sorted(Counter(str(row.decision) for row in decisions.values()).items())),
        asked_again=len(rejected(project)),
        random=random,
        reviewers=_reviewers(project, list(decisions.values())),
        note=note,
    )


def _random(project: Project, decisions: list[Review]) -> JsonObject:
    """Return the share of labels of randomly drawn tasks that reviewers left as they were."""
    policy = project.settings.review
    drawn = {
        (row.task_id, row.control) for row in project.store.consensus.all(project.name) if is_drawn(row.task_id, policy)
    }
    judged = [row for row in decisions if is_drawn(row.task_id, policy)]
    accepted = sum(row.decision is Decision.ACCEPT for row in judged)
    low, high = wilson(accepted, len(judged))
    return {
        "drawn": len(drawn),
        "reviewed": len(judged),
        "accepted": accepted,
        "share": accepted / len(judged) if judged else None,
        "lower": low,
        "upper": high,
    }


def _reviewers(project: Project, decisions: list[Review]) -> tuple[JsonObject, ...]:
    gold = {
        (row.task_id, row.control): row.value
        for row in project.store.gold.all(project.name)
        if row.origin != ADJUDICATED
    }
    of: dict[str, list[Review]] = defaultdict(list)
    for row in decisions:
        of[row.reviewer].append(row)
    found: list[JsonObject] = []
    for who, rows in sorted(of.items()):
        judged = [answer for row in rows if (answer := _judged(project, row, gold.get((row.task_id, row.control))))]
        times = [row.lead_time for row in rows if row.lead_time is not None]
        right = judged.count("right")
        low, high = wilson(right, len(judged))
        found.append(
            {
                "reviewer": who,
                **{str(decision): sum(row.decision is decision for row in rows) for decision in Decision},
                "median_s": statistics.median(times) if times else None,
                "on_gold": len(judged),
                "right": right,
                "lower": low if judged else None,
                "upper": high if judged else None,
            }
        )
    return tuple(found)


def _judged(project: Project, row: Review, truth: object) -> str:
    """Return `right` or `wrong` where the truth is known and the reviewer gave a value, else nothing."""
    if truth is None or row.value is None:
        return ""
    control = project.space.control(row.control)
    try:
        distance = kind_of(control.kind).distance(control, restored(control, truth), restored(control, row.value))
    except LabelError:
        return ""
    return "right" if distance <= 0 else "wrong"
