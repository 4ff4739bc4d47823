"""Protocols with more than one implementation, and the frozen values that cross them.

Platform: Label Studio over HTTP, and the in-memory fake of `adapter.testing`. Desk: one annotator's seat at a platform.
Backend: a model. Each has one contract suite in `tests/contract` that every implementation passes, the fake too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from adapter.vocabulary import JsonObject

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task to create. key: our task id; it travels in `data[TASK_KEY_FIELD]`."""

    key: str
    data: JsonObject
    overlap: int = 1


@dataclass(frozen=True, slots=True)
class PlatformAnnotation:
    """An annotation as the platform tells it, unparsed. annotator: stable string of the user. prediction: model
    version of the pre-label it started from, or None. lead_time in seconds."""

    id: int
    task_id: int
    annotator: str
    result: tuple[JsonObject, ...]
    created_at: datetime
    updated_at: datetime
    lead_time: float | None = None
    cancelled: bool = False
    ground_truth: bool = False
    prediction: str | None = None


@dataclass(frozen=True, slots=True)
class PlatformTask:
    """A task as the platform tells it, with all its annotations (skipped ones too). key: our id, None for foreign
    tasks."""

    id: int
    key: str | None
    data: JsonObject
    updated_at: datetime
    annotations: tuple[PlatformAnnotation, ...] = ()
    overlap: int = 1


@dataclass(frozen=True, slots=True)
class Changes:
    """Tasks created or changed since a mark, whole, and the mark to go on from. A task may come twice; none is missed.
    Deleted annotations show as their absence from a changed task; deleted tasks do not show: compare `task_ids`."""

    tasks: tuple[PlatformTask, ...]
    mark: str


@dataclass(frozen=True, slots=True)
class NewPrediction:
    """A pre-label to import. score: calibrated confidence in 0..1."""

    task_id: int
    result: tuple[JsonObject, ...]
    score: float
    model_version: str


@dataclass(frozen=True, slots=True)
class PlatformPrediction:
    """A stored pre-label."""

    id: int
    task_id: int
    score: float | None
    model_version: str
    result: tuple[JsonObject, ...] = ()


