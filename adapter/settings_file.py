"""Settings files and the environment, read into one frozen `Settings`. The only reader of the environment.

Order of precedence, first wins: environment variables, secrets file, `adapter.yaml` and `projects/*.yaml`, defaults.

A global setting `section.key` is overridden by `HITL_<SECTION>__<KEY>`, a top-level key by `HITL_<KEY>`, such as
`HITL_WEB__PORT` and `HITL_HOME`. `HITL_LABEL_STUDIO_TOKEN` is another name of `HITL_LABEL_STUDIO__TOKEN`. Secrets come
from the environment or from the secrets file alone: `HITL_SECRETS_FILE`, else `secrets.env` beside `adapter.yaml`, with
lines `NAME=value`.

All relative paths in settings files are relative to the folder of `adapter.yaml`, those in the environment to the
folder in which the command runs.
"""

from __future__ import annotations

import json
import os
import re
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel, ValidationError

from adapter.errors import SettingsError, nearest
from adapter.settings import ProjectSettings, Settings
from adapter.settings_env import (
    ALIASES,
    OTHER_VARIABLES,
    Overrides,
    from_text,
    is_secret,
    read_overrides,
    section_of,
    variables,
)
from adapter.settings_yaml import Problem, YamlFile, read_yaml

DEFAULT_CONFIG = Path("config/adapter.yaml")
DEFAULT_HOME = Path("../.hitl")
_PROJECT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_Model = typing.TypeVar("_Model", bound=BaseModel)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def environment() -> Mapping[str, str]:
    """Return the process's environment: the one place where it is read."""
    return dict(os.environ)


def find_config(option: Path | None, environ: Mapping[str, str]) -> Path:
    """Return the settings file to use: the option, else HITL_CONFIG, else `config/adapter.yaml` here."""
    if option is not None:
        return option
    named = environ.get("HITL_CONFIG", "")
    return Path(named) if named else DEFAULT_CONFIG


def load_settings(path: Path, environ: Mapping[str, str]) -> Settings:
    """Read `path` (adapter.yaml), `projects/*.yaml` beside it, the secrets file and `environ`.

    Raises SettingsError that names every mistake with file, line, key and the nearest valid key. Values of secrets are
    never part of a message.
    """
    path = Path(os.path.abspath(path))
    if not path.is_file():
        raise SettingsError(
            "there is no settings file here",
            where=str(path),
            remedy="Make one with `hitl init`, or name another with `--config FILE`.",
        )
    problems: list[Problem] = []
    main = _read(path, problems)
    overrides = read_overrides(path.parent, environ, problems)
    settings = _settings(path, main, overrides, problems)
    projects = _projects(path.parent, problems)
    if problems or settings is None:
        raise _error(problems)
    return settings.model_copy(update={"projects": projects})


def _settings(path: Path, main: YamlFile, overrides: Overrides, problems: list[Problem]) -> Settings | None:
    data = dict(main.data)
    for key, advice in (
        ("config", "It is the folder of this file; remove the key."),
        ("projects", "Each project has a file of its own: projects/<name>.yaml beside this one."),
    ):
        if key in data:
            problems.append(Problem(main.where((key,)), f"`{key}` is not set here", advice))
            del data[key]
    unknown = _unknown_keys(Settings, main, data, problems)
    _refuse_secrets(main, data, problems)
    given_home = overrides.values.get(("home",)) or ""
    home = Path(os.path.abspath(given_home)) if given_home else path.parent / str(data.get("home") or DEFAULT_HOME)
    merged = {**unknown, "home": str(home), "config": str(path.parent)}
    if not isinstance(data.get("home", ""), str):
        merged["home"] = data["home"]
    elif not given_home:
        merged["home"] = os.path.abspath(home)
    for place, text in overrides.values.items():
        if place == ("home",):
            continue
        target: dict[str, Any] = merged
        for part in place[:-1]:
            inner = target.get(part)
            target[part] = dict(inner) if isinstance(inner, dict) else {}
            target = target[part]
        target[place[-1]] = from_text(place, text)

    def where(location: tuple[str, ...]) -> str:
        for size in range(len(location), 0, -1):
            if location[:size] in overrides.origins:
                return overrides.origins[location[:size]]
        return main.where(location)

    settings = _validate(Settings, merged, where, problems)
    if settings is not None and settings.store.artifacts and not _SCHEME.match(settings.store.artifacts):
        base = Path.cwd() if ("store", "artifacts") in overrides.values else path.parent
        artifacts = os.path.abspath(base / settings.store.artifacts)
        settings = settings.model_copy(update={"store": settings.store.model_copy(update={"artifacts": artifacts})})
    return settings


def _projects(folder: Path, problems: list[Problem]) -> dict[str, ProjectSettings]:
    found: dict[str, ProjectSettings] = {}
    for path in sorted((folder / "projects").glob("*.y*ml")):
        before = len(problems)
        file = _read(path, problems)
        name = path.stem
        if not _PROJECT_NAME.fullmatch(name):
            problems.append(
                Problem(
                    str(path), f"'{name}' cannot name a project", "Use a-z, 0-9, - and _, at most 63, in the file name."
                )
            )
        if file.data.get("name", name) not in ("", name):
            problems.append(
                Problem(
                    file.where(("name",)), "the name differs from the file's", f"Write `name: {name}` or remove it."
                )
            )
        if name in found:
            problems.append(Problem(str(path), f"project '{name}' has two files", "Keep one of .yaml and .yml."))
        if len(problems) > before and not file.data:
            continue
        data = _unknown_keys(ProjectSettings, file, dict(file.data), problems) | {"name": name}
        project = _validate(ProjectSettings, data, file.where, problems)
        if project is not None:
            found[name] = _resolved(project, folder)
    return found


