"""What labeling functions are worth: figures of each from stored votes, faults, costs and the blind sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adapter.core import functions as core
from adapter.core.weak import WeakVotes, near_copies
from adapter.stages.context import Project
from adapter.stages.evidence import WEAK_NOTE
from adapter.stages.function_evidence import by_time, faults_of, kind_of_function, labelled, voted
from adapter.stages.function_remarks import remarks
from adapter.stages.reports import Report
from adapter.vocabulary import Control, Fault, JsonObject

if TYPE_CHECKING:
    from adapter.store import TaskIndex

SECONDS_NOTE = "function_seconds"
"""Note of a project, written by `vote`: control to function to {version, seconds, rows}."""
FAULT_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One label that a function votes for. votes: over the pool. n, right: blind tasks with a consensus on which it
    says so. precision: right / n with a Wilson 95 % interval; None without any. enough: whether n allows to say
    anything."""

    label: str
    votes: int
    n: int
    right: int
    precision: float | None
    lower: float | None
    upper: float | None
    enough: bool


@dataclass(frozen=True, slots=True)
class FaultExample:
    """A task on which a function failed, and the last line of the traceback. task_id None: it failed as a whole."""

    task_id: str | None
    message: str


@dataclass(frozen=True, slots=True)
class FunctionFigures:
    """What one labeling function does over the pool, and how right it is.

    kind: `python`, or how it was declared. pending: tasks that its present version has not voted on yet. votes: tasks
    on which it votes. coverage: their share of the tasks it has seen; overlap: share on which it votes and another does
    too; conflict: share on which another votes otherwise (None for a control with several labels). says: labels that it
    ever votes for; one_sidedness: share of its votes for the commonest. accuracy, lower, upper: on the n blind tasks
    with people's consensus on which it votes, right of them right, with a Wilson 95 % interval; None without any;
    enough: whether n allows to say anything. chance: accuracy of its votes dealt out blindly. gain: what it adds to
    majority vote's accuracy on gain_n blind tasks, with a paired 95 % interval. twin: the function most like it;
    similarity: rows on which both say the same / rows on which either votes. faults: tasks on which it failed;
    last_fault and fault_examples: what the traceback ended with. seconds_per_100000: cost, None if not measured.
    trends: see `core.functions`. remarks: what to look at, in words.
    """

    control: str
    name: str
    version: str
    kind: str
    pending: int
    votes: int
    coverage: float
    overlap: float
    conflict: float | None
    says: tuple[str, ...]
    one_sidedness: float | None
    accuracy: float | None
    lower: float | None
    upper: float | None
    n: int
    right: int
    enough: bool
    chance: float | None
    classes: tuple[ClassFigures, ...]
    gain: float | None
    gain_lower: float | None
    gain_upper: float | None
    gain_n: int
    twin: str | None
    similarity: float
    faults: int
    last_fault: str
    fault_examples: tuple[FaultExample, ...]
    seconds_per_100000: float | None
    coverage_trend: core.CoverageTrend
    coverage_drifts: bool
    accuracy_trend: core.AccuracyTrend
    accuracy_drifts: bool
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ControlFigures:
    """The functions of one control. tasks: in the pool. covered: any function votes; overlapping: two or more do;
    conflicting: two disagree (None for a control with several labels). blind: tasks in the blind sample; labelled: of
    these, with people's consensus. copies: groups of near-copies. waiting: functions that have not voted yet in their
    present version."""

    control: str
    labels: tuple[str, ...]
    tasks: int
    covered: int
    uncovered: int
    overlapping: int
    conflicting: int | None
    blind: int
    labelled: int
    functions: tuple[FunctionFigures, ...]
    copies: tuple[tuple[str, ...], ...]
    waiting: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FunctionsReport(Report):
    """All controls that functions vote on. consolidators: control to the table that `consolidate` left."""

    project: str
    controls: tuple[ControlFigures, ...]
    consolidators: dict[str, list[JsonObject]]

    @property
    def functions(self) -> list[FunctionFigures]:
        """Those of all controls."""
        return [item for control in self.controls for item in control.functions]


def functions_report(project: Project) -> FunctionsReport:
    """Return the figures of every labeling function from what is stored; runs none and writes nothing.

    Accuracy, precision and gain are measured on the blind sample alone. Raises FunctionsError when the module does not
    import."""
    notes = project.store.projects.notes(project.name, WEAK_NOTE, SECONDS_NOTE)
    faults = faults_of(project)
    seconds: dict[str, Any] = notes.get(SECONDS_NOTE) or {}
    weak: dict[str, JsonObject] = notes.get(WEAK_NOTE) or {}
    index = project.store.tasks.index(project.name)
    found = tuple(
        _control(project, control, index, faults, seconds.get(control.name) or {}) for control in project.learned
    )
    return FunctionsReport(
        project=project.name,
        controls=found,
        consolidators={name: list(entry.get("table") or ()) for name, entry in weak.items()},
    )


