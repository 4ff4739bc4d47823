"""People's votes as arrays, in an order of their own, so that nobody else's order can change a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.vocabulary import JsonObject

from .skill import Doubles, Skill, beta_skills

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class CrowdVotes:
    """Votes of many people on many tasks; entry i says that `annotator[i]` gave `label[i]` to `task[i]`.

    task, annotator, label: (v,) int64. tasks, annotators: their names, which `task` and `annotator` index; each name
    once. k: number of labels. Tasks without votes and annotators without votes are allowed. The votes of an
    annotator who judged one task several times share the weight of one.
    """

    task: Ints
    annotator: Ints
    label: Ints
    tasks: list[str]
    annotators: list[str]
    k: int


@dataclass(frozen=True)
class CrowdConsensus:
    """What the people say together.

    posterior: (t, k) float64, rows sum to 1; a task without votes and without gold has the uniform row of "nothing is
    known". skill: annotator to accuracy with interval. confusion: annotator to (k, k), rows truth, columns said, each
    row summing to 1, shrunk by the method's prior; empty where the method has none. method: the one that spoke.
    table: the methods that were compared, each with `name` and its figures; empty where nothing was compared.
    """

    posterior: Doubles
    skill: dict[str, Skill]
    confusion: dict[str, Doubles]
    method: str
    table: tuple[JsonObject, ...] = ()


@dataclass(frozen=True)
class Ballots:
    """Checked votes in canonical order (by task name, annotator name, label), with the known truths: what the models of
    this package are fitted on. known: (t,) true label or -1."""

    task: Ints
    annotator: Ints
    label: Ints
    names: list[str]
    k: int
    known: Ints

    @property
    def t(self) -> int:
        """Number of tasks."""
        return len(self.known)

    @property
    def m(self) -> int:
        """Number of annotators."""
        return len(self.names)

    @cached_property
    def weight(self) -> Doubles:
        """(v,) weight of each vote: one, shared by the votes of one annotator on one task."""
        _, back, repeats = np.unique(
            self.task * max(self.m, 1) + self.annotator, return_inverse=True, return_counts=True
        )
        return np.asarray(1.0 / repeats[back])

    @cached_property
    def said(self) -> Any:
        """Sparse (t, m * k) weights: how often annotator j gave label c to the task, at column j * k + c. Sums over
        votes are products with it or its transpose, which is what makes a million votes take seconds."""
        from scipy.sparse import coo_array

        at = (self.task, self.annotator * self.k + self.label)
        return coo_array((self.weight, at), shape=(self.t, self.m * self.k)).tocsr()

    @cached_property
    def heard(self) -> Any:
        """The transpose of `said`, in rows of its own."""
        return self.said.T.tocsr()

    @cached_property
    def people_per_task(self) -> Ints:
        """(t,) number of annotators who judged each task."""
        return np.asarray(np.rint(self.counts.sum(axis=1)), np.int64)

    @cached_property
    def telling(self) -> Bools:
        """(t,) tasks that say something of people's skill: more than one vote, or a known truth."""
        return np.asarray((self.people_per_task > 1) | (self.known >= 0))

    @cached_property
    def counts(self) -> Doubles:
        """(t, k) votes for each label."""
        flat = np.bincount(self.task * self.k + self.label, weights=self.weight, minlength=self.t * self.k)
        return np.asarray(flat, np.float64).reshape(self.t, self.k)

    def judged(self, posterior: Doubles) -> Doubles:
        """Return (m, k, k): expected number of times that annotator j met true label c and said d, on telling tasks."""
        weight = np.where(self.telling[:, None], posterior, 0.0)
        return np.asarray(self.heard @ weight).reshape(self.m, self.k, self.k).transpose(0, 2, 1)

    def truth_given(self, log_confusion: Doubles, log_prior: Doubles) -> Doubles:
        """Return the posterior (t, k) of the truth when annotator j says d of a true c with log probability
        log_confusion[j, c, d], shape (m, k, k), and c has log_prior, shape (k,) or (t, k). Known truths are certain."""
        scores = self.scores(log_confusion, log_prior)
        scores -= scores.max(axis=1, keepdims=True)
        chances: Doubles = np.exp(scores)
        chances /= chances.sum(axis=1, keepdims=True)
        return self.fix(chances)

    def scores(self, log_confusion: Doubles, log_prior: Doubles) -> Doubles:
        """Return (t, k), the log probability of each truth together with all votes on the task."""
        weight = log_confusion.transpose(0, 2, 1).reshape(self.m * self.k, self.k)
        return np.asarray(self.said @ weight) + log_prior

    def log_evidence(self, log_confusion: Doubles, log_prior: Doubles) -> float:
        """Return the log probability of all votes and known truths, unknown truths summed out."""
        from scipy.special import logsumexp

        scores = self.scores(log_confusion, log_prior)
        open_, fixed = np.flatnonzero(self.known < 0), np.flatnonzero(self.known >= 0)
        return float(logsumexp(scores[open_], axis=1).sum() + scores[fixed, self.known[fixed]].sum())

    def fix(self, posterior: Doubles) -> Doubles:
        """Return the posterior with the rows of known tasks certain."""
        at = np.flatnonzero(self.known >= 0)
        posterior[at] = 0.0
        posterior[at, self.known[at]] = 1.0
        return posterior

    def shares(self) -> Doubles:
        """Return each label's share of the votes on a task, (t, k); uniform without votes; known truths certain. Where
        every model starts."""
        total = self.counts.sum(axis=1, keepdims=True)
        return self.fix(np.where(total > 0, self.counts / np.maximum(total, 1), 1 / self.k))

    def skills(self, posterior: Doubles) -> dict[str, Skill]:
        """Return each annotator's skill, the truth being distributed as `posterior`."""
        if self.m == 0:
            return {}
        on = self.telling[self.task]
        who, right = self.annotator[on], posterior[self.task, self.label][on]
        weight = self.weight[on]

        def total(weights: Doubles) -> Doubles:
            return np.bincount(who, weights=weights * weight, minlength=self.m).astype(np.float64)

        return beta_skills(self.names, total(right), total(right * (1 - right)), total(np.ones(len(who))))


