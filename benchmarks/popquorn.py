"""Agreement on how offensive comments are (POPQUORN, Pei and Jurgens 2023): ordinal alpha with bounds, over all raters
and within each demographic group, through the rating kind's coding; checked against the definition written out.

HITL_DATA=FOLDER python -m benchmarks.popquorn [--json]

POPQUORN has 13,036 ratings from 1 to 5 of 1,500 comments by 262 people. It stands here for a subjective task: people
are meant to differ, and groups of them differ in how much they agree among themselves.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapter.core.agreement import alpha, estimate, gwet, unlikeness
from adapter.kinds import kind_of
from adapter.label_studio.label_config import parse_label_config
from adapter.stages.agreement_parts import number
from adapter.stages.judged import Judged, coded
from adapter.vocabulary import Control
from benchmarks.measure import save

CONFIG = (
    '<View><Text name="text" value="$text"/><Rating name="offensiveness" toName="text" maxRating="5" required="true"/>'
    "</View>"
)
GROUPS = ("gender", "age", "race")
ROUNDS = 2000
SUBSAMPLE = 150
SEED = 0


@dataclass(frozen=True)
class Rating:
    """One rating of one comment, and who gave it."""

    comment: str
    who: str
    stars: int
    groups: dict[str, str]


def ratings(folder: Path) -> list[Rating]:
    """Read the set."""
    control = control_of()
    kind = kind_of(control.kind)
    with (folder / "popquorn_offensiveness" / "raw_data.csv").open(newline="", encoding="utf-8") as file:
        return [
            Rating(
                row["instance_id"],
                row["user_id"],
                kind.canonical(control, float(row["offensiveness"])),
                {name: row[name] for name in GROUPS},
            )
            for row in csv.DictReader(file)
        ]


def control_of() -> Control:
    """Return the rating control, parsed from a label config as a project's is."""
    return parse_label_config(CONFIG).controls[0]


def judged(rows: Sequence[Rating]) -> list[Judged]:
    """Return the comments that two or more of these raters saw, coded by the rating kind. Pairs are left out: alpha is
    made of units alone."""
    control = control_of()
    kind = kind_of(control.kind)
    votes: dict[str, dict[str, int]] = defaultdict(dict)
    for row in rows:
        votes[row.comment][row.who] = row.stars
    return [
        Judged(comment, by, {}, tuple(kind.units(control, by))) for comment, by in sorted(votes.items()) if len(by) > 1
    ]


def figures(rows: Sequence[Rating], group: str, name: str) -> dict[str, Any]:
    """Return ordinal alpha with 90 % bounds (each one-sided at 95 %) and AC2 beside it."""
    given = coded(judged(rows), values=range(1, 6))
    found = estimate(alpha(given, "ordinal"), seed=SEED, rounds=ROUNDS)
    beside = gwet(given, unlike=unlikeness(5, "quadratic")).value
    return {
        "group": group,
        "name": name,
        "ratings": int(given.size.sum()),
        "comments": found.n,
        "alpha": number(found.value),
        "lower": number(found.lower),
        "upper": number(found.upper),
        "ac2": number(beside),
        "why": found.why,
    }


def by_definition(units: Sequence[Sequence[int]]) -> float:
    """Return ordinal alpha by Krippendorff's formula, pair by pair: nothing of the product is used."""
    said = [stars for unit in units for stars in unit]
    times = {stars: said.count(stars) for stars in set(said)}

    def apart(a: int, b: int) -> float:
        low, high = min(a, b), max(a, b)
        between = sum(count for stars, count in times.items() if low <= stars <= high)
        return float((between - (times[a] + times[b]) / 2) ** 2) if a != b else 0.0

    n = len(said)
    observed = sum(
        sum(apart(a, b) for i, a in enumerate(unit) for j, b in enumerate(unit) if i != j) / (len(unit) - 1)
        for unit in units
    )
    expected = sum(apart(a, b) * times[a] * (times[b] - (a == b)) for a in times for b in times)
    return 1 - (observed / n) / (expected / (n * (n - 1)))


def check(rows: Sequence[Rating]) -> dict[str, float]:
    """Return alpha of a drawn subsample of comments twice: as the product computes it and by the definition."""
    whole = judged(rows)
    drawn = random.Random(SEED).sample(whole, min(SUBSAMPLE, len(whole)))
    return {
        "comments": len(drawn),
        "product": alpha(coded(drawn), "ordinal").value,
        "definition": by_definition([list(item.votes.values()) for item in drawn]),
        "definition_all": by_definition([list(item.votes.values()) for item in whole]),
    }


def measure(folder: Path) -> dict[str, Any]:
    """Return the whole table and the check."""
    started = time.perf_counter()
    rows = ratings(folder)
    table = [figures(rows, "all", "")]
    for group in GROUPS:
        for name in sorted({row.groups[group] for row in rows}):
            table.append(figures([row for row in rows if row.groups[group] == name], group, name))
    seconds = time.perf_counter() - started
    return {"table": table, "check": check(rows), "rounds": ROUNDS, "seconds": seconds}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table or JSON, keep the result; 1 when the check fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.popquorn", description=__doc__.split("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    folder = os.environ.get("HITL_DATA", "")
    if not Path(folder, "popquorn_offensiveness").is_dir():
        raise SystemExit("Set HITL_DATA to the folder that holds popquorn_offensiveness/raw_data.csv.")
    result = measure(Path(folder))
    save("popquorn", result)
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        print(f"{'':8}{'':28}{'ratings':>8}{'comments':>9}{'alpha':>8}{'lower':>8}{'upper':>8}{'AC2':>8}")
        for row in result["table"]:
            cells = "".join(
                f"{'-':>8}" if row[key] is None else f"{row[key]:8.3f}" for key in ("alpha", "lower", "upper", "ac2")
            )
            print(f"{row['group']:8}{row['name']:28}{row['ratings']:8}{row['comments']:9}{cells}")
        told = result["check"]
        print(
            f"check on {told['comments']} comments: product {told['product']:.6f}, "
            f"definition {told['definition']:.6f}; on all: definition {told['definition_all']:.6f}; "
            f"{result['seconds']:.1f} s"
        )
    whole, told = result["table"][0]["alpha"], result["check"]
    right = max(abs(told["product"] - told["definition"]), abs(whole - told["definition_all"])) < 1e-9
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
