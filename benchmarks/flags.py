"""Whether flags find what single people did wrong, by what the others said: each injected error's precision and recall.

Three to five people label the same tasks with errors that we inject and know. Spans, boxes and numbers are random, of a
fixed seed; with HITL_DATA set also real boxes (`bccd_boxes`, errors injected as in `benchmarks.boxes`) and real people
(`ner_crowd_conll`, errors are what differs from gold). Beside ours, on the same consensus of the others: cleanlab's
ObjectLab for boxes and its token classification for spans, ObjectLab with the threshold that is best for it in
hindsight. A mark is right to be flagged only where the very kind of error holds; `any` counts any error of the mark.

[HITL_DATA=FOLDER] python -m benchmarks.flags [--seed 0] [--tasks 300] [--images 364] [--documents 399]
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adapter.kinds import kind_of
from adapter.kinds.base import Given
from adapter.kinds.doubts import Doubted, doubts_of, others_say
from adapter.kinds.rectangles import KIND as RECTANGLES
from adapter.kinds.spans import KIND as SPANS
from adapter.vocabulary import Control, Value
from benchmarks.boxes import LABELS as CELLS
from benchmarks.boxes import NOISE, Copy, Image, images, item, noisy
from benchmarks.measure import save
from benchmarks.ner_crowd import CONTROL as ENTITIES
from benchmarks.ner_crowd import load

KINDS = ("missed", "invented", "wrong class", "moved")
CELL = Control("cell", "rectangles", "image", "Image", "image", CELLS, tag="RectangleLabels", fields=("image",))
COUNT = Control("count", "number", "text", "Text", "text", tag="Number", fields=("text",))
STARS = Control("stars", "rating", "text", "Text", "text", ("1", "2", "3", "4", "5"), tag="Rating", fields=("text",))
Votes = dict[str, dict[str, Value]]


class Truth:
    """What is wrong, by (task, person): errors of each mark by its id, and the things missed."""

    def __init__(self) -> None:
        self.errors: dict[tuple[str, str], dict[str, set[str]]] = {}
        self.missed: dict[tuple[str, str], list[Any]] = {}

    def table(self, kind: Any, found: Sequence[Doubted], least: float = 0.5) -> dict[str, Any]:
        """Return precision and recall by kind of error."""
        injected: Counter[str] = Counter()
        for errors in self.errors.values():
            for here in errors.values():
                injected.update(here)
        injected["missed"] = sum(map(len, self.missed.values()))
        raised: Counter[str] = Counter()
        hit: Counter[str] = Counter()
        some: Counter[str] = Counter()
        for doubt in found:
            if doubt.score <= least or doubt.region is None:
                continue
            raised[doubt.kind] += 1
            key = doubt.task, doubt.annotator
            if doubt.kind == "missed":
                overlaps = kind.overlaps([doubt.region], self.missed[key])
                right = overlaps.size > 0 and float(overlaps.max()) >= kind.iou
                hit["missed"] += right
                some["missed"] += right
            else:
                here = self.errors[key][doubt.region["id"]]
                hit[doubt.kind] += doubt.kind in here
                some[doubt.kind] += bool(here)
        return {
            name: {
                "errors": injected[name],
                "flags": raised[name],
                "precision": ratio(hit[name], raised[name]),
                "precision_any": ratio(some[name], raised[name]),
                "recall": ratio(hit[name], injected[name]),
            }
            for name in KINDS
        }


def ratio(a: float, b: float) -> float:
    """Return a / b, 0 for nothing."""
    return round(a / b, 4) if b else 0.0


def random_images(count: int, rng: np.random.Generator) -> list[Image]:
    """Return pictures with 2 to 12 boxes at random places."""
    made = []
    for n in range(count):
        k = int(rng.integers(2, 13))
        size = rng.uniform(40, 160, (k, 2))
        start = rng.random((k, 2)) * (np.array([640, 480]) - size)
        made.append(Image(f"p{n}", 640, 480, np.hstack([start, start + size]), rng.integers(0, len(CELLS), k)))
    return made


def boxes(pictures: Sequence[Image], people: Sequence[str], seed: int) -> dict[str, Any]:
    """Measure boxes, ours and ObjectLab."""
    rng = np.random.default_rng(seed)
    votes: Votes = {}
    truth = Truth()
    for picture in pictures:
        gold = RECTANGLES.canonical(
            CELL,
            [
                _region(item(n, b, int(c), picture))
                for n, (b, c) in enumerate(zip(picture.boxes, picture.labels, strict=True))
            ],
        )
        votes[picture.name] = {}
        for who in people:
            copy: Copy = noisy(picture, NOISE[who], rng)
            votes[picture.name][who] = RECTANGLES.read(CELL, copy.result)
            truth.errors[picture.name, who] = copy.errors
            truth.missed[picture.name, who] = [region for region in gold if int(region["id"][1:]) in copy.missed]
    started = time.perf_counter()
    found = doubts_of(CELL, votes, Given(seed=seed))
    seconds = time.perf_counter() - started
    return {
        "tasks": len(votes),
        "people": list(people),
        "seconds": round(seconds, 1),
        "ours": truth.table(RECTANGLES, found),
        "objectlab_best_threshold": object_lab(votes, truth),
    }


def object_lab(votes: Votes, truth: Truth) -> dict[str, Any]:
    """Return ObjectLab's precision and recall at the threshold with the best F1, each error for itself. It knows no
    invented boxes."""
    from cleanlab.object_detection.rank import (
        compute_badloc_box_scores,
        compute_overlooked_box_scores,
        compute_swap_box_scores,
    )

    rows = list(others_say(RECTANGLES, CELL, votes, Given()))
    labels, predictions = [], []
    for who, task, theirs in rows:
        mine = votes[task][who]
        labels.append({"bboxes": _edges(mine), "labels": np.array([CELLS.index(r["labels"][0]) for r in mine], int)})
        scores = np.array([r.get("score", 1.0) for r in theirs])
        table = np.column_stack([_edges(theirs), scores]) if len(theirs) else np.zeros((0, 5))
        which = np.array([CELLS.index(r["labels"][0]) for r in theirs], int)
        by_class = np.empty(len(CELLS), object)
        for n in range(len(CELLS)):
            by_class[n] = table[which == n]
        predictions.append(by_class)
    found: dict[str, list[tuple[float, bool]]] = {"missed": [], "wrong class": [], "moved": []}
    given = {"labels": labels, "predictions": predictions}
    overlooked = compute_overlooked_box_scores(**given, high_probability_threshold=0.5)
    moved = compute_badloc_box_scores(**given)
    swapped = compute_swap_box_scores(**given, high_probability_threshold=0.5)
    for row, (who, task, theirs) in enumerate(rows):
        ordered = [region for name in CELLS for region in theirs if region["labels"][0] == name]
        gone = truth.missed[task, who]
        for region, score in zip(ordered, overlooked[row], strict=True):
            table = RECTANGLES.overlaps([region], gone)
            found["missed"].append((float(score), bool(table.size and table.max() >= 0.5)))
        for region, at, swap in zip(votes[task][who], moved[row], swapped[row], strict=True):
            errors = truth.errors[task, who][region["id"]]
            found["moved"].append((float(at), "moved" in errors))
            found["wrong class"].append((float(swap), "wrong class" in errors))
    totals = Counter({"missed": sum(map(len, truth.missed.values()))})
    for errors in truth.errors.values():
        for here in errors.values():
            totals.update(here)
    return {name: best(pairs, totals[name]) for name, pairs in found.items()}


def best(pairs: Sequence[tuple[float, bool]], total: int) -> dict[str, float]:
    """Return precision and recall where F1 is best. pairs: (score, low is doubtful; whether it is an error)."""
    ordered = sorted((score, not wrong) for score, wrong in pairs if not np.isnan(score))
    scores = np.array([score for score, _ in ordered])
    right = np.cumsum([not fine for _, fine in ordered])
    last = np.flatnonzero(np.append(np.diff(scores) > 0, True)) if len(scores) else np.zeros(0, int)
    if not len(last):
        return {"precision": 0.0, "recall": 0.0}
    f1 = 2 * right[last] / (last + 1 + total)
    at = int(last[int(f1.argmax())])
    return {"precision": ratio(int(right[at]), at + 1), "recall": ratio(int(right[at]), total)}


def _edges(value: Sequence[Any]) -> np.ndarray:
    rows = [(r["value"]["x"], r["value"]["y"], r["value"]["width"], r["value"]["height"]) for r in value]
    table = np.array(rows, float).reshape(-1, 4)
    return np.hstack([table[:, :2], table[:, :2] + table[:, 2:]])


def _region(made: Mapping[str, Any]) -> dict[str, Any]:
    value = {key: made["value"][key] for key in ("x", "y", "width", "height", "rotation")}
    envelope = {key: made[key] for key in ("original_width", "original_height", "image_rotation")}
    return {"id": made["id"], "labels": made["value"]["rectanglelabels"], "value": value, "envelope": envelope}


def random_spans(tasks: int, people: int, rng: np.random.Generator) -> tuple[Votes, Truth, dict[str, int]]:
    """Return votes on texts of 400 characters with a thing of 4 to 14 in about every 40, and what is wrong with them:
    10 % missed, 5 % invented, 5 % of another class, 5 % moved by 2 to 5 at either end."""
    votes: Votes = {}
    truth = Truth()
    for task in range(tasks):
        slots = range(0, 400, 40)
        there = [(s, s + int(rng.integers(4, 15)), int(rng.integers(4))) for s in slots if rng.random() < 0.7]
        votes[f"t{task}"] = {}
        for person in range(people):
            drawn: list[dict[str, Any]] = []
            errors: dict[str, set[str]] = {}
            missed = []
            for start, end, label in there:
                if rng.random() < 0.10:
                    missed.append(_span("gold", start, end, label))
                    continue
                here = set()
                if rng.random() < 0.05:
                    label, here = (label + int(rng.integers(1, 4))) % 4, {"wrong class"}
                if rng.random() < 0.05:
                    start, end = start + int(rng.integers(0, 2)), end + int(rng.integers(2, 6))
                    here.add("moved")
                errors[f"r{len(drawn)}"] = here
                drawn.append(_span(f"r{len(drawn)}", start, end, label))
            for slot in slots:
                if rng.random() < 0.05 * len(there) / 10:
                    errors[f"r{len(drawn)}"] = {"invented"}
                    at = slot + 22
                    drawn.append(_span(f"r{len(drawn)}", at, at + int(rng.integers(4, 12)), int(rng.integers(4))))
            votes[f"t{task}"][f"p{person}"] = SPANS.canonical(ENTITIES, drawn)
            truth.errors[f"t{task}", f"p{person}"] = errors
            truth.missed[f"t{task}", f"p{person}"] = list(SPANS.canonical(ENTITIES, _numbered(missed)))
    return votes, truth, {task: 400 for task in votes}


def _span(name: str, start: int, end: int, label: int) -> dict[str, Any]:
    return {"id": name, "labels": [ENTITIES.labels[label]], "value": {"start": start, "end": end}}


def _numbered(drawn: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{**region, "id": f"g{n}"} for n, region in enumerate(drawn)]


def crowd_spans(path: Path, most: int) -> tuple[Votes, Truth, dict[str, int], dict[str, Any]]:
    """Return real people's votes and what is wrong with them by gold. A mark that overlaps no true one is invented;
    else its class is wrong if no true one there has it, and it is moved if none has its extent."""
    documents = load(path)
    every = {task: by_person for task, by_person in documents.votes().items() if len(by_person) > 2}
    votes = dict(list(every.items())[:most])
    truth = Truth()
    for task, by_person in votes.items():
        gold = documents.gold[task]
        for who, value in by_person.items():
            table = SPANS.overlaps(value, gold)
            errors: dict[str, set[str]] = {}
            for mark, row in zip(value, table, strict=True):
                near = [gold[j] for j in np.flatnonzero(row > 0)]
                here = {"invented"} if not near else set()
                if near and not any(true["labels"] == mark["labels"] for true in near):
                    here.add("wrong class")
                if near and row.max() != 1:
                    here.add("moved")
                errors[mark["id"]] = here
            truth.errors[task, who] = errors
            free = [] if not len(gold) else [j for j in range(len(gold)) if not len(value) or table[:, j].max() == 0]
            truth.missed[task, who] = [gold[j] for j in free]
    return votes, truth, {task: len(documents.data[task]["text"]) for task in votes}, documents.data


def spans(votes: Votes, truth: Truth, lengths: Mapping[str, int], data: Mapping[str, Any]) -> dict[str, Any]:
    """Measure spans, ours and cleanlab's token classification (for marks with any error)."""
    given = Given(data=data)
    started = time.perf_counter()
    found = doubts_of(ENTITIES, votes, given)
    seconds = time.perf_counter() - started
    wrong = {(*key, mark) for key, errors in truth.errors.items() for mark, here in errors.items() if here}
    ours = {(d.task, d.annotator, d.region["id"]) for d in found if d.own and d.region is not None and d.score > 0.5}
    theirs = token_issues(votes, lengths, given)
    return {
        "tasks": len(votes),
        "votes": sum(map(len, votes.values())),
        "seconds": round(seconds, 1),
        "ours": truth.table(SPANS, found),
        "marks_with_any_error": {
            name: {"precision": ratio(len(said & wrong), len(said)), "recall": ratio(len(said & wrong), len(wrong))}
            for name, said in (("ours", ours), ("cleanlab tokens", theirs))
        },
    }


