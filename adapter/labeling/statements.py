"""A module's top level as statements that bind names and read names: the grain of a labeling function's version."""

from __future__ import annotations
import __future__

import ast
import copy
import dis
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Any, TypeGuard

from adapter.labeling.effects import Names, changed_names, runs_code, sealed_class
from adapter.source_files import Import, own_imports

_UNCERTAIN = frozenset(["exec", "eval", "globals", "locals", "vars", "setattr", "delattr", "__import__", "compile"])
"""Builtins that may bind or read any name."""
_UNCERTAIN_ATTRIBUTES = frozenset({"modules", "__dict__", "__globals__", "__builtins__"})
_DOCUMENTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_CO_OPTIMIZED = 1
_COMPREHENSION = re.compile(r"<(?:listcomp|setcomp|dictcomp|genexpr)>")
_VOTELESS = frozenset({"examples", "doc"})
"""Arguments of this package's calls that change no vote."""


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """One top-level statement, or one name of an import.

    place: its number in the file. binds: top-level names that it gives a value, also through `global`. reads: names
    that it looks up at the module's level, at import or when its functions are called; now: those at import. changes:
    names whose objects it visibly changes. plain: a definition, an import or an assignment to names. sealed: what it
    binds cannot change afterwards. runs: it may run the author's functions, or change things, at import. brings: what
    it imports from the author's other files. texts: its text constants. digest: of its code, without comments, layout,
    docstrings and line numbers.
    """

    node: ast.stmt
    place: int
    binds: frozenset[str]
    reads: frozenset[str]
    now: frozenset[str]
    changes: frozenset[str]
    plain: bool
    sealed: bool
    runs: bool
    brings: tuple[Import, ...]
    texts: frozenset[str]
    digest: str


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A file of the author's. binders: name to the statements that bind it. uncertain: it may bind or read names in
    ways that reading it does not show."""

    file: Path
    statements: tuple[Statement, ...]
    uncertain: bool
    names: Names
    binders: dict[str, list[Statement]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for statement in self.statements:
            for name in statement.binds:
                self.binders.setdefault(name, []).append(statement)


def read_source(file: Path) -> Source | None:
    """Take a file apart; None when it cannot be read or does not parse."""
    try:
        tree = ast.parse(file.read_bytes())
        flags = _future(tree)
        nodes = [node for node in _split(tree.body) if not _inert(node)]
        names = _names(nodes, file)
        keep_docs = any(
            (isinstance(part, ast.Attribute) and part.attr == "__doc__")
            or (isinstance(part, ast.Name) and part.id in ("__doc__", "inspect"))
            for part in ast.walk(tree)
        )
        statements = tuple(_statement(node, place, file, names, flags, keep_docs) for place, node in enumerate(nodes))
        own = {name for statement in statements for name in statement.binds}
        uncertain = any(
            (_UNCERTAIN & statement.reads) - own or "__getattr__" in statement.binds or _uncertain(statement)
            for statement in statements
        )
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None
    return Source(file, statements, uncertain, names)


def part_of(source: Source, statement: Statement, keys: tuple[int | str, ...]) -> Statement | None:
    """Return the part of a list, tuple or dict display that is found by these keys, as a statement of its own that
    binds nothing; None where the statement is no plain display of them."""
    node: ast.AST | None = statement.node
    node = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
    for key in keys:
        if isinstance(node, ast.List | ast.Tuple) and isinstance(key, int):
            starred = any(isinstance(part, ast.Starred) for part in node.elts)
            node = node.elts[key] if key < len(node.elts) and not starred else None
        elif isinstance(node, ast.Dict):
            plain = all(isinstance(name, ast.Constant) for name in node.keys)
            pairs = [(getattr(name, "value", None), value) for name, value in zip(node.keys, node.values, strict=True)]
            matching = [value for name, value in pairs if name == key and type(name) is type(key)]
            node = matching[0] if plain and len(matching) == 1 else None
        else:
            return None
    if not isinstance(node, ast.expr):
        return None
    return _statement(ast.Expr(node), statement.place, source.file, source.names, 0, docs=False)


def _split(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements, imports of several names taken apart: a further name is no change of the others."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from (ast.copy_location(ast.Import([alias]), node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield ast.copy_location(ast.ImportFrom(node.module, [alias], node.level), node)
        else:
            yield node


def _inert(node: ast.stmt) -> bool:
    """Texts and ellipses that stand alone, `from __future__`, and what only runs as a script."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.ImportFrom):
        return node.module == "__future__"
    if isinstance(node, ast.If) and not node.orelse and isinstance(node.test, ast.Compare):
        return ast.unparse(node.test) in ("__name__ == '__main__'", "'__main__' == __name__")
    return isinstance(node, ast.Pass)


def _future(tree: ast.Module) -> int:
    flags = 0
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            for alias in node.names:
                flags |= getattr(getattr(__future__, alias.name, None), "compiler_flag", 0)
    return flags


def _names(nodes: list[ast.stmt], file: Path) -> Names:
    outside: dict[str, str] = {}
    own: set[str] = set()
    functions: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            alias = node.names[0]
            bound = alias.asname or (alias.name if isinstance(node, ast.ImportFrom) else alias.name.partition(".")[0])
            if own_imports(node, file):
                functions.add(bound)
            elif isinstance(node, ast.ImportFrom):
                outside[bound] = f"{node.module or ''}.{alias.name}"
            else:
                outside[bound] = alias.name if alias.asname else bound
        else:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                functions.add(node.name)
            own.update(_stored(node))
    bound_again = own | functions
    return Names(
        {name: path for name, path in outside.items() if name not in bound_again},
        frozenset(bound_again),
        frozenset(functions),
    )


