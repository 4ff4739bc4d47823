"""What a worker calls: a labeling function with its resources made once and its preprocessors' memory."""

from __future__ import annotations

import functools
from collections.abc import Callable

from adapter.labeling.answers import ResourceFailed
from adapter.labeling.function import Answer, LabelingFunction, Rule
from adapter.labeling.preprocess import chain
from adapter.labeling.resources import Resources
from adapter.vocabulary import JsonObject


def bound(function: LabelingFunction) -> Callable[[JsonObject], Answer]:
    """Return what to call for each row: the author's own function when it needs nothing else, otherwise a `Bound`."""
    if not function.resources and not function.pre:
        return function.function
    return Bound(function)


class Bound:
    """A function with its resources, made at the first call or by `prepare`, and its preprocessors, with memory.

    Errors of the function and of its preprocessors go through as they are; a resource that cannot be made raises
    ResourceFailed at each call.
    """

    __slots__ = ("_ready", "_resources", "_rule", "_steps")

    def __init__(self, function: LabelingFunction) -> None:
        self._rule: Rule = function.function
        self._resources = Resources(function.resources)
        self._steps = chain(function.pre) if function.pre else None
        self._ready: Rule | None = None if function.resources else function.function

    def __call__(self, data: JsonObject) -> Answer:
        """Return the author's answer for one task's data, unchecked."""
        ready = self._ready
        if ready is None:
            ready = self._make()
        return ready(data) if self._steps is None else ready(self._steps(data))

    def prepare(self) -> str:
        """Make the resources now, outside of any row's time limit; return why one could not be made, or nothing."""
        try:
            if self._ready is None:
                self._make()
        except ResourceFailed as error:
            return str(error)
        return ""

    def _make(self) -> Rule:
        self._ready = functools.partial(self._rule, **self._resources.get())
        return self._ready
