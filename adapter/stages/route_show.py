"""Showing in Label Studio whose task is whose."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from adapter.label_studio.assign import Assignments, Views
from adapter.ports import Assigner
from adapter.stages.context import Project
from adapter.store import Placement
from adapter.vocabulary import JsonObject, Routed

SHOWN_NOTE = "routing_shown"
"""Platform task id to the names that were shown there last."""
SEATS_NOTE = "routing_seats"
"""`project`: Label Studio's; `way`; `people`: name to the page where that person works in it; `tiers`: tier project to
the same there; `now`: name to the tier's page where tasks wait for that person."""


def show(
    project: Project,
    platform_id: int,
    people: Sequence[str],
    placements: Mapping[str, Placement],
    wanted: Sequence[Routed],
    *,
    guests: Mapping[str, Sequence[str]] | None = None,
    renew: bool = False,
) -> dict[str, str]:
    """Show in Label Studio whose task is whose; return where each of the people works.

    wanted: what people hold. guests: people who are shown tasks beside those who hold them. Only what differs from the
    last time is sent. renew: also put right what stands. A tier's people have a view in the tier's project too; theirs
    is the page on which tasks wait.
    """
    assigner = assigner_of(project)
    notes = project.store.projects.notes(project.name)
    seated = sorted({*people, *(guests or {})})
    shown = {int(place): tuple(names) for place, names in notes.get(SHOWN_NOTE, {}).items()}
    holders: dict[int, list[str]] = defaultdict(list)
    for row in wanted:
        holders[placements[row.task_id].platform_id].append(row.annotator)
    for name, task_ids in (guests or {}).items():
        for task_id in task_ids:
            holders[placements[task_id].platform_id].append(name)
    now = {place: tuple(sorted(names)) for place, names in holders.items()}
    pages = _seat(project, platform_id, assigner, seated, now, renew=renew)
    # Tasks that are done keep the last names: nobody is served them, and people find their work again.
    waiting = {p.platform_id for p in placements.values() if not p.done}
    now |= {place: () for place in shown if place in waiting and place not in now}
    changed = {place: names for place, names in now.items() if names != shown.get(place, ())}
    if changed:
        assigner.show(platform_id, changed, shown)
    kept = {str(place): list(names) for place, names in sorted(now.items()) if names}
    if kept != notes.get(SHOWN_NOTE, {}):
        project.store.projects.note(project.name, SHOWN_NOTE, kept or None)
    return {name: pages[name] for name in people if name in pages}


def _seat(
    project: Project,
    platform_id: int,
    assigner: Assigner,
    people: Sequence[str],
    now: Mapping[int, Sequence[str]],
    *,
    renew: bool,
) -> dict[str, str]:
    """Give everybody a place in the main project and in those of the tiers that have something for them; return the
    page of each, as now stands who holds what."""
    notes, policy = project.store.projects.notes(project.name), project.settings.routing
    seats = notes.get(SEATS_NOTE, {})
    here = seats.get("project") == platform_id and seats.get("way") == policy.way
    known: dict[str, str] = dict(seats.get("people", {})) if here else {}
    missing = [name for name in people if renew or name not in known]
    if missing:
        known |= assigner.seat(platform_id, missing)
    kept: JsonObject = {"project": platform_id, "way": policy.way, "people": known}
    homes = project.tiers.homes(list(now))
    tiers: dict[str, dict[str, str]] = {}
    pages: dict[str, str] = {}
    for tier, number in project.tiers.ids.items():
        holding = {name for place, names in now.items() if homes.get(place) == number for name in names}
        members = set(policy.tiers.get(tier, ())) if policy.way == "projects" else set()
        there: dict[str, str] = dict(seats.get("tiers", {}).get(str(number), {})) if here else {}
        missing = [name for name in people if name in members | holding and (renew or name not in there)]
        if missing:
            there |= assigner.seat(number, missing)
        if there:
            tiers[str(number)] = there
        pages = {name: there[name] for name in holding if name in there} | pages
    if tiers:
        kept = {**kept, "tiers": tiers, "now": dict(sorted(pages.items()))}
    if kept != seats and people:
        project.store.projects.note(project.name, SEATS_NOTE, kept)
    return known | pages


def places_of(project: Project, platform_id: int, people: Sequence[str]) -> dict[str, str]:
    """Return where these people work, as far as they have a place already."""
    seats = project.store.projects.notes(project.name, SEATS_NOTE).get(SEATS_NOTE, {})
    here = seats.get("project") == platform_id and seats.get("way") == project.settings.routing.way
    known = {**seats.get("people", {}), **seats.get("now", {})} if here else {}
    return {name: known[name] for name in people if name in known}


def assigner_of(project: Project) -> Assigner:
    """Return what shows people their tasks, by the policy's `way`."""
    if project.settings.routing.way == "enterprise":
        return Assignments(project.platform)
    return Views(project.platform)
