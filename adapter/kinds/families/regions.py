"""The family of regions: any number of marked places in an object, each with labels.

A kind of this family gives the geometry (`shape`, `overlap`, `fuse`, `where`, `order`); all else is here. Two people's
marks are matched one to one by overlap, several people's by clusters (`core.matching`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from adapter.core.matching import clusters, match
from adapter.errors import LabelError
from adapter.kinds.base import Given, Measure, Region, Tag, Together, Unit
from adapter.kinds.families import region_config, region_consensus, region_items, region_measures
from adapter.vocabulary import Control, JsonObject, Value

Doubles = npt.NDArray[np.float64]


class Regions(ABC):
    """Base of the kinds of regions.

    name, tags: as in `Kind`. types: Label Studio's result types, such as `rectanglelabels`. object_tags: the objects it
    may point at; empty means any. label_key: control tag to the key of Label Studio's value that holds the labels;
    None, or no entry, for shapes without labels. iou: overlap from which two marks can mean one thing. headline: the
    statistic of agreement shown first. noun: what one mark is called.
    """

    name: ClassVar[str]
    tags: ClassVar[tuple[str, ...]]
    types: ClassVar[tuple[str, ...]]
    object_tags: ClassVar[tuple[str, ...]] = ()
    label_key: ClassVar[Mapping[str, str | None]] = {}
    iou: ClassVar[float] = 0.5
    headline: ClassVar[str] = "f1_at_50"
    noun: ClassVar[str] = "region"

    # What a kind gives.

    @abstractmethod
    def shape(self, control: Control, value: Mapping[str, Any], envelope: Mapping[str, Any]) -> dict[str, Any]:
        """Check Label Studio's geometry (its value without labels) and return it normalised, the same again for what it
        returned. Keys that it leaves out are kept as they came. Raises LabelError."""

    @abstractmethod
    def overlap(self, a: Region, b: Region) -> float:
        """Return the intersection over union of two places, 0 to 1, whatever their labels."""

    @abstractmethod
    def fuse(self, regions: Sequence[Region], weights: Sequence[float]) -> dict[str, Any]:
        """Return the geometry that several people's marks of one thing stand for. weights: of each mark, 0 or more. The
        order of marks must not matter."""

    @abstractmethod
    def where(self, region: Region) -> str:
        """Say in words where a region is, such as `at 3-8`."""

    @abstractmethod
    def order(self, region: Region) -> tuple[Any, ...]:
        """Return a key by which regions sort as a person reads them; keys of one kind must be comparable."""

    def overlaps(self, a: Sequence[Region], b: Sequence[Region]) -> Doubles:
        """Return (n, m), the overlap of each pair; 0 for regions on different pages or objects. A kind that can do it
        in one go should: this asks `overlap` n x m times."""
        table = np.zeros((len(a), len(b)))
        for i, one in enumerate(a):
            for j, other in enumerate(b):
                if self.same_page(one, other):
                    table[i, j] = self.overlap(one, other)
        return table

    def likeness(self, a: Region, b: Region) -> float:
        """Return how alike two places are, 0 to 1, in the pairwise score; the overlap, unless people count
        otherwise."""
        return self.overlap(a, b) if self.same_page(a, b) else 0.0

    def same_place(self, a: Region, b: Region) -> bool:
        """Return whether two regions have exactly the same geometry on the same page."""
        return self.same_page(a, b) and a["value"] == b["value"]

    def options(self, tag: Tag) -> JsonObject:
        """Return what else this kind reads from the config: plain JSON for `Control.options`."""
        return {}

    # What all kinds of regions share.

    @staticmethod
    def same_page(a: Region, b: Region) -> bool:
        """Return whether two regions lie on the same object and the same page or picture of it."""
        first, second = a["envelope"], b["envelope"]
        return all(first.get(key) == second.get(key) for key in ("to_name", "item_index"))

    def control(self, tag: Tag) -> Control:
        """Parse the control. Raises LabelConfigError for no or doubled labels, UnsupportedControl for an object that
        this kind cannot mark."""
        return region_config.control_of(self, tag)

    def canonical(self, control: Control, value: object) -> Value:
        """Return a tuple of regions in canonical order: by position, then labels, then id.

        value: a list or tuple of regions; `labels`, `envelope`, `type` and `id` may be missing (`type` is the
        control's; an id is made from the content). Raises LabelError.
        """
        if not isinstance(value, list | tuple):
            raise LabelError(
                f"the value of '{control.name}' is no list of {self.noun}s", remedy="Give a list, [] for nothing."
            )
        if len(value) > region_items.MOST_REGIONS:
            raise LabelError(
                f"the value of '{control.name}' holds {len(value):,} {self.noun}s",
                remedy=f"At most {region_items.MOST_REGIONS:,} can be judged; split the task.",
            )
        regions = [self._checked(control, region) for region in value]
        taken: set[str] = set()
        for region in regions:
            if region.get("id") in taken:
                raise LabelError(
                    f"two {self.noun}s of '{control.name}' have the id '{region['id'][:40]}'",
                    remedy="Give each its own id, or none.",
                )
            if "id" in region:
                taken.add(region["id"])
        for region in regions:
            if "id" not in region:
                region["id"] = region_items.content_id(region, taken)
                taken.add(region["id"])
        return tuple(sorted(regions, key=lambda region: self._place(control, region)))

    def _checked(self, control: Control, region: object) -> Any:
        if not isinstance(region, Mapping) or not isinstance(region.get("value"), Mapping):
            raise LabelError(
                f"a {self.noun} of '{control.name}' is no object with a `value`",
                remedy="Give {'labels': [...], 'value': {...}} for each.",
            )
        envelope = region.get("envelope") or {}
        if not isinstance(envelope, Mapping):
            raise LabelError(f"the envelope of a {self.noun} of '{control.name}' is no object", remedy="Leave it out.")
        envelope = region_items.plain(control, envelope)
        given = region_items.plain(control, region["value"])
        kind = region.get("type") or self._type(control)
        if kind not in self.types:
            raise LabelError(
                f"a {self.noun} of '{control.name}' has the type {str(kind)[:40]!r}",
                remedy=f"Its type is one of {', '.join(self.types)}.",
            )
        labels = region_items.labels_of(control, region.get("labels") or [])
        if labels and self._key(control) is None:
            raise LabelError(
                f"a {self.noun} of '{control.name}' has labels, but <{control.tag}> takes none",
                remedy="Leave them out.",
            )
        checked: dict[str, Any] = {
            "type": kind,
            "labels": labels,
            "value": {**given, **self.shape(control, given, envelope)},
            "envelope": envelope,
        }
        if region.get("id") not in (None, ""):
            if not isinstance(region["id"], str | int) or isinstance(region["id"], bool):
                raise LabelError(f"the id of a {self.noun} of '{control.name}' is no text", remedy="Leave it out.")
            checked["id"] = str(region["id"])
        if region.get("score") is not None:
            checked["score"] = region_items.score_of(control, region["score"])
        return checked

    def read(self, control: Control, result: Sequence[JsonObject]) -> Value | None:
        """Return this control's regions in an annotation's result. None drawn reads as (), the answer "nothing to
        mark", or as None where the control is required. Raises LabelError."""
        key = self._key(control)
        drawn = [region_items.region_of(control, item, key) for item in region_items.items_of(control, result)]
        return self.canonical(control, drawn) if drawn or not control.required else None

    def write(self, control: Control, value: Value) -> list[JsonObject]:
        """Return the result items of these regions; the inverse of `read`."""
        key = self._key(control)
        return [region_items.item_of(control, region, key) for region in self.canonical(control, value)]

    def measure(self, control: Control) -> Measure:
        """Return how values are compared."""
        return region_measures.measure(self)

    def distance(self, control: Control, a: Value, b: Value) -> float:
        """Return 1 minus the mean likeness over the marks of both, matched one to one where they share a label (any,
        without labels); an unmatched mark counts 0. Two empty values are equal."""
        return 1.0 - region_measures.score(self, a, b)

    def pair_counts(self, control: Control, a: Value, b: Value) -> Mapping[str, tuple[float, float]]:
        """Return statistic to (numerator, denominator); see `region_measures.pair_counts`."""
        return region_measures.pair_counts(self, a, b)

    def units(self, control: Control, votes: Mapping[str, Value]) -> list[Unit]:
        """Return one unit for each cluster of marks: annotator to its labels, or "" for one who saw the task and drew
        nothing there, so that existence counts."""
        return region_measures.units(self, control, votes)

    def of_label(self, control: Control, value: Value, label: str) -> Value:
        """Return the regions with this label."""
        return tuple(region for region in value if label in region["labels"])

    def cluster(self, control: Control, votes: Mapping[str, Value]) -> list[dict[str, Region]]:
        """Return what the annotators of one task marked, thing by thing: annotator to that person's mark of it.

        Marks join by overlap (`iou` or more) whatever their labels; among equal overlaps those with equal labels. No
        cluster holds two marks of one person. The order of people does not matter.
        """
        who = sorted(votes)
        drawn: list[Sequence[Region]] = [votes[name] for name in who]

        def similarity(g: int, h: int) -> Doubles:
            table = self.overlaps(drawn[g], drawn[h])
            return np.where(table >= self.iou, table - 1e-3 * region_measures.unlike(drawn[g], drawn[h]), 0.0)

        found = clusters([len(value) for value in drawn], similarity, self.iou - 1e-3)
        things = [{who[g]: drawn[g][i] for g, i in cluster.items()} for cluster in found]
        return sorted(things, key=lambda thing: min(self._place(control, region) for region in thing.values()))

    def matched(self, a: Sequence[Region], b: Sequence[Region]) -> list[tuple[int, int, float]]:
        """Return (i, j, overlap) of two people's marks of the same thing, one to one, whatever their labels."""
        table = self.overlaps(a, b)
        tied = np.where(table >= self.iou, table - 1e-3 * region_measures.unlike(a, b), 0.0)
        return [(i, j, float(table[i, j])) for i, j in match(tied, self.iou - 1e-3)]

    def consensus(self, control: Control, votes: Mapping[str, Mapping[str, Value]], given: Given) -> Together:
        """Consolidate: cluster the marks of each task, decide which things exist, what they are, and where."""
        return region_consensus.consensus(self, control, votes, given)

    def doubt(self, control: Control, value: Value) -> float:
        """Return 1 minus the least score of the regions; 0 without any."""
        return max((1.0 - region["score"] for region in value if "score" in region), default=0.0)

    def describe(self, region: Region) -> str:
        """Say in words where a region is and what it is called."""
        labels = " + ".join(f"'{label}'" for label in region["labels"])
        return f"{labels or 'a ' + self.noun} {self.where(region)}"

    def disagreement(self, control: Control, a: Value, b: Value) -> str:
        """Say in words how two values differ, thing by thing."""
        return region_measures.disagreement(self, a, b)

    def _key(self, control: Control) -> str | None:
        return self.label_key.get(control.tag or self.tags[0])

    def _type(self, control: Control) -> str:
        return (control.tag or self.tags[0]).lower()

    def _place(self, control: Control, region: Region) -> tuple[Any, ...]:
        page = region["envelope"].get("item_index")
        at = page if isinstance(page, int) else -1
        ranks = [control.labels.index(label) if label in control.labels else 0 for label in region["labels"]]
        return (
            str(region["envelope"].get("to_name", "")),
            at,
            self.order(region),
            ranks,
            region["labels"],
            region["id"],
        )
