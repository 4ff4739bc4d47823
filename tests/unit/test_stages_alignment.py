"""Pairs of image and caption through the stages: those that do not fit come first, before anybody has labelled."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pair_examples import captioned

from adapter.stages.ingest import ingest
from adapter.stages.push import push
from adapter.stages.rank import rank

CONFIG = """<View>
  <Image name="image" value="$image"/>
  <Text name="caption" value="$caption"/>
  <Choices name="fits" toName="image"><Choice value="match"/><Choice value="mismatch"/></Choices>
</View>
"""
OPTIONS = {"model": "small", "left": "image", "right": "caption", "size": 16}


@pytest.mark.slow
def test_pairs_that_do_not_fit_are_asked_first(make_world: Callable[..., Any], tmp_path: Path) -> None:
    pairs, wrong = captioned(300, 0.1, 0)
    rows = [json.dumps({"id": f"p{n}", **pair}) for n, pair in enumerate(pairs)]
    (tmp_path / "pairs.jsonl").write_text("\n".join(rows) + "\n")
    world = make_world(
        functions=False,
        data={"path": str(tmp_path / "pairs.jsonl"), "id_column": "id"},
        label_config=CONFIG,
        backend={"path": "backends.pairs:Pairs", "options": OPTIONS},
        rank={"strategy": "alignment", "cold_start": "alignment"},
        window={"size": 120, "low_water": 60},
        blind={"share": 0.1, "batch_share": 0.1},
    )
    ingest(world.project)
    report = rank(world.project, size=300)
    assert (report.strategy, report.note) == ("alignment", "")
    order = [row for row in world.project.store.rankings.current("spam") if not row.blind]
    assert order[0].why.startswith("the two parts of the pair do not seem to belong together: fit 0.0")
    found = np.array([bool(wrong[int(row.task_id[1:])]) for row in order])
    assert found[: len(found) // 5].sum() / found.sum() >= 0.9
    assert push(world.project).pushed == 120
