"""Writing a suggestion into an author's file: readable code, the imports it needs, everything else left as it is."""

from __future__ import annotations

import ast
import builtins
import json
import keyword
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence

WIDTH = 120
LONGEST_NAME = 40
PACKAGE = "adapter.labeling"

_FEATURES = {
    "characters": "len(text)",
    "words": "len(text.split())",
    "capitals": "sum(map(str.isupper, text)) / max(1, sum(map(str.isalpha, text)))",
    "digits": "sum(map(str.isdigit, text))",
    "exclamations": 'text.count("!")',
}
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
"""A line as Python counts them; `str.splitlines` also breaks at signs that may stand in a string."""
_SIGNS = {"at_least": ">=", "at_most": "<="}


def name_of(label: str, words: Sequence[str], taken: Collection[str]) -> str:
    """Return a short name such as `spam_free_prize`: the label and up to three words, a valid Python name that is not
    taken; the same for the same words."""
    parts = [part for text in (label, *words) for part in re.findall(r"\w+", text.lower())]
    kept = list(dict.fromkeys(parts))[:4]
    name = unicodedata.normalize("NFKC", "_".join(kept))[:LONGEST_NAME].strip("_") or "suggestion"
    if not name.isidentifier() or keyword.iskeyword(name):
        name = f"label_{name}" if f"label_{name}".isidentifier() else "suggestion"
    found, number = name, 1
    while found in taken or keyword.iskeyword(found) or hasattr(builtins, found):
        number += 1
        found = f"{name}_{number}"
    return found


def declaration(
    name: str,
    call: str,
    args: Sequence[object],
    options: Mapping[str, object],
    comment: str,
    *,
    control: str = "",
    made_by: str = "",
) -> str:
    """Return the code of one labeling function, ending with a line break.

    call: `keywords`, `column`, `nearest`, with its arguments, or `python`, a plain function of a number derived from a
    text (see `thresholds.text_features`). comment: one line on how it was found. control: where the label config has
    several. made_by: what the module calls the function `call`, or the decorator, if not so.
    """
    comment = " ".join("".join(sign if sign.isprintable() else " " for sign in comment).split())
    if call == "python":
        return _function(name, args, options, comment, control, made_by or "labeling_function")
    given = [*(literal(arg) for arg in args), *(f"{key}={literal(value)}" for key, value in options.items())]
    given += [f"control={literal(control)}"] if control else []
    line = f"{name} = {made_by or call}({', '.join(given)})"
    if len(line) > WIDTH:
        line = f"{name} = {made_by or call}(\n" + "".join(f"    {_broken(part)},\n" for part in given) + ")"
    if "\n" not in line and len(line) + len(comment) + 4 <= WIDTH:
        return f"{line}  # {comment}\n"
    return "".join(f"# {part}\n" for part in _wrapped(comment, WIDTH - 2)) + f"{line}\n"


def _function(
    name: str, args: Sequence[object], options: Mapping[str, object], comment: str, control: str, decorator: str
) -> str:
    label, field = args
    option = next(key for key in options if key in _SIGNS)
    test = f"{_FEATURES[str(options['feature'])]} {_SIGNS[option]} {literal(options[option])}"
    doc = "\n    ".join(_wrapped(comment.replace("\\", "/").replace('"', "'"), WIDTH - 10))
    return (
        f"@{decorator}{f'(control={literal(control)})' if control else ''}\n"
        f"def {name}(data):\n"
        f'    """{doc}"""\n'
        f'    text = str(data.get({literal(field)}) or "")\n'
        f"    return {literal(label)} if text and {test} else None\n"
    )


def literal(value: object) -> str:
    """Return a value as Python source, texts in double quotes."""
    if isinstance(value, str):
        plain = all(sign.isprintable() for sign in value)
        return json.dumps(value, ensure_ascii=False) if plain else repr(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{literal(key)}: {literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(literal, value))}]"
    return repr(value)


