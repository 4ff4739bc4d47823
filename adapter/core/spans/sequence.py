"""Several people's spans on text into one: Dawid and Skene's model over spans instead of tokens.

Token models lose recall and tear spans apart: somebody who overlooks a name of three words errs three times in them,
and each token gets a label of its own. Here a candidate span is judged as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adapter.core.crowd.skill import Skill, beta_skills
from adapter.core.spans.candidates import EXACT, MISSED, Candidates, Doubles, Ints, Marks, candidates

RECALL = 0.8
"""What is assumed of people: they mark eight in ten things that are there."""
PRECISION = 0.9
"""What is assumed of people: nine in ten of their marks stand for something."""
LABEL = 0.9
"""What is assumed of people: they name nine in ten things rightly."""
OWN = 20.0
"""Number of things that the crowd's habits are worth against a person's own."""
CROWD = 20.0
"""Number of things that these assumptions are worth against the crowd's habits."""
SURFACE_LABEL, SURFACE_THERE = 2.0, 5.0
"""Number of other places with the same words that the general shares of labels, and of existence, are worth."""
CORRELATION = 0.22
"""n people who judge the same words count as n ** (1 - CORRELATION) independent ones: what misleads one misleads
others. At this value the posteriors on `benchmarks.ner_crowd` are nearest to honest; F1 hardly depends on it."""

MOST_INVENTED = 0.5
"""Chance that a person marks what is nothing, at most, against that of marking what is something."""

_INVENTED = RECALL * (1 - PRECISION) / PRECISION  # where there are as many places that look like things as things
_HOW = np.array([0.85, 0.05, 0.07, 0.03])  # assumed shares of exact, longer, shorter and crossing marks
_WAYS = np.array([1.0, 8.0, 4.0, 8.0])  # in how many ways a mark of a few words can be so
_DENSITY = np.log(0.1)  # chance that a place holds a candidate, about one in ten words
_EXTRA = np.log(4e-3)  # chance of a mark that nothing explains; its label is any, all alike
_LONGEST_ODDS = 20.0  # most unmarked places that a marked one stands for
_ROUNDS, _TOLERANCE = 200, 1e-4


@dataclass(frozen=True)
class SpanConsensus:
    """What the people say together of each candidate span.

    line, start, end (c,): where. there (c,): probability that exactly this span is there. chances (c, k): of its label,
    given that it is. recall: (p,) share of things that each person marks. skill: of each person, over candidates:
    rightly left alone, or marked with right extent and label. confusion: (p, k, k), rows truth, columns said.
    """

    line: Ints
    start: Doubles
    end: Doubles
    there: Doubles
    chances: Doubles
    recall: Doubles
    skill: dict[str, Skill]
    confusion: Doubles


def consolidate_spans(marks: Marks, people: list[str], k: int) -> SpanConsensus:
    """Fit the model by EM.

    A candidate has one of k labels or is nothing, a place that looks like something. Person i marks it with a
    probability that depends on whether it is something; a mark has the right extent, is longer, shorter or crossing;
    it has a label by a confusion matrix (Dawid and Skene 1979, over spans; extents as categories after the sequence
    taggers of Nguyen et al. 2017 and Simpson and Gurevych 2019). Habits are shrunk to the crowd's, the crowd's to the
    assumptions above. Candidates of one stretch exclude each other: each set that does not overlap is weighed. The same
    words elsewhere count as prior for label and existence. What nobody marked is no candidate: each stands for
    1 / P(somebody marks it) places, as in capture and recapture (Horvitz and Thompson 1952). Candidates that only one
    person saw teach nothing, and are there as surely as that person's marks stand for something. people: p names; their
    order, and that of marks, does not matter.
    """
    found = candidates(marks)
    c = len(found.line)
    if not c:
        p = len(people)
        skill = beta_skills(people, np.zeros(p), np.zeros(p), np.zeros(p))
        even = np.repeat((LABEL * np.eye(k) + (1 - LABEL) / max(k - 1, 1) * (1 - np.eye(k)))[None], p, axis=0)
        none = np.zeros(0)
        return SpanConsensus(np.zeros(0, np.int64), none, none, none, np.zeros((0, k)), np.full(p, RECALL), skill, even)
    model = _Model(found, len(people), k)
    model.fit()
    right, unsure, n = model.judged()
    something = model.chances[:, :k].sum(axis=1)
    chances = model.chances[:, :k] / np.maximum(something, 1e-300)[:, None]
    return SpanConsensus(
        found.line,
        found.start,
        found.end,
        np.clip(model.used * something, 0.0, 1.0),
        chances,
        model.rate[:, 0],
        beta_skills(people, right, unsure, n),
        model.names[:, :k],
    )


