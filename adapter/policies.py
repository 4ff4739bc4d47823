"""Policies: frozen values that say what the loop shall do. One class per verb; settings files fill them, functions
obey them.

Every field has a range; a settings file that leaves it is refused with key and line.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from adapter.errors import nearest

Share = Annotated[float, Field(ge=0.0, le=1.0)]
LONGEST_TIER = 30
"""Characters of a tier's name where it ends a project's title; Label Studio takes 50 in all."""


class Policy(BaseModel):
    """Base: frozen, strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BlindPolicy(Policy):
    """The blind sample: tasks drawn by a seeded hash of their id, shown without a pre-label, never trained on.

    share: of all tasks that belong to it. batch_share: of every pushed batch taken from it while it lasts.
    double_share: of the blind tasks that two people label. seed: of the hash.
    """

    share: Share = 0.1
    batch_share: Share = 0.15
    double_share: Share = 0.2
    seed: int = 20240


class WindowPolicy(Policy):
    """The work window: the tasks that are open in Label Studio at one time.

    size: open tasks after a top-up. low_water: open tasks below which it is topped up. overlap: people who are asked
    for a task from the start. budget: human decisions (annotations) after which nothing more is pushed; None for no
    limit.
    """

    size: Annotated[int, Field(ge=1, le=100_000)] = 200
    low_water: Annotated[int, Field(ge=0, le=100_000)] = 100
    overlap: Annotated[int, Field(ge=1, le=20)] = 1
    budget: Annotated[int, Field(ge=1)] | None = None


class RankPolicy(Policy):
    """Which tasks people see next.

    strategy: a name as `hitl strategies` lists them, or a function of your own, `module:function` or
    `file.py:function`. cold_start: the same for as long as neither a model nor a labeling function judges. rare: labels
    that the strategy `rare` looks for; empty means those that people have used least. flagged_share: of every batch
    that goes to a second look at flagged tasks. judging_share: of every batch that goes to tasks on which people's
    labels tell most about the labeling functions. diversity: near neighbours never share a batch (needs embeddings).
    seed: of everything random.
    """

    strategy: str = "cluster-margin"
    cold_start: str = "typiclust"
    rare: tuple[str, ...] = ()
    flagged_share: Share = 0.1
    judging_share: Share = 0.05
    diversity: bool = True
    seed: int = 0


class ConsolidatePolicy(Policy):
    """How votes become a consensus.

    people_threshold: posterior from which people's consensus stands; below it one more person is asked. max_people:
    most people asked for one task. people_method: how people's votes become one: `auto` (the kind's safe default, or
    the best on gold tasks once there are `min_gold` of them) or the name of a method as `hitl kinds` lists them.
    consolidator: of functions' votes: `best` (on the blind sample) or the name of one, such as `majority`,
    `weighted-vote`, `label-model`, `abstain-em`, `semi-supervised` or `snorkel` (its own class). min_gold: blind
    labels on covered tasks needed before `best` may leave the safe default. copies: agreement from which two
    functions are near-copies of each other, which count once. seed: of everything random.
    """

    people_threshold: Annotated[float, Field(ge=0.5, le=1.0)] = 0.75
    max_people: Annotated[int, Field(ge=1, le=20)] = 3
    people_method: str = "auto"
    consolidator: str = "best"
    min_gold: Annotated[int, Field(ge=1)] = 20
    copies: Annotated[float, Field(gt=0.5, le=1.0)] = 0.95
    seed: int = 0


class FlagPolicy(Policy):
    """What is flagged.

    min_labels: people's labels needed. folds: of cross-validation. max_open: most open flags per project that reach
    people. reasons are always recorded; only label issues ask one more person.
    """

    enabled: bool = True
    min_labels: Annotated[int, Field(ge=10)] = 50
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    max_open: Annotated[int, Field(ge=0)] = 100
    seed: int = 0


