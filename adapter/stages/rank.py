"""Rank: the tasks of the pool that people should see next, each with its reason."""

from __future__ import annotations

import time

import numpy as np

from adapter.core.blind import is_double
from adapter.core.priority import Candidates, compose, reason_text
from adapter.kinds import kind_of
from adapter.ports import Floats
from adapter.stages.context import Project
from adapter.stages.evidence import Judge, current_judge, people_labels, pool_probabilities, weak_probabilities
from adapter.stages.reports import RankReport
from adapter.vocabulary import Ranked

AHEAD = 3
"""Windows ranked ahead, so that a top-up between two rankings never runs dry."""


def rank(project: Project, *, size: int | None = None) -> RankReport:
    """Order the tasks that nobody has been asked for (in-place mode: that nobody has labelled) and store the
    ranking."""
    started = time.perf_counter()
    settings = project.settings
    judge = current_judge(project)
    index = project.store.tasks.index(project.name)
    open_rows = candidate_rows(project, index.duplicate_of >= 0, index.seq_of)
    uncertainty, basis = uncertainty_of(project, judge)
    wanted = size or AHEAD * settings.window.size
    if settings.mode == "in-place":
        wanted = max(wanted, len(open_rows))
    strategy = settings.rank.strategy

    def embed(rows: np.ndarray) -> Floats | None:
        if judge is None or not settings.rank.diversity:
            return None
        tasks = project.store.tasks.at(project.name, [int(seq) for seq in rows])
        return judge.bundle.embed([task.data for task in tasks])

    picks = compose(
        Candidates(
            seq=open_rows,
            ids=[str(index.ids[seq]) for seq in open_rows],
            blind=index.blind[open_rows],
            uncertainty=None if uncertainty is None or strategy == "random" else uncertainty[open_rows],
        ),
        size=wanted,
        blind=settings.blind,
        rank=settings.rank,
        embed=embed,
    )
    rows = [
        Ranked(
            task_id=str(index.ids[pick.seq]),
            seq=int(pick.seq),
            priority=number,
            reason=reason_text(pick),
            score=float(pick.score),
            blind=pick.blind,
            overlap=2 if pick.blind and is_double(str(index.ids[pick.seq]), settings.blind) else 1,
        )
        for number, pick in enumerate(picks, start=1)
    ]
    project.store.rankings.replace(project.name, rows, basis)
    return RankReport(len(rows), len(open_rows), sum(row.blind for row in rows), basis, time.perf_counter() - started)


def candidate_rows(project: Project, duplicate: np.ndarray, seq_of: dict[str, int]) -> np.ndarray:
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


def uncertainty_of(project: Project, judge: Judge | None) -> tuple[Floats | None, str]:
    """Return (n,) uncertainty over the pool and what it was made from: the model, else the weak labels, else nothing.

    Over several controls the greatest counts, since one person labels all of them at once. A row that the source cannot
    judge is as uncertain as can be.
    """
    strategy = project.settings.rank.strategy
    best: Floats | None = None
    basis = "nothing known yet"
    for control in project.space.controls:
        if judge is not None:
            probabilities, basis = pool_probabilities(project, judge, control), judge.version
        else:
            weak = weak_probabilities(project, control)
            if weak is None:
                continue
            basis, probabilities = weak
        scores = kind_of(control.kind).uncertainty(
            control, probabilities, strategy if strategy != "random" else "margin"
        )
        scores = np.nan_to_num(scores, nan=1.0).astype(np.float32)
        best = scores if best is None else np.maximum(best, scores)
    return best, basis
