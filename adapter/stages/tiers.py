"""One Label Studio project for each tier (`routing.way: projects`): made, filled by rule, and put right when a rule
changes.

Hard in that each tier has a stream of its own; soft in that the free edition has no membership of projects: whoever may
log in may open every project.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from adapter.core.routing import rule_of
from adapter.errors import PlatformNotFound, SettingsError
from adapter.ports import Platform, PlatformProject
from adapter.stages.asks import VIEW_NOTE
from adapter.stages.consolidate import consolidate
from adapter.stages.context import Project
from adapter.stages.route_evidence import routing_tasks
from adapter.stages.setup import WEBHOOK_PATH, adopt_placed, connect_endpoints, require_same_labels
from adapter.stages.window import open_placements
from adapter.store import Intent, Placement

MOVES_NOTE = "routing_moves"
"""Tasks on their way from one project to another, as intents: written before their old place is given up."""
_FOLLOWED = ("label_config", "sampling", "maximum_annotations", "show_prelabels")


def stand(project: Project, platform_id: int) -> None:
    """Make sure that every tier has its project in Label Studio, set like the main one. Safe to repeat.

    A project with the right title is taken over with the tasks of ours that it holds. One that was deleted there is
    made anew, and its tasks without a label may be pushed again; labels stay in the store. Tiers that left the settings
    keep their project: its annotations count. Raises SettingsError in `mode: in-place`.
    """
    policy = project.settings.routing
    known = project.tiers.look()
    on = policy.enabled and policy.way == "projects"
    if on and project.settings.mode != "window":
        raise SettingsError(
            "`routing.way: projects` places tasks itself, and `mode: in-place` leaves them where they are",
            where=f"project {project.name}",
            remedy="Use `routing.way: views`, or `mode: window`.",
        )
    if not on and not known:
        return
    plain = project.make_platform()
    main = plain.project(platform_id)
    if project.tiers.main != platform_id:
        known = {}  # of another Label Studio project, which was given up
    for tier, number in list(known.items()):
        try:
            _follow(plain, main, plain.project(number))
        except PlatformNotFound:
            del known[tier]
            _give_up(project, plain, platform_id, known, tier, number)
    for tier in policy.tiers if on else ():
        if tier not in known:
            known[tier] = _make(project, plain, main, tier)
            project.tiers.keep(platform_id, known)


def _make(project: Project, plain: Platform, main: PlatformProject, tier: str) -> int:
    """Find or create a tier's project; return its id."""
    title = project.title_beside(tier)
    found = plain.find_project(title)
    there = found or plain.create_project(title, main.label_config)
    require_same_labels(project.space, there)
    _follow(plain, main, there)
    adopted = adopt_placed(project, there.id) if found is not None and found.task_count else 0
    if any(hook.url.endswith(WEBHOOK_PATH) for hook in plain.webhooks(main.id)):
        connect_endpoints(project, there.id)  # what fails now is renewed by the next set-up
    project.store.projects.note(project.name, VIEW_NOTE, None)  # the new project wants that view too
    detail = {"tier": tier, "platform_id": there.id, "created": found is None, "adopted": adopted}
    project.store.audit.append(project.name, "adapter", "tier project", detail, project.now())
    return there.id


def _follow(plain: Platform, main: PlatformProject, there: PlatformProject) -> None:
    """Set a tier's project like the main one."""
    changed = {name: getattr(main, name) for name in _FOLLOWED if getattr(there, name) != getattr(main, name)}
    if changed:
        plain.configure(there.id, **changed)


def _give_up(
    project: Project, plain: Platform, platform_id: int, known: Mapping[str, int], tier: str, number: int
) -> None:
    """Forget a tier project that was deleted there: its tasks are gone, the labels that people gave stay. Tasks without
    a consensus are asked anew."""
    there: set[int] = set()
    for other in (platform_id, *known.values()):
        try:
            there |= plain.task_ids(other)
        except PlatformNotFound:
            continue  # the next in turn to be given up
    alive = [p.platform_id for p in project.store.ledger.placements(project.name) if not p.gone]
    lost = [place for place in alive if place not in there]
    project.store.ledger.mark_gone(project.name, lost)
    consolidate(project)  # so that no task comes again that is labelled: its new place would have no answers
    project.store.rankings.replace(project.name, [], "tier project deleted")  # it was made before that
    project.tiers.keep(platform_id, known)
    detail = {"tier": tier, "platform_id": number, "tasks": len(lost)}
    project.store.audit.append(project.name, "Label Studio", "tier project deleted", detail, project.now())


def tiers_of(project: Project, task_ids: Sequence[str]) -> dict[str, str]:
    """Return the tiers that these tasks belong to by the rules, those without one left out."""
    policy = project.settings.routing
    if not (policy.enabled and policy.way == "projects") or not task_ids:
        return {}
    now = project.now()
    known = {p.task_id: p for p in project.store.ledger.placements(project.name)}
    asked = [known.get(name) or Placement(name, 0, 0, "", 1, False, now) for name in task_ids]
    judged = any(rule.when in ("hard", "class") for rule in policy.rules)
    found: dict[str, str] = {}
    for task in routing_tasks(project, asked, {}, {}, judged=judged).values():
        rule = rule_of(task, policy)
        if rule is not None and rule.to.startswith("tier:"):
            found[task.task_id] = rule.to[len("tier:") :]
    return found


