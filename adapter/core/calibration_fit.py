"""Fit a calibration, and choose among none, temperature and isotonic by what each does for labels it has not seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from adapter.core.calibration import EPS, MOST, Basis, Calibrator, Method, tempered
from adapter.core.folds import grouped_folds
from adapter.ports import Floats

Doubles = npt.NDArray[np.float64]
Rows = tuple[Doubles, Doubles, Doubles]
"""Probabilities, targets and weights."""

LEAST_TEMPERATURE = 30
"""Tasks under which nothing is fitted: a temperature from fewer is mostly chance."""
LEAST_ISOTONIC = 300
"""Tasks under which isotonic regression is not tried."""
LEAST_EITHER = 30
"""Tasks that must be decided wrongly, and rightly, before isotonic regression is tried: it learns from both."""
FOLDS = 5
PRIOR = 2.0
"""How hard the logarithm of a temperature is held to 0, in nats for a temperature e times too high."""
BESIDE = 0.1
"""What a label beside the sample counts, one of a task that was chosen because it was hard. Together they count no more
than the sample itself."""
MARGIN = 1.0
"""Standard errors by which isotonic regression must beat the temperature on held-out log loss."""
KNOTS = 200
LEAST_BLOCK = 10
"""Tasks that a level of the isotonic curve rests on at least."""


def fit(
    probabilities: Floats,
    targets: Floats,
    weights: npt.NDArray[np.floating],
    *,
    multiple: bool,
    groups: Sequence[str],
    seed: int,
    basis: Basis = "held-out folds",
    beside: tuple[Floats, Floats, npt.NDArray[np.floating]] | None = None,
) -> Calibrator:
    """Return the calibrator that fits labels which the model did not learn from.

    probabilities: (n, k) of the model; rows with NaN count as absent. targets: (n, k) one-hot or soft, multi-hot if
    multiple. weights: (n,), 0 leaves a row out. groups: (n,) names, equal for duplicates, which share a fold. basis:
    what the labels are, to be remembered. beside: probabilities, targets and weights of other tasks, which count BESIDE
    each towards the temperature: held-out labels beside a small random sample.

    none, temperature and isotonic are compared by log loss in FOLDS grouped folds. Temperature is taken where it beats
    none at all, and always with `beside`: it has one parameter, held to 1 by a prior, so little is lost by it, and on
    ag_news and digits a margin only lost (see `benchmarks/calibration.py`). Isotonic regression is tried from
    LEAST_ISOTONIC tasks and must beat the better of the two by MARGIN standard errors of the paired difference
    (Niculescu-Mizil and Caruana 2005 find that it overfits below about 1,000). Raises ValueError for shapes that do not
    fit.
    """
    p, y, w, names = _usable(probabilities, targets, weights, groups, multiple)
    n = len(p)
    if n < LEAST_TEMPERATURE or len(set(names)) < 2:
        return Calibrator("none", {}, basis, n)
    more: Rows | None = None
    if beside is not None:
        q, z, v, _ = _usable(*beside, [""] * len(beside[0]), multiple)
        if len(q):
            more = q, z, v * min(BESIDE, float(w.sum() / v.sum()))
    folds = grouped_folds(names, FOLDS, seed)
    methods: list[Method] = ["none", "temperature"]
    right = _rights(p, y, multiple)
    wrong = float((w * (1 - right)).sum() / w.max())
    if n >= LEAST_ISOTONIC and min(wrong, float((w * right).sum() / w.max())) >= LEAST_EITHER:
        methods.append("isotonic")
    losses = {method: np.zeros(n) for method in methods}
    for fold in range(int(folds.max()) + 1):
        inside, out = folds != fold, folds == fold
        for method in methods:
            made = fitted(method, p[inside], y[inside], w[inside], multiple, basis, more)
            losses[method][out] = row_losses(made.apply(p[out].astype(np.float32), multiple=multiple), y[out], multiple)
    mean = {method: float(w @ loss / w.sum()) for method, loss in losses.items()}
    best: Method = "temperature" if more or mean["temperature"] < mean["none"] else "none"
    if "isotonic" in methods:
        gap = losses[best] - losses["isotonic"]
        if float(w @ gap / w.sum()) > MARGIN * _error(gap, w, names):
            best = "isotonic"
    return fitted(best, p, y, w, multiple, basis, more)


def fitted(
    method: Method,
    p: Doubles,
    y: Doubles,
    w: Doubles,
    multiple: bool,
    basis: Basis,
    more: Rows | None = None,
) -> Calibrator:
    """Return one method's calibrator for p, y (n, k) and w (n,) without NaN. more: further such rows, which count for
    the temperature."""
    if method == "temperature":
        n = len(p)
        if more is not None:
            p, y, w = np.concatenate([p, more[0]]), np.concatenate([y, more[1]]), np.concatenate([w, more[2]])
        return Calibrator("temperature", {"temperature": temperature(p, y, w, multiple)}, basis, n)
    if method == "isotonic":
        x, right = curve(p, y, w, multiple)
        return Calibrator("isotonic", {"confidence": x, "right": right}, basis, len(p))
    return Calibrator("none", {}, basis, len(p))


def temperature(p: Doubles, y: Doubles, w: Doubles, multiple: bool, prior: float = PRIOR) -> float:
    """Return the temperature of least log loss, held to 1 by a prior of this strength."""
    from scipy.optimize import minimize_scalar

    mass = w / w.max()

    def cost(log_temperature: float) -> float:
        scaled = tempered(p, float(np.exp(log_temperature)), multiple)
        return float(mass @ row_losses(scaled, y, multiple)) + prior * log_temperature**2

    bound = float(np.log(MOST))
    found = minimize_scalar(cost, bounds=(-bound, bound), method="bounded", options={"xatol": 1e-4})
    return float(np.clip(np.exp(found.x), 1 / MOST, MOST))


def curve(p: Doubles, y: Doubles, w: Doubles, multiple: bool) -> tuple[list[float], list[float]]:
    """Return the knots (confidence, share that is right) of centred isotonic regression.

    A plain isotonic fit is a staircase, on which tasks of differing confidence become equal; here the middle of each
    step is a knot and the curve is straight between them (Oron and Flournoy 2017, "Centered isotonic regression").
    """
    from sklearn.isotonic import IsotonicRegression

    confidence: Doubles
    mass: Doubles
    right: Doubles
    if multiple:
        confidence = np.maximum(p, 1 - p).ravel()
        right = np.where(p >= 0.5, y, 1 - y).ravel()
        mass = np.repeat(w, p.shape[1])
    else:
        confidence, right, mass = p.max(axis=1), _rights(p, y, multiple), w
    order = np.argsort(confidence, kind="stable")
    size = max(LEAST_BLOCK, -(-len(order) // KNOTS))
    edges = np.arange(0, max(len(order) - size + 1, 1), size)  # what is left over joins the last block
    total: Doubles = np.add.reduceat(mass[order], edges)
    x = np.add.reduceat((mass * confidence)[order], edges) / total
    share = np.add.reduceat((mass * right)[order], edges) / total
    level = IsotonicRegression(y_min=0.0, y_max=1.0).fit_transform(x, share, sample_weight=total)
    steps = np.flatnonzero(np.append(True, np.diff(level) > 1e-12))
    weight = np.add.reduceat(total, steps)
    centre = np.add.reduceat(total * x, steps) / weight
    # Nothing is certain: a level of 0 or 1 would cost an infinite log loss at the first task that contradicts it.
    least = 1.0 / (len(order) + 2.0)
    height = np.clip(level[steps], least, 1 - least)
    rising = np.append(True, np.diff(centre) > 1e-12)
    return centre[rising].tolist(), height[rising].tolist()


def row_losses(p: npt.NDArray[np.floating], y: Doubles, multiple: bool) -> Doubles:
    """Return (n,) the log loss of each row in nats; for several labels the mean over them."""
    q = np.clip(np.asarray(p, np.float64), EPS, 1 - EPS)
    if multiple:
        return np.asarray(-(y * np.log(q) + (1 - y) * np.log1p(-q)).mean(axis=1))
    return np.asarray(-(y * np.log(q)).sum(axis=1))


def brier(p: npt.NDArray[np.floating], y: npt.NDArray[np.floating]) -> Doubles:
    """Return (n,) the Brier score of each row: the sum of squared differences (Brier 1950)."""
    return np.asarray(((np.asarray(p, np.float64) - y) ** 2).sum(axis=1))


def _usable(
    probabilities: Floats,
    targets: Floats,
    weights: npt.NDArray[np.floating],
    groups: Sequence[str],
    multiple: bool,
) -> tuple[Doubles, Doubles, Doubles, list[str]]:
    p, y, w = (np.asarray(part, np.float64) for part in (probabilities, targets, weights))
    if p.ndim != 2 or y.shape != p.shape or w.shape != (len(p),) or len(groups) != len(p):
        raise ValueError(
            f"probabilities {p.shape}, targets {y.shape}, weights {w.shape} and {len(groups)} groups do not fit"
        )
    kept = np.isfinite(p).all(axis=1) & np.isfinite(y).all(axis=1) & np.isfinite(w) & (w > 0)
    if not multiple:  # of a soft target without mass nothing can be learned
        kept &= y.sum(axis=1) > EPS
    p, y, w = p[kept], np.clip(y[kept], 0.0, 1.0), w[kept]
    if not multiple:
        y = y / y.sum(axis=1, keepdims=True)
    return np.clip(p, 0.0, 1.0), y, w, [groups[row] for row in np.flatnonzero(kept)]


def _rights(p: Doubles, y: Doubles, multiple: bool) -> Doubles:
    """(n,) how far each row's decision is right: the target's share of the decided label, or of the cells."""
    if multiple:
        return np.asarray(np.where(p >= 0.5, y, 1 - y).mean(axis=1))
    return np.asarray(y[np.arange(len(p)), p.argmax(axis=1)])


def _error(gap: Doubles, w: Doubles, names: Sequence[str]) -> float:
    """Standard error of the weighted mean of `gap`, groups of duplicates taken as one draw."""
    _, group = np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True)
    centred = np.bincount(group, weights=w * (gap - float(w @ gap / w.sum())))
    return float(np.sqrt((centred**2).sum()) / w.sum())


__all__ = ["brier", "curve", "fit", "fitted", "row_losses", "temperature"]
