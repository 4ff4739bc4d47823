"""Expected change of the model: BADGE and expected gradient length, on the last layer of a linear head.

A label y would move the weights of a softmax head by the outer product of (p - y) and x: probabilities p, vector x. So
lengths of these gradients and distances between them come from p and x alone, without forming n x (k * d) numbers:
|a x' - b z'|^2 = |a|^2 |x|^2 + |b|^2 |z|^2 - 2 (a b)(x z). scikit-activeml's BADGE forms them (11 s and gigabytes at
5,000 x 384 x 10, and 9 s to import), so it is the oracle of the tests only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from adapter.core.strategies.base import Ints, State, Vectors, strategy
from adapter.core.strategies.measures import front, uncertainty
from adapter.ports import Floats

Doubles = npt.NDArray[np.float64]
Draw = Callable[[Doubles], int]

MOST_PICKED = 1_000
_CELLS = 4_000_000
_SAME = 1e-6
"""Share of the longest squared gradient under which two gradients are the same: float32's rounding."""


@strategy(
    "badge",
    picks=True,
    vectors=True,
    reason="its label would move the model, and in another direction than the others of its batch",
    source="Ash et al. 2020, arXiv 1906.03671",
)
def badge(vectors: Vectors, probabilities: Floats, state: State) -> Ints:
    """BADGE (Ash et al. 2020, arXiv 1906.03671): k-means++ seeding on the gradients that the likeliest labels would
    give; the longest first, then each with a chance in proportion to its squared distance from those picked. Several
    labels: the likeliest set. A row that nothing judges counts as undecided among all labels.

    Looks at probabilities and embeddings of the whole pool up to 5,000 tasks; of larger ones at 20 batches, 1,000 to
    5,000 tasks, half of them with the smallest margins, half drawn at random. Cost: 5,000 x (k + d) a pick, under a
    second for 600 picks. Close to margin in published curves, seldom above it, and better in large batches; with a
    model that is sure of everything it is a random draw, and tasks without an embedding come last."""
    known = np.nan_to_num(uncertainty(probabilities, multiple=state.multiple), nan=1.0)
    rows = front(known, state, mixed=True)
    p = np.asarray(probabilities[rows], np.float64)
    blank = ~np.isfinite(p).all(axis=1)
    p[blank] = 0.5 if state.multiple else 1.0 / max(1, p.shape[1])
    random = state.random()

    def draw(weights: Doubles) -> int:
        upto = np.cumsum(weights)
        return min(int(np.searchsorted(upto, random.random() * upto[-1], side="right")), len(weights) - 1)

    wanted = min(max(state.size, state.batch), MOST_PICKED)
    return np.asarray(rows[gradient_seeds(likeliest_error(p, state.multiple), np.asarray(vectors[rows]), wanted, draw)])


def likeliest_error(p: Doubles, multiple: bool) -> Doubles:
    """Return (n, k): p less the likeliest label, one-hot (several labels: less the likeliest set)."""
    if multiple:
        return np.asarray(p - (p >= 0.5))
    error = p.copy()
    error[np.arange(len(p)), p.argmax(axis=1)] -= 1.0
    return error


def gradient_seeds(errors: Doubles, vectors: Floats, count: int, draw: Draw) -> Ints:
    """Return at most `count` positions (each once): k-means++ seeds among the outer products of errors (n, k) and
    vectors (n, d), the longest first. draw: weights (n,) to one position, with chances in proportion. No gradient at
    all counts as picked from the start, as in scikit-activeml: a task whose label would change nothing is never drawn.
    Ends early when every gradient left equals one that was picked."""
    x = np.asarray(vectors, np.float64)
    squares = (errors**2).sum(axis=1) * (x**2).sum(axis=1)
    least = _SAME * squares.max(initial=0.0)
    if not len(squares) or least <= 0:
        return np.empty(0, np.int64)
    picks = [int(np.round(squares, 9).argmax())]
    gap = squares
    while len(picks) < min(count, len(squares)):
        last = picks[-1]
        away = squares + squares[last] - 2.0 * (errors @ errors[last]) * (x @ x[last])
        gap = np.minimum(gap, away)
        gap[gap < least] = 0.0
        gap[picks] = 0.0
        if not gap.any():
            break
        picks.append(draw(gap))
    return np.asarray(picks, np.int64)


@strategy(
    "egl",
    reason="its label is expected to move the model far",
    source="Settles, Craven, Ray 2008; closed form for a softmax head",
)
def egl(vectors: Vectors | None, probabilities: Floats, state: State) -> Doubles:
    """Expected gradient length, that is expected model change (Settles, Craven, Ray 2008), in closed form: the sum over
    labels of p_k * norm(p - e_k) * norm([x, 1]).

    Embeddings come with length one, so their factor is the same for all and no embedding is fetched: one pass over the
    probabilities. Divided by its greatest value, at even probabilities; several labels: the sum over labels, divided by
    the greatest of the pool. With two labels the order of margin; with more it lies between margin and entropy, and
    like entropy it is drawn to tasks on which everything is possible."""
    found = gradient_lengths(probabilities, None, multiple=state.multiple)
    k = probabilities.shape[1]
    most = float(np.nanmax(found, initial=0.0)) if state.multiple else float(np.sqrt(2.0 * (1.0 - 1.0 / k)))
    return np.clip(found / most, 0.0, 1.0) if most > 0 else found


def gradient_lengths(probabilities: Floats, vectors: Floats | None, *, multiple: bool = False) -> Doubles:
    """Return (n,): the expected length of the gradient of the loss by weights and bias of a linear head, for
    probabilities (n, k) and vectors (n, d); None for vectors of length one. Softmax: sum over k of p_k * norm(p -
    e_k) * norm([x, 1]); several labels: the sum over labels of the same for each label's own head, 2 p (1 - p) *
    norm([x, 1]). Rows with NaN give NaN."""
    n, k = probabilities.shape
    lengths = np.empty(n)
    step = max(1, _CELLS // max(1, k))
    for start in range(0, n, step):
        p = np.asarray(probabilities[start : start + step], np.float64)
        if multiple:
            lengths[start : start + step] = (2.0 * p * (1.0 - p)).sum(axis=1)
        else:
            squares = (p**2).sum(axis=1)[:, None] - 2.0 * p + 1.0
            lengths[start : start + step] = (p * np.sqrt(np.maximum(squares, 0.0))).sum(axis=1)
    if vectors is None:
        return np.asarray(lengths * np.sqrt(2.0))
    x = np.asarray(vectors, np.float64)
    return np.asarray(lengths * np.sqrt((x**2).sum(axis=1) + 1.0))
