"""Values from the literature and from the documentation of Label Studio Enterprise, and from other libraries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from adapter.core.agreement import (
    ac1_interval,
    alpha,
    brennan_prediger,
    cohen,
    cohen_interval,
    cross_table,
    distances,
    fleiss,
    from_counts,
    gwet,
    judgements,
    matched_scores,
    percent,
    unlikeness,
)

TABLES: dict[str, list[list[int]]] = {
    "a": [[20, 5], [10, 15]],
    "b": [[45, 15], [25, 15]],
    "c": [[25, 35], [5, 35]],
    "d": [[0, 4, 1], [0, 8, 0], [0, 1, 5]],
    "e": [[13, 0, 0], [0, 20, 7], [0, 4, 56]],
}


def units_of(*raters: str) -> list[list[int]]:
    """One unit a column; a dot is a missing judgement."""
    return [[int(x) for x in column if x != "."] for column in zip(*(r.split() for r in raters), strict=True)]


KRIPPENDORFF_C = judgements(
    units_of("1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 .")
)
WIKIPEDIA = judgements(
    units_of(". . . . . 3 4 1 2 1 1 3 3 . 3", "1 . 2 1 3 3 4 3 . . . . . . .", ". . 2 1 3 4 4 . 2 1 1 3 3 . 4")
)
WIKIPEDIA_FLEISS = """
0 0 0 0 14
0 2 6 4 2
0 0 3 5 6
0 3 9 2 0
2 2 8 1 1
7 7 0 0 0
3 2 6 3 0
2 5 3 2 2
6 5 2 1 0
0 2 2 3 7
"""
# Fleiss 1971, table 1: the diagnoses (1 to 5) that six psychiatrists each gave to 30 patients.
FLEISS_1971 = """
444444 222555 233335 555555 222444 113333 333355 113334 114444 555555
144444 124444 222333 144444 224445 333335 111455 111112 224444 133555
555555 244444 224555 114444 144445 222224 111155 224444 133333 555555
"""


@pytest.mark.parametrize(
    ("metric", "value"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849), ("ratio", 0.797)]
)
def test_alpha_of_krippendorff_2011_section_c(metric: Any, value: float) -> None:
    assert alpha(KRIPPENDORFF_C, metric).value == pytest.approx(value, abs=5e-4)


def test_the_other_coefficients_of_the_same_data() -> None:
    assert percent(KRIPPENDORFF_C).value == pytest.approx(0.818, abs=5e-4)
    assert gwet(KRIPPENDORFF_C).value == pytest.approx(0.775, abs=5e-4)
    assert ac1_interval(KRIPPENDORFF_C) == (pytest.approx(0.461, abs=5e-4), 1.0)
    assert fleiss(KRIPPENDORFF_C).value == pytest.approx(0.761, abs=5e-4)
    assert brennan_prediger(KRIPPENDORFF_C).value == pytest.approx(0.773, abs=5e-4)


def test_alpha_of_wikipedias_three_coders() -> None:
    assert alpha(WIKIPEDIA).value == pytest.approx(0.691, abs=5e-4)
    assert alpha(WIKIPEDIA, "interval").value == pytest.approx(0.811, abs=5e-4)


@pytest.mark.parametrize(
    ("a", "b", "value"),
    [("0100000010", "1110010000", 0.095), ("aabbdcccedda", "babbbcccEddd".lower(), 0.692)],
)
def test_alpha_of_krippendorff_2011_sections_a_and_b(a: str, b: str, value: float) -> None:
    assert alpha(judgements(list(zip(a, b, strict=True)))).value == pytest.approx(value, abs=5e-4)


def test_fleiss_of_wikipedia() -> None:
    assert fleiss(
        from_counts([[int(x) for x in row.split()] for row in WIKIPEDIA_FLEISS.strip().splitlines()])
    ).value == pytest.approx(0.210, abs=5e-4)


def test_fleiss_of_fleiss_1971() -> None:
    assert fleiss(judgements([list(unit) for unit in FLEISS_1971.split()])).value == pytest.approx(0.4302445, abs=5e-8)


@pytest.mark.parametrize(
    ("name", "weights", "value"),
    [
        ("a", "none", 0.400),
        ("b", "none", 0.1304),
        ("c", "none", 0.2593),
        ("d", "none", 0.4842),
        ("d", "linear", 0.4701),
        ("e", "none", 0.796),
        ("e", "linear", 0.843),
        ("e", "quadratic", 0.892),
    ],
)
def test_cohen(name: str, weights: Any, value: float) -> None:
    table = np.array(TABLES[name], float)
    digits = 5e-5 if name in "bcd" else 5e-4
    assert cohen(table, unlike=unlikeness(len(table), weights)).value == pytest.approx(value, abs=digits)


def test_cohens_asymptotic_interval() -> None:
    low, high = cohen_interval(np.array(TABLES["d"], float))
    assert (low, high) == (pytest.approx(0.2137, abs=5e-5), pytest.approx(0.7547, abs=5e-5))


def test_artstein_and_poesio() -> None:
    met = {("stat", "stat"): 46, ("ireq", "stat"): 6, ("ireq", "ireq"): 32, ("ireq", "chck"): 6, ("chck", "chck"): 10}
    units = [pair for pair, times in met.items() for _ in range(times)]
    labels = ["stat", "ireq", "chck"]
    given = judgements(units, values=labels)
    table = cross_table([labels.index(a) for a, _ in units], [labels.index(b) for _, b in units], 3)
    assert percent(given).value == pytest.approx(0.88)
    assert brennan_prediger(given).value == pytest.approx(0.82)
    assert fleiss(given).value == pytest.approx(0.79953, abs=5e-6)  # two people: Scott's pi
    assert cohen(table).value == pytest.approx(0.80132, abs=5e-6)
    assert alpha(given).value == pytest.approx(0.80053, abs=5e-6)


@pytest.mark.parametrize(
    ("table", "fixed", "free"),
    [([[7, 1], [3, 5]], 0.161905, 0.214286), ([[6, 1, 0], [0, 7, 0]], 0.708333, 0.785714)],
)
def test_randolphs_free_marginal_kappa(table: list[list[int]], fixed: float, free: float) -> None:
    given = from_counts(table)
    assert fleiss(given).value == pytest.approx(fixed, abs=5e-7)
    assert brennan_prediger(given).value == pytest.approx(free, abs=5e-7)


def test_the_paradox_shows_in_percent_kappa_and_ac1_together() -> None:
    units = [("a", "a")] * 95 + [("a", "b")] * 3 + [("b", "a")] * 2
    given = judgements(units)
    assert percent(given).value == pytest.approx(0.95)
    assert cohen(np.array([[95.0, 3.0], [2.0, 0.0]])).value == pytest.approx(-0.025, abs=5e-4)
    assert alpha(given).value == pytest.approx(-0.0205, abs=5e-4)
    assert gwet(given).value == pytest.approx(0.9474, abs=5e-4)


def test_label_studio_enterprises_matched_scores() -> None:
    found = matched_scores([0.99, 0.34, 0.82, 0.44, 0.67], [True, True, False, False, False], 0.5)
    assert (found.precision, found.recall, found.f1) == (
        pytest.approx(1 / 3),
        pytest.approx(1 / 2),
        pytest.approx(0.40),
    )
    assert matched_scores([0.99, 0.34, 0.82], [True] * 3).share == pytest.approx(0.66, abs=0.01)


def test_matched_scores_of_nothing_are_undefined() -> None:
    found = matched_scores([], [])
    assert all(math.isnan(x) for x in (found.precision, found.recall, found.f1, found.share))
    with pytest.raises(ValueError, match="one of each"):
        matched_scores([0.5], [])


def masi(a: frozenset[str], b: frozenset[str]) -> float:
    """Passonneau 2006, written out."""
    if a == b:
        return 0.0
    both, either = len(a & b), len(a | b)
    return 1 - both / either * (2 / 3 if a < b or b < a else 1 / 3 if both else 0)


SETS = [frozenset(x) for x in ("", "a", "ab", "abc", "bc", "cd", "d", "abcd")]


def test_set_distances_are_what_their_definitions_say() -> None:
    found = distances(SETS, "masi")
    jaccard = distances(SETS, "jaccard")
    for i, a in enumerate(SETS):
        for j, b in enumerate(SETS):
            assert found[i, j] == pytest.approx(masi(a, b))
            assert jaccard[i, j] == pytest.approx(1 - len(a & b) / len(a | b) if a | b else 0)


def test_the_masi_distances_of_passonneaus_paper() -> None:
    # Passonneau 2006, section 4: {a, b} against {a, b, c} is 1 - 2/3 * 2/3, {a, b} against {b, c} 1 - 1/3 * 1/3.
    found = distances([frozenset("ab"), frozenset("abc"), frozenset("bc")], "masi")
    assert found[0, 1] == pytest.approx(5 / 9)
    assert found[0, 2] == pytest.approx(8 / 9)


def by_definition(units: Sequence[Sequence[Any]], distance: Any) -> float:
    """Krippendorff's alpha written out over all pairs of judgements."""
    paired = [list(unit) for unit in units if len(unit) > 1]
    said = [code for unit in paired for code in unit]
    n = len(said)
    observed = sum(
        sum(distance(a, b) for i, a in enumerate(unit) for j, b in enumerate(unit) if i != j) / (len(unit) - 1)
        for unit in paired
    )
    expected = sum(distance(a, b) for i, a in enumerate(said) for j, b in enumerate(said) if i != j)
    return 1 - observed / n / (expected / (n * (n - 1)))


