"""What the kinds of painted regions share: masks of pixels, how they overlap, and what several of them stand for.

A mask is kept packed, eight pixels to a byte, and cut to the box around its paint, so that many large ones fit.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.kinds.base import Region
from adapter.kinds.families.plane import Doubles, alike, by_weight, turned
from adapter.kinds.families.regions import Regions

MOST_PIXELS = 50_000_000
"""Pixels that a picture may have for its masks to be read."""
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Mask:
    """A painted area. height, width: of the picture. top, left, rows, columns: the box around the paint, 0 rows without
    any. bits: its pixels, packed, row by row. area: painted pixels."""

    height: int
    width: int
    top: int
    left: int
    rows: int
    columns: int
    bits: bytes
    area: int

    @classmethod
    def of(cls, pixels: Bools) -> Mask:
        """Pack the pixels (height, width) of a picture."""
        height, width = pixels.shape
        down, across = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
        if not len(down):
            return cls(height, width, 0, 0, 0, 0, b"", 0)
        box = pixels[down[0] : down[-1] + 1, across[0] : across[-1] + 1]
        rows, columns = box.shape
        bits = np.packbits(box).tobytes()
        return cls(height, width, int(down[0]), int(across[0]), rows, columns, bits, int(box.sum()))

    def pixels(self, top: int, left: int, bottom: int, right: int) -> Bools:
        """Return the pixels of a window that holds the whole box."""
        window = np.zeros((bottom - top, right - left), np.bool_)
        flat = np.unpackbits(np.frombuffer(self.bits, np.uint8), count=self.rows * self.columns)
        box = flat.reshape(self.rows, self.columns).astype(np.bool_)
        down, across = self.top - top, self.left - left
        window[down : down + self.rows, across : across + self.columns] = box
        return window

    def whole(self) -> Bools:
        """Return all pixels of the picture, (height, width)."""
        return self.pixels(0, 0, self.height, self.width)


def window_of(masks: Sequence[Mask]) -> tuple[int, int, int, int]:
    """Return the box around all paint: top, left, bottom, right."""
    painted = [mask for mask in masks if mask.area]
    return (
        min((mask.top for mask in painted), default=0),
        min((mask.left for mask in painted), default=0),
        max((mask.top + mask.rows for mask in painted), default=0),
        max((mask.left + mask.columns for mask in painted), default=0),
    )


def mask_iou(a: Mask, b: Mask) -> float:
    """Return the intersection over union of the pixels; 0 for pictures of different sizes, and without any paint."""
    if (a.height, a.width) != (b.height, b.width) or not a.area or not b.area:
        return 0.0
    top, left = max(a.top, b.top), max(a.left, b.left)
    bottom, right = min(a.top + a.rows, b.top + b.rows), min(a.left + a.columns, b.left + b.columns)
    if top >= bottom or left >= right:
        return 0.0
    window = window_of([a, b])
    common = int(np.count_nonzero(a.pixels(*window) & b.pixels(*window)))
    return common / (a.area + b.area - common)


def mask_majority(masks: Sequence[Mask], weights: Sequence[float]) -> Mask:
    """Return the pixels that more than half of the weight covers. Where exactly half does, as always between two
    people, the mean signed distance to the borders decides, so the border runs half way between theirs (shape-based
    interpolation, Raya and Udupa 1990)."""
    top, left, bottom, right = window_of(masks)
    window = (max(top - 1, 0), max(left - 1, 0), min(bottom + 1, masks[0].height), min(right + 1, masks[0].width))
    shares = np.asarray(weights, np.float64)
    if not shares.sum() > 0:
        shares = np.ones(len(masks))
    shares = shares / shares.sum()
    layers = [mask.pixels(*window) for mask in masks]
    covered: Doubles = np.zeros(layers[0].shape)
    for layer, share in zip(layers, shares, strict=True):
        covered += share * layer
    chosen = covered > 0.5 + 1e-9
    tied = np.abs(covered - 0.5) <= 1e-9
    if tied.any():
        distance = sum(share * _signed(layer) for layer, share in zip(layers, shares, strict=True))
        chosen |= tied & (distance > 0)
    pixels = np.zeros((masks[0].height, masks[0].width), np.bool_)
    pixels[window[0] : window[2], window[1] : window[3]] = chosen
    return Mask.of(pixels)


def _signed(layer: Bools) -> Doubles:
    """Distance of each pixel to the border, above 0 inside."""
    from scipy.ndimage import distance_transform_edt

    inside: Doubles = distance_transform_edt(layer)
    outside: Doubles = distance_transform_edt(~layer)
    return inside - outside


class Masks(Regions):
    """Base of the kinds whose regions are painted."""

    object_tags = ("Image",)
    noun = "mask"

    @abstractmethod
    def mask(self, region: Region) -> Mask:
        """Return the painted pixels of a checked region."""

    @abstractmethod
    def painted(self, mask: Mask) -> dict[str, Any]:
        """Return Label Studio's value of a mask; the inverse of `mask`."""

    @staticmethod
    def same_page(a: Region, b: Region) -> bool:
        """As for all regions; and never on pictures of which only one was turned."""
        return Regions.same_page(a, b) and turned(a) == turned(b)

    def overlap(self, a: Region, b: Region) -> float:
        """Return the intersection over union of the pixels, 0 to 1."""
        return mask_iou(self.mask(a), self.mask(b)) if self.same_page(a, b) else 0.0

    def fuse(self, regions: Sequence[Region], weights: Sequence[float]) -> dict[str, Any]:
        """Return the pixels that most of the weight covers (see `mask_majority`); the heaviest mark's, where there are
        none, and where the marks are of pictures of different sizes."""
        ordered = by_weight(regions, weights)
        first = dict(ordered[0][0]["value"])
        masks = [self.mask(region) for region, _ in ordered]
        if alike(regions) or len({(mask.height, mask.width) for mask in masks}) > 1:
            return first
        fused = mask_majority(masks, [weight for _, weight in ordered])
        return self.painted(fused) if fused.area else first

    def where(self, region: Region) -> str:
        """Say where the box around the paint lies and how large it is, in percent."""
        top, left, bottom, right = self._box(region)
        share = 100 * self.mask(region).area / (self.mask(region).height * self.mask(region).width)
        return f"at x {left:.1f} to {right:.1f} %, y {top:.1f} to {bottom:.1f} %, {share:.1f} % of the picture"

    def order(self, region: Region) -> tuple[Any, ...]:
        """Sort by the top, then the left edge."""
        top, left, bottom, right = self._box(region)
        return (top, left, bottom, right)

    def _box(self, region: Region) -> tuple[float, float, float, float]:
        mask = self.mask(region)
        top, bottom = 100 * mask.top / mask.height, 100 * (mask.top + mask.rows) / mask.height
        left, right = 100 * mask.left / mask.width, 100 * (mask.left + mask.columns) / mask.width
        return top, left, bottom, right
