"""More boxes like one that a person has drawn: places in the image that look the same, without any training."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from adapter.ports import Floats
from backends.detection_boxes import strongest

LEAST = 0.55
"""Correlation from which a place looks the same."""
MOST = 30
FLAT = 4.0
"""Standard deviation of grey levels below which a template has nothing to be recognised by."""


def lookalikes(pixels: npt.NDArray[np.uint8], box: npt.NDArray[np.float64]) -> tuple[Floats, Floats]:
    """Return boxes (m, 4) of the size of `box` (left, top, right, bottom in pixels) and scores (m,) in 0..1, strongest
    first, the place itself left out: normalised cross-correlation in colour (Lewis 1995, "Fast Normalized
    Cross-Correlation"), also with the template mirrored and turned about."""
    from scipy.signal import fftconvolve

    image = np.asarray(pixels, np.float64)
    left, top, right, bottom = np.round(box).astype(int)
    left, top = max(left, 0), max(top, 0)
    template = image[top:bottom, left:right]
    height, width = template.shape[:2]
    none = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    if min(height, width) < 4 or template.std() < FLAT or 2 * height * width > image.shape[0] * image.shape[1]:
        return none
    count = template.size
    image = image - image.mean()
    ones = np.ones((height, width, 1))
    total = fftconvolve(image, ones, mode="valid", axes=(0, 1)).sum(axis=2)
    squares = fftconvolve(image**2, ones, mode="valid", axes=(0, 1)).sum(axis=2)
    spread = np.sqrt(np.maximum(squares - total**2 / count, 1e-6))
    best = np.full(total.shape, -1.0)
    for turned in (template, template[::-1], template[:, ::-1], template[::-1, ::-1]):
        centred = turned - turned.mean()
        match = fftconvolve(image, centred[::-1, ::-1], mode="valid", axes=(0, 1)).sum(axis=2)
        likeness = match / (spread * np.sqrt((centred**2).sum()))
        np.maximum(best, np.where(spread > FLAT * np.sqrt(count), likeness, -1.0), out=best)
    order = np.argsort(-best, axis=None, kind="stable")[: 50 * MOST]
    order = order[best.ravel()[order] >= LEAST]
    y, x = np.unravel_index(order, best.shape)
    found = np.stack([x, y, x + width, y + height], axis=1).astype(np.float32)
    scores = np.clip(best.ravel()[order], 0, 1).astype(np.float32)
    kept = strongest(found, scores, np.zeros(len(found), np.int64), 0.3)
    own = np.abs(found[kept] - [left, top, left + width, top + height]).max(axis=1) < 0.3 * min(height, width)
    kept = kept[~own][:MOST]
    return found[kept], scores[kept]
