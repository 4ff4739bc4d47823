"""The score of a model on a test split: accuracy, or F1 of one label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from adapter.errors import SettingsError, nearest
from adapter.ports import Floats

Bools: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Metric:
    """A score in 0..1. label: number of the label whose F1 it is; None for accuracy: the share of tasks that are
    exactly right."""

    name: str = "accuracy"
    label: int | None = None

    def score(self, answers: Floats, truth: Floats, *, multiple: bool = False, required: bool = True) -> float:
        """Return the score of probabilities (n, k) against gold (n, k); rows of NaN are wrong. Raises ValueError
        without rows."""
        if not len(truth):
            raise ValueError("there is nothing to score")
        said = decided(answers, multiple=multiple, required=required)
        real = np.asarray(truth) >= 0.5
        if self.label is None:
            return float((said == real).all(axis=1).mean())
        ours, theirs = said[:, self.label], real[:, self.label]
        both = 2.0 * float((ours & theirs).sum())
        total = float(ours.sum() + theirs.sum())
        return both / total if total else 1.0


def decided(answers: Floats, *, multiple: bool, required: bool = True) -> Bools:
    """Return (n, k) which labels the probabilities stand for: the first of the greatest, or, with several, each of at
    least .5 (and the likeliest of a required control). None in a row of NaN."""
    known: Bools = np.asarray(np.isfinite(answers).all(axis=1), bool)
    clean = np.where(known[:, None], answers, 0.0)
    best = np.zeros(clean.shape, bool)
    best[np.arange(len(clean)), clean.argmax(axis=1)] = True
    chosen = best
    if multiple:
        chosen = clean >= 0.5
        if required:
            chosen |= best & ~np.asarray(chosen.any(axis=1), bool)[:, None]
    return np.asarray(chosen & known[:, None], bool)


def parse_metric(text: str, labels: Sequence[str]) -> Metric:
    """Return the metric that `accuracy` or `f1:LABEL` names. Raises SettingsError with advice."""
    name, colon, label = text.partition(":")
    if text == "accuracy":
        return Metric()
    if name != "f1" or not colon:
        raise SettingsError(
            f"there is no metric '{text}'", where="--metric", remedy="Write accuracy, or f1:LABEL such as f1:spam."
        )
    if label not in labels:
        raise SettingsError(f"there is no label '{label}'", where="--metric", remedy=nearest(label, labels))
    return Metric(f"F1 of {label}", list(labels).index(label))