def _broken(part: str) -> str:
    """One argument of a call that is broken over lines: a list that is too long has an element a line."""
    if len(part) + 5 <= WIDTH:
        return part
    try:
        call = ast.parse(f"f({part})", mode="eval").body
    except SyntaxError:
        return part
    assert isinstance(call, ast.Call)
    key = f"{call.keywords[0].arg}=" if call.keywords else ""
    value = call.keywords[0].value if call.keywords else call.args[0]
    if not isinstance(value, ast.List):
        return part
    items = "".join(f"        {literal(ast.literal_eval(item))},\n" for item in value.elts)
    return f"{key}[\n{items}    ]"


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def bound_names(source: str) -> set[str]:
    """Return the names that a module binds at its top level, imports too. Raises SyntaxError."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found.update(alias.asname or alias.name.split(".")[0] for alias in node.names)
    return found


def imported(source: str, name: str) -> tuple[str, str]:
    """Return (source in which `adapter.labeling.<name>` is imported, what it is called there).

    An import of the package is extended in its own style; else one is added after the last import. Where the module
    uses the name for something else, it is imported as `make_<name>`. Raises SyntaxError.
    """
    tree = ast.parse(source)
    ours: ast.ImportFrom | None = None
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == PACKAGE and not node.level:
            for alias in node.names:
                if alias.name in (name, "*"):
                    return source, alias.asname or name
            ours = node
    called, spelled = name, name
    taken = bound_names(source)
    while called in taken:
        called = f"make_{called}"
        spelled = f"{name} as {called}"
    end = "\r\n" if "\r\n" in source else "\n"
    lines = _LINE.findall(source)
    if ours is None:
        at = max((node.end_lineno or 0 for node in tree.body if _heads(node, tree)), default=0)
        before = "".join(lines[:at])
        gap = "" if not before or before.endswith(("\n", "\r")) else end
        first = end if at and not any(isinstance(node, ast.Import | ast.ImportFrom) for node in tree.body) else ""
        rest = "".join(lines[at:])
        after = end if rest.strip() and not rest.startswith(("\n", "\r")) else ""
        return f"{before}{gap}{first}from {PACKAGE} import {spelled}{end}{after}{rest}", called
    _join(lines, ours, spelled, end)
    return "".join(lines), called


def _join(lines: list[str], ours: ast.ImportFrom, spelled: str, end: str) -> None:
    """Add a name to an import, where the alphabet has it if the names are in order, else last."""
    names = [alias.name for alias in ours.names]
    later = (
        next((number for number, name in enumerate(names) if name > spelled), None) if names == sorted(names) else None
    )
    alias = ours.names[-1 if later is None else later]
    assert alias.end_lineno is not None
    assert alias.end_col_offset is not None
    number = (alias.end_lineno if later is None else alias.lineno) - 1
    row = lines[number].encode()
    column = alias.end_col_offset if later is None else alias.col_offset
    own_line = alias.lineno > ours.lineno and not row[: alias.col_offset].strip()
    between = f",{end}{row[: alias.col_offset].decode()}" if own_line else ", "
    more = between + spelled if later is None else spelled + between
    lines[number] = row[:column].decode() + more + row[column:].decode()


def _heads(node: ast.stmt, tree: ast.Module) -> bool:
    """Whether a statement belongs to the head of a module: its docstring and imports."""
    docstring = node is tree.body[0] and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return docstring or isinstance(node, ast.Import | ast.ImportFrom)


def appended(source: str, code: str) -> str:
    """Return the source with a declaration at its end, set off as the rest is: two blank lines around functions, one
    between assignments."""
    end = "\r\n" if "\r\n" in source else "\n"
    body = source.rstrip()
    tree = ast.parse(source)
    calls = bool(tree.body) and isinstance(tree.body[-1], ast.Assign) and not code.startswith("@")
    gap = end * (2 if calls else 3) if body else ""
    return body + gap + code.replace("\n", end)
