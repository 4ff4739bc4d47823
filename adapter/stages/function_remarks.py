"""What to look at in a labeling function, in words: one short remark for each thing that is wrong or odd."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adapter.core.functions import Accuracy, AccuracyTrend, Coverage, CoverageTrend, Gain

DRIFT = "coverage drifts"
FAULTY = 0.01
"""Share of tasks from which failing is worth a remark; the count is in the table in any case."""


def remarks(
    cover: Coverage,
    right: Accuracy,
    gain: Gain,
    by_coverage: CoverageTrend,
    by_accuracy: AccuracyTrend,
    *,
    pending: int,
    last_fault: str,
    labels: Sequence[str],
) -> Iterator[str]:
    """Yield remarks, the worst first. Near-copies concern a group and are told apart from these."""
    if cover.faults and not cover.votes:
        yield f"never votes and fails on {_count(cover.faults)}: {last_fault or 'no message is kept'}"
    elif cover.seen and not cover.votes:
        yield "never votes: it does nothing"
    elif cover.faults and cover.faults >= FAULTY * cover.seen:
        yield f"fails on {cover.faults / cover.seen:.0%} of the tasks: {last_fault or 'no message is kept'}"
    if right.worse_than_chance:
        yield f"worse than chance: right on {right.right} of {right.n}, where blind guesses reach {right.chance:.0%}"
    for item in right.classes:
        if len(right.classes) > 1 and item.n >= 10 and item.upper is not None and item.upper < 0.5:
            yield f"mostly wrong when it says {labels[item.label]}: right on {item.right} of {item.n}"
    if gain.gain is not None and gain.upper is not None and gain.upper < 0:
        yield f"does harm: majority vote is {-gain.gain * 100:.1f} points better without it"
    if by_accuracy.drifts and by_accuracy.difference is not None:
        way = "fell" if by_accuracy.difference < 0 else "rose"
        points = abs(by_accuracy.difference) * 100
        yield f"accuracy {way} by {points:.0f} points from people's earlier labels to their later ones"
    if by_coverage.drifts:
        shares = [window.share or 0.0 for window in by_coverage.windows]
        yield (
            f"{DRIFT} over the pool: {shares[0]:.0%} of the first tasks, {shares[-1]:.0%} of the last, "
            f"between {min(shares):.0%} and {max(shares):.0%} (effect {by_coverage.effect:.2f})"
        )
    if pending:
        yield f"has not seen {_count(pending)} yet: run `hitl vote`"


def _count(tasks: int) -> str:
    return "1 task" if tasks == 1 else f"{tasks:,} tasks"
