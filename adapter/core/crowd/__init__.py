"""People's votes on a fixed list of labels into a consensus, with the skill of each person.

Votes of people and votes of functions need different treatment (see `core.weak`): people err by confusing
labels, seldom by keeping silent, so models of their confusion work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from adapter.errors import nearest
from adapter.ports import Floats
from adapter.vocabulary import JsonObject

from .adaptive import ask_more
from .blend import PARTS, blend
from .bradley_terry import strengths
from .choose import Fit, choose
from .crowdlab import crowdlab
from .dawid_skene import dawid_skene
from .fitted import Fitted
from .mace import mace
from .majority import majority
from .one_coin import one_coin
from .ordinal import ordinal as fit_ordinal
from .skill import PRIOR_ACCURACY, PRIOR_STRENGTH, Skill
from .votes import Ballots, CrowdConsensus, CrowdVotes, Ints, ballots
from .with_model import with_model

__all__ = [
    "CrowdVotes",
    "CrowdConsensus",
    "consolidate",
    "METHODS",
    "Skill",
    "PRIOR_ACCURACY",
    "PRIOR_STRENGTH",
    "with_model",
    "ask_more",
    "strengths",
]

METHODS: tuple[str, ...] = ("majority", "one-coin", "dawid-skene", "mace", "blend", "ordinal", "crowdlab")
"""What `consolidate` takes beside `auto`."""

COMPARED_ROUNDS = 50
"""Most EM steps of a fit that is only compared."""

_NOTHING: Mapping[int, int] = {}


def consolidate(
    votes: CrowdVotes,
    *,
    method: str = "auto",
    gold: Mapping[int, int] = _NOTHING,
    model: Floats | None = None,
    ordinal: bool = False,
    seed: int = 0,
) -> CrowdConsensus:
    """Return what the people say together, with the posterior of each task in the order of `votes.tasks`.

    method: `auto` or one of METHODS. gold: position of a task in `votes.tasks` to its true label, which is certain in
    the result, teaches each person's skill, and with 20 of them decides between the methods (by cross-validation); else
    `auto` is decided by how halves of the crowd predict each other, see `choose`. model: (t, k) *held-out*
    probabilities, NaN rows where there are none; used by `crowdlab` alone, which `auto` takes only if gold prefers it.
    ordinal: whether the labels have an order, so that `auto` also weighs the ordinal model. seed: of the
    folds and halvings by which `auto` compares; the methods draw nothing.

    Rows, tasks and people may come in any order: labels and posteriors do not change. No result is ever NaN. A million
    votes take seconds. Raises ValueError for an unknown method, votes or gold out of range, `crowdlab` without a model
    or without enough overlap.
    """
    if method != "auto" and method not in METHODS:
        raise ValueError(f"there is no consensus method '{method}'. {nearest(method, ('auto', *METHODS))}")
    cast, rows = ballots(votes, gold)
    fits: dict[str, Fit] = {"majority": majority, "one-coin": one_coin, "dawid-skene": dawid_skene, "mace": mace}
    by_model: dict[str, Fit] = {}
    if model is not None:
        by_model["crowdlab"] = partial(crowdlab, model=_in_order(model, rows, cast))
    table: tuple[JsonObject, ...] = ()
    if method == "auto":
        # Further starts and the last digits of convergence are left for the fit that speaks.
        quick: dict[str, Callable[..., Fitted]] = {"one-coin": one_coin, "dawid-skene": dawid_skene}
        quick["mace"] = partial(mace, informed=False)
        if ordinal and cast.k > 2:
            quick["ordinal"] = fit_ordinal
        compared: dict[str, Fit] = {"majority": majority}
        compared |= {name: partial(fit, rounds=COMPARED_ROUNDS) for name, fit in quick.items()}
        method, table = choose(cast, compared, by_model, seed=seed)
    elif method == "crowdlab" and not by_model:
        raise ValueError("crowdlab needs a model's held-out probabilities; train a model, or use dawid-skene")
    if method == "blend":
        fit = blend({name: fits[name](cast) for name in PARTS})
    else:
        fit = {**fits, "ordinal": fit_ordinal, **by_model}[method](cast)
    return CrowdConsensus(
        posterior=fit.posterior[rows],
        skill=cast.skills(fit.posterior),
        confusion=dict(zip(cast.names, fit.confusion, strict=True)) if len(fit.confusion) else {},
        method=method,
        table=table,
    )


def _in_order(model: Floats, rows: Ints, cast: Ballots) -> Floats:
    """Return the model's rows in the order of the ballots. Raises ValueError for another shape than (t, k)."""
    if model.shape != (cast.t, cast.k):
        raise ValueError(f"the model's probabilities are {model.shape}, the votes need {(cast.t, cast.k)}")
    ordered = np.empty_like(model)
    ordered[rows] = model
    return ordered
