"""Ordinal alpha on a real subjective task, POPQUORN's offensiveness, through the rating kind and the label config."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import pytest

from adapter.core.agreement import alpha, estimate, judgements
from adapter.kinds import kind_of
from adapter.label_studio.label_config import parse_label_config

CONFIG = '<View><Text name="text" value="$text"/><Rating name="stars" toName="text" maxRating="5"/></View>'


@pytest.fixture(scope="module")
def units(data_folder: Path) -> dict[str, dict[tuple[str, str], int]]:
    """Comment to (rater, gender) to the rating kind's code."""
    control = parse_label_config(CONFIG).controls[0]
    kind = kind_of(control.kind)
    votes: dict[str, dict[tuple[str, str], int]] = defaultdict(dict)
    with (data_folder / "popquorn_offensiveness" / "raw_data.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            value = kind.canonical(control, float(row["offensiveness"]))
            (unit,) = kind.units(control, {row["user_id"]: value})
            votes[row["instance_id"]][row["user_id"], row["gender"]] = int(str(next(iter(unit.codes.values()))))
    return votes


def by_definition(units: list[list[int]]) -> float:
    """Krippendorff's ordinal alpha, pair by pair."""
    said = [stars for unit in units for stars in unit]
    times = {stars: said.count(stars) for stars in set(said)}
    n = len(said)

    def apart(a: int, b: int) -> float:
        between = sum(count for stars, count in times.items() if min(a, b) <= stars <= max(a, b))
        return (between - (times[a] + times[b]) / 2) ** 2 if a != b else 0.0

    observed = sum(
        sum(apart(a, b) for i, a in enumerate(unit) for j, b in enumerate(unit) if i != j) / (len(unit) - 1)
        for unit in units
    )
    expected = sum(apart(a, b) * times[a] * (times[b] - (a == b)) for a in times for b in times)
    return 1 - (observed / n) / (expected / (n * (n - 1)))


@pytest.mark.data
def test_ordinal_alpha_of_offensiveness_is_what_the_definition_says(
    units: dict[str, dict[tuple[str, str], int]],
) -> None:
    everybody = [list(by.values()) for by in units.values()]
    found = estimate(alpha(judgements(everybody), "ordinal"), seed=0)
    assert found.n == 1500
    assert found.value == pytest.approx(by_definition(everybody))
    assert found.value == pytest.approx(0.2865, abs=5e-5)
    assert found.lower == pytest.approx(0.269, abs=0.003)
    assert found.upper == pytest.approx(0.305, abs=0.003)
    for gender in ("Woman", "Man"):
        part = [[code for (_, who), code in by.items() if who == gender] for by in units.values()]
        one = estimate(alpha(judgements(part), "ordinal"), seed=0)
        assert one.value == pytest.approx(by_definition([unit for unit in part if len(unit) > 1]))
        assert one.lower < 0.29 < one.upper + 0.01
