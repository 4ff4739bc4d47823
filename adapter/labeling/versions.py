"""Versions by content, one for each labeling function: editing one makes it vote again, and the others keep theirs.

A function's version is the digest of what its votes can depend on in the author's files:

- its own statement with its decorators, and the top-level statements of all names that it uses, and that those use;
- of the author's other files what it imports, found the same way;
- every top-level statement that is no plain definition (`random.seed(3)`, `for ...`, `try ...`), and imports of the
  author's other files that nothing uses, for their effects;
- statements that may change a list, dict or object which the function uses, as far as the source shows;
- data files in the folder that any of these names in a string.

Comments, layout, docstrings, line numbers and the order of definitions do not count, nor do `examples=` and `doc=`,
which change no vote. Where reading the source cannot tell (`exec`, `globals()`, `from .own import *`, a file that does
not parse, a name that appears by itself), the function has its module's digest, which changes with anything in it.
A declared function's version is the digest of its spec. Installed packages are part of no version, except the file of
a function that comes from one.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from adapter.labeling.function import LabelingFunction
from adapter.labeling.statements import Source, Statement, part_of, read_source
from adapter.source_files import data_files, relative

_Node = tuple[Source, Statement]


def declared_version(function: LabelingFunction) -> str:
    """Return the hex sha256 of a declared function's spec and of the control that it votes on."""
    made = function.declared
    assert made is not None
    parts = [made.kind, made.label, function.control, function.timeout_s, made.spec]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=repr).encode()).hexdigest()


class Versions:
    """Finds versions in the files of one project, each read once."""

    def __init__(self) -> None:
        self._sources: dict[Path, Source | None] = {}
        self._scopes: dict[Path, _Scope] = {}
        self._digests: dict[Path, str] = {}

    def version(
        self, function: LabelingFunction, file: Path, variable: str, keys: tuple[int | str, ...] = ()
    ) -> str | None:
        """Return the hex sha256 version of the function that `variable` of `file` holds, in a container at `keys`.

        None when the source does not tell for certain; then the module's digest must stand for it."""
        if function.declared is not None and not function.pre and not function.resources:
            return declared_version(function)
        scope = self._scope(file.resolve())
        reached = scope.slice(variable, keys) if scope is not None else None
        if reached is None:
            return None
        lines = [*self._lines(reached, file.resolve()), *self._foreign(function, reached)]
        if function.declared is not None:
            lines.append(declared_version(function))
        return hashlib.sha256("\n".join(["function", *lines]).encode("utf-8", "surrogateescape")).hexdigest()

    def of_step(self, file: Path, variable: str) -> str | None:
        """Return the hex sha256 version of the preprocessor that `variable` of `file` holds, found as a function's;
        None when the source does not tell for certain."""
        scope = self._scope(file.resolve())
        reached = scope.slice(variable, ()) if scope is not None else None
        if reached is None:
            return None
        lines = ["preprocessor", *self._lines(reached, file.resolve())]
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()

    def imported(self, file: Path, variable: str) -> bool:
        """Whether a module has a name from elsewhere, as far as its source shows."""
        source = self.source(file.resolve())
        binders = source.binders.get(variable, ()) if source is not None else ()
        return bool(binders) and all(isinstance(one.node, ast.Import | ast.ImportFrom) for one in binders)

    def source(self, file: Path) -> Source | None:
        """Return a file taken apart; None when it does not parse."""
        if file not in self._sources:
            self._sources[file] = read_source(file)
        return self._sources[file]

    def _scope(self, file: Path) -> _Scope | None:
        start = self.source(file)
        if start is None:
            return None
        if file not in self._scopes:
            self._scopes[file] = _Scope(start, self)
        return self._scopes[file]

    def _lines(self, reached: _Slice, start: Path) -> Iterator[str]:
        """What is digested: statements whose order is free by content, the others in their order, then data files."""
        free, ordered = [], []
        for source, statement in reached.nodes:
            name = "" if source.file == start else relative(source.file, start.parent)
            line = f"{name}:{statement.digest}"
            if (source, statement) in reached.ordered:
                ordered.append((name, statement.place, line))
            else:
                free.append(line)
        yield from sorted(free)
        yield from ("then " + line for _, _, line in sorted(ordered))
        texts: dict[Path, set[str]] = {}
        for source, statement in reached.nodes:
            texts.setdefault(source.file, set()).update(statement.texts)
        data = {path for file, known in texts.items() for path in data_files(known, file.parent)} - set(texts)
        yield from (f"data {relative(path, start.parent)}:{self._digest(path)}" for path in sorted(data))

    def _foreign(self, function: LabelingFunction, reached: _Slice) -> Iterator[str]:
        """The file that a function's code comes from, where it is none of the author's."""
        rule = getattr(function.function, "function", function.function)
        try:
            code = getattr(inspect.unwrap(getattr(rule, "_f", rule)), "__code__", None)
        except ValueError:  # wrappers in a circle
            return
        if code is not None:
            file = Path(code.co_filename).resolve()
            if file.is_file() and file not in {source.file for source in reached.scope}:
                yield f"code {file.name}:{self._digest(file)}"

    def _digest(self, path: Path) -> str:
        if path not in self._digests:
            with path.open("rb") as opened:
                self._digests[path] = hashlib.file_digest(opened, "sha256").hexdigest()
        return self._digests[path]


class _Slice:
    """The statements that a function depends on. ordered: those whose order matters. scope: all files looked at."""

    def __init__(self, nodes: set[_Node], ordered: set[_Node], scope: Iterable[Source]) -> None:
        self.nodes = nodes
        self.ordered = ordered
        self.scope = tuple(scope)


