"""scikit-activeml's and small-text's strategies, asked through their own interfaces with our model as their classifier.

Both get the pool as a table of row numbers, and a classifier that looks its answers up: the probabilities and vectors
of the very model that our strategies see. So nothing but the choice differs, and no time is lost on a second model.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.bundle import ask
from adapter.ports import Floats
from adapter.simulate.learning import Ints, Picker, Round

SKACTIVEML = "skactiveml: "
SMALL_TEXT = "small-text: "


def _tables(turn: Round) -> tuple[Floats, Floats]:
    """Return probabilities (n, k) and vectors (n, d) of the whole pool."""
    ground = turn.ground
    answers = np.zeros((len(ground.ids), len(ground.labels)), np.float32)
    answers[turn.candidates] = turn.probabilities
    known = [ground.pool[row] for row in turn.labelled]
    answers[turn.labelled] = ask(turn.backend, known, len(ground.labels), ground.control)
    vectors = turn.backend.embed(ground.pool)
    assert vectors is not None
    return answers, vectors


def _seed(turn: Round) -> int:
    return (turn.ground.seed * 10_007 + turn.number) % 2**31


def _gold(turn: Round) -> npt.NDArray[np.int64]:
    """Return the label numbers of the pool, -1 where there is none yet."""
    gold = np.full(len(turn.ground.ids), -1, np.int64)
    gold[turn.labelled] = turn.ground.said[turn.labelled].argmax(axis=1)
    return gold


def skactiveml_margin(turn: Round) -> Ints:
    """scikit-activeml's `UncertaintySampling(method="margin_sampling")`, its own batch query."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from skactiveml.base import SkactivemlClassifier
        from skactiveml.pool import UncertaintySampling

    answers, _ = _tables(turn)
    classes = list(range(answers.shape[1]))

    class Known(SkactivemlClassifier):  # type: ignore[misc] # the library has no types
        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Known:
            self._validate_data(X, y, sample_weight)
            return self

        def predict_proba(self, X: Any) -> Any:
            return answers[np.asarray(X)[:, 0].astype(np.int64)].astype(np.float64)

    rows = np.arange(len(answers), dtype=np.float64)[:, None]
    gold = _gold(turn).astype(np.float64)
    gold[gold < 0] = np.nan
    model = Known(classes=classes).fit(rows, gold)
    strategy = UncertaintySampling(method="margin_sampling", random_state=_seed(turn))
    picked = strategy.query(X=rows, y=gold, clf=model, fit_clf=False, batch_size=turn.batch)
    return np.asarray(picked, np.int64)


def skactiveml_badge(turn: Round) -> Ints:
    """scikit-activeml's `Badge` on the vectors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from skactiveml.base import SkactivemlClassifier
        from skactiveml.pool import Badge

    answers, vectors = _tables(turn)

    class Known(SkactivemlClassifier):  # type: ignore[misc]
        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Known:
            self._validate_data(X, y, sample_weight)
            return self

        def predict_proba(self, X: Any) -> Any:
            return answers[np.asarray(X)[:, 0].astype(np.int64)].astype(np.float64)

        def sample_embeddings(self, X: Any) -> Any:
            return vectors[np.asarray(X)[:, 0].astype(np.int64)].astype(np.float64)

    rows = np.arange(len(answers), dtype=np.float64)[:, None]
    gold = _gold(turn).astype(np.float64)
    gold[gold < 0] = np.nan
    model = Known(classes=list(range(answers.shape[1]))).fit(rows, gold)
    strategy = Badge(random_state=_seed(turn), clf_embedding_flag_name=None)
    picked = strategy.query(X=rows, y=gold, clf=model, fit_clf=False, batch_size=turn.batch)
    return np.asarray(picked, np.int64)


class _SmallTextModel:
    """What small-text asks of a classifier: probabilities and embeddings of a data set's rows."""

    def __init__(self, answers: Floats, vectors: Floats) -> None:
        self.answers = answers
        self.vectors = vectors
        self.num_classes = answers.shape[1]

    def predict_proba(self, data: Any) -> Floats:
        return self.answers[np.asarray(data.x)[:, 0].astype(np.int64)]

    def embed(self, data: Any, return_proba: bool = False, pbar: Any = None, **_: Any) -> Any:
        rows = np.asarray(data.x)[:, 0].astype(np.int64)
        return (self.vectors[rows], self.answers[rows]) if return_proba else self.vectors[rows]


def _small_text(make: Callable[[Round], Any]) -> Picker:
    def pick(turn: Round) -> Ints:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from small_text import SklearnDataset

            strategy = make(turn)
            answers, vectors = _tables(turn)
            model = _SmallTextModel(answers, vectors)
            gold = _gold(turn)
            rows = np.arange(len(answers), dtype=np.float64)[:, None]
            data = SklearnDataset(rows, gold.clip(0), target_labels=np.arange(answers.shape[1]))
            state = np.random.get_state()
            np.random.seed(_seed(turn))  # the library draws from NumPy's global state
            try:
                picked = strategy.query(model, data, turn.candidates, turn.labelled, gold[turn.labelled], n=turn.batch)
            finally:
                np.random.set_state(state)
        return np.asarray(picked, np.int64)

    return pick


def _breaking_ties(turn: Round) -> Any:
    from small_text import BreakingTies

    return BreakingTies()


def _least_confidence(turn: Round) -> Any:
    from small_text import LeastConfidence

    return LeastConfidence()


def _entropy(turn: Round) -> Any:
    from small_text import PredictionEntropy

    return PredictionEntropy()


def _k_means(turn: Round) -> Any:
    from small_text import EmbeddingKMeans

    return EmbeddingKMeans()


def _contrastive(turn: Round) -> Any:
    from small_text import ContrastiveActiveLearning

    return ContrastiveActiveLearning(pbar=None)


def _coreset(turn: Round) -> Any:
    from small_text import GreedyCoreset

    return GreedyCoreset()


def _light_coreset(turn: Round) -> Any:
    from small_text import LightweightCoreset

    return LightweightCoreset()


def _badge(turn: Round) -> Any:
    from small_text.integrations.pytorch.query_strategies import BADGE

    return BADGE(len(turn.ground.labels))


PEERS: dict[str, Picker] = {
    SKACTIVEML + "margin": skactiveml_margin,
    SKACTIVEML + "BADGE": skactiveml_badge,
    SMALL_TEXT + "breaking ties": _small_text(_breaking_ties),
    SMALL_TEXT + "least confidence": _small_text(_least_confidence),
    SMALL_TEXT + "entropy": _small_text(_entropy),
    SMALL_TEXT + "k-means": _small_text(_k_means),
    SMALL_TEXT + "contrastive": _small_text(_contrastive),
    SMALL_TEXT + "coreset": _small_text(_coreset),
    SMALL_TEXT + "light coreset": _small_text(_light_coreset),
    SMALL_TEXT + "BADGE": _small_text(_badge),
}
"""Name to picker, by library and strategy."""
