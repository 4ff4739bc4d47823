"""How simulated annotators err, by kind of label: a wrong class, a missed or moved or invented region, a dropped word.

A skill of .95 means: a label is right with .95; of the regions of a task each is seen with .95, named rightly with .95,
and placed within 2 * (1 - skill) of its size; for each region there is one chance of (1 - skill) / 2 to mark something
that is not there; each word of a text is written rightly with .95.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from adapter.kinds import kind_of, label_kind
from adapter.kinds.base import Region, RegionKind
from adapter.vocabulary import Control, Value


def slip(control: Control, gold: Value, skill: float, rng: np.random.Generator) -> Value:
    """Return what somebody of this skill says where `gold` is true; with a skill of 1 that is `gold`."""
    kind = kind_of(control.kind)
    if isinstance(kind, RegionKind):
        return kind.canonical(control, _regions(control, gold, skill, rng))
    if control.inner is not None:
        said = [
            {**entry, "value": slip(control.inner, entry["value"], skill, rng)}
            for entry in gold
            if rng.random() < skill
        ]
        return kind.canonical(control, said)
    if label_kind(control) is not None:
        return kind.canonical(control, _labels(control, gold, skill, rng))
    if control.kind == "text":
        return kind.canonical(control, [_words(text, skill, rng) for text in gold])
    if control.kind == "ranker":
        return kind.canonical(control, [(bucket, _order(items, skill, rng)) for bucket, items in gold])
    if control.kind == "number" and rng.random() >= skill:
        return kind.canonical(control, float(gold) * (1 + 0.2 * rng.standard_normal()))
    if control.kind == "relations":
        return kind.canonical(control, [relation for relation in gold if rng.random() < skill])
    return gold


def _labels(control: Control, gold: Value, skill: float, rng: np.random.Generator) -> object:
    if control.multiple:  # each label is seen as it is with the person's skill
        held = set(gold)
        kept = [label for label in control.labels if (label in held) == (rng.random() < skill)]
        return kept or list(gold)
    true = str(gold[0] if isinstance(gold, tuple | list) else gold)
    others = [label for label in control.labels if label != true]
    if rng.random() < skill or not others:
        return gold
    if control.kind == "rating":  # people miss a rating by one more often than by two
        near = np.array([1.0 / abs(int(label) - int(true)) ** 2 for label in others])
        return int(others[int(rng.choice(len(others), p=near / near.sum()))])
    return others[int(rng.integers(len(others)))]


def _regions(control: Control, gold: Sequence[Region], skill: float, rng: np.random.Generator) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = []
    for region in gold:
        seen = rng.random() < skill
        marked: dict[str, Any] = copy.deepcopy(dict(region))
        marked.pop("id", None)  # each annotation has ids of its own
        if rng.random() >= skill:
            others = [label for label in control.labels if label not in region["labels"]]
            if others and region["labels"]:
                marked["labels"] = [others[int(rng.integers(len(others)))]]
        marked["value"] = _moved(region["value"], 2 * (1 - skill), rng)
        if seen:
            said.append(marked)
        if rng.random() < (1 - skill) / 2:
            invented = copy.deepcopy(marked)
            invented["value"] = _elsewhere(region["value"], rng)
            said.append(invented)
    return said


def _moved(value: Mapping[str, Any], share: float, rng: np.random.Generator) -> dict[str, Any]:
    """Return a geometry with its edges moved by up to `share` of its size; shapes that are not known stay."""
    out = dict(value)
    if {"x", "y", "width", "height"} <= out.keys():
        for place, size in (("x", "width"), ("y", "height")):
            low = max(out[place] + share * out[size] * rng.uniform(-0.5, 0.5), 0.0)
            high = min(out[place] + out[size] + share * out[size] * rng.uniform(-0.5, 0.5), 100.0)
            if high > low:
                out[place], out[size] = low, high - low
    elif isinstance(out.get("start"), int | float) and isinstance(out.get("end"), int | float):
        length = out["end"] - out["start"]
        step = share * length * rng.uniform(0, 0.5)
        step = round(step) if isinstance(length, int) else step
        if 0 < step < length:
            side = "start" if rng.random() < 0.5 else "end"
            out[side] += step if side == "start" else -step
            out.pop("text", None)
    return out


def _elsewhere(value: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Return a geometry of the same size at another place in front of it; shapes that cannot be moved so stay."""
    out = dict(value)
    if {"x", "y", "width", "height"} <= out.keys():
        out["x"] = float(rng.uniform(0, max(100.0 - out["width"], 0.0)))
        out["y"] = float(rng.uniform(0, max(100.0 - out["height"], 0.0)))
    elif isinstance(out.get("start"), int | float) and isinstance(out.get("end"), int | float):
        length = out["end"] - out["start"]
        start = rng.uniform(0, max(float(out["start"]), 0.0))
        out["start"] = int(start) if isinstance(length, int) else float(start)
        out["end"] = out["start"] + length
        out.pop("text", None)
    return out


def _words(text: str, skill: float, rng: np.random.Generator) -> str:
    said = []
    for word in text.split(" "):
        if rng.random() < skill:
            said.append(word)
        elif rng.random() < 0.5:
            said.append(word[::-1])
    return " ".join(said) or text


def _order(items: Sequence[str], skill: float, rng: np.random.Generator) -> list[str]:
    order = list(items)
    for place in range(len(order) - 1):
        if rng.random() >= skill:
            order[place], order[place + 1] = order[place + 1], order[place]
    return order
