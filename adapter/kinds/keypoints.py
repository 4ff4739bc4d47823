"""Key points on a picture: `<KeyPointLabels>` and `<KeyPoint>` of Label Studio.

x, y: the point in percent; width: the size of its dot in percent of the picture's width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from adapter.core.geometry import median_row
from adapter.kinds.base import Region
from adapter.kinds.families.plane import Doubles, alike, frame_of, percent, turned
from adapter.kinds.families.regions import Regions
from adapter.vocabulary import Control

TOLERANCE = 0.02
"""Distance, as a share of the square root of the picture's area, at which two points are 1 / sqrt(e) = .61 alike."""


class KeyPoints(Regions):
    """The kind of key points. A point covers no area: likeness takes the place of overlap.

    It is COCO's object keypoint similarity (Lin et al. 2014; cocodataset.org, keypoint evaluation),
    exp(-d^2 / (2 s^2)), with d the distance in pixels. COCO takes s from the size of the object around the point, which
    is not marked here: s is TOLERANCE of the picture's own size, or half of the larger dot's width, where that is more.
    So two points are one thing (.5) within 1.18 s, which is 2.4 % of a square picture's side.
    """

    name = "keypoints"
    tags = ("KeyPointLabels", "KeyPoint")
    types = ("keypointlabels", "keypoint")
    object_tags = ("Image",)
    label_key: ClassVar[Mapping[str, str | None]] = {"KeyPointLabels": "keypointlabels"}
    noun = "key point"

    def shape(self, control: Control, value: Mapping[str, Any], envelope: Mapping[str, Any]) -> dict[str, Any]:
        """Return x, y and, where given, width."""
        checked = {key: percent(control, value, key) for key in ("x", "y")}
        if value.get("width") is not None:
            checked["width"] = percent(control, value, "width")
        return checked

    @staticmethod
    def same_page(a: Region, b: Region) -> bool:
        """As for all regions; and never on pictures of which only one was turned."""
        return Regions.same_page(a, b) and turned(a) == turned(b)

    def overlap(self, a: Region, b: Region) -> float:
        """Return how alike two points are, 0 to 1."""
        if not self.same_page(a, b):
            return 0.0
        width, height = frame_of(a, b)
        one, other = a["value"], b["value"]
        distance = math.hypot((one["x"] - other["x"]) / 100 * width, (one["y"] - other["y"]) / 100 * height)
        dot = max(one.get("width") or 0.0, other.get("width") or 0.0) / 100 * width
        reach = max(TOLERANCE * math.sqrt(width * height), dot / 2)
        return math.exp(-((distance / reach) ** 2) / 2)

    def overlaps(self, a: Sequence[Region], b: Sequence[Region]) -> Doubles:
        """Return (n, m), how alike each pair of points is; under 1 in a million counts as 0."""
        table = super().overlaps(a, b)
        table[table < 1e-6] = 0.0
        return table

    def fuse(self, regions: Sequence[Region], weights: Sequence[float]) -> dict[str, Any]:
        """Return the weighted median of x, of y and, where all have one, of width."""
        if alike(regions):
            return dict(regions[0]["value"])
        keys = ["x", "y"]
        if all(region["value"].get("width") is not None for region in regions):
            keys.append("width")
        row = median_row([[region["value"][key] for key in keys] for region in regions], weights)
        return dict(zip(keys, row.tolist(), strict=True))

    def where(self, region: Region) -> str:
        """Say where the point lies, in percent."""
        return f"at x {region['value']['x']:.1f} %, y {region['value']['y']:.1f} %"

    def order(self, region: Region) -> tuple[Any, ...]:
        """Sort from top to bottom, then from left to right."""
        return (region["value"]["y"], region["value"]["x"])


KIND = KeyPoints()
