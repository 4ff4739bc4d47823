"""Questions that are asked of each region: `perRegion="true"`, and `<Labels>` beside bare shapes such as `<Rectangle>`.

The control that is asked (`Control.inner`: choices, a rating, a text, ...) is of any kind whose answer stands in one
result item. The canonical value is a tuple of {"region": the region it hangs on, "value": the inner value}; only
regions on which something was answered are in it. Whether a region is there at all is the business of the control that
marks it: here only regions count that both people answered on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypedDict, cast

from adapter.errors import LabelError, UnsupportedControl
from adapter.kinds import kind_of
from adapter.kinds.base import Given, Kind, Measure, Merged, Region, Tag, Together, Unit
from adapter.kinds.families.region_refs import (
    checked,
    dangling,
    describe,
    kind_of_region,
    pairs,
    places,
    regions_by_id,
    stand_ins,
)
from adapter.vocabulary import Control, JsonObject, Value

_STEP = "\x1f"  # between a task's id and a region's; neither holds it


class Entry(TypedDict):
    """One answer on one region."""

    region: Region
    value: Value


class Inner(Kind, Protocol):
    """A kind whose answer stands in one item: what can be asked of a region."""

    def item(self, control: Control, value: Value) -> dict[str, Any]:
        """Return Label Studio's `value` object for a value."""
        ...

    def value_of(self, control: Control, value: Mapping[str, Any]) -> Value:
        """Return the value that a `value` object holds."""
        ...


