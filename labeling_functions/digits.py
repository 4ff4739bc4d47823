"""Handwritten digits: rough rules from ink, holes and symmetry. They cover part of the images and are often wrong: weak
labels start the loop, people and the model finish it.

The task's `image` is a data: URI of a small picture with dark strokes on white. The preprocessor `shape` decodes it and
looks for holes once; every rule then reads `data["shape"]`.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from adapter.labeling import labeling_function, preprocessor

_SIDE = 32
_DARK = 150
"""Grey below which a pixel counts as ink: high enough to close the gaps that a small picture leaves in a loop."""


@dataclass(frozen=True)
class Shape:
    """What the rules look at. ink: bool (32, 32), cut to the strokes' bounding box and scaled. width: of the box over
    its height. holes: row of the centre (0 top, 1 bottom) and share of the box for each enclosed region."""

    ink: npt.NDArray[np.bool_]
    width: float
    holes: tuple[tuple[float, float], ...]

    def share(self, top: float, bottom: float, left: float, right: float) -> float:
        """Share of ink in a part of the box; sides from 0 to 1."""
        rows = slice(int(top * _SIDE), max(int(bottom * _SIDE), int(top * _SIDE) + 1))
        columns = slice(int(left * _SIDE), max(int(right * _SIDE), int(left * _SIDE) + 1))
        return float(self.ink[rows, columns].mean())

    @property
    def mirrored(self) -> float:
        """How much of the ink falls on ink when turned upside down, 0 to 1."""
        return float((self.ink & self.ink[::-1]).sum() / self.ink.sum())


def shape_of(uri: str) -> Shape:
    """Return the shape of the digit in a data: URI. Raises ValueError for an image without ink."""
    picture = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("L")
    dark = np.asarray(picture.resize((64, 64), Image.Resampling.BILINEAR)) < _DARK
    rows, columns = np.flatnonzero(dark.any(1)), np.flatnonzero(dark.any(0))
    if not rows.size:
        raise ValueError("the image is blank")
    cut = dark[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    ink = np.asarray(Image.fromarray(cut).resize((_SIDE, _SIDE), Image.Resampling.NEAREST), dtype=bool)
    return Shape(ink, cut.shape[1] / cut.shape[0], _holes(ink))


def _holes(ink: npt.NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    """Find the regions of paper that ink encloses, by flooding."""
    paper = np.pad(~ink, 1, constant_values=True)
    seen = np.zeros_like(paper)
    regions: list[tuple[float, float]] = []
    for start in [(0, 0), *(tuple(int(side) for side in cell) for cell in np.argwhere(paper))]:
        if seen[start]:
            continue
        seen[start] = True
        waiting, cells = [start], []
        while waiting:
            row, column = waiting.pop()
            cells.append(row)
            for near in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
                inside = 0 <= near[0] < paper.shape[0] and 0 <= near[1] < paper.shape[1]
                if inside and paper[near] and not seen[near]:
                    seen[near] = True
                    waiting.append(near)
        if start != (0, 0) and len(cells) >= 0.012 * ink.size:
            regions.append(((sum(cells) / len(cells) - 1) / _SIDE, len(cells) / ink.size))
    return tuple(regions)


@preprocessor(memory=4096)
def shape(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Add `shape`: ink, width and holes. A blank image is a fault, not an abstention."""
    return {**data, "shape": shape_of(data["image"])}


def _one_hole(data: Mapping[str, Any]) -> tuple[float, float] | None:
    holes = data["shape"].holes
    return holes[0] if len(holes) == 1 else None


@labeling_function(pre=[shape])
def large_hole(data: Mapping[str, Any]) -> str | None:
    """One large hole in the middle: a zero."""
    hole = _one_hole(data)
    return "0" if hole and hole[1] > 0.08 and 0.35 < hole[0] < 0.65 else None


