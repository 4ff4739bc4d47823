"""Resources: what a labeling function needs besides the data, such as a word list or a model; made once per worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from adapter.errors import FunctionsError
from adapter.labeling.answers import ResourceFailed, reason


def checked_resources(name: str, resources: object) -> dict[str, Callable[[], Any]]:
    """Return a function's resources. Raises FunctionsError when they are no mapping of names to callables."""
    if resources is None:
        return {}
    if not isinstance(resources, Mapping) or not all(isinstance(key, str) for key in resources):
        raise FunctionsError(
            f"resources of '{name}' are no mapping of argument names",
            remedy="Write resources={'words': load_words}, and def f(data, words).",
        )
    for key, maker in resources.items():
        if not callable(maker):
            raise FunctionsError(
                f"resource '{key}' of '{name}' is {type(maker).__name__}, not something to call",
                remedy=f"Give what makes it: resources={{'{key}': load_{key}}}, or lambda: for what is there already.",
            )
    return dict(resources)


class Resources:
    """A function's resources in this worker: made at the first need, in their order; a failure stays one."""

    __slots__ = ("_failed", "_made", "makers")

    def __init__(self, makers: Mapping[str, Callable[[], Any]]) -> None:
        self.makers = dict(makers)
        self._made: dict[str, Any] = {}
        self._failed = ""

    def get(self) -> Mapping[str, Any]:
        """Return argument name to resource. Raises ResourceFailed with the reason, each time after a failure.

        A call ended by its time limit is no failure: the next one tries again.
        """
        if self._failed:
            raise ResourceFailed(self._failed)
        for name, maker in self.makers.items():
            if name not in self._made:
                try:
                    self._made[name] = maker()
                except (Exception, SystemExit) as error:  # `sys.exit` in a maker is its author's mistake too
                    self._failed = f"resource '{name}' could not be made: {reason(error)}"
                    raise ResourceFailed(self._failed) from error
        return self._made
