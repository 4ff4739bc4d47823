"""The public crowd of span annotators (Rodrigues et al. 2014), through the kind of spans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapter.kinds.base import Given
from adapter.kinds.spans import KIND
from benchmarks.ner_crowd import CONTROL, GOAL, Documents, counts, f1, load, result, skill_spearman, values_of

ROWS = [
    {
        "doc": "d",
        "tokens": [["EU", "rejects", "German", "call"], ["Peter", "Blackburn"]],
        "gold": [["B-ORG", "O", "B-MISC", "O"], ["B-PER", "I-PER"]],
        "annotations": {"w": [["B-ORG", "O", "O", "I-LOC"], ["I-PER", "B-PER"]]},
    }
]


def test_tags_become_label_studios_spans_of_the_joined_text() -> None:
    documents = Documents(ROWS)
    text = documents.data["d"]["text"]
    assert text == "EU rejects German call Peter Blackburn"
    gold = documents.gold["d"]
    assert [(r["value"]["text"], r["labels"]) for r in gold] == [
        ("EU", ["ORG"]),
        ("German", ["MISC"]),
        ("Peter Blackburn", ["PER"]),
    ]
    assert all(text[r["value"]["start"] : r["value"]["end"]] == r["value"]["text"] for r in gold)
    said = documents.votes()["d"]["w"]
    assert [r["value"]["text"] for r in said] == ["EU", "call", "Peter", "Blackburn"]


def test_an_entity_does_not_run_over_the_end_of_a_sentence() -> None:
    items = result([["A"], ["B"]], [["B-PER"], ["I-PER"]], "A B")
    assert [(i["value"]["start"], i["value"]["end"]) for i in items] == [(0, 1), (2, 3)]


@pytest.fixture(scope="module")
def documents(data_folder: Path) -> Documents:
    path = data_folder / "ner_crowd_conll" / "ner_crowd.jsonl"
    if not path.is_file():
        pytest.skip("needs ner_crowd_conll/ner_crowd.jsonl in the folder that HITL_DATA names")
    return load(path)


@pytest.mark.data
def test_the_consensus_of_a_real_crowd_beats_the_token_model(documents: Documents) -> None:
    votes = documents.votes()
    found = KIND.consensus(CONTROL, votes, Given(data=documents.data))
    table: Any = counts(values_of(found), documents.gold)
    assert f1(table.sum(axis=0)) >= GOAL
    assert skill_spearman(found, votes, documents.gold) > 0.8
