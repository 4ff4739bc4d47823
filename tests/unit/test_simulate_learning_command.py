"""`hitl simulate --strategy a,b --seeds n`: one table, the same with any number of processes, errors before work."""

from __future__ import annotations

import csv
import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests_support import SPAM_CONFIG, spam_rows
from typer.testing import CliRunner

from adapter.cli.root import app
from adapter.errors import DataError, HitlError, SettingsError
from adapter.simulate.gold import split_gold
from adapter.simulate.learning_command import arena_of, learning_curves, rows_of
from adapter.simulate.options import LearningOptions
from adapter.simulate.plots import picture, terminal


@pytest.fixture
def options(tmp_path: Path) -> LearningOptions:
    rows, gold = spam_rows(160)
    data, config = tmp_path / "comments.csv", tmp_path / "spam.xml"
    with data.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "label"])
        writer.writerows([row["id"], row["text"], gold[row["id"]]] for row in rows)
    config.write_text(SPAM_CONFIG, encoding="utf-8")
    return LearningOptions(
        data=data, label_config=config, gold="label", strategies=("margin",), budget=40, batch=10, start=20, seeds=2
    )


def comparable(result: Any) -> Any:
    return json.loads(json.dumps({key: value for key, value in result.items() if key != "seconds"}, allow_nan=False))


def test_curves_hold_what_was_promised_and_do_not_depend_on_the_number_of_processes(
    options: LearningOptions, tmp_path: Path
) -> None:
    plot, out = tmp_path / "plots" / "curves.png", tmp_path / "out.json"
    result = learning_curves(replace(options, plot=plot, out=out))
    assert result["seeds"] == [0, 1]
    assert list(result["strategies"]) == ["random", "margin"]
    margin = result["strategies"]["margin"]
    assert [point["labels"] for point in margin["curve"]] == [20, 30, 40]
    assert set(margin["labels_to"]) == {"90", "95", "98"}
    assert margin["saving"].keys() == margin["labels_to"].keys()
    assert len(margin["area"]["each"]) == 2
    assert "blind sample" in result["note"]
    header = plot.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", header[16:24]) == (1440, 870)
    assert comparable(json.loads(out.read_text(encoding="utf-8"))) == comparable(result)
    assert comparable(learning_curves(replace(options, jobs=2))) == comparable(result)


def test_people_who_err_lower_the_full_data_score(options: LearningOptions) -> None:
    right, wrong = (learning_curves(replace(options, annotators=people, budget=30)) for people in ("", "0.55,0.55"))
    assert right["annotators"] == "always right"
    assert wrong["full"]["value"] < right["full"]["value"] - 0.1


def test_the_pool_has_no_content_twice_and_shares_none_with_the_test_split(options: LearningOptions) -> None:
    rows = options.data.read_text(encoding="utf-8").splitlines()
    twins = [row.split(",", 1) for row in rows[1:40]]
    options.data.write_text("\n".join(rows + [f"again{key},{rest}" for key, rest in twins]) + "\n", encoding="utf-8")
    ground = arena_of(options, options.data.parent / "work").ground(3)
    texts = [example["text"] for example in ground.pool]
    assert len(set(texts)) == len(texts)
    assert not set(texts) & {example["text"] for example in ground.test}
    assert all("label" not in example for example in [*ground.pool, *ground.test])


