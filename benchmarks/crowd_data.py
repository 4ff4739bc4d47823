"""Crowds' votes from the public sets in a data folder, as arrays, with the truths they are scored against."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adapter.core.crowd import CrowdVotes


@dataclass(frozen=True)
class CrowdSet:
    """One set. truth: (t,) label index, -1 where not known. texts: of each task's two things, where it has any."""

    name: str
    votes: CrowdVotes
    truth: np.ndarray[Any, np.dtype[np.int64]]
    texts: tuple[tuple[str, str], ...] = ()


def _of(
    name: str, rows: list[tuple[str, str, str]], truth: dict[str, str], texts: dict[str, Any] | None = None
) -> CrowdSet:
    """Return the set of rows (worker, task, label) and truths by task."""
    labels = sorted({label for _, _, label in rows} | set(truth.values()))
    tasks, people = sorted({task for _, task, _ in rows}), sorted({who for who, _, _ in rows})
    number = [{value: i for i, value in enumerate(values)} for values in (tasks, people, labels)]
    task = np.array([number[0][task] for _, task, _ in rows], np.int64)
    who = np.array([number[1][who] for who, _, _ in rows], np.int64)
    label = np.array([number[2][label] for _, _, label in rows], np.int64)
    known = np.array([number[2][truth[task]] if task in truth else -1 for task in tasks], np.int64)
    votes = CrowdVotes(task, who, label, tasks, people, len(labels))
    return CrowdSet(name, votes, known, tuple(texts[task] for task in tasks) if texts else ())


def _rows(path: Path, delimiter: str = ",") -> Iterator[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.reader(
            file, delimiter=delimiter, quoting=csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
        )


def truth_infer(name: str, folder: Path) -> CrowdSet:
    """Return a set of crowd_truth_infer: answer.csv (question, worker, answer) and truth.csv (question, truth)."""
    answers = list(_rows(folder / "answer.csv"))[1:]
    truths = {row[0]: row[1] for row in list(_rows(folder / "truth.csv"))[1:]}
    return _of(name, [(who, task, label) for task, who, label in answers], truths)


def active_crowd(name: str, path: Path) -> CrowdSet:
    """Return a set of active_crowd_toolkit: worker, task, label, gold and sometimes seconds, no header."""
    rows = list(_rows(path))
    return _of(name, [(row[0], row[1], row[2]) for row in rows], {row[1]: row[3] for row in rows})


def another_label(name: str, folder: Path) -> CrowdSet:
    """Return a set of Get-Another-Label: labels.txt (worker, task, label) and gold.txt (task, label), by tabs."""
    rows = [(row[0], row[1], row[2]) for row in _rows(folder / "labels.txt", "\t") if len(row) == 3]
    return _of(name, rows, {row[0]: row[1] for row in _rows(folder / "gold.txt", "\t") if len(row) == 2})


def labels_only(folder: Path) -> tuple[list[CrowdSet], list[str]]:
    """Return the sets of crowd_labels_only that the data folder has, and the names of those that it lacks."""
    at = folder / "crowd_labels_only"
    toolkit = at / "active_crowd_toolkit"
    sources = {
        "Dog": (truth_infer, at / "s4_Dog_data"),
        "Face": (truth_infer, at / "s4_Face_Sentiment_Identification"),
        "Duck": (truth_infer, at / "d_Duck_Identification"),
        **{
            name: (active_crowd, toolkit / f"{name}.csv")
            for name in ("CF", "CF_amt", "MS", "SP", "SP_amt", "ZenCrowd_all")
        },
        "AdultContent2": (another_label, at / "AdultContent2"),
    }
    found = [read(name, path) for name, (read, path) in sources.items() if path.exists()]
    return found, [name for name, (_, path) in sources.items() if not path.exists()]


def product_matching(folder: Path) -> CrowdSet:
    """Return crowd_product_matching: 8,315 pairs of products, three votes each, with both texts."""
    rows, truth, texts = [], {}, {}
    with (folder / "crowd_product_matching" / "product_pairs.jsonl").open(encoding="utf-8") as file:
        for line in file:
            pair = json.loads(line)
            rows += [(who, pair["id"], label) for who, label in pair["votes"]]
            truth[pair["id"]] = str(pair["gold"])
            texts[pair["id"]] = (" ".join(pair["left"]), " ".join(pair["right"]))
    return _of("product_matching", rows, truth, texts)