class PerRegion:
    """The kind of controls that are asked of each region. It has no tag of its own: the config's parser makes such
    controls, since whether one is decides an attribute, or what stands beside it."""

    name = "per-region"
    tags: tuple[str, ...] = ()

    def control(self, tag: Tag) -> Control:
        """Raise UnsupportedControl: no tag alone says that it is asked of each region."""
        raise UnsupportedControl(f"<{tag.name}> is not asked of each region", remedy="Set perRegion='true'.")

    def canonical(self, control: Control, value: object) -> Value:
        """Return a tuple of answers in the order of their regions: by result type, position, id. Raises LabelError."""
        if not isinstance(value, list | tuple):
            raise LabelError(
                f"the value of '{control.name}' is no list of answers on regions", remedy="Give a list, [] for none."
            )
        inner, asked = _inner(control)
        entries: dict[str, Entry] = {}
        for entry in value:
            if not isinstance(entry, Mapping) or not {"region", "value"} <= entry.keys():
                raise LabelError(
                    f"an answer of '{control.name}' is no object with `region` and `value`",
                    remedy="Give {'region': {...}, 'value': ...} for each.",
                )
            region = checked(control, entry["region"], labelled=False)
            if region["id"] in entries:
                raise LabelError(
                    f"'{control.name}' has two answers on the region '{region['id'][:40]}'", remedy="Keep one."
                )
            entries[region["id"]] = {"region": region, "value": inner.canonical(asked, entry["value"])}
        return _sorted(control, list(entries.values()))

    def read(self, control: Control, result: Sequence[JsonObject]) -> Value | None:
        """Return the answers in an annotation's result; () where nothing was answered on any region, or where there are
        none; None for that if the control is required. An answer on a region of a control that is not served is passed
        over. Raises LabelError for an answer on no region."""
        own = [item for item in result if isinstance(item, Mapping) and item.get("from_name") == control.name]
        if not own:
            return None if control.required else ()
        regions = regions_by_id(control, result)
        lost = [str(item.get("id")) for item in own if str(item.get("id")) not in regions]
        if lost:
            raise dangling(control, lost, "an answer")
        inner, asked = _inner(control)
        entries: list[Entry] = []
        for item in own:
            region = regions[str(item["id"])]
            value = item.get("value")
            if not isinstance(value, Mapping):
                raise LabelError(
                    f"an answer of '{control.name}' has no value",
                    remedy="Open the annotation in Label Studio and submit it again.",
                )
            said = _renamed(control, value, back=True)
            if region is not None and not _empty(said):
                entries.append({"region": region, "value": inner.value_of(asked, said)})
        return self.canonical(control, entries)

    def write(self, control: Control, value: Value) -> list[JsonObject]:
        """Return one result item for each answer: the id and the geometry of its region, the answer of the inner kind.
        Label Studio's page shows it on the region with that id, which another control writes."""
        inner, asked = _inner(control)
        items: list[JsonObject] = []
        for entry in self.canonical(control, value):
            region = entry["region"]
            said = inner.item(asked, entry["value"])
            if _empty(said):
                continue
            items.append(
                {
                    **region["envelope"],
                    "id": region["id"],
                    "from_name": control.name,
                    "to_name": region["envelope"].get("to_name", control.to_name.split(",")[0].strip()),
                    "type": control.tag.lower(),
                    "value": {**region["value"], **_renamed(control, said, back=False)},
                }
            )
        return items

    def measure(self, control: Control) -> Measure:
        """Return how the inner values are compared, and that only regions count that both answered on."""
        inner, asked = _inner(control)
        found = inner.measure(asked)
        return Measure(
            found.scale,
            found.headline,
            f"on each region that both people answered on (matched by overlap; missing and additional regions are the "
            f"business of the control that marks them): {found.sentence}",
        )

    def distance(self, control: Control, a: Value, b: Value) -> float:
        """Return the mean inner distance over regions that both answered on; 0 without any: nobody disagreed."""
        inner, asked = _inner(control)
        both = _both(control, a, b)
        return math.fsum(inner.distance(asked, one["value"], other["value"]) for one, other in both) / (len(both) or 1)

    def pair_counts(self, control: Control, a: Value, b: Value) -> Mapping[str, tuple[float, float]]:
        """Return the sums of the inner kind's counts over regions that both answered on. `score` is 1 - distance, over
        1, and (0, 0) where no region was answered on by both: then nothing is known."""
        inner, asked = _inner(control)
        both = _both(control, a, b)
        sums: dict[str, tuple[float, float]] = {}
        for one, other in both:
            for name, (top, bottom) in inner.pair_counts(asked, one["value"], other["value"]).items():
                old = sums.get(name, (0.0, 0.0))
                sums[name] = (old[0] + top, old[1] + bottom)
        sums["score"] = (1.0 - self.distance(control, a, b), 1.0) if both else (0.0, 0.0)
        return sums

    def units(self, control: Control, votes: Mapping[str, Value]) -> list[Unit]:
        """Return the inner kind's units for each region, as far as people answered on it."""
        inner, asked = _inner(control)
        answers = {who: {each["region"]["id"]: each["value"] for each in value} for who, value in votes.items()}
        return [
            unit
            for place in places(control, _regions(votes))
            for unit in inner.units(asked, {who: answers[who][region["id"]] for who, region in place.items()})
        ]

    def of_label(self, control: Control, value: Value, label: str) -> Value:
        """Return the answers as they are: each is a part of its own, and none of them has parts."""
        return value

    def consensus(self, control: Control, votes: Mapping[str, Mapping[str, Value]], given: Given) -> Together:
        """Consolidate region by region with the inner kind, over all regions of all tasks at once.

        Each person's regions are matched to the task's consensus regions (`given.parents`); answers on regions that did
        not survive are dropped, the others hang on the consensus region and its id. Where `given.parents` has no entry
        for a task, the regions that people answered on stand for themselves. A region of a required control that nobody
        answered on leaves the task open.
        """
        inner, asked = _inner(control)
        parents = {
            task: [checked(control, region, labelled=False) for region in given.parents[task]]
            if task in given.parents
            else stand_ins(control, _regions(votes[task]))
            for task in sorted(votes)
        }
        said: dict[str, dict[str, Value]] = {}
        gold: dict[str, Value] = {}
        for task, regions in parents.items():
            for who, value in sorted(votes[task].items()):
                for region, answer in _on(control, regions, value):
                    said.setdefault(task + _STEP + region["id"], {})[who] = answer
            for region, answer in _on(control, regions, given.gold.get(task, ())):
                gold[task + _STEP + region["id"]] = answer
        data = {key: given.data[task] for key in said if (task := key.split(_STEP)[0]) in given.data}
        known = {key: value for key, value in gold.items() if key in said}
        together = inner.consensus(asked, said, Given(gold=known, data=data, method=given.method, seed=given.seed))
        merged = {
            task: Merged(given.gold[task], 1.0, 1.0)
            if task in given.gold
            else self._merged(control, regions, task, together.merged)
            for task, regions in parents.items()
        }
        return Together(merged, together.skill, together.method, together.table, together.confusion)

    def doubt(self, control: Control, value: Value) -> float:
        """Return the greatest doubt of any answer or of the region it hangs on; 0 without scores."""
        inner, asked = _inner(control)
        doubts = [inner.doubt(asked, entry["value"]) for entry in value]
        return max((*doubts, *(1.0 - entry["region"].get("score", 1.0) for entry in value)), default=0.0)

    def disagreement(self, control: Control, a: Value, b: Value) -> str:
        """Say in words how two values differ, region by region."""
        inner, asked = _inner(control)
        parts = [
            f"{describe(control, one['region'])}: {inner.disagreement(asked, one['value'], other['value'])}"
            for one, other in _both(control, a, b)
            if one["value"] != other["value"]
        ]
        return "; ".join(parts) or "no difference"

    def _merged(self, control: Control, regions: Sequence[Region], task: str, found: Mapping[str, Merged]) -> Merged:
        entries: list[Entry] = []
        parts: list[Merged] = []
        whys: list[str] = []
        for region in regions:
            part = found.get(task + _STEP + region["id"])
            if part is None:
                if control.required:
                    whys.append(f"{describe(control, region)}: nobody who answered marked it")
                continue
            parts.append(part)
            if part.value is None:
                whys.append(f"{describe(control, region)}: {part.why or 'no agreement'}")
            answer = part.value if part.value is not None else part.proposal
            if answer is not None:
                entries.append({"region": region, "value": answer})
        value = _sorted(control, entries)
        confidence = math.prod(part.confidence for part in parts)
        certainty = min((part.certainty for part in parts), default=1.0)
        if whys:
            return Merged(None, confidence, certainty, proposal=value, why="; ".join(whys))
        return Merged(value, confidence, certainty)


