"""Declared functions over many texts, side by side with Snorkel's `PandasLFApplier` and a plain list comprehension.

    python -m benchmarks.functions_declared --rows 1000000

Two sets of 30 functions (`benchmarks.functions_news`): `words`, whole words and regexes, which the peers search with
the same compiled patterns; and `parts`, parts of words, which the peers find in the fastest way that Python has. Texts
are of about 240 characters: ag_news repeated where HITL_DATA is set, otherwise made from a vocabulary with a seed. The
peers run on the first `--peer-rows`, where all matrices are asserted to be the same, and are compared per call of a
function on a text. Ours runs on all rows: the plan on rows (20,000 at a time) and on a column, and the `local` engine.
Peak memory is that of a process of its own, beside that of one which only holds the texts.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adapter.labeling import LabelingFunction, discover
from adapter.labeling.vectorized import plan
from adapter.vocabulary import Control
from benchmarks.functions_news import LABELS
from benchmarks.measure import alternate, ratios, save, summary

PARTITION = 20_000
SETS = ("words", "parts")
SEED = 20_240


def texts_of(rows: int) -> tuple[list[str], str]:
    """Return texts and where they are from."""
    folder = os.environ.get("HITL_DATA", "")
    if folder and (Path(folder) / "ag_news" / "test.csv").is_file():
        from benchmarks.datasets import ag_news

        news = [text for text, _ in ag_news(Path(folder))]
        return [news[row % len(news)] for row in range(rows)], f"ag_news test, {len(news)} texts repeated"
    return made_texts(rows), f"made from a vocabulary, seed {SEED}"


def made_texts(rows: int) -> list[str]:
    """Return texts of about 240 characters: made-up words, each with the functions' own words at a few percent, some
    with numbers, and one in fifty with a character beyond ASCII."""
    from benchmarks.functions_news import _DESKS, _PARTS

    draw = random.Random(SEED)
    syllables = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "or")]
    common = ["".join(draw.choices(syllables, k=draw.randint(1, 4))) for _ in range(4000)]
    topical = [word for lists in _DESKS.values() for words in lists for word in words] + [
        w for _, ws in _PARTS for w in ws
    ]
    signs = [
        "$3.5 million",
        "rose 2.1 percent",
        "21-17",
        "(AP)",
        "www.example",
        "version 2",
        "2004",
        "killed two people",
    ]
    found = []
    for _ in range(rows):
        words = draw.choices(common, k=36)
        for _ in range(draw.randint(0, 3)):
            words[draw.randrange(36)] = draw.choice(topical)
        if draw.random() < 0.3:
            words[draw.randrange(36)] = draw.choice(signs)
        if draw.random() < 0.02:
            words[draw.randrange(36)] = "café"
        found.append(" ".join(words).capitalize() + ".")
    return found


def functions_of(name: str) -> list[LabelingFunction]:
    """Return one set of functions, loaded as a project's are."""
    found = discover(Path(__file__).with_name("functions_news.py"))
    return [function for function in found if function.name.startswith(f"{name}_")]


def row_rule(function: LabelingFunction, name: str) -> Callable[[str], int]:
    """Return the function as an author writes it in plain Python: text to the label's index, or -1."""
    assert function.declared is not None
    code, rule = LABELS.index(function.declared.label), function.function
    if name == "parts":
        (word,) = function.declared.spec["words"]
        return lambda text: code if word in text.lower() else -1
    (pattern,) = rule.patterns  # type: ignore[attr-defined]
    search = pattern.search
    return lambda text: code if search(text) else -1


def snorkel_votes(rules: Sequence[Callable[[str], int]], texts: Sequence[str]) -> Any:
    """Return the matrix of Snorkel's PandasLFApplier."""
    import pandas as pd
    from snorkel.labeling import LabelingFunction as Peer
    from snorkel.labeling import PandasLFApplier

    peers = [Peer(f"f{at}", f=lambda x, rule=rule: rule(x.text)) for at, rule in enumerate(rules)]
    return np.asarray(PandasLFApplier(peers).apply(pd.DataFrame({"text": texts}), progress_bar=False))


def control() -> Control:
    """Return the control that the functions vote on."""
    return Control("label", "choices", "text", "Text", "text", LABELS)