class TrainPolicy(Policy):
    """When a candidate is trained and when it is promoted.

    min_labels: people's labels needed for the first model. min_new: new labels that start a training. max_wait_s:
    longest time that a smaller number of new labels waits. alpha: level of the promotion gate's one-sided exact McNemar
    test; the candidate is refused when it is significantly worse at this level, or worse in accuracy by more than
    `tolerance` and one standard error. weak: `auto` uses weak labels while the blind sample shows that they help,
    `always`, `never`. weak_gate: blind tasks with people's labels that the comparison with and without weak labels
    needs. weak_patience: trainings in a row in which the model without them was at least as good, after which `auto`
    retires them. drift: level of the test whether the model is wrong on new labels more often than its confidence
    says, which starts a training at once; 0 for never. drift_min: new labels that it needs.
    """

    min_labels: Annotated[int, Field(ge=2)] = 20
    min_new: Annotated[int, Field(ge=1)] = 25
    max_wait_s: Annotated[float, Field(ge=0)] = 600.0
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    tolerance: Share = 0.02
    min_gate: Annotated[int, Field(ge=1)] = 10
    weak: Literal["auto", "always", "never"] = "auto"
    weak_gate: Annotated[int, Field(ge=1)] = 30
    weak_patience: Annotated[int, Field(ge=1)] = 3
    drift: Annotated[float, Field(ge=0, lt=0.5)] = 0.001
    drift_min: Annotated[int, Field(ge=5)] = 10
    timeout_s: Annotated[float, Field(gt=0)] = 3600.0
    seed: int = 0


class AgreementPolicy(Policy):
    """The gate on agreement between people, on the blind tasks that several of them labelled.

    nature: of the task: `objective` asks for .8 and `subjective` for .6, unless `threshold` says otherwise;
    `thresholds` sets single controls. The gate compares the *lower* confidence bound of the kind's headline
    statistic. level: of that one-sided bound. rounds: bootstrap resamples of tasks. min_units: doubly labelled tasks
    below which nothing is said. by_class, by_subgroup: also hold the gate for each of them (those with fewer than
    min_units say "not enough data"). on_fail: `pause` stops accepting labels on one person's word until the gate
    passes again, `report` only says so.
    """

    nature: Literal["objective", "subjective"] = "objective"
    threshold: Share | None = None
    thresholds: dict[str, Share] = Field(default_factory=dict)
    level: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    rounds: Annotated[int, Field(ge=100, le=100_000)] = 2000
    min_units: Annotated[int, Field(ge=5)] = 30
    by_class: bool = True
    by_subgroup: bool = True
    on_fail: Literal["pause", "report"] = "pause"
    seed: int = 0


class Rule(Policy):
    """One routing rule: the first that fits a task decides. when: `always`, `hard` (uncertainty or disagreement at or
    above `at_least`), `class` (the model's likeliest label is one of `labels`), `subgroup` (a subgroup attribute
    `field` is one of `labels`). to: `skilled` (accuracy at or above `accuracy`), `good-at` (the same on that label),
    `anyone`, or `tier:<name>`. judged: items on which a person's accuracy must have been judged; with fewer nobody
    counts as skilled or good."""

    when: Literal["always", "hard", "class", "subgroup"] = "always"
    to: str = "anyone"
    at_least: Share = 0.7
    accuracy: Share = 0.9
    judged: Annotated[int, Field(ge=1)] = 10
    labels: tuple[str, ...] = ()
    field: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Rule:
        if self.to not in ("skilled", "good-at", "anyone") and not (self.to.startswith("tier:") and self.to[5:]):
            raise ValueError(
                f"'{self.to}' is nobody. {nearest(self.to, ('skilled', 'good-at', 'anyone', 'tier:NAME'))}"
            )
        if self.when in ("class", "subgroup") and not self.labels:
            raise ValueError(f"a rule `when: {self.when}` needs `labels`: it would never fit a task")
        if self.when == "subgroup" and not self.field:
            raise ValueError("a rule `when: subgroup` needs `field`: the subgroup attribute to look at")
        return self

    @property
    def title(self) -> str:
        """The rule in words, for reports."""
        case = {
            "always": "every task",
            "hard": f"hard tasks (from {self.at_least:g})",
            "class": f"tasks that look like {', '.join(self.labels)}",
            "subgroup": f"tasks with {self.field} {', '.join(self.labels)}",
        }[self.when]
        whom = {"skilled": "skilled people", "good-at": "people good at that label", "anyone": "anyone"}
        return f"{case} to {whom.get(self.to, self.to.replace('tier:', 'tier '))}"


