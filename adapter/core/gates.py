"""Gates: a policy in, a Verdict with its figures out."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from adapter.core.intervals import wilson
from adapter.policies import TrainPolicy
from adapter.vocabulary import JsonObject, Outcome, Verdict

Bools = npt.NDArray[np.bool_]

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


def promotion(
    current: Bools | None, candidate: Bools, policy: TrainPolicy, *, baseline: Bools | None = None
) -> Verdict:
    """Judge whether `candidate` may become the current model, on the blind sample.

    current, candidate: (n,) whether each model is right on each blind task with people's consensus, in one order;
    current None for the first model. baseline: (n,) whether the most common label of the training data is right
    there; the first model is compared with it. Raises ValueError when the lengths differ.

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
    right = int(np.count_nonzero(candidate))
    low, high = wilson(right, n)
    figures: dict[str, object] = {
        "test": "exact one-sided McNemar",
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
    losses = wins = other = 0
    if against is not None:
        mine, theirs = np.asarray(candidate, bool), np.asarray(against, bool)
        losses, wins, other = int((theirs & ~mine).sum()), int((mine & ~theirs).sum()), int(theirs.sum())
        figures |= {"current_right": other, "current_accuracy": other / n if n else None}
        figures |= {"losses": losses, "wins": wins, "p_worse": mcnemar_worse(losses, wins)}
    if n < policy.min_gate:
        return _too_few(figures, first=current is None, better=right >= other)
    p = mcnemar_worse(losses, wins)
    rival = "the current model" if current is not None else "the most common label"
    score = f"right on {right} of {n} blind tasks"
    if against is None:
        return _verdict(
            Outcome.PASS, True, figures, f"First model: {score}, with nothing to compare it with; promoted."
        )
    score += f", {rival} on {other}"
    if p <= policy.alpha:
        return _verdict(
            Outcome.FAIL, False, figures, f"Refused: {score}; significantly worse than {rival} (McNemar p = {p:.3g})."
        )
    error = math.sqrt(losses + wins) / n
    if current is not None and (other - right) / n > policy.tolerance + error + _SLACK:
        return _verdict(
            Outcome.FAIL,
            False,
            figures,
            f"Refused: {score}; its accuracy is lower by more than the tolerance of {policy.tolerance:g} "
            f"and a standard error of {error:.2g}.",
        )
    return _verdict(Outcome.PASS, True, figures, f"Promoted: {score}; not worse (McNemar p = {p:.3g}).")


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