class _Scope:
    """One file and all of the author's files that it imports, as a graph of statements."""

    def __init__(self, start: Source, versions: Versions) -> None:
        self.start = start
        self.versions = versions
        self.sources = self._reachable()
        self._changeable: dict[_Node, bool] = {}
        self.visibly = {
            node
            for source in self.sources
            for statement in source.statements
            for name in statement.changes
            for node in self._final(source, name)
        }
        self.changers = self._changers()

    def slice(self, variable: str, keys: tuple[int | str, ...]) -> _Slice | None:
        """Return what the function in a variable depends on; None when that is uncertain."""
        roots: list[_Node] = [(self.start, one) for one in self.start.binders.get(variable, ())]
        if not roots:
            return None
        if keys and len(roots) == 1 and roots[0] not in self.changers:
            part = part_of(self.start, roots[0][1], keys)
            if part is not None:
                roots = [(self.start, part)]
        nodes = self._closure(roots, effects=True)
        if any(source.uncertain or self._broken(node) for node in nodes for source in [node[0]]):
            return None
        return _Slice(nodes, {node for node in nodes if self._order_counts(node)}, self.sources)

    def _reachable(self) -> list[Source]:
        found: dict[Path, Source] = {}
        waiting = [self.start]
        while waiting:
            source = waiting.pop()
            if source.file in found:
                continue
            found[source.file] = source
            for statement in source.statements:
                for brought in statement.brings:
                    other = self.versions.source(brought.file)
                    if other is not None:
                        waiting.append(other)
        return sorted(found.values(), key=lambda source: source.file)

    def _broken(self, node: _Node) -> bool:
        """Whether a statement imports a file of the author's that does not parse."""
        return any(self.versions.source(brought.file) is None for brought in node[1].brings)

    def _used(self, node: _Node) -> Iterator[_Node]:
        source, statement = node
        for name in statement.reads:
            yield from ((source, binder) for binder in source.binders.get(name, ()))
        yield from self._brought(statement)

    def _brought(self, statement: Statement) -> Iterator[_Node]:
        """The statements of the author's other files that an import stands for: those of the name, or all."""
        whole = {brought.file for brought in statement.brings if not brought.name}
        for brought in statement.brings:
            source = self.versions.source(brought.file)
            if source is None:
                continue
            named = source.binders.get(brought.name, ()) if brought.name else ()
            if named or (brought.name and whole - {brought.file}):
                yield from ((source, binder) for binder in named)
            else:
                yield from ((source, other) for other in source.statements)

    def _final(self, source: Source, name: str) -> Iterator[_Node]:
        """The statements that bind a name, and those that it stands for where it is imported."""
        waiting = [(source, binder) for binder in source.binders.get(name, ())]
        seen = set()
        while waiting:
            node = waiting.pop()
            if node not in seen:
                seen.add(node)
                yield node
                waiting.extend(self._brought(node[1]))

    def _closure(self, roots: Iterable[_Node], *, effects: bool) -> set[_Node]:
        """All that statements use. effects: with the statements that act by themselves on what is used."""
        reached: set[_Node] = set()
        entered: set[Path] = set()
        waiting = list(roots)
        while waiting:
            node = waiting.pop()
            if node in reached:
                continue
            reached.add(node)
            waiting.extend(self._used(node))
            if effects:
                waiting.extend(self.changers.get(node, ()))
                if node[0].file not in entered:
                    entered.add(node[0].file)
                    waiting.extend(self._always(node[0]))
        return reached

    def _always(self, source: Source) -> Iterator[_Node]:
        """The statements of a file that count for all its functions: those that are no plain definitions, and imports
        that nothing uses, since they are there for what they do."""
        used = {name for statement in source.statements for name in statement.reads}
        for statement in source.statements:
            node = (source, statement)
            if not statement.plain:
                yield node
            elif isinstance(statement.node, ast.Import | ast.ImportFrom) and not used & statement.binds:
                whole = any(not brought.name for brought in statement.brings)
                if whole or any(self._may_change(other) for other in self._brought(statement)):
                    yield node

    def _changers(self) -> dict[_Node, set[_Node]]:
        """Statement to the others that may change what it bound: by acting at import, or visibly in their code."""
        found: dict[_Node, set[_Node]] = {}
        for source in self.sources:
            for statement in source.statements:
                node = (source, statement)
                if statement.runs or not statement.plain:
                    for other in self._closure(self._used(node), effects=False):
                        if other != node and self._may_change(other):
                            found.setdefault(other, set()).add(node)
                for name in statement.changes:
                    for other in self._final(source, name):
                        if other != node:
                            found.setdefault(other, set()).add(node)
        return found

    def _may_change(self, node: _Node) -> bool:
        """Whether what a statement bound may be something else later: not sealed, bound again, or visibly changed."""
        if node not in self._changeable:
            source, statement = node
            again = any(len(source.binders.get(name, ())) > 1 for name in statement.binds)
            plain = statement.plain and statement.sealed and not again
            self._changeable[node] = not plain or node in self.visibly
        return self._changeable[node]

    def _order_counts(self, node: _Node) -> bool:
        """Whether moving a statement could change what it does."""
        source, statement = node
        if not statement.plain or statement.runs:
            return True
        if any(len(source.binders.get(name, ())) > 1 for name in statement.binds):
            return True
        return any(self._may_change(other) for name in statement.now for other in self._final(source, name))
