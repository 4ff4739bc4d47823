"""The labeling functions that come with the product: they load, keep their own examples, vote as documented, and are
worth having on real data."""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from adapter.demo.corpus import LABELS, support_mails
from adapter.demo.data import digit_images
from adapter.label_studio.label_config import parse_label_config
from adapter.labeling import LabelingFunction, discover, preprocess
from adapter.labeling.bound import bound

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "labeling_functions"
COUNTS = {"youtube_spam": 13, "sms_spam": 20, "support_mail": 11, "digits": 11, "adult_income": 12}
Row = Mapping[str, Any]


def shipped(name: str) -> list[LabelingFunction]:
    return discover(FOLDER / f"{name}.py")


def said(answer: Any) -> str | None:
    return answer[0] if isinstance(answer, tuple) else answer


@dataclass(frozen=True)
class Measured:
    """coverage: share of rows with a vote. accuracy: of a majority vote there, a tie counting as drawn at random.
    recall: the same for each label, over covered rows. each: function to (coverage, accuracy)."""

    coverage: float
    accuracy: float
    recall: dict[str, float]
    each: dict[str, tuple[float, float]]


def measure(functions: Sequence[LabelingFunction], rows: Sequence[Row], gold: Sequence[str]) -> Measured:
    rules = {function.name: bound(function) for function in functions}
    credit: dict[str, list[float]] = {label: [] for label in gold}
    hits: dict[str, list[bool]] = {name: [] for name in rules}
    for row, label in zip(rows, gold, strict=True):
        votes = {name: vote for name, rule in rules.items() if (vote := said(rule(row))) is not None}
        for name, vote in votes.items():
            hits[name].append(vote == label)
        if votes:
            there = list(votes.values())
            most = max(there.count(vote) for vote in there)
            winners = {vote for vote in there if there.count(vote) == most}
            credit[label].append((label in winners) / len(winners))
    every = [value for values in credit.values() for value in values]
    each = {name: (len(seen) / len(rows), sum(seen) / max(1, len(seen))) for name, seen in hits.items()}
    recall = {label: sum(values) / max(1, len(values)) for label, values in credit.items()}
    return Measured(len(every) / len(rows), sum(every) / len(every), recall, each)


def documented(name: str) -> tuple[int, float, float]:
    """Tasks, coverage and accuracy that the README gives for a module."""
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"^\| `{name}.py`[^|]*\| ([\d,]+) \| ([\d.]+) % \| ([\d.]+) % \|", text, re.M)
    assert found is not None
    return int(found[1].replace(",", "")), float(found[2]) / 100, float(found[3]) / 100


def check_documented(name: str, found: Measured, rows: int) -> None:
    tasks, coverage, accuracy = documented(name)
    assert tasks == rows
    assert found.coverage == pytest.approx(coverage, abs=0.0006)
    assert found.accuracy == pytest.approx(accuracy, abs=0.0006)


def read_csv(path: Path, **options: Any) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [dict(row) for row in csv.DictReader(file, **options)]


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_each_module_loads_and_says_what_its_functions_do(name: str, count: int) -> None:
    functions = shipped(name)
    assert len(functions) == count
    assert all(function.doc and function.version for function in functions)
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"^\| `{name}\.py` .*\b{count} functions", text, re.M)


@pytest.mark.parametrize("name", COUNTS)
def test_each_function_keeps_the_examples_beside_it(name: str) -> None:
    functions = shipped(name)
    for function in functions:
        for data, expected in function.examples:
            assert said(function(data)) == expected, (function.name, data)
    if name != "digits":  # an image says little as text
        assert sum(bool(function.examples) for function in functions) * 2 >= len(functions)


def test_what_can_be_declared_is_declared() -> None:
    declared = {name: sum(item.declared is not None for item in shipped(name)) for name in COUNTS}
    assert declared == {"youtube_spam": 7, "sms_spam": 20, "support_mail": 10, "digits": 0, "adult_income": 10}


