"""Plain Python labeling functions over many texts, side by side with Snorkel's `PandasLFApplier` and a list
comprehension; and what one changed function of thirty costs through the vote stage.

    python -m benchmarks.functions_python --rows 1000000 --stage-rows 200000

Ten keyword functions on texts of about 240 characters (see `benchmarks.functions_declared`). The peers run on the first
`--peer-rows`, where all matrices are asserted to be the same; they are compared per call of a function on a text. Ours
streams all rows from a generator. Memory is the sum over our processes, beyond what the texts themselves take.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from adapter.engines.local import LocalEngine
from adapter.labeling import LabelingFunction, discover
from adapter.vocabulary import Control
from benchmarks.functions_declared import texts_of
from benchmarks.functions_news import LABELS
from benchmarks.measure import alternate, ratios, save, summary

CONTROL = Control("desk", "choices", "text", "Text", "text", LABELS)
WORDS = ("oil", "shares", "cup", "season", "software", "internet", "president", "police", "coach", "space")
CONFIG = (
    '<View><Text name="text" value="$text"/><Choices name="desk" toName="text" choice="single">'
    + "".join(f'<Choice value="{label}"/>' for label in LABELS)
    + "</Choices></View>"
)


def source(count: int, changed: int = -1) -> str:
    """Return a module of `count` keyword functions; one of them, `changed`, is written otherwise."""
    parts = ["from adapter.labeling import labeling_function\n"]
    for number in range(count):
        word, label = WORDS[number % len(WORDS)] + ("s" if number >= len(WORDS) else ""), LABELS[number % len(LABELS)]
        if number == changed:
            word += "!"
        parts.append(
            f"\n\n@labeling_function\ndef f{number}(data):\n"
            f'    return "{label}" if "{word}" in data["text"].lower() else None\n'
        )
    return "".join(parts)


def written(folder: Path, count: int) -> list[LabelingFunction]:
    """Write the module and load it."""
    path = folder / "functions.py"
    path.write_text(source(count), encoding="utf-8")
    return discover(path)


class Memory:
    """Watches the resident memory of this process and its children while the block runs. peak: in MB, beyond the
    start."""

    def __enter__(self) -> Memory:
        self._end = threading.Event()
        self._start, self.peak = _held(), 0.0
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def _look(self) -> None:
        while not self._end.wait(0.1):
            self.peak = max(self.peak, (_held() - self._start) / 1e6)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end.set()
        self._thread.join()


def _held() -> float:
    import psutil

    own = psutil.Process()
    total = 0
    for process in (own, *own.children(recursive=True)):
        try:
            memory = process.memory_info()
            total += memory.rss - getattr(memory, "shared", 0)
        except psutil.Error:  # it has just ended
            continue
    return float(total)


def snorkel_functions(functions: list[LabelingFunction]) -> list[Any]:
    """Return the same functions as Snorkel's own."""
    from snorkel.labeling import LabelingFunction as Peer

    def rule(function: LabelingFunction) -> Callable[[Any], int]:
        word = next(
            value
            for value in function.function.__code__.co_consts
            if isinstance(value, str) and value != "text" and value not in LABELS
        )
        label = next(LABELS.index(value) for value in function.function.__code__.co_consts if value in LABELS)
        return lambda row: label if word in row.text.lower() else -1

    return [Peer(function.name, rule(function)) for function in functions]


def comprehended(functions: list[LabelingFunction], texts: list[str]) -> Any:
    """Return the matrix by a list comprehension per function."""
    rows = [{"text": text} for text in texts]
    code: dict[Any, int] = {None: -1, **{label: number for number, label in enumerate(LABELS)}}
    return np.array([[code[rule(row)] for row in rows] for rule in (each.function for each in functions)], np.int16).T


