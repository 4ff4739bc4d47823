"""Tracks in a video: `<VideoRectangle>` of Label Studio, a rectangle that moves.

value: framesCount, duration (seconds) and `sequence`, keyframes with frame (from 1), time (seconds), enabled, and x, y,
width, height in percent and rotation in degrees. On the page a track is seen from its first keyframe on; between a
keyframe that is enabled and the next it moves evenly (turning the short way round), after one that is not it is gone
until the next, and after the last, if enabled, it stays as it was until the end.

The labels of a `<Labels>` beside it stand in the track's own value: Label Studio merges them for videos.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from adapter.core.geometry import area_of, iou, median_row, nearest_turn, rectangle_corners
from adapter.errors import LabelError
from adapter.kinds.base import Region
from adapter.kinds.families.masks import Bools
from adapter.kinds.families.plane import NOISE, Doubles, Frame, alike, by_weight, frame_of
from adapter.kinds.families.region_items import number, whole
from adapter.kinds.families.regions import Regions
from adapter.vocabulary import Control

MOST_KEYFRAMES = 10_000
_MOST_FRAMES = 10_000_000  # more than four days at 25 a second
_MOST_JUDGED = 512  # frames at which two tracks are compared
_SIDES = ("x", "y", "width", "height")
_LABELS = "labels"


class Tracks(Regions):
    """The kind of tracks."""

    name = "tracks"
    tags = ("VideoRectangle",)
    types = ("videorectangle",)
    object_tags = ("Video",)
    noun = "track"

    def _key(self, control: Control) -> str | None:
        return _LABELS

    def _type(self, control: Control) -> str:
        return self.types[0]

    def shape(self, control: Control, value: Mapping[str, Any], envelope: Mapping[str, Any]) -> dict[str, Any]:
        """Return the sequence in the order of frames, and framesCount and duration where given. A box may leave the
        picture, since things do, but never as a whole."""
        given = value.get("sequence")
        if not isinstance(given, list | tuple) or not 1 <= len(given) <= MOST_KEYFRAMES:
            raise LabelError(
                f"a track of '{control.name}' has no list of 1 to {MOST_KEYFRAMES:,} keyframes",
                remedy="Give sequence=[{'frame', 'time', 'enabled', 'x', 'y', 'width', 'height', 'rotation'}, ...].",
            )
        keyframes = sorted((_keyframe(control, keyframe) for keyframe in given), key=lambda key: key["frame"])
        if len({keyframe["frame"] for keyframe in keyframes}) < len(keyframes):
            raise LabelError(f"a track of '{control.name}' has two keyframes at one frame", remedy="Keep one of them.")
        checked: dict[str, Any] = {"sequence": keyframes}
        if value.get("framesCount") is not None:
            checked["framesCount"] = whole(control, value, "framesCount", least=1, most=_MOST_FRAMES)
        if value.get("duration") is not None:
            checked["duration"] = number(control, value, "duration", least=0)
        return checked

    def overlap(self, a: Region, b: Region) -> float:
        """Return the spatio-temporal intersection over union: the mean, over the frames at which either track is seen,
        of the intersection over union of the boxes there, 0 where only one is seen (as the spatio-temporal one of Yang,
        Fan, Xu 2019, section 3.3, but each frame weighs the same). Of long tracks 512 frames, evenly spread, count."""
        if not self.same_page(a, b):
            return 0.0
        if a["value"] == b["value"]:
            return 1.0
        frames = _frames([a, b])
        ours, theirs = _boxes(a, frames), _boxes(b, frames)
        seen = ~(np.isnan(ours[:, 0]) & np.isnan(theirs[:, 0]))
        if not seen.any():
            return 0.0
        both = ~(np.isnan(ours[:, 0]) | np.isnan(theirs[:, 0]))
        shared = _ious(ours[both], theirs[both], frame_of(a, b))
        return float(shared.sum() / seen.sum())

    def fuse(self, regions: Sequence[Region], weights: Sequence[float]) -> dict[str, Any]:
        """Return, at each frame that is a keyframe of any of them, the weighted median of the boxes seen there; the
        track is seen where at least half of the weight sees it."""
        if alike(regions):
            return dict(regions[0]["value"])
        ordered = by_weight(regions, weights)
        heavy = np.array([weight for _, weight in ordered]) if any(weights) else np.ones(len(ordered))
        stops = sorted({key["frame"] for region, _ in ordered for key in region["value"]["sequence"]})
        if len(stops) > MOST_KEYFRAMES:
            return dict(ordered[0][0]["value"])
        frames = np.array(stops, np.float64)
        boxes = np.stack([_boxes(region, frames) for region, _ in ordered])
        # whether a track is seen from a keyframe on, not only at it
        stays = np.stack([_stays(region, frames) for region, _ in ordered])
        times = _times([region for region, _ in ordered])
        half = heavy.sum() / 2 * (1 - 1e-12)
        sequence: list[dict[str, Any]] = []
        for column, frame in enumerate(stops):
            drawn = ~np.isnan(boxes[:, column, 0])  # at least by the one whose keyframe this is
            most = heavy[drawn].sum() >= half
            if not most and not (sequence and sequence[-1]["enabled"]):
                continue
            rows = boxes[drawn, column]
            rows[:, 4] = [nearest_turn(angle, rows[0, 4], 360) for angle in rows[:, 4]]
            x, y, width, height, angle = median_row(rows, heavy[drawn].tolist()).tolist()
            sequence.append(
                {
                    "frame": frame,
                    "time": float(np.interp(frame, *times)),
                    "enabled": bool(most and heavy[stays[:, column]].sum() >= half),
                    "x": min(x, 100.0),
                    "y": min(y, 100.0),
                    "width": width,
                    "height": height,
                    "rotation": angle % 360,
                }
            )
        fused = dict(ordered[0][0]["value"])
        return {**fused, "sequence": sequence} if sequence else fused

    def where(self, region: Region) -> str:
        """Say at which frames a track is seen, and where it starts."""
        first, last = region["value"]["sequence"][0], region["value"]["sequence"][-1]
        end = "to the end" if last["enabled"] else f"to frame {last['frame']}"
        return f"from frame {first['frame']} {end}, first at x {first['x']:.1f} %, y {first['y']:.1f} %"

    def order(self, region: Region) -> tuple[Any, ...]:
        """Sort by the first frame, then from top to bottom and from left to right."""
        first = region["value"]["sequence"][0]
        return (first["frame"], first["y"], first["x"], len(region["value"]["sequence"]))


def _keyframe(control: Control, keyframe: object) -> dict[str, Any]:
    if not isinstance(keyframe, Mapping):
        raise LabelError(f"a keyframe of a track of '{control.name}' is no object", remedy="Give frame, x, y, ...")
    checked: dict[str, Any] = dict(keyframe)
    checked["frame"] = whole(control, keyframe, "frame", most=_MOST_FRAMES)
    checked["enabled"] = keyframe.get("enabled") is not False
    for key, length in (("x", "width"), ("y", "height")):
        checked[length] = number(control, keyframe, length, least=0, most=1_000)
        checked[key] = number(control, keyframe, key, least=-checked[length] - NOISE, most=100 + NOISE)
    for key in ("time", "rotation"):
        if keyframe.get(key) is not None:
            checked[key] = number(control, keyframe, key)
    return checked


def _frames(tracks: Sequence[Region]) -> Doubles:
    """Return the frames at which tracks are compared, from the first at which one is seen to the last."""
    start = min(track["value"]["sequence"][0]["frame"] for track in tracks)
    end = max(_end(track) for track in tracks)
    if end - start < _MOST_JUDGED:
        return np.arange(start, end + 1, dtype=np.float64)
    return np.unique(np.linspace(start, end, _MOST_JUDGED).round())


def _end(track: Region) -> int:
    last: dict[str, Any] = track["value"]["sequence"][-1]
    frames: int = track["value"].get("framesCount") or 0
    end: int = last["frame"]
    return max(frames, end) if last["enabled"] else end


def _boxes(track: Region, frames: Doubles) -> Doubles:
    """Return (n, 5), x, y, width, height, rotation at frames (n,) in ascending order; NaN where it is not seen."""
    sequence = track["value"]["sequence"]
    at = np.array([keyframe["frame"] for keyframe in sequence], np.float64)
    rows = np.array([[*(keyframe[key] for key in _SIDES), keyframe.get("rotation") or 0.0] for keyframe in sequence])
    before = np.searchsorted(at, frames, side="right") - 1
    after = np.minimum(before + 1, len(at) - 1)
    start = np.maximum(before, 0)
    gap = at[after] - at[start]
    share = np.where(gap > 0, (frames - at[start]) / np.where(gap > 0, gap, 1.0), 0.0)[:, None]
    step = rows[after] - rows[start]
    step[:, 4] = (step[:, 4] + 180) % 360 - 180
    boxes: Doubles = rows[start] + share * step
    boxes[~_seen(track, frames)] = np.nan
    return boxes


def _seen(track: Region, frames: Doubles) -> Bools:
    at = np.array([keyframe["frame"] for keyframe in track["value"]["sequence"]])
    seen: Bools = _stays(track, frames) | np.isin(frames, at)
    return seen


def _stays(track: Region, frames: Doubles) -> Bools:
    """Return (n,) whether a track is seen from these frames on: whether the last keyframe so far is enabled."""
    sequence = track["value"]["sequence"]
    at = np.array([keyframe["frame"] for keyframe in sequence])
    enabled = np.array([keyframe["enabled"] for keyframe in sequence])
    before = np.searchsorted(at, frames, side="right") - 1
    stays: Bools = (before >= 0) & enabled[np.maximum(before, 0)]
    return stays


def _ious(ours: Doubles, theirs: Doubles, frame: Frame) -> Doubles:
    """Return (n,), the intersection over union of boxes (n, 5), row by row."""
    near = np.maximum(ours[:, :2], theirs[:, :2])
    far = np.minimum(ours[:, :2] + ours[:, 2:4], theirs[:, :2] + theirs[:, 2:4])
    common = np.clip(far - near, 0, None).prod(axis=1)
    union = ours[:, 2:4].prod(axis=1) + theirs[:, 2:4].prod(axis=1) - common
    found: Doubles = np.where(union > 0, common / np.where(union > 0, union, 1.0), 0.0)
    scale = np.array([*frame, *frame]) / 100
    for row in np.flatnonzero((ours[:, 4] % 360 != 0) | (theirs[:, 4] % 360 != 0)):
        areas = []
        for box in (ours[row], theirs[row]):
            x, y, width, height = (box[:4] * scale).tolist()
            areas.append(area_of(rectangle_corners(x, y, width, height, float(box[4]))))
        found[row] = iou(areas[0], areas[1])
    return np.clip(found, 0.0, 1.0)


def _times(tracks: Sequence[Region]) -> tuple[list[int], list[float]]:
    """Return frames and their times in seconds, as the keyframes of all tracks know them."""
    known = {
        keyframe["frame"]: float(keyframe["time"])
        for track in tracks
        for keyframe in track["value"]["sequence"]
        if keyframe.get("time") is not None
    }
    return (sorted(known), [known[frame] for frame in sorted(known)]) if known else ([0], [0.0])


KIND = Tracks()
