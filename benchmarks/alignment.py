"""Wrong captions first: how far down the queue, lowest alignment first, the wrong pairs are found.

Digits: the images that scikit-learn bundles, with captions of many wordings, a tenth of them naming another digit.
There is no label: the encoder learns from the same pairs that it judges, cross-fitted. Then again with some pairs
labelled, on the rest.
Products: real pairs of descriptions with gold, judged by the frozen sentence encoder; needs the folder of data sets.

python -m benchmarks.alignment [DATA_FOLDER] [--seeds 5] [--images 1797] [--labels 100] [--products 8315]
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from backends.pairs import Pairs
from benchmarks.measure import save

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
WORDINGS = (
    "a {word}",
    "the digit {word}",
    "a handwritten {figure}",
    "number {figure}",
    "an image of the figure {word}",
    "{word}",
    "this is a {figure}",
    "scan of {word}, in black ink",
)
WRONG = 0.1
FRONTS = (0.05, 0.1, 0.15, 0.2, 0.3)


def digits(n: int, seed: int) -> tuple[list[dict[str, str]], np.ndarray]:
    """Return n images with captions, and (n,) which captions are wrong."""
    random = np.random.default_rng(seed)
    pixels, figures = load_digits(return_X_y=True)
    rows = random.permutation(len(pixels))[:n]
    wrong = np.zeros(len(rows), bool)
    wrong[random.choice(len(rows), round(WRONG * len(rows)), replace=False)] = True
    examples = []
    for row, bad in zip(rows, wrong, strict=True):
        told = (int(figures[row]) + int(random.integers(1, 10)) * bool(bad)) % 10
        caption = WORDINGS[int(random.integers(len(WORDINGS)))].format(word=WORDS[told], figure=told)
        stream = io.BytesIO()
        Image.fromarray((pixels[row].reshape(8, 8) * 15.9).astype(np.uint8)).save(stream, "PNG")
        uri = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
        examples.append({"image": uri, "caption": caption})
    return examples, wrong


def found(scores: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
    """Return the share of wrong pairs in each front of the queue, and the area under the ROC curve."""
    late = wrong[np.argsort(scores, kind="stable")]
    shares = {f"{front:g}": float(late[: round(front * len(late))].sum() / wrong.sum()) for front in FRONTS}
    return {**shares, "auc": float(roc_auc_score(~wrong, scores))}


def one_seed(seed: int, n: int, labelled: int, size: int) -> dict[str, Any]:
    """Return what is found without labels, by chance, and with labels on the pairs that have none."""
    examples, wrong = digits(n, seed)
    started = time.perf_counter()
    pairs = Pairs(("image", "caption"), size=size, labels=("match", "mismatch"))
    none = found(pairs.alignment(examples), wrong)
    seconds = time.perf_counter() - started
    chance = found(np.random.default_rng(seed + 1).random(n), wrong)
    shown = np.random.default_rng(seed + 2).permutation(n)[:labelled]
    rest = np.setdiff1d(np.arange(n), shown)
    pairs.prepare(examples, seed=seed)
    before = found(pairs.alignment([examples[row] for row in rest]), wrong[rest])
    targets = np.eye(2, dtype=np.float32)[wrong[shown].astype(int)]
    pairs.fit([examples[r] for r in shown], targets, weights=np.ones(labelled, np.float32), multiple=False, seed=seed)
    after = found(pairs.alignment([examples[row] for row in rest]), wrong[rest])
    return {
        "seed": seed,
        "seconds": seconds,
        "no labels": none,
        "chance": chance,
        "rest before": before,
        "rest after": after,
    }


def spread(values: list[float]) -> dict[str, float]:
    """Return mean and a 95 % interval of the mean over seeds (Student's t)."""
    from scipy.stats import t

    mean, n = float(np.mean(values)), len(values)
    half = float(t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
    return {"mean": mean, "low": mean - half, "high": mean + half}


def products(folder: Path, most: int, seed: int, cache: str) -> dict[str, Any]:
    """Return the area under the ROC curve of matching products: frozen, and after labels, on the other pairs."""
    with (folder / "crowd_product_matching" / "product_pairs.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    rows = [rows[at] for at in np.sort(np.random.default_rng(seed).permutation(len(rows))[:most])]
    examples = [{side: " ".join(row[side][:2]) for side in ("left", "right")} for row in rows]
    gold = np.asarray([int(row["gold"]) for row in rows])
    out: dict[str, Any] = {"pairs": len(rows), "matching": int(gold.sum())}
    pairs = Pairs(("left", "right"), max_tokens=96, batch_size=64, cache_folder=cache)
    vectors = pairs.embed(examples)
    assert vectors is not None
    half = vectors.shape[1] // 2
    out["auc of the cosine"] = float(roc_auc_score(gold, 2 * (vectors[:, :half] * vectors[:, half:]).sum(axis=1)))
    out["auc of the alignment"] = float(roc_auc_score(gold, pairs.alignment(examples)))
    for labelled in (100, 500, 2000):
        if 2 * labelled > len(rows):
            continue
        shown = np.random.default_rng(seed + 1).permutation(len(rows))[:labelled]
        rest = np.setdiff1d(np.arange(len(rows)), shown)
        fitted = Pairs(("left", "right"), max_tokens=96, cache_folder=cache, labels=("no", "yes"))
        targets = np.eye(2, dtype=np.float32)[gold[shown]]
        fitted.fit(
            [examples[r] for r in shown], targets, weights=np.ones(labelled, np.float32), multiple=False, seed=seed
        )
        out[f"auc after {labelled} labels"] = float(
            roc_auc_score(gold[rest], fitted.alignment([examples[row] for row in rest]))
        )
    return out


def main() -> None:
    """Run, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default=os.environ.get("HITL_DATA", ""))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, default=1797)
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--products", type=int, default=8315)
    parser.add_argument("--cache", default="", help="folder for vectors of products")
    options = parser.parse_args()
    runs = []
    for seed in range(options.seeds):
        runs.append(one_seed(seed, options.images, options.labels, options.size))
        print(json.dumps(runs[-1]), flush=True)
    summary = (
        {
            way: {key: spread([run[way][key] for run in runs]) for key in runs[0][way]}
            for way in ("no labels", "chance", "rest before", "rest after")
        }
        if runs
        else {}
    )
    result: dict[str, Any] = {
        "seeds": list(range(options.seeds)),
        "images": options.images,
        "wrong": WRONG,
        "labels": options.labels,
        "summary": summary,
        "runs": runs,
    }
    if options.folder and options.products:
        result["products"] = products(Path(options.folder), options.products, 0, options.cache)
        print(json.dumps(result["products"]), flush=True)
    print(json.dumps(summary.get("no labels", {}), indent=1))
    print(save("alignment", result))


if __name__ == "__main__":
    main()