def test_the_split_looks_at_content_not_at_ids(options: LearningOptions, tmp_path: Path) -> None:
    arena = arena_of(options, tmp_path / "work")
    first = split_gold(options.data, arena.control, "label", tmp_path / "a", test_share=0.3, seed=1)
    text = options.data.read_text(encoding="utf-8").splitlines()
    renamed = [text[0], *(f"other-{line}" for line in text[1:])]
    options.data.write_text("\n".join(renamed) + "\n", encoding="utf-8")
    again = split_gold(options.data, arena.control, "label", tmp_path / "b", test_share=0.3, seed=1)
    assert [data["text"] for data, _ in first.test] == [data["text"] for data, _ in again.test]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"metric": "f1:spma"}, "spam"),
        ({"strategies": ("margni",)}, "margin"),
        ({"cold_start": "typicalust"}, "typiclust"),
        ({"backend": "backends.linear:Liner"}, "Linear"),
        ({"plot": Path("curves.pdf")}, ".png"),
        ({"budget": 10}, "--start"),
    ],
)
def test_what_is_wrong_is_told_before_anything_runs(
    options: LearningOptions, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(HitlError) as caught:
        learning_curves(replace(options, **change), lambda done, total: pytest.fail("it ran"))
    assert words in str(caught.value)


def test_too_little_data_and_controls_without_labels_are_refused(options: LearningOptions, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too few"):
        learning_curves(replace(options, limit=25, budget=30))
    with pytest.raises(DataError, match="too few"):
        learning_curves(replace(options, test_share=0.0))
    boxes = tmp_path / "boxes.xml"
    boxes.write_text('<View><Text name="t" value="$text"/><TextArea name="a" toName="t"/></View>', encoding="utf-8")
    with pytest.raises(SettingsError, match="no list of labels"):
        learning_curves(replace(options, label_config=boxes))


def arguments(options: LearningOptions, *more: str) -> list[str]:
    files = ["--data", str(options.data), "--label-config", str(options.label_config), "--gold", "label"]
    return ["simulate", *files, "--budget", "30", "--batch", "10", *more]


def test_the_command_prints_plot_table_and_seeds(options: LearningOptions) -> None:
    done = CliRunner().invoke(app, arguments(options, "--strategy", "margin,typiclust", "--seed", "7"))
    assert done.exit_code == 0, done.output
    for word in ("margin", "typiclust", "random", "labels to 98 %", "seeds: 7", "blind sample", "full data"):
        assert word in done.output
    assert "\x1b" not in done.output


def test_the_command_prints_json_alone(options: LearningOptions) -> None:
    done = CliRunner().invoke(app, arguments(options, "--seeds", "2", "--strategy", "margin", "--json", "-"))
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["seeds"] == [0, 1]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--seeds", "2", "--lfs", "functions"), "--lfs"),
        (("--seeds", "2", "--platform", "label-studio"), "--platform"),
        (("--plot", "curves.png"), "--seeds 10"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    options: LearningOptions, more: tuple[str, ...], words: str
) -> None:
    done = CliRunner().invoke(app, arguments(options, *more))
    assert isinstance(done.exception, SettingsError)
    assert words in str(done.exception)


def drawn() -> dict[str, Any]:
    def points(height: float) -> list[dict[str, Any]]:
        return [{"labels": x, "value": height + x / 200, "low": height, "high": height + 0.2} for x in (20, 40, 60)]

    return {
        "metric": "accuracy",
        "seeds": [0, 1],
        "budget": 60,
        "pool": [100, 100],
        "start": 20,
        "batch": 20,
        "cold_start": "random",
        "full": {"value": 0.9},
        "strategies": {
            name: {"curve": points(height), "labels_to": {"98": {}}}
            for name, height in (("random", 0.4), ("margin", 0.5), ("[odd] name", 0.45))
        },
    }


def test_plots_take_any_name_and_one_point(tmp_path: Path) -> None:
    result = drawn()
    picture(result, tmp_path / "a.png")
    for colour in (True, False):
        text = terminal(result, colour=colour)
        assert "[odd] name" in text
    for found in result["strategies"].values():
        found["curve"] = found["curve"][:1]
    result["budget"] = 20
    picture(result, tmp_path / "b.png")
    assert terminal(result)
    with pytest.raises(SettingsError, match="cannot be written"):
        picture(result, tmp_path / "missing" / "c.png")


def test_the_table_tells_what_was_not_reached() -> None:
    reached = {"value": None, "low": 40.0, "high": None, "most": 60}
    area = {"value": 0.5, "low": 0.4, "high": 0.6}
    found = {"labels_to": {"98": reached}, "area": area, "area_over_random": area}
    saved = {"98": {"value": 0.4, "low": 0.3, "high": 0.5, "censored": "at least"}}
    columns, rows = rows_of({"strategies": {"random": found, "margin": {**found, "saving": saved}}})
    assert columns[1] == "labels to 98 %"
    assert rows[1][1] == "> 60 [40, > 60]"
    assert rows[1][2] == "at least 40 % [30, 50]"
    assert rows[0][2] == "-"
