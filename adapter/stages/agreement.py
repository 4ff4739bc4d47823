"""Agreement: how far people who labelled the same tasks say the same, per control, and what pulls it down.

The honest sample is the blind tasks: drawn at random and shown without a pre-label. Overlap elsewhere was asked for
because a task was hard or people differed; it can be looked at, but says nothing of the project as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from adapter.core.agreement import Statistic, influence
from adapter.core.blind import is_double
from adapter.kinds import kind_of
from adapter.stages.agreement_parts import (
    Confusion,
    Figure,
    class_parts,
    confused_of,
    figure_of,
    number,
    pair_figure,
    pairs_of,
    subgroups_of,
    windows_of,
)
from adapter.stages.context import Project
from adapter.stages.evidence import values_by_annotator
from adapter.stages.judged import Judged, exact, gather, headline_of, statistics_of, worst_pair
from adapter.stages.reports import Report
from adapter.vocabulary import Annotation, Control, JsonObject

BLIND = "blind tasks that were given to several people from the start: drawn at random, shown without a pre-label"
EVERYTHING = (
    "every task that several people labelled, also those asked again because they were hard and those shown with a "
    "pre-label: not a fair sample of the project"
)
WORST = 10


@dataclass(frozen=True, slots=True)
class Pulling:
    """A task that pulls agreement down. gain: how much the headline would rise without it. people: the two who differ
    most there. words: how."""

    task_id: str
    gain: float
    people: tuple[str, str]
    words: str


@dataclass(frozen=True, slots=True)
class ControlAgreement:
    """Agreement on one control. measure: how its values are compared, in words. tasks: labelled by several people;
    people: who they are. statistics: the headline first. notes: what was left out, and why."""

    control: str
    kind: str
    measure: str
    tasks: int
    people: tuple[str, ...]
    headline: str
    statistics: tuple[Figure, ...]
    classes: tuple[Figure, ...]
    pairs: tuple[Figure, ...]
    subgroups: tuple[Figure, ...]
    over_time: tuple[Figure, ...]
    confused: tuple[Confusion, ...]
    worst: tuple[Pulling, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AgreementReport(Report):
    """basis: which tasks, in words. level: each bound is one-sided at this level."""

    project: str
    everything: bool
    basis: str
    level: float
    controls: tuple[ControlAgreement, ...]


def agreement(project: Project, *, everything: bool = False) -> AgreementReport:
    """Return all figures of agreement. everything: also of tasks outside the blind sample. Reads only our store."""
    voting = project.store.annotations.voting(project.name)
    return AgreementReport(
        project=project.name,
        everything=everything,
        basis=EVERYTHING if everything else BLIND,
        level=project.settings.agreement.level,
        controls=tuple(
            _control(project, control, voting, judged_of(project, control, voting, everything=everything))
            for control in project.space.controls
        ),
    )


def headline(
    project: Project, control: Control, *, voting: Mapping[str, Sequence[Annotation]] | None = None
) -> JsonObject:
    """Return a control's headline on the blind sample: statistic, value, lower, upper (None where undefined), n doubly
    labelled tasks, and raw, the share of pairs of people who say exactly the same. voting: the annotations by task, if
    the caller has read them."""
    judged = judged_of(project, control, voting)
    statistic = headline_of(control, judged, seed=project.settings.agreement.seed)
    found = figure_of(statistic, project.settings.agreement)
    return {
        "statistic": kind_of(control.kind).measure(control).headline,
        "value": found.value,
        "lower": found.lower,
        "upper": found.upper,
        "n": found.n,
        "raw": number(exact(judged).value),
    }


def judged_of(
    project: Project,
    control: Control,
    voting: Mapping[str, Sequence[Annotation]] | None = None,
    *,
    everything: bool = False,
) -> list[Judged]:
    """Return the tasks that several people labelled, by task id; unless `everything`, only those of the blind sample
    that were to have several people whatever the first one said, and of these the people who were asked from the start.
    One more person is asked where people are in doubt or differ: with those, agreement would look worse than it is."""
    if voting is None:
        voting = project.store.annotations.voting(project.name)
    votes = {}
    for task_id, said in sorted(voting.items()):
        if not everything and not _by_design(project, task_id):
            continue
        asked = said if everything else _asked_first(project, said)
        if len(asked) > 1:
            votes[task_id] = values_by_annotator(asked, control)
    return gather(control, votes)


def _by_design(project: Project, task_id: str) -> bool:
    """Whether a task is blind and was given to several people before anybody had looked at it. In a project that lives
    in Label Studio its own overlap decided, which nobody's answer changed."""
    several = project.settings.mode == "in-place" or project.settings.window.overlap > 1
    return project.is_blind(task_id) and (several or is_double(task_id, project.blind))


def _asked_first(project: Project, annotations: Sequence[Annotation]) -> list[Annotation]:
    """Return the annotations of the people who were asked from the start: as many people as that, earliest first."""
    if project.settings.mode == "in-place":
        return list(annotations)
    first: dict[str, list[Annotation]] = {}
    for annotation in sorted(annotations, key=lambda one: (one.created_at, one.id)):
        first.setdefault(annotation.annotator, []).append(annotation)
    people = list(first)[: max(project.settings.window.overlap, 2)]
    return [annotation for name in people for annotation in first[name]]


def _control(
    project: Project, control: Control, voting: Mapping[str, Sequence[Annotation]], judged: list[Judged]
) -> ControlAgreement:
    policy = project.settings.agreement
    measure = kind_of(control.kind).measure(control)
    groups, notes = subgroups_of(project, judged)
    whole = statistics_of(control, judged, seed=policy.seed)
    return ControlAgreement(
        control=control.name,
        kind=control.kind,
        measure=measure.sentence,
        tasks=len(judged),
        people=tuple(sorted({who for item in judged for who in item.votes})),
        headline=measure.headline,
        statistics=tuple(figure_of(item, policy) for item in whole.values()),
        classes=tuple(
            figure_of(statistic, policy, of=(label,), n=n) for label, statistic, n in class_parts(control, judged)
        ),
        pairs=tuple(pair_figure(control, judged, pair, policy) for pair in pairs_of(judged)),
        subgroups=tuple(figure_of(headline_of(control, part), policy, of=key) for key, part in groups.items()),
        over_time=tuple(
            figure_of(headline_of(control, part), policy, of=(when,)) for when, part in windows_of(judged, voting)
        ),
        confused=confused_of(judged) if measure.scale in ("nominal", "ordinal") else (),
        worst=tuple(_worst(control, judged, whole[measure.headline])),
        notes=tuple(notes),
    )


def _worst(control: Control, judged: Sequence[Judged], statistic: Statistic) -> Iterator[Pulling]:
    kind = kind_of(control.kind)
    if not judged:
        return
    gain = influence(statistic)
    order = sorted(range(len(gain)), key=lambda place: (-gain[place], judged[place].task_id))
    for place in order[:WORST]:
        if gain[place] > 0:
            item = judged[place]
            one, other = worst_pair(item)
            words = kind.disagreement(control, item.votes[one], item.votes[other])
            yield Pulling(item.task_id, float(gain[place]), (one, other), words)
