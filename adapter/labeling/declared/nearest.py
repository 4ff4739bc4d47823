"""`nearest`: votes where a task is close to one of the author's exemplars in an embedding space."""

from __future__ import annotations

import importlib
import json
import math
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.errors import BackendError, FunctionsError
from adapter.labeling.declared.common import (
    Common,
    Place,
    checked_confidence,
    checked_field,
    checked_label,
    checked_number,
    make,
    place,
    shortened,
    vote,
)
from adapter.labeling.function import Answer, Declared, LabelingFunction
from adapter.vocabulary import JsonObject

ROWS_AT_A_TIME = 256
TOLERANCE = 1e-4
"""Of a cosine: an embedding's last digits depend on what else was embedded with it."""

VECTORS = 4096
"""Texts whose vectors a process remembers for each embedder: a few chunks of rows, some megabytes."""

_loading = threading.Lock()
_vectors: dict[tuple[str, str], OrderedDict[str, npt.NDArray[np.float32]]] = {}


@dataclass(frozen=True, slots=True)
class NearestRule:
    """Votes `label` where the cosine to the closest exemplar is `at_least`. exemplars: tasks' data, as JSON texts so
    that they cannot change."""

    label: str
    field: str
    exemplars: tuple[str, ...]
    embedder: str
    at_least: float
    confidence: float | None

    def __call__(self, data: JsonObject) -> Answer:
        """Return the vote for one task's data. Raises BackendError where it cannot be embedded."""
        return self.batch([data])[0]

    def batch(self, rows: Sequence[JsonObject]) -> list[Answer]:
        """Return the votes for many tasks; they are embedded `ROWS_AT_A_TIME`."""
        answers: list[Answer] = [None] * len(rows)
        present = [row for row, data in enumerate(rows) if _is_there(data.get(self.field))]
        for start in range(0, len(present), ROWS_AT_A_TIME):
            part = present[start : start + ROWS_AT_A_TIME]
            closest = self.similarities([rows[row] for row in part])
            for row, cosine in zip(part, closest, strict=True):
                if cosine >= self.at_least - TOLERANCE:
                    answers[row] = vote(self.label, self.confidence)
        return answers

    def similarities(self, rows: Sequence[JsonObject]) -> npt.NDArray[np.float32]:
        """Return the cosine of each row to its closest exemplar, float32 (n,)."""
        with _loading:  # two threads must not load the same model twice
            known = _exemplars(self.embedder, self.field, self.exemplars)
        vectors = _remembered(self.embedder, self.field, [row.get(self.field) for row in rows])
        return np.max(vectors @ known.T, axis=1, initial=-1.0)  # type: ignore[no-any-return]


def nearest(
    label: str,
    exemplars: Iterable[str | JsonObject],
    *,
    field: str = "text",
    embedder: str = "backends.embedding:Embedding",
    at_least: float = 0.8,
    name: str = "",
    control: str | None = None,
    examples: Sequence[Any] = (),
    confidence: float | None = None,
    doc: str = "",
) -> LabelingFunction:
    """Vote `label` where `field` is near one of the exemplars: the cosine of their embeddings is `at_least` or more.

    exemplars: texts, or tasks' data with the field. embedder: `module:factory`; it is called as
    factory(fields=(field,)) once a process, and its `embed(rows)` returns vectors (n, d) of length 1. at_least: in
    -1..1, with a tolerance of 1e-4. It abstains where the field is missing, None or empty. Options of all declared
    functions: `declared.common.make`. Raises FunctionsError when there are no exemplars or the embedder is no dotted
    path; an embedder that cannot be loaded is a fault of each call.
    """
    at = place()
    checked_label("nearest", label, at)
    checked_field("nearest", field, at)
    rows = _rows(exemplars, field, at)
    if not isinstance(embedder, str) or not _is_path(embedder):
        raise FunctionsError(
            f"nearest: embedder={embedder!r} is not `module:factory`",
            where=str(at),
            remedy="Write for example embedder='backends.embedding:Embedding'.",
        )
    least = checked_number("nearest", "at_least", at_least, at)
    if not -1 <= least <= 1:
        raise FunctionsError(
            f"nearest: at_least={at_least!r} is no cosine", where=str(at), remedy="Give a number from -1 to 1."
        )
    sure = checked_confidence("nearest", confidence, at)
    spec = {
        "kind": "nearest", "label": label, "field": field, "embedder": embedder, "at_least": least, "confidence": sure,
        "exemplars": list(rows),
    }  # fmt: skip
    many = "1 exemplar" if len(rows) == 1 else f"{len(rows)} exemplars"
    first = json.loads(rows[0])[field]
    shown = f"{field} within {least:g} of {many}"
    if isinstance(first, str):
        shown += f", such as '{first}'"
    rule = NearestRule(label, field, rows, embedder, least, sure)
    declared = Declared("nearest", label, (field,), spec, shortened(shown))
    return make(declared, rule, Common(name, control, examples, confidence, doc), at, rule.batch)


