"""Which consolidator speaks: all are fitted and scored on the blind sample, the best is used; near-copies count once.

No consolidator is best everywhere, and on votes alone none can prove itself. The safe default, used until `min_gold`
blind labels on covered rows can say otherwise:

- with fewer than MIN_LEARN labels to learn from, `majority`: with ties shared it is not beaten by Snorkel's label model
  on youtube_spam (85.6 against 84.9), sms_spam (F1 88.7 against 87.6) and ag_news (82.5 against 81.7), and abstain-em
  is no sure gain (83.4, 88.9 and 84.0 on the same);
- with more, `semi-supervised`: with 25 labels 90.0, 88.7 and 83.3 on the same, with 100 92.3, 88.8 and 83.6. With 10 to
  200 labels it was not below majority by more than a standard error on any of six sets (the benchmark's four, column
  rules on adult_income: 73 to 80 against 71, lists of words on IMDB reviews: 79.4 to 79.7 against 79.4).
  `weighted-vote` gains a little more on youtube_spam and adult_income, but was below majority on sms_spam (88.64 +- .04
  against 88.69 with 25 labels).

From `min_gold` on, the default is left for what is better by more than one standard error on the same rows. Figures:
`benchmarks.weak_sets`, means of ten draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from adapter.core.weak.base import Bools, Consolidator, Fitted, Ints, Labels, WeakVotes
from adapter.core.weak.copies import near_copies
from adapter.core.weak.lookup import Doubles
from adapter.core.weak.majority import Majority
from adapter.core.weak.methods import SNORKEL, consolidators
from adapter.core.weak.noisy_or import NoisyOr
from adapter.core.weak.patterns import unique_patterns
from adapter.core.weak.scores import Score, covered_credits, least_gain, score
from adapter.errors import SettingsError, nearest
from adapter.policies import ConsolidatePolicy
from adapter.ports import Floats

FOLDS = 5
MIN_LEARN = 10
"""Labels on covered rows from which the default learns from them."""
MOST_ROWS = 50_000
"""Rows without a label that a fit for cross-validation sees at most; the fit that speaks sees all."""

_NONE: Mapping[str, Floats] = {}


@dataclass(frozen=True, slots=True, eq=False)
class WeakChoice:
    """What became of the votes. chosen: name of the consolidator. table: all of them, scored. why: a sentence.
    probabilities: float32 (n, k), NaN rows uncovered. copies: names of the functions of each group of near-copies. Such
    a group counts once. unlearned: probabilities of each consolidator that looks at no labels, to be given as `cached`
    while the votes, the balance, the seed and the policy on copies stay the same."""

    chosen: str
    table: tuple[Score, ...]
    why: str
    probabilities: Floats
    copies: tuple[tuple[str, ...], ...] = ()
    unlearned: Mapping[str, Floats] = field(default_factory=dict)

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence for each group of near-copies."""
        return tuple(
            f"{', '.join(group[:-1])} and {group[-1]} are near-copies: they count once. Keep one of them."
            for group in self.copies
        )


