"""The nouns of the house: frozen values, one meaning each. No behaviour beyond small derived properties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias

JsonObject: TypeAlias = Mapping[str, Any]

# The canonical value of one control, as its kind defines it. Choices: a tuple of label names in the label config's
# order.
# A value survives JSON; `Kind.canonical` restores the tuple after a trip through the store.
Value: TypeAlias = Any

TASK_KEY_FIELD = "hitl_id"
"""Field of a Label Studio task's data that holds our task id."""
REASON_FIELD = "hitl_reason"
"""Field of a Label Studio task's data that says why this task is asked. Never gives an answer away."""
PRIORITY_FIELD = "hitl_priority"
"""Field of a Label Studio task's data with its place in the order: 1 is served first."""
FLAG_FIELD = "hitl_flag"
"""Field of a Label Studio task's data that the view "Suspected errors" filters on."""


class SourceKind(StrEnum):
    """Who speaks. Decides what a vote may be used for (a model's own votes never train)."""

    FUNCTION = "function"
    MODEL = "model"
    PERSON = "person"
    GOLD = "gold"


@dataclass(frozen=True, slots=True)
class Source:
    """Someone who votes: kind, name, and the version of what was said (content hash, model version, or empty)."""

    kind: SourceKind
    name: str
    version: str = ""


@dataclass(frozen=True, slots=True)
class Control:
    """One control of a label config, such as `<Choices name="spam" toName="text">`.

    kind: name of its kind (a file in `adapter/kinds`). labels: in the config's order; empty if the kind lists none.
    object_tag and field: the object it points at, `Text` and `text` for `<Text value="$text"/>`.
    multiple: whether several labels may hold at once.
    """

    name: str
    kind: str
    to_name: str
    object_tag: str
    field: str
    labels: tuple[str, ...] = ()
    multiple: bool = False
    required: bool = False


@dataclass(frozen=True, slots=True)
class LabelSpace:
    """What a label config parses into. digest: sha256 of the canonical XML, hex."""

    controls: tuple[Control, ...]
    config: str
    digest: str

    def control(self, name: str) -> Control:
        """Return the control called `name`; raises KeyError."""
        for control in self.controls:
            if control.name == name:
                return control
        raise KeyError(name)

    @property
    def fields(self) -> tuple[str, ...]:
        """The task fields that the controls' objects show, without repeats, in order."""
        return tuple(dict.fromkeys(control.field for control in self.controls))


@dataclass(frozen=True, slots=True)
class Task:
    """One item to label.

    id: stable, from the id column or the content. seq: dense row number within its project, from 0, in order of ingest;
    every array over the pool is indexed by it. content: digest of the data, equal for exact duplicates.
    duplicate_of: id of the first task with that content, if this is a copy. blind: drawn into the blind sample.
    subgroup: attributes for bias audits, never shown to a model unless they are also data.
    """

    id: str
    seq: int
    data: JsonObject
    content: str
    duplicate_of: str | None = None
    blind: bool = False
    subgroup: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Annotation:
    """A person's votes on one task, as pulled. values: control name to canonical value; a control without one abstains.

    annotator: Label Studio's user, as a stable string. lead_time in seconds. cancelled: skipped. shown: model
    version of the pre-label that was on the page, or None. deleted_at: when we saw that it is gone in Label Studio.
    """

    id: int
    task_id: str
    annotator: str
    values: Mapping[str, Value]
    result: tuple[JsonObject, ...]
    created_at: datetime
    updated_at: datetime
    lead_time: float | None = None
    cancelled: bool = False
    ground_truth: bool = False
    shown: str | None = None
    deleted_at: datetime | None = None

    @property
    def votes(self) -> bool:
        """Whether it counts: neither skipped nor deleted."""
        return not self.cancelled and self.deleted_at is None


@dataclass(frozen=True, slots=True)
class Consensus:
    """The consolidated label of one control of one task, from people.

    value None: no agreement; another person is needed (never a silent guess). probabilities: per label in the control's
    order, shape (k,). support: annotator to that person's value.
    """

    task_id: str
    control: str
    value: Value | None
    confidence: float
    probabilities: tuple[float, ...]
    support: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Fault:
    """A source failed. task_id None: it failed as a whole. where: `vote`, `predict`, `train`, `pull`, `push`."""

    source: str
    version: str
    where: str
    task_id: str | None
    message: str
    at: datetime | None = None


class FlagReason(StrEnum):
    """A reason to doubt."""

    LABEL_ISSUE = "label issue"
    OUTLIER = "outlier"
    NEAR_DUPLICATE = "near duplicate"
    LOW_AGREEMENT = "low agreement"


@dataclass(frozen=True, slots=True)
class Flag:
    """A reason to doubt one control of one task. score in 0..1, higher is more doubtful. about: digest of the label
    that is doubted; a resolved flag rises again only when this changes. id 0: not stored yet."""

    task_id: str
    control: str
    reason: FlagReason
    score: float
    evidence: JsonObject
    about: str
    id: int = 0
    resolved_at: datetime | None = None
    resolution: str = ""


@dataclass(frozen=True, slots=True)
class Ranked:
    """One task in a ranking. priority 1 is first. overlap: how many people are asked. reason: shown to annotators."""

    task_id: str
    seq: int
    priority: int
    reason: str
    score: float
    blind: bool = False
    overlap: int = 1


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a column over the pool: the rows lo to hi - 1, kept in one artifact.

    what: `votes`, `probabilities`, `embeddings` or `consensus`. uri and digest: of the artifact.
    """

    what: str
    control: str
    source: str
    version: str
    lo: int
    hi: int
    uri: str
    digest: str


class ModelState(StrEnum):
    """Where a model version stands. There is at most one current version in a project."""

    CANDIDATE = "candidate"
    CURRENT = "current"
    RETIRED = "retired"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One trained, immutable version of a project's model (one fitted backend for each control).

    version: `<project>-<number>-<digest8>`. uri: folder of artifacts. metrics: what training measured. verdict: the
    promotion gate's figures. data_digest: digest of exactly what it was trained on. backend: dotted path.
    """

    version: str
    number: int
    backend: str
    state: ModelState
    metrics: JsonObject
    data_digest: str
    uri: str
    created_at: datetime
    parent: str | None = None
    verdict: JsonObject = field(default_factory=dict)


class Outcome(StrEnum):
    """What a gate says."""

    PASS = "pass"  # noqa: S105 - an outcome
    FAIL = "fail"
    NOT_ENOUGH_DATA = "not enough data"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A gate's outcome with the figures that led to it, and one sentence for people."""

    outcome: Outcome
    figures: JsonObject
    sentence: str
