"""Who takes part in routing now: the people named or known, without those who left or gave no sign of life; and what
those see meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from adapter.core.routing import BY_ROUTER, RoutingTask, Worker, may_take
from adapter.stages.context import Project
from adapter.stages.route_gold import GOLD
from adapter.vocabulary import Routed

AWAY_NOTE = "routing_away"
"""People whose waiting tasks were freed, with the moment: they are back at the next sign of life."""


def present_people(project: Project, waiting: Sequence[Routed], now: datetime) -> tuple[list[str], dict[str, str]]:
    """Return the people who are given tasks, sorted, and those who are away with the moment since when (ISO).

    waiting: what people hold and have not answered. Away is who gave no sign of life for `idle_h` hours while tasks
    waited, or since their last annotation; signs are annotations and what the platform knows of its users. People who
    were named and never seen are given tasks at first.
    """
    policy = project.settings.routing
    seen = project.store.annotations.last_seen(project.name)
    tiers = {name for members in policy.tiers.values() for name in members}
    names = sorted(set(policy.annotators) or {*seen, *tiers})
    if policy.idle_h is None:
        return names, {}
    before: dict[str, str] = dict(project.store.projects.notes(project.name, AWAY_NOTE).get(AWAY_NOTE, {}))
    limit = now - timedelta(hours=policy.idle_h)
    oldest = {row.annotator: row.at for row in reversed(waiting)}  # given oldest first
    silent = {
        name
        for name in names
        if (name not in seen or seen[name] < limit) and (name in seen or oldest.get(name, now) < limit)
    }
    if not silent and not before:
        return names, {}
    active = {user.name: user.active_at for user in project.platform.users() if user.active_at is not None}
    away: dict[str, str] = {}
    for name in names:
        last = max((at for at in (seen.get(name), active.get(name)) if at is not None), default=None)
        if name in before:
            if last is None or last <= datetime.fromisoformat(before[name]):
                away[name] = before[name]
        elif name in silent and oldest.get(name, limit) <= limit and (last is None or last < limit):
            away[name] = now.isoformat()
    return [name for name in names if name not in away], away


def guests(
    project: Project, away: Collection[str], tasks: Mapping[str, RoutingTask], wanted: Sequence[Routed]
) -> dict[str, list[str]]:
    """Return what people who are away are shown beside others: tasks that nobody holds, or the last of those that
    others hold. It is theirs as little as anybody's; with the first that they answer they are back. A queue that were
    empty would keep them out for ever.

    tasks: the open ones. wanted: who holds what. Each sees `policy.keep` of them, in the order of ids.
    """
    policy = project.settings.routing
    holders: dict[str, set[str]] = {}
    for row in wanted:
        holders.setdefault(row.task_id, set()).add(row.annotator)
    bound = {row.task_id for row in wanted if row.why in (GOLD, BY_ROUTER)}
    last_first = sorted(
        (task for task in tasks.values() if task.task_id not in bound and (task.seats > 0 or task.task_id in holders)),
        key=lambda task: (task.task_id in holders, -task.priority, task.task_id),
    )
    found: dict[str, list[str]] = {}
    for name in sorted(away):
        guest = Worker(name, tiers=tuple(tier for tier, members in policy.tiers.items() if name in members))
        fine = (task.task_id for task in last_first if may_take(guest, task, policy))
        found[name] = sorted(task_id for task_id, _ in zip(fine, range(policy.keep), strict=False))
    return found
