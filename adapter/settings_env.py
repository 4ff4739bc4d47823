"""The environment variables and the secrets file as overrides of settings. Pure: the values come in."""

from __future__ import annotations

import os
import stat
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_origin

from pydantic import BaseModel, SecretStr, TypeAdapter, ValidationError

from adapter.errors import nearest
from adapter.settings import Settings
from adapter.settings_yaml import Problem

PREFIX = "HITL_"
ALIASES = {"HITL_LABEL_STUDIO_TOKEN": "HITL_LABEL_STUDIO__TOKEN"}
OTHER_VARIABLES = {
    "HITL_CONFIG": "the settings file, when --config does not name one",
    "HITL_SECRETS_FILE": "the secrets file",
    "HITL_DATA": "a folder with data sets, for tests",
}
FREE_PREFIXES = ("HITL_TEST_", "HITL_BENCH_")


def variables() -> dict[str, tuple[str, ...]]:
    """Return the name of every override variable with the key that it sets."""
    names: dict[str, tuple[str, ...]] = {}
    for key, info in Settings.model_fields.items():
        if key in {"config", "projects"}:
            continue
        section = section_of(info.annotation)
        if section is None:
            names[f"{PREFIX}{key.upper()}"] = (key,)
        else:
            names |= {f"{PREFIX}{key.upper()}__{inner.upper()}": (key, inner) for inner in section.model_fields}
    return names


@dataclass(frozen=True)
class Overrides:
    """Values from environment and secrets file by key path; origins say where each came from."""

    values: dict[tuple[str, ...], str] = field(default_factory=dict)
    origins: dict[tuple[str, ...], str] = field(default_factory=dict)


def read_overrides(folder: Path, environ: Mapping[str, str], problems: list[Problem]) -> Overrides:
    """Collect the secrets file's and the environment's values; what is wrong with them goes to `problems`."""
    known = variables()
    found = Overrides()
    named = environ.get("HITL_SECRETS_FILE", "")
    sources = list(_secrets(Path(named), problems) if named else _beside(folder / "secrets.env", problems))
    sources += [(name, value, f"environment variable {name}") for name, value in sorted(environ.items())]
    for given, value, where in sources:
        if not given.startswith(PREFIX) or given in OTHER_VARIABLES or given.startswith(FREE_PREFIXES):
            continue
        name = ALIASES.get(given, given)
        if name not in known:
            valid = [*known, *ALIASES, *OTHER_VARIABLES]
            advice = (
                nearest(given, valid) if len(nearest(given, valid)) < 100 else "`hitl up --help` lists the variables."
            )
            if given.startswith("HITL_PROJECTS"):
                advice = "Settings of one project are set in config/projects/<name>.yaml only."
            problems.append(Problem(where, "there is no such setting", advice))
            continue
        key = known[name]
        if value == "" and (annotation_of(key) is not str or key in found.values):
            continue  # compose files pass unset variables on as empty ones: they set nothing and erase no secret
        found.values[key] = value
        found.origins[key] = where
    return found


def _beside(path: Path, problems: list[Problem]) -> Iterator[tuple[str, str, str]]:
    """The secrets file beside adapter.yaml. Nobody named it: if it is not there, or not ours to read (a container that
    gets its secrets in the environment), it is passed over."""
    if path.exists() and os.access(path, os.R_OK):
        yield from _secrets(path, problems)


def _secrets(path: Path, problems: list[Problem]) -> Iterator[tuple[str, str, str]]:
    """Yield (name, value, where) of a dotenv file; other programs' names are left to them."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(
            Problem(str(path), f"the secrets file cannot be read ({type(error).__name__})", "Mend HITL_SECRETS_FILE.")
        )
        return
    ours = any(line.strip().removeprefix("export ").startswith(PREFIX) for line in text.splitlines())
    mounted = path.is_relative_to("/run/secrets")  # a container's secret mount has modes of its own
    if ours and os.name == "posix" and stat.S_IMODE(mode) & 0o077 and not mounted:
        problems.append(
            Problem(str(path), "others on this machine can read the secrets file", f"Run `chmod 600 {path}`.")
        )
        return
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.removeprefix("export ").partition("=")
        if not equals:
            problems.append(Problem(f"{path}:{number}", "this line is not NAME=value", "Mend or remove it."))
            continue
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        elif " #" in value:
            value = value.split(" #", 1)[0].rstrip()
        yield name.strip(), value, f"{path}:{number}: {name.strip()}"


def section_of(annotation: Any) -> type[BaseModel] | None:
    """Return the settings section that an annotation names, None for a plain value."""
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def is_secret(key: tuple[str, ...]) -> bool:
    """Whether a global setting may not stand in a settings file."""
    return annotation_of(key) is SecretStr


def annotation_of(key: tuple[str, ...]) -> Any:
    """Return the type of a global setting, without its range."""
    model: type[BaseModel] = Settings
    for part in key[:-1]:
        model = section_of(model.model_fields[part].annotation) or model
    return model.model_fields[key[-1]].annotation


def from_text(key: tuple[str, ...], text: str) -> Any:
    """Turn an environment variable's text into its setting's type; text that does not fit is left for the validator."""
    kind = annotation_of(key)
    if kind in (str, SecretStr, Path) or get_origin(kind) is typing.Literal:
        return text
    try:
        return TypeAdapter(kind).validate_python(text)
    except ValidationError:
        return text