def token_issues(votes: Votes, lengths: Mapping[str, int], given: Given) -> set[tuple[str, str, str]]:
    """Return the marks of which cleanlab's token classification finds most characters wrong (every second character is
    a token). Probabilities: the others' consensus, by its scores, a twentieth spread over all classes."""
    from cleanlab.token_classification.filter import find_label_issues

    k = len(ENTITIES.labels)
    rows = list(others_say(SPANS, ENTITIES, votes, given))
    labels, probabilities = [], []
    for who, task, theirs in rows:
        size = lengths[task] // 2 + 1
        table = np.zeros((size, k + 1))
        for region in theirs:
            at = slice(region["value"]["start"] // 2, max(region["value"]["end"] // 2, 1))
            table[at, ENTITIES.labels.index(region["labels"][0]) + 1] = region.get("score", 1.0)
        table[:, 0] = np.clip(1 - table[:, 1:].sum(axis=1), 0, 1)
        table = 0.95 * table / table.sum(axis=1, keepdims=True) + 0.05 / (k + 1)
        said = np.zeros(size, int)
        for region in votes[task][who]:
            at = slice(region["value"]["start"] // 2, max(region["value"]["end"] // 2, 1))
            said[at] = ENTITIES.labels.index(region["labels"][0]) + 1
        labels.append(said.tolist())
        probabilities.append(table)
    doubted: list[set[int]] = [set() for _ in rows]
    for row, token in find_label_issues(labels, probabilities, n_jobs=1):
        doubted[row].add(token)
    found = set()
    for (who, task, _), tokens in zip(rows, doubted, strict=True):
        for region in votes[task][who]:
            places = range(region["value"]["start"] // 2, max(region["value"]["end"] // 2, 1))
            if 2 * len(tokens & set(places)) > len(places):
                found.add((task, who, region["id"]))
    return found


def numbers(control: Control, tasks: int, people: int, rng: np.random.Generator) -> dict[str, Any]:
    """Measure numbers (spread 2 around 0 to 100) and ratings (a third one star off): 5 % slips, by 20 to 60, or 3 stars
    and more."""
    votes: Votes = {}
    wrong = set()
    for task in range(tasks):
        stars = control.kind == "rating"
        at = float(rng.integers(1, 6)) if stars else float(rng.uniform(0, 100))
        votes[f"t{task}"] = {}
        for person in range(people):
            off = float(rng.choice([-1, 0, 0, 0, 0, 1])) if stars else float(rng.normal(0, 2))
            said = at + off
            if rng.random() < 0.05:
                said = (5.0 if at < 3 else 1.0) if stars else at + float(rng.choice([-1, 1]) * rng.uniform(20, 60))
                if abs(said - at) >= 3:
                    wrong.add((f"t{task}", f"p{person}"))
            value = int(np.clip(said, 1, 5)) if stars else round(said, 2)
            votes[f"t{task}"][f"p{person}"] = kind_of(control.kind).canonical(control, value)
    started = time.perf_counter()
    found = {(d.task, d.annotator) for d in doubts_of(control, votes, Given()) if d.score > 0.5}
    return {
        "tasks": tasks,
        "people": people,
        "seconds": round(time.perf_counter() - started, 1),
        "errors": len(wrong),
        "flags": len(found),
        "precision": ratio(len(found & wrong), len(found)),
        "recall": ratio(len(found & wrong), len(wrong)),
    }


def main() -> None:
    """Measure, print and save."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("seed", 0), ("tasks", 300), ("images", 364), ("documents", 399)):
        options.add_argument(f"--{name}", type=int, default=default)
    args = options.parse_args()
    rng = np.random.default_rng(args.seed)
    three, five = ("usual 1", "usual 2", "hasty"), tuple(NOISE)
    votes, truth, lengths = random_spans(args.tasks, 3, rng)
    result: dict[str, Any] = {
        "seed": args.seed,
        "random boxes, three people": boxes(random_images(args.tasks, rng), three, args.seed),
        "random boxes, five people": boxes(random_images(args.tasks, rng), five, args.seed),
        "random spans, three people": spans(votes, truth, lengths, {}),
        "numbers, three people": numbers(COUNT, args.tasks, 3, rng),
        "ratings, four people": numbers(STARS, args.tasks, 4, rng),
    }
    folder = Path(os.environ.get("HITL_DATA", ""))
    if os.environ.get("HITL_DATA") and folder.is_dir():
        result["bccd boxes, three people"] = boxes(images(folder, args.images), three, args.seed)
        result["bccd boxes, five people"] = boxes(images(folder, args.images), five, args.seed)
        *crowd, data = crowd_spans(folder / "ner_crowd_conll" / "ner_crowd.jsonl", args.documents)
        result["ner crowd"] = spans(*crowd, data)
    print(save("flags", result).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
