"""Whether beginning near the former model saves time, and what it costs in accuracy, as labels grow.

python -m benchmarks.warm_start [DATA_FOLDER] [--parts cnn,transformer,detection] [--seeds 5] [--first 0] [--out FILE]

Each part trains on a first few labels and then on more and more, each training beginning near the one before:

- cnn: `backends.image` on scikit-learn's digits, 100 to 800 labels; accuracy on the other 997. Needs no data folder.
- transformer: `backends.transformer` with the packaged MiniLM on ag_news, 300 and 600 labels; accuracy on 800 others.
- detection: `backends.detection` from scratch on BCCD, 30 and 60 images; F1 of shown boxes on a quarter of the images.

Ways: `fresh` (every training from scratch), `short` (from scratch, with the warm start's share of the steps: what fewer
steps alone would do), `plain` (training goes on from the former weights) and `shrink` (the shipped warm start: see
`backends.warm`). Figures are of the trainings after the first, which is the same for all. The difference to `fresh` is
paired by seed, its mean over sizes first; 95 % by Student's distribution over seeds. Seconds are of the processor, of
one fit: a whole training also cross-validates, from scratch.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from backends import detection_training, image_cnn_training, transformer
from backends.detection import Detection
from backends.image import Image
from backends.transformer import Transformer
from benchmarks.boxes import LABELS as CELLS
from benchmarks.boxes import images
from benchmarks.datasets import AG_NEWS, ag_news
from benchmarks.detection import judge, regions, split
from benchmarks.fine_tuning import over_seeds
from benchmarks.measure import save

WAYS = ("fresh", "short", "plain", "shrink")
Figures = dict[str, float]


def cnn(way: str, seed: int, folder: Path, data: Path, sizes: Sequence[int]) -> Iterator[tuple[int, Figures]]:
    """Yield the figures of each training on digits."""
    from PIL import Image as PIL
    from sklearn.datasets import load_digits

    pictures, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(labels))
    examples = []
    for picture in pictures:
        stream = io.BytesIO()
        PIL.fromarray((picture.reshape(8, 8) * 15).astype(np.uint8)).save(stream, "PNG")
        examples.append({"image": "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()})
    test = order[800:]
    for n in sizes:
        steps = 0
        if way == "short":
            enough = np.clip(image_cnn_training.EPOCHS * int(0.8 * n) // image_cnn_training.BATCH, 160, 4000)
            steps = round(image_cnn_training.SHARE * enough)
        backend = Image(("image",), steps=steps, warm_start=True)
        with kept(image_cnn_training, way):
            seconds = fitted(backend, way, folder, [examples[row] for row in order[:n]], labels[order[:n]], 10, seed)
        chances = backend.predict([examples[row] for row in test])
        yield n, judged(chances, labels[test]) | {"seconds": seconds}


def text(way: str, seed: int, folder: Path, data: Path, sizes: Sequence[int]) -> Iterator[tuple[int, Figures]]:
    """Yield the figures of each training on ag_news."""
    rows = list(ag_news(data))
    order = np.random.default_rng(seed).permutation(len(rows))
    examples = [{"text": words} for words, _ in rows]
    labels = np.asarray([AG_NEWS.index(label) for _, label in rows])
    test = order[-800:]
    for n in sizes:
        backend = Transformer(("text",), warm_start=True, max_tokens=64, threads=1, epochs=2 if way == "short" else 0)
        with kept(transformer, way):
            seconds = fitted(backend, way, folder, [examples[row] for row in order[:n]], labels[order[:n]], 4, seed)
        yield n, judged(backend.predict([examples[row] for row in test]), labels[test]) | {"seconds": seconds}


def boxes(way: str, seed: int, folder: Path, data: Path, sizes: Sequence[int]) -> Iterator[tuple[int, Figures]]:
    """Yield the figures of each training on blood cells."""
    root = data / "bccd_boxes" / "BCCD" / "JPEGImages"
    rest, held = split(images(data, 10_000), root, seed)
    for n in sizes:
        epochs = round(detection_training.SHARE * detection_training.SHOWN / (0.85 * n))
        backend = Detection(
            ("image",),
            warm_start=True,
            flips="both",
            threads=1,
            media_root=str(root),
            epochs=epochs if way == "short" else 0,
        )
        some = rest[:n]
        if way in ("plain", "shrink"):
            backend.warm_start(folder)
        with kept(detection_training, way):
            began = time.process_time()
            backend.fit(
                [{"image": f"{one.name}.jpg"} for one in some],
                [regions(one) for one in some],
                labels=CELLS,
                weights=np.ones(n, np.float32),
                seed=seed,
            )
            seconds = time.process_time() - began
        keep(backend, folder)
        found = judge(held, backend.predict([{"image": f"{one.name}.jpg"} for one in held]))
        yield n, {"score": found["f1"], "map50": found["map50"], "seconds": seconds}


PARTS = {"cnn": (cnn, (100, 200, 400, 800)), "transformer": (text, (300, 600)), "detection": (boxes, (30, 60))}


@contextmanager
def kept(module: Any, way: str) -> Iterator[None]:
    """Let all of the former weights stay, where training is to go on plainly."""
    with patch.object(module, "KEPT", 1.0 if way == "plain" else module.KEPT):
        yield


def fitted(backend: Any, way: str, folder: Path, examples: Sequence[Any], labels: Any, k: int, seed: int) -> float:
    """Fit a backend, near the model in `folder` where the way says so; keep it there; return seconds."""
    if way in ("plain", "shrink"):
        backend.warm_start(folder)
    began = time.process_time()
    backend.fit(
        examples,
        np.eye(k, dtype=np.float32)[labels],
        weights=np.ones(len(labels), np.float32),
        multiple=False,
        seed=seed,
    )
    seconds = time.process_time() - began
    keep(backend, folder)
    return seconds


def keep(backend: Any, folder: Path) -> None:
    """Save a backend in the place of the one before it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    backend.save(folder)


