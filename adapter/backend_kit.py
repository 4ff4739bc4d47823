"""`TwoMethods`: a model backend of which an author writes `fit` and `predict`; options, saving and loading are here.

class Length(TwoMethods):
    options = {"width": 10.0}                 # name to default: everything else is refused, with advice

    def fit(self, examples, targets, *, weights, multiple, seed):
        self.learned = {"means": ...}         # arrays and JSON: all that `predict` looks at

    def predict(self, examples):
        return ... self.learned["means"] ...
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from adapter.errors import BackendError, ModelError, nearest
from adapter.ports import Floats
from adapter.vocabulary import JsonObject

ARRAYS = "arrays.safetensors"
REST = "learned.json"


class TwoMethods:
    """Base of a backend, see `adapter.ports.Backend` for what `fit` and `predict` have to do.

    options: name to default; an instance has each as an attribute, with the type of its default. learned: filled by
    `fit`: names to NumPy arrays or to JSON values. It is what a model is: kept on disk without pickle, and brought
    back. None until then.
    """

    options: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, fields: Sequence[str], **given: Any) -> None:
        name = type(self).__name__
        if isinstance(fields, str) or not fields:
            raise BackendError(
                f"{name} needs the names of the task fields to look at", where="fields", remedy="Give them as a tuple."
            )
        self.fields = tuple(fields)
        self.learned: dict[str, Any] | None = None
        for option, value in given.items():
            if option not in self.options:
                raise BackendError(
                    f"'{option}' is no option of {name}", where="backend.options", remedy=nearest(option, self.options)
                )
            self._fits(option, value)
        for option, default in self.options.items():
            setattr(self, option, given.get(option, default))

    def fit(
        self, examples: Sequence[JsonObject], targets: Floats, *, weights: Floats, multiple: bool, seed: int
    ) -> None:
        """Fill `learned`. To be written by the author."""
        raise BackendError(
            f"{type(self).__name__} does not say how it learns", where="fit", remedy="Write its method `fit`."
        )

    def predict(self, examples: Sequence[JsonObject]) -> Floats:
        """Return probabilities by `learned`. To be written by the author."""
        raise BackendError(
            f"{type(self).__name__} does not say how it answers", where="predict", remedy="Write its method `predict`."
        )

    def embed(self, examples: Sequence[JsonObject]) -> Floats | None:
        """Return None: no vectors. Override it where there are some: the order of tasks then spreads over the data."""
        return None

    def fitted(self) -> dict[str, Any]:
        """Return `learned`. Raises BackendError before `fit` or `load`."""
        if self.learned is None:
            raise BackendError(
                "this model is not trained yet", where=type(self).__name__, remedy="Call fit or load first."
            )
        return self.learned

    def save(self, folder: Path) -> None:
        """Write `learned` into an empty folder: arrays as safetensors, the rest as JSON."""
        from safetensors.numpy import save_file

        learned = self.fitted()
        arrays = {name: np.ascontiguousarray(value) for name, value in learned.items() if isinstance(value, np.ndarray)}
        rest = {name: value for name, value in learned.items() if name not in arrays}
        try:
            text = json.dumps({"backend": type(self).__name__, "learned": rest}, ensure_ascii=False)
        except (TypeError, ValueError) as error:
            raise BackendError(
                f"what {type(self).__name__} has learned cannot be kept: {error}",
                where="learned",
                remedy="Put NumPy arrays and plain JSON values into `learned`.",
            ) from error
        save_file(arrays, folder / ARRAYS)
        (folder / REST).write_text(text, encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Become the model that was saved there. Raises ModelError."""
        from safetensors.numpy import load_file

        try:
            document = json.loads((folder / REST).read_text(encoding="utf-8"))
            arrays = load_file(folder / ARRAYS)
            if document["backend"] != type(self).__name__ or not isinstance(document["learned"], dict):
                raise ValueError(f"it was saved by {document['backend']!r}")
        except Exception as error:  # safetensors raises its own type, json and the file system theirs
            raise ModelError(
                f"no {type(self).__name__} model can be loaded: {type(error).__name__}: {error}",
                where=str(folder),
                remedy="Go back to an earlier model version, or train again.",
            ) from error
        self.learned = {**document["learned"], **arrays}

    def _fits(self, option: str, value: object) -> None:
        default = self.options[option]
        number = isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool)
        if default is None or number or type(value) is type(default):
            return
        raise BackendError(
            f"option '{option}' of {type(self).__name__} is {value!r}",
            where="backend.options",
            remedy=f"Give a {type(default).__name__}, such as {default!r}.",
        )