class RoutingPolicy(Policy):
    """Who labels what.

    enabled: off, everybody is served the one queue. way: `views` gives each annotator a Data Manager view on the field
    hitl_for (soft: anybody can open any view), `projects` also gives each tier a Label Studio project of its own,
    "<title> · <tier>", for the tasks whose rule says `to: tier:<name>` (hard: separate streams, in which only people of
    the tier are given tasks; no permissions, as the free edition has no membership of projects; `mode: window` only),
    `enterprise` uses Label Studio Enterprise's assignment (hard). rules: the first that fits decides; a task that fits
    none goes to anyone.
    router: `module:function` or `file.py:function` of a plain `@router` function that decides before the rules;
    router_s: seconds that one of its calls may take. tiers: tier to annotators. gold_rate: share of each person's
    tasks that are gold tasks. daily_cap: most tasks a person is given in a day (UTC); caps: the same for single
    persons. ahead: tasks in each person's queue; when it runs dry, it takes from the longest other queue; keep: tasks
    at the head of a queue that nobody takes, since the person may have opened them already. annotators: who takes
    part; empty means everybody who has labelled or whom a tier names. idle_h: hours without a sign of life after which
    a person's waiting tasks go to others; null for never. seed: of everything random.
    """

    enabled: bool = False
    way: Literal["views", "projects", "enterprise"] = "views"
    rules: tuple[Rule, ...] = ()
    router: str = ""
    router_s: Annotated[float, Field(gt=0, le=60)] = 1.0
    tiers: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    gold_rate: Share = 0.05
    daily_cap: Annotated[int, Field(ge=1)] | None = None
    caps: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    ahead: Annotated[int, Field(ge=1, le=1000)] = 10
    keep: Annotated[int, Field(ge=1, le=1000)] = 2
    annotators: tuple[str, ...] = ()
    idle_h: Annotated[float, Field(gt=0)] | None = 24.0
    seed: int = 0

    @model_validator(mode="after")
    def _known(self) -> RoutingPolicy:
        for rule in self.rules:
            tier = rule.to.removeprefix("tier:")
            if rule.to.startswith("tier:") and tier not in self.tiers:
                raise ValueError(f"there is no tier '{tier}'. {nearest(tier, self.tiers) or 'Add it to `tiers`.'}")
        named = (*self.annotators, *self.caps, *(name for members in self.tiers.values() for name in members))
        for name in named:
            if not name.strip() or name != name.strip() or ";" in name or not name.isprintable():
                raise ValueError(
                    f"{name!r} is no annotator's name: write it as Label Studio shows it, an e-mail address"
                )
        if self.way == "projects":
            self._titled()
        return self

    def _titled(self) -> None:
        """Refuse tiers that cannot have a project of their own."""
        if not self.tiers:
            raise ValueError("`way: projects` needs `tiers`: each gets a project. Name some, or use `way: views`")
        for tier, members in self.tiers.items():
            if tier != tier.strip() or not tier.isprintable() or not 1 <= len(tier) <= LONGEST_TIER:
                raise ValueError(
                    f"the tier {tier!r} is part of a project's title: use 1 to {LONGEST_TIER} printable characters"
                )
            if tier == "review":
                raise ValueError("a tier 'review' would share the review project's title. Use another name")
            if not members:
                raise ValueError(f"nobody is in tier '{tier}', so its tasks would wait for ever. Name its annotators")


