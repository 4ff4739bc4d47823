"""Asking a language model: calls a second, failures that are survived, money that is kept, against a server of our own.

    python -m benchmarks.llm [--tasks 2000] [--latency 0.05] [--out FILE]

The server answers after `--latency` seconds, with log-probabilities, and judges right with a known accuracy. Measured:

- speed: calls a second at 1, 8 and 32 at a time, the share of what the latency allows, and our own time a call (the
  server's latency 0, one at a time); then the same tasks again, from memory.
- faults: share of the tasks that are answered although so many requests fail (500s, cut connections, replies that are
  no JSON, 429 with Retry-After, answers that name no label, prose instead of the JSON that it promised).
- money: two processes with a budget that pays for a part of the tasks: what the server's owner would bill, what we
  say was spent, and the budget.
- skill: measured accuracy of the votes with its interval, and the server's real one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from adapter.core.intervals import wilson
from adapter.llm import Answered, Asker, Endpoint, Prompt, checked_options, make_sheet
from adapter.llm.client import Patience
from adapter.llm.limits import Backoff
from benchmarks.measure import save

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from llm_server import KEY, LlmServer, Manners, by_words  # the tests' own server

READ, WRITTEN, BUDGET = 0.15, 0.60, 0.01
FAULTS = {
    "500 on 20 %": Manners(broken=0.2, logprobs=True),
    "cut on 20 %": Manners(dropped=0.2, logprobs=True),
    "no JSON on 20 %": Manners(garbled=0.2, logprobs=True),
    "429, 50 times": Manners(limited=50, retry_after="0.05", logprobs=True),
    "no label on 20 %": Manners(wrong=0.2, logprobs=True),
    "prose for JSON": Manners(prose=True),
    "no json_schema, no logprobs": Manners(json_schema=False, json_object=False, refuses=("logprobs",)),
    "all of it": Manners(broken=0.1, dropped=0.1, garbled=0.1, limited=20, retry_after="0.05", wrong=0.05),
}
ACCURACY = 0.85


def main() -> None:
    """Measure, print and save."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--tasks", type=int, default=2000)
    options.add_argument("--latency", type=float, default=0.05)
    options.add_argument("--out", type=Path)
    options.add_argument("--child", nargs=3, metavar=("URL", "FOLDER", "WORD"), help=argparse.SUPPRESS)
    args = options.parse_args()
    if args.child:
        print(json.dumps(spend(*args.child, args.tasks)))
        return
    result = {
        "tasks": args.tasks,
        "latency_s": args.latency,
        "speed": speed(args.tasks, args.latency),
        "faults": {name: survived(args.tasks // 5, manners) for name, manners in FAULTS.items()},
        "money": money(args.tasks),
        "skill": skill(args.tasks),
    }
    path = save("llm", result)
    if args.out:
        args.out.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    print(path.read_text(encoding="utf-8"))


def asker(url: str, folder: Path | None, **options: Any) -> Asker:
    """Return what asks the server at `url`."""
    patience = Patience(timeout_s=30.0, attempts=8, failures=100, backoff=Backoff(0.02, 0.5))
    checked = checked_options({"model": "m", "price_input": READ, "price_output": WRITTEN, **options}, "benchmark")
    return Asker(Endpoint(url, KEY), Prompt(make_sheet(("spam", "ham"))), checked, folder, patience=patience)


def texts(count: int, word: str = "win") -> list[str | None]:
    """Return texts, every third spam."""
    return [f"{word if n % 3 == 0 else 'meet me'} at number {n}" for n in range(count)]


def right(outcomes: list[Any]) -> int:
    """Return how many outcomes say what is true of their text."""
    return sum(
        isinstance(outcome, Answered) and (outcome.probabilities[0] > 0.5) == (n % 3 == 0)
        for n, outcome in enumerate(outcomes)
    )


def server(manners: Manners) -> LlmServer:
    """Return a server that knows spam by the word `win`."""
    return LlmServer(by_words({"win": "spam"}, "ham"), manners)


def speed(tasks: int, latency: float) -> dict[str, Any]:
    """Return calls a second by how many go at a time."""
    found: dict[str, Any] = {}
    with server(Manners(seconds=latency, logprobs=True)) as there, tempfile.TemporaryDirectory() as folder:
        for at_once in (1, 8, 32):
            count = max(20, min(tasks, int(10 * at_once / max(latency, 0.005))))
            one = asker(there.url, Path(folder), concurrency=at_once, model=f"m{at_once}")
            began = time.perf_counter()
            outcomes = one.ask(texts(count))
            seconds = time.perf_counter() - began
            assert right(outcomes) == count
            again = time.perf_counter()
            asker(there.url, Path(folder), concurrency=at_once, model=f"m{at_once}").ask(texts(count))
            found[f"{at_once} at a time"] = {
                "calls_per_s": round(count / seconds, 1),
                "share_of_possible": round(count / seconds * latency / at_once, 3) if latency else None,
                "remembered_per_s": round(count / (time.perf_counter() - again), 1),
            }
        there.manners.seconds = 0.0
        one = asker(there.url, Path(folder), concurrency=1, model="own", budget=1.0)
        began = time.perf_counter()
        one.ask(texts(200))
        found["own_ms_per_call_with_server"] = round((time.perf_counter() - began) / 200 * 1000, 2)
    return found


def survived(tasks: int, manners: Manners) -> dict[str, float]:
    """Return the share of tasks that are answered, and rightly, at a server with such manners."""
    with server(manners) as there:
        one = asker(there.url, None, concurrency=16)
        began = time.perf_counter()
        outcomes = one.ask(texts(tasks))
        answered = sum(isinstance(outcome, Answered) for outcome in outcomes)
        return {
            "answered": round(answered / tasks, 4),
            "right_of_answered": round(right(outcomes) / max(answered, 1), 4),
            "requests_per_task": round(there.seen.requests / tasks, 2),
            "seconds": round(time.perf_counter() - began, 2),
        }


def spend(url: str, folder: str, word: str, tasks: int) -> dict[str, float]:
    """Ask in this process until the budget that it shares with another ends; return what it paid and answered."""
    one = asker(url, Path(folder), concurrency=16, budget=BUDGET)
    outcomes = one.ask(texts(tasks, word))
    return {"paid": one.ledger.spent_here, "answered": sum(isinstance(each, Answered) for each in outcomes)}


def money(tasks: int) -> dict[str, Any]:
    """Return what two processes at a time spend of one budget, at a server of which some requests fail."""
    manners = Manners(broken=0.05, dropped=0.05, seconds=0.01)
    with server(manners) as there, tempfile.TemporaryDirectory() as folder:
        children = [
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks.llm", "--tasks", str(tasks), "--child", there.url, folder, word],
                stdout=subprocess.PIPE,
            )
            for word in ("win", "win big")
        ]
        said = [json.loads(child.communicate()[0]) for child in children]
        bill = (there.seen.read * READ + there.seen.written * WRITTEN) / 1e6
        paid = sum(one["paid"] for one in said)
        return {
            "budget": BUDGET,
            "billed": round(bill, 6),
            "paid": round(paid, 6),
            "kept": bill <= BUDGET and paid <= BUDGET + 1e-9,
            "answered": [one["answered"] for one in said],
            "asked": 2 * tasks,
        }


def skill(tasks: int) -> dict[str, Any]:
    """Return the accuracy that is measured of a server with a known one."""
    with server(Manners(accuracy=ACCURACY, logprobs=True)) as there:
        hits = right(asker(there.url, None, concurrency=16).ask(texts(tasks)))
    lower, upper = wilson(hits, tasks)
    measured = {"measured": round(hits / tasks, 4), "lower": round(lower, 4), "upper": round(upper, 4)}
    return {"real": ACCURACY, **measured, "inside": lower <= ACCURACY <= upper}


if __name__ == "__main__":
    main()