class _Model:
    """EM over candidates. used (c,): chance that a candidate's extent is the right reading; chances (c, k + 1): of each
    label, the last for "nothing". rate (p, 2): chance to mark something, nothing. names (p, k + 1, k), how (p, 4)."""

    def __init__(self, found: Candidates, p: int, k: int) -> None:
        self.f, self.p, self.k, self.c = found, p, k, len(found.line)
        self.hit = found.row_how != MISSED
        asked = np.bincount(found.row_candidate, minlength=self.c)
        self.telling = (asked > 1) | (found.known != -1)
        self.weight = np.maximum(asked, 1.0) ** -CORRELATION
        self.stretches = int(found.set_stretch.max()) + 1
        hits = np.bincount(found.row_candidate[self.hit], minlength=self.c)
        exact = np.bincount(found.row_candidate[found.row_how == EXACT], minlength=self.c)
        # Where only one person was asked, a mark is explained: as something, or as nothing as often as people invent.
        empty = np.bincount(found.member_set, minlength=len(found.set_stretch)) == 0
        alone = np.zeros(self.stretches, bool)
        alone[found.set_stretch[found.member_set]] = asked[found.member] == 1
        self.excluded = empty & alone[found.set_stretch]
        self.used: Doubles = np.where(found.known == -1, exact / np.maximum(hits, 1), found.known >= 0)
        odds = np.where(self.hit, np.log(RECALL / _INVENTED), np.log((1 - RECALL) / (1 - _INVENTED)))
        against = np.bincount(found.row_candidate, weights=-odds, minlength=self.c)
        share = (1.0 / (1.0 + np.exp(np.clip(against, -50, 50))))[:, None]
        said = np.full((self.c, k), 0.1)
        np.add.at(said, (found.row_candidate[self.hit], found.row_label[self.hit]), 1.0)
        self.chances: Doubles = np.hstack([share * said / said.sum(axis=1, keepdims=True), 1 - share])
        self._fix()
        self.unseen: Doubles = np.ones((self.c, 2))

    def _fix(self) -> None:
        """Set what gold knows."""
        there = self.f.known >= 0
        self.chances[there] = np.eye(self.k + 1)[self.f.known[there]]
        self.used = np.where(there, 1.0, np.where(self.f.known < -1, 0.0, self.used))

    def _taught(self) -> tuple[Doubles, Doubles]:
        """Return how much each candidate tells of people (c,), and what it is (c, k + 1). What gold knows to be nothing
        tells what nothing looks like; another reading of a true span tells nothing."""
        nothing = self.f.known == -2
        load = np.where(nothing, 1.0, self.used) * self.telling
        return load, np.where(nothing[:, None], np.eye(self.k + 1)[self.k], self.chances)

    def fit(self) -> None:
        for _ in range(_ROUNDS):
            before = self.used * self.chances[:, : self.k].sum(axis=1)
            self._learn()
            self._judge()
            if np.abs(self.used * self.chances[:, : self.k].sum(axis=1) - before).max() < _TOLERANCE:
                break

    def _learn(self) -> None:
        """M step: habits of the crowd and of each person, shares of labels."""
        f, k, p, hit = self.f, self.k, self.p, self.hit
        load, chances = self._taught()
        mass = load[:, None] * chances
        full = np.hstack([mass[:, :k] * self.unseen[:, :1], mass[:, k:] * self.unseen[:, 1:]])
        something = np.stack([mass[:, :k].sum(axis=1), mass[:, k]])
        whole = np.stack([full[:, :k].sum(axis=1), full[:, k]])
        hits, seen = np.zeros((p, 2)), np.zeros((p, 2))
        for side in (0, 1):
            hits[:, side] = np.bincount(f.row_who[hit], weights=something[side][f.row_candidate[hit]], minlength=p)
            seen[:, side] = np.bincount(f.row_who, weights=whole[side][f.row_candidate], minlength=p)
        assumed = np.array([RECALL, _INVENTED])
        crowd = (hits.sum(axis=0) + CROWD * assumed) / (seen.sum(axis=0) + CROWD)
        rate = np.clip((hits + OWN * crowd) / (seen + OWN), 0.005, 0.995)
        # A mark always speaks for a thing: else "something" and "nothing" could change places.
        self.rate = np.stack([rate[:, 0], np.minimum(rate[:, 1], MOST_INVENTED * rate[:, 0])], axis=1)

        how = np.zeros((p, 4))
        np.add.at(how, (f.row_who[hit], f.row_how[hit]), load[f.row_candidate[hit]])
        pooled = how.sum(axis=0) + CROWD * _HOW
        how += OWN * pooled / pooled.sum()
        self.how = how / how.sum(axis=1, keepdims=True)

        names = np.zeros((p, k, k + 1))
        np.add.at(names, (f.row_who[hit], f.row_label[hit]), mass[f.row_candidate[hit]])
        names = names.transpose(0, 2, 1)
        eye = np.eye(k)
        careful = LABEL * eye + (1 - LABEL) / max(k - 1, 1) * (1 - eye) if k > 1 else np.ones((1, 1))
        pool = names.sum(axis=0) + CROWD * np.vstack([careful, np.full((1, k), 1 / k)])
        names = names + OWN * pool / pool.sum(axis=1, keepdims=True)
        self.names = names / names.sum(axis=2, keepdims=True)

        # As many places that are nothing as things, until the marks say otherwise.
        shares = full.sum(axis=0) + np.append(np.full(k, 10.0 / k), 10.0)
        self.mass, self.shares = mass, shares / shares.sum()

    def _prior(self) -> Doubles:
        """Return (c, k + 1) log shares, drawn to what the same words are elsewhere."""
        k = self.k
        known = np.flatnonzero(self.f.surface >= 0)
        log_shares = np.repeat(np.log(self.shares)[None], self.c, axis=0)
        if not len(known):
            return log_shares
        surface = self.f.surface[known]
        elsewhere = np.zeros((int(surface.max()) + 1, k + 1))
        np.add.at(elsewhere, surface, self.mass[known])
        others = np.maximum(elsewhere[surface] - self.mass[known], 0.0)
        things, there = others[:, :k], self.shares[:k].sum()
        label = (things + SURFACE_LABEL * self.shares[:k] / there) / (things.sum(axis=1) + SURFACE_LABEL)[:, None]
        exists = (things.sum(axis=1) + SURFACE_THERE * there) / (others.sum(axis=1) + SURFACE_THERE)
        log_shares[known] = np.log(np.hstack([label * exists[:, None], 1 - exists[:, None]]) + 1e-12)
        return log_shares

    def _judge(self) -> None:
        """E step: which labels, and which reading of each stretch."""
        f, k, hit = self.f, self.k, self.hit
        marked, missed = np.log(self.rate)[f.row_who], np.log1p(-self.rate)[f.row_who]
        drew = np.log(self.how / _WAYS)[f.row_who, np.maximum(f.row_how, 0)][:, None]
        drew = drew + np.log(self.names)[f.row_who, :, f.row_label]
        side = np.append(np.zeros(k, np.int64), 1)
        row = np.where(hit[:, None], marked[:, side] + drew, missed[:, side])
        score = np.zeros((self.c, k + 1))
        np.add.at(score, f.row_candidate, row)
        score = score * self.weight[:, None] + self._prior() + _DENSITY
        whole = np.logaddexp.reduce(score, axis=1)
        self.chances = np.exp(score - whole[:, None])

        reading = np.zeros(len(f.set_stretch))
        np.add.at(reading, f.member_set, whole[f.member])
        # As every other mark it has one of k labels: without that, the more labels there are, the less a mark would
        # speak for what it marks.
        reading += (_EXTRA - np.log(k)) * np.bincount(f.extra_set, minlength=len(reading))
        reading[self.excluded] = -np.inf
        best = np.full(self.stretches, -np.inf)
        np.maximum.at(best, f.set_stretch, reading)
        chance = np.exp(reading - best[f.set_stretch])
        chance /= np.bincount(f.set_stretch, weights=chance, minlength=self.stretches)[f.set_stretch]
        self.used = np.bincount(f.member, weights=chance[f.member_set], minlength=self.c).astype(np.float64)
        self._fix()

        unmarked = np.zeros((self.c, 2))
        np.add.at(unmarked, f.row_candidate, missed)
        self.unseen = np.minimum(1.0 / -np.expm1(unmarked), _LONGEST_ODDS)

    def judged(self) -> tuple[Doubles, Doubles, Doubles]:
        """Return of each person (p,): candidates treated rightly, its variance, and how many were judged."""
        f = self.f
        load, chances = self._taught()
        good = np.where(
            self.hit,
            np.where(f.row_how == EXACT, chances[f.row_candidate, f.row_label], 0.0),
            chances[f.row_candidate, self.k],
        )
        weight = load[f.row_candidate]
        sums = (weight * good, weight * good * (1 - good), weight)
        right, unsure, n = (np.bincount(f.row_who, weights=x, minlength=self.p).astype(np.float64) for x in sums)
        return right, unsure, n
