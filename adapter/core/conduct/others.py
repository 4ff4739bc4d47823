"""What everybody else says of a task: the leave-one-out view that one annotator is judged by.

A person compared with a consensus that holds their own vote agrees with themselves. So the crowd is fitted once, and
from each task's log posterior the evidence of exactly the judged vote (for a pair: of both votes) is taken out again.
What is left depends on that person only through the confusion matrices of the others, which are fitted on all tasks;
`benchmarks.conduct` shows how little that is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from adapter.core.crowd.dawid_skene import class_shares, dawid_skene
from adapter.core.crowd.skill import Doubles
from adapter.core.crowd.votes import Ballots

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Others:
    """A fitted crowd, out of which single votes can be taken. confusion: (m, k, k) annotator, truth, said. known_by:
    (t,) index of the annotator from whom a task's known truth comes, or -1: they are not judged by it."""

    ballots: Ballots
    confusion: Doubles
    prior: Doubles
    known_by: Ints

    @cached_property
    def scores(self) -> Doubles:
        """(t, k) log probability of each truth together with all votes on the task, known truths left aside."""
        return self.ballots.scores(np.log(self.confusion), np.log(self.prior))

    @cached_property
    def evidence(self) -> Doubles:
        """(v, k) what each vote adds to its task's scores."""
        return np.asarray(np.log(self.confusion[self.ballots.annotator, :, self.ballots.label]))

    @cached_property
    def typical(self) -> Doubles:
        """(k, k) how the crowd confuses labels: rows truth, columns said, each cell the median over people weighted by
        their votes, rows made to sum to 1. A minority that answers without looking does not move it."""
        if not len(self.confusion):
            return np.eye(self.ballots.k)
        votes = np.bincount(self.ballots.annotator, minlength=self.ballots.m).astype(np.float64)
        order = np.argsort(self.confusion, axis=0)
        half = np.cumsum(votes[order], axis=0) >= votes.sum() / 2
        middle = np.take_along_axis(order, half.argmax(axis=0)[None], axis=0)
        cells = np.take_along_axis(self.confusion, middle, axis=0)[0]
        return np.asarray(cells / cells.sum(axis=1, keepdims=True))

    def without(self, *votes: Ints) -> Doubles:
        """Return the truth's distribution (n, k) given everybody but these votes. votes: one or two arrays (n,) of
        positions of votes, those at the same place being of one task."""
        task = self.ballots.task[votes[0]]
        scores = self.scores[task]
        for each in votes:
            scores = scores - self.evidence[each]
        scores -= scores.max(axis=1, keepdims=True)
        chances: Doubles = np.exp(scores)
        chances /= chances.sum(axis=1, keepdims=True)
        at = np.flatnonzero(self.knows(*votes))
        chances[at] = 0.0
        chances[at, self.ballots.known[task[at]]] = 1.0
        return chances

    def knows(self, *votes: Ints) -> Bools:
        """(n,) whether the truth of each task is known from somebody else."""
        task = self.ballots.task[votes[0]]
        known: Bools = self.ballots.known[task] >= 0
        for each in votes:
            known &= self.known_by[task] != self.ballots.annotator[each]
        return known

    def heard(self, *votes: Ints) -> Bools:
        """(n,) whether anybody else says something of each task."""
        task = self.ballots.task[votes[0]]
        return np.asarray((self.ballots.people_per_task[task] > len(votes)) | self.knows(*votes))


def others(ballots: Ballots, known_by: Ints | None = None) -> Others:
    """Fit the crowd (Dawid and Skene with pooled priors, see `core.crowd.dawid_skene`): the model in which somebody who
    answers without looking counts for nothing. ballots: one vote for each annotator and task."""
    fit = dawid_skene(ballots)
    by = np.full(ballots.t, -1, np.int64) if known_by is None else known_by
    return Others(ballots, fit.confusion, class_shares(fit.posterior, ballots), by)
