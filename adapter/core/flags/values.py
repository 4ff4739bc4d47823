"""Reasons to doubt one person's number, rating or text, by how far it is from what the others said."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FAR = 4.0
"""Robust standard deviations of all residuals beyond which a number is far off."""
FARTHEST_USUAL = 0.5
"""Distance of texts from which one is far off, however unlike people's texts usually are."""
_FEWEST = 5


def far_off(numbers: npt.ArrayLike, predictions: npt.ArrayLike, spread: npt.ArrayLike, near: float) -> Doubles:
    """Return (n,) how doubtful each number is: 0 not at all, else .5 (just far off) to 1.

    numbers: what a person said. predictions: what the others say together, without this person. spread: how far the
    others are apart. near: distance within which two numbers are the same. A number is far off if its residual is
    beyond FAR robust standard deviations (1.4826 times the median absolute deviation, Leys et al. 2013) of all
    residuals, beyond `near`, and beyond the spread of the others, who else are no measure. The order of the doubtful is
    that of cleanlab's regression scores (`residual`, on residuals in robust standard deviations).
    """
    said, expected, apart = (np.asarray(x, np.float64) for x in (numbers, predictions, spread))
    if not len(said):
        return np.zeros(0)
    off = np.abs(said - expected)
    unit = max(1.4826 * float(np.median(off)), near / 2, 1e-300)
    far = (off > FAR * unit) & (off > near) & (off > apart)
    if len(said) < _FEWEST:
        far &= off > 2 * np.maximum(near, apart)
    if not far.any():
        return np.zeros(len(said))
    from cleanlab.regression.rank import get_label_quality_scores

    # twice the last row: cleanlab refuses a single one
    rows = [np.append(x, x[-1]) / unit for x in (said, expected)]
    quality = get_label_quality_scores(*rows, method="residual")[:-1]
    return np.where(far, 1.0 - 0.5 * np.clip(quality * np.exp(FAR), 0, 1), 0.0)


def unlike(distance: npt.ArrayLike, within: npt.ArrayLike) -> Bools:
    """Return (n,) whether a value is unlike what the others said. distance: to it, 0 to 1. within: greatest distance of
    the others among themselves. Unlike is at least FARTHEST_USUAL, beyond what is usual (median and three robust
    standard deviations, at most .9), and more than the others are among themselves."""
    far, apart = np.asarray(distance, np.float64), np.asarray(within, np.float64)
    if not len(far):
        return np.zeros(0, np.bool_)
    middle = float(np.median(far))
    usual = min(max(middle + 3 * 1.4826 * float(np.median(np.abs(far - middle))), FARTHEST_USUAL), 0.9)
    return (far >= usual) & (far > apart)