@pytest.mark.parametrize(
    ("name", "old", "new", "changed"),
    [
        ("youtube_spam", 'data["words"] <= 8', 'data["words"] <= 7', {"short_text"}),
        ("support_mail", '"receipts", ', "", {"invoice", "no_topic"}),
        ("digits", "> 0.85 else None", "> 0.8 else None", {"one_stroke"}),
        ("adult_income", "below=25", "below=26", {"young"}),
        ("sms_spam", r"|\bfinal (?:attempt|notice)\b", "", {"spam_urgent"}),
    ],
)
def test_editing_one_function_renews_it_and_what_builds_on_it_alone(
    tmp_path: Path, name: str, old: str, new: str, changed: set[str]
) -> None:
    for path in FOLDER.glob("[a-z]*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    before = {function.name: function.version for function in discover(tmp_path / f"{name}.py")}
    file = tmp_path / ("sms_spam_rules.tsv" if name == "sms_spam" else f"{name}.py")
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    after = {function.name: function.version for function in discover(tmp_path / f"{name}.py")}
    assert {key for key in after if after[key] != before[key]} == changed


def test_all_of_them_load_together_as_one_package() -> None:
    names = [function.name for function in discover(FOLDER)]
    assert len(names) == len(set(names)) == sum(COUNTS.values())


@pytest.mark.parametrize("name", ["youtube_spam", "support_mail", "digits"])
def test_votes_are_labels_of_the_shipped_label_config(name: str) -> None:
    text = (ROOT / "config" / "label_configs" / f"{name}.xml").read_text(encoding="utf-8")
    labels = set(parse_label_config(text).controls[0].labels)
    if name == "digits":
        rows: list[Row] = [{"image": image} for image, _ in digit_images(60, seed=1)]
    else:
        rows = [{"text": mail} for mail, _ in support_mails(60, seed=1)]
    for function in shipped(name):
        assert {said(function(row)) for row in rows} <= labels | {None}
        assert {label for _, label in function.examples} <= labels | {None}


def test_votes_on_the_census_are_labels_of_the_label_config_that_the_module_gives() -> None:
    text = (FOLDER / "adult_income.py").read_text(encoding="utf-8")
    config = re.search(r"<View>.*</View>", text, re.S)
    assert config is not None
    labels = set(parse_label_config(config[0]).controls[0].labels)
    for function in shipped("adult_income"):
        assert {label for _, label in function.examples} <= labels | {None}
        assert function.declared is None or function.declared.label in labels | {""}


def test_no_census_function_looks_at_race_or_sex() -> None:
    class Told(dict[str, Any]):
        asked: ClassVar[set[str]] = set()

        def __getitem__(self, key: str) -> Any:
            self.asked.add(key)
            return super().__getitem__(key)

        def get(self, key: str, default: Any = None) -> Any:
            self.asked.add(key)
            return super().get(key, default)

    row = Told(
        {
            "age": "50",
            "workclass": "Private",
            "education": "Masters",
            "education-num": "14",
            "marital-status": "Married-civ-spouse",
            "occupation": "Sales",
            "relationship": "Wife",
            "race": "White",
            "sex": "Female",
            "capital-gain": "0",
            "hours-per-week": "50",
            "native-country": "Cuba",
        }
    )
    votes = {function.name: said(function(row)) for function in shipped("adult_income")}
    assert votes["married_graduate"] == ">50K"
    assert not row.asked & {"race", "sex", "native-country"}
    assert {"age", "occupation", "hours-per-week"} <= row.asked


def test_comments_are_told_apart_by_what_they_want() -> None:
    functions = {function.name: function for function in shipped("youtube_spam")}
    assert functions["link"]({"text": "look www.example.com now"}) == "spam"
    assert functions["channel"]({"text": "please SUBSCRIBE"}) == "spam"
    assert functions["short_text"]({"text": "so good"}) == "ham"
    assert functions["short_text"]({"text": "check it out"}) is None
    assert functions["about_the_song"]({"text": "this song never gets old for me"}) == "ham"


def test_support_mail_functions_cover_all_and_mostly_agree_with_the_truth() -> None:
    mails = list(support_mails(400, seed=5))
    found = measure(shipped("support_mail"), [{"text": text} for text, _ in mails], [label for _, label in mails])
    assert {label for _, label in mails} == set(LABELS)
    assert found.coverage == 1
    assert found.accuracy >= 0.90
    check_documented("support_mail", found, 400)


def test_digit_functions_beat_chance_by_far_on_every_digit() -> None:
    images = digit_images(1797, seed=5)
    found = measure(shipped("digits"), [{"image": uri} for uri, _ in images], [digit for _, digit in images])
    assert found.coverage >= 0.82
    assert found.accuracy >= 0.83
    assert min(found.recall.values()) >= 0.5
    assert min(accuracy for _, accuracy in found.each.values()) >= 0.65
    check_documented("digits", found, 1797)


def test_an_image_is_decoded_once_for_all_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    opened = []
    real = Image.open
    monkeypatch.setattr(Image, "open", lambda *given, **named: opened.append(1) or real(*given, **named))
    monkeypatch.setattr(preprocess, "_KEPT", {})  # what other tests made this process remember
    rules = [bound(function) for function in shipped("digits")]
    images = [uri for uri, _ in digit_images(5, seed=1)]
    opened.clear()
    votes = [[rule({"image": uri}) for uri in images] for rule in rules]
    assert len(votes) == 11
    assert len(opened) == 5


def test_a_blank_image_is_a_fault_not_a_guess() -> None:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.full((32, 32), 255, dtype=np.uint8)).save(buffer, format="PNG")
    blank = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    with pytest.raises(ValueError, match="blank"):
        shipped("digits")[0]({"image": blank})