def planned(functions: Sequence[LabelingFunction], rows: Sequence[dict[str, str]]) -> Any:
    """Return our matrix: the plan over rows, a partition at a time. Nothing may be left to the workers but a few cells
    of texts beyond ASCII, which are called here."""
    made = plan(functions, [LABELS] * len(functions))
    assert len(made.able) == len(functions)
    parts = []
    for start in range(0, len(rows), PARTITION):
        votes, _, faults, left = made.votes(rows[start : start + PARTITION])
        assert not faults
        for row, at in zip(*np.nonzero(left), strict=True):
            answer = functions[at].function(rows[start + row])
            votes[row, at] = -1 if answer is None else LABELS.index(str(answer))
        parts.append(votes)
    return np.concatenate(parts)


def measured(name: str, texts: list[str], peer_rows: int, rounds: int, engine: bool) -> dict[str, Any]:
    """Return calls a second of ours and the peers' for one set of functions."""
    functions = functions_of(name)
    rules = [row_rule(function, name) for function in functions]
    rows = [{"text": text} for text in texts]
    few = texts[:peer_rows]
    made = plan(functions, [LABELS] * len(functions))
    tasks: dict[str, Callable[[], object]] = {
        "plan on rows": lambda: planned(functions, rows),
        "plan on a column": lambda: made.votes_of_columns({"text": texts}),
        "PandasLFApplier": lambda: snorkel_votes(rules, few),
        "list comprehension": lambda: [[rule(text) for text in few] for rule in rules],
    }
    count = {"PandasLFApplier": len(few), "list comprehension": len(few)}
    running = None
    if engine:
        from adapter.engines.local import LocalEngine

        running = LocalEngine(workers=2)
        tasks["local engine"] = lambda: running.apply(functions, iter(rows), control())
        assert (
            running.apply(functions, rows[:peer_rows], control()).votes == planned(functions, rows[:peer_rows])
        ).all()
    ours = planned(functions, rows[:peer_rows])
    assert (ours == snorkel_votes(rules, few)).all()
    assert (ours == np.array([[rule(text) for text in few] for rule in rules]).T).all()
    try:
        seconds = alternate(tasks, rounds)
    finally:
        if running is not None:
            running.close()
    each = {
        task: [value / count.get(task, len(texts)) / len(functions) for value in many] for task, many in seconds.items()
    }
    return {
        "functions": len(functions),
        "coverage": [round(float(share), 4) for share in (ours >= 0).mean(axis=0)],
        "seconds": {task: summary(many) for task, many in seconds.items()},
        "rows": {task: count.get(task, len(texts)) for task in tasks},
        "calls a second": {task: round(1 / summary(many)["median"]) for task, many in each.items()},
        "times as fast as PandasLFApplier": {
            task: ratios(each[task], each["PandasLFApplier"]) for task in tasks if task != "PandasLFApplier"
        },
        "times as fast as a list comprehension": {
            task: ratios(each[task], each["list comprehension"]) for task in tasks if task not in count
        },
    }


def peak(rows: int, name: str) -> float:
    """Return the peak memory in MB of a process that applies a set of functions, or only holds the rows if none."""
    command = [sys.executable, "-m", "benchmarks.functions_declared", "--rows", str(rows), "--child", name or "none"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout)["peak MB"])


def child(rows: int, name: str) -> None:
    """Print this process's peak memory after the work."""
    data = [{"text": text} for text in texts_of(rows)[0]]
    if name != "none":
        assert len(planned(functions_of(name), data)) == rows
    status = Path("/proc/self/status").read_text(encoding="ascii")  # getrusage would count what it was forked from
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"peak MB": int(kilobytes) / 1024}))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="texts for ours")
    parser.add_argument("--peer-rows", type=int, default=20_000, help="texts for the peers")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-engine", action="store_true", help="the bare plan only")
    parser.add_argument("--child", choices=("none", *SETS), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        child(options.rows, options.child)
        return 0
    texts, source = texts_of(options.rows)
    result: dict[str, Any] = {
        "rows": options.rows,
        "peer rows": min(options.peer_rows, options.rows),
        "note": "peers run on the first peer rows, where all matrices are the same, and are compared per call",
        "texts": source,
        "mean characters": round(sum(map(len, texts)) / len(texts), 1),
        "rounds": options.rounds,
    }
    for name in SETS:
        result[name] = measured(name, texts, options.peer_rows, options.rounds, not options.no_engine)
    result["peak MB"] = {name or "texts alone": round(peak(options.rows, name), 1) for name in ("", *SETS)}
    print(json.dumps(result, indent=2))
    print(save("functions_declared", result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
