"""A marked span, spread to the same words: how many of the suggestions are wanted, and how many marks they save.

HITL_DATA=FOLDER python -m benchmarks.spread

The true names of the CoNLL-2003 documents of Rodrigues et al. (2014), marked in reading order by somebody who
keeps each right suggestion and removes each wrong one. `adapter.core.spans.spread.SCORE` was chosen on the half `test`;
on `val` it was only looked at.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adapter.core.spans.spread import SCORE, spread
from adapter.vocabulary import JsonObject
from benchmarks.measure import save
from benchmarks.ner_crowd import Documents

DRAWS = 1_000


def main() -> None:
    """Measure, print and save."""
    folder = os.environ.get("HITL_DATA", "")
    path = Path(folder, "ner_crowd_conll", "ner_crowd.jsonl")
    if not folder or not path.is_file():
        raise SystemExit("Set HITL_DATA to the folder that holds ner_crowd_conll/ner_crowd.jsonl.")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    halves = {half: figures([row for row in rows if row["split"] == half]) for half in ("test", "val")}
    print(save("spread", {"score": SCORE, "halves": halves}).read_text(encoding="utf-8"))


def figures(rows: Sequence[JsonObject]) -> dict[str, Any]:
    """Return the figures of some documents, with bootstrap intervals over documents."""
    documents = Documents(rows)
    table = np.array([counts(documents.data[task]["text"], documents.gold[task]) for task in documents.gold])
    draws = np.random.default_rng(0).integers(len(table), size=(DRAWS, len(table)))
    out: dict[str, Any] = {"documents": len(table), "names": int(table[:, 2].sum())}
    for name, top, below in (("wanted", [0], [0, 1]), ("marks_saved", [0], [2])):
        resampled = [table[rows][:, top].sum() / max(table[rows][:, below].sum(), 1) for rows in draws]
        value = table[:, top].sum() / max(table[:, below].sum(), 1)
        low, high = np.quantile(resampled, [0.025, 0.975])
        out[name] = {"value": round(float(value), 4), "interval": [round(float(low), 4), round(float(high), 4)]}
    return out


def counts(text: str, gold: Sequence[JsonObject]) -> tuple[int, int, int]:
    """Return how many suggestions are right and how many wrong in one document, and its names."""
    true = {_key(region) for region in gold}
    drawn: list[JsonObject] = []
    have: set[tuple[int, int, str]] = set()
    right = wrong = 0
    for region in sorted(gold, key=lambda one: int(one["value"]["start"])):
        if _key(region) in have:
            continue
        drawn.append(region)
        for found in spread(text, drawn):
            if _key(found) in true - have:
                right += 1
                drawn.insert(0, found)  # what is marked next is the newest
                have.add(_key(found))
            else:
                wrong += 1
    return right, wrong, len(true)


def _key(region: JsonObject) -> tuple[int, int, str]:
    return region["value"]["start"], region["value"]["end"], region["labels"][0]


if __name__ == "__main__":
    main()