@pytest.mark.data
def test_youtube_functions_reach_their_goal_on_the_real_comments(data_folder: Path) -> None:
    rows = read_csv(data_folder / "youtube_spam" / "youtube_clean.csv")
    gold = ["spam" if row["label"] == "1" else "ham" for row in rows]
    found = measure(shipped("youtube_spam"), rows, gold)
    assert found.coverage >= 0.955
    assert found.accuracy >= 0.960
    assert min(found.recall.values()) >= 0.95
    assert min(accuracy for _, accuracy in found.each.values()) >= 0.90
    check_documented("youtube_spam", found, 1941)


@pytest.mark.data
def test_message_rules_reach_their_goal_on_the_real_messages(data_folder: Path) -> None:
    rows = [row for part in ("train", "valid", "test") for row in read_csv(data_folder / "sms_spam" / f"{part}.csv")]
    found = measure(shipped("sms_spam"), [{"text": row["v2"]} for row in rows], [row["v1"] for row in rows])
    assert found.coverage >= 0.57
    assert found.accuracy >= 0.975
    assert min(found.recall.values()) >= 0.94
    check_documented("sms_spam", found, 5502)


@pytest.mark.data
def test_census_functions_beat_the_largest_class_on_both_sides(data_folder: Path) -> None:
    rows = read_csv(data_folder / "adult_income" / "adult.data", skipinitialspace=True)
    gold = [row.pop("Y") for row in rows]
    found = measure(shipped("adult_income"), rows, gold)
    assert found.coverage >= 0.82
    assert found.accuracy >= 0.80
    assert min(found.recall.values()) >= 0.75, "a constant answer would have 0 on one side"
    share = {label: gold.count(label) / len(gold) for label in (">50K", "<=50K")}
    for function in shipped("adult_income"):
        label = function.declared.label if function.declared is not None else ">50K"
        coverage, accuracy = found.each[function.name]
        assert coverage > 0
        assert not label or accuracy > share[label], "each says more than its label's share"
    check_documented("adult_income", found, 32_561)
