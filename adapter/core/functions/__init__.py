"""What labeling functions are worth, as pure figures on their votes: coverage, accuracy, gain, redundancy, trend.

Votes are int16 (n, m), one column a function: an index into the control's labels, ABSTAIN (-1) or FAULT (-2).
"""

from __future__ import annotations

from adapter.core.functions.accuracy import (
    ENOUGH,
    Accuracy,
    Precision,
    accuracies,
    credits,
    rights,
)
from adapter.core.functions.coverage import Coverage, Pool, conflicts, coverages, pool
from adapter.core.functions.gain import Gain, gains
from adapter.core.functions.redundancy import Twin, similarities, twins
from adapter.core.functions.trend import (
    DRIFT_EFFECT,
    DRIFT_LEVEL,
    AccuracyTrend,
    CoverageTrend,
    Window,
    accuracy_trends,
    coverage_trends,
)

__all__ = [
    "DRIFT_EFFECT",
    "DRIFT_LEVEL",
    "ENOUGH",
    "Accuracy",
    "AccuracyTrend",
    "Coverage",
    "CoverageTrend",
    "Gain",
    "Pool",
    "Precision",
    "Twin",
    "Window",
    "accuracies",
    "accuracy_trends",
    "conflicts",
    "coverage_trends",
    "coverages",
    "credits",
    "gains",
    "pool",
    "rights",
    "similarities",
    "twins",
]
