"""Showing in Label Studio whose task is whose."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from adapter.label_studio.assign import Assignments, Views
from adapter.ports import Assigner
from adapter.stages.context import Project
from adapter.store import Placement
from adapter.vocabulary import Routed

SHOWN_NOTE = "routing_shown"
"""Platform task id to the names that were shown there last."""
SEATS_NOTE = "routing_seats"
"""`project`: Label Studio's; `way`; `people`: name to the page where that person works."""


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
    last time is sent. renew: also put right what stands.
    """
    assigner, way = assigner_of(project), project.settings.routing.way
    notes = project.store.projects.notes(project.name)
    seats = notes.get(SEATS_NOTE, {})
    here = seats.get("project") == platform_id and seats.get("way") == way
    known = dict(seats.get("people", {})) if here else {}
    seated = sorted({*people, *(guests or {})})
    missing = [name for name in seated if renew or name not in known]
    if missing:
        known |= assigner.seat(platform_id, missing)
        project.store.projects.note(project.name, SEATS_NOTE, {"project": platform_id, "way": way, "people": known})
    shown = {int(place): tuple(names) for place, names in notes.get(SHOWN_NOTE, {}).items()}
    holders: dict[int, list[str]] = defaultdict(list)
    for row in wanted:
        holders[placements[row.task_id].platform_id].append(row.annotator)
    for name, task_ids in (guests or {}).items():
        for task_id in task_ids:
            holders[placements[task_id].platform_id].append(name)
    now = {place: tuple(sorted(names)) for place, names in holders.items()}
    # Tasks that are done keep the last names: nobody is served them, and people find their work again.
    waiting = {p.platform_id for p in placements.values() if not p.done}
    now |= {place: () for place in shown if place in waiting and place not in now}
    changed = {place: names for place, names in now.items() if names != shown.get(place, ())}
    if changed:
        assigner.show(platform_id, changed, shown)
    kept = {str(place): list(names) for place, names in sorted(now.items()) if names}
    if kept != notes.get(SHOWN_NOTE, {}):
        project.store.projects.note(project.name, SHOWN_NOTE, kept or None)
    return {name: known[name] for name in people if name in known}


def places_of(project: Project, platform_id: int, people: Sequence[str]) -> dict[str, str]:
    """Return where these people work, as far as they have a place already."""
    seats = project.store.projects.notes(project.name).get(SEATS_NOTE, {})
    here = seats.get("project") == platform_id and seats.get("way") == project.settings.routing.way
    known = dict(seats.get("people", {})) if here else {}
    return {name: known[name] for name in people if name in known}


def assigner_of(project: Project) -> Assigner:
    """Return what shows people their tasks, by the policy's `way`."""
    if project.settings.routing.way == "enterprise":
        return Assignments(project.platform)
    return Views(project.platform)
