"""Doubts about single people through the kinds: boxes, masks, ratings, texts; each judged without its own vote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapter.kinds.base import Given, Tag
from adapter.kinds.brush import KIND as BRUSH
from adapter.kinds.doubts import Doubted, doubts_of, judges, others_say
from adapter.kinds.families.masks import Mask
from adapter.kinds.number import KIND as NUMBER
from adapter.kinds.rectangles import KIND as BOXES
from adapter.vocabulary import Control

LABELS = ("cat", "dog")
BOX = Control("box", "rectangles", "image", "Image", "image", LABELS, tag="RectangleLabels", fields=("image",))
PAINT = Control("paint", "brush", "image", "Image", "image", LABELS, tag="BrushLabels", fields=("image",))
STARS = Control("stars", "rating", "text", "Text", "text", ("1", "2", "3", "4", "5"), tag="Rating", fields=("text",))
ANSWER = Control("answer", "text", "text", "Text", "text", tag="TextArea", fields=("text",), options={"most": 1})
SIDES = {"original_width": 64, "original_height": 48, "image_rotation": 0}


def box(name: str, x: float, y: float, label: str) -> dict[str, Any]:
    value = {"x": x, "y": y, "width": 20, "height": 20}
    return {"id": name, "labels": [label], "value": value, "envelope": SIDES}


def mask(name: str, top: int, left: int, label: str) -> dict[str, Any]:
    pixels = np.zeros((48, 64), np.bool_)
    pixels[top : top + 16, left : left + 16] = True
    return {"id": name, "labels": [label], "value": BRUSH.painted(Mask.of(pixels)), "envelope": SIDES}


def found(doubts: list[Doubted]) -> set[tuple[str, str, str, str]]:
    return {(d.task, d.annotator, d.kind, d.mark) for d in doubts if d.score > 0.5}


def test_each_error_in_boxes_is_found_and_named() -> None:
    right = [box("a", 10, 10, "cat"), box("b", 60, 60, "dog")]
    slips = {
        "t1": [right[0]],
        "t2": [*right, box("c", 70, 5, "cat")],
        "t3": [right[0], box("b", 60, 60, "cat")],
        "t4": [right[0], box("b", 68, 66, "dog")],
    }
    votes = {
        f"t{n}": {
            who: BOXES.canonical(BOX, slips.get(f"t{n}", right) if who == "ann" else right)
            for who in ("ann", "bob", "cy")
        }
        for n in range(12)
    }
    assert found(doubts_of(BOX, votes, Given())) == {
        ("t1", "ann", "missed", "b"),
        ("t2", "ann", "invented", "c"),
        ("t3", "ann", "wrong class", "b"),
        ("t4", "ann", "moved", "b"),
    }


def test_masks_are_judged_by_their_pixels() -> None:
    right = [mask("a", 4, 4, "cat"), mask("b", 28, 40, "dog")]
    slips = {"t1": [right[0]], "t2": [right[0], mask("b", 20, 40, "dog")], "t3": [right[0], mask("b", 28, 40, "cat")]}
    votes = {
        f"t{n}": {
            who: BRUSH.canonical(PAINT, slips.get(f"t{n}", right) if who == "ann" else right)
            for who in ("ann", "bob", "cy")
        }
        for n in range(6)
    }
    assert found(doubts_of(PAINT, votes, Given())) == {
        ("t1", "ann", "missed", "b"),
        ("t2", "ann", "moved", "b"),
        ("t3", "ann", "wrong class", "b"),
    }


def test_the_consensus_that_judges_a_vote_has_not_seen_it() -> None:
    control = NUMBER.control(
        Tag("Number", {"name": "n", "toName": "t"}, objects={"t": Tag("Text", {"name": "t", "value": "$text"})})
    )

    def said(of_ann: float) -> dict[str, dict[str, float]]:
        return {f"t{n}": {"ann": of_ann if n == 0 else 5.0, "bob": 5.0 + n, "cy": 6.0 + n} for n in range(30)}

    def of(value: float) -> list[Any]:
        return [theirs for who, task, theirs in others_say(NUMBER, control, said(value), Given()) if who == "ann"]

    assert of(5.0) == of(1e6)


def test_a_rating_three_stars_off_is_doubted_and_one_star_is_not() -> None:
    votes = {f"t{n}": {"ann": 4, "bob": 5, "cy": 4} for n in range(30)}
    votes["t3"]["ann"] = 1
    assert judges(STARS)
    [doubt] = doubts_of(STARS, votes, Given())
    assert (doubt.task, doubt.annotator, doubt.kind, doubt.expected) == ("t3", "ann", "far off", 4.5)


def test_a_text_unlike_all_others_is_doubted() -> None:
    said = ("the quick brown fox jumps", "the quick brown fox jumps", "the quick brown fox jumped")
    votes = {f"t{n}": {who: (text,) for who, text in zip(("ann", "bob", "cy"), said, strict=True)} for n in range(10)}
    votes["t4"]["bob"] = ("no idea what this is",)
    [doubt] = doubts_of(ANSWER, votes, Given())
    assert (doubt.task, doubt.annotator, doubt.against) == ("t4", "bob", 2)


def test_gold_tasks_are_not_judged_and_one_persons_cannot_be() -> None:
    right = BOXES.canonical(BOX, [box("a", 10, 10, "cat")])
    votes = {"gold": {"ann": (), "bob": right, "cy": right}, "alone": {"ann": ()}}
    assert doubts_of(BOX, votes, Given(gold={"gold": right})) == []
    assert doubts_of(BOX, {}, Given()) == []


@pytest.mark.data
def test_errors_injected_into_real_boxes_are_found(data_folder: Path) -> None:
    from benchmarks.boxes import NOISE, images
    from benchmarks.flags import boxes

    ours = boxes(images(data_folder, 40), tuple(NOISE), 0)["ours"]
    for kind, (precision, recall) in {
        "missed": (0.85, 0.9),
        "invented": (0.9, 0.85),
        "wrong class": (0.9, 0.8),
        "moved": (0.8, 0.8),
    }.items():
        assert ours[kind]["precision"] >= precision, kind
        assert ours[kind]["recall"] >= recall, kind
