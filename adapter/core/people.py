"""How good each annotator is, judged where several people (or a known truth) speak of one task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

PRIOR_ACCURACY = 0.9
"""What is assumed of an annotator of whom nothing is known: people who take care are right nine times in ten."""
PRIOR_STRENGTH = 20.0
"""How many items that assumption is worth: the prior is Beta(18, 2). With 20 overlapping items the evidence weighs as
much as the prior; below that the estimate stays near it (in sparse overlap unshrunk skills do more harm than a plain
majority)."""

_INTERVAL = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class Skill:
    """One annotator's accuracy, with a 95 % credible interval. n: items on which it could be judged."""

    accuracy: float
    lower: float
    upper: float
    n: int


@dataclass(frozen=True, slots=True)
class OneCoin:
    """A fitted one-coin model. skill: annotator to Skill. posteriors (t, k): of each task's truth under them."""

    skill: dict[str, Skill]
    posteriors: Doubles


def skills(
    votes: Mapping[str, Mapping[str, int]],
    k: int,
    *,
    truth: Mapping[str, int] | None = None,
    rounds: int = 50,
) -> dict[str, Skill]:
    """Return the skill of each annotator.

    votes: task id to annotator to label index in 0..k-1. truth: task id to label index, where it is known (gold). For a
    control with several labels pass one entry for each (task, label) with k = 2: whether the annotator gave the label.
    Tasks with one vote and no truth say nothing of skill; an annotator with only such tasks gets the prior, n = 0.
    Raises ValueError for k < 2 or a label outside 0..k-1. The order of tasks and annotators does not matter.
    """
    tasks = sorted(task for task, by_person in votes.items() if by_person)
    names = sorted({who for by_person in votes.values() for who in by_person})
    number = {who: i for i, who in enumerate(names)}
    rows, whose, said = [], [], []
    for row, task in enumerate(tasks):
        for who in sorted(votes[task]):
            rows.append(row)
            whose.append(number[who])
            said.append(votes[task][who])
    known = np.full(len(tasks), -1, np.int64)
    for row, task in enumerate(tasks):
        if truth is not None and task in truth:
            known[row] = truth[task]
    return one_coin(
        np.array(rows, np.int64), np.array(whose, np.int64), np.array(said, np.int64), names, k, known, rounds=rounds
    ).skill


def one_coin(
    task: Ints, annotator: Ints, label: Ints, names: list[str], k: int, known: Ints, *, rounds: int = 50
) -> OneCoin:
    """Fit the one-coin model by EM: each annotator is right with one probability, wrong evenly over the other labels.

    task, annotator, label: (v,) one entry a vote; tasks are 0..t-1 with known (t,) the true label or -1, annotators
    index `names`. All classes are equally likely a priori, which keeps rare classes from being explained away.
    Accuracy is the posterior mean under Beta(18, 2), see PRIOR_STRENGTH; its interval takes the estimated truth as
    certain. Source: Dawid and Skene 1979 with one parameter an annotator ("one-coin", Zhang et al. 2014, section 2).
    """
    from scipy.special import betaincinv

    if k < 2:
        raise ValueError(f"skill needs at least two labels, got k = {k}")
    for name, values in (("vote", label), ("truth", known[known != -1])):
        if len(values) and (values.min() < 0 or values.max() >= k):
            raise ValueError(f"a {name} lies outside the labels 0..{k - 1}")
    t, m = len(known), len(names)
    per_task = np.bincount(task, minlength=t)
    telling = (per_task > 1) | (known >= 0)
    judged = telling[task] if len(task) else np.zeros(0, bool)
    n = np.bincount(annotator[judged], minlength=m)
    right_prior = PRIOR_ACCURACY * PRIOR_STRENGTH
    fixed = np.flatnonzero(known >= 0)

    def truth_given(accuracy: Doubles) -> Doubles:
        sure = np.clip(accuracy, 1e-6, 1 - 1e-6)
        weight = np.log(sure) - np.log((1 - sure) / (k - 1))
        sums = np.bincount(task * k + label, weights=weight[annotator], minlength=t * k)
        scores: Doubles = np.asarray(sums, np.float64).reshape(t, k)
        scores = scores - scores.max(axis=1, keepdims=True)
        chances: Doubles = np.exp(scores)
        chances /= chances.sum(axis=1, keepdims=True)
        chances[fixed] = 0.0
        chances[fixed, known[fixed]] = 1.0
        return chances

    right: Doubles = np.zeros(m)
    accuracy = np.full(m, PRIOR_ACCURACY)
    posteriors = truth_given(accuracy)
    for _ in range(rounds):
        agreed = posteriors[task, label]
        right = np.asarray(np.bincount(annotator[judged], weights=agreed[judged], minlength=m), np.float64)
        before, accuracy = accuracy, (right_prior + right) / (PRIOR_STRENGTH + n)
        posteriors = truth_given(accuracy)
        if np.abs(accuracy - before).max(initial=0.0) < 1e-9:
            break
    a, b = right_prior + right, PRIOR_STRENGTH - right_prior + np.maximum(n - right, 0)
    lower, upper = (np.asarray(betaincinv(a, b, share)) for share in _INTERVAL)
    found = {who: Skill(float(accuracy[i]), float(lower[i]), float(upper[i]), int(n[i])) for i, who in enumerate(names)}
    return OneCoin(found, posteriors)