def _resolved(project: ProjectSettings, folder: Path) -> ProjectSettings:
    """Make the project's paths absolute and find its labeling functions."""
    data = project.data
    if data.path and not _SCHEME.match(data.path):
        data = data.model_copy(update={"path": os.path.abspath(folder / data.path)})
    functions = project.labeling_functions
    if not functions:
        base = folder.parent / "labeling_functions"
        module = project.name.replace("-", "_")
        for candidate in (base / project.name, base / module, base / f"{project.name}.py", base / f"{module}.py"):
            if candidate.is_file() or any(candidate.glob("*.py")):
                functions = os.path.abspath(candidate)
                break
    elif "/" in functions or os.sep in functions or functions.endswith(".py"):
        functions = os.path.abspath(folder / functions)
    label_config = Path(os.path.abspath(folder / project.label_config))
    return project.model_copy(update={"data": data, "labeling_functions": functions, "label_config": label_config})


def _read(path: Path, problems: list[Problem]) -> YamlFile:
    file = read_yaml(path)
    problems += file.problems
    return file


def _unknown_keys(
    model: type[BaseModel], file: YamlFile, data: dict[str, Any], problems: list[Problem], at: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Report unknown keys, each with the nearest valid one, and return the data without them."""
    kept: dict[str, Any] = {}
    valid = [key for key in model.model_fields if at or key not in {"config", "projects"} or model is not Settings]
    for key, value in data.items():
        place = (*at, key)
        if key not in model.model_fields:
            advice = _elsewhere(model, key) if not at else ""
            problems.append(
                Problem(file.where(place), f"unknown key `{'.'.join(place)}`", advice or nearest(key, valid))
            )
            continue
        section = section_of(model.model_fields[key].annotation)
        if section is not None and isinstance(value, dict):
            kept[key] = _unknown_keys(section, file, value, problems, place)
        elif section is not None and value is None:
            continue  # a section with all its keys commented out
        else:
            kept[key] = value
    return kept


def _elsewhere(model: type[BaseModel], key: str) -> str:
    """Advice for a key that is valid inside exactly one section."""
    sections = {name: section_of(info.annotation) for name, info in model.model_fields.items()}
    homes = [name for name, section in sections.items() if section is not None and key in section.model_fields]
    return f"It belongs under `{homes[0]}:`." if len(homes) == 1 else ""


def _refuse_secrets(file: YamlFile, data: Mapping[str, Any], problems: list[Problem]) -> None:
    for name, key in variables().items():
        if not is_secret(key):
            continue
        value: Any = data
        for part in key:
            value = value.get(part) if isinstance(value, Mapping) else None
        if not isinstance(value, str | int | float) or value == "":
            continue
        if key == ("store", "url") and not _has_password(str(value)):
            continue
        friendly = next((alias for alias, real in ALIASES.items() if real == name), name)
        problems.append(
            Problem(
                file.where(key),
                f"`{'.'.join(key)}` holds a secret, and secrets do not belong in settings files",
                f"Set {friendly} in the environment or in secrets.env, and change the secret if this file was shared.",
            )
        )


def _has_password(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.password) or "password" in parse_qs(parts.query)
    except ValueError:
        return True


def _validate(
    model: type[_Model],
    data: Mapping[str, Any],
    where: typing.Callable[[tuple[str, ...]], str],
    problems: list[Problem],
) -> _Model | None:
    try:
        return model.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        for item in error.errors(include_url=False, include_context=True):
            location = tuple(str(part) for part in item["loc"])
            problems.append(_problem(model, item, location, where(location)))
        return None


def _problem(model: type[BaseModel], item: Any, location: tuple[str, ...], where: str) -> Problem:
    key = f"`{'.'.join(location)}`"
    context = item.get("ctx", {})
    given = item.get("input")
    shown = f", not {json.dumps(given, ensure_ascii=False)}" if isinstance(given, str | int | float | bool) else ""
    if model is Settings and len(location) <= 2 and _known(location) and is_secret(location):
        shown = ""
    match item["type"]:
        case "missing":
            return Problem(
                where, f"{key} is missing", "Add it; config/adapter.yaml and the example project explain each key."
            )
        case "greater_than_equal":
            wanted = f"at least {context['ge']}"
        case "less_than_equal":
            wanted = f"at most {context['le']}"
        case "greater_than":
            wanted = f"greater than {context['gt']}"
        case "less_than":
            wanted = f"less than {context['lt']}"
        case "literal_error":
            wanted = f"one of {context['expected']}"
        case "int_type" | "int_from_float" | "int_parsing":
            wanted = "a whole number"
        case "float_type" | "float_parsing":
            wanted = "a number"
        case "bool_type" | "bool_parsing":
            wanted = "true or false"
        case "string_type" | "path_type":
            wanted = "text"
        case "tuple_type":
            wanted = "a list, such as [a, b]"
        case "model_type" | "dict_type":
            wanted = "a section with keys"
        case _:
            return Problem(where, f"{key}: {item['msg'][:1].lower()}{item['msg'][1:]}", "Mend the value.")
    return Problem(where, f"{key} must be {wanted}{shown}", "")


def _known(location: tuple[str, ...]) -> bool:
    return location in variables().values()


def _error(problems: list[Problem]) -> SettingsError:
    if len(problems) == 1:
        only = problems[0]
        return SettingsError(only.what, where=only.where, remedy=only.remedy)
    lines = "\n".join(
        f"  {SettingsError(problem.what, where=problem.where, remedy=problem.remedy)}" for problem in problems
    )
    return SettingsError(f"{len(problems)} settings are wrong:\n{lines}")


__all__ = ["ALIASES", "DEFAULT_CONFIG", "OTHER_VARIABLES", "environment", "find_config", "load_settings", "variables"]