def applying(texts: list[str], peer_rows: int, rounds: int, workers: int) -> dict[str, Any]:
    """Time ours on all texts and the peers on the first of them; return the figures."""
    import pandas as pd
    from snorkel.labeling import PandasLFApplier

    with tempfile.TemporaryDirectory() as folder:
        functions = written(Path(folder), len(WORDS))
        head = texts[:peer_rows]
        frame = pd.DataFrame({"text": head})
        applier = PandasLFApplier(snorkel_functions(functions))
        found: dict[str, Any] = {}

        def rows(of: list[str]) -> Iterator[dict[str, str]]:
            return ({"text": text} for text in of)

        with Memory() as memory, LocalEngine(workers=workers) as engine:
            engine.apply(functions, rows(texts), CONTROL)
        with LocalEngine(workers=workers) as engine:
            engine.apply(functions, rows(texts[: 2000 * workers]), CONTROL)  # the workers are there, as in the loop
            seconds = alternate(
                {
                    "ours": lambda: found.update(ours=engine.apply(functions, rows(texts), CONTROL)),
                    "snorkel": lambda: found.update(snorkel=applier.apply(frame, progress_bar=False)),
                    "comprehension": lambda: found.update(comprehension=comprehended(functions, head)),
                },
                rounds,
            )
            mine = found["ours"]
            assert np.array_equal(mine.votes[:peer_rows], found["snorkel"])
            assert np.array_equal(mine.votes[:peer_rows], found["comprehension"])
            assert not mine.faults
    calls, peer_calls = len(texts) * len(functions), peer_rows * len(functions)
    each = {name: [s / (calls if name == "ours" else peer_calls) for s in all_] for name, all_ in seconds.items()}
    return {
        "rows": len(texts),
        "peer_rows": peer_rows,
        "functions": len(functions),
        "workers": workers,
        "seconds": {name: summary(all_) for name, all_ in seconds.items()},
        "calls_a_second": {name: 1 / summary(all_)["median"] for name, all_ in each.items()},
        "times_snorkel": ratios(each["ours"], each["snorkel"]),
        "times_comprehension": ratios(each["ours"], each["comprehension"]),
        "peak_mb": memory.peak,
    }


def changing(texts: list[str], workers: int, count: int = 30) -> dict[str, Any]:
    """Time the vote stage on all of `count` functions, then after one of them was edited; return the figures."""
    from adapter.app import App
    from adapter.settings import EngineSettings, ProjectSettings, Settings
    from adapter.stages.vote import vote
    from adapter.store.tasks import NewRow
    from adapter.testing import MemoryPlatform

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "desk.xml").write_text(CONFIG, encoding="utf-8")
        written(folder, count)
        given = {
            "name": "desk",
            "label_config": str(folder / "desk.xml"),
            "labeling_functions": str(folder / "functions.py"),
        }
        settings = Settings(
            home=folder / "home", config=folder, projects={"desk": ProjectSettings.model_validate(given)}
        )
        app = App(settings, platform=MemoryPlatform())
        try:
            project = replace(app.project("desk"), engine=EngineSettings(workers=workers))
            project.store.projects.ensure("desk", "digest")
            for lo in range(0, len(texts), 10_000):
                new = [
                    NewRow(f"t{lo + n}", {"text": text}, f"c{lo + n}") for n, text in enumerate(texts[lo : lo + 10_000])
                ]
                project.store.tasks.add("desk", new, blind=lambda _: False)
            with Memory() as memory:
                started = time.perf_counter()
                assert len(vote(project).computed) == count
                whole = time.perf_counter() - started
            started = time.perf_counter()
            for lo in range(0, len(texts), project.engine.partition_rows):
                project.store.tasks.data_between("desk", lo, lo + project.engine.partition_rows)
            reading = time.perf_counter() - started
            (folder / "functions.py").write_text(source(count, changed=7), encoding="utf-8")
            started = time.perf_counter()
            assert vote(project).computed == {"f7": len(texts)}
            one = time.perf_counter() - started
            started = time.perf_counter()
            assert vote(project).computed == {}
            nothing = time.perf_counter() - started
        finally:
            app.close()
    return {
        "rows": len(texts),
        "functions": count,
        "all_s": whole,
        "one_s": one,
        "nothing_s": nothing,
        "share": one / whole,
        "fair_share": 1 / count,
        "reading_the_pool_s": reading,
        "peak_mb": memory.peak,
    }


def main() -> int:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--peer-rows", type=int, default=20_000)
    parser.add_argument("--stage-rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    given = parser.parse_args()
    texts, where = texts_of(max(given.rows, given.stage_rows))
    applied = applying(texts[: given.rows], min(given.peer_rows, given.rows), given.rounds, given.workers)
    changed = changing(texts[: given.stage_rows], given.workers)
    print(f"{applied['rows']:,} texts x {applied['functions']} Python functions, {given.workers} processes")
    for name, rate in applied["calls_a_second"].items():
        print(f"  {name:14}{rate:12,.0f} calls a second")
    print(
        f"  {applied['times_snorkel']['median']:.1f} x Snorkel, {applied['times_comprehension']['median']:.2f} x a "
        f"list comprehension; peak memory {applied['peak_mb']:.0f} MB beside the texts"
    )
    print(
        f"vote stage, {changed['rows']:,} tasks x {changed['functions']} functions: all {changed['all_s']:.1f} s, "
        f"one changed {changed['one_s']:.1f} s ({changed['share']:.3f} of it; 1/{changed['functions']} is "
        f"{changed['fair_share']:.3f}), nothing changed {changed['nothing_s']:.2f} s; reading the pool alone "
        f"{changed['reading_the_pool_s']:.1f} s; peak memory {changed['peak_mb']:.0f} MB"
    )
    save("functions_python", {"texts": where, "applying": applied, "changing": changed})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
