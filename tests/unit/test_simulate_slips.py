"""Simulated annotators err by kind of label, as often as their skill says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adapter.kinds import kind_of
from adapter.label_studio.label_config import parse_label_config
from adapter.simulate.slips import slip
from adapter.vocabulary import Control

TEXT = "<Text name='text' value='$text'/>"
SPANS = f"<View>{TEXT}<Labels name='c' toName='text'><Label value='PER'/><Label value='ORG'/></Labels></View>"
BOXES = (
    "<View><Image name='image' value='$image'/>"
    "<RectangleLabels name='c' toName='image'><Label value='cat'/><Label value='dog'/></RectangleLabels></View>"
)


def control(config: str) -> Control:
    return parse_label_config(config).controls[0]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def spans(count: int) -> list[dict[str, Any]]:
    return [
        {"from_name": "c", "to_name": "text", "type": "labels", "id": f"r{n}",
         "value": {"start": 100 * n, "end": 100 * n + 20, "labels": ["PER"]}}
        for n in range(count)
    ]  # fmt: skip


def boxes(count: int) -> list[dict[str, Any]]:
    value = {"x": 20.0, "y": 30.0, "width": 10.0, "height": 20.0, "rotation": 0, "rectanglelabels": ["cat"]}
    envelope = {"original_width": 100, "original_height": 100, "image_rotation": 0}
    return [
        {"from_name": "c", "to_name": "image", "type": "rectanglelabels", "id": f"r{n}", "value": value, **envelope}
        for n in range(count)
    ]


@pytest.mark.parametrize(("config", "made"), [(SPANS, spans), (BOXES, boxes)], ids=["spans", "boxes"])
def test_regions_are_missed_misnamed_moved_and_invented_at_the_stated_rates(config: str, made: Any) -> None:
    c = control(config)
    kind = kind_of(c.kind)
    gold = kind.read(c, made(1000))
    assert gold is not None
    said = slip(c, gold, 0.8, rng())
    # 1,000 regions: seen with .8 and invented with .1, three standard errors are 40
    assert len(said) == pytest.approx(1000 * 0.8 + 1000 * 0.1, abs=45)
    names = [region["labels"][0] for region in said]
    assert names.count(c.labels[1]) / len(names) == pytest.approx(0.2, abs=0.045)
    assert any(region["value"] != gold[0]["value"] for region in said)


@pytest.mark.parametrize(("config", "made"), [(SPANS, spans), (BOXES, boxes)], ids=["spans", "boxes"])
def test_perfect_skill_says_gold(config: str, made: Any) -> None:
    c = control(config)
    kind = kind_of(c.kind)
    gold = kind.read(c, made(5))
    assert gold is not None
    assert kind.distance(c, slip(c, gold, 1.0, rng()), gold) == 0


def test_a_rating_is_missed_by_one_more_often_than_by_more() -> None:
    c = control(f"<View>{TEXT}<Rating name='c' toName='text' maxRating='5'/></View>")
    dice = rng()
    said = [slip(c, 3, 0.5, dice) for _ in range(4000)]
    assert said.count(3) / 4000 == pytest.approx(0.5, abs=0.025)
    near, far = said.count(2) + said.count(4), said.count(1) + said.count(5)
    assert near > 3 * far > 0


def test_words_are_dropped_or_garbled_and_orders_are_swapped() -> None:
    text = control(f"<View>{TEXT}<TextArea name='c' toName='text'/></View>")
    written = " ".join(f"word{n}" for n in range(1000))
    (said,) = slip(text, (written,), 0.9, rng())
    kept = sum(word in set(written.split()) for word in said.split())
    assert kept == pytest.approx(900, abs=30)
    ranker = control("<View><List name='items' value='$items'/><Ranker name='c' toName='items'/></View>")
    (pair,) = slip(ranker, (("c", ("a", "b", "c", "d")),), 0.0, rng())
    assert sorted(pair[1]) == ["a", "b", "c", "d"] != list(pair[1])


def test_what_hangs_on_regions_errs_by_its_own_kind() -> None:
    config = (
        f"<View>{TEXT}<Labels name='s' toName='text'><Label value='PER'/></Labels>"
        "<Choices name='c' toName='text' perRegion='true'><Choice value='real'/><Choice value='fake'/></Choices></View>"
    )
    space = parse_label_config(config)
    c = space.control("c")
    kind = kind_of(c.kind)
    result = [
        {"from_name": "s", "to_name": "text", "type": "labels", "id": "r",
         "value": {"start": 0, "end": 3, "labels": ["PER"]}},
        {"from_name": "c", "to_name": "text", "type": "choices", "id": "r",
         "value": {"start": 0, "end": 3, "choices": ["real"]}},
    ]  # fmt: skip
    gold = kind.read(c, result)
    assert slip(c, gold, 1.0, rng()) == gold
    dice = rng()
    wrong = [slip(c, gold, 0.7, dice) for _ in range(500)]
    values = [entry["value"] for value in wrong for entry in value]
    assert values.count(("fake",)) / len(values) == pytest.approx(0.3, abs=0.09)
    assert sum(not value for value in wrong) / 500 == pytest.approx(0.3, abs=0.07)
