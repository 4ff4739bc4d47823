"""Which labels a labeling function can return, read from its source without running it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from adapter.errors import nearest
from adapter.labeling.function import LabelingFunction


def unknown_labels(
    function: LabelingFunction | Callable[..., Any], labels: Sequence[str]
) -> list[tuple[str, int, str]]:
    """Return (label, line in its file, advice) for each text that `function` returns and that is no label.

    Only what is certain is reported: literals and module constants in `return`, alone or with a confidence, and what a
    declared function votes. What is computed is left to the run, which records a fault.
    """
    found: dict[str, tuple[int, str]] = {}
    for value, line in _answers(function):
        if value not in labels and value not in found:
            found[value] = (line, nearest(value, labels))
    return [(value, line, advice) for value, (line, advice) in found.items()]


def _answers(function: LabelingFunction | Callable[..., Any]) -> Iterator[tuple[str, int]]:
    if not isinstance(function, LabelingFunction):
        yield from returned_texts(function)
    elif function.declared is None:
        yield from returned_texts(function.function)
    elif function.declared.label:
        yield function.declared.label, function.line
    else:  # a table with a label for each entry
        table = getattr(function.function, "labels", None)
        values = table.values() if isinstance(table, Mapping) else ()
        yield from ((value, function.line) for value in dict.fromkeys(values) if isinstance(value, str))


def returned_texts(function: Callable[..., Any]) -> Iterator[tuple[str, int]]:
    """Yield (text, line in its file) for every text that a `return` of the function names for certain."""
    try:
        lines, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return  # built without source, or a lambda inside an expression: nothing is certain
    defined = next((node for node in tree.body if isinstance(node, ast.FunctionDef)), None)
    if defined is None:
        return
    known = getattr(function, "__globals__", {})
    for node in _own(defined):
        if isinstance(node, ast.Return) and node.value is not None:
            for text in _texts(node.value, known):
                yield text, first + node.lineno - 1


def _own(defined: ast.FunctionDef) -> Iterator[ast.AST]:
    """Yield the function's nodes, without those of functions inside it."""
    waiting: list[ast.AST] = list(defined.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            continue
        yield node
        waiting.extend(ast.iter_child_nodes(node))


def _texts(node: ast.expr, known: dict[str, Any]) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body, known)
        yield from _texts(node.orelse, known)
    elif isinstance(node, ast.Tuple) and len(node.elts) == 2:  # a label with a confidence
        yield from _texts(node.elts[0], known)
    elif isinstance(node, ast.Name) and isinstance(known.get(node.id), str):
        yield known[node.id]
