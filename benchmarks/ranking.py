"""What ranking a large pool costs in seconds and memory: scoring, the default strategy, approximate neighbours.

rank: a pool of --pool embeddings (float16, in a memory-mapped file) is scored block by block by a linear head and
put in order by the default strategy. again: what happens after an annotation in a pool of --again: the head is
fitted anew on --labels labels, the pool scored again from the file, ordered and mixed with the blind sample.
neighbours: the pool is indexed, and what that costs, finds and weighs. Each in a process of its own. Memory is what
the process holds itself (anonymous pages, peak, less what it had before), and in all with the file's pages that the
system may drop.

python -m benchmarks.ranking [--only rank again neighbours] [--pool 1000000] [--dimensions 384] [--again 100000]
    [--labels 500] [--threads 1]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from adapter.core.approximate import Neighbours
from adapter.core.blind import blind_mask
from adapter.core.priority import Candidates, compose, ordered
from adapter.core.strategies import State, Vectors, choose
from adapter.policies import BlindPolicy, RankPolicy
from backends.head import fit_head
from benchmarks.measure import save

PARTS = ("rank", "again", "neighbours")
LABELS = 4
TOPICS = 400
BLOCK = 20_000
MEGABYTE = 2**20


def write(path: Path, rows: int, dimensions: int, seed: int) -> None:
    """Write float16 embeddings of loose topics, among them one row in a hundred nearly a copy of the one before."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(TOPICS, dimensions)).astype(np.float32)
    matrix: Any = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(rows, dimensions))
    for start in range(0, rows, BLOCK):
        n = min(BLOCK, rows - start)
        part = centres[random.integers(TOPICS, size=n)] + random.normal(size=(n, dimensions)).astype(np.float32)
        copies = np.arange(100, n, 100)
        part[copies] = part[copies - 1] + 0.05 * random.normal(size=(len(copies), dimensions)).astype(np.float32)
        matrix[start : start + n] = part / np.linalg.norm(part, axis=1, keepdims=True)
    matrix.flush()


class Memory:
    """The process's own pages at their most, sampled."""

    def __init__(self) -> None:
        self.before = self.now()
        self.peak = self.before
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @staticmethod
    def now() -> int:
        """Return bytes of anonymous pages."""
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("RssAnon"):
                return int(line.split()[1]) * 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            self.peak = max(self.peak, self.now())

    def figures(self) -> dict[str, float]:
        """Stop, and return megabytes."""
        self._stop.set()
        self._thread.join()
        return {
            "peak_mb": round((max(self.peak, self.now()) - self.before) / MEGABYTE, 1),
            "peak_with_file_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        }


class Times:
    """Seconds by step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time what is done within."""
        started = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - started, 3)

    def figures(self) -> dict[str, Any]:
        """Return the steps and their sum."""
        return {"seconds": round(sum(self.seconds.values()), 3), "steps": self.seconds}


def scored(matrix: Any, head: Any) -> Any:
    """Return probabilities (n, k), block by block."""
    out = np.empty((len(matrix), len(head.bias)), np.float32)
    for start in range(0, len(matrix), BLOCK):
        out[start : start + BLOCK] = head.predict(np.asarray(matrix[start : start + BLOCK], np.float32))
    return out


def learned(matrix: Any, labels: int, seed: int) -> Any:
    """Return a head fitted on the first rows, whose labels are drawn from a hidden linear rule."""
    random = np.random.default_rng(seed)
    rule = random.normal(size=(matrix.shape[1], LABELS))
    x = np.asarray(matrix[:labels], np.float64)
    y = np.eye(LABELS)[(x @ rule + 0.3 * random.normal(size=(labels, LABELS))).argmax(axis=1)]
    keys = [str(row) for row in range(labels)]
    return fit_head(x, y, np.ones(labels), multiple=False, c=30.0, keys=keys, seed=seed)


def rank(matrix: Any, labels: int, threads: int) -> dict[str, Any]:
    """Order the whole pool by the default strategy."""
    head = learned(matrix, labels, 0)
    memory, times = Memory(), Times()
    with times.step("score"):
        p = scored(matrix, head)
    with times.step("draw"):
        chance = np.random.default_rng(0).random(len(matrix))
    policy = RankPolicy()
    with times.step("choose"):
        vectors = Vectors(len(matrix), lambda rows: np.asarray(matrix[rows], np.float32))
        state = State(size=150, batch=50, seed=0, chance=chance, labels=tuple(map(str, range(LABELS))))
        chosen = choose(policy.strategy, vectors, p, state)
    found = {"strategy": chosen.name, "rows": len(matrix), **times.figures(), **memory.figures()}
    assert len(np.unique(chosen.rows)) == len(matrix)
    return found


