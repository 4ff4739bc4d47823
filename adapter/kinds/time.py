"""Stretches of time: `<Labels>` on audio, `<TimeSeriesLabels>`.

`start` and `end` are seconds of audio, or values of the time series' time column: numbers, or dates as ISO text. Audio
has a `channel`; a time series' region may be an `instant`, whose start and end are the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from adapter.core.matching import weighted_median
from adapter.errors import LabelError
from adapter.kinds.base import Region, Unit
from adapter.kinds.families import region_items, span_consensus
from adapter.kinds.families.regions import Regions
from adapter.vocabulary import Control, Value


class Time(Regions):
    """The kind of stretches of time."""

    name: ClassVar[str] = "time"
    tags: ClassVar[tuple[str, ...]] = ("Labels", "TimeSeriesLabels")
    types: ClassVar[tuple[str, ...]] = ("labels", "timeserieslabels")
    object_tags: ClassVar[tuple[str, ...]] = ("Audio", "AudioPlus", "TimeSeries")
    label_key: ClassVar[Mapping[str, str | None]] = {"Labels": "labels", "TimeSeriesLabels": "timeserieslabels"}
    headline: ClassVar[str] = "f1_at_50"
    noun: ClassVar[str] = "stretch"

    def shape(self, control: Control, value: Mapping[str, Any], envelope: Mapping[str, Any]) -> dict[str, Any]:
        """Check a stretch; see `Regions.shape`."""
        shape: dict[str, Any] = {key: _time(control, value, key) for key in ("start", "end")}
        start, end = seconds(shape["start"]), seconds(shape["end"])
        if start > end:
            raise LabelError(
                f"a stretch of '{control.name}' starts at {shape['start']} and ends at {shape['end']}",
                remedy="Its end must not be before its start.",
            )
        if "instant" in value and not isinstance(value["instant"], bool):
            raise LabelError(f"'instant' of a stretch of '{control.name}' is neither true nor false", remedy="Mend it.")
        if value.get("instant") and start != end:
            raise LabelError(
                f"an instant of '{control.name}' lasts from {shape['start']} to {shape['end']}",
                remedy="Give it one time, or make it a stretch.",
            )
        if control.tag == "TimeSeriesLabels":
            shape["instant"] = value.get("instant", False)  # Label Studio refuses predictions without it
        if control.object_tag in ("Audio", "AudioPlus"):
            region_items.number(control, shape, "start", least=0.0)
        if value.get("channel") is not None and not isinstance(value["channel"], str):
            shape["channel"] = region_items.whole(control, value, "channel", most=10_000)
        return shape

    def overlap(self, a: Region, b: Region) -> float:
        """Return the share of time in common; 0 on different channels. An instant overlaps only its like."""
        if not self.same_page(a, b) or _channel(a) != _channel(b):
            return 0.0
        (s, e), (t, f) = _extent(a), _extent(b)
        if (s, e) == (t, f):
            return 1.0
        common, union = min(e, f) - max(s, t), max(e, f) - min(s, t)
        return max(common, 0.0) / union

    def same_place(self, a: Region, b: Region) -> bool:
        """Return whether two stretches have the same start, end and channel."""
        return self.overlap(a, b) == 1.0

    def fuse(self, regions: Sequence[Region], weights: Sequence[float]) -> dict[str, Any]:
        """Return the weighted medians of the starts and of the ends, in the form of the heaviest mark."""
        ranked = sorted(zip(regions, weights, strict=True), key=lambda pair: (-pair[1], str(pair[0]["value"])))
        model = dict(ranked[0][0]["value"])
        for key, side in (("start", 0), ("end", 1)):
            middle = weighted_median([_extent(region)[side] for region, _ in ranked], [weight for _, weight in ranked])
            known = [region["value"][key] for region, _ in ranked if _extent(region)[side] == middle]
            dated = isinstance(model[key], str) and not _is_number(model[key])
            model[key] = known[0] if known else _dated(middle) if dated else middle
        if model.get("instant") and model["start"] != model["end"]:
            model["instant"] = False
        return model

    def where(self, region: Region) -> str:
        """Say when a stretch is, and on which channel."""
        start, end = region["value"]["start"], region["value"]["end"]
        channel = f" on channel {_channel(region)}" if "channel" in region["value"] else ""
        return f"at {_shown(start)}{channel}" if start == end else f"at {_shown(start)}-{_shown(end)}{channel}"

    def order(self, region: Region) -> tuple[Any, ...]:
        """Return start, end and channel."""
        return (*_extent(region), _channel(region))

    def units(self, control: Control, votes: Mapping[str, Value]) -> list[Unit]:
        """Return one unit for each stretch between two borders of any mark, weighted by its length: annotator to the
        labels there, "" for none. Audio counts from its start, a time series from the first mark; what comes after the
        last mark is left open."""
        drawn = {who: [((_channel(r), *_extent(r)), r) for r in value] for who, value in votes.items()}
        return span_consensus.units(control, drawn, from_zero=control.object_tag != "TimeSeries")


def seconds(time: float | str) -> float:
    """Return a time as a number; of an ISO date the seconds since 1970 (UTC where it names no zone). Raises
    ValueError."""
    if not isinstance(time, str):
        return float(time)
    if _is_number(time):
        return float(time)
    date = datetime.fromisoformat(time)
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _time(control: Control, value: Mapping[str, Any], key: str) -> Any:
    found = value.get(key)
    if isinstance(found, str):
        try:
            seconds(found)
        except (ValueError, OverflowError):
            raise LabelError(
                f"'{key}' of a stretch of '{control.name}' is no time: {found[:40]!r}",
                remedy="It is a number, or a date such as 2024-05-01 12:00:00.",
            ) from None
        return found
    return region_items.number(control, value, key)


def _extent(region: Region) -> tuple[float, float]:
    return seconds(region["value"]["start"]), seconds(region["value"]["end"])


def _channel(region: Region) -> str:
    channel = region["value"].get("channel")
    return "" if channel is None else str(channel)


def _dated(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")


def _shown(time: float | str) -> str:
    return time if isinstance(time, str) else f"{time:.6g}" if abs(time) < 1e6 else f"{time:.0f}"


KIND = Time()
