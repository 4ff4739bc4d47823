"""One scikit-learn model for both sides of a comparison: TF-IDF and logistic regression on generated texts.

Both sides fit it from the same texts with the same seed, so they hold the same numbers without a pickle. It is also a
backend, `benchmarks.same_model:SameModel`, so that our server runs exactly what the peer runs.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

CONFIG = """<View>
  <Text name="text" value="$text"/>
  <Choices name="label" toName="text" choice="single">
    <Choice value="spam"/>
    <Choice value="ham"/>
  </Choices>
</View>
"""
LABELS = ("spam", "ham")
WORDS = 3_000
LENGTH = 30


def texts(count: int, seed: int) -> tuple[list[str], list[int]]:
    """Return generated texts and their labels: two vocabularies that overlap by a third."""
    dice = random.Random(seed)
    words = [f"{dice.choice('bcdfgklmnprst')}{dice.choice('aeiou')}{n}" for n in range(WORDS)]
    halves = (words[: 2 * WORDS // 3], words[WORDS // 3 :])
    labels = [dice.randrange(2) for _ in range(count)]
    return [" ".join(dice.choices(halves[label], k=LENGTH)) for label in labels], labels


def fitted(examples: Sequence[str], labels: Sequence[int]) -> Any:
    """Return the pipeline fitted on these texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000)).fit(list(examples), list(labels))


class SameModel:
    """The pipeline as a backend. On disk it is its training texts; loading fits it again."""

    def __init__(self, fields: Sequence[str]) -> None:
        self.field = next(iter(fields))
        self._pipeline: Any = None
        self._learned: dict[str, Any] = {}

    def fit(
        self, examples: Sequence[Mapping[str, Any]], targets: Any, *, weights: Any, multiple: bool, seed: int
    ) -> None:
        """Train on the likeliest label of each example."""
        self._learn([str(example[self.field]) for example in examples], [int(row.argmax()) for row in targets])

    def _learn(self, examples: list[str], labels: list[int]) -> None:
        self._pipeline = fitted(examples, labels)
        self._learned = {"texts": examples, "labels": labels}

    def predict(self, examples: Sequence[Mapping[str, Any]]) -> Any:
        """Return probabilities (n, 2)."""
        return self._pipeline.predict_proba([str(example[self.field]) for example in examples]).astype(np.float32)

    def embed(self, examples: Sequence[Mapping[str, Any]]) -> None:
        """It has no vectors."""
        return

    def save(self, folder: Path) -> None:
        """Write the training texts."""
        (folder / "learned.json").write_text(json.dumps(self._learned), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Read the training texts and fit."""
        learned = json.loads((folder / "learned.json").read_text(encoding="utf-8"))
        self._learn(learned["texts"], learned["labels"])
