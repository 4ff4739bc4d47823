"""Snorkel 0.10's LabelModel, tamed: no global random state is left changed, no order of rows matters, no warnings."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from adapter.ports import Floats

MOST_ROWS = 200_000
"""Rows that the fit sees at most (it builds a dense one-hot matrix of 4 bytes x rows x functions x labels). Beyond it
each pattern of votes keeps its share; the standard error of a rate over 200,000 rows is .001."""

_STEP = 50_000  # patterns asked at a time, for the same reason


def fit_label_model(
    votes: npt.NDArray[np.int16],
    covered: npt.NDArray[np.bool_],
    k: int,
    *,
    class_balance: Sequence[float] | None,
    epochs: int,
    seed: int,
) -> Floats:
    """Fit on all rows of votes (n, m), -1 abstains, and return posteriors (c, k) of the c covered rows.

    The fit sees only how often each pattern of votes occurs, so it is done on the sorted patterns: the result is the
    same for every order of rows. Functions that never vote are left out. Raises ValueError when Snorkel cannot be
    fitted.
    """
    active = votes[:, (votes >= 0).any(axis=0)]
    if active.shape[1] < 3:
        raise ValueError(f"the label model needs at least 3 functions that vote, there are {active.shape[1]}")
    if k < 2:
        raise ValueError("the label model needs at least two labels")
    if class_balance is not None and (len(class_balance) != k or min(class_balance) <= 0):
        raise ValueError(f"the class balance needs {k} positive shares")
    patterns, which, counts = np.unique(active, axis=0, return_inverse=True, return_counts=True)
    which = which.reshape(-1)
    with _own_random_state(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Snorkel 0.10 on current torch and numpy: deprecations that users cannot mend
        from snorkel.labeling.model import LabelModel as Snorkel

        model = Snorkel(cardinality=k, verbose=False)
        try:
            model.fit(
                np.repeat(patterns, _scaled(counts), axis=0).astype(int),
                class_balance=None if class_balance is None else list(class_balance),
                n_epochs=epochs,
                seed=seed,
                progress_bar=False,
            )
            answers = np.concatenate(
                [
                    np.asarray(model.predict_proba(patterns[start : start + _STEP].astype(int)), dtype=np.float64)
                    for start in range(0, len(patterns), _STEP)
                ]
            )
        except Exception as error:  # it raises bare Exception when the loss is NaN
            raise ValueError(f"the label model could not be fitted: {error}") from error
    if not np.isfinite(answers[(patterns >= 0).any(axis=1)]).all():
        raise ValueError("the label model could not be fitted: it answers with NaN")
    return answers[which[covered]].astype(np.float32)


def _scaled(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return counts that sum to about MOST_ROWS at most, in proportion, none of them 0."""
    total = int(counts.sum())
    if total <= MOST_ROWS:
        return counts
    scaled: npt.NDArray[np.int64] = np.maximum(np.rint(counts * (MOST_ROWS / total)), 1).astype(np.int64)
    return scaled


@contextmanager
def _own_random_state() -> Iterator[None]:
    """Snorkel seeds the global generators of Python, numpy and torch; give them back as they were."""
    import torch

    mine, numpys, torchs = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(mine)
        np.random.set_state(numpys)
        torch.set_rng_state(torchs)
