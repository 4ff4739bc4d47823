"""The nouns of the house: frozen values, one meaning each. No behaviour beyond small derived properties."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias

JsonObject: TypeAlias = Mapping[str, Any]

# The canonical value of one control, as its kind defines it: choices a tuple of label names in the label config's
# order, a rating a whole number, text a tuple of strings, spans and boxes a tuple of regions, ...
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
SAID_FIELD = "hitl_said"
"""Field of a review task's data: what people said of the task, in words."""
ASSIGNEE_FIELD = "hitl_for"
"""Field of a Label Studio task's data that says who should label it: names between semicolons, `;ann@x;bob@y;`, empty
for anybody. Each annotator's view filters on it."""
OUR_FIELDS = frozenset({TASK_KEY_FIELD, REASON_FIELD, PRIORITY_FIELD, FLAG_FIELD, SAID_FIELD, ASSIGNEE_FIELD})
"""Fields that we write into Label Studio tasks; a user's data may not bring its own."""


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
    object_tag and field: the object it points at, `Text` and `text` for `<Text value="$text"/>`; the first, where it
    points at several (`to_name` keeps the config's words, `fields` has all). multiple: whether several labels may hold
    at once. tag: Label Studio's, `Choices`. options: what else the kind read from the config, JSON. inner: for a
    control that is asked of each region, the control that is asked there. shown_when: conditions under which the page
    shows it; all must hold.
    """

    name: str
    kind: str
    to_name: str
    object_tag: str
    field: str
    labels: tuple[str, ...] = ()
    multiple: bool = False
    required: bool = False
    tag: str = ""
    fields: tuple[str, ...] = ()
    options: JsonObject = dataclasses.field(default_factory=dict, hash=False)  # `field` is an attribute here
    inner: Control | None = None
    shown_when: tuple[Shown, ...] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """A condition of `visibleWhen`. when: `choice-selected`, `choice-unselected`, `region-selected` or
    `no-region-selected`. control: whose answer decides (whenTagName), empty for any. labels: the answers
    (whenChoiceValue or whenLabelValue), empty for any."""

    when: str
    control: str = ""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unserved:
    """A control of the label config that we leave alone: its title, such as `<Chat name='chat'>`, and why. People may
    use it; its answers stay whole in the raw annotations and count nowhere."""

    title: str
    why: str


@dataclass(frozen=True, slots=True)
class LabelSpace:
    """What a label config parses into. digest: sha256 of the canonical XML, hex. unserved: controls that stay out."""

    controls: tuple[Control, ...]
    config: str
    digest: str
    unserved: tuple[Unserved, ...] = ()

    def control(self, name: str) -> Control:
        """Return the control called `name`; raises KeyError."""
        for control in self.controls:
            if control.name == name:
                return control
        raise KeyError(name)

    @property
    def fields(self) -> tuple[str, ...]:
        """The task fields that the controls' objects show, without repeats, in order."""
        named = (control.fields or (control.field,) for control in self.controls)
        return tuple(dict.fromkeys(field for fields in named for field in fields))


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

    value None: no agreement; another person is needed (never a silent guess). probabilities: per label in the
    control's order, shape (k,); empty for kinds without a fixed list. support: annotator to that person's value.
    method: what made it, such as `dawid-skene`, or `expert` for a reviewer's decision. proposal: where value is None,
    what an adjudicator starts from; it never trains. why: in words, where value is None.
    """

    task_id: str
    control: str
    value: Value | None
    confidence: float
    probabilities: tuple[float, ...]
    support: Mapping[str, Value]
    method: str = ""
    proposal: Value | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class GoldLabel:
    """A known truth. origin: `given` (imported by the lead), `ground truth` (marked so in Label Studio) or
    `adjudicated` (a reviewer's decision, by policy). by: who. Never shown to what is being evaluated, never pushed with
    its answer."""

    task_id: str
    control: str
    value: Value
    origin: str
    by: str
    at: datetime


class Decision(StrEnum):
    """What a reviewer did with a task's proposed labels."""

    ACCEPT = "accept"
    CORRECT = "correct"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Review:
    """A reviewer's decision on one control of one task. proposed: what was on the page. value: what stands after it,
    None if rejected (people are asked again). annotation: Label Studio's id of it, unique. why: why the task was in
    review."""

    task_id: str
    control: str
    reviewer: str
    decision: Decision
    proposed: Value | None
    value: Value | None
    annotation: int
    why: str
    at: datetime
    lead_time: float | None = None


@dataclass(frozen=True, slots=True)
class Routed:
    """A task given to an annotator. why: the rule, in words. at: when. done: answered or skipped by that person."""

    task_id: str
    annotator: str
    why: str
    at: datetime
    done: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """A source failed. task_id None: it failed as a whole. where: `vote`, `predict`, `train`, `pull`, `push`,
    `route`."""

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
    """One task in a ranking. priority 1 is first. overlap: how many people are asked. reason: shown to annotators. why:
    in words for the data lead, never shown to annotators: it tells blind tasks apart."""

    task_id: str
    seq: int
    priority: int
    reason: str
    score: float
    blind: bool = False
    overlap: int = 1
    why: str = ""


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
