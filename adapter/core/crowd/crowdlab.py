"""CROWDLAB: people's votes and a model's held-out probabilities, each weighed by how it agrees with the others."""

from __future__ import annotations

import numpy as np

from adapter.ports import Floats

from .fitted import Fitted
from .one_coin import one_coin
from .skill import Doubles
from .votes import Ballots, Bools, Ints

MOST_CELLS = 50_000_000
"""Cells of the dense table, tasks by annotators, that cleanlab needs (8 bytes each)."""


def crowdlab(ballots: Ballots, model: Floats) -> Fitted:
    """Return CROWDLAB's posterior where the model speaks and people voted, the one-coin model's elsewhere.

    model: (t, k) held-out probabilities, NaN rows where there are none. Weights are cleanlab's; the posterior is the
    weighted mean of the model's row and of each vote, spread as CROWDLAB spreads it. An annotator without votes on
    these tasks (cleanlab fails on one) stays out; one who contradicted themselves on a task is not heard there. Source:
    Goh, Tkachenko and Mueller 2022, section 3. Raises ValueError, saying why, where too little overlaps or the table
    would be too large.
    """
    fallback = one_coin(ballots)
    chances = np.asarray(model, np.float64)
    finite: Bools = np.asarray(np.isfinite(chances).all(axis=1))
    once = np.flatnonzero(ballots.weight == 1.0)
    on = once[finite[ballots.task[once]]]
    rows, row = np.unique(ballots.task[on], return_inverse=True)
    people, person = np.unique(ballots.annotator[on], return_inverse=True)
    if len(people) < 2 or not (np.bincount(row, minlength=len(rows)) > 1).any():
        raise ValueError("CROWDLAB needs tasks with a model's probabilities and at least two people's votes")
    if len(rows) * len(people) > MOST_CELLS:
        raise ValueError(
            f"CROWDLAB's table of {len(rows):,} tasks by {len(people):,} annotators passes {MOST_CELLS:,} cells; "
            "use dawid-skene, and `with_model` for the model's opinion"
        )
    own = np.clip(chances[rows], 1e-9, None)
    own /= own.sum(axis=1, keepdims=True)
    weighed = _weigh(row, person, ballots.label[on], own, ballots.k)
    posterior = fallback.posterior.copy()
    posterior[rows] = weighed
    return Fitted(ballots.fix(posterior), np.zeros((0, ballots.k, ballots.k)))


def _weigh(row: Ints, person: Ints, label: Ints, own: Doubles, k: int) -> Doubles:
    """Return the posterior (rows, k) by cleanlab's weights."""
    from cleanlab.multiannotator import get_label_quality_multiannotator

    table = np.full((len(own), int(person.max()) + 1), np.nan)
    table[row, person] = label
    found = get_label_quality_multiannotator(
        table, own, return_detailed_quality=False, return_annotator_stats=False, return_weights=True, verbose=False
    )
    weights, said = np.asarray(found["annotator_weight"]), ~np.isnan(table)
    agreement = found["label_quality"]["annotator_agreement"].to_numpy(np.float64)
    right = float(agreement[said.sum(axis=1) != 1].mean())
    wrong = (1 - right) / (k - 1)
    heard = np.bincount(row, weights=weights[person], minlength=len(own))
    voted = np.bincount(row * k + label, weights=weights[person], minlength=len(own) * k).reshape(len(own), k)
    spread = wrong * heard[:, None] + (right - wrong) * voted
    total = float(found["model_weight"]) * own + spread
    return np.asarray(total / total.sum(axis=1, keepdims=True))