def judged(chances: Any, labels: Any) -> Figures:
    """Return accuracy and log loss."""
    loss = -np.log(np.clip(chances[np.arange(len(labels)), labels], 1e-6, 1.0)).mean()
    return {"score": float((chances.argmax(axis=1) == labels).mean()), "log_loss": float(loss)}


def table(rows: Sequence[dict[str, Any]], seeds: Sequence[int]) -> dict[str, Any]:
    """Return each way's means over all trainings, and its difference to `fresh`."""

    def mean(way: str, what: str, seed: int | None = None) -> float:
        return float(np.mean([row[what] for row in rows if row["way"] == way and seed in (None, row["seed"])]))

    out: dict[str, Any] = {}
    for way in dict.fromkeys(row["way"] for row in rows):
        gains = [mean(way, "score", seed) - mean("fresh", "score", seed) for seed in seeds]
        measures = [name for name in rows[0] if name not in ("way", "seed", "labels")]
        out[way] = {name: round(mean(way, name), 4) for name in measures}
        out[way]["difference"] = over_seeds(gains)
    return out


def main() -> int:
    """Run it, print a table and save the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default=os.environ.get("HITL_DATA", ""))
    parser.add_argument("--parts", default="cnn", help=", ".join(PARTS))
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--out", type=Path, help="JSON file; the default is benchmarks/results/warm_start.json")
    given = parser.parse_args()
    seeds = range(given.first, given.first + given.seeds)
    result: dict[str, Any] = {"seeds": list(seeds)}
    for part in given.parts.split(","):
        if part != "cnn" and not given.folder:
            raise SystemExit("name the folder with the data sets, or set HITL_DATA")
        run, sizes = PARTS[part]
        rows = []
        for seed in seeds:
            with tempfile.TemporaryDirectory() as place:
                start, model = Path(place) / "start", Path(place) / "model"
                list(run("fresh", seed, start, Path(given.folder), sizes[:1]))
                for way in given.ways.split(","):
                    shutil.rmtree(model, ignore_errors=True)
                    shutil.copytree(start, model)
                    for n, figures in run(way, seed, model, Path(given.folder), sizes[1:]):
                        rows.append({"way": way, "seed": seed, "labels": n, **figures})
                        print(json.dumps({"part": part, **rows[-1]}), flush=True)
        result[part] = {"ways": table(rows, seeds), "rows": rows}
        for way, figures in result[part]["ways"].items():
            print(f"{part:<12}{way:<8}{json.dumps(figures)}", flush=True)
    if given.out is None:
        print(save("warm_start", result))
    else:
        given.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
