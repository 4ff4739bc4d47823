"""From a strategy's scores or picks to an order of all candidates, in which near neighbours never share the front."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.core.diversity import Style, spread
from adapter.core.strategies.base import MARK, Function, Ints, NoVectors, Scored, State, Strategy, Unable, Vectors, get
from adapter.core.strategies.measures import uncertainty
from adapter.errors import FunctionsError, HitlError
from adapter.ports import Floats

Scores = npt.NDArray[np.float64]

STAND_INS = ("margin", "typiclust", "random")
"""Who decides where the strategy that was asked for cannot, the first that can."""


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """An order. rows: (n,) positions of all candidates, best first, each once. scores: (n,) 0..1 for every candidate:
    the strategy's, or where it picks without scoring, how unsure the probabilities are. reason: the strategy's, in
    words. name: of the strategy that really decided: where the one that was asked for could not (no embeddings, nothing
    known yet), another stands in, and `why` says so. again: ids of labelled tasks that are worth more than the last new
    one of the batch, for strategies that ask again. front: places at the start in which no two are near neighbours; 0
    where nothing was compared."""

    rows: Ints
    scores: Floats
    reason: str
    name: str
    why: str = ""
    again: tuple[str, ...] = ()
    front: int = 0


def choose(
    name: str | Strategy | Function,
    vectors: Vectors | None,
    probabilities: Floats | None,
    state: State,
    *,
    diversity: bool = True,
) -> Chosen:
    """Return the order that a strategy gives to n candidates: all of them, each once.

    name: of a strategy that comes with the adapter, or a `Strategy`, or a function declared with `@strategy`. vectors:
    (n, d), fetched where needed; None without embeddings. probabilities: (n, k), NaN rows where nothing judges; None
    while nothing judges at all.

    Scores: uncovered candidates (`state.covered`) first, since of these nobody knows anything, then by score, the
    greatest first, rounded to 6 digits, NaN as 1; ties by `state.chance`. Picks: as the strategy has them, then the
    others by their uncertainty. With vectors and diversity, a strategy that says so is spread over clusters (see
    `core.diversity.spread`), and for all but `random`, of near neighbours only the first stays in front (the first
    `state.size` places, at most 1,000); the others come last. The result depends on the order of the candidates only
    where their draws are equal.

    Raises SettingsError for an unknown name, FunctionsError when a strategy raises or returns something else than
    scores or positions, ValueError when the arrays differ in length.
    """
    asked = name if isinstance(name, Strategy) else getattr(name, MARK, None) or get(str(name))
    n = _checked(vectors, probabilities, state)
    if not n:
        return Chosen(np.empty(0, np.int64), np.empty(0, np.float32), asked.reason, asked.name)
    trying = [asked, *(get(stand_in) for stand_in in STAND_INS if stand_in != asked.name)]
    why = ""
    while True:
        found = trying[0]
        try:
            scores, picks, again = _asked(found, vectors, probabilities, state)
            if picks is not None:
                scores = _known(probabilities, state)
            order = _order(scores, state) if picks is None else _completed(picks, scores, state)
            front = 0
            if vectors is not None and diversity and found.apart:
                order, front = _apart(order, vectors, state, "clusters" if found.spread else "in order")
            elif found.name == "cluster-margin" and n > 1:  # the same scores, not spread: margin is its name
                why = why or ("there are no embeddings" if vectors is None else "diversity is switched off")
                found = get("margin")
            break
        except NoVectors as error:
            vectors = None
            why = why or str(error)
        except Unable as error:
            why = why or str(error)
            trying.pop(0)
    told = f"'{asked.name}' cannot decide here ({why}): '{found.name}' stands in" if found.name != asked.name else ""
    shown = np.clip(np.nan_to_num(scores, nan=1.0), 0, 1).astype(np.float32)
    return Chosen(order, shown, found.reason, found.name, told, again, front)


def _checked(vectors: Vectors | None, probabilities: Floats | None, state: State) -> int:
    n = len(state.chance)
    parts: dict[str, Any] = {
        "vectors": vectors,
        "probabilities": probabilities,
        "uncertainty": state.uncertainty,
        "covered": state.covered,
        "alignment": state.alignment,
        **{f"committee of '{source}'": told for source, told in state.committee.items()},
    }
    for part, values in parts.items():
        if values is not None and len(values) != n:
            raise ValueError(f"{n} candidates but {len(values)} entries of {part}")
    if probabilities is not None and np.ndim(probabilities) != 2:
        raise ValueError(f"probabilities need the shape (n, k), got {np.shape(probabilities)}")
    return n


def _known(probabilities: Floats | None, state: State) -> Scores:
    """How unsure everything known is; 0 while nothing is known."""
    if state.uncertainty is not None:
        return np.nan_to_num(np.asarray(state.uncertainty, np.float64), nan=1.0)
    if probabilities is None:
        return np.zeros(len(state.chance))
    return np.nan_to_num(uncertainty(probabilities, multiple=state.multiple), nan=1.0)


def _asked(
    found: Strategy, vectors: Vectors | None, probabilities: Floats | None, state: State
) -> tuple[Scores, Ints | None, tuple[str, ...]]:
    """Call a strategy; return its scores (empty if it picks), its picks (None if it scores), and what it asks again."""
    if found.probabilities and (probabilities is None or not probabilities.shape[1]):
        raise Unable("nothing judges the tasks yet")
    if found.vectors and vectors is None:
        raise Unable("there are no embeddings")
    given = None
    if probabilities is not None:
        given = probabilities.view()
        given.flags.writeable = False
    try:
        answer = found.function(vectors, given, state)  # type: ignore[arg-type] # None only where it says it can
    except (Unable, HitlError, KeyboardInterrupt):
        raise
    except BaseException as error:  # an author's function may raise anything, `sys.exit` too
        raise _failed(found, error) from error
    again: tuple[str, ...] = ()
    if isinstance(answer, Scored):
        allowed = set(state.again)
        again = tuple(task_id for task_id in dict.fromkeys(answer.again) if task_id in allowed)
        answer = answer.scores
    if found.picks:
        return np.empty(0), _picks(found, answer, len(state.chance)), again
    return _scores(found, answer, len(state.chance)), None, again


def _failed(found: Strategy, error: BaseException) -> FunctionsError:
    own = getattr(getattr(found.function, "__code__", None), "co_filename", "")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == own]
    where = f"{own}:{frames[-1].lineno}" if frames else own
    said = " ".join(str(error).split())[:300]
    return FunctionsError(
        f"the strategy '{found.name}' failed: {type(error).__name__}: {said}".rstrip(": "),
        where=where,
        remedy="Mend it, or set `rank.strategy` to another, such as random, until it is mended.",
    )


def _nonsense(found: Strategy, what: str, remedy: str) -> FunctionsError:
    code = getattr(found.function, "__code__", None)
    where = f"{code.co_filename}:{code.co_firstlineno}" if code is not None else ""
    return FunctionsError(f"the strategy '{found.name}' {what}", where=where, remedy=remedy)


def _scores(found: Strategy, answer: Any, n: int) -> Scores:
    remedy = f"Return one number in 0..1 for each of the {n} candidates, or declare it with picks=True for positions."
    try:
        array = np.asarray(answer)
        if array.dtype.kind not in "fiub":
            raise ValueError
        scores = array.astype(np.float64)
    except (ValueError, TypeError):
        raise _nonsense(found, f"returned {type(answer).__name__}, not scores", remedy) from None
    if scores.shape != (n,):
        raise _nonsense(found, f"returned scores of the shape {scores.shape}, not ({n},)", remedy)
    told = scores[~np.isnan(scores)]
    if len(told) and not (told.min() >= -1e-6 and told.max() <= 1 + 1e-6):
        raise _nonsense(
            found,
            f"returned scores from {told.min():g} to {told.max():g}",
            "Bring them into 0..1, 1 for the task to see first; NaN counts as 1.",
        )
    return scores


def _picks(found: Strategy, answer: Any, n: int) -> Ints:
    remedy = f"Return positions of candidates, whole numbers from 0 to {n - 1}, each once, best first."
    try:
        array = np.asarray(answer)
    except (ValueError, TypeError):
        raise _nonsense(found, f"returned {type(answer).__name__}, not positions", remedy) from None
    if array.ndim != 1 or (len(array) and array.dtype.kind not in "iu"):
        raise _nonsense(found, f"returned {array.dtype} of the shape {array.shape}, not positions", remedy)
    rows = array.astype(np.int64)
    if len(rows) and not (rows.min() >= 0 and rows.max() < n):
        wrong = rows[(rows < 0) | (rows >= n)][0]
        raise _nonsense(found, f"picked position {wrong} of {n} candidates", remedy)
    if len(np.unique(rows)) != len(rows):
        raise _nonsense(found, "picked a candidate twice", remedy)
    return rows


def _order(scores: Scores, state: State) -> Ints:
    """Best first. Rounded, so that noise in the last digits does not decide between equals."""
    rounded = np.round(np.clip(np.nan_to_num(scores, nan=1.0), 0, 1) * 1e6).astype(np.int64)
    if state.covered is not None:
        rounded[~np.asarray(state.covered, bool)] = 2_000_000
    return np.asarray(np.lexsort((state.chance, -rounded)), np.int64)


def _completed(picks: Ints, known: Scores, state: State) -> Ints:
    """The picks, then what was not picked."""
    if len(picks) == len(known):
        return picks
    left = np.ones(len(known), bool)
    left[picks] = False
    rest = _order(known, state)
    return np.concatenate([picks, rest[left[rest]]])


def _apart(order: Ints, vectors: Vectors, state: State, style: Style) -> tuple[Ints, int]:
    fetch: Callable[[Ints], Floats | None] = vectors.__getitem__
    found = spread(order, min(max(1, state.size), len(order)), max(1, state.batch), fetch, style, state.seed)
    if found is None:
        raise NoVectors("the model has no embeddings")
    return np.asarray(order[found[0]]), found[1]
