"""Guideline problems: between which classes, and between which people, answers differ most beyond chance. Pure.

Where two classes are mixed up by everybody, the guideline does not tell them apart; where two people differ and the
others do not, one of them reads it differently. All intervals are percentile bootstraps over tasks, since answers on
one task hang together (Efron and Tibshirani 1993, chapter 13).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Statistic = Callable[[Doubles], Doubles]

NOTHING = "(nothing)"
"""Stands for a label that one person gave and the other put nothing in place of."""
EXAMPLES = 3
_AT_ONCE = 4_000_000  # cells of a bootstrap's weights


@dataclass(frozen=True, slots=True)
class Judged:
    """Two people's answers to one question. first, second: a class, or a frozenset of classes."""

    task_id: str
    first: Hashable
    second: Hashable


@dataclass(frozen=True, slots=True)
class Problem:
    """Much disagreement between two classes, two people, or of one sort.

    disagreements: of `comparisons` in which it could have happened. rate: their share (people: mean distance), with its
    interval. chance: the rate if answers were given without looking; None where there is no such thing. ratio: rate
    over chance with its interval, 0 never, 1 as often as by chance. examples: ids of tasks that show it.
    """

    pair: tuple[str, str]
    disagreements: float
    comparisons: float
    rate: float
    lower: float
    upper: float
    chance: float | None
    ratio: float | None
    ratio_lower: float | None
    ratio_upper: float | None
    examples: tuple[str, ...]


def class_problems(
    judged: Sequence[Judged], *, least: int = 3, rounds: int = 1000, level: float = 0.05, seed: int = 0, most: int = 10
) -> list[Problem]:
    """Return the pairs of classes that are mixed up at least `least` times, worst first: by the lower bound of their
    ratio to chance, then by how often.

    Looked at are the comparisons in which both people gave one of the two classes; chance is 2 p q with the share p of
    the first class among their answers. That is one minus kappa of the two classes alone, a cell of the matrix of
    Roberts and McNamee (Statistics in Medicine 17, 1998). Sets of classes: what both gave agrees, what only one gave is
    taken for what only the other gave, or for NOTHING.
    """
    cells: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for one in judged:
        cells[one.task_id].update(_cells(one.first, one.second))
    total: Counter[tuple[str, str]] = Counter()
    for counter in cells.values():
        total.update(counter)
    found = []
    for pair in sorted(pair for pair, count in total.items() if pair[0] != pair[1] and count >= least):
        x, y = pair
        mixed, of_x, of_y, tasks = [], [], [], []
        for task_id, counter in cells.items():
            row = (counter[pair], counter[x, x], counter[y, y])
            if any(row):
                tasks.append(task_id)
                mixed.append(row[0])
                of_x.append(row[1])
                of_y.append(row[2])
        sums = np.array([mixed, of_x, of_y], np.float64).T
        found.append(_problem(pair, tasks, sums, rounds, level, seed))
    return sorted(found, key=_worst)[:most]


def people_problems(
    shared: Mapping[tuple[str, str], Sequence[tuple[str, float]]],
    chance: Mapping[tuple[str, str], float],
    *,
    least: int = 10,
    rounds: int = 1000,
    level: float = 0.05,
    seed: int = 0,
    most: int = 10,
) -> list[Problem]:
    """Return the pairs of people with at least `least` tasks in common who differ at all, worst first.

    shared: pair to (task id, distance 0 to 1) of the tasks that both labelled. chance: pair to the mean distance
    between the one's answer on a task and the other's on another, so that rate / chance is one minus a kappa by
    distance (as Krippendorff's alpha for two coders, with each coder's own answers for chance).
    """
    found = []
    for pair, rows in sorted(shared.items()):
        distance = np.array([value for _, value in rows], np.float64)
        if len(rows) < least or not (distance > 0).any():
            continue
        ones = np.ones_like(distance)
        rate = float(distance.mean())
        low, high = _interval(np.stack([distance, ones], axis=1), _share, rounds, level, seed)
        by_chance = chance.get(pair)
        found.append(
            Problem(
                pair=pair,
                disagreements=float((distance > 0).sum()),
                comparisons=float(len(rows)),
                rate=rate,
                lower=low,
                upper=high,
                chance=by_chance,
                ratio=rate / by_chance if by_chance else None,
                ratio_lower=low / by_chance if by_chance else None,
                ratio_upper=high / by_chance if by_chance else None,
                examples=_examples([task_id for task_id, _ in rows], distance),
            )
        )
    return sorted(found, key=_worst)[:most]