@dataclass(frozen=True, slots=True)
class PlatformProject:
    """A project's settings that matter to the loop."""

    id: int
    title: str
    label_config: str
    model_version: str
    sampling: str
    maximum_annotations: int
    show_prelabels: bool
    task_count: int


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook of a project. headers: names only, values are secrets."""

    id: int
    url: str
    header_names: tuple[str, ...]
    active: bool = True
    send_payload: bool = True


@dataclass(frozen=True, slots=True)
class PlatformUser:
    """A user of the platform. name: as `PlatformAnnotation.annotator` has it. active_at: when they last did anything
    there, as far as the platform knows."""

    id: int
    name: str
    active_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ConnectedBackend:
    """An ML backend that is connected to a project. state: `CO` connected, `DI` disconnected, `ER` error."""

    id: int
    url: str
    title: str
    state: str


class Platform(Protocol):
    """What the loop needs of Label Studio. All calls are synchronous and thread-safe.

    Every method raises PlatformUnreachable, PlatformRefused, PlatformNotFound or PlatformRejected, never a transport
    error.
    """

    def check(self) -> str:
        """Return the server's version; raises as above when it cannot be used (down, token refused)."""
        ...

    def find_project(self, title: str) -> PlatformProject | None:
        """Return the project with exactly this title; the oldest if there are several."""
        ...

    def create_project(self, title: str, label_config: str) -> PlatformProject:
        """Create a project that serves tasks in id order (`Sequential sampling`) and shows pre-labels."""
        ...

    def project(self, project_id: int) -> PlatformProject:
        """Return the project's settings now."""
        ...

    def configure(self, project_id: int, **settings: Any) -> None:
        """Change settings: label_config, sampling, model_version, maximum_annotations, show_prelabels."""
        ...

    def import_tasks(self, project_id: int, tasks: Sequence[NewTask]) -> dict[str, int]:
        """Create tasks in this order and return key to platform id, one for each key. If the transport made a task
        twice, the surplus one is deleted before returning. Ids ascend in the given order."""
        ...

    def find_tasks(self, project_id: int, keys: Sequence[str]) -> dict[str, tuple[int, ...]]:
        """Return the platform ids (ascending) of the tasks that carry these keys; absent keys are left out."""
        ...

    def delete_tasks(self, project_id: int, task_ids: Sequence[int]) -> None:
        """Delete tasks with all that hangs on them."""
        ...

    def task_ids(self, project_id: int) -> frozenset[int]:
        """Return the ids of all tasks of the project."""
        ...

    def tasks(self, project_id: int) -> Iterator[PlatformTask]:
        """Yield every task whole, in id order."""
        ...

    def changes(self, project_id: int, mark: str | None) -> Changes:
        """Return what changed since `mark` (None: everything annotated or created so far). Cost follows the changes."""
        ...

    def update_task_data(self, task_id: int, data: JsonObject) -> None:
        """Merge these fields into a task's data; the other fields stay."""
        ...

    def update_tasks(self, project_id: int, data: Mapping[int, Mapping[str, str]]) -> None:
        """Merge text fields into the data of many tasks (task id to field to text); tasks that are gone are passed
        over. Tasks that get the same text share a request."""
        ...

    def set_overlap(self, task_id: int, overlap: int) -> None:
        """Ask this many people for one task."""
        ...

    def import_predictions(self, project_id: int, predictions: Sequence[NewPrediction]) -> int:
        """Store pre-labels in bulk and return how many the server really created (it drops invalid ones in silence)."""
        ...

    def prediction_versions(self, project_id: int) -> dict[str, int]:
        """Return model version to number of stored predictions."""
        ...

    def predictions(self, project_id: int, task_ids: Sequence[int] = ()) -> list[PlatformPrediction]:
        """Return stored predictions, of these tasks only when given."""
        ...

    def delete_predictions(self, prediction_ids: Sequence[int]) -> None:
        """Delete stored predictions (surplus ones after a doubled push)."""
        ...

    def set_prediction_score(self, prediction_id: int, score: float) -> None:
        """Change one prediction's score: it reorders under uncertainty sampling."""
        ...

    def ensure_view(self, project_id: int, title: str, field: str, label: str) -> int:
        """Make, or find, a Data Manager view with the tasks whose data `field` is not empty, greatest first; return
        its id."""
        ...

    def ensure_queue(self, project_id: int, title: str, field: str, word: str, order: str) -> int:
        """Make, or renew, a Data Manager view with the tasks whose data `field` holds `word` (capitals are as good as
        small letters), in ascending numeric order of the data field `order`; return its id."""
        ...

    def users(self) -> list[PlatformUser]:
        """Return the users whom the token may see."""
        ...

    def assign(self, project_id: int, annotator: str, task_ids: Sequence[int]) -> None:
        """Assign tasks to an annotator; one that is theirs already stays so. Raises PlatformRejected, with the way out,
        where the platform has no assignment (Label Studio Community) or no such user."""
        ...

    def unassign(self, project_id: int, annotator: str, task_ids: Sequence[int]) -> None:
        """Take assigned tasks back; those that are not assigned are passed over. Raises as `assign`."""
        ...

    def webhooks(self, project_id: int) -> list[Webhook]:
        """Return the project's webhooks."""
        ...

    def ensure_webhook(self, project_id: int, url: str, headers: Mapping[str, str]) -> Webhook:
        """Register our webhook, or renew its headers; one per url."""
        ...

    def backends(self, project_id: int) -> list[ConnectedBackend]:
        """Return the connected ML backends with their state, refreshed."""
        ...

    def ensure_backend(self, project_id: int, url: str, title: str, user: str, password: str) -> ConnectedBackend:
        """Connect our ML backend with Basic auth, or renew it; one per url. Must not change the project's
        model_version."""
        ...


@dataclass(frozen=True, slots=True)
class Assignment:
    """A task on an annotator's desk. prelabel: the result that is already selected on the page, with its model
    version."""

    task_id: int
    data: JsonObject
    prelabel: tuple[JsonObject, ...] = ()
    prelabel_version: str | None = None


class Assigner(Protocol):
    """How annotators are told which tasks are theirs: by a view of their own, or by assignment."""

    def seat(self, project_id: int, people: Sequence[str]) -> dict[str, str]:
        """Make sure that each of these people has a place to work; return where, as a path below the platform's
        address."""
        ...

    def show(self, project_id: int, now: Mapping[int, Sequence[str]], before: Mapping[int, Sequence[str]]) -> None:
        """Make tasks those of the people named in `now` (platform task id to names), where `before` says whose they
        were at last sight; nobody's where the names are empty. The same again changes nothing."""
        ...


class Desk(Protocol):
    """One annotator's seat: what the labeling page does for a person."""

    annotator: str

    def next_task(self) -> Assignment | None:
        """Return the task that the platform serves this annotator next; None when the queue is empty."""
        ...

    def submit(self, task_id: int, result: Sequence[JsonObject], lead_time: float) -> int:
        """Submit an annotation; return its id."""
        ...

    def skip(self, task_id: int, lead_time: float) -> int:
        """Skip the task; return the id of the cancelled annotation."""
        ...


