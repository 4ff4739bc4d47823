"""What a labeling function is: the decorator that declares one, and the value that the rest of the house sees."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, overload

from adapter.errors import FunctionsError
from adapter.vocabulary import JsonObject

Answer: TypeAlias = "str | tuple[str, float] | None"
"""A label's name, a label with a confidence in 0..1, or None to abstain."""
Rule: TypeAlias = Callable[..., Answer]
BatchRule: TypeAlias = Callable[[Sequence[JsonObject]], Sequence[Answer]]
Example: TypeAlias = tuple[JsonObject, "str | None"]
"""A task's data and the label that the author expects of it, None for an abstention."""

LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Preprocessor:
    """A step before a function: takes a task's data and returns data with more in it. memory: how many results each
    worker remembers; two functions that share a preprocessor share its memory."""

    name: str
    function: Callable[[JsonObject], JsonObject]
    memory: int = 10_000

    def __call__(self, data: JsonObject) -> JsonObject:
        """Return the author's answer for one task's data, not remembered."""
        return self.function(data)


@dataclass(frozen=True, slots=True)
class Declared:
    """A labeling function made by a call rather than written as code, readable in a table.

    kind: `keywords`, `regex`, `lookup`, `column`, `nearest` or `model_output`. label: what it votes, empty where the
    answer depends on the row (a lookup with several labels). fields: the task fields that it looks at. spec: all that
    it is made of, plain JSON: the same spec gives the same votes, and its digest is the function's version. words: the
    spec as a person reads it in a table.
    """

    kind: str
    label: str
    fields: tuple[str, ...]
    spec: JsonObject = field(hash=False)
    words: str


@dataclass(frozen=True, slots=True)
class LabelingFunction:
    """A declared labeling function; calling it calls the author's function, with its resources and preprocessors.

    function: the rule for one row; for a declared function the reference that every faster way must equal. control: the
    label config's control it votes on; None stands for the only one. version: hex digest of what it is made of, empty
    until `discover` has found it. doc: first paragraph of its docstring. module: the file it was declared in, and line
    there (0 unknown). timeout_s: seconds for one call, None for the engine's. origin: what to `discover` to load it
    again elsewhere. examples: what the author wrote beside it. resources: keyword argument to its maker, which each
    worker calls once. pre: steps that come before it. batch: the same answers for many rows at once, where that is
    faster. declared: how it was made, if by a call.
    """

    name: str
    function: Rule
    control: str | None = None
    version: str = ""
    doc: str = ""
    module: str = ""
    timeout_s: float | None = None
    origin: str = ""
    line: int = 0
    examples: tuple[Example, ...] = field(default=(), hash=False)
    resources: Mapping[str, Callable[[], Any]] = field(default_factory=dict, hash=False)
    pre: tuple[Preprocessor, ...] = ()
    batch: BatchRule | None = None
    declared: Declared | None = None

    def __call__(self, data: JsonObject) -> Answer:
        """Return the author's answer for one task's data, unchecked. Resources are made anew: engines keep them."""
        for step in self.pre:
            data = step(data)
        return self.function(data, **{name: make() for name, make in self.resources.items()})


@overload
def labeling_function(function: Rule) -> LabelingFunction: ...
@overload
def labeling_function(
    function: None = None,
    *,
    name: str = "",
    control: str | None = None,
    timeout_s: float | None = None,
    examples: Sequence[Example] = (),
    resources: Mapping[str, Callable[[], Any]] | None = None,
    pre: Sequence[Preprocessor] = (),
) -> Callable[[Rule], LabelingFunction]: ...
def labeling_function(
    function: Rule | None = None,
    *,
    name: str = "",
    control: str | None = None,
    timeout_s: float | None = None,
    examples: Sequence[Example] = (),
    resources: Mapping[str, Callable[[], Any]] | None = None,
    pre: Sequence[Preprocessor] = (),
) -> LabelingFunction | Callable[[Rule], LabelingFunction]:
    """Declare a labeling function, bare or with options.

    name: unique in the project; the function's own if empty. control: needed where the label config has several.
    timeout_s: seconds for one call. examples: (data, label or None) pairs that `hitl lf test` holds it to. resources:
    argument name to a callable without arguments, such as one that loads a word list; each worker calls it once. pre:
    preprocessors, in order. Raises FunctionsError when the function cannot be called with one task's data.
    """

    def declare(rule: Rule) -> LabelingFunction:
        made = declared_function(rule, name, control, timeout_s, tuple(resources or ()))
        return LabelingFunction(**made, examples=tuple(examples), resources=dict(resources or {}), pre=tuple(pre))

    return declare if function is None else declare(function)


def declared_function(
    rule: Rule, name: str, control: str | None, timeout_s: float | None, keywords: Sequence[str] = ()
) -> dict[str, Any]:
    """Check what every labeling function must satisfy; return the fields of `LabelingFunction` that follow from it.

    keywords: names of the arguments besides the task's data. Raises FunctionsError."""
    called = name or getattr(rule, "__name__", "")
    if not callable(rule) or isinstance(rule, LabelingFunction):
        raise FunctionsError(
            f"{rule!r} is not a plain function", remedy="Write @labeling_function once, above a `def` or with options."
        )
    if not isinstance(called, str) or not called.strip() or not called.isprintable() or len(called) > LONGEST_NAME:
        raise FunctionsError(
            f"{called!r} is no name for a labeling function",
            remedy=f"Use a short printable name of at most {LONGEST_NAME} characters.",
        )
    if timeout_s is not None and not (0 < timeout_s < math.inf):
        raise FunctionsError(f"timeout_s={timeout_s} of '{called}' is not a positive number of seconds")
    if inspect.iscoroutinefunction(rule) or inspect.isgeneratorfunction(rule) or inspect.isasyncgenfunction(rule):
        raise FunctionsError(
            f"'{called}' is a coroutine or a generator", remedy="Use a plain `def` that returns a label."
        )
    try:
        inspect.signature(rule).bind({}, **dict.fromkeys(keywords))
    except TypeError as error:
        raise FunctionsError(
            f"'{called}' cannot be called with one argument ({error})",
            remedy="A labeling function takes one argument, the task's data, and its resources by name.",
        ) from error
    except ValueError:  # a builtin without a signature: the first call will tell
        pass
    doc = (inspect.getdoc(rule) or "").split("\n\n")[0].replace("\n", " ").strip()
    code = getattr(rule, "__code__", None)
    return {
        "name": called,
        "function": rule,
        "control": control,
        "doc": doc,
        "timeout_s": timeout_s,
        "line": code.co_firstlineno if code is not None else 0,
    }
