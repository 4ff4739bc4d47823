"""Rank: the tasks of the pool that people should see next, each with its reason."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from adapter.core.blind import draws, is_double
from adapter.core.judging import deciding_shares, judged, pick_judging
from adapter.core.priority import RANDOM, Candidates, compose, ordered, reason_text
from adapter.core.strategies import Strategy
from adapter.core.strategies import get as strategy_named
from adapter.kinds import label_kind_of
from adapter.ports import Floats
from adapter.stages.context import Project
from adapter.stages.evidence import Judge, current_judge, people_labels
from adapter.stages.found_regions import pool_doubt
from adapter.stages.function_votes import function_votes
from adapter.stages.joint import Joint, joint
from adapter.stages.rank_knowledge import (
    embedded,
    knowledge,
    labelled_vectors,
    newest_labels,
    pool_alignment,
    strategies_of,
)
from adapter.stages.reports import RankReport
from adapter.stages.weak import labels_of
from adapter.vocabulary import Control, Ranked

Rows: TypeAlias = npt.NDArray[np.int64]

FADED = 0.05
"""Share of what a label tells of functions that were never judged, under which none is asked for that sake: after six
labels of a function that was always right, ten of one that is wrong three times in ten."""
AHEAD = 3
"""Windows ranked ahead, so that a top-up between two rankings never runs dry."""


AGAIN_NOTE = "rank_again"
"""Note of a project: labelled tasks that the strategy would rather have labelled once more than a new one."""


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What is known of the pool before people look. uncertainty: (n,) over all controls; None while nothing judges.
    covered: (n,) whether any labeling function spoke; None once a model judges. basis: what it was made from. leads:
    the control that is most uncertain on the whole, whose probabilities strategies get; found: what machines say of
    it."""

    uncertainty: Floats | None
    covered: npt.NDArray[np.bool_] | None
    basis: str
    leads: Control | None = None
    found: Joint | None = None


def rank(project: Project, *, size: int | None = None, hurry: bool = False) -> RankReport:
    """Order the tasks that nobody has been asked for (in-place mode: that nobody has labelled) and store the
    ranking. hurry: at random and at once, for people who wait while a better order is being made."""
    started = time.perf_counter()
    settings = project.settings
    strategy, cold_start = strategies_of(project)
    judge = None
    if hurry:
        strategy = cold_start = strategy_named(RANDOM)
    else:
        judge = current_judge(project)
    index = project.store.tasks.index(project.name)
    open_rows = candidate_rows(project, index.duplicate_of >= 0, index.seq_of)
    known = Known(None, None, "drawn at random, in a hurry") if hurry else known_of(project, judge, strategy)
    shown = [p for p in project.store.ledger.placements(project.name) if settings.mode == "window" or p.done]
    wanted = size or AHEAD * settings.window.size
    if settings.mode == "in-place":
        wanted = max(wanted, len(open_rows))

    def embed(rows: Rows) -> Floats | None:
        examples = [task.data for task in project.store.tasks.at(project.name, [int(seq) for seq in rows])]
        return embedded(project, judge, examples)

    candidates = _candidates(project, judge, known, open_rows, wanted, strategy, cold_start)
    chosen = ordered(
        candidates,
        size=wanted,
        rank=settings.rank,
        strategy=strategy,
        cold_start=cold_start,
        embed=None if hurry else embed,
        batch=settings.window.size,
    )
    picks = compose(
        candidates,
        size=wanted,
        blind=settings.blind,
        rank=settings.rank,
        chosen=chosen,
        batch=settings.window.size,
        placed=len(shown),
        placed_blind=sum(placement.blind for placement in shown),
    )
    rows = [
        Ranked(
            task_id=str(index.ids[pick.seq]),
            seq=int(pick.seq),
            priority=number,
            reason=reason_text(pick),
            score=float(pick.score),
            blind=pick.blind,
            overlap=max(
                settings.window.overlap,
                2 if pick.blind and is_double(str(index.ids[pick.seq]), settings.blind) else 1,
            ),
            why=f"{pick.why}: {pick.said}" if pick.said else pick.why,
        )
        for number, pick in enumerate(picks, start=1)
    ]
    project.store.rankings.replace(project.name, rows, known.basis)
    project.store.projects.note(project.name, AGAIN_NOTE, list(chosen.again) or None)
    return RankReport(
        ranked=len(rows),
        candidates=len(open_rows),
        blind=sum(row.blind for row in rows),
        basis=known.basis,
        seconds=time.perf_counter() - started,
        strategy=chosen.name,
        note=chosen.why,
        blend=dict(Counter(pick.why for pick in picks)),
    )


