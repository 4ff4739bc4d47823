"""What a top-level statement may do besides binding its names: which calls it makes at import, what it changes.

All judgements err on the side of "it may": then more goes into a version than needed, never less.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_QUIET = ("adapter.labeling.", "snorkel.", "functools.", "dataclasses.", "typing.", "enum.", "contextlib.")
"""Modules whose calls and decorators store the functions that they are given, and call none of them at import."""
_CLEAN = ("re.", "pathlib.", "collections.", "string.", "math.", "operator.", "datetime.", "decimal.", "fractions.")
"""Modules whose calls change none of their arguments, though they may call a function among them."""
_SEALED = re.compile(
    r"builtins\.(?:frozenset|str|int|float|bool|bytes|len|range|ord|chr|repr)|re\.compile|pathlib\.Path|os\.path\..*"
)
"""What makes a value that cannot change."""
_BUILTINS = re.compile(
    r"builtins\.(?:frozenset|str|int|float|bool|bytes|len|range|ord|chr|repr|set|dict|list|tuple|sorted|sum|min|max|zip"
    r"|enumerate|abs|round|any|all|map|filter|reversed|isinstance|open|print|format|staticmethod|classmethod|property)"
)
_SEALED_METHODS = re.compile(
    r"join|read_text|read_bytes|l?strip|rstrip|lower|upper|casefold|format|replace|with_name|with_suffix|joinpath|resolve"
    r"|absolute|encode|decode|as_posix"
)
_CHANGES = re.compile(
    r"append|extend|add|update|insert|remove|discard|pop|popitem|popleft|appendleft|extendleft|clear|setdefault|sort"
    r"|reverse|subtract|\w+_update|write|writelines|register|cache_clear|seed|shuffle"
)
"""Methods that change what they are called on."""


@dataclass(frozen=True, slots=True, eq=False)
class Names:
    """What the names of a module's top level stand for. outside: name to the dotted name of what it imports from a
    module that is not the author's. own: all other names that are bound. functions: those of functions, classes and
    of what comes from the author's other files."""

    outside: Mapping[str, str]
    own: frozenset[str]
    functions: frozenset[str]

    def dotted(self, callee: ast.expr) -> str:
        """Return the dotted name of something outside, `builtins.x` for a builtin, empty when it is not known."""
        tail: list[str] = []
        while isinstance(callee, ast.Attribute):
            tail.append(callee.attr)
            callee = callee.value
        if not isinstance(callee, ast.Name):
            return ""
        if callee.id in self.outside:
            return ".".join([self.outside[callee.id], *reversed(tail)])
        return "" if callee.id in self.own else ".".join(["builtins", callee.id, *reversed(tail)])

    def stores_only(self, callee: ast.expr) -> bool:
        """Whether a call or decorator keeps the functions that it is given, and calls none of them now."""
        known = self.dotted(callee)
        return known.startswith(_QUIET) and known != "functools.reduce"

    def harmless(self, call: ast.Call) -> bool:
        """Whether a call changes none of its arguments and runs none of the author's functions."""
        if self.stores_only(call.func):
            return True
        known, callee = self.dotted(call.func), call.func
        of_text = isinstance(callee, ast.Attribute) and isinstance(callee.value, ast.Constant | ast.JoinedStr)
        chained = isinstance(callee, ast.Attribute) and bool(_SEALED_METHODS.fullmatch(callee.attr))
        if not (of_text or known.startswith(_CLEAN) or _BUILTINS.fullmatch(known) or chained):
            return False
        return not any(self._function(part) for part in (*call.args, *(keyword.value for keyword in call.keywords)))

    def _function(self, argument: ast.expr) -> bool:
        return isinstance(argument, ast.Lambda) or (isinstance(argument, ast.Name) and argument.id in self.functions)

    def sealed(self, value: ast.expr | None) -> bool:
        """Whether a value cannot change once made: a constant, a tuple of such, a pattern, a path, a frozen set.

        A name counts as sealed here: whether it is, is its own statement's affair."""
        if value is None or isinstance(value, ast.Constant | ast.JoinedStr | ast.Lambda | ast.Compare):
            return True
        if isinstance(value, ast.Name):
            return True
        if isinstance(value, ast.Tuple):
            return all(self.sealed(part) for part in value.elts)
        if isinstance(value, ast.BinOp):
            return self.sealed(value.left) and self.sealed(value.right)
        if isinstance(value, ast.UnaryOp):
            return self.sealed(value.operand)
        if isinstance(value, ast.Attribute):
            return bool(self.dotted(value)) or (isinstance(value.value, ast.Call) and self.sealed(value.value))
        if isinstance(value, ast.Call):
            known, callee = self.dotted(value.func), value.func
            if _SEALED.fullmatch(known):
                return True
            if known.startswith("adapter.labeling."):  # a declared function
                return True
            return (
                isinstance(callee, ast.Attribute)
                and bool(_SEALED_METHODS.fullmatch(callee.attr))
                and self.sealed(callee.value)
            )
        return False


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a statement that are evaluated at import: not the bodies of functions."""
    yield node
    parts: list[ast.AST | None]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        parts = [*node.decorator_list, *node.args.defaults, *node.args.kw_defaults]
    elif isinstance(node, ast.Lambda):
        parts = [*node.args.defaults, *node.args.kw_defaults]
    else:
        parts = list(ast.iter_child_nodes(node))
    for part in parts:
        if part is not None:
            yield from at_import(part)


def runs_code(node: ast.AST, names: Names) -> bool:
    """Whether a statement may run the author's functions at import, or change what it is given."""
    for part in at_import(node):
        if isinstance(part, ast.Call) and not names.harmless(part):
            return True
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for decorator in part.decorator_list:
                callee = decorator.func if isinstance(decorator, ast.Call) else decorator
                if not names.stores_only(callee) and not _BUILTINS.fullmatch(names.dotted(callee)):
                    return True
        if isinstance(part, ast.ClassDef) and (part.keywords or any(not names.dotted(base) for base in part.bases)):
            return True  # a metaclass, or a base with `__init_subclass__`
    return False


def changed_names(node: ast.AST) -> Iterator[str]:
    """Yield the names whose objects a statement visibly changes, now or when its functions are called: by an
    assignment to a part, or by a method such as `append`."""
    for part in ast.walk(node):
        target: ast.expr | None = None
        if isinstance(part, ast.Subscript | ast.Attribute) and isinstance(part.ctx, ast.Store | ast.Del):
            target = part.value
        elif isinstance(part, ast.AugAssign):
            target = part.target
        elif isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and _CHANGES.fullmatch(part.func.attr):
            target = part.func.value
        while isinstance(target, ast.Subscript | ast.Attribute | ast.Call):
            target = target.func if isinstance(target, ast.Call) else target.value
        if isinstance(target, ast.Name):
            yield target.id


def sealed_class(node: ast.ClassDef, names: Names) -> bool:
    """Whether a class holds nothing that could change: only functions and sealed values."""
    if {"cls", "__class__"} & set(changed_names(node)):
        return False
    for part in node.body:
        if isinstance(part, ast.Assign | ast.AnnAssign) and names.sealed(part.value):
            continue
        documented = isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)
        if not (documented or isinstance(part, ast.FunctionDef | ast.Pass)):
            return False
    return True
