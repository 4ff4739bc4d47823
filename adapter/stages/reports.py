"""What each stage says it did. Frozen, JSON-able with `as_json`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from adapter.vocabulary import JsonObject


@dataclass(frozen=True, slots=True)
class Report:
    """Base of all reports."""

    def as_json(self) -> dict[str, Any]:
        """Return plain values that `json.dumps` takes."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class SetupReport(Report):
    """platform_id: Label Studio's project. created: we made it. adopted: tasks found there that were ours already.
    webhook, backend: whether they stand. notes: what could not be done, each with its remedy. unserved: controls of
    the label config that stay out, each with the reason."""

    platform_id: int
    created: bool
    adopted: int
    webhook: bool
    backend: bool
    notes: tuple[str, ...] = ()
    unserved: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AttachReport(Report):
    """tasks: adopted from the project. new: of these not known before. annotations: people's votes found."""

    platform_id: int
    title: str
    tasks: int
    new: int
    annotations: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PullReport(Report):
    """tasks: looked at. created, changed, deleted: annotations. strays: annotations that we could not place. gone:
    tasks that were deleted in Label Studio. adopted: tasks that others made there (in-place mode). note: what became
    of strays."""

    tasks: int
    created: int
    changed: int
    deleted: int
    strays: int
    gone: int
    adopted: int
    seconds: float
    note: str = ""

    @property
    def moved(self) -> bool:
        """Whether anything that others said changed."""
        return bool(self.created or self.changed or self.deleted)


@dataclass(frozen=True, slots=True)
class VoteReport(Report):
    """functions: labeling functions seen. computed: (source, rows) newly computed. faults: source to tasks that it
    failed on now. examples: source to up to three of them, each {task, message}; task None: no single one is to
    blame."""

    functions: int
    computed: dict[str, int]
    faults: dict[str, int]
    model: str | None
    seconds: float
    examples: dict[str, list[JsonObject]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConsolidateReport(Report):
    """people: tasks with a consensus, per control. undecided: tasks where people do not agree yet. methods: how
    people's votes were consolidated, per control. weak: the table of consolidators per control. chosen: the one in use,
    why: for what reason. warnings: about near-copies among the functions of a control. skills: annotator to accuracy
    and interval."""

    people: dict[str, int]
    undecided: dict[str, int]
    methods: dict[str, str]
    weak: dict[str, list[JsonObject]]
    chosen: dict[str, str]
    why: dict[str, str]
    warnings: dict[str, list[str]]
    skills: dict[str, JsonObject]
    changed: int
    seconds: float


@dataclass(frozen=True, slots=True)
class FlagReport(Report):
    """raised: new flags by reason. resolved: by how. open: open flags now. note: why nothing was checked, if so."""

    raised: dict[str, int]
    resolved: dict[str, int]
    open: int
    note: str
    seconds: float


@dataclass(frozen=True, slots=True)
class RankReport(Report):
    """ranked: tasks in the ranking. candidates: tasks that could be. basis: what the order was made from. strategy:
    that really decided; note: why not the one that was asked for. blend: reason, in words, to how many tasks have
    it."""

    ranked: int
    candidates: int
    blind: int
    basis: str
    seconds: float
    strategy: str = ""
    note: str = ""
    blend: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PushReport(Report):
    """pushed: new tasks in Label Studio. reconciled: found there after an interrupted push. prelabelled: predictions
    stored. asked: tasks that one more person is asked for. open: open tasks in the work window now. note: why
    nothing was pushed. moved: tasks that went to another tier's project, as their rule changed."""

    pushed: int
    reconciled: int
    prelabelled: int
    version: str | None
    asked: int
    flagged: int
    open: int
    note: str
    seconds: float
    moved: int = 0


@dataclass(frozen=True, slots=True)
class TrainReport(Report):
    """version: the new model version, None if nothing was trained. promoted: whether it is current now. sentence:
    the gate's verdict, or why nothing was trained."""

    version: str | None
    promoted: bool
    sentence: str
    metrics: JsonObject = field(default_factory=dict)
    verdict: JsonObject = field(default_factory=dict)
    seconds: float = 0.0
