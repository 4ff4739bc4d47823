"""The label configs that Label Studio's users start from: its templates, and what is served of each.

Of every control that a kind serves, a made-up answer is written, checked with the SDK's `validate_prediction`, and read
back.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapter.errors import HitlError, LabelConfigError
from adapter.kinds import kind_of
from adapter.kinds.base import RegionKind
from adapter.kinds.samples import samples
from adapter.label_studio.label_config import parse_label_config
from adapter.vocabulary import Control, JsonObject, LabelSpace, Unserved, Value


@dataclass(frozen=True, slots=True)
class Template:
    """One template. name: folder and name, such as `computer-vision/keypoints`. edition: `community`, or `enterprise`
    where only that edition can show it."""

    name: str
    title: str
    edition: str
    config: str


@dataclass(frozen=True, slots=True)
class Checked:
    """One served control of a template. valid: whether a made-up answer, written by its kind, passes the SDK's
    `validate_prediction`. round_trip: whether it reads back as it was, also after JSON. wrong: in words, what failed;
    empty if nothing did."""

    control: Control
    valid: bool
    round_trip: bool
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """What is served of a template. support: `full`, `part` or `none`. wrong: why it does not parse, else empty."""

    template: Template
    support: str
    controls: tuple[Checked, ...]
    unserved: tuple[Unserved, ...]
    wrong: str = ""


def templates() -> tuple[Template, ...]:
    """Return the templates of the installed Label Studio, by name. Raises HitlError when its package is not here."""
    return tuple(_found(_folder()))


def rows(found: Sequence[Template], *, seed: int = 0) -> tuple[Row, ...]:
    """Check every template. seed: of the made-up answers."""
    return tuple(_row(template, seed) for template in found)


def check(space: LabelSpace, *, seed: int = 0) -> tuple[Checked, ...]:
    """Check each served control of a label config with a made-up answer."""
    from label_studio_sdk.label_interface import LabelInterface

    interface = LabelInterface(space.config)
    values = samples(space, seed, {})
    marked = [
        item
        for control in space.controls
        if isinstance(kind_of(control.kind), RegionKind)
        for item in kind_of(control.kind).write(control, values[control.name])
    ]
    return tuple(_checked(interface, control, values[control.name], marked) for control in space.controls)


def _folder() -> Path:
    found = importlib.util.find_spec("label_studio")
    if found is None or found.origin is None:
        raise HitlError(
            "Label Studio's templates come with its server, which is not installed here",
            remedy="Install it with `pip install 'hitl-labeling[server]'`.",
        )
    return Path(found.origin).parent / "annotation_templates"


def _found(folder: Path) -> Iterator[Template]:
    import yaml

    for path in sorted(folder.glob("**/config.yml")):
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        if isinstance(data, dict) and isinstance(data.get("config"), str):
            name = path.parent.relative_to(folder).as_posix()
            yield Template(name, str(data.get("title", name)), str(data.get("type", "community")), data["config"])


def _row(template: Template, seed: int) -> Row:
    try:
        space = parse_label_config(template.config)
    except LabelConfigError as error:
        return Row(template, "none", (), (), str(error))
    support = "full" if not space.unserved else "part" if space.controls else "none"
    return Row(template, support, check(space, seed=seed) if space.controls else (), space.unserved)


def _checked(interface: object, control: Control, value: Value, marked: Sequence[JsonObject]) -> Checked:
    kind = kind_of(control.kind)
    written = kind.write(control, value)
    # Answers on regions and relations are judged beside the regions that they speak of.
    result = written if isinstance(kind, RegionKind) else [*marked, *written]
    errors = interface.validate_prediction({"result": result}, return_errors=True)  # type: ignore[attr-defined]
    back = kind.read(control, json.loads(json.dumps(result)))
    restored = kind.canonical(control, json.loads(json.dumps(value)))
    same = bool(written) and back == value and restored == value
    wrong = "; ".join(str(error) for error in errors) if errors else "" if same else "it reads back as something else"
    return Checked(control, not errors, same, wrong)