def sort_problems(
    things: Sequence[tuple[str, str, str]],
    *,
    least: int = 3,
    rounds: int = 1000,
    level: float = 0.05,
    seed: int = 0,
    most: int = 10,
) -> list[Problem]:
    """Return the sorts of disagreement about marked things, worst first by the lower bound of their share.

    things: (task id, sort, label) of every thing that one or two of two people marked; sort "" where they agree. The
    share is of the things with that label. There is no chance agreement: two marks do not meet by accident.
    """
    tasks = list(dict.fromkeys(task_id for task_id, _, _ in things))
    row_of = {task_id: row for row, task_id in enumerate(tasks)}
    every: dict[str, Doubles] = defaultdict(lambda: np.zeros(len(tasks)))
    by_sort: dict[tuple[str, str], Doubles] = defaultdict(lambda: np.zeros(len(tasks)))
    for task_id, sort, label in things:
        every[label][row_of[task_id]] += 1
        if sort:
            by_sort[sort, label][row_of[task_id]] += 1
    found = []
    for (sort, label), count in sorted(by_sort.items()):
        if count.sum() < least:
            continue
        table = np.stack([count, every[label]], axis=1)
        keep = table[:, 1] > 0
        low, high = _interval(table[keep], _share, rounds, level, seed)
        rate = float(count.sum() / every[label].sum())
        examples = _examples(tasks, count)
        total = float(every[label].sum())
        found.append(
            Problem((sort, label), float(count.sum()), total, rate, low, high, None, None, None, None, examples)
        )
    return sorted(found, key=lambda problem: (-problem.lower, -problem.disagreements, problem.pair))[:most]


def _cells(first: Hashable, second: Hashable) -> Counter[tuple[str, str]]:
    """Return how often two answers put the same or two different classes (in order) against each other."""
    a = set(first) if isinstance(first, frozenset) else {first}
    b = set(second) if isinstance(second, frozenset) else {second}
    if not a and not b:
        return Counter({(NOTHING, NOTHING): 1})
    found = Counter({(str(x), str(x)): 1 for x in a & b})
    for x in (a - b) or ({NOTHING} if b - a else ()):
        for y in (b - a) or ({NOTHING} if a - b else ()):
            left, right = sorted((str(x), str(y)))
            found[left, right] += 1
    return found


def _problem(
    pair: tuple[str, str], tasks: Sequence[str], sums: Doubles, rounds: int, level: float, seed: int
) -> Problem:
    mixed, of_x, of_y = (float(value) for value in sums.sum(axis=0))
    low, high = _interval(sums, _mixed_share, rounds, level, seed)
    ratio_low, ratio_high = _interval(sums, _ratio, rounds, level, seed)
    rate = mixed / (mixed + of_x + of_y)
    chance = rate / float(_ratio(sums.sum(axis=0)[None])[0])
    return Problem(
        pair=pair,
        disagreements=mixed,
        comparisons=mixed + of_x + of_y,
        rate=rate,
        lower=low,
        upper=high,
        chance=chance,
        ratio=rate / chance,
        ratio_lower=ratio_low,
        ratio_upper=ratio_high,
        examples=_examples(tasks, sums[:, 0]),
    )


def _share(sums: Doubles) -> Doubles:
    answer: Doubles = sums[:, 0] / np.maximum(sums[:, 1], 1e-12)
    return answer


def _mixed_share(sums: Doubles) -> Doubles:
    answer: Doubles = sums[:, 0] / np.maximum(sums.sum(axis=1), 1e-12)
    return answer


def _ratio(sums: Doubles) -> Doubles:
    """Return the share of mixed-up comparisons over that by chance, for rows (mixed, both x, both y); 0 for none."""
    total = np.maximum(sums.sum(axis=1), 1e-12)
    p = (sums[:, 0] / 2 + sums[:, 1]) / total
    chance = 2 * p * (1 - p)
    answer: Doubles = np.where(chance > 0, sums[:, 0] / total / np.maximum(chance, 1e-12), 0.0)
    return answer


def _interval(table: Doubles, statistic: Statistic, rounds: int, level: float, seed: int) -> tuple[float, float]:
    """Return the two-sided percentile bootstrap interval of a statistic of column sums. table: (tasks, columns).

    Tasks with equal rows are drawn together: how often a sort of row is drawn is multinomial with its share, which is
    the same distribution as drawing task by task, and few sorts stand for many tasks.
    """
    rng = np.random.default_rng(seed)
    sorts, counts = np.unique(table, axis=0, return_counts=True)
    values: list[Doubles] = []
    step = max(_AT_ONCE // len(sorts), 1)
    for start in range(0, rounds, step):
        drawn = rng.multinomial(len(table), counts / len(table), size=min(step, rounds - start))
        values.append(statistic(drawn.astype(np.float64) @ sorts))
    low, high = np.quantile(np.concatenate(values), [level / 2, 1 - level / 2])
    return float(low), float(high)


def _examples(tasks: Sequence[str], amount: Doubles) -> tuple[str, ...]:
    """Return the tasks that show most of it."""
    order = sorted((row for row in range(len(tasks)) if amount[row] > 0), key=lambda row: (-amount[row], tasks[row]))
    return tuple(dict.fromkeys(tasks[row] for row in order[: EXAMPLES * 2]))[:EXAMPLES]


def _worst(problem: Problem) -> tuple[float, float, tuple[str, str]]:
    lower = problem.ratio_lower if problem.ratio_lower is not None else problem.lower
    return (-lower, -problem.disagreements, problem.pair)
