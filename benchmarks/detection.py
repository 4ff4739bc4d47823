"""How well the small detector finds blood cells (BCCD, three classes) after training on 50, 100 and 250 images.

A quarter of the images is held out, the same for all sizes of one seed; copies of an image share a side. A box is right
if it has its label and overlaps by .5 or more. F1 is of boxes with a score from .5, which is what people are shown.
AP is the area under precision and recall of all boxes (Pascal VOC from 2010 on), its mean over labels mAP50.

python -m benchmarks.detection [DATA_FOLDER] [--images 50,100,250] [--seeds 1] [--size 192] [--epochs 0]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adapter.vocabulary import JsonObject
from backends.detection import Detection
from backends.detection_boxes import hits, truth
from benchmarks.boxes import LABELS, Image, images, item
from benchmarks.measure import save

HELD_OUT = 0.25
SHOWN = 0.5
FRAME = (1000.0, 1000.0)


def regions(image: Image) -> list[JsonObject]:
    """Return the gold boxes as regions."""
    out = []
    for number, (box, label) in enumerate(zip(image.boxes, image.labels, strict=True)):
        value = dict(item(number, box, int(label), image)["value"])
        out.append({"labels": value.pop("rectanglelabels"), "value": value})
    return out


def split(all_images: Sequence[Image], folder: Path, seed: int) -> tuple[list[Image], list[Image]]:
    """Return images to train on and held-out ones; copies, by their bytes, share a side."""
    groups: dict[str, list[Image]] = {}
    for image in all_images:
        digest = hashlib.sha256((folder / f"{image.name}.jpg").read_bytes()).hexdigest()
        groups.setdefault(digest, []).append(image)
    names = np.random.default_rng(seed).permutation(sorted(groups))
    cut = round(HELD_OUT * len(names))
    held, rest = ([image for name in some for image in groups[name]] for some in (names[:cut], names[cut:]))
    return rest, held


def average_precision(scores: np.ndarray, right: np.ndarray, due: int) -> float:
    """Return the area under the curve of precision over recall, each precision the best from there on."""
    order = np.argsort(-scores, kind="stable")
    good = right[order].astype(float)
    recall = np.concatenate([[0.0], good.cumsum() / max(due, 1)])
    precision = np.maximum.accumulate((good.cumsum() / np.arange(1, len(good) + 1))[::-1])[::-1]
    return float((np.diff(recall) * precision).sum())


def judge(held: Sequence[Image], answers: Sequence[list[JsonObject] | None]) -> dict[str, Any]:
    """Return F1, precision and recall of shown boxes, average precision of all, and the calibration of scores."""
    scores, right, labels = [], [], []
    due_of = np.zeros(len(LABELS), int)
    for image, found in zip(held, answers, strict=True):
        due, due_labels = truth(regions(image), LABELS, FRAME)
        due_of += np.bincount(due_labels, minlength=len(LABELS))
        seen = sorted(found or [], key=lambda one: -one["score"])
        boxes, named = truth(seen, LABELS, FRAME)
        right.append(hits(boxes, named, due, due_labels))
        scores.append(np.asarray([one["score"] for one in seen]))
        labels.append(named)
    score, good, label = np.concatenate(scores), np.concatenate(right), np.concatenate(labels)
    shown = score >= SHOWN
    each = [average_precision(score[label == k], good[label == k], int(due_of[k])) for k in range(len(LABELS))]
    bins = np.minimum((score * 10).astype(int), 9)
    gaps = [abs(score[bins == b].mean() - good[bins == b].mean()) * (bins == b).mean() for b in set(bins.tolist())]
    by_label = {}
    for k, name in enumerate(LABELS):
        mine = shown & (label == k)
        by_label[name] = {"ap50": each[k], "f1": float(2 * good[mine].sum() / max(mine.sum() + due_of[k], 1))}
    return {
        "f1": float(2 * good[shown].sum() / max(shown.sum() + due_of.sum(), 1)),
        "precision": float(good[shown].mean()) if shown.any() else 0.0,
        "recall": float(good[shown].sum() / due_of.sum()),
        "map50": float(np.mean(each)),
        "by_label": by_label,
        "ece_of_scores": float(sum(gaps)),
    }


def main() -> None:
    """Run, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default=os.environ.get("HITL_DATA", ""))
    parser.add_argument("--images", default="50,100,250")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--epochs", type=int, default=0, help="0: the default")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--model", default="small", help="small, or the folder of a transformers detector")
    options = parser.parse_args()
    if not options.folder:
        raise SystemExit("name the folder with the data sets, or set HITL_DATA")
    root = Path(options.folder) / "bccd_boxes" / "BCCD" / "JPEGImages"
    everything, runs = images(Path(options.folder), 10_000), []
    for seed in range(options.seeds):
        rest, held = split(everything, root, seed)
        for n in map(int, options.images.split(",")):
            some = rest[:n]
            backend = Detection(
                ("image",),
                model=options.model,
                size=options.size,
                epochs=options.epochs,
                flips="both",
                threads=options.threads,
                media_root=str(root),
            )
            started, busy = time.perf_counter(), time.process_time()
            backend.fit(
                [{"image": f"{image.name}.jpg"} for image in some],
                [regions(image) for image in some],
                labels=LABELS,
                weights=np.ones(len(some), np.float32),
                seed=seed,
            )
            fitted, used = time.perf_counter() - started, time.process_time() - busy
            started = time.perf_counter()
            answers = backend.predict([{"image": f"{image.name}.jpg"} for image in held])
            asked = (time.perf_counter() - started) / len(held)
            figures = judge(held, answers)
            row = {"seed": seed, "images": len(some), "held_out": len(held), **figures}
            runs.append(row | {"fit_s": fitted, "fit_cpu_s": used, "predict_s_per_image": asked})
            print(json.dumps(runs[-1]), flush=True)
    result = {"model": options.model, "size": options.size, "epochs": options.epochs, "threads": options.threads}
    print(save("detection", {**result, "runs": runs}))


if __name__ == "__main__":
    main()
