"""The review project beside the project: what lies on the reviewers' table, kept in a note, and its tasks in Label
Studio. First the note, then the call, then what landed: a kill between is made good by the next run."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from adapter.errors import LabelError, PlatformNotFound, PlatformRejected
from adapter.kinds import kind_of
from adapter.label_studio.label_config import with_reason_header
from adapter.ports import NewPrediction, NewTask
from adapter.stages.context import Project
from adapter.stages.evidence import digest, restored
from adapter.stages.review_candidates import Shown
from adapter.stages.setup import require_same_labels
from adapter.vocabulary import REASON_FIELD, SAID_FIELD, TASK_KEY_FIELD, Fault, JsonObject, Value

NOTE = "review"
PROPOSED = "proposed labels"
"""Model version of the labels that are selected on a reviewer's page. No model of ours is called that."""


@dataclass
class Entry:
    """A task on the table. key: under which Label Studio knows it (our task id, or that with its round). place: Label
    Studio's id, None until it landed. proposed: control to value on the page. shown: digest of the proposal that is
    stored there, empty for none. touched: somebody who may not decide has annotated it."""

    key: str
    task_id: str
    why: str
    said: str = ""
    place: int | None = None
    proposed: dict[str, Any] = field(default_factory=dict)
    score: float = 0.0
    shown: str = ""
    touched: bool = False


@dataclass
class Table:
    """All that is remembered of the review project. mark: high-water mark of its pull. count: tasks it held when they
    were last compared. basis: what the queue was made from. waiting: tasks of the queue that found no room."""

    platform_id: int | None = None
    mark: str | None = None
    count: int = 0
    basis: str = ""
    waiting: int = 0
    entries: dict[str, Entry] = field(default_factory=dict)

    @property
    def held(self) -> dict[str, Entry]:
        """The entries by our task id."""
        return {entry.task_id: entry for entry in self.entries.values()}


def load(project: Project) -> Table:
    """Return the table as it was saved; an empty one at first."""
    note = project.store.projects.notes(project.name, NOTE).get(NOTE)
    if not note:
        return Table()
    entries = {entry["key"]: Entry(**entry) for entry in note["entries"]}
    return Table(**{**note, "entries": entries})


def save(project: Project, table: Table) -> None:
    """Keep the table."""
    entries = [asdict(entry) for entry in table.entries.values()]
    project.store.projects.note(project.name, NOTE, {**vars(table), "entries": entries})


def title_of(project: Project) -> str:
    """Return the review project's title in Label Studio."""
    return project.title_beside("review")


def ensure(project: Project, table: Table) -> tuple[Table, int]:
    """Return the table and its Label Studio project, found by title or made if need be. One that was deleted there is
    made anew; decisions are in our store and stand."""
    if table.platform_id is not None:
        try:
            there = project.platform.project(table.platform_id)
            require_same_labels(project.space, there)
            return table, table.platform_id
        except PlatformNotFound:
            _log(project, "review project gone", {"platform_id": table.platform_id})
            project.store.reviews.detach(project.name)
            table = Table()
    found = project.platform.find_project(title_of(project))
    config = with_reason_header(with_reason_header(project.space.config, SAID_FIELD), REASON_FIELD)
    there = found or project.platform.create_project(title_of(project), config)
    require_same_labels(project.space, there)
    table.platform_id = there.id
    save(project, table)
    _log(project, "review project", {"platform_id": there.id, "created": found is None})
    return table, there.id


def reconcile(project: Project, table: Table, platform_id: int) -> None:
    """Complete an interrupted push: note what landed, delete surplus copies, send the rest."""
    pending = [entry for entry in table.entries.values() if entry.place is None]
    if not pending:
        return
    found = project.platform.find_tasks(platform_id, [entry.key for entry in pending])
    surplus = [place for places in found.values() for place in places[1:]]
    if surplus:
        project.platform.delete_tasks(platform_id, surplus)
    for key, places in found.items():
        table.entries[key].place = places[0]
    _send(project, table, platform_id, [entry for entry in pending if entry.place is None])


def add(project: Project, table: Table, platform_id: int, entries: Sequence[Entry]) -> None:
    """Lay tasks on the table."""
    if not entries:
        return
    table.entries |= {entry.key: entry for entry in entries}
    save(project, table)
    _send(project, table, platform_id, entries)


def withdraw(project: Project, table: Table, platform_id: int, keys: Collection[str]) -> int:
    """Take tasks that nobody has decided off the table; return how many. A task that somebody has annotated stays in
    Label Studio."""
    gone = [table.entries[key] for key in keys if key in table.entries]
    places = [entry.place for entry in gone if entry.place is not None and not entry.touched]
    if places:
        project.platform.delete_tasks(platform_id, places)
        table.count -= len(places)
    for entry in gone:
        del table.entries[entry.key]
    if gone:
        save(project, table)
    return len(gone)


