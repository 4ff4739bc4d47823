"""Spans of 47 crowd workers into a consensus, judged against gold: the CoNLL-2003 crowd set of Rodrigues et al. (2014).

HITL_DATA=FOLDER python -m benchmarks.ner_crowd [--rounds 1000] [--out FILE]

399 documents, labelled by 0 to 8 people each. Everything goes the way of a project: documents joined into texts,
annotations as Label Studio's result JSON, read, consolidated and compared by the kind of spans. No gold is used in the
consensus. Goal: entity F1 of .726 or more, what Dawid and Skene's model over tokens reaches (majority .619). Also
how far people agree, pair by pair, with bootstrap intervals over documents.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adapter.core.crowd import CrowdVotes, consolidate
from adapter.kinds.base import Given, Together
from adapter.kinds.spans import KIND
from adapter.vocabulary import Control, Value
from benchmarks.measure import save

GOAL = 0.726
LABELS = ("PER", "LOC", "ORG", "MISC")
CONTROL = Control("entity", "spans", "text", "Text", "text", LABELS, tag="Labels", fields=("text",))
TOKEN_METHODS = ("majority", "dawid-skene")
_LEVEL = 0.05


def main() -> None:
    """Measure, print and save."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=1000, help="bootstrap resamples of documents")
    options.add_argument("--out", type=Path)
    args = options.parse_args()
    folder = os.environ.get("HITL_DATA", "")
    path = Path(folder, "ner_crowd_conll", "ner_crowd.jsonl")
    if not folder or not path.is_file():
        raise SystemExit("Set HITL_DATA to the folder that holds ner_crowd_conll/ner_crowd.jsonl.")
    saved = save("ner_crowd", measure(load(path), args.rounds))
    if args.out:
        args.out.write_text(saved.read_text(encoding="utf-8"), encoding="utf-8")
    print(saved.read_text(encoding="utf-8"))


class Documents:
    """The set in Label Studio's terms. data: task id to data. results: task id to annotator to result. gold: task id to
    the true value, read like any annotation."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self.data: dict[str, dict[str, str]] = {}
        self.results: dict[str, dict[str, list[dict[str, Any]]]] = {}
        self.gold: dict[str, Value] = {}
        for row in rows:
            task, sentences = row["doc"], row["tokens"]
            text = " ".join(token for sentence in sentences for token in sentence)
            self.data[task] = {"text": text}
            self.results[task] = {who: result(sentences, tags, text) for who, tags in row["annotations"].items()}
            self.gold[task] = KIND.read(CONTROL, result(sentences, row["gold"], text))

    def votes(self) -> dict[str, dict[str, Value]]:
        """Return task id to annotator to value."""
        return {
            task: {who: KIND.read(CONTROL, items) for who, items in by_person.items()}
            for task, by_person in self.results.items()
        }


def load(path: Path) -> Documents:
    """Read the set."""
    with path.open(encoding="utf-8") as lines:
        return Documents(json.loads(line) for line in lines)


def result(sentences: Sequence[Sequence[str]], tags: Sequence[Sequence[str]], text: str) -> list[dict[str, Any]]:
    """Return BIO tags of a document as Label Studio's result. An entity that does not start with B starts anyway."""
    items: list[dict[str, Any]] = []
    at = 0
    for tokens, marks in zip(sentences, tags, strict=True):
        last = ""
        for token, mark in zip(tokens, marks, strict=True):
            begin, _, label = mark.partition("-")
            if label and begin == "I" and label == last:
                items[-1]["value"]["end"] = at + len(token)
            elif label:
                value = {"start": at, "end": at + len(token), "labels": [label]}
                name = {"id": f"e{len(items)}", "from_name": "entity", "to_name": "text", "type": "labels"}
                items.append({**name, "value": value})
            last, at = label, at + len(token) + 1
    for item in items:
        item["value"]["text"] = text[item["value"]["start"] : item["value"]["end"]]
    return items


def measure(documents: Documents, rounds: int) -> dict[str, Any]:
    """Return all figures."""
    votes = documents.votes()
    started = time.perf_counter()
    found = KIND.consensus(CONTROL, votes, Given(data=documents.data))
    seconds = time.perf_counter() - started
    ours = counts(values_of(found), documents.gold)
    plain = values_of(KIND.consensus(CONTROL, votes, Given(method="majority")))
    tokens = {method: counts(by_tokens(documents, votes, method), documents.gold) for method in TOKEN_METHODS}
    rng = np.random.default_rng(0)
    draws = rng.integers(len(ours), size=(rounds, len(ours)))
    agreement = pair_agreement(votes)
    out: dict[str, Any] = {
        "documents": len(votes),
        "votes": sum(map(len, votes.values())),
        "method": found.method,
        "seconds": round(seconds, 2),
        "entity": {**scores(ours), "f1_interval": interval(ours, draws, f1)},
        "by_label": {label: scores(counts(values_of(found), documents.gold, label)) for label in LABELS},
        "others": {
            **{f"tokens, {method}": scores(table) for method, table in tokens.items()},
            "clusters, existence + majority": scores(counts(plain, documents.gold)),
        },
        "ahead_of_token_dawid_skene": {
            "value": round(f1(ours.sum(axis=0)) - f1(tokens["dawid-skene"].sum(axis=0)), 4),
            "interval": interval(np.hstack([ours, tokens["dawid-skene"]]), draws, ahead),
        },
        "skill_against_gold_spearman": skill_spearman(found, votes, documents.gold),
        "agreement": {
            name: {"value": round(ratio(pairs.sum(axis=0)), 4), "interval": interval(pairs, draws, ratio)}
            for name, pairs in agreement.items()
        },
        "goal": GOAL,
    }
    return out | {"reached": out["entity"]["f1"] >= GOAL}


