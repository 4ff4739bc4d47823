"""The reports as data frames."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapter import notebook
from adapter.errors import FunctionsError, SettingsError
from adapter.stages.consolidate import consolidate
from adapter.stages.function_votes import votes_key
from adapter.stages.ingest import ingest
from adapter.stages.vote import VOTES, vote
from adapter.vocabulary import Annotation, Consensus

Make = Callable[..., Any]


@pytest.fixture
def world(make_world: Make, clock: Callable[[], datetime]) -> Any:
    made = make_world(tasks=200)
    ingest(made.project)
    vote(made.project)
    rows = [Consensus(task, "spam", [label], 0.9, (), {}, "one") for task, label in made.gold.items()]
    made.project.store.consensus.replace("spam", rows)
    at = clock()
    people = {
        task: [Annotation(n, task, "ann", {"spam": [made.gold[task]]}, (), at, at)] for n, task in enumerate(made.gold)
    }
    made.project.store.annotations.record_many("spam", people)
    return made


def test_functions_are_rows_by_name(world: Any) -> None:
    frame = notebook.functions(world.project)
    assert frame.index.tolist() == ["begs", "link", "music"]
    assert frame.index.name == "function"
    assert frame.loc["music", "says"] == ("ham",)
    assert frame.loc["music", "accuracy"] == 1.0
    assert frame["coverage"].between(0, 1).all()
    assert {"gain", "gain_lower", "twin", "similarity", "faults", "remarks"} <= set(frame.columns)


def test_classes_and_trends_are_long_tables(world: Any) -> None:
    classes = notebook.classes(world.project)
    assert classes.loc["music", "label"] == "ham"
    assert classes.loc["begs", "right"] == classes.loc["begs", "n"]
    trends = notebook.trends(world.project)
    assert set(trends["of"]) == {"coverage", "accuracy"}
    of_music = trends.loc["music"]
    assert of_music[of_music["of"] == "coverage"]["n"].sum() == 200


def test_consolidators_are_the_stored_table(world: Any) -> None:
    assert notebook.consolidators(world.project).empty
    consolidate(world.project)
    frame = notebook.consolidators(world.project)
    assert "majority" in set(frame["name"])
    assert set(frame["control"]) == {"spam"}


def test_votes_keep_faults_apart_from_abstentions(world: Any) -> None:
    function = next(item for item in world.project.functions() if item.name == "begs")
    key = votes_key(function, world.project.learned[0])
    world.project.columns.drop("spam", VOTES, *key)
    said = np.array([0, -1, -2] + [-1] * 197, np.int16)
    world.project.columns.write("spam", VOTES, *key, 0, said)
    frame = notebook.votes(world.project)
    assert frame.index[:3].tolist() == ["c0", "c1", "c2"]
    assert frame["begs"].tolist()[0] == "spam"
    assert frame["begs"].isna().tolist()[1]
    assert frame["begs"].tolist()[2] == notebook.FAULT
    assert frame["music"].cat.categories.tolist() == ["spam", "ham", notebook.FAULT]


def test_examples_are_tasks_by_id(world: Any) -> None:
    frame = notebook.examples("begs", "abstain", world.project, limit=3)
    assert len(frame) == 3
    assert frame.index.name == "task"
    assert frame.iloc[0]["people"] == ("spam",)
    assert notebook.examples("begs", "wrong", world.project).empty


def test_wrong_names_are_refused_with_advice(world: Any) -> None:
    with pytest.raises(SettingsError, match="Did you mean 'conflict'"):
        notebook.examples("begs", "conflicts", world.project)  # type: ignore[arg-type]
    with pytest.raises(FunctionsError, match="Did you mean 'begs'"):
        notebook.examples("bgs", "wrong", world.project)
    with pytest.raises(SettingsError, match="Did you mean 'spam'"):
        notebook.votes(world.project, control="sapm")


def test_a_project_opens_by_name_from_its_settings_file(
    world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.app.close()
    config = tmp_path / "config"
    (config / "projects").mkdir()
    (config / "adapter.yaml").write_text("home: ../home\n", encoding="utf-8")
    (config / "projects" / "spam.yaml").write_text(
        "label_config: spam.xml\ndata:\n  path: ../comments.jsonl\nlabeling_functions: ../functions.py\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HITL_CONFIG", raising=False)
    assert notebook.functions().index.tolist() == ["begs", "link", "music"]
    assert notebook.functions("spam", config=config / "adapter.yaml").index.tolist() == ["begs", "link", "music"]
    with pytest.raises(SettingsError, match="Did you mean 'spam'"):
        notebook.functions("sapm")


def test_importing_it_loads_nothing_heavy() -> None:
    import subprocess
    import sys

    code = "import sys, adapter.notebook; print([name for name in ('pandas', 'sqlalchemy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
