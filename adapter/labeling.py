"""Labeling functions: the decorator that declares one, and `discover`, which loads a project's; no global registry.

A labeling function looks at one task's data and returns a label's name, or None to abstain:

    @labeling_function
    def has_link(data):
        return "spam" if "http" in data["text"] else None

Its version is the digest of the sources it is made of, so only changed functions vote again.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TypeAlias, overload

from adapter.errors import FunctionsError, nearest
from adapter.kinds import learned
from adapter.loading import Loaded, load
from adapter.vocabulary import Control, JsonObject, LabelSpace

Rule: TypeAlias = Callable[[JsonObject], "str | None"]

_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class LabelingFunction:
    """A declared labeling function; calling it calls the author's function.

    control: the label config's control it votes on; None stands for the only one. version: hex digest of its sources,
    empty until `discover` has found it. doc: first paragraph of its docstring. module: the file it was declared in.
    timeout_s: seconds for one call, None for the engine's. origin: what to `discover` to load it again elsewhere.
    """

    name: str
    function: Rule
    control: str | None = None
    version: str = ""
    doc: str = ""
    module: str = ""
    timeout_s: float | None = None
    origin: str = ""

    def __call__(self, data: JsonObject) -> str | None:
        """Return the author's answer for one task's data, unchecked."""
        return self.function(data)


@overload
def labeling_function(function: Rule) -> LabelingFunction: ...
@overload
def labeling_function(
    function: None = None, *, name: str = "", control: str | None = None, timeout_s: float | None = None
) -> Callable[[Rule], LabelingFunction]: ...
def labeling_function(
    function: Rule | None = None, *, name: str = "", control: str | None = None, timeout_s: float | None = None
) -> LabelingFunction | Callable[[Rule], LabelingFunction]:
    """Declare a labeling function, bare or with options.

    name: unique in the project; the function's own if empty. control: needed where the label config has several.
    timeout_s: seconds for one call. Raises FunctionsError when the function cannot be called with one task's data.
    """

    def declare(rule: Rule) -> LabelingFunction:
        return _declared(rule, name, control, timeout_s)

    return declare if function is None else declare(function)


def _declared(rule: Rule, name: str, control: str | None, timeout_s: float | None) -> LabelingFunction:
    called = name or getattr(rule, "__name__", "")
    if not callable(rule) or isinstance(rule, LabelingFunction):
        raise FunctionsError(
            f"{rule!r} is not a plain function", remedy="Write @labeling_function once, above a `def` or with options."
        )
    if not isinstance(called, str) or not called.strip() or not called.isprintable() or len(called) > _LONGEST_NAME:
        raise FunctionsError(
            f"{called!r} is no name for a labeling function",
            remedy=f"Use a short printable name of at most {_LONGEST_NAME} characters.",
        )
    if timeout_s is not None and not 0 < timeout_s < float("inf"):
        raise FunctionsError(f"timeout_s={timeout_s} of '{called}' is not a positive number of seconds")
    if inspect.iscoroutinefunction(rule) or inspect.isgeneratorfunction(rule) or inspect.isasyncgenfunction(rule):
        raise FunctionsError(
            f"'{called}' is a coroutine or a generator", remedy="Use a plain `def` that returns a label."
        )
    try:
        inspect.signature(rule).bind({})
    except TypeError as error:
        raise FunctionsError(
            f"'{called}' cannot be called with one argument ({error})",
            remedy="A labeling function takes one argument: the task's data.",
        ) from error
    except ValueError:  # a builtin without a signature: the first call will tell
        pass
    doc = (inspect.getdoc(rule) or "").split("\n\n")[0].replace("\n", " ").strip()
    return LabelingFunction(called, rule, control=control, doc=doc, timeout_s=timeout_s)


def discover(spec: str | Path, *, base: Path | None = None) -> list[LabelingFunction]:
    """Load the labeling functions that `spec` names: a file, a folder (every .py in it) or a dotted module or package.

    base: the folder that relative paths start from (default: the current one); a file or folder there goes before an
    installed module of the same dotted name. Modules are loaded anew when their sources have changed. Order: by module
    path, then as declared. Returns an empty list when there are none. Raises FunctionsError when `spec` is not there, a
    module does not import (with file, line and the last line of the traceback), or two functions share a name.
    """
    found: dict[str, LabelingFunction] = {}
    seen: dict[int, str] = {}
    for loaded in load(spec, base=base):
        for function in _declarations(loaded.module):
            if id(function) in seen:  # imported from a sibling: one function, not two
                continue
            seen[id(function)] = function.name
            if function.name in found:
                raise FunctionsError(
                    f"two labeling functions are called '{function.name}'",
                    where=f"{_place(found[function.name])} and {_place(function)}",
                    remedy="Rename one, or give it @labeling_function(name=...).",
                )
            found[function.name] = _placed(function, loaded)
    return list(found.values())


def _declarations(module: ModuleType) -> list[LabelingFunction]:
    return [value for value in vars(module).values() if isinstance(value, LabelingFunction)]


def _placed(function: LabelingFunction, loaded: Loaded) -> LabelingFunction:
    return replace(function, version=loaded.version, module=str(loaded.file), origin=loaded.origin)


def _place(function: LabelingFunction) -> str:
    code = getattr(function.function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else function.module


def control_of(function: LabelingFunction, space: LabelSpace) -> Control:
    """Return the control that a function votes on. Raises FunctionsError if it names a wrong one or none."""
    voted = list(learned(space))
    names = [control.name for control in voted]
    if function.control is None:
        if len(voted) == 1:
            return voted[0]
        raise FunctionsError(
            f"labeling function '{function.name}' names no control, and the label config has {len(voted)} with labels",
            where=_place(function),
            remedy=f"Write @labeling_function(control=...). Valid: {', '.join(names)}." if names else "",
        )
    if function.control not in names:
        raise FunctionsError(
            f"labeling function '{function.name}' votes on '{function.control}', which the label config does not have",
            where=_place(function),
            remedy=nearest(function.control, names),
        )
    return space.control(function.control)


def check(functions: Sequence[LabelingFunction], space: LabelSpace) -> list[FunctionsError]:
    """Return what is wrong with the functions' controls under this label space; empty when all is well."""
    wrong = []
    for function in functions:
        try:
            control_of(function, space)
        except FunctionsError as error:
            wrong.append(error)
    return wrong
