"""Snorkel's own label model, as it is: the reference that `label_model` equals, and the way to its other options.

It takes Snorkel's time and memory (2.8 GB for 1,000,000 rows x 30 functions x 4 labels, and 5 s to import).
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.core.weak.base import ABSTAIN, Labels, WeakVotes
from adapter.core.weak.label_model import DEFAULTS, Settings, checked, voting_functions
from adapter.ports import Floats

_STEP = 50_000  # rows asked at a time: Snorkel makes a dense one-hot matrix of them


@dataclass(frozen=True, slots=True, eq=False)
class FittedSnorkel:
    """A fitted `snorkel.labeling.model.LabelModel`. voting: (m,) the functions it was fitted to."""

    model: Any
    voting: npt.NDArray[np.bool_]

    def predict(self, votes: WeakVotes) -> Floats:
        """Return its posteriors, float32 (n, k); NaN rows where nobody votes.

        Raises ValueError when it answers with NaN: it multiplies probabilities without care for underflow.
        """
        out = np.full((len(votes.votes), votes.k), np.nan, np.float32)
        covered = np.flatnonzero(votes.covered)
        for start in range(0, len(covered), _STEP):
            rows = covered[start : start + _STEP]
            said = np.maximum(votes.votes[rows][:, self.voting], ABSTAIN).astype(int)
            with np.errstate(all="ignore"):
                out[rows] = self.model.predict_proba(said)
        if not np.isfinite(out[covered]).all():
            raise ValueError("Snorkel's label model answers with NaN")
        return out


@dataclass(frozen=True, slots=True)
class SnorkelLabelModel:
    """Fits Snorkel's own class with these settings. more: further ones of its train config, such as `optimizer`."""

    settings: Settings = DEFAULTS
    more: Mapping[str, Any] = field(default_factory=dict, hash=False)
    name: str = "snorkel"
    learns: bool = False

    def fit(self, votes: WeakVotes, labels: Labels, *, balance: Floats | None = None, seed: int = 0) -> FittedSnorkel:
        """Learn from all votes; labels and balance have no effect. Raises ValueError as `LabelModel.fit` does."""
        settings, voting = self.settings, voting_functions(votes)
        checked(settings, votes, voting)
        start = settings.prec_init
        with own_random_state(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Snorkel on current torch and numpy: deprecations that users cannot mend
            from snorkel.labeling.model import LabelModel as Snorkel

            model = Snorkel(cardinality=votes.k, verbose=False)
            try:
                model.fit(
                    np.maximum(votes.votes[:, voting], ABSTAIN).astype(int),
                    class_balance=None if settings.class_balance is None else list(settings.class_balance),
                    n_epochs=settings.n_epochs,
                    lr=settings.lr,
                    l2=settings.l2,
                    prec_init=start if isinstance(start, (int, float)) else np.asarray(start)[voting],
                    mu_eps=settings.mu_eps,
                    seed=seed,
                    progress_bar=False,
                    **self.more,
                )
            except Exception as error:  # it raises bare Exception when the loss is NaN
                raise ValueError(f"Snorkel's label model could not be fitted: {error}") from error
        return FittedSnorkel(model, voting)


@contextmanager
def own_random_state() -> Iterator[None]:
    """Snorkel seeds the global generators of Python, numpy and torch; give them back as they were."""
    import torch

    ours, arrays, tensors = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(ours)
        np.random.set_state(arrays)
        torch.set_rng_state(tensors)