def again(matrix: Any, labels: int, threads: int) -> dict[str, Any]:
    """Fit, score, order and blend after an annotation."""
    ids = [f"task-{row}" for row in range(len(matrix))]
    policy, rule = RankPolicy(), BlindPolicy()
    blind = blind_mask(ids, rule)
    memory, times = Memory(), Times()
    with times.step("fit"):
        head = learned(matrix, labels, 0)
    with times.step("score"):
        p = scored(matrix, head)
    with times.step("order"):
        candidates = Candidates(seq=np.arange(len(ids)), ids=ids, blind=blind, probabilities=p)

        def embed(rows: Any) -> Any:
            return np.asarray(matrix[rows], np.float32)

        chosen = ordered(candidates, size=150, rank=policy, embed=embed, batch=50)
    with times.step("compose"):
        picks = compose(candidates, size=150, blind=rule, rank=policy, chosen=chosen, embed=embed, batch=50)
    assert len(picks) == 150
    return {"rows": len(ids), "labels": labels, **times.figures(), **memory.figures()}


def neighbours(matrix: Any, labels: int, threads: int) -> dict[str, Any]:
    """Index the pool and search it."""
    memory, times = Memory(), Times()

    def fetch(rows: Any) -> Any:
        # A run of rows is a view of the file; only a scattered sample is copied.
        run = len(rows) and rows[-1] - rows[0] + 1 == len(rows)
        return matrix[rows[0] : rows[-1] + 1] if run else matrix[rows]

    with times.step("build"):
        index = Neighbours.build(len(matrix), fetch, seed=0, threads=threads)
    built = memory.figures()
    rows = np.sort(np.random.default_rng(1).choice(len(matrix), min(2_000, len(matrix)), replace=False))
    found: dict[str, Any] = {}
    with times.step("recall"):
        for probes in (1, 4, 16, 64):
            found[f"recall@10, {probes} cells"] = round(index.recall(fetch, queries=200, probes=probes), 4)
    for probes in (4, 16):
        started = time.perf_counter()
        index.search(fetch(rows), 10, probes=probes)
        found[f"ms a query, {probes} cells"] = round(1000 * (time.perf_counter() - started) / len(rows), 3)
    with times.step("density of 2,000"):
        index.density(rows, fetch)
    part = np.arange(min(len(matrix), 50_000))
    started = time.perf_counter()
    near, _ = index.search(fetch(part), 2, probes=2)
    known = part[100::100]
    known = known[known % BLOCK != 0]
    hit = (near[known] == (known - 1)[:, None]).any(axis=1)
    found["known near copies found"] = round(float(hit.mean()), 4)
    found["seconds for 50,000 rows' copies"] = round(time.perf_counter() - started, 2)
    return {"rows": len(matrix), "exact": index.exact, "threads": threads, **found, **times.figures(), **built}


def main() -> None:
    """Measure each part in a process of its own, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--pool", type=int, default=1_000_000)
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--again", type=int, default=100_000)
    parser.add_argument("--labels", type=int, default=500)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--name", default="ranking")
    options = parser.parse_args()
    if options.file is not None:
        matrix = np.load(options.file, mmap_mode="r")
        if options.only == ["again"]:
            matrix = matrix[: options.again]
        functions = {"rank": rank, "again": again, "neighbours": neighbours}
        print(json.dumps(functions[options.only[0]](matrix, options.labels, options.threads)))
        return
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "vectors.npy"
        rows = options.pool if set(options.only) - {"again"} else options.again
        write(file, max(rows, options.again), options.dimensions, 0)
        for part in options.only:
            command = [sys.executable, "-m", "benchmarks.ranking", "--only", part, "--file", str(file)]
            for name in ("again", "labels", "threads"):
                command += [f"--{name}", str(getattr(options, name))]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            results[part] = json.loads(done.stdout.splitlines()[-1])
            print(part, json.dumps(results[part], indent=1))
    print(save(options.name, {"dimensions": options.dimensions, **results}))


if __name__ == "__main__":
    main()