def _control(
    project: Project,
    control: Control,
    index: TaskIndex,
    faults: dict[tuple[str, str], list[Fault]],
    seconds: JsonObject,
) -> ControlFigures:
    stored = voted(project, control)
    votes, k = stored.votes, len(control.labels)
    rows, targets, ids = labelled(project, control, index, blind=True)
    there = votes[rows]
    seen = [sum(hi - lo for lo, hi in stretches) for stretches in stored.seen]
    coverages = core.coverages(votes, k, multiple=control.multiple, seen=seen)
    accuracies = core.accuracies(there, targets)
    gains = core.gains(there, targets, multiple=control.multiple)
    alike = core.similarities(votes, k)
    twins = core.twins(alike)
    by_coverage = core.coverage_trends(votes, stored.seen)
    order = by_time(project, ids)
    by_accuracy = core.accuracy_trends(core.rights(there, targets)[order], there[order] >= 0)
    least = project.settings.consolidate.copies
    names = [function.name for function in stored.functions]
    figures = []
    for column, function in enumerate(stored.functions):
        cover, right, gain, twin = coverages[column], accuracies[column], gains[column], twins[column]
        failed = faults.get((function.name, function.version), []) if cover.faults else []
        last = next((fault.message for fault in failed if fault.task_id), failed[0].message if failed else "")
        pending = votes.shape[0] - cover.seen
        other = None if twin.other is None else names[twin.other]
        words = remarks(
            cover,
            right,
            gain,
            by_coverage[column],
            by_accuracy[column],
            pending=pending,
            last_fault=last,
            labels=control.labels,
        )
        one = FunctionFigures(
            control=control.name,
            name=function.name,
            version=function.version,
            kind=kind_of_function(function),
            pending=pending,
            votes=cover.votes,
            coverage=cover.coverage,
            overlap=cover.overlap,
            conflict=cover.conflict,
            says=tuple(control.labels[label] for label in cover.polarity),
            one_sidedness=cover.one_sidedness,
            accuracy=right.accuracy,
            lower=right.lower,
            upper=right.upper,
            n=right.n,
            right=right.right,
            enough=right.enough,
            chance=right.chance,
            classes=_classes(control, cover, right),
            gain=gain.gain,
            gain_lower=gain.lower,
            gain_upper=gain.upper,
            gain_n=gain.n,
            twin=other,
            similarity=twin.similarity,
            faults=cover.faults,
            last_fault=last,
            fault_examples=_fault_examples(failed),
            seconds_per_100000=_cost(seconds.get(function.name), function.version),
            coverage_trend=by_coverage[column],
            coverage_drifts=by_coverage[column].drifts,
            accuracy_trend=by_accuracy[column],
            accuracy_drifts=by_accuracy[column].drifts,
            remarks=tuple(words),
        )
        figures.append(one)
    pool = core.pool(votes, k, multiple=control.multiple)
    return ControlFigures(
        control=control.name,
        labels=control.labels,
        tasks=pool.rows,
        covered=pool.covered,
        uncovered=pool.uncovered,
        overlapping=pool.overlapping,
        conflicting=pool.conflicting,
        blind=int(index.blind.sum()),
        labelled=len(rows),
        functions=tuple(figures),
        copies=near_copies(WeakVotes(votes, k, control.multiple, tuple(names)), least).named(tuple(names)),
        waiting=stored.waiting,
    )


def _classes(control: Control, cover: core.Coverage, right: core.Accuracy) -> tuple[ClassFigures, ...]:
    measured = {item.label: item for item in right.classes}
    found = []
    for label in cover.polarity:
        item = measured.get(label) or core.Precision(label, 0, 0, None, None, None)
        found.append(
            ClassFigures(
                label=control.labels[label],
                votes=cover.said[label],
                n=item.n,
                right=item.right,
                precision=item.precision,
                lower=item.lower,
                upper=item.upper,
                enough=item.n >= core.ENOUGH,
            )
        )
    return tuple(found)


def _fault_examples(failed: list[Fault]) -> tuple[FaultExample, ...]:
    """Up to three tasks, with different messages where there are any."""
    by_message: dict[str, Fault] = {}
    for fault in failed:
        if fault.task_id is not None:
            by_message.setdefault(fault.message, fault)
    first = list(by_message.values())
    more = [fault for fault in failed if fault.task_id is not None and fault not in first]
    return tuple(FaultExample(fault.task_id, fault.message) for fault in (first + more)[:FAULT_EXAMPLES])


def _cost(entry: Any, version: str) -> float | None:
    if not isinstance(entry, dict) or entry.get("version") != version or not entry.get("rows"):
        return None
    return float(entry["seconds"]) / float(entry["rows"]) * 100_000