def _is_there(value: object) -> bool:
    return value is not None and value != "" and not (isinstance(value, float) and math.isnan(value))


def _is_path(text: str) -> bool:
    module, colon, factory = text.partition(":")
    return bool(colon) and factory.isidentifier() and all(part.isidentifier() for part in module.split("."))


def _rows(exemplars: object, field: str, at: Place) -> tuple[str, ...]:
    """The exemplars' data as JSON, each once."""
    remedy = f'Write nearest("label", ["..."]) or nearest("label", [{{"{field}": "..."}}]).'
    if isinstance(exemplars, str | bytes | Mapping) or not isinstance(exemplars, Iterable):
        raise FunctionsError("nearest: the exemplars are not a list", where=str(at), remedy=remedy)
    rows: dict[str, None] = {}
    for number, one in enumerate(exemplars, 1):
        value = one.get(field) if isinstance(one, Mapping) else one
        if not _is_there(value) or not (isinstance(one, Mapping | str)):
            raise FunctionsError(f"nearest: exemplar {number} has no '{field}'", where=str(at), remedy=remedy)
        try:
            rows[json.dumps({field: value}, sort_keys=True)] = None
        except (TypeError, ValueError) as error:
            raise FunctionsError(
                f"nearest: exemplar {number} is no plain data ({error})", where=str(at), remedy=remedy
            ) from error
    if not rows:
        raise FunctionsError("nearest: there are no exemplars", where=str(at), remedy=remedy)
    return tuple(rows)


@lru_cache(maxsize=8)
def _embedder(path: str, field: str) -> Any:
    module, _, factory = path.partition(":")
    try:
        made = getattr(importlib.import_module(module), factory)(fields=(field,))
    except BackendError:
        raise
    except Exception as error:  # whatever a foreign module raises
        raise BackendError(
            f"the embedder '{path}' cannot be loaded: {type(error).__name__}: {error}",
            remedy="Give `module:factory` of an installed module; it is called as factory(fields=(field,)).",
        ) from error
    if not callable(getattr(made, "embed", None)):
        raise BackendError(f"the embedder '{path}' has no method `embed`", remedy="Give it embed(rows) -> vectors.")
    return made


def _embedded(path: str, field: str, rows: Sequence[JsonObject]) -> npt.NDArray[np.float32]:
    vectors = np.asarray(_embedder(path, field).embed(rows), np.float32)
    if vectors.ndim != 2 or len(vectors) != len(rows):
        raise BackendError(
            f"the embedder '{path}' returned an array {vectors.shape} for {len(rows)} rows",
            remedy="Return one vector a row.",
        )
    return np.nan_to_num(vectors, copy=False)


def _remembered(path: str, field: str, values: Sequence[Any]) -> npt.NDArray[np.float32]:
    """Return one vector for each value. Several functions look at the same rows one after the other, and each text is
    embedded once for all of them: the last `VECTORS` texts are remembered."""
    known = _vectors.setdefault((path, field), OrderedDict())
    found: list[npt.NDArray[np.float32] | None] = [known.get(v) if type(v) is str else None for v in values]
    lost = [row for row, vector in enumerate(found) if vector is None]
    if lost:
        for row, vector in zip(lost, _embedded(path, field, [{field: values[row]} for row in lost]), strict=True):
            found[row] = vector
            if type(values[row]) is str:
                known[values[row]] = vector
    while len(known) > VECTORS:
        known.popitem(last=False)
    return np.stack([vector for vector in found if vector is not None])


@lru_cache(maxsize=64)
def _exemplars(path: str, field: str, rows: tuple[str, ...]) -> npt.NDArray[np.float32]:
    return _embedded(path, field, [json.loads(row) for row in rows])
