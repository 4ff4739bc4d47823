"""Snorkel's own `LabelingFunction` objects, accepted as they are: their resources and preprocessors are honoured.

What differs on purpose: an exception is a fault with its message, where Snorkel's `fault_tolerant` makes an abstention
of it; and the memory of a memoizing preprocessor keeps its latest results only, where Snorkel's grows without end.
Snorkel is never imported here: an object of its class exists only where its author has imported it.
"""

from __future__ import annotations

import inspect
import sys
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from adapter.errors import nearest
from adapter.labeling.function import LabelingFunction, checked_name
from adapter.labeling.preprocess import MOST_REMEMBERED
from adapter.vocabulary import JsonObject

_CORE = "snorkel.labeling.lf.core"


class Row(SimpleNamespace):
    """A task's data as Snorkel's functions read rows: `x.text` and `x["text"]`, `"text" in x`, `x.get("text")`.

    A field called as a method is, such as `keys`, wins over the method. A copy may be changed without changing the
    task.
    """

    def __getitem__(self, name: str) -> Any:
        try:
            return self.__dict__[name]
        except KeyError:
            raise KeyError(self._advice(name)) from None

    def __setitem__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value

    def __getattr__(self, name: str) -> Any:  # only for what is not there
        raise AttributeError(self._advice(name))

    def __contains__(self, name: object) -> bool:
        return name in self.__dict__

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)

    def __len__(self) -> int:
        return len(self.__dict__)

    def keys(self) -> Any:
        """Return the names of the fields."""
        return self.__dict__.keys()

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field, or the default where it is missing."""
        return self.__dict__.get(name, default)

    def _advice(self, name: str) -> str:
        return f"the task has no field '{name}'. {nearest(name, map(str, self.__dict__))}".rstrip()


@dataclass(frozen=True, slots=True)
class SnorkelRule:
    """Calls a Snorkel labeling function on a row; its answer is an index into the labels, -1 to abstain."""

    function: Any

    def __call__(self, data: JsonObject) -> Any:
        """Return its answer for one task's data, unchecked."""
        row = Row()
        row.__dict__.update(data)
        return self.function(row)


class _Latest(OrderedDict[Any, Any]):
    """A dictionary that lets its oldest entry go."""

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        if len(self) > MOST_REMEMBERED:
            self.popitem(last=False)


def is_snorkel(value: object) -> bool:
    """Whether `value` is a labeling function of Snorkel's."""
    core = sys.modules.get(_CORE)
    kind = getattr(core, "LabelingFunction", None)
    return isinstance(kind, type) and isinstance(value, kind)


def adopted(value: Any) -> LabelingFunction:
    """Return a Snorkel labeling function as one of ours; its answers are indices of labels (`indexed`).

    An attribute `control`, which an author may set on it, names the control where the label config has several. Raises
    FunctionsError for an unusable name."""
    rule = getattr(value, "_f", None)
    code = getattr(rule, "__code__", None)
    for step in getattr(value, "_pre", ()):
        _bound_memory(step)
    return LabelingFunction(
        checked_name(value.name),
        SnorkelRule(value),
        control=control if isinstance(control := getattr(value, "control", None), str) else None,
        doc=(inspect.getdoc(rule) or "").split("\n\n")[0].replace("\n", " ").strip() if code is not None else "",
        line=code.co_firstlineno if code is not None else 0,
        indexed=True,
    )


def _bound_memory(step: Any, depth: int = 8) -> None:
    if type(getattr(step, "_cache", None)) is dict:
        step._cache = _Latest(step._cache)
    if depth:
        for before in getattr(step, "_pre", ()):
            _bound_memory(before, depth - 1)