def refresh(project: Project, table: Table, looks: Mapping[str, Shown], reasons: Mapping[str, str]) -> None:
    """Bring reasons and what people said up to date where a task lies on the table already."""
    for entry in table.entries.values():
        look, why = looks.get(entry.task_id), reasons.get(entry.task_id)
        if look is None or why is None or entry.place is None:
            continue
        if (entry.why, entry.said) != (why, look.said):
            project.platform.update_task_data(entry.place, {REASON_FIELD: heading(why), SAID_FIELD: look.said})
            entry.why, entry.said = why, look.said
        entry.proposed, entry.score = _plain(look.proposed), look.score


def propose(project: Project, table: Table, platform_id: int) -> int:
    """Store the proposed labels where they are not, or no longer, the ones on the page; return how many."""
    stale = [entry for entry in table.entries.values() if entry.place is not None and entry.shown != _digest(entry)]
    if not stale:
        return 0
    places = [entry.place for entry in stale if entry.place is not None]
    old = [row.id for row in project.platform.predictions(platform_id, places) if row.model_version == PROPOSED]
    if old:
        project.platform.delete_predictions(old)
    new = {entry.key: made for entry in stale if (made := _prediction(project, entry)) is not None}
    created = _import(project, platform_id, list(new.values()))
    if new and project.platform.project(platform_id).model_version != PROPOSED and created:
        project.platform.configure(platform_id, model_version=PROPOSED)
    for entry in stale:
        entry.shown = _digest(entry)
    save(project, table)
    return created


def next_key(project: Project, task_id: str, rounds: int) -> str:
    """Return the key of a task's next round of review: our id at first. Label Studio must not hold a key twice."""
    if not rounds:
        return task_id
    number = rounds + 1
    while project.store.tasks.get(project.name, [f"{task_id} · round {number}"]):
        number += 1
    return f"{task_id} · round {number}"


def heading(why: str) -> str:
    """Return what stands at the top of a reviewer's page."""
    return f"In review: {why}. Submit to accept, change and submit to correct, skip to reject."


def _send(project: Project, table: Table, platform_id: int, entries: Sequence[Entry]) -> None:
    tasks = {task.id: task for task in project.store.tasks.get(project.name, [entry.task_id for entry in entries])}
    new = [
        NewTask(
            key=entry.key,
            data={
                **project.media.present(tasks[entry.task_id].data),
                TASK_KEY_FIELD: entry.key,
                REASON_FIELD: heading(entry.why),
                SAID_FIELD: entry.said,
            },
        )
        for entry in entries
        if entry.task_id in tasks
    ]
    if new:
        for key, place in project.platform.import_tasks(platform_id, new).items():
            table.entries[key].place = place
            table.count += 1
    save(project, table)


def _prediction(project: Project, entry: Entry) -> NewPrediction | None:
    if not entry.proposed or entry.place is None:
        return None
    result: list[JsonObject] = []
    for name, value in entry.proposed.items():
        try:
            control = project.space.control(name)
            result += kind_of(control.kind).write(control, restored(control, value))
        except (KeyError, LabelError):
            continue  # the label config has changed since; the reviewer starts from nothing there
    return NewPrediction(entry.place, tuple(result), entry.score, PROPOSED)


def _import(project: Project, platform_id: int, new: Sequence[NewPrediction]) -> int:
    """Import what Label Studio takes. One proposal that it refuses must not keep the others from the reviewers."""
    try:
        created = project.platform.import_predictions(platform_id, new) if new else 0
        refused: Iterable[str] = [] if created == len(new) else [f"{len(new) - created} were dropped in silence"]
    except PlatformRejected as error:
        if len(new) == 1:
            created, refused = 0, [str(error)]
        else:
            return sum(_import(project, platform_id, [one]) for one in new)
    faults = [
        Fault("Label Studio", PROPOSED, "push", None, f"proposed labels: {text}", project.now()) for text in refused
    ]
    project.store.faults.add(project.name, faults)
    return created


def _digest(entry: Entry) -> str:
    return digest(repr(sorted(entry.proposed.items())), round(entry.score, 6))


def _plain(proposed: Mapping[str, Value]) -> dict[str, Any]:
    """Return values as they are after a trip through the store, so that equal proposals have equal digests."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(proposed)))
    return plain


def _log(project: Project, what: str, detail: JsonObject) -> None:
    project.store.audit.append(project.name, "adapter", what, detail, project.now())


def entry_of(key: str, task_id: str, why: str, look: Shown) -> Entry:
    """Return a new entry for the table."""
    return Entry(key, task_id, why, look.said, None, _plain(look.proposed), look.score)
