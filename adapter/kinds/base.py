"""The seam of kinds: everything particular to one kind of label, behind one Protocol.

A new kind is one new file in this folder that holds `KIND = <an object with these methods>`; nothing else changes.
Two families share their machinery: `labelled.py` (a fixed list of labels, probabilities (k,) stand for values) and
`regions.py` (any number of marked places in an object, each with labels).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, Protocol, TypedDict, runtime_checkable

from adapter.core.people import Skill
from adapter.ports import Floats
from adapter.vocabulary import Control, JsonObject, Value


@dataclass(frozen=True, slots=True)
class Tag:
    """One element of a label config, safely parsed: name, attributes, child elements, and the object tags by their
    name."""

    name: str
    attributes: Mapping[str, str]
    children: tuple[Tag, ...] = ()
    objects: Mapping[str, Tag] = field(default_factory=dict)


class Region(TypedDict):
    """One marked place, as it stands in a value; plain JSON.

    id: unique within one annotation. type: Label Studio's result type, such as `rectanglelabels`. labels: in the
    config's order, [] for shapes without labels. value: Label Studio's value without the labels, so geometry in its
    own units. envelope: the item's further keys that must survive (original_width, image_rotation, item_index, meta,
    ...). score: existence probability in 0..1, where a machine or a consensus made the region.
    """

    id: str
    type: str
    labels: list[str]
    value: dict[str, Any]
    envelope: dict[str, Any]
    score: NotRequired[float]


@dataclass(frozen=True, slots=True)
class Measure:
    """How a control's values are compared.

    scale: `nominal`, `ordinal`, `interval`, `ratio`, `set` (MASI) or `own` (only the kind's distance is meaningful).
    headline: the statistic shown first: `alpha`, or a key of `Kind.pair_counts`. sentence: all of it, for people.
    """

    scale: Literal["nominal", "ordinal", "interval", "ratio", "set", "own"]
    headline: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Unit:
    """One thing that several people judged: annotator to a code, which is a label index or label (nominal), a number
    (ordinal, interval, ratio) or a frozenset of labels (set). weight: its size where units are stretches of text or
    time."""

    codes: Mapping[str, Hashable]
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Given:
    """What a consensus may draw on beside the votes.

    gold: task id to the known value (gold tasks, experts' decisions). data: task id to the task's data. model: task id
    to out-of-sample probabilities (k,), for labelled kinds. parents: task id to the consensus regions of the same
    object, for controls that hang on regions. method: `auto`, or a method of the kind. seed: of everything random.
    """

    gold: Mapping[str, Value] = field(default_factory=dict)
    data: Mapping[str, JsonObject] = field(default_factory=dict)
    model: Mapping[str, Floats] = field(default_factory=dict)
    parents: Mapping[str, Sequence[Region]] = field(default_factory=dict)
    method: str = "auto"
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Merged:
    """Several people's values of one task, consolidated.

    value: None where nothing can be said without a guess (a tie); then `why` says it in words and `proposal` is what an
    adjudicator starts from, which never trains. confidence: probability that exactly this value is right. certainty:
    that of its least certain part (label, region, stretch), which the threshold for asking one more person is
    compared with. probabilities: per label of the control, (k,), for labelled kinds; else empty.
    """

    value: Value | None
    confidence: float
    certainty: float
    probabilities: tuple[float, ...] = ()
    proposal: Value | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Together:
    """The consensus of a control over all tasks. merged: by task id. skill: by annotator. method: the one used. table:
    the methods that were compared, each a JSON object with `name` and its figures; empty when nothing was compared.
    confusion: annotator to (k, k) counts-with-prior rows (truth) by columns (said), where the method has one."""

    merged: Mapping[str, Merged]
    skill: Mapping[str, Skill]
    method: str
    table: tuple[JsonObject, ...] = ()
    confusion: Mapping[str, Floats] = field(default_factory=dict)


class Kind(Protocol):
    """One kind of label. Result JSON is Label Studio's; values are canonical (see `vocabulary.Value`)."""

    name: str
    tags: tuple[str, ...]

    def control(self, tag: Tag) -> Control:
        """Parse the control. Raises LabelConfigError, or UnsupportedControl with the reason."""
        ...

    def canonical(self, control: Control, value: object) -> Value:
        """Validate, and return the canonical value (after JSON, or from an author). Raises LabelError, which says
        what is wrong: a label outside the control, a geometry outside the object, ..."""
        ...

    def read(self, control: Control, result: Sequence[JsonObject]) -> Value | None:
        """Return the value of this control in an annotation's result; None if the person left it empty where empty is
        no answer. Raises LabelError."""
        ...

    def write(self, control: Control, value: Value) -> list[JsonObject]:
        """Return the result items that show this value in Label Studio; the inverse of `read`."""
        ...

    def measure(self, control: Control) -> Measure:
        """Return how values of this control are compared."""
        ...

    def distance(self, control: Control, a: Value, b: Value) -> float:
        """Return how unlike two values are, 0 (same) to 1."""
        ...

    def pair_counts(self, control: Control, a: Value, b: Value) -> Mapping[str, tuple[float, float]]:
        """Return statistic to (numerator, denominator) for two people's values of one task; a statistic over many
        pairs is the sum of numerators over that of denominators. Always holds `score`, 1 - distance over 1: the
        pairwise score that Label Studio Enterprise shows."""
        ...

    def units(self, control: Control, votes: Mapping[str, Value]) -> list[Unit]:
        """Return the units of agreement in one task's votes (annotator to value), for alpha and its kin; empty where
        the scale is `own` and nothing can be coded."""
        ...

    def of_label(self, control: Control, value: Value, label: str) -> Value:
        """Return the part of a value that is about one label, for figures per class: regions with it; the value itself
        for kinds without parts."""
        ...

    def consensus(self, control: Control, votes: Mapping[str, Mapping[str, Value]], given: Given) -> Together:
        """Consolidate people's values. votes: task id to annotator to canonical value. The order of tasks and people
        does not matter."""
        ...

    def doubt(self, control: Control, value: Value) -> float:
        """Return how uncertain a machine's or a consensus value is by the scores it carries, 0 to 1; 0 without any."""
        ...

    def disagreement(self, control: Control, a: Value, b: Value) -> str:
        """Say in words how two values differ."""
        ...


@runtime_checkable
class LabelKind(Kind, Protocol):
    """A kind whose values are labels of a fixed list, so that probabilities (k,) stand for them: what labeling
    functions vote for and backends learn."""

    def target(self, control: Control, value: Value) -> Floats:
        """Return the training target, shape (k,): one-hot, or multi-hot if `control.multiple`."""
        ...

    def decide(self, control: Control, probabilities: Floats) -> tuple[Value, float]:
        """Return the value that probabilities (k,) stand for and the confidence that exactly this value is right."""
        ...

    def uncertainty(self, control: Control, probabilities: Floats, strategy: str) -> Floats:
        """Return (n,) in 0..1 for probabilities (n, k); 1 is most uncertain. Strategy: margin, entropy,
        least-confidence."""
        ...


@runtime_checkable
class RegionKind(Kind, Protocol):
    """A kind whose values are tuples of `Region`, in a canonical order."""

    types: tuple[str, ...]

    def overlap(self, a: Region, b: Region) -> float:
        """Return the intersection over union of two places, 0 to 1, whatever their labels; 0 on different pages."""
        ...

    def fuse(self, regions: Sequence[Region], weights: Sequence[float]) -> dict[str, Any]:
        """Return the `value` (geometry) that several people's marks of one thing stand for."""
        ...

    def describe(self, region: Region) -> str:
        """Say in words where a region is and what it is called."""
        ...
