"""Rankings of a task's items: `<Ranker>` of Label Studio, with or without buckets.

The canonical value is a tuple of (bucket, (item id, ...)) in the config's order of buckets; without buckets there is
one, named after the control. Items that a person left outside every bucket are in none.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from adapter.errors import LabelConfigError, LabelError, nearest
from adapter.kinds.base import Given, Measure, Merged, Tag, Together, Unit
from adapter.kinds.families.ranking_votes import likeliest, odds, ordered, places_of, ranking_skills
from adapter.vocabulary import Control, JsonObject, Value

MOST_ITEMS = 1_000
LOOSE = "_"
"""The bucket in which Label Studio keeps items that were not moved anywhere."""


class Ranker:
    """The kind of `<Ranker>`."""

    name = "ranker"
    tags = ("Ranker",)

    def control(self, tag: Tag) -> Control:
        """Parse `<Ranker>` and its `<Bucket>` elements. Raises LabelConfigError for buckets without or with doubled
        names."""
        name, to_name = tag.attributes.get("name", ""), tag.attributes.get("toName", "")
        buckets = [child.attributes.get("name", "") for child in tag.children if child.name == "Bucket"]
        if any(not bucket for bucket in buckets) or len(set(buckets)) != len(buckets):
            raise LabelConfigError(
                "its buckets need names, each its own",
                where=f"<Ranker name='{name}'>",
                remedy="Write <Bucket name='best' title='Best'/>.",
            )
        shown = tag.objects[to_name]
        return Control(
            name=name,
            kind=self.name,
            to_name=to_name,
            object_tag=shown.name,
            field=shown.attributes.get("value", "").removeprefix("$"),
            tag=tag.name,
            options={"buckets": buckets},
        )

    def canonical(self, control: Control, value: object) -> Value:
        """Return the value from a mapping of bucket to ids, pairs of them, or one list of ids where there are no
        buckets. Raises LabelError for unknown buckets and items that stand twice."""
        buckets = list(control.options.get("buckets", ())) or [control.name]
        if isinstance(value, Mapping):
            pairs = list(value.items())
        elif isinstance(value, list | tuple) and all(isinstance(item, str) for item in value) and len(buckets) == 1:
            pairs = [(buckets[0], value)]
        elif isinstance(value, list | tuple) and all(
            isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str) for pair in value
        ):
            pairs = [(pair[0], pair[1]) for pair in value]
        else:
            raise LabelError(f"'{control.name}' takes buckets with item ids", remedy='Write {"bucket": ["id", ...]}.')
        found: dict[str, tuple[str, ...]] = {}
        seen: set[str] = set()
        for bucket, items in pairs:
            if bucket == LOOSE and bucket not in buckets:
                continue
            if bucket not in buckets:
                raise LabelError(
                    f"'{_short(bucket)}' is no bucket of '{control.name}'", remedy=nearest(bucket, buckets)
                )
            if not isinstance(items, list | tuple) or len(items) > MOST_ITEMS:
                raise LabelError(f"bucket '{bucket}' holds no list of at most {MOST_ITEMS:,} ids")
            for item in items:
                if not isinstance(item, str):
                    raise LabelError(f"an item of bucket '{bucket}' is no text", remedy="Give the items' ids.")
                if item in seen:
                    raise LabelError(f"item '{_short(item)}' stands twice in '{control.name}'", remedy="Rank it once.")
                seen.add(item)
            found[bucket] = (*found.get(bucket, ()), *items)
        return tuple((bucket, found.get(bucket, ())) for bucket in buckets)

    def value_of(self, control: Control, item: Mapping[str, object]) -> Value:
        """Return the value in an item's `value`. Raises LabelError."""
        ranked = item.get("ranker")
        if not isinstance(ranked, Mapping):
            raise LabelError(f"an item of '{control.name}' holds no ranking", remedy="Submit the annotation again.")
        buckets = control.options.get("buckets")
        if not buckets and len(ranked) == 1:  # the page names the only list after the control, older ones `rank`
            return self.canonical(control, {control.name: next(iter(ranked.values()))})
        return self.canonical(control, ranked)

    def item(self, control: Control, value: Value) -> dict[str, object]:
        """Return Label Studio's `value` object for a value."""
        return {"ranker": {bucket: list(items) for bucket, items in self.canonical(control, value)}}

    def read(self, control: Control, result: Sequence[JsonObject]) -> Value | None:
        """Return the ranking in an annotation's result; None where nothing was ranked. Raises LabelError."""
        for item in result:
            if isinstance(item, Mapping) and item.get("from_name") == control.name:
                value = item.get("value")
                if not isinstance(value, Mapping):
                    raise LabelError(f"an item of '{control.name}' has no value", remedy="Submit the annotation again.")
                ranked = self.value_of(control, value)
                return ranked if any(items for _, items in ranked) else None
        return None

    def write(self, control: Control, value: Value) -> list[JsonObject]:
        """Return one result item with the ranking."""
        return [
            {
                "from_name": control.name,
                "to_name": control.to_name.split(",")[0].strip(),
                "type": "ranker",
                "value": self.item(control, value),
            }
        ]

    def measure(self, control: Control) -> Measure:
        """Return how rankings are compared: by pairs of items, and by bucket."""
        return Measure(
            "own",
            "pair_agreement",
            "share of pairs of items in the same order (1 - normalised Kendall distance), within buckets that both "
            "people chose; with buckets, averaged with the share of items in the same bucket",
        )

    def distance(self, control: Control, a: Value, b: Value) -> float:
        """Return 0 for equal rankings to 1 for reversed ones (Kendall tau distance over its greatest value); with
        buckets the mean of that and the share of items in other buckets."""
        counts = self.pair_counts(control, a, b)
        total = counts["score"]
        return 1.0 - total[0] / total[1]

    def pair_counts(self, control: Control, a: Value, b: Value) -> Mapping[str, tuple[float, float]]:
        """Return `pair_agreement` (pairs in the same order, pairs), `same_bucket` where there are buckets, `top` (the
        first item is the same) and `score`."""
        left, right = places_of(a), places_of(b)
        items = sorted({*left, *right})
        together = [i for i in items if left.get(i, ("",))[0] == right.get(i, ("",))[0]]
        same = len(together) / len(items) if items else 1.0
        agreed = pairs = 0
        for one, other in itertools.combinations(together, 2):
            if left[one][0] == left[other][0]:
                pairs += 1
                agreed += (left[one][1] < left[other][1]) == (right[one][1] < right[other][1])
        order = agreed / pairs if pairs else None
        bucketed = len(control.options.get("buckets", ())) > 0 or same < 1.0
        parts = [part for part in (order, same if bucketed else None) if part is not None]
        counts = {"score": (sum(parts) / len(parts) if parts else 1.0, 1.0), "top": (float(_top(a) == _top(b)), 1.0)}
        counts["pair_agreement"] = (float(agreed), float(pairs))
        if bucketed:
            counts["same_bucket"] = (float(len(together)), float(len(items)))
        return counts

    def units(self, control: Control, votes: Mapping[str, Value]) -> list[Unit]:
        """Return one unit for each pair of items: which of the two a person put first; for alpha on preferences."""
        places = {who: places_of(value) for who, value in votes.items()}
        items = sorted({item for place in places.values() for item in place})
        units = []
        for one, other in itertools.combinations(items, 2):
            codes = {
                who: place[one][1] < place[other][1]
                for who, place in places.items()
                if one in place and other in place and place[one][0] == place[other][0]
            }
            if codes:
                units.append(Unit(codes))
        return units

    def of_label(self, control: Control, value: Value, label: str) -> Value:
        """Return the value: rankings have no labels."""
        return value

    def doubt(self, control: Control, value: Value) -> float:
        """Return 0: rankings carry no scores."""
        return 0.0

    def disagreement(self, control: Control, a: Value, b: Value) -> str:
        """Say in words how two rankings differ."""
        left, right = places_of(a), places_of(b)
        moved = sorted(i for i in {*left, *right} if left.get(i, ("none",))[0] != right.get(i, ("none",))[0])
        if moved:
            first = moved[0]
            where = f"'{left.get(first, ('no bucket',))[0]}' against '{right.get(first, ('no bucket',))[0]}'"
            return f"'{_short(first)}' in {where}" + (f", and {len(moved) - 1} more" if len(moved) > 1 else "")
        for one, other in itertools.combinations(sorted(left), 2):
            if left[one][0] == left[other][0] and (left[one][1] < left[other][1]) != (right[one][1] < right[other][1]):
                count = self.pair_counts(control, a, b)["pair_agreement"]
                agreed = f"{count[0]:.0f} of {count[1]:.0f} pairs agree"
                return f"'{_short(one)}' and '{_short(other)}' the other way round ({agreed})"
        return "no difference"

    def consensus(self, control: Control, votes: Mapping[str, Mapping[str, Value]], given: Given) -> Together:
        """Consolidate rankings: each item's bucket by skill-weighted plurality, the order within it by Bradley-Terry
        strengths (Bradley and Terry 1952) of the skill-weighted pairwise wins.

        An annotator's skill is the share of that person's pairs which agree with the majority of the others (or with
        gold), shrunk to the prior of `core.people`. certainty: of the least certain neighbouring pair or bucket, by the
        one-coin model; even votes leave no consensus.
        """
        skill = ranking_skills(votes, given.gold)
        accuracy = {who: min(max(s.accuracy, 0.02), 0.98) for who, s in skill.items()}
        merged = {}
        for task_id in sorted(votes):
            if task_id in given.gold:
                merged[task_id] = Merged(self.canonical(control, given.gold[task_id]), 1.0, 1.0)
            else:
                merged[task_id] = self._merged(control, votes[task_id], accuracy)
        return Together(merged, skill, "bradley-terry")

    def _merged(self, control: Control, by_person: Mapping[str, Value], accuracy: Mapping[str, float]) -> Merged:
        buckets = list(control.options.get("buckets", ())) or [control.name]
        places = {who: places_of(value) for who, value in sorted(by_person.items())}
        sure: list[float] = []
        members: dict[str, list[str]] = {bucket: [] for bucket in buckets}
        for item in sorted({item for place in places.values() for item in place}):
            votes: dict[str, float] = defaultdict(float)
            for who, place in places.items():
                votes[place[item][0] if item in place else ""] += odds(accuracy[who])
            bucket, chance = likeliest(votes, len(buckets) + 1)
            sure.append(chance)
            if bucket:
                members[bucket].append(item)
        value = []
        for bucket in buckets:
            order, certain = ordered(members[bucket], places, accuracy)
            value.append((bucket, order))
            sure += certain
        certainty = min(sure, default=1.0)
        whole = self.canonical(control, value)
        if certainty <= 0.5 + 1e-9:
            return Merged(None, 0.0, certainty, proposal=whole, why="as many people rank it the other way round")
        return Merged(whole, float(np.prod(sure)), certainty)


def _top(value: Sequence[tuple[str, Sequence[str]]]) -> str:
    return next((items[0] for _, items in value if items), "")


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


KIND = Ranker()
