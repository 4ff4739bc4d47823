"""Gates: a policy in, a Verdict with its figures out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.core.intervals import wilson
from adapter.policies import TrainPolicy
from adapter.vocabulary import JsonObject, Outcome, Verdict

Scores = npt.NDArray[np.bool_] | npt.NDArray[np.floating[Any]]

EXACT_UP_TO = 12
"""Tasks that differ, up to which every way of flipping them is tried; beyond it a seeded sample of them is."""
FLIPS = 20_000
_BLOCK = 500
_SLACK = 1e-9


def mcnemar_worse(losses: int, wins: int) -> float:
    """Return the exact one-sided p-value that the candidate is worse, from the tasks on which the two models differ.

    losses: only the current model is right. wins: only the candidate is. If they were equally good, losses would follow
    Binomial(losses + wins, 1/2); the value is P(X >= losses), 1 when they never differ. Source: McNemar 1947, exact
    form.
    """
    from scipy.special import bdtrc

    if losses < 0 or wins < 0:
        raise ValueError(f"counts cannot be negative: {losses} losses, {wins} wins")
    return 1.0 if losses == 0 else float(bdtrc(losses - 1, losses + wins, 0.5))


def paired_worse(losses: npt.NDArray[np.floating[Any]]) -> float:
    """Return the one-sided p-value that the candidate is worse, from paired differences (n,) current minus candidate.

    Under equality each difference is as likely to have the other sign: the share of all ways to flip them whose sum is
    at least as great. Where all differences are 1 or -1 this is the exact McNemar test. Source: Fisher 1935, section
    21; Good 2005, section 3.2.
    """
    differ = np.asarray(losses, np.float64)
    differ = differ[np.abs(differ) > _SLACK]
    if differ.sum() <= _SLACK:
        return 1.0
    if len(differ) <= EXACT_UP_TO:
        signs = 1.0 - 2.0 * ((np.arange(2 ** len(differ))[:, None] >> np.arange(len(differ))) & 1)
        return float((signs @ differ >= differ.sum() - _SLACK).mean())
    random, least, reached = np.random.default_rng(0), differ.sum() - _SLACK, 0
    for start in range(0, FLIPS, _BLOCK):  # all flips of thousands of tasks at once would take gigabytes
        signs = 1.0 - 2.0 * random.integers(0, 2, (min(_BLOCK, FLIPS - start), len(differ)), np.int8)
        reached += int((signs @ differ >= least).sum())
    return (1 + reached) / (1 + FLIPS)


def promotion(
    current: Scores | None, candidate: Scores, policy: TrainPolicy, *, baseline: Scores | None = None
) -> Verdict:
    """Judge whether `candidate` may become the current model, on the blind sample.

    current, candidate: (n,) whether each model is right on each blind task with people's consensus, in one order, or
    for regions how like people's its answer is, 0..1; current None for the first model. baseline: (n,) the same for
    the most common label of the training data; the first model is compared with it. Raises ValueError when the lengths
    differ.

    With at least `policy.min_gate` tasks the outcome is FAIL when the candidate is significantly worse (exact one-sided
    McNemar at `policy.alpha`), or when its accuracy is lower by more than `policy.tolerance` and one standard error of
    the paired difference, sqrt(losses + wins) / n: on few tasks a single one is more than the tolerance, and refusing
    for it would keep a poor model for long. Else PASS. A first model is judged against the baseline by the McNemar test
    alone: no better alternative is in use. With fewer tasks the
    outcome is NOT_ENOUGH_DATA, and a provisional rule decides: a first model is promoted, because any model orders
    tasks better than none and every later one is judged; a successor is promoted when it is right at least as often
    as the current model on the tasks there are. `figures["promote"]` holds the decision in every case, see `promotes`.
    """
    n = len(candidate)
    against = current if current is not None else baseline
    if against is not None and len(against) != n:
        raise ValueError(f"{len(against)} and {n} judged tasks: the comparison is paired and needs the same tasks")
    mine = np.asarray(candidate, np.float64)
    theirs = None if against is None else np.asarray(against, np.float64)
    graded = any(not np.isin(row, (0.0, 1.0)).all() for row in (mine, theirs) if row is not None)
    test = "sign flips of paired differences" if graded else "exact one-sided McNemar"
    right = _whole(mine.sum())
    low, high = wilson(right, n)
    figures: dict[str, object] = {
        "test": test,
        "n": n,
        "min_gate": policy.min_gate,
        "alpha": policy.alpha,
        "tolerance": policy.tolerance,
        "against": "current" if current is not None else "most common label" if baseline is not None else "nothing",
        "candidate_right": right,
        "candidate_accuracy": right / n if n else None,
        "candidate_lower": low,
        "candidate_upper": high,
    }
    p, error, other = 1.0, 0.0, 0.0
    if theirs is not None:
        lost = theirs - mine
        losses, wins, other = int((lost > _SLACK).sum()), int((lost < -_SLACK).sum()), _whole(theirs.sum())
        p = paired_worse(lost) if graded else mcnemar_worse(losses, wins)
        error = math.sqrt(float((lost**2).sum())) / max(n, 1)
        figures |= {"current_right": other, "current_accuracy": other / n if n else None}
        figures |= {"losses": losses, "wins": wins, "p_worse": p}
    if n < policy.min_gate:
        return _too_few(figures, first=current is None, better=right >= other)
    rival = "the current model" if current is not None else "the most common label"
    score = f"right on {right:g} of {n} blind tasks"
    if against is None:
        return _verdict(
            Outcome.PASS, True, figures, f"First model: {score}, with nothing to compare it with; promoted."
        )
    score += f", {rival} on {other:g}"
    named = "paired test" if graded else "McNemar"
    if p <= policy.alpha:
        return _verdict(
            Outcome.FAIL, False, figures, f"Refused: {score}; significantly worse than {rival} ({named} p = {p:.3g})."
        )
    if current is not None and (other - right) / n > policy.tolerance + error + _SLACK:
        return _verdict(
            Outcome.FAIL,
            False,
            figures,
            f"Refused: {score}; its accuracy is lower by more than the tolerance of {policy.tolerance:g} "
            f"and a standard error of {error:.2g}.",
        )
    return _verdict(Outcome.PASS, True, figures, f"Promoted: {score}; not worse ({named} p = {p:.3g}).")


def _whole(total: float) -> float:
    """A count stays a count; a sum of degrees keeps two places."""
    return int(total) if float(total).is_integer() else round(float(total), 2)


def promotes(verdict: Verdict) -> bool:
    """Whether the judged model becomes the current one, also when there was not enough data for the test."""
    return bool(verdict.figures.get("promote", verdict.outcome is Outcome.PASS))


def _too_few(figures: dict[str, object], *, first: bool, better: bool) -> Verdict:
    few = f"only {figures['n']} blind tasks are labelled, the gate needs {figures['min_gate']}"
    if first:
        sentence = f"Promoted provisionally as the first model: {few}."
    elif better:
        sentence = f"Promoted provisionally: {few}; on these it is right at least as often as the current model."
    else:
        sentence = f"Not promoted: {few}; on these it is right less often than the current model."
    return _verdict(Outcome.NOT_ENOUGH_DATA, first or better, figures, sentence)


def _verdict(outcome: Outcome, promote: bool, figures: JsonObject, sentence: str) -> Verdict:
    return Verdict(outcome, {**figures, "promote": promote}, sentence)
