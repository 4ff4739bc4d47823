"""YAML read strictly: plain data with the line of every key; duplicate keys, anchors and other types are refused."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Problem:
    """One mistake: where (file and line, or variable), what, and the remedy."""

    where: str
    what: str
    remedy: str


@dataclass
class YamlFile:
    """A file's top-level mapping, the line (from 1) of every key path, and what was wrong with its form."""

    path: Path
    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[tuple[str, ...], int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def where(self, key: tuple[str, ...]) -> str:
        """Return `file:line` of a key, or of the nearest section around it, or the file."""
        for size in range(len(key), 0, -1):
            if key[:size] in self.lines:
                return f"{self.path}:{self.lines[key[:size]]}"
        return str(self.path)


class _Loader(yaml.SafeLoader):
    """Composes nodes only. Dates stay text: no setting is a date."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_yaml(path: Path) -> YamlFile:
    """Read one file. Never raises: what is wrong with it is in `problems`."""
    file = YamlFile(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        file.problems.append(
            Problem(
                str(path),
                f"the file cannot be read ({type(error).__name__})",
                "Check its permissions and encoding (UTF-8).",
            )
        )
        return file
    try:
        loader = _Loader(text)
        try:
            aliases = [event for event in yaml.parse(text) if isinstance(event, yaml.AliasEvent)]
            node = None if aliases else loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        file.problems.append(
            Problem(f"{path}{line}", f"not valid YAML ({error.problem})", "Mend the line or the one above it.")
        )
        return file
    except yaml.YAMLError as error:
        file.problems.append(Problem(str(path), f"not valid YAML ({error})", "Remove special characters."))
        return file
    if aliases:
        start = aliases[0].start_mark
        file.problems.append(
            Problem(
                f"{path}:{start.line + 1 if start else 1}",
                "anchors and aliases are not read here",
                "Write the value out.",
            )
        )
    elif isinstance(node, yaml.MappingNode):
        file.data = _mapping(node, (), file, loader)
    elif node is not None and not _empty(node):
        file.problems.append(
            Problem(f"{path}:1", "the file must hold keys with values", "Write lines such as `key: value`.")
        )
    return file


def _empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.value == ""


def _mapping(node: yaml.MappingNode, at: tuple[str, ...], file: YamlFile, loader: yaml.SafeLoader) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            file.problems.append(Problem(f"{file.path}:{line}", "a key must be plain text", "Write `key: value`."))
            continue
        key = str(key_node.value)
        place = (*at, key)
        if key in found:
            first = file.lines[place]
            file.problems.append(
                Problem(
                    f"{file.path}:{line}",
                    f"`{'.'.join(place)}` is set twice, first in line {first}",
                    "Keep one of them.",
                )
            )
            continue
        file.lines[place] = line
        found[key] = _value(value_node, place, file, loader)
    return found


def _value(node: yaml.Node, at: tuple[str, ...], file: YamlFile, loader: yaml.SafeLoader) -> Any:
    plain = node.tag.startswith("tag:yaml.org,2002:") and "python" not in node.tag
    if plain and isinstance(node, yaml.MappingNode):
        return _mapping(node, at, file, loader)
    if plain and isinstance(node, yaml.SequenceNode):
        return [_value(item, (*at, str(index)), file, loader) for index, item in enumerate(node.value)]
    value = None
    if node.tag in {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null")}:
        try:
            value = loader.construct_object(node)
        except (ValueError, yaml.YAMLError):
            value = str(node.value)
    else:
        _wrong(node, at, file, f"`{'.'.join(at)}` has the type {node.tag}, which is not read here")
    if isinstance(value, float) and not math.isfinite(value):
        _wrong(node, at, file, f"`{'.'.join(at)}` must be a finite number")
        value = 0.0
    return value


def _wrong(node: yaml.Node, at: tuple[str, ...], file: YamlFile, what: str) -> None:
    line = node.start_mark.line + 1
    file.problems.append(Problem(f"{file.path}:{line}", what, "Write a plain value."))