def ballots(votes: CrowdVotes, gold: Mapping[int, int]) -> tuple[Ballots, Ints]:
    """Check the votes and return them in canonical order, with the (t,) position of each task in that order.

    Raises ValueError for fewer than two labels, arrays of different length, an index or label outside its range, or a
    name that occurs twice.
    """
    task, annotator, label = _flat(votes.task), _flat(votes.annotator), _flat(votes.label)
    t, m, k = len(votes.tasks), len(votes.annotators), votes.k
    if k < 2:
        raise ValueError(f"a consensus needs at least two labels, got k = {k}")
    if not len(task) == len(annotator) == len(label):
        raise ValueError(f"votes of different lengths: {len(task)} tasks, {len(annotator)} people, {len(label)} labels")
    for what, values, end in (("task", task, t), ("annotator", annotator, m)):
        if len(values) and (values.min() < 0 or values.max() >= end):
            raise ValueError(f"a vote's {what} lies outside 0..{end - 1}")
    truths = _flat(list(gold.values()))
    for what, values in (("vote", label), ("truth", truths)):
        if len(values) and (values.min() < 0 or values.max() >= k):
            raise ValueError(f"a {what} lies outside the labels 0..{k - 1}")
    for what, names in (("task", votes.tasks), ("annotator", votes.annotators)):
        if len(set(names)) != len(names):
            raise ValueError(f"the name of one {what} occurs twice")
    at = _flat(list(gold))
    if len(at) and (at.min() < 0 or at.max() >= t):
        raise ValueError(f"the task of a known truth lies outside 0..{t - 1}")

    rows, people = _rank(votes.tasks), _rank(votes.annotators)
    known = np.full(t, -1, np.int64)
    known[rows[at]] = truths
    task, annotator = rows[task], people[annotator]
    order = np.lexsort((label, annotator, task))
    return (
        Ballots(task[order], annotator[order], label[order], sorted(votes.annotators), k, known),
        rows,
    )


def _flat(values: npt.ArrayLike) -> Ints:
    return np.asarray(values, np.int64).ravel()


def _rank(names: list[str]) -> Ints:
    """Return the position of each name among all names, sorted."""
    rank = np.empty(len(names), np.int64)
    rank[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    return rank
