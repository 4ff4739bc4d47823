"""Ranges of a video's frames: `<TimelineLabels>`. A region has `ranges: [{start, end}]`, frames from 1, both ends
included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

from adapter.errors import LabelError
from adapter.kinds.base import Region, Unit
from adapter.kinds.families import region_items, span_consensus
from adapter.kinds.families.regions import Regions
from adapter.vocabulary import Control, Value

_MOST_RANGES = 10_000


class Timeline(Regions):
    """The kind of frame ranges."""

    name: ClassVar[str] = "timeline"
    tags: ClassVar[tuple[str, ...]] = ("TimelineLabels",)
    types: ClassVar[tuple[str, ...]] = ("timelinelabels",)
    object_tags: ClassVar[tuple[str, ...]] = ("Video",)
    label_key: ClassVar[Mapping[str, str | None]] = {"TimelineLabels": "timelinelabels"}
    headline: ClassVar[str] = "f1_at_50"
    noun: ClassVar[str] = "frame range"

    def shape(self, control: Control, value: Mapping[str, Any], envelope: Mapping[str, Any]) -> dict[str, Any]:
        """Check the ranges; see `Regions.shape`."""
        given = value.get("ranges")
        if not isinstance(given, list | tuple) or not given or len(given) > _MOST_RANGES:
            raise LabelError(
                f"a frame range of '{control.name}' holds no list of up to {_MOST_RANGES:,} ranges",
                remedy="Give ranges: [{'start': 1, 'end': 25}].",
            )
        ranges = []
        for one in given:
            if not isinstance(one, Mapping):
                raise LabelError(f"a range of '{control.name}' is no object", remedy="Give {'start': 1, 'end': 25}.")
            start, end = (region_items.whole(control, one, key) for key in ("start", "end"))
            if start > end:
                raise LabelError(
                    f"a range of '{control.name}' starts at frame {start} and ends at {end}",
                    remedy="Its end must not be before its start.",
                )
            ranges.append({**one, "start": start, "end": end})
        return {"ranges": ranges}

    def overlap(self, a: Region, b: Region) -> float:
        """Return the share of frames in common."""
        if not self.same_page(a, b):
            return 0.0
        left, right = frames(a), frames(b)
        common = sum(max(0, min(e, f) - max(s, t)) for s, e in left for t, f in right)
        return common / (_length(left) + _length(right) - common)

    def same_place(self, a: Region, b: Region) -> bool:
        """Return whether two regions hold the same frames."""
        return self.same_page(a, b) and frames(a) == frames(b)

    def fuse(self, regions: Sequence[Region], weights: Sequence[float]) -> dict[str, Any]:
        """Return the frames on which half of the weight or more lies; without any such, the heaviest person's."""
        ranked = sorted(zip(regions, weights, strict=True), key=lambda pair: (-pair[1], str(pair[0]["value"])))
        if not sum(weights) > 0:
            ranked = [(region, 1.0) for region, _ in ranked]
        half = sum(weight for _, weight in ranked) / 2
        borders = sorted({border for region, _ in ranked for part in frames(region) for border in part})
        kept: list[tuple[int, int]] = []
        for start, end in pairwise(borders):
            weight = sum(w for region, w in ranked if any(s <= start and end <= e for s, e in frames(region)))
            if weight >= half - 1e-9:
                if kept and kept[-1][1] == start:
                    kept[-1] = (kept[-1][0], end)
                else:
                    kept.append((start, end))
        rest = {key: what for key, what in ranked[0][0]["value"].items() if key != "ranges"}
        return {**rest, "ranges": [{"start": s + 1, "end": e} for s, e in kept or frames(ranked[0][0])]}

    def where(self, region: Region) -> str:
        """Say which frames."""
        parts = [f"{s + 1}-{e}" if e > s + 1 else str(e) for s, e in frames(region)]
        return f"in frames {', '.join(parts[:3])}{' ...' if len(parts) > 3 else ''}"

    def order(self, region: Region) -> tuple[Any, ...]:
        """Return the ranges in order."""
        return tuple(frames(region))

    def units(self, control: Control, votes: Mapping[str, Value]) -> list[Unit]:
        """Return one unit for each run of frames between two borders of any mark, weighted by its length: annotator to
        the labels there, "" for none. Frames after the last mark are left open."""
        drawn = {
            who: [(("", float(s), float(e)), region) for region in value for s, e in frames(region)]
            for who, value in votes.items()
        }
        return span_consensus.units(control, drawn)


def frames(region: Region) -> list[tuple[int, int]]:
    """Return the runs of frames of a region as (first - 1, last), in order, overlapping and touching ones joined."""
    runs: list[tuple[int, int]] = []
    for start, end in sorted((part["start"] - 1, part["end"]) for part in region["value"]["ranges"]):
        if runs and start <= runs[-1][1]:
            runs[-1] = (runs[-1][0], max(runs[-1][1], end))
        else:
            runs.append((start, end))
    return runs


def _length(runs: Sequence[tuple[int, int]]) -> int:
    return sum(end - start for start, end in runs)


KIND = Timeline()
