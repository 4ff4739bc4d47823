"""Relations between regions: `<Relations>` of Label Studio, directed, with any number of labels.

The canonical value is a tuple of {"from": region, "to": region, "direction": "left" | "right" | "bi", "labels": [...]}
with whole regions, their labels included; () says that nothing is related, and is an answer. `left` from a to b is
`right` from b to a, and `bi` knows no order: these are one relation, whichever way round it was drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from adapter.core.matching import match
from adapter.errors import LabelConfigError, LabelError, UnsupportedControl, nearest
from adapter.kinds.base import Given, Measure, Tag, Together, Unit
from adapter.kinds.families.region_refs import checked, dangling, kind_of_region, regions_by_id
from adapter.kinds.families.relation_consensus import consensus
from adapter.kinds.families.relation_values import DIRECTIONS, Relation, code, made, same_ends, turned, upright, words
from adapter.vocabulary import Control, JsonObject, Value

MOST_RELATIONS = 5_000
"""Relations that one annotation may hold."""
_AGAIN = "Open the annotation in Label Studio and submit it again."


class Relations:
    """The kind of `<Relations>`."""

    name = "relations"
    tags = ("Relations",)

    def control(self, tag: Tag) -> Control:
        """Parse `<Relations>`; it lists its labels as `<Relation value="...">` and may list none. Raises
        LabelConfigError for doubled or empty labels, UnsupportedControl for labels from task data."""
        name = tag.attributes.get("name", self.name)
        where, labels = f"<Relations name='{name}'>", []
        for child in tag.children:
            if child.name != "Relation":
                continue
            label = child.attributes.get("value", "")
            if not label.strip():
                raise LabelConfigError("a <Relation> has no value", where=where, remedy="Give each <Relation> a value.")
            if label.startswith("$"):
                raise UnsupportedControl(
                    f"the label '{label}' comes from task data", where=where, remedy="Write it out."
                )
            if label in labels:
                raise LabelConfigError(f"the label '{label}' is there twice", where=where, remedy="Remove one of them.")
            labels.append(label)
        return Control(
            name=name,
            kind=self.name,
            to_name="",
            object_tag="",
            field="",
            labels=tuple(labels),
            multiple=tag.attributes.get("choice", "multiple") == "multiple",
            tag=tag.name,
        )

    def canonical(self, control: Control, value: object) -> Value:
        """Return a tuple of relations in the order of their regions. Raises LabelError."""
        if not isinstance(value, list | tuple):
            raise LabelError(
                f"the value of '{control.name}' is no list of relations", remedy="Give a list, [] for none."
            )
        if len(value) > MOST_RELATIONS:
            raise LabelError(
                f"the value of '{control.name}' holds {len(value):,} relations",
                remedy=f"At most {MOST_RELATIONS:,} can be judged; split the task.",
            )
        return tuple(sorted((self._checked(control, each) for each in value), key=lambda each: _order(control, each)))

    def _checked(self, control: Control, each: object) -> Relation:
        if not isinstance(each, Mapping) or not {"from", "to"} <= each.keys():
            raise LabelError(
                f"a relation of '{control.name}' is no object with `from` and `to`",
                remedy="Give {'from': {...}, 'to': {...}, 'direction': 'right', 'labels': [...]} for each.",
            )
        direction = each.get("direction") or "right"
        if direction not in DIRECTIONS:
            raise LabelError(
                f"'{str(direction)[:40]}' is no direction of '{control.name}'",
                remedy=nearest(str(direction)[:40], DIRECTIONS),
            )
        first, second = (checked(control, each[end], labelled=True) for end in ("from", "to"))
        return made(first, second, direction, _labels(control, each.get("labels")))

    def read(self, control: Control, result: Sequence[JsonObject]) -> Value | None:
        """Return the relations in an annotation's result. One that ends in a region of a control that is not served is
        passed over. Raises LabelError for one whose regions are not there, naming their ids."""
        drawn = [item for item in result if isinstance(item, Mapping) and item.get("type") == "relation"]
        if not drawn:
            return ()
        regions = regions_by_id(control, result)
        ends = [(str(item.get("from_id")), str(item.get("to_id"))) for item in drawn]
        lost = [end for both in ends for end in both if end not in regions]
        if lost:
            raise dangling(control, lost, "a relation")
        found = []
        for item, (one, other) in zip(drawn, ends, strict=True):
            if regions[one] is not None and regions[other] is not None:
                direction, labels = item.get("direction"), item.get("labels")
                found.append({"from": regions[one], "to": regions[other], "direction": direction, "labels": labels})
        return self.canonical(control, found)

    def write(self, control: Control, value: Value) -> list[JsonObject]:
        """Return one item for each relation, which refers to its regions by id; the controls that mark them write
        these."""
        items: list[JsonObject] = []
        for each in self.canonical(control, value):
            item: dict[str, Any] = {
                "type": "relation",
                "from_id": each["from"]["id"],
                "to_id": each["to"]["id"],
                "direction": each["direction"],
            }
            if each["labels"]:
                item["labels"] = list(each["labels"])
            items.append(item)
        return items

    def measure(self, control: Control) -> Measure:
        """Return how relations are compared."""
        what = "have the same labels and direction" if control.labels else "have the same direction"
        return Measure(
            "nominal",
            "labelled_f1" if control.labels else "f1",
            f"F1 of relations that join the same two regions (matched by overlap) and {what}; beside it Krippendorff's "
            "alpha on what people said of each pair that anybody related, where no relation counts as a label",
        )

    def distance(self, control: Control, a: Value, b: Value) -> float:
        """Return 1 minus the F1 of relations with the same ends, direction and labels; two empty values are equal."""
        if not a and not b:
            return 0.0
        return 1.0 - 2.0 * len(self._matched(control, a, b, labelled=True)) / (len(a) + len(b))

    def pair_counts(self, control: Control, a: Value, b: Value) -> Mapping[str, tuple[float, float]]:
        """Return `f1` (the same two regions and direction), `labelled_f1` (and the same labels): twice the relations of
        both over all relations; `score`, 1 - distance over 1."""
        total = float(len(a) + len(b))
        return {
            "score": (1.0 - self.distance(control, a, b), 1.0),
            "f1": (2.0 * len(self._matched(control, a, b, labelled=False)), total),
            "labelled_f1": (2.0 * len(self._matched(control, a, b, labelled=True)), total),
        }

    def units(self, control: Control, votes: Mapping[str, Value]) -> list[Unit]:
        """Return one unit for each pair of regions that anybody related: annotator to direction and labels, "" for one
        who did not."""
        found: list[tuple[Relation, dict[str, str]]] = []
        for who in sorted(votes):
            ours = list(map(upright, votes[who]))
            told = same_ends(control, [first for first, _ in found], ours)
            fresh: list[tuple[Relation, dict[str, str]]] = []
            for j, each in enumerate(ours):
                there = next((i for i in range(len(found)) if told[i, j].any() and who not in found[i][1]), None)
                if there is None:
                    fresh.append((each, {who: code(each)}))
                else:
                    found[there][1][who] = code(each if told[there, j, 0] else turned(each))
            found += fresh
        return [Unit({who: codes.get(who, "") for who in sorted(votes)}) for _, codes in found]

    def of_label(self, control: Control, value: Value, label: str) -> Value:
        """Return the relations with this label."""
        return tuple(each for each in value if label in each["labels"])

    def consensus(self, control: Control, votes: Mapping[str, Mapping[str, Value]], given: Given) -> Together:
        """Consolidate: map the ends to the consensus regions, then decide for each pair whether it is related, which
        way, and what the relation is called; see `relation_consensus`."""
        return consensus(control, votes, given, canonical=self.canonical)

    def doubt(self, control: Control, value: Value) -> float:
        """Return 1 minus the least score of any region that is related; 0 without scores."""
        scores = [each[end].get("score", 1.0) for each in value for end in ("from", "to")]
        return 1.0 - float(min(scores, default=1.0))

    def disagreement(self, control: Control, a: Value, b: Value) -> str:
        """Say in words how two values differ: other labels or directions, relations of one only."""
        same = self._matched(control, a, b, labelled=True)
        left_a = [each for i, each in enumerate(a) if i not in {i for i, _ in same}]
        left_b = [each for j, each in enumerate(b) if j not in {j for _, j in same}]
        joined = dict(match(same_ends(control, left_a, left_b).any(axis=2).astype(float), 1.0))
        parts = [
            f"{words(control, each)} against {words(control, left_b[joined[i]])}"
            if i in joined
            else f"only the first says {words(control, each)}"
            for i, each in enumerate(left_a)
        ]
        parts += [
            f"only the second says {words(control, each)}" for j, each in enumerate(left_b) if j not in joined.values()
        ]
        return "; ".join(parts) or "no difference"

    def _matched(self, control: Control, a: Value, b: Value, *, labelled: bool) -> list[tuple[int, int]]:
        """Return (i, j) of relations of two people that are the same, matched one to one."""
        ours, theirs = list(map(upright, a)), list(map(upright, b))
        told = same_ends(control, ours, theirs)
        table = np.zeros((len(a), len(b)))
        for i, one in enumerate(ours):
            for j, other in enumerate(theirs):
                if one["direction"] == other["direction"] and (not labelled or one["labels"] == other["labels"]):
                    table[i, j] = told[i, j].any() if one["direction"] == "bi" else told[i, j, 0]
        return match(table, 1.0)


def _labels(control: Control, labels: object) -> list[str]:
    given = [] if labels is None else [labels] if isinstance(labels, str) else labels
    if not isinstance(given, list | tuple) or not all(isinstance(label, str) for label in given):
        raise LabelError(f"the labels of a relation of '{control.name}' are no list of names", remedy=_AGAIN)
    for label in given:
        if label not in control.labels:
            raise LabelError(
                f"'{label[:60]}' is not a label of '{control.name}'", remedy=nearest(label[:60], control.labels)
            )
    return [label for label in control.labels if label in given]


def _order(control: Control, relation: Relation) -> tuple[Any, ...]:
    ends: list[Any] = []
    for region in (relation["from"], relation["to"]):
        kind = kind_of_region(control, region)
        page = region["envelope"].get("item_index")
        on = str(region["envelope"].get("to_name", ""))
        ends.append((kind.name, on, page if isinstance(page, int) else -1, kind.order(region), region["id"]))
    return (*ends, relation["direction"], relation["labels"])


KIND = Relations()