@runtime_checkable
class Backend(Protocol):
    """A model for one control. Built by `factory(fields=..., **options)` from a dotted path such as
    `backends.linear:Linear`.

    An example is a task's data: a mapping; `fields` names the ones to look at. n examples, k labels.
    Two methods make a backend; the other three have simple rules. No pickle on disk: safetensors and JSON. A class may
    say of itself `slow = True` (a fit takes minutes: few are made) and `costly = True` (an answer costs money: only the
    tasks that need one get one).
    """

    def fit(
        self, examples: Sequence[JsonObject], targets: Floats, *, weights: Floats, multiple: bool, seed: int
    ) -> None:
        """Train from scratch. targets (n, k): rows sum to 1, or, if `multiple`, each cell is a probability of its own.
        weights (n,). Same input and seed, same model. Raises BackendError when nothing can be learned."""
        ...

    def predict(self, examples: Sequence[JsonObject]) -> Floats:
        """Return probabilities (n, k), as honest as it can make them; a row of NaN for an example it cannot read."""
        ...

    def embed(self, examples: Sequence[JsonObject]) -> Floats | None:
        """Return vectors (n, d) in which near means alike, L2-normalised; None if this backend has none. May need
        `fit`."""
        ...

    def save(self, folder: Path) -> None:
        """Write everything `load` needs into an empty folder."""
        ...

    def load(self, folder: Path) -> None:
        """Become the model that was saved there. Raises ModelError on damaged or foreign files."""
        ...


@runtime_checkable
class RegionBackend(Protocol):
    """A model for one control whose values are regions: spans of text, boxes on an image. The same five methods as
    `Backend`, with regions where that has probabilities.

    A region is plain JSON as `adapter.kinds.base.Region` writes it, of which a backend gives `labels` (one name),
    `value` (geometry in Label Studio's units: start and end for text; x, y, width, height in percent for boxes),
    `score` (probability that this region is there, 0..1), and for images `envelope` with original_width and
    original_height. The adapter checks and completes it.
    """

    answers: Literal["regions"]

    def fit(
        self,
        examples: Sequence[JsonObject],
        regions: Sequence[Sequence[JsonObject]],
        *,
        labels: Sequence[str],
        weights: Floats,
        seed: int,
    ) -> None:
        """Train from scratch on n examples with all their regions (none is an answer too). labels: of the control.
        weights (n,). Same input and seed, same model. Raises BackendError when nothing can be learned."""
        ...

    def predict(self, examples: Sequence[JsonObject]) -> list[list[JsonObject] | None]:
        """Return the regions of each example, doubtful ones (score from .05) included: below .5 they are not shown, but
        tell how unsure the model is. None for an example that it cannot read."""
        ...

    def embed(self, examples: Sequence[JsonObject]) -> Floats | None:
        """Return vectors (n, d) as `Backend.embed` does, or None."""
        ...

    def save(self, folder: Path) -> None:
        """Write everything `load` needs into an empty folder."""
        ...

    def load(self, folder: Path) -> None:
        """Become the model that was saved there. Raises ModelError on damaged or foreign files."""
        ...


@runtime_checkable
class Interactive(Protocol):
    """What a region backend may also do: answer while a person works on a task."""

    def suggest(self, example: JsonObject, drawn: Sequence[JsonObject], labels: Sequence[str]) -> list[JsonObject]:
        """Return regions that a person may want beside those already drawn; drawn: as the person has them now, the
        newest last. Never repeats a drawn one."""
        ...


@runtime_checkable
class WarmStarting(Protocol):
    """What a backend whose fits are long may also do: begin where the model before it ended."""

    def warm_start(self, folder: Path) -> None:
        """Take what a saved model of this kind, options and labels holds as the start of the next `fit`. Called before
        it, on an unfitted backend, never in cross-validation. A model that does not fit is passed over in silence: the
        fit then begins anew. Plain continuation generalises worse than a fresh start (Ash and Adams 2020, "On
        Warm-Starting Neural Network Training"): shrink and perturb, or leave it."""
        ...


@runtime_checkable
class Aligning(Protocol):
    """What a backend for pairs may also do, before any label: say how well the two parts of a pair fit together."""

    def alignment(self, examples: Sequence[JsonObject]) -> Floats:
        """Return (n,) in 0..1, 1 where they fit best; NaN for an example that it cannot read. Needs no `fit`; one that
        was fitted judges by what it learned."""
        ...


@runtime_checkable
class Preparing(Protocol):
    """What a backend may also do: learn from tasks without labels before it learns from those with."""

    def prepare(self, examples: Sequence[JsonObject], *, seed: int = 0) -> None:
        """Look at a sample of the pool. Called before `fit`, on an unfitted backend."""
        ...


class BackendFactory(Protocol):
    """What a dotted path names. A parameter with one of these names gets, where no option sets it: `media_root`,
    `cache_folder` (places of this machine), `llm_url`, `llm_key` (settings `llm`), `label_config` (the XML), `labels`
    (of the control), `control` (its name)."""

    def __call__(self, *, fields: tuple[str, ...], **options: Any) -> Backend | RegionBackend:
        """Build an unfitted backend. Unknown options raise BackendError with the nearest valid one."""
        ...
