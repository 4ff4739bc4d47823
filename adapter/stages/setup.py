"""Set-up: make sure that the project stands in Label Studio, with our webhook and our ML backend. Safe to repeat."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from adapter.errors import LabelConfigError, PlatformError, PlatformNotFound
from adapter.label_studio.label_config import parse_label_config, with_reason_header
from adapter.label_studio.tiers import TierGone
from adapter.ports import PlatformProject
from adapter.stages.context import Project
from adapter.stages.reports import SetupReport
from adapter.store import Intent
from adapter.vocabulary import REASON_FIELD, LabelSpace

WEBHOOK_HEADER = "X-Hitl-Secret"
WEBHOOK_PATH = "/webhook"
_ONE_AT_A_TIME = threading.Lock()
"""On SQLite, Label Studio 1.23 answers a request that met a lock by running it once more from its beginning: of two
projects that are made at the same moment one may be made twice."""


def setup(project: Project, *, connect: bool = True) -> SetupReport:
    """Create or find the Label Studio project, bind it, and connect webhook and ML backend.

    connect: whether to register webhook and backend; their failure is a note, not an error, since the web process
    may not be up yet. Raises PlatformNotFound when the bound project was deleted, LabelConfigError when its labels
    are not ours. Of several projects, one is set up at a time.
    """
    with _ONE_AT_A_TIME:
        return _setup(project, connect)


def _setup(project: Project, connect: bool) -> SetupReport:
    store = project.store
    row = store.projects.ensure(project.name, project.space.digest)
    bound = row.platform_id if row.platform_id is not None else project.settings.project_id
    created = False
    if bound is not None:
        with told_if_deleted(project, bound):
            there = project.platform.project(bound)
    else:
        found = project.platform.find_project(project.title)
        created = found is None
        there = found or project.platform.create_project(
            project.title, with_reason_header(project.space.config, REASON_FIELD)
        )
    require_same_labels(project.space, there)
    adopted = 0
    if row.platform_id is None:
        adopted = 0 if created else adopt_placed(project, there.id)
        store.projects.bind(project.name, there.id)
        store.audit.append(
            project.name,
            "adapter",
            "bound",
            {"platform_id": there.id, "created": created, "adopted": adopted},
            project.now(),
        )
    webhook, backend, notes = connect_endpoints(project, there.id) if connect else (False, False, ())
    unserved = tuple(f"{control.title}: {control.why}" for control in project.space.unserved)
    return SetupReport(there.id, created, adopted, webhook, backend, notes, unserved)


def connect_endpoints(project: Project, platform_id: int) -> tuple[bool, bool, tuple[str, ...]]:
    """Register webhook and ML backend; return what stands and a note for each that does not."""
    notes: list[str] = []
    webhook = backend = False
    try:
        project.platform.ensure_webhook(
            platform_id, project.public_url + WEBHOOK_PATH, {WEBHOOK_HEADER: project.secrets.webhook_secret}
        )
        webhook = True
    except PlatformError as error:
        notes.append(f"webhook: {error}")
    try:
        project.platform.ensure_backend(
            platform_id,
            project.public_url,
            project.backend_title,
            project.web.backend_user,
            project.secrets.backend_password,
        )
        backend = True
    except PlatformError as error:
        notes.append(f"ML backend: {error}")
    return webhook, backend, tuple(notes)


def adopt_placed(project: Project, platform_id: int) -> int:
    """Enter tasks of ours that are already there into the ledger (the store was lost, or restored from an older
    copy)."""
    places: dict[str, int] = {}
    for task in project.platform.tasks(platform_id):
        if task.key is not None:
            places.setdefault(task.key, task.id)
    known = {task.id: task for task in project.store.tasks.get(project.name, list(places))}
    mine = {key: place for key, place in places.items() if key in known}
    order = sorted(mine, key=lambda key: mine[key])
    project.store.ledger.intend(
        project.name,
        [Intent(key, number, "", 1, known[key].blind) for number, key in enumerate(order, start=1)],
    )
    project.store.ledger.landed(project.name, mine)
    return len(mine)


def require_same_labels(space: LabelSpace, there: PlatformProject) -> None:
    """Refuse to go on when Label Studio's labels differ from ours: votes would be lost or mean something else."""
    served = parse_label_config(there.label_config)
    ours = {control.name: control for control in space.controls}
    theirs = {control.name: control for control in served.controls}
    where = f"Label Studio project {there.id} '{there.title}'"
    if set(ours) != set(theirs):
        raise LabelConfigError(
            f"its controls are {sorted(theirs)}, ours are {sorted(ours)}",
            where=where,
            remedy="Give both the same label config, or choose another `title` or `project_id` in the settings.",
        )
    for name, control in ours.items():
        if set(control.labels) != set(theirs[name].labels) or control.multiple != theirs[name].multiple:
            raise LabelConfigError(
                f"labels of '{name}' are {list(theirs[name].labels)} there and {list(control.labels)} here",
                where=where,
                remedy="Give both the same label config.",
            )


def require_bound(project: Project) -> int:
    """Return the bound Label Studio project; raises PlatformNotFound with advice when there is none."""
    platform_id = project.platform_id
    project.tiers.look()  # another process may have made or dropped some
    if platform_id is None:
        raise PlatformNotFound(
            f"project '{project.name}' is not bound to a Label Studio project yet",
            remedy=f"Run `hitl push {project.name}` to make one, or `hitl attach {project.name} --id N` to adopt one.",
        )
    return platform_id


@contextmanager
def told_if_deleted(project: Project, platform_id: int) -> Iterator[None]:
    """Say what to do when what is looked up here, the Label Studio project itself, is gone. Raises PlatformNotFound."""
    try:
        yield
    except TierGone:
        raise  # it names the tier, and the next push mends it
    except PlatformNotFound as error:
        raise PlatformNotFound(
            f"Label Studio project {platform_id} of '{project.name}' is gone",
            remedy=(
                "Nothing in our store was lost. Restore it in Label Studio, or run "
                f"`hitl attach {project.name} --new` to make a new one from our store."
            ),
        ) from error
