"""What the kinds of marks on a picture share: percent and pixels, the frame of the picture, and overlap of areas.

Label Studio keeps geometry in percent of the picture: x and widths of its width, y and heights of its height. An angle
is one only in pixels, so turned shapes are compared in pixels of `original_width` by `original_height`, where known.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from adapter.core.geometry import iou
from adapter.errors import LabelError
from adapter.kinds.base import Region
from adapter.kinds.families.region_items import number
from adapter.kinds.families.regions import Regions
from adapter.vocabulary import Control

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

Doubles = npt.NDArray[np.float64]
Frame = tuple[float, float]
"""Width and height of a picture in pixels."""

NOISE = 0.01
"""How far, in percent points, a coordinate may lie outside the picture by rounding; it is put back on the edge."""
_LARGEST = 1e6  # pixels along a side
_UNKNOWN: Frame = (100.0, 100.0)


def side(envelope: Mapping[str, Any], key: str) -> float:
    """Return a side of the picture in pixels from an envelope; 0 where it does not say, or nonsense."""
    found = envelope.get(key)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 1 <= found <= _LARGEST:
        return 0.0
    return float(found)


def turned(region: Region) -> int:
    """Return by how many degrees the person had turned the picture while marking, 0 to 359."""
    degrees = region["envelope"].get("image_rotation")
    return int(degrees) % 360 if isinstance(degrees, int | float) else 0


def frame_of(*regions: Region) -> Frame:
    """Return the picture's frame as these regions know it (the largest, where they differ); a square of 100 by 100
    where none does. A picture that was turned by a quarter has its sides swapped."""
    known = [_UNKNOWN]
    for region in regions:
        width, height = side(region["envelope"], "original_width"), side(region["envelope"], "original_height")
        if width and height:
            known.append((height, width) if turned(region) in (90, 270) else (width, height))
    return max(known[1:] or known)


def percent(control: Control, value: Mapping[str, Any], key: str, *, least: float = 0.0, most: float = 100.0) -> float:
    """Return a coordinate, put back on the edge where rounding left it up to NOISE outside. Raises LabelError."""
    found = number(control, value, key, least=least - NOISE, most=most + NOISE)
    return min(max(found, least), most) if not least <= found <= most else found


def size(control: Control, value: Mapping[str, Any], key: str, *, most: float = 100.0) -> float:
    """Return a length in percent, above 0. Raises LabelError."""
    found = percent(control, value, key, most=most)
    if found <= 0:
        raise LabelError(
            f"'{key}' of a region of '{control.name}' is {found:g}, so it marks nothing",
            remedy="Remove the region, or give it a size.",
        )
    return found


def rotation(control: Control, value: Mapping[str, Any]) -> dict[str, float]:
    """Return the checked `rotation` in degrees, nothing where there is none. Raises LabelError."""
    if value.get("rotation") is None:
        return {}
    degrees = number(control, value, "rotation", least=-3600, most=3600)
    return {"rotation": degrees if abs(degrees) <= 360 else degrees % 360}


def longest(envelope: Mapping[str, Any], key: str) -> float:
    """Return the greatest length, in percent of the side `key`, that fits a picture: its diagonal. 100 by 100 where
    the frame is not known."""
    width, height = side(envelope, "original_width"), side(envelope, "original_height")
    one = side(envelope, key)
    diagonal = float(np.hypot(width, height)) if width and height else float(np.hypot(*_UNKNOWN))
    return 100.0 * diagonal / one if width and height else diagonal


class Placed(Regions):
    """Base of the kinds whose regions lie at a place of a picture."""

    object_tags = ("Image",)

    @abstractmethod
    def bounds(self, region: Region) -> tuple[float, float, float, float]:
        """Return the upright box around a region, and around all that could overlap it: left, top, right, bottom in
        percent."""

    @staticmethod
    def same_page(a: Region, b: Region) -> bool:
        """As for all regions; and marks on a picture that one person had turned and the other had not are never
        compared, since their coordinates are of different pictures."""
        return Regions.same_page(a, b) and turned(a) == turned(b)

    def overlaps(self, a: Sequence[Region], b: Sequence[Region]) -> Doubles:
        """Return (n, m), the overlap of each pair; only pairs whose boxes touch are looked at."""
        table = np.zeros((len(a), len(b)))
        if not a or not b:
            return table
        ours = np.array([self.bounds(region) for region in a])[:, None, :]
        theirs = np.array([self.bounds(region) for region in b])[None, :, :]
        touch = (np.maximum(ours, theirs)[..., :2] < np.minimum(ours, theirs)[..., 2:]).all(axis=-1)
        for i, j in zip(*np.nonzero(touch), strict=True):
            table[i, j] = self.overlap(a[i], b[j])
        return table

    def where(self, region: Region) -> str:
        """Say where the box around a region lies, in percent."""
        left, top, right, bottom = self.bounds(region)
        return f"at x {left:.1f} to {right:.1f} %, y {top:.1f} to {bottom:.1f} %"

    def order(self, region: Region) -> tuple[Any, ...]:
        """Sort by the top, then the left edge."""
        left, top, right, bottom = self.bounds(region)
        return (top, left, bottom, right)


class Planar(Placed):
    """Base of the kinds whose regions cover an area of a picture."""

    @abstractmethod
    def area(self, region: Region, frame: Frame) -> BaseGeometry:
        """Return the area that a region covers, in pixels of a frame."""

    def overlap(self, a: Region, b: Region) -> float:
        """Return the intersection over union in pixels, 0 to 1."""
        if not self.same_page(a, b):
            return 0.0
        if a["value"] == b["value"]:
            return 1.0  # the sums of an intersection would miss it by a rounding
        frame = frame_of(a, b)
        return iou(self.area(a, frame), self.area(b, frame))


def by_weight(regions: Sequence[Region], weights: Sequence[float]) -> list[tuple[Region, float]]:
    """Return regions with their weights, the heaviest first, in an order that does not depend on the one given."""
    pairs = zip(regions, weights, strict=True)
    return sorted(pairs, key=lambda pair: (-pair[1], str(sorted(pair[0]["value"].items())), pair[0]["id"]))


def alike(regions: Sequence[Region]) -> bool:
    """Return whether all regions have the same geometry, so that there is nothing to fuse."""
    return all(region["value"] == regions[0]["value"] for region in regions)
