"""Labeling functions' votes on public texts with their truths, as arrays: four sets from a data folder."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adapter.core.weak.base import ABSTAIN, Votes

Truth = np.ndarray[Any, np.dtype[np.int64]]

AG_WORDS: tuple[tuple[int, str, str], ...] = (
    (0, "countries", r"iraq|iran|israel\w*|palestin\w*|afghan\w*|korea|sudan|russian?|baghdad|gaza|pakistan|chechn\w*"),
    (0, "politics", r"minister|president|elections?|troops|militants?|peace|rebels?|embassy|hostages?|parliament"),
    (0, "violence", r"killed|bomb\w*|attacks?|terror\w*|war|police|explosion|wounded|kidnapp\w*"),
    (1, "games", r"game|season|cup|match|coach|team|league|playoffs?|championship|tournament|olympics?|olympic"),
    (1, "results", r"victory|beat|defeat\w*|score[ds]?|innings|touchdowns?|quarterback|goals?|yankees|red sox"),
    (2, "money", r"stocks?|shares|profits?|earnings|prices|investors?|dollar|quarter|billion|economy|oil|bank"),
    (2, "firms", r"merger|bid|deal|buyout|acquire[ds]?|ceo|retailers?|airlines?|sales|bankruptcy"),
    (
        3,
        "computers",
        r"software|computers?|internet|microsoft|google|linux|windows|web|online|servers?|chips?",
    ),
    (3, "science", r"space|nasa|scientists?|researchers?|study|moon|mars|species|technology|satellite"),
)
"""Nine lists of words of our own, by label: world, sports, business, science and technology."""


@dataclass(frozen=True)
class WeakSet:
    """One set. votes: (n, m). truth: (n,) a label index of every row, used as people's labels or to score. positive:
    the label whose F1 is the score, None for accuracy."""

    name: str
    votes: Votes
    truth: Truth
    k: int
    names: tuple[str, ...]
    positive: int | None = None


def youtube(folder: Path) -> WeakSet:
    """Return the train split of youtube_spam with its ten stored votes: 0 ham, 1 spam."""
    rows = _youtube(folder)
    names = tuple(f"LF{i}" for i in range(1, 11))
    votes = np.array([[int(float(row[name])) for name in names] for row in rows], np.int16)
    return WeakSet("youtube_spam", votes, np.array([int(float(row["label"])) for row in rows]), 2, names)


def youtube_own(folder: Path) -> WeakSet:
    """Return the train split of youtube_spam with the functions that ship in `labeling_functions/`."""
    from adapter.labeling import LabelingFunction
    from labeling_functions import youtube_spam

    found = {name: item for name, item in vars(youtube_spam).items() if isinstance(item, LabelingFunction)}
    rows = _youtube(folder)
    votes = np.full((len(rows), len(found)), ABSTAIN, np.int16)
    for column, function in enumerate(found.values()):
        for at, row in enumerate(rows):
            answer = function({"text": row["text"]})
            label = answer[0] if isinstance(answer, tuple) else answer
            votes[at, column] = ABSTAIN if label is None else ("ham", "spam").index(label)
    truth = np.array([int(float(row["label"])) for row in rows])
    return WeakSet("youtube_own", votes, truth, 2, tuple(found))


def sms(folder: Path) -> WeakSet:
    """Return the train split of sms_spam with its 73 patterns on lower-cased text: 0 ham, 1 spam."""
    with (folder / "sms_spam" / "rule.txt").open(encoding="utf-8") as file:
        rules = [line.rstrip("\n").split("\t")[:2] for line in file if line.strip()]
    with (folder / "sms_spam" / "train.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = [(int(label == "spam"), re.compile(pattern).search) for label, pattern in rules]
    votes = _search(found, [row["v2"].lower() for row in rows])
    truth = np.array([int(row["v1"] == "spam") for row in rows])
    return WeakSet("sms_spam", votes, truth, 2, tuple(f"rule_{i}" for i in range(len(rules))), positive=1)


def ag_news(folder: Path, most: int = 6000) -> WeakSet:
    """Return news of four classes with the nine functions of AG_WORDS."""
    with (folder / "ag_news" / "test.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[:most]
    found = [(label, re.compile(rf"\b(?:{words})\b").search) for label, _, words in AG_WORDS]
    votes = _search(found, [f"{row[1]} {row[2]}".lower() for row in rows])
    return WeakSet("ag_news", votes, np.array([int(row[0]) - 1 for row in rows]), 4, tuple(row[1] for row in AG_WORDS))


SETS: dict[str, Callable[[Path], WeakSet]] = {
    "youtube_spam": youtube,
    "sms_spam": sms,
    "ag_news": ag_news,
    "youtube_own": youtube_own,
}


def _youtube(folder: Path) -> list[dict[str, str]]:
    with (folder / "youtube_spam" / "youtube_clean.csv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["split"] == "train"]


def _search(found: Sequence[tuple[int, Callable[[str], object]]], texts: Sequence[str]) -> Votes:
    votes = np.full((len(texts), len(found)), ABSTAIN, np.int16)
    for column, (label, search) in enumerate(found):
        votes[[row for row, text in enumerate(texts) if search(text)], column] = label
    return votes
