"""The gate on agreement: it compares the lower bound, never the point.

With 50 tasks and a true alpha of .75, a gate at .8 on the point passes wrongly about one time in six; on the lower
bound about one time in a hundred.
"""

from __future__ import annotations

import math

from adapter.core.agreement.statistic import Estimate
from adapter.vocabulary import JsonObject, Outcome, Verdict

ENOUGH = 100_000
"""Where more doubly labelled tasks than this would be needed, no number is named."""


def more_needed(found: Estimate, threshold: float) -> int | None:
    """Return about how many more doubly labelled tasks would lift the lower bound to the threshold, if the value
    stayed: its distance from the value shrinks with the square root of n. None where it cannot be said."""
    gap = found.value - threshold
    if not (found.n and math.isfinite(found.value) and math.isfinite(found.lower) and gap > 0):
        return None
    needed = math.ceil(found.n * ((found.value - found.lower) / gap) ** 2 - 1e-6)
    return max(0, needed - found.n) if needed <= ENOUGH else None


def judge(found: Estimate, *, threshold: float, min_units: int, n: int | None = None) -> Verdict:
    """Return PASS when the lower bound reaches the threshold, FAIL when the value lies under it, else NOT_ENOUGH_DATA.

    n: doubly labelled tasks that count towards min_units, where they are fewer than the estimate's (of a class: those
    on which somebody gave it). Fewer than min_units, or an undefined figure, is never a pass and never a failure.
    """
    count = found.n if n is None else n
    more: int | None = None
    name = found.name.replace("_", " ")
    share = f"{_words(found.value)} ({_words(found.lower)} to {_words(found.upper)}) on {count} doubly labelled tasks"
    outcome = Outcome.NOT_ENOUGH_DATA
    if math.isnan(found.value):
        sentence = f"{name} is undefined on {count} tasks: {found.why}"
    elif count < min_units:
        more = min_units - count
        sentence = f"{name} is {share}; nothing is said under {min_units}"
    elif found.value < threshold:
        outcome, sentence = Outcome.FAIL, f"{name} is {share}; {threshold:g} is asked for"
    elif math.isnan(found.lower):
        sentence = f"{name} is {share}; a label is too rare there to bound it"
    elif found.lower >= threshold:
        outcome, sentence = Outcome.PASS, f"{name} is {share}; its lower bound reaches {threshold:g}"
    else:
        more = more_needed(found, threshold)
        much = f"about {more}" if more else "very many"
        sentence = f"{name} is {share}; its lower bound is under {threshold:g}, {much} more such tasks would settle it"
    figures: JsonObject = {
        "statistic": found.name,
        "value": _number(found.value),
        "lower": _number(found.lower),
        "upper": _number(found.upper),
        "n": count,
        "threshold": threshold,
        "min_units": min_units,
        "more": more,
    }
    return Verdict(outcome, figures, f"{sentence}.")


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _words(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "?"