def _candidates(
    project: Project,
    judge: Judge | None,
    known: Known,
    open_rows: Rows,
    wanted: int,
    strategy: Strategy,
    cold_start: Strategy,
) -> Candidates:
    """Return what may be ranked, with all that the strategy looks at."""
    index, settings = project.store.tasks.index(project.name), project.settings
    chance = settings.rank.strategy == "random"
    found, leads = known.found, known.leads
    pairs = pool_alignment(project, judge) if "alignment" in (strategy.name, cold_start.name) else None
    control = leads or next(iter(project.learned), None)
    near = control is not None and (strategy if known.uncertainty is not None else cold_start).vectors
    labels = newest_labels(project, control) if control is not None and (near or leads is not None) else {}
    further = knowledge(project, leads, labels, strategy)
    if near:
        further["labelled"] = labelled_vectors(project, judge, labels)
    committee = {}
    if found is not None:
        voices = {"functions": found.functions, "model": found.model}
        committee = {name: said[open_rows] for name, said in voices.items() if said is not None}
    return Candidates(
        seq=open_rows,
        ids=[str(index.ids[seq]) for seq in open_rows],
        blind=index.blind[open_rows],
        uncertainty=None if known.uncertainty is None or chance else known.uncertainty[open_rows],
        covered=None if known.covered is None else known.covered[open_rows],
        judging=judging_rows(project, open_rows, index.blind, wanted),
        probabilities=None if found is None or chance else found.together[open_rows],
        committee=committee,
        alignment=None if pairs is None else pairs[open_rows],
        knowledge=further,
        regions=known.uncertainty is not None and leads is None,
    )


def candidate_rows(project: Project, duplicate: npt.NDArray[np.bool_], seq_of: dict[str, int]) -> Rows:
    """Return the seqs that may be ranked: no copies of other tasks, and nothing that people were asked for already."""
    free = ~duplicate
    placements = project.store.ledger.placements(project.name)
    if project.settings.mode == "in-place":
        free &= False
        for placement in placements:
            if not placement.done and not placement.gone:
                free[seq_of[placement.task_id]] = True
        return np.flatnonzero(free)
    for task_id in [p.task_id for p in placements if not p.gone] + [
        i.task_id for i in project.store.ledger.pending(project.name)
    ]:
        free[seq_of[task_id]] = False
    for control in project.space.controls:
        for task_id in people_labels(project, control):
            if task_id in seq_of:
                free[seq_of[task_id]] = False
    return np.flatnonzero(free)


def judging_rows(project: Project, open_rows: Rows, blind: npt.NDArray[np.bool_], wanted: int) -> Rows | None:
    """Return positions in `open_rows` of the tasks outside the blind sample whose labels would tell most about the
    labeling functions, best first; None where there are no functions or the policy gives them no share. With several
    controls: those of the one whose functions are judged least."""
    settings = project.settings.rank
    count = math.ceil(settings.judging_share * wanted)
    if not count or settings.strategy == "random":
        return None
    free = np.flatnonzero(~blind[open_rows])
    here = open_rows[free]
    order: npt.NDArray[np.float64] | None = None
    least: tuple[float, Rows] | None = None
    for control in project.learned:
        found = function_votes(project, control)
        if not found.names:
            continue
        if order is None:  # of a hash of every open task: not without functions to judge, and once for all controls
            ids = project.store.tasks.index(project.name).ids
            order = draws((str(ids[seq]) for seq in here), settings.seed, "judging")
        learn, inside = labels_of(project, control)
        rows = np.concatenate([learn.rows, inside.rows])
        asked, right = judged(found.votes, rows, np.concatenate([learn.targets, inside.targets]))
        picks = pick_judging(
            found.votes[here],
            asked,
            right,
            count,
            order=order,
            multiple=control.multiple,
            weights=deciding_shares(found.votes),
            least=FADED,
        )
        if least is None or asked.mean() < least[0]:
            least = (float(asked.mean()), free[picks.rows])
    return None if least is None else least[1]


def known_of(project: Project, judge: Judge | None, strategy: Strategy) -> Known:
    """Return what machines know of the pool: functions and model together (see `stages.joint`), one of them, or
    nothing.

    Over several controls the greatest uncertainty counts, since one person labels all of them at once; for regions it
    is that of the most doubtful one. A row that the source cannot judge is as uncertain as can be.
    """
    best: Floats | None = None
    covered: npt.NDArray[np.bool_] | None = None
    basis = "nothing known yet"
    leads: tuple[float, Control, Joint] | None = None
    for control in project.learned:
        found = joint(project, control, judge)
        if found is None:
            continue
        basis = found.basis
        if found.model is None:
            covered = found.covered if covered is None else np.asarray(covered & found.covered, bool)
        scores = label_kind_of(control).uncertainty(control, found.together, strategy.measure)
        scores = np.nan_to_num(scores, nan=1.0).astype(np.float32)
        best = scores if best is None else np.maximum(best, scores)
        level = float(scores.mean()) if len(scores) else 0.0
        if leads is None or level > leads[0]:
            leads = (level, control, found)
    for control in project.marked:
        if judge is None or control.name not in judge.bundle.labels:
            continue
        basis = judge.version
        doubts = np.nan_to_num(pool_doubt(project, judge, control), nan=1.0).astype(np.float32)
        best = doubts if best is None else np.maximum(best, doubts)
    if leads is None:
        return Known(best, None, basis)
    return Known(best, None if judge is not None else covered, basis, leads[1], leads[2])