def _inner(control: Control) -> tuple[Inner, Control]:
    """Return the kind that is asked on each region, and its control."""
    if control.inner is None:
        raise LabelError(
            f"'{control.name}' is asked of each region but says not what", remedy="Parse the config again."
        )
    return cast(Inner, kind_of(control.inner.kind)), control.inner


def _renamed(control: Control, value: Mapping[str, Any], *, back: bool) -> dict[str, Any]:
    """Return a `value` object under its tag's key: `<Labels>` asks what `<Choices>` does, and calls it `labels`."""
    if control.tag != "Labels":
        return dict(value)
    ours, theirs = ("labels", "choices") if back else ("choices", "labels")
    return {theirs if key == ours else key: what for key, what in value.items()}


def _empty(value: Mapping[str, Any]) -> bool:
    """Whether an item answers nothing: Label Studio's page may leave such on a region whose answer was taken back."""
    return all(
        value.get(key) in ([], "", None) for key in ("choices", "text", "taxonomy", "rating", "number", "datetime")
    )


def _regions(votes: Mapping[str, Value]) -> dict[str, list[Region]]:
    """Return the regions that each person answered on."""
    return {who: [entry["region"] for entry in value] for who, value in votes.items()}


def _both(control: Control, a: Value, b: Value) -> list[tuple[Entry, Entry]]:
    """Return the answers of two people on regions that mean one thing."""
    return [(a[i], b[j]) for i, j in pairs(control, [entry["region"] for entry in a], [entry["region"] for entry in b])]


def _on(control: Control, regions: Sequence[Region], value: Value) -> list[tuple[Region, Value]]:
    """Return a person's answers with the consensus region that each hangs on; those on none are dropped."""
    found = pairs(control, regions, [entry["region"] for entry in value])
    return [(regions[i], value[j]["value"]) for i, j in found]


def _sorted(control: Control, entries: Sequence[Entry]) -> tuple[Entry, ...]:
    def place(entry: Entry) -> tuple[Any, ...]:
        region, kind = entry["region"], kind_of_region(control, entry["region"])
        page = region["envelope"].get("item_index")
        on = str(region["envelope"].get("to_name", ""))
        return (kind.name, on, page if isinstance(page, int) else -1, kind.order(region), region["id"])

    return tuple(sorted(entries, key=place))


KIND = PerRegion()
