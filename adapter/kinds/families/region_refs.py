"""Regions that other controls speak of: answers on a region, relations between two. In a result they are ids; in a
value they stand whole, so that a value can be compared with another person's, whose ids are others."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from adapter.errors import LabelError
from adapter.kinds import kinds
from adapter.kinds.base import Region
from adapter.kinds.families.regions import Regions
from adapter.vocabulary import Control, JsonObject

_AGAIN = "Open the annotation in Label Studio and submit it again."


def described(controls: Iterable[Control]) -> JsonObject:
    """Return what `Control.options["regions"]` holds of the controls whose regions another one may speak of: name to
    what is needed to read their items, plain JSON."""
    return {
        each.name: {"kind": each.kind, "tag": each.tag, "to_name": each.to_name, "object_tag": each.object_tag}
        for each in controls
    }


def regions_by_id(control: Control, result: Sequence[JsonObject]) -> dict[str, Region | None]:
    """Return the regions of an annotation's result by their id; None for one of a control that is not served, which
    nobody can compare. Raises LabelError for broken regions."""
    known = control.options.get("regions", {})
    found: dict[str, Region | None] = {}
    for item in result:
        if not isinstance(item, Mapping) or item.get("type") == "relation" or item.get("id") in (None, ""):
            continue
        if item.get("from_name") == control.name:  # it speaks of a region, and marks none
            continue
        number = str(item["id"])
        owner = known.get(item.get("from_name"))
        kind = kinds().get(owner["kind"]) if owner else None
        if owner is None or not isinstance(kind, Regions) or item.get("type") not in kind.types:
            found.setdefault(number, None)
            continue
        marks = _bare(str(item["from_name"]), kind, owner["tag"], owner["to_name"], owner["object_tag"])
        (found[number],) = kind.read(marks, [item]) or (None,)
    return found


def checked(control: Control, region: object, *, labelled: bool) -> Region:
    """Return a region of a value of this control as its kind writes it; without labels unless `labelled`. Raises
    LabelError."""
    if not isinstance(region, Mapping) or not isinstance(region.get("type"), str):
        raise LabelError(
            f"'{control.name}' speaks of a region that is no object with a type", remedy="Give the whole region."
        )
    refusal: LabelError | None = None
    for kind in _of_type(control, region["type"]):
        tag = next((tag for tag in kind.tags if tag.lower() == region["type"]), kind.tags[0])
        marks = _bare(control.name, kind, tag, control.to_name, control.object_tag)
        try:
            (good,) = kind.canonical(marks, [region if labelled else {**region, "labels": []}])
        except LabelError as error:
            refusal = error
        else:
            checked_region: Region = good
            return checked_region
    raise refusal or LabelError(
        f"'{control.name}' speaks of a region of type '{region['type'][:40]}', which no kind of label serves",
        remedy="Name one of the types that `hitl kinds` lists.",
    )


def kind_of_region(control: Control, region: Region) -> Regions:
    """Return the kind that compares this region; raises LabelError when none serves its type."""
    found = _of_type(control, region["type"])
    if not found:
        raise LabelError(f"no kind of label serves regions of type '{region['type']}'", remedy="See `hitl kinds`.")
    return found[0]


def pairs(control: Control, a: Sequence[Region], b: Sequence[Region]) -> list[tuple[int, int]]:
    """Return (i, j) of the regions of two people that mean one thing: matched one to one by overlap, as their kind
    does; regions of different kinds never match."""
    found: list[tuple[int, int]] = []
    names_a = [kind_of_region(control, region).name for region in a]
    names_b = [kind_of_region(control, region).name for region in b]
    for name in sorted(set(names_a) & set(names_b)):
        rows = [i for i, each in enumerate(names_a) if each == name]
        columns = [j for j, each in enumerate(names_b) if each == name]
        kind = kind_of_region(control, a[rows[0]])
        found += [(rows[i], columns[j]) for i, j, _ in kind.matched([a[i] for i in rows], [b[j] for j in columns])]
    return sorted(found)


def alike(control: Control, a: Sequence[Region], b: Sequence[Region]) -> npt.NDArray[np.bool_]:
    """Return (n, m): whether two regions mean one thing: of one kind, on one page, overlapping enough."""
    table = np.zeros((len(a), len(b)), bool)
    kinds_a = [kind_of_region(control, region) for region in a]
    kinds_b = [kind_of_region(control, region) for region in b]
    for kind in {kind.name: kind for kind in kinds_a}.values():
        rows = [i for i, each in enumerate(kinds_a) if each is kind]
        columns = [j for j, each in enumerate(kinds_b) if each is kind]
        if columns:
            table[np.ix_(rows, columns)] = kind.overlaps([a[i] for i in rows], [b[j] for j in columns]) >= kind.iou
    return table


def places(control: Control, marks: Mapping[str, Sequence[Region]]) -> list[dict[str, Region]]:
    """Return what people (annotator to regions) speak of, thing by thing: annotator to that person's region."""
    every = {
        kind_of_region(control, region).name: kind_of_region(control, region) for who in marks for region in marks[who]
    }
    found: list[dict[str, Region]] = []
    for _, kind in sorted(every.items()):
        of_kind = {
            who: tuple(region for region in regions if kind_of_region(control, region) is kind)
            for who, regions in marks.items()
        }
        found += kind.cluster(control, of_kind)
    return found


def stand_ins(control: Control, marks: Mapping[str, Sequence[Region]]) -> list[Region]:
    """Return one region for each thing that people speak of, fused, with ids that differ: what stands in for consensus
    regions where there are none."""
    regions: dict[str, Region] = {}
    for place in places(control, marks):
        drawn = [place[who] for who in sorted(place)]
        fused = {**drawn[0]["value"], **kind_of_region(control, drawn[0]).fuse(drawn, [1.0] * len(drawn))}
        region = checked(control, {**drawn[0], "value": fused}, labelled=True)
        while region["id"] in regions:  # people's ids are unique within one annotation only
            region["id"] += "'"
        regions[region["id"]] = region
    return list(regions.values())


def describe(control: Control, region: Region) -> str:
    """Say in words where a region is."""
    return kind_of_region(control, region).describe(region)


def dangling(control: Control, ids: Iterable[str], what: str) -> LabelError:
    """Return the error for ids of regions that are not in the annotation."""
    named = ", ".join(f"'{each[:40]}'" for each in sorted(set(ids)))
    return LabelError(f"{what} of '{control.name}' speaks of {named}, which is no region here", remedy=_AGAIN)


def _of_type(control: Control, result_type: str) -> tuple[Regions, ...]:
    """Return the kinds that read a result type, those of the control's own regions first: `labels` may mean a span of
    text or a stretch of sound."""
    known = tuple(each["kind"] for each in control.options.get("regions", {}).values())
    return _ranked(result_type, known, control.object_tag)


@functools.lru_cache(maxsize=1024)
def _ranked(result_type: str, known: tuple[str, ...], object_tag: str) -> tuple[Regions, ...]:
    fit = [kind for kind in kinds().values() if isinstance(kind, Regions) and result_type in kind.types]
    return tuple(sorted(fit, key=lambda kind: (kind.name not in known, object_tag not in kind.object_tags, kind.name)))


def _bare(name: str, kind: Regions, tag: str, to_name: str, object_tag: str) -> Control:
    """Return a control that takes any label, to read one region with: its own control has checked the labels."""
    return Control(name=name, kind=kind.name, to_name=to_name, object_tag=object_tag, field="", tag=tag)
