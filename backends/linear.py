"""`backends.linear:Linear`: TF-IDF and logistic regression. The default for text: quick to train, quicker to ask."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adapter.errors import BackendError
from adapter.ports import Floats
from adapter.vocabulary import JsonObject
from backends.files import damaged, read_model, write_model
from backends.head import Head, checked, fit_head
from backends.options import need_fields, positive, refuse_unknown, span, whole
from backends.terms import Terms
from backends.text import text_of

NAME = "Linear"
OPTIONS = ("max_features", "ngrams", "chars", "c", "dimensions")


class Linear:
    """Words and characters, counted; a linear model on top.

    fields: task fields, joined. max_features: most frequent terms kept. ngrams: shortest and longest run of words.
    chars: shortest and longest run of characters within a word, [] for none. c: inverse strength of regularisation.
    dimensions: of `embed`. Probabilities are calibrated as `backends.head` says.
    """

    def __init__(
        self,
        fields: Sequence[str],
        *,
        max_features: int = 50_000,
        ngrams: Sequence[int] = (1, 2),
        chars: Sequence[int] = (2, 4),
        c: float = 30.0,
        dimensions: int = 100,
        **unknown: object,
    ) -> None:
        refuse_unknown(NAME, unknown, OPTIONS)
        self.fields = need_fields(NAME, fields)
        self.max_features = whole(NAME, "max_features", max_features, 1, 10_000_000)
        self.ngrams = span(NAME, "ngrams", ngrams)
        self.chars = span(NAME, "chars", chars, empty=True)
        self.c = positive(NAME, "c", c)
        self.dimensions = whole(NAME, "dimensions", dimensions, 1, 4096)
        self._terms: Terms | None = None
        self._head: Head | None = None
        self._basis: Floats | None = None  # (d, dimensions), found when first asked for
        self._fitted_on: tuple[Any, int] | None = None  # TF-IDF (n, d) and seed, until the basis is found

    def fit(
        self, examples: Sequence[JsonObject], targets: Floats, *, weights: Floats, multiple: bool, seed: int
    ) -> None:
        """Train from scratch; see `adapter.ports.Backend`. Raises BackendError without two classes or any term."""
        texts = [text_of(example, self.fields) for example in examples]
        readable = np.asarray([text is not None for text in texts], bool)
        goal, mass, rows = checked(examples, targets, weights, readable, f"text in {list(self.fields)}")
        kept = [texts[row] or "" for row in rows]
        try:
            terms, matrix = Terms.fit(kept, self.max_features, self.ngrams, self.chars)
        except ValueError as error:
            raise BackendError(
                f"the texts in {list(self.fields)} hold no word",
                where="fit",
                remedy="Check that the fields are the ones with text.",
            ) from error
        head = fit_head(matrix, goal, mass, multiple=multiple, c=self.c, keys=kept, seed=seed)
        self._terms, self._head, self._basis, self._fitted_on = terms, head, None, (matrix, seed)

    def predict(self, examples: Sequence[JsonObject]) -> Floats:
        """Return probabilities (n, k); NaN rows where no field is there. About 0.1 ms an example, no start-up cost."""
        terms, head = self._fitted()
        out = np.full((len(examples), len(head.bias)), np.nan, np.float32)
        coef, logits, rows = head.coef, [], []
        for row, example in enumerate(examples):
            text = text_of(example, self.fields)
            if text is not None:
                columns, values = terms.transform(text)
                logits.append(values @ coef[columns])
                rows.append(row)
        if rows:
            answers = head.probabilities(np.asarray(logits, np.float64) + head.bias)
            if len(rows) == len(examples):
                return answers
            out[rows] = answers
        return out

    def embed(self, examples: Sequence[JsonObject]) -> Floats:
        """Return vectors (n, d), d at most `dimensions`: TF-IDF on its main directions in the training texts (latent
        semantic analysis, Deerwester et al. 1990), length 1. Zero where nothing is known of the text. Needs `fit`."""
        terms, _ = self._fitted()
        basis = self._directions()
        out = np.zeros((len(examples), basis.shape[1]), np.float32)
        for row, example in enumerate(examples):
            text = text_of(example, self.fields)
            if text is not None:
                columns, values = terms.transform(text)
                vector = values @ basis[columns]
                length = np.sqrt(vector @ vector)
                if length > 1e-6:
                    out[row] = vector / length
        return out

    def save(self, folder: Path) -> None:
        """Write the model into an empty folder."""
        terms, head = self._fitted()
        arrays = {"idf": terms.idf, "basis": self._directions(), **head.arrays()}
        meta = {
            "vocabulary": terms.vocabulary,
            "ngrams": list(terms.ngrams),
            "chars": list(terms.chars),
            "head": head.meta(),
        }
        write_model(folder, NAME, meta, arrays)

    def load(self, folder: Path) -> None:
        """Become the model that was saved there. Raises ModelError."""
        meta, arrays = read_model(folder, NAME)
        try:
            head = Head.from_parts(meta, arrays)
            vocabulary, idf, basis = [str(term) for term in meta["vocabulary"]], arrays["idf"], arrays["basis"]
            size = len(vocabulary)
            if idf.shape != (size,) or basis.ndim != 2 or basis.shape[0] != size or head.coef.shape[0] != size:
                raise ValueError(f"{size} terms do not fit the arrays")
            ngrams, chars = span(NAME, "ngrams", meta["ngrams"]), span(NAME, "chars", meta["chars"], empty=True)
        except (KeyError, TypeError, ValueError, BackendError) as error:
            raise damaged(folder, NAME, str(error)) from error
        self._terms, self._head = Terms(vocabulary, idf, ngrams, chars), head
        self._basis, self._fitted_on = basis.astype(np.float32), None

    def _fitted(self) -> tuple[Terms, Head]:
        if self._terms is None or self._head is None:
            raise BackendError("this model is not trained yet", where=NAME, remedy="Call fit or load first.")
        return self._terms, self._head

    def _directions(self) -> Floats:
        """Return the basis (d, dimensions), at its first use: cross-validation never asks for it."""
        if self._basis is None:
            from sklearn.utils.extmath import randomized_svd

            assert self._fitted_on is not None
            matrix, seed = self._fitted_on
            size = min(self.dimensions, *matrix.shape)
            _, _, right = randomized_svd(matrix, size, n_iter=4, random_state=seed % 2**32)
            self._basis = np.ascontiguousarray(right.T, np.float32)
            self._fitted_on = None
        return self._basis