@labeling_function(pre=[shape])
def hole_below(data: Mapping[str, Any]) -> str | None:
    """One small hole in the lower half: a six."""
    hole = _one_hole(data)
    return "6" if hole and hole[1] < 0.1 and hole[0] > 0.6 else None


@labeling_function(pre=[shape])
def hole_above(data: Mapping[str, Any]) -> str | None:
    """One small hole in the upper half, and little ink at the lower left: a nine."""
    hole = _one_hole(data)
    return "9" if hole and hole[1] < 0.1 and hole[0] < 0.4 and data["shape"].share(0.5, 0.75, 0, 0.33) < 0.25 else None


@labeling_function(pre=[shape])
def two_holes(data: Mapping[str, Any]) -> str | None:
    """Two holes: an eight."""
    return "8" if len(data["shape"].holes) == 2 else None


@labeling_function(pre=[shape])
def mirrored_with_waist(data: Mapping[str, Any]) -> str | None:
    """Heavy, the same upside down, with a small hole: an eight."""
    found: Shape = data["shape"]
    small = any(area < 0.08 for _, area in found.holes)
    return "8" if small and found.mirrored > 0.75 and found.share(0.5, 0.75, 0, 0.33) > 0.3 else None


@labeling_function(pre=[shape])
def one_stroke(data: Mapping[str, Any]) -> str | None:
    """Nothing but a stroke down the middle: a one."""
    found: Shape = data["shape"]
    return "1" if not found.holes and found.width < 0.6 and found.share(0.25, 1, 0.33, 0.67) > 0.85 else None


@labeling_function(pre=[shape])
def flat_foot(data: Mapping[str, Any]) -> str | None:
    """No hole, a foot from left to right, nothing above its right end: a two."""
    found: Shape = data["shape"]
    foot = found.share(0.75, 1, 0, 1) > 0.6 and found.share(0.75, 1, 0.67, 1) > 0.35
    return "2" if not found.holes and foot and found.share(0.5, 0.75, 0.67, 1) < 0.3 else None


@labeling_function(pre=[shape])
def open_to_the_left(data: Mapping[str, Any]) -> str | None:
    """No hole, nothing on the left but the ends: a three."""
    found: Shape = data["shape"]
    left = found.share(0.25, 0.75, 0, 0.33)
    ends = found.share(0, 0.25, 0, 0.67), found.share(0.75, 1, 0, 0.67)
    return (
        "3" if not found.holes and left < 0.25 and min(ends) > 0.5 and found.share(0.5, 0.75, 0.67, 1) > 0.4 else None
    )


@labeling_function(pre=[shape])
def open_above(data: Mapping[str, Any]) -> str | None:
    """Nothing in the upper right and the lower left, a bar below the middle: a four."""
    found: Shape = data["shape"]
    corners = found.share(0, 0.25, 0, 0.33) < 0.35 and found.share(0.75, 1, 0, 0.33) < 0.2
    return "4" if corners and found.share(0.5, 0.75, 0, 1) > 0.6 and found.width > 0.5 else None


@labeling_function(pre=[shape])
def bar_then_belly(data: Mapping[str, Any]) -> str | None:
    """No hole, ink on the left above the middle and none on the right there: a five."""
    found: Shape = data["shape"]
    upper = found.share(0.25, 0.5, 0, 0.33) > 0.5 and found.share(0.25, 0.45, 0.67, 1) < 0.4
    return "5" if not found.holes and upper and found.share(0.5, 0.75, 0, 0.33) < 0.45 else None


@labeling_function(pre=[shape])
def roof_and_stem(data: Mapping[str, Any]) -> str | None:
    """No hole, a roof, and nothing at the lower right: a seven."""
    found: Shape = data["shape"]
    roof = found.share(0, 0.25, 0.33, 1) > 0.55
    return "7" if not found.holes and roof and found.share(0.75, 1, 0.67, 1) < 0.1 and found.mirrored < 0.75 else None
