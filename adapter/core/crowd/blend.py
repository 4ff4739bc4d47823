"""The mean of several methods' opinions: where they agree it is sure, where they do not it says so."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .fitted import Fitted

PARTS = ("majority", "dawid-skene", "mace")
"""What is blended. Majority's shares are seldom near 0 or 1, so they decide where the two models contradict each other
and keep the blend from being surer than the votes allow."""


def blend(fitted: Mapping[str, Fitted]) -> Fitted:
    """Return the linear opinion pool of PARTS with equal weights (Stone 1961); its confusion is the mean of those that
    have one. fitted: method to its fit on the same votes. Raises ValueError where a part is missing."""
    missing = [name for name in PARTS if name not in fitted]
    if missing:
        raise ValueError(f"a blend lacks {', '.join(missing)}")
    parts = [fitted[name] for name in PARTS]
    confusions = [part.confusion for part in parts if len(part.confusion)]
    confusion = np.mean(confusions, axis=0) if confusions else parts[0].confusion
    return Fitted(np.mean([part.posterior for part in parts], axis=0), confusion)