def test_set_alpha_is_what_the_definition_says() -> None:
    random = np.random.default_rng(3)
    units = [[SETS[i] for i in random.integers(0, len(SETS), random.integers(1, 5))] for _ in range(40)]
    assert alpha(judgements(units), "masi").value == pytest.approx(by_definition(units, masi))
    assert alpha(judgements(units), masi).value == pytest.approx(by_definition(units, masi))


def two_raters(seed: int, k: int = 4) -> np.ndarray[Any, np.dtype[np.int64]]:
    random = np.random.default_rng(seed)
    first = random.integers(0, k, 120)
    return np.column_stack([first, np.where(random.random(120) < 0.6, first, random.integers(0, k, 120))])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("weights", "theirs"), [("none", None), ("linear", "linear"), ("quadratic", "quadratic")])
def test_cohen_is_scikit_learns_and_statsmodels(seed: int, weights: Any, theirs: str | None) -> None:
    from sklearn.metrics import cohen_kappa_score
    from statsmodels.stats.inter_rater import cohens_kappa

    said = two_raters(seed)
    table = cross_table(said[:, 0].tolist(), said[:, 1].tolist(), 4)
    unlike = unlikeness(4, weights)
    mine = cohen(table, unlike=unlike).value
    assert mine == pytest.approx(cohen_kappa_score(said[:, 0], said[:, 1], weights=theirs))
    other = cohens_kappa(table, wt=theirs)
    assert mine == pytest.approx(other.kappa)
    assert cohen_interval(table, unlike=unlike) == (pytest.approx(other.kappa_low), pytest.approx(other.kappa_upp))


@pytest.mark.parametrize("seed", range(4))
def test_fleiss_and_free_marginal_are_statsmodels(seed: int) -> None:
    from statsmodels.stats.inter_rater import fleiss_kappa

    random = np.random.default_rng(seed)
    table = random.multinomial(7, [0.5, 0.2, 0.2, 0.1], size=50)
    given = from_counts(table.tolist())
    assert fleiss(given).value == pytest.approx(fleiss_kappa(table))
    assert brennan_prediger(given).value == pytest.approx(fleiss_kappa(table, method="randolph"))
