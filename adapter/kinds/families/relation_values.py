"""One relation: what it holds, the two ways in which it can be told, and its words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, cast

import numpy as np
import numpy.typing as npt

from adapter.kinds.base import Region
from adapter.kinds.families.region_refs import alike, describe
from adapter.vocabulary import Control

DIRECTIONS = ("left", "right", "bi")
Relation = TypedDict("Relation", {"from": Region, "to": Region, "direction": str, "labels": list[str]})
"""A relation between two whole regions. labels: in the config's order."""
_TURNED = {"left": "right", "right": "left", "bi": "bi"}
_ARROW = {"left": "<-", "right": "->", "bi": "<->"}


def made(first: Region, second: Region, direction: str, labels: list[str]) -> Relation:
    """Return a relation."""
    return cast(Relation, {"from": first, "to": second, "direction": direction, "labels": labels})


def turned(relation: Relation) -> Relation:
    """Return the same relation told from its other end."""
    return made(relation["to"], relation["from"], _TURNED[relation["direction"]], relation["labels"])


def upright(relation: Relation) -> Relation:
    """Return a relation that points left turned round, so that it points right; any other as it is."""
    return turned(relation) if relation["direction"] == "left" else relation


def code(relation: Relation) -> str:
    """Return direction and labels as one text."""
    return f"{relation['direction']} {' + '.join(relation['labels'])}".strip()


def words(control: Control, relation: Relation) -> str:
    """Say a relation in words."""
    named = f" ({' + '.join(relation['labels'])})" if relation["labels"] else ""
    ends = describe(control, relation["from"]), describe(control, relation["to"])
    return f"{ends[0]} {_ARROW[relation['direction']]} {ends[1]}{named}"


def same_ends(control: Control, a: Sequence[Relation], b: Sequence[Relation]) -> npt.NDArray[np.bool_]:
    """Return (n, m, 2): whether the i-th relation of `a` joins the two things that the j-th of `b` does, told as it is
    and told from its other end."""
    ends_a, ends_b = _ends(a), _ends(b)
    place_a, place_b = ({number: i for i, number in enumerate(ends)} for ends in (ends_a, ends_b))
    table = alike(control, list(ends_a.values()), list(ends_b.values()))
    told = np.zeros((len(a), len(b), 2), bool)
    for i, one in enumerate(a):
        start, end = place_a[one["from"]["id"]], place_a[one["to"]["id"]]
        for j, other in enumerate(b):
            first, second = place_b[other["from"]["id"]], place_b[other["to"]["id"]]
            told[i, j] = table[start, first] and table[end, second], table[start, second] and table[end, first]
    return told


def _ends(value: Sequence[Relation]) -> dict[str, Region]:
    """Return the regions of one person's relations by id."""
    return {region["id"]: region for each in value for region in (each["from"], each["to"])}
