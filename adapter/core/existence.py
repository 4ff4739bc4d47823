"""Which of several people's marks stand for a thing that is there: existence decided by each person's precision and
recall, estimated from the marks themselves."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

PRECISION_PRIOR = (18.0, 2.0)
"""Beta prior of the share of a person's marks that stand for something: nine in ten, worth 20 marks."""
RECALL_PRIOR = (16.0, 4.0)
"""Beta prior of the share of things that a person marks: eight in ten, worth 20 things. People miss more than they
invent."""
_PLACES_PRIOR = 10.0  # how many things the assumption of one mistakable place a thing is worth
_SURE = 1e-6  # nobody is quite sure, else one mark could contradict itself
_INTERVAL = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class Existence:
    """A fitted model. posterior (c,): probability that each cluster stands for a thing. precision, recall (p,): each
    person's, posterior means; with 95 % credible intervals (p, 2), in which a mark counts as far as its existence is
    settled. marks (p,): marks by which the precision could be judged, 0 where it is the prior alone."""

    posterior: Doubles
    precision: Doubles
    recall: Doubles
    precision_interval: Doubles
    recall_interval: Doubles
    marks: npt.NDArray[np.int64]


def drawn_table(
    clusters: Sequence[tuple[Collection[str], Collection[str]]], people: Sequence[str]
) -> npt.NDArray[np.int8]:
    """Return `drawn` of `existence`, (c, p), from each cluster's people who were asked and those who marked it."""
    drawn = np.full((len(clusters), len(people)), -1, np.int8)
    column = {who: number for number, who in enumerate(people)}
    for row, (asked, marked) in enumerate(clusters):
        for who in column.keys() & set(asked):
            drawn[row, column[who]] = who in marked
    return drawn


def existence(
    drawn: npt.NDArray[np.int8], *, known: npt.NDArray[np.int8] | None = None, rounds: int = 500
) -> Existence:
    """Return how probable it is that each cluster of marks stands for a thing.

    drawn: (c, p), clusters by people: 1 drew it, 0 saw the task and did not, -1 was not asked. known: (c,) 1 there, 0
    not there, -1 unknown (from gold), default all unknown. The order of clusters and people does not matter.

    A thing is marked by person i with probability r_i (recall), and beside each thing there are m places that could be
    mistaken for one, each marked with probability f_i; precision is r_i / (r_i + m f_i). Given existence people err
    independently (Dawid and Skene 1979 for two classes). What nobody marked is not in the data: each cluster
    stands for 1 / (1 - P(nobody marks it)) such places, as in capture and recapture (Sanathanan 1972; Horvitz and
    Thompson 1952), else recall would come out too high. EM to the fixed point, with the priors above, m = 1 a priori
    and never fewer places than the most inventive person marks. A thing is as likely a priori as its rate says, so the
    posterior of the only person who was asked is that person's precision. Clusters that only one person could mark
    tell nothing of skill and change none. Of two people alone the marks cannot say who errs: the priors decide, and a
    third person is worth asking.
    """
    import scipy.sparse as sparse

    marks = np.asarray(drawn, np.int8)
    if marks.ndim != 2 or not np.isin(marks, (-1, 0, 1)).all():
        raise ValueError("drawn must be (clusters, people) of 1 (drew it), 0 (did not) and -1 (was not asked)")
    c, p = marks.shape
    fixed = np.full(c, -1, np.int8) if known is None else np.asarray(known, np.int8)
    if fixed.shape != (c,):
        raise ValueError(f"known must be ({c},), got {fixed.shape}")
    # equal rows share their fate: counting patterns makes the order of clusters irrelevant to the last bit
    rows, where, counts = np.unique(np.column_stack([marks, fixed]), axis=0, return_inverse=True, return_counts=True)
    patterns, given, n = rows[:, :p], rows[:, p], counts.astype(np.float64)
    hit, miss = sparse.csr_matrix(patterns == 1, dtype=float), sparse.csr_matrix(patterns == 0, dtype=float)
    asked = hit + miss
    telling = n * ((np.asarray(asked.sum(axis=1)).ravel() > 1) | (given >= 0))
    whole = (given == 1) | (np.asarray(asked.sum(axis=1)).ravel() == 0)  # in the data even if nobody marked it
    hits_told = np.asarray(hit.T @ telling)
    (pa, pb), (ra, rb) = PRECISION_PRIOR, RECALL_PRIOR

    precision: Doubles = np.full(p, pa / (pa + pb))
    recall: Doubles = np.full(p, ra / (ra + rb))
    places = 1.0
    there: Doubles = np.zeros(len(n))
    for _ in range(rounds):
        invented = recall * (1 - precision) / precision  # marks on nothing, a thing
        places = max(places, 1.25 * float(invented.max(initial=0.0)))
        false = np.clip(invented / places, _SURE, 1 - _SURE)
        log_there = hit @ np.log(recall) + miss @ np.log1p(-recall)
        log_not = np.log(places) + hit @ np.log(false) + miss @ np.log1p(-false)
        there = 1.0 / (1.0 + np.exp(np.clip(log_not - log_there, -700, 700)))
        there = np.where(given >= 0, given, there)
        # each cluster stands for itself and its share of the places that nobody marked; gold has all
        seen_there = np.where(whole, 1.0, -np.expm1(asked @ np.log1p(-recall)))
        seen_not = np.where(whole, 1.0, -np.expm1(asked @ np.log1p(-false)))
        weight_there, weight_not = telling * there, telling * (1 - there)
        all_there, all_not = weight_there / seen_there, weight_not / seen_not
        hits_there, things = np.asarray(hit.T @ weight_there), np.asarray(asked.T @ all_there)
        before = precision, recall
        precision = np.clip((pa + hits_there) / (pa + pb + hits_told), _SURE, 1 - _SURE)
        recall = np.clip((ra + hits_there) / (ra + rb + things), _SURE, 1 - _SURE)
        places = (_PLACES_PRIOR + float(all_not.sum())) / (_PLACES_PRIOR + float(all_there.sum()))
        if max(np.abs(precision - before[0]).max(initial=0), np.abs(recall - before[1]).max(initial=0)) < 1e-9:
            break
    # a mark is evidence of skill as far as its existence is settled
    settled = telling * (2 * there - 1) ** 2
    told, found = np.asarray(hit.T @ settled), np.asarray(asked.T @ (settled * there))
    return Existence(
        posterior=there[where.ravel()] if c else np.zeros(0),
        precision=precision,
        recall=recall,
        precision_interval=_interval(pa + precision * told, pb + (1 - precision) * told),
        recall_interval=_interval(ra + recall * found, rb + (1 - recall) * found),
        marks=hits_told.astype(np.int64),
    )


def _interval(a: Doubles, b: Doubles) -> Doubles:
    """Return the 95 % intervals (p, 2) of Beta(a, b)."""
    from scipy.special import betaincinv

    return np.stack([betaincinv(a, b, share) for share in _INTERVAL], axis=-1)