def consolidate(
    votes: WeakVotes,
    *,
    learn: Labels,
    blind: Labels,
    policy: ConsolidatePolicy,
    balance: Floats | None = None,
    cross_validate: bool = False,
    cached: Mapping[str, Floats] = _NONE,
) -> WeakChoice:
    """Fit all consolidators to votes (n, m), score them on the blind sample, choose one.

    learn: labels to learn from. blind: labels of the random sample to score on; rows of it in `learn` are left out
    there. cross_validate: learn from the blind sample too, each fold scored by a fit without it; the answers then come
    from a fit to all. Folds depend on what rows hold, not on their order. balance: shares of the labels in a random
    sample (see `class_balance`). cached: see `WeakChoice`. Raises SettingsError for a consolidator of the policy that
    does not exist.
    """
    _check(policy)
    copies = near_copies(votes, policy.copies)
    once = copies.merged(votes)
    learn = _without(learn, blind.rows)
    known = _joined(learn, blind) if cross_validate else learn
    everywhere: dict[str, Floats] = {}
    said: dict[str, Floats] = {}
    notes: dict[str, str] = {}
    methods = consolidators(votes.multiple, policy.consolidator)
    folded = _folded(once, learn, blind) if cross_validate and len(blind) else None
    for name, one in methods.items():
        if not one.learns and name in cached:
            everywhere[name] = cached[name]
        else:
            try:
                fitted = one.fit(once, known, balance=balance, seed=policy.seed)
            except ValueError as error:  # it cannot work on these votes, and says why
                notes[name] = str(error)
                continue
            everywhere[name] = _filled(fitted.predict(once), votes)
        said[name] = everywhere[name][blind.rows]
        if one.learns and folded is not None:
            try:
                said[name] = _out_of_fold(one, folded, balance, policy.seed)
            except ValueError as error:
                notes[name] = f"not scored: with a fold of the labels left out, {error}"
                said[name] = np.full_like(said[name], np.nan)
    table = tuple(
        score(name, said[name], blind.targets, everywhere[name], multiple=votes.multiple, note=notes.get(name, ""))
        if name in said
        else Score(name, note=notes[name])
        for name in methods
    )
    scored = {name: answer for name, answer in said.items() if name not in notes}
    credits = covered_credits(scored, blind.targets, multiple=votes.multiple)
    learned = int(once.covered[known.rows].sum())
    chosen, why = choose(table, credits, policy, multiple=votes.multiple, learned=learned)
    kept = {name: answer for name, answer in everywhere.items() if not methods[name].learns}
    return WeakChoice(chosen, table, why, everywhere[chosen], copies.named(votes.names), kept)


def choose(
    table: tuple[Score, ...], credits: Mapping[str, Doubles], policy: ConsolidatePolicy, *, multiple: bool, learned: int
) -> tuple[str, str]:
    """Return the name of the consolidator to use and a sentence that says why.

    table: all consolidators; those with a `note` and no coverage could not be fitted. credits: 0..1, of each scored one
    on the same blind rows. learned: labels on covered rows that were learned from. A consolidator that the policy names
    is used if it could be fitted. The choice of `best` is never one whose accuracy lies below the interval of
    majority's.
    """
    able = {row.name: row for row in table if not (row.note and row.accuracy is None and row.covered == 0)}
    wanted = policy.consolidator
    default, reason = _default(able, multiple=multiple, learned=learned)
    if wanted in able:
        return wanted, f"{wanted}, as the settings say"
    if wanted != "best":
        named = next((f"it cannot be used here: {row.note}" for row in table if row.name == wanted), "")
        return default, f"{default}: the settings name {wanted}, but {named or 'it is for other controls'}"
    plain = able["noisy-or" if multiple else "majority"]
    n = able[default].n
    chosen, why = default, f"{default}, the safe default {reason}"
    if n < policy.min_gold:
        why += f"; {n} blind labels on covered tasks, {policy.min_gold} are needed to compare"
    elif default in credits:
        gains = {name: least_gain(earned, credits[default]) for name, earned in credits.items() if name != default}
        better = max(sorted(gains), key=lambda name: gains[name], default=default)
        if gains.get(better, 0.0) > 0:
            chosen = better
            why = (
                f"{chosen}: right on {_percent(able[chosen])} of {n} blind labels, more than {default}"
                f" ({_percent(able[default])}) by more than one standard error"
            )
        else:
            why += f"; on {n} blind labels nothing is better than it by more than one standard error"
    mine, least = able[chosen].accuracy, plain.lower
    if mine is not None and least is not None and mine < least:
        return plain.name, f"{plain.name}: {chosen} ({_percent(able[chosen])}) lies below its interval"
    return chosen, why


def _default(able: Mapping[str, Score], *, multiple: bool, learned: int) -> tuple[str, str]:
    """Return the safe default and why it is."""
    if multiple:
        return "noisy-or", "for controls with several labels"
    if learned >= MIN_LEARN and "semi-supervised" in able:
        return "semi-supervised", f"with {learned} labels to learn from"
    return "majority", f"with {learned} labels to learn from, fewer than {MIN_LEARN}"


