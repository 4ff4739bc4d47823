"""What is reported of annotators. Frozen and plain; nothing in a sentence is a name, so that names can be replaced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from adapter.core.crowd.skill import Skill
from adapter.core.intervals import wilson
from adapter.stages.reports import Report
from adapter.vocabulary import JsonObject

NO_PROOF = "This is a sign, not a proof: look at the tasks before you talk to anybody."
TOO_FEW = "too few to say"


@dataclass(frozen=True, slots=True)
class Rate:
    """A figure in 0..1 with a 95 % interval. n: judged items. enough: whether n reaches `people.min_items`; where not,
    the figure is mostly what is assumed of everybody and says nothing of the person."""

    value: float | None
    lower: float | None
    upper: float | None
    n: int
    enough: bool

    @property
    def words(self) -> str:
        """The figure for people."""
        if not self.n or self.value is None:
            return "-"
        if not self.enough:
            return f"{TOO_FEW} ({self.n})"
        return f"{self.value:.2f} [{self.lower:.2f}, {self.upper:.2f}] ({self.n})"


NOTHING = Rate(None, None, None, 0, False)


def rate_of(skill: Skill, least: int) -> Rate:
    """Return a skill as a rate; nothing where no item was judged."""
    if not skill.n:
        return NOTHING
    return Rate(skill.accuracy, skill.lower, skill.upper, skill.n, skill.n >= least)


def rate_of_sum(right: float, n: int, least: int) -> Rate:
    """Return a mean of n figures in 0..1, whose sum is `right`, with Wilson's interval: their spread is never more than
    that of yes-or-no, so it is rather too wide for graded ones."""
    if not n:
        return NOTHING
    right = min(max(right, 0.0), float(n))
    return Rate(right / n, *wilson(right, n), n, n >= least)


@dataclass(frozen=True, slots=True)
class ClassRate:
    """A rate about one label."""

    label: str
    rate: Rate


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time with its rate. since, until: first and last moment, ISO 8601."""

    since: str
    until: str
    rate: Rate


@dataclass(frozen=True, slots=True)
class Tendency:
    """Whether a person gets better. change: of agreement with the others, from first answer to last, beyond what the
    others' own certainty explains. p: two-sided. words: rising, falling, or none seen."""

    change: float
    p: float
    n: int
    words: str


@dataclass(frozen=True, slots=True)
class Prelabels:
    """Agreement with the model's label where it was on the page, and where it was not (blind sample). difference: the
    first less the second, with a 95 % interval; None where either has none."""

    shown: Rate
    unseen: Rate
    difference: float | None
    lower: float | None
    upper: float | None
    words: str


@dataclass(frozen=True, slots=True)
class ControlConduct:
    """One person on one control.

    measure: `accuracy` (share of right answers) or `similarity` (mean, 1 for the same answer). consensus: accuracy that
    the consensus weighs the person by, which was fitted with their own votes. overlap: judged by everybody else alone.
    blind: the same on the blind sample, the fair figure. gold: against gold that is not their own. expert: against
    reviewers' decisions of others, which are made where people differ, so hard tasks. classes: by true label, or by
    label marked. confusion: expected times, rows truth and columns said in the order of `labels`.
    """

    control: str
    kind: str
    measure: str
    consensus: Rate
    overlap: Rate
    blind: Rate
    gold: Rate
    expert: Rate
    classes: tuple[ClassRate, ...] = ()
    labels: tuple[str, ...] = ()
    confusion: tuple[tuple[float, ...], ...] = ()
    over_time: tuple[Window, ...] = ()
    trend: Tendency | None = None
    prelabels: Prelabels | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """Lead times in seconds: median, quartiles, n. others: median of the other people's medians. per_100: median
    seconds for 100 characters of text. fast, slow: tasks with outlying times, worst first."""

    median: float | None
    lower: float | None
    upper: float | None
    n: int
    enough: bool
    others: float | None
    per_100: float | None
    fast: tuple[str, ...]
    slow: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sign:
    """A reason to look at a person's work. sign: `one label`, `near chance`, `runs`, `same answer`, `copying`,
    `anchoring`, `fast`. other: the second person of a pair. p: after correction for the number of people (pairs); None
    for a rule that is no test. tasks: examples."""

    sign: str
    control: str
    other: str
    p: float | None
    figures: JsonObject
    sentence: str
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PersonReport:
    """One person. annotations: that count. last: moment of the last one, ISO 8601."""

    person: str
    annotations: int
    last: str
    controls: tuple[ControlConduct, ...]
    pace: Pace
    signs: tuple[Sign, ...]


@dataclass(frozen=True, slots=True)
class PeopleReport(Report):
    """level: of the tests, after correction. min_items: below which nothing is said. notes: what was left out."""

    project: str
    level: float
    min_items: int
    people: tuple[PersonReport, ...]
    notes: tuple[str, ...] = field(default=())

    def renamed(self, names: Mapping[str, str]) -> PeopleReport:
        """Return the report with other names for people, in the order of those."""
        people = [
            replace(
                one,
                person=names[one.person],
                signs=tuple(replace(sign, other=names.get(sign.other, sign.other)) for sign in one.signs),
            )
            for one in self.people
        ]
        return replace(self, people=tuple(sorted(people, key=lambda one: one.person)))


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A test's result before correction: p as it came, or None for a rule; large: whether its effect is large enough to
    speak of."""

    sign: str
    control: str
    person: str
    p: float | None
    large: bool
    figures: JsonObject
    sentence: str
    tasks: tuple[str, ...] = ()
    other: str = ""