def _stored(node: ast.AST) -> Iterator[str]:
    """Names that a statement may bind at the top level; more than those, where functions have variables."""
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store | ast.Del):
            yield part.id
        elif isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield part.name
        elif isinstance(part, ast.alias):
            yield part.asname or part.name.partition(".")[0]
        elif isinstance(part, ast.ExceptHandler) and part.name:
            yield part.name


def _statement(node: ast.stmt, place: int, file: Path, names: Names, flags: int, docs: bool) -> Statement:
    node = _Voteless(names).visit(copy.deepcopy(node))
    module = ast.fix_missing_locations(ast.Module([node], []))
    code: CodeType = compile(module, str(file), "exec", flags=flags, dont_inherit=True)
    binds, reads, now = _looked_up(code)
    imported = isinstance(node, ast.Import | ast.ImportFrom)
    imports = [part for part in ast.walk(node) if isinstance(part, ast.Import | ast.ImportFrom)]
    brings = tuple(brought for part in imports for brought in own_imports(part, file))
    changes = frozenset(changed_names(node)) & (reads | binds)
    documented = {id(part.body[0].value) for part in ast.walk(node) if _has_doc(part)}
    texts = frozenset(
        part.value
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and id(part) not in documented
    )
    return Statement(
        node=node,
        place=place,
        binds=frozenset(binds),
        reads=frozenset(reads),
        now=frozenset(now),
        changes=changes,
        plain=_plain(node),
        sealed=_sealed(node, names),
        runs=not imported and runs_code(node, names),
        brings=brings,
        texts=texts,
        digest=hashlib.sha256(_canonical(node, docs).encode("utf-8", "surrogatepass")).hexdigest(),
    )


def _has_doc(node: ast.AST) -> TypeGuard[Any]:
    return isinstance(node, _DOCUMENTED) and ast.get_docstring(node, False) is not None


class _Voteless(ast.NodeTransformer):
    """Takes out what changes no vote: the examples and the words of functions declared with this package."""

    def __init__(self, names: Names) -> None:
        self.names = names

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if self.names.dotted(node.func).startswith("adapter.labeling."):
            node.keywords = [keyword for keyword in node.keywords if keyword.arg not in _VOTELESS]
        return node


def _looked_up(code: CodeType) -> tuple[set[str], set[str], set[str]]:
    """The top-level names that compiled code binds, reads, and reads at import, as the compiler itself sees them."""
    binds: set[str] = set()
    reads: set[str] = set()
    now: set[str] = set()
    waiting = [(code, True, True)]
    while waiting:
        part, top, at_once = waiting.pop()
        for step in dis.get_instructions(part):
            if step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL") or (
                top and step.opname in ("STORE_NAME", "DELETE_NAME")
            ):
                binds.add(str(step.argval))
            elif step.opname.startswith("LOAD_") and ("GLOBAL" in step.opname or "_NAME" in step.opname):
                reads.add(str(step.argval))
                if at_once:
                    now.add(str(step.argval))
        for inner in part.co_consts:
            if isinstance(inner, CodeType):
                body = bool(inner.co_flags & _CO_OPTIMIZED) and not _COMPREHENSION.match(inner.co_name)
                waiting.append((inner, False, at_once and not body))
    return binds, reads, now


def _plain(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign):
        return all(_only_names(target) for target in node.targets)
    if isinstance(node, ast.AnnAssign):
        return isinstance(node.target, ast.Name)
    if isinstance(node, ast.ImportFrom):
        return node.names[0].name != "*"
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import)


def _only_names(target: ast.expr) -> bool:
    if isinstance(target, ast.Tuple | ast.List):
        return all(_only_names(part) for part in target.elts)
    if isinstance(target, ast.Starred):
        return _only_names(target.value)
    return isinstance(target, ast.Name)


def _sealed(node: ast.stmt, names: Names) -> bool:
    if isinstance(node, ast.Assign | ast.AnnAssign):
        return names.sealed(node.value)
    if isinstance(node, ast.ClassDef):
        return sealed_class(node, names) and not runs_code(node, names)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return not runs_code(node, names)
    return isinstance(node, ast.Import | ast.ImportFrom)


def _uncertain(statement: Statement) -> bool:
    for part in ast.walk(statement.node):
        if isinstance(part, ast.ImportFrom) and part.names[0].name == "*" and statement.brings:
            return True
        if isinstance(part, ast.Attribute) and part.attr in _UNCERTAIN_ATTRIBUTES:
            if part.attr != "modules" or (isinstance(part.value, ast.Name) and part.value.id == "sys"):
                return True
        elif isinstance(part, ast.ImportFrom) and part.module == "sys" and part.names[0].name == "modules":
            return True
    return False


def _canonical(node: object, docs: bool) -> str:
    """Write code out without positions, layout and (unless docs) docstrings; the same in every version of Python."""
    if isinstance(node, list):
        return "[" + ",".join(_canonical(part, docs) for part in node) + "]"
    if not isinstance(node, ast.AST):
        return f"{type(node).__name__}:{node!r}"
    fields = []
    for name, value in ast.iter_fields(node):
        if value is None or value == [] or name in ("ctx", "kind", "type_comment"):
            continue
        if name == "body" and not docs and isinstance(node, _DOCUMENTED) and ast.get_docstring(node, False) is not None:
            value = value[1:]
        fields.append(f"{name}={_canonical(value, docs)}")
    return f"{type(node).__name__}({','.join(fields)})"
