"""What every model of this package returns, and when its fit has converged."""

from __future__ import annotations

from dataclasses import dataclass

from .skill import Doubles

ROUNDS = 200
"""Most EM steps. The sets in `benchmarks.crowd` converge in 10 to 120."""
TOLERANCE = 1e-6
"""A fit has converged when no posterior probability moves by more than this in one step."""


@dataclass(frozen=True)
class Fitted:
    """A fitted model of a crowd. posterior: (t, k) of the truth. confusion: (m, k, k) annotator, truth, said; rows sum
    to 1; empty (0, k, k) where the model has none."""

    posterior: Doubles
    confusion: Doubles