def barred(project: Project, placements: Collection[Placement], people: Collection[str]) -> dict[str, set[str]]:
    """Return task to the people who are not asked for it, since it lies in the project of a tier that is not theirs."""
    policy = project.settings.routing
    if not (policy.enabled and policy.way == "projects"):
        return {}
    tier_at = {number: tier for tier, number in project.tiers.ids.items() if tier in policy.tiers}
    homes = project.tiers.homes([p.platform_id for p in placements])
    at = {p.task_id: tier_at[homes[p.platform_id]] for p in placements if homes.get(p.platform_id) in tier_at}
    others = {tier: set(people) - set(policy.tiers[tier]) for tier in tier_at.values()}
    return {task_id: others[tier] for task_id, tier in at.items() if others[tier]}


def move(project: Project, platform_id: int) -> int:
    """Take tasks out of projects where their rule no longer puts them; return how many. The next `reconcile` sends them
    to the right one.

    Only tasks that nobody has answered or skipped move, and none that a page may have open: the first `keep` of each
    queue, and of each project's stream as many for everybody who works there. Killed at any point, the next push
    completes it: a task that has lost its old place is a pending intent, and one that has not is found there again.
    """
    _resume(project)
    if not project.tiers.ids or project.settings.mode != "window":
        return 0
    waiting = open_placements(project)
    wanted, at = tiers_of(project, [p.task_id for p in waiting]), project.tiers.ids
    homes = project.tiers.homes([p.platform_id for p in waiting])
    wrong = [p for p in waiting if homes[p.platform_id] != at.get(wanted.get(p.task_id, ""), platform_id)]
    if not wrong:
        return 0
    now = _answered(project, platform_id)
    said = project.store.annotations.said(project.name, {p.task_id for p in wrong})
    still = [p for p in waiting if p.platform_id not in now]
    fixed = {*said, *_maybe_open(project, still, homes), *(p.task_id for p in waiting if p.platform_id in now)}
    chosen = [p for p in wrong if p.task_id not in fixed]
    if not chosen:
        return 0
    _displace(project, [Intent(p.task_id, p.priority, p.reason, p.overlap, p.blind) for p in chosen])
    answered = _answered(project, platform_id)  # who answers until here keeps the task where it is
    project.store.ledger.landed(project.name, {p.task_id: p.platform_id for p in chosen if p.platform_id in answered})
    moved = [p for p in chosen if p.platform_id not in answered]
    if moved:
        project.platform.delete_tasks(platform_id, [p.platform_id for p in moved])
        detail = {"tasks": {p.task_id: wanted.get(p.task_id, "") for p in moved[:1000]}, "count": len(moved)}
        project.store.audit.append(project.name, "adapter", "tasks moved to their tier", detail, project.now())
    return len(moved)


def _answered(project: Project, platform_id: int) -> set[int]:
    """Return Label Studio's ids of tasks that were answered or skipped since the last pull."""
    row = project.store.projects.get(project.name)
    changed = project.platform.changes(platform_id, row.mark if row else None).tasks
    return {task.id for task in changed if task.annotations}


def _displace(project: Project, intents: Sequence[Intent]) -> None:
    """Turn placed tasks into pending ones. Between the two writes a task would be nowhere, hence the note."""
    rows = [[i.task_id, i.priority, i.reason, i.overlap, i.blind] for i in intents]
    project.store.projects.note(project.name, MOVES_NOTE, rows)
    names = {intent.task_id for intent in intents}
    places = [p.platform_id for p in project.store.ledger.placements(project.name) if p.task_id in names and not p.gone]
    project.store.ledger.mark_gone(project.name, places)
    _resume(project)


def _resume(project: Project) -> None:
    """Complete what a kill left of `_displace`: an intent for each task that lost its place; others stay."""
    rows = project.store.projects.notes(project.name, MOVES_NOTE).get(MOVES_NOTE)
    if rows:
        project.store.ledger.intend(project.name, [Intent(*row) for row in rows])
        project.store.projects.note(project.name, MOVES_NOTE, None)


def _maybe_open(project: Project, waiting: Sequence[Placement], homes: Mapping[int, int]) -> set[str]:
    """Return the tasks that may be open on somebody's page; locks cannot be seen."""
    policy, rank = project.settings.routing, {p.task_id: p.priority for p in waiting}
    queues: dict[str, list[str]] = defaultdict(list)
    for row in project.store.routed.of(project.name):
        if not row.done and row.task_id in rank:
            queues[row.annotator].append(row.task_id)
    found = {name for queue in queues.values() for name in sorted(queue, key=rank.__getitem__)[: policy.keep]}
    seen = project.store.annotations.last_seen(project.name)
    everybody = len({*policy.annotators, *seen, *(name for names in policy.tiers.values() for name in names)})
    members = {number: len(policy.tiers.get(tier, ())) for tier, number in project.tiers.ids.items()}
    streams: dict[int, list[Placement]] = defaultdict(list)
    for place in sorted(waiting, key=lambda p: p.platform_id):
        streams[homes[place.platform_id]].append(place)
    for number, stream in streams.items():
        heads = policy.keep * max(members.get(number, everybody), 1)
        found |= {p.task_id for p in stream[:heads]}
    return found
