"""What machines say of one ranked task, in words for the data lead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from adapter.ports import Floats

SHOWN = 2
"""Labels named of one source: the two between which it wavers."""
LONGEST = 40
"""Characters of a label's name that are shown."""


def evidence(
    row: int,
    probabilities: Floats | None,
    committee: Mapping[str, Floats],
    labels: Sequence[str],
    *,
    multiple: bool,
    strategy: str,
    alignment: Floats | None = None,
) -> str:
    """Return what is said of candidate `row`: "World 46%, Sports 41%"; empty where nothing is.

    probabilities: (n, k), NaN where nobody judges; labels: names of its columns. For the strategy `committee`: what
    each source takes for likeliest. For `alignment`: how well the parts fit. multiple: the labels that are nearest to
    even are named, else the likeliest ones.
    """
    if strategy == "alignment" and alignment is not None:
        fit = float(alignment[row])
        return "" if np.isnan(fit) else f"fit {fit:.2f}"
    if strategy == "committee":
        told = {source: _named(said[row], labels, multiple, 1) for source, said in committee.items()}
        return "; ".join(f"{source}: {said}" for source, said in told.items() if said)
    return "" if probabilities is None else _named(probabilities[row], labels, multiple, SHOWN)


def _named(p: npt.NDArray[np.floating], labels: Sequence[str], multiple: bool, count: int) -> str:
    if len(p) != len(labels) or not np.isfinite(p).all():
        return ""
    order = np.argsort(np.abs(p - 0.5) if multiple else -p, kind="stable")[:count]
    return ", ".join(f"{_short(labels[column])} {_percent(float(p[column]))}" for column in order)


def _percent(share: float) -> str:
    """Whole percents, but never 0% or 100% of what is not certain."""
    if 0 < share < 0.005:
        return "under 1%"
    if 0.995 <= share < 1:
        return "over 99%"
    return f"{share:.0%}"


def _short(label: str) -> str:
    return label if len(label) <= LONGEST else label[: LONGEST - 1] + "…"


__all__ = ["evidence"]