def values_of(found: Together) -> dict[str, Value]:
    """Return each task's value, or what an adjudicator would start from."""
    return {task: one.proposal or () if one.value is None else one.value for task, one in found.merged.items()}


def by_tokens(documents: Documents, votes: Mapping[str, Mapping[str, Value]], method: str) -> dict[str, Value]:
    """Return the consensus of a model over single tokens with BIO tags, which is what ours is held against."""
    names = ("O", *(f"{place}-{label}" for label in LABELS for place in "BI"))
    people = sorted({who for by_person in votes.values() for who in by_person})
    ends = {task: _token_ends(documents.data[task]["text"]) for task in sorted(votes)}
    rows: list[np.ndarray[Any, Any]] = []
    first = 0
    for task, places in ends.items():
        for who, value in votes[task].items():
            tags = np.zeros(len(places), np.int64)
            for region in value:
                start, end, (label,) = _span(region)
                inside = [n for n, (at, to) in enumerate(places) if at >= start and to <= end]
                tags[inside] = names.index(f"I-{label}")
                tags[inside[:1]] = names.index(f"B-{label}")
            rows.append(np.stack([first + np.arange(len(tags)), np.full(len(tags), people.index(who)), tags]))
        first += len(places)
    token, who_, tag = np.hstack(rows)
    ballots = CrowdVotes(token, who_, tag, [str(n) for n in range(first)], people, len(names))
    best = iter(consolidate(ballots, method=method).posterior.argmax(axis=1))
    found: dict[str, Value] = {}
    for task, places in ends.items():
        words = [documents.data[task]["text"][start:end] for start, end in places]
        tags_ = [names[next(best)] if votes[task] else (next(best), "O")[1] for _ in places]
        found[task] = KIND.read(CONTROL, result([words], [tags_], documents.data[task]["text"]))
    return found


def _token_ends(text: str) -> list[tuple[int, int]]:
    return [(word.start(), word.end()) for word in re.finditer("[^ ]+", text)]


def counts(found: Mapping[str, Value], gold: Mapping[str, Value], label: str = "") -> np.ndarray[Any, Any]:
    """Return (documents, 3): spans exactly right (extent and label), found, and in the gold."""
    rows = []
    for task in sorted(gold):
        value = found.get(task, ())
        said, true = ({_span(r) for r in v if not label or label in r["labels"]} for v in (value, gold[task]))
        rows.append((len(said & true), len(said), len(true)))
    return np.array(rows, np.float64)


def _span(region: Mapping[str, Any]) -> tuple[int, int, tuple[str, ...]]:
    return region["value"]["start"], region["value"]["end"], tuple(region["labels"])


def scores(table: np.ndarray[Any, Any]) -> dict[str, float]:
    """Return precision, recall and F1 of counts."""
    right, said, true = table.sum(axis=0)
    return {
        "precision": round(float(right / max(said, 1)), 4),
        "recall": round(float(right / max(true, 1)), 4),
        "f1": round(f1(table.sum(axis=0)), 4),
    }


def f1(sums: np.ndarray[Any, Any]) -> float:
    """Return F1 of (right, found, in the gold)."""
    return float(2 * sums[0] / max(sums[1] + sums[2], 1))


def ahead(sums: np.ndarray[Any, Any]) -> float:
    """Return by how much the first three's F1 is above that of the last three."""
    return f1(sums[:3]) - f1(sums[3:])


def ratio(sums: np.ndarray[Any, Any]) -> float:
    """Return numerator over denominator."""
    return float(sums[0] / max(sums[1], 1e-12))


def interval(table: np.ndarray[Any, Any], draws: np.ndarray[Any, Any], statistic: Any) -> list[float]:
    """Return the 95 % percentile bootstrap interval over documents."""
    values = [statistic(table[rows].sum(axis=0)) for rows in draws]
    return [round(float(x), 4) for x in np.quantile(values, (_LEVEL / 2, 1 - _LEVEL / 2))]


def pair_agreement(votes: Mapping[str, Mapping[str, Value]]) -> dict[str, np.ndarray[Any, Any]]:
    """Return statistic to (documents, 2): numerator and denominator, summed over each document's pairs of people."""
    found: dict[str, np.ndarray[Any, Any]] = {}
    for row, task in enumerate(sorted(votes)):
        for a, b in itertools.combinations(sorted(votes[task]), 2):
            for name, pair in KIND.pair_counts(CONTROL, votes[task][a], votes[task][b]).items():
                found.setdefault(name, np.zeros((len(votes), 2)))[row] += pair
    return found


def skill_spearman(found: Together, votes: Mapping[str, Mapping[str, Value]], gold: Mapping[str, Value]) -> float:
    """Return the rank correlation of the estimated skill with each person's F1 against gold, of people with 100 gold
    entities or more."""
    from scipy.stats import spearmanr

    sums: dict[str, np.ndarray[Any, Any]] = {}
    for task, by_person in votes.items():
        true = {_span(region) for region in gold[task]}
        for who, value in by_person.items():
            said = {_span(region) for region in value}
            sums[who] = sums.get(who, np.zeros(3)) + np.array([len(said & true), len(said), len(true)])
    people = [who for who in sorted(sums) if sums[who][2] >= 100]
    return round(float(spearmanr([found.skill[w].accuracy for w in people], [f1(sums[w]) for w in people])[0]), 3)


if __name__ == "__main__":
    main()
