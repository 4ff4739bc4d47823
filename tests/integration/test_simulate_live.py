"""The whole loop against a real Label Studio, with web and scheduler as processes: nothing lost, nothing twice."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from tests_support import FUNCTIONS, SPAM_CONFIG, spam_rows

from adapter.simulate.command import simulate
from adapter.simulate.options import SimulateOptions

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    rows, gold = spam_rows(400)
    data = tmp_path / "comments.csv"
    with data.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows([row["text"], gold[row["id"]]] for row in rows)
    (tmp_path / "spam.xml").write_text(SPAM_CONFIG, encoding="utf-8")
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "spam.py").write_text(FUNCTIONS, encoding="utf-8")
    return {"data": data, "config": tmp_path / "spam.xml", "lfs": tmp_path / "functions", "out": tmp_path / "out.json"}


def run(files: dict[str, Path], **options: Any) -> dict[str, Any]:
    simulate(
        SimulateOptions(
            data=files["data"],
            label_config=files["config"],
            gold="label",
            lfs=str(files["lfs"]),
            platform="label-studio",
            annotators=".98,.95,.85",
            out=files["out"],
            **options,
        )
    )
    account: dict[str, Any] = json.loads(files["out"].read_text(encoding="utf-8"))
    return account


def test_the_loop_closes_although_processes_are_killed_and_webhooks_lost(files: dict[str, Path]) -> None:
    account = run(files, budget=90, batch=20, seed=5, kills=4, drop_webhooks=True, seconds=0.3)
    assert account["kills"] == 4
    assert account["webhooks"]["dropped"] > 0
    assert account["lost"] == 0
    assert account["duplicated"] == 0
    assert account["annotations"] == account["server"]["annotations_there"] == 90
    assert account["order"]["inversions"] == 0
    promoted = [model for model in account["models"] if model["promoted"]]
    assert promoted
    assert account["curve"][-1]["test_accuracy"] > 0.9
    assert {row["name"] for row in account["weak"]} >= {"majority", "label-model", "weighted-vote", "semi-supervised"}
