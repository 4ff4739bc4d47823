"""The labeling functions that come with the product: they load, vote as documented, and are worth having."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapter.demo.corpus import LABELS, support_mails
from adapter.demo.data import digit_images
from adapter.labeling import LabelingFunction, discover

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "labeling_functions"


def shipped(name: str) -> list[LabelingFunction]:
    return discover(FOLDER / f"{name}.py")


def figures(
    functions: Sequence[LabelingFunction], rows: Sequence[Mapping[str, Any]], gold: Sequence[str]
) -> tuple[float, float]:
    """Coverage, and the accuracy of a majority vote on covered rows; a tie counts as drawn at random."""
    right, covered = 0.0, 0
    for row, label in zip(rows, gold, strict=True):
        votes = [vote for function in functions if (vote := function(row)) is not None]
        if votes:
            counts = {vote: votes.count(vote) for vote in votes}
            winners = [vote for vote, count in counts.items() if count == max(counts.values())]
            covered += 1
            right += (label in winners) / len(winners)
    return covered / len(rows), right / covered


@pytest.mark.parametrize(("name", "count"), [("youtube_spam", 13), ("support_mail", 11), ("digits", 11)])
def test_each_module_loads_and_says_what_its_functions_do(name: str, count: int) -> None:
    functions = shipped(name)
    assert len(functions) == count
    assert all(function.doc and function.version for function in functions)
    assert f"{name}.py" in (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"{count} functions" in (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["youtube_spam", "support_mail", "digits"])
def test_votes_are_labels_of_the_shipped_label_config(name: str) -> None:
    text = (ROOT / "config" / "label_configs" / f"{name}.xml").read_text(encoding="utf-8")
    if name == "digits":
        rows: list[dict[str, Any]] = [{"image": image} for image, _ in digit_images(60, seed=1)]
    else:
        rows = [{"text": mail} for mail, _ in support_mails(60, seed=1)]
    for function in shipped(name):
        for vote in {function(row) for row in rows} - {None}:
            assert f'value="{vote}"' in text


def test_comments_are_told_apart_by_what_they_want() -> None:
    functions = {function.name: function for function in shipped("youtube_spam")}
    assert functions["link"]({"text": "look www.example.com now"}) == "spam"
    assert functions["channel"]({"text": "please SUBSCRIBE"}) == "spam"
    assert functions["short_text"]({"text": "so good"}) == "ham"
    assert functions["short_text"]({"text": "check it out"}) is None
    assert functions["about_the_song"]({"text": "this song never gets old for me"}) == "ham"


def test_support_mail_functions_cover_all_and_mostly_agree_with_the_truth() -> None:
    mails = list(support_mails(400, seed=5))
    rows, gold = [{"text": text} for text, _ in mails], [label for _, label in mails]
    coverage, accuracy = figures(shipped("support_mail"), rows, gold)
    assert {label for _, label in mails} == set(LABELS)
    assert coverage > 0.95
    assert accuracy > 0.75


def test_digit_functions_beat_chance_by_far() -> None:
    images = digit_images(300, seed=5)
    coverage, accuracy = figures(shipped("digits"), [{"image": uri} for uri, _ in images], [d for _, d in images])
    assert coverage > 0.7
    assert accuracy > 0.75


def test_a_blank_image_is_a_fault_not_a_guess() -> None:
    import base64
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.full((32, 32), 255, dtype=np.uint8)).save(buffer, format="PNG")
    blank = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    with pytest.raises(ValueError, match="blank"):
        shipped("digits")[0]({"image": blank})


@pytest.mark.data
def test_youtube_functions_reach_their_goal_on_the_real_comments() -> None:
    folder = os.environ.get("HITL_DATA")
    if not folder:
        pytest.skip("HITL_DATA does not name the folder with the data sets")
    with (Path(folder) / "youtube_spam" / "youtube_clean.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    gold = ["spam" if row["label"] == "1" else "ham" for row in rows]
    coverage, accuracy = figures(shipped("youtube_spam"), rows, gold)
    assert coverage > 0.8
    assert accuracy > 0.78