class ReviewPolicy(Policy):
    """Which labels an expert looks at again.

    enabled: keep a review project, "<title> · review", beside the project. There a reviewer submits the proposed labels
    unchanged (accept), changes them (correct) or skips (reject). reviewers: whose decisions count, as Label Studio
    names its users (e-mail); empty means any user of the review project. low_agreement: tasks on which people differ
    (distance at or above `differ`, which is 0 for the same and 1 for nothing in common), and tasks without a consensus
    after the most people were asked or the budget was spent. flagged: tasks with an open label issue. low_skill: tasks
    that only people with a measured accuracy under this labelled; 0 for none. random_share: of all labelled tasks,
    drawn by a seeded hash of the task id; the share of labels that hold is measured on it. Blind tasks are reviewed
    where people differ or by that draw alone. size: most open reviews at a time. adjudicated_gold: whether decided
    tasks become gold tasks (they then measure annotators). expert: accuracy with which a reviewer's decision enters the
    consensus. seed: of the draw.
    """

    enabled: bool = False
    reviewers: tuple[str, ...] = ()
    low_agreement: bool = True
    differ: Share = 0.5
    flagged: bool = True
    low_skill: Share = 0.7
    random_share: Share = 0.02
    size: Annotated[int, Field(ge=1, le=10_000)] = 50
    adjudicated_gold: bool = True
    expert: Annotated[float, Field(gt=0.5, le=1.0)] = 0.99
    seed: int = 0


class PeoplePolicy(Policy):
    """What is measured of annotators.

    min_items: judged items below which a figure is shown as "too few to say". outlier: a lead time is one when it lies
    this many robust standard deviations from the person's own median (log scale). spam_level: level of the tests for
    spam and copying, after correction for the number of people. pseudonyms: names in exports and on pages of others.
    """

    min_items: Annotated[int, Field(ge=1)] = 10
    outlier: Annotated[float, Field(gt=0)] = 3.5
    spam_level: Annotated[float, Field(gt=0, lt=0.5)] = 0.01
    pseudonyms: bool = True


class StopPolicy(Policy):
    """When stopping is advised, and what follows.

    kappa: agreement of successive models on the stop set from which they count as settled (mean of the last `window`);
    null for never. step: labels that two compared models must lie apart. target: accuracy that the lower bound of the
    interval on the blind sample must reach; null for none. gain: accuracy (.01 for one point) that `gain_labels` more
    labels must be able to bring: stopping is advised when the upper bound of the expected gain is below it; null for
    never. least_labels: labels in training before the models' agreement or the expected gain may advise anything.
    stop_set: tasks drawn at random from the pool on which models are compared; nobody labels them for it. act: `advise`
    says so, `pause` also pushes no new tasks while the advice stands. shadow: measure what labels at random would have
    brought, with models trained on the blind sample and on tasks drawn at random, used for nothing else; null for
    backends that train fast, true or false to have it always or never. shadow_s: most seconds that one such measurement
    may be expected to take. seed: of everything random.
    """

    kappa: Annotated[float, Field(gt=0, le=1)] | None = 0.99
    window: Annotated[int, Field(ge=1, le=20)] = 3
    step: Annotated[int, Field(ge=1)] = 10
    target: Share | None = None
    gain: Share | None = None
    gain_labels: Annotated[int, Field(ge=1)] = 100
    least_labels: Annotated[int, Field(ge=1)] = 100
    stop_set: Annotated[int, Field(ge=100, le=100_000)] = 2000
    act: Literal["advise", "pause"] = "advise"
    shadow: bool | None = None
    shadow_s: Annotated[float, Field(gt=0)] = 300.0
    seed: int = 0
