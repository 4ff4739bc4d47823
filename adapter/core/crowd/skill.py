"""What is known of one annotator: accuracy with an interval, shrunk to what is assumed of people not yet known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

PRIOR_ACCURACY = 0.9
"""What is assumed of an annotator of whom nothing is known: people who take care are right nine times in ten."""
PRIOR_STRENGTH = 20.0
"""How many items that assumption is worth: the prior is Beta(18, 2). With 20 overlapping items the evidence weighs as
much as the prior; below that the estimate stays near it (in sparse overlap unshrunk skills do more harm than a plain
majority)."""

_INTERVAL = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class Skill:
    """One annotator's accuracy, with a 95 % credible interval. n: items on which it could be judged."""

    accuracy: float
    lower: float
    upper: float
    n: int


def beta_skills(names: Sequence[str], right: Doubles, unsure: Doubles, n: Doubles) -> dict[str, Skill]:
    """Return each annotator's skill.

    right: (m,) expected number of right answers among the n: (m,) judged ones. unsure: (m,) variance of `right`, which
    comes of truths that are themselves estimated (the sum of p (1 - p) over the judged votes, p the chance that the
    vote is right); 0 where the truth is known. Accuracy is the mean under Beta(18, 2); the interval is that of the Beta
    distribution with this mean whose variance holds both what few items and what uncertain truths leave open.
    """
    from scipy.special import betaincinv

    a = PRIOR_ACCURACY * PRIOR_STRENGTH + np.clip(right, 0.0, n)
    b = PRIOR_STRENGTH + n - a
    mean = a / (a + b)
    spread = mean * (1 - mean)
    variance = spread / (a + b + 1) + unsure / (a + b) ** 2
    # Beta with this mean and variance; never weaker than one item, however uncertain the truths.
    worth = np.maximum(spread / variance - 1, 1.0)
    lower, upper = (np.asarray(betaincinv(mean * worth, (1 - mean) * worth, share)) for share in _INTERVAL)
    lower, upper = np.minimum(lower, mean), np.maximum(upper, mean)
    return {
        who: Skill(float(mean[i]), float(lower[i]), float(upper[i]), round(float(n[i]))) for i, who in enumerate(names)
    }