def _percent(row: Score) -> str:
    return "nothing" if row.accuracy is None else f"{100 * row.accuracy:.1f} %"


def _check(policy: ConsolidatePolicy) -> None:
    """Refuse a consolidator that no control has."""
    valid = {"best", *consolidators(False, policy.consolidator), *consolidators(True), SNORKEL.name}
    if policy.consolidator not in valid:
        raise SettingsError(
            f"there is no consolidator '{policy.consolidator}'",
            where="consolidate.consolidator",
            remedy=nearest(policy.consolidator, valid),
        )


def _filled(answer: Floats, votes: WeakVotes) -> Floats:
    """Return the answer with rows on which only near-copies vote, and differ, answered by these votes themselves."""
    lost = np.flatnonzero(votes.covered & np.isnan(answer).any(axis=1))
    if len(lost):
        there = votes.at(lost)
        fitted: Fitted = NoisyOr().fit(there, Labels.none(votes.k)) if votes.multiple else Majority()
        answer[lost] = fitted.predict(there)
    return answer


@dataclass(frozen=True, slots=True, eq=False)
class _Folded:
    """What cross-validation needs: votes with few rows that have no label, labels as rows of these, folds (b,)."""

    votes: WeakVotes
    learn: Labels
    blind: Labels
    fold: Ints


def _folded(votes: WeakVotes, learn: Labels, blind: Labels) -> _Folded:
    """Deal the blind labels to folds in turn, sorted by what they say and by their votes: every fold has all labels and
    patterns, and the order of rows is of no effect."""
    small, labelled = _thinned(votes, np.concatenate([learn.rows, blind.rows]))
    order = np.lexsort([*votes.votes[blind.rows].T, *blind.targets.T])
    fold = np.empty(len(blind), np.int64)
    fold[order] = np.arange(len(blind)) % FOLDS
    return _Folded(
        small,
        Labels(labelled[: len(learn)], learn.targets, learn.weights),
        Labels(labelled[len(learn) :], blind.targets, blind.weights),
        fold,
    )


def _out_of_fold(one: Consolidator, folded: _Folded, balance: Floats | None, seed: int) -> Floats:
    """Return the probabilities (b, k) of the blind rows, each by a fit that has not seen its label. Raises ValueError
    as the fit."""
    out = np.full(folded.blind.targets.shape, np.nan, np.float32)
    for left_out in range(FOLDS):
        asked = np.flatnonzero(folded.fold == left_out)
        if len(asked):
            known = _joined(folded.learn, _part(folded.blind, folded.fold != left_out))
            fitted = one.fit(folded.votes, known, balance=balance, seed=seed)
            out[asked] = fitted.predict(folded.votes.at(folded.blind.rows[asked]))
    return out


def _thinned(votes: WeakVotes, labelled: Ints) -> tuple[WeakVotes, Ints]:
    """Return about MOST_ROWS of the votes and all labelled rows, and where these lie in them.

    Rows are taken evenly from all, sorted by their votes: what is left does not depend on the order of rows.
    """
    others = np.setdiff1d(np.arange(len(votes.votes)), labelled)
    if len(others) <= MOST_ROWS:
        return votes, labelled
    order = others[np.argsort(unique_patterns(votes.votes[others]).inverse, kind="stable")]
    kept = np.union1d(order[np.linspace(0, len(order) - 1, MOST_ROWS).astype(np.int64)], labelled)
    return votes.at(kept), np.searchsorted(kept, labelled).astype(np.int64)


def _part(labels: Labels, on: Bools) -> Labels:
    return Labels(labels.rows[on], labels.targets[on], labels.weights[on])


def _without(labels: Labels, rows: Ints) -> Labels:
    return _part(labels, ~np.isin(labels.rows, rows))


def _joined(one: Labels, other: Labels) -> Labels:
    return Labels(
        np.concatenate([one.rows, other.rows]),
        np.concatenate([one.targets, other.targets]),
        np.concatenate([one.weights, other.weights]),
    )
