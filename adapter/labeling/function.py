"""What a labeling function is: the decorator that declares one, and the value that the rest of the house sees."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, overload

from adapter.errors import FunctionsError
from adapter.labeling.preprocess import Preprocessor, checked_steps
from adapter.labeling.resources import checked_resources
from adapter.vocabulary import JsonObject

Answer: TypeAlias = "str | tuple[str, float] | None"
"""A label's name, a label with a confidence in 0..1, or None to abstain."""
Rule: TypeAlias = Callable[..., Answer]
BatchRule: TypeAlias = Callable[[Sequence[JsonObject]], Sequence[Answer]]
Example: TypeAlias = tuple[JsonObject, "str | None"]
"""A task's data and the label that the author expects of it, None for an abstention."""

LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Declared:
    """A labeling function made by a call rather than written as code, readable in a table.

    kind: `keywords`, `regex`, `lookup`, `column`, `nearest`, `model_output` or `llm`. label: what it votes, empty where
    the answer depends on the row (a lookup with several labels). fields: the task fields that it looks at. spec: all
    that it is made of, plain JSON: the same spec gives the same votes, and its digest is the function's version. words:
    the spec as a person reads it in a table.
    """

    kind: str
    label: str
    fields: tuple[str, ...]
    spec: JsonObject = field(hash=False)
    words: str


@dataclass(frozen=True, slots=True)
class LabelingFunction:
    """A declared labeling function; calling it calls the author's function, with its resources and preprocessors.

    name: of a declared function empty until `discover` has found the variable that holds it. function: the rule for
    one row; for a declared function the reference that every faster way must equal. control: the label config's control
    it votes on; None stands for the only one. version: hex digest of what it is made of, empty until `discover` has
    found it. doc: first paragraph of its docstring. module: the file it was declared in, and line there (0 unknown).
    timeout_s: seconds for one call, None for the engine's. origin: what to `discover` to load it again elsewhere.
    examples: what the author wrote beside it. resources: keyword argument to its maker, which each worker calls once.
    pre: steps that come before it. batch: the same answers for many rows at once, where that is faster. declared: how
    it was made, if by a call. indexed: it answers with an index into its control's labels, -1 to abstain, as Snorkel's
    functions do.
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
    indexed: bool = False

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
        called = name or getattr(rule, "__name__", "")
        makers = checked_resources(called, resources)
        made = declared_function(rule, name, control, timeout_s, tuple(makers))
        shown = checked_examples(called, examples)
        return LabelingFunction(**made, examples=shown, resources=makers, pre=checked_steps(called, pre))

    return declare if function is None else declare(function)


def checked_name(name: object) -> str:
    """Return a function's name. Raises FunctionsError when it is empty, long or not printable."""
    if isinstance(name, str) and name.strip() and name.isprintable() and len(name) <= LONGEST_NAME:
        return name
    raise FunctionsError(
        f"{str(name)[:LONGEST_NAME]!r} is no name for a labeling function",
        remedy=f"Use a short printable name of at most {LONGEST_NAME} characters.",
    )


def checked_examples(name: str, examples: object) -> tuple[Example, ...]:
    """Return the examples that an author wrote beside a function. Raises FunctionsError when one is no pair of a task's
    data and a label or None."""
    remedy = "Write examples=[({'text': 'see http://x'}, 'spam'), ({'text': 'hi'}, None)]."
    if isinstance(examples, str | Mapping) or not isinstance(examples, Sequence):
        raise FunctionsError(f"examples of '{name}' are no list", remedy=remedy)
    if len(examples) == 2 and isinstance(examples[0], Mapping) and not isinstance(examples[1], Mapping):
        raise FunctionsError(f"examples of '{name}' are one pair, not a list of pairs", remedy=remedy)
    pairs: list[Example] = []
    for number, example in enumerate(examples, 1):
        if not isinstance(example, tuple | list) or len(example) != 2:
            raise FunctionsError(f"example {number} of '{name}' is no pair of data and label", remedy=remedy)
        data, label = example
        if not isinstance(data, Mapping) or not all(isinstance(key, str) for key in data):
            raise FunctionsError(f"the data of example {number} of '{name}' is no mapping of fields", remedy=remedy)
        if label is not None and not isinstance(label, str):
            raise FunctionsError(f"example {number} of '{name}' expects {label!r}, which is no label", remedy=remedy)
        pairs.append((dict(data), label))
    return tuple(pairs)


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
    checked_name(called)
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
