"""The label config: Label Studio's XML into a `LabelSpace`. The only place that lists labels; it may be hostile."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from xml.etree import ElementTree

from adapter.errors import LabelConfigError, UnsupportedControl
from adapter.kinds import kind_of, kinds
from adapter.kinds.base import RegionKind
from adapter.label_studio.config_controls import controls_of
from adapter.label_studio.config_xml import (
    is_control,
    refuse_doubled_names,
    refuse_unknown,
    tree,
    walk,
    without_declaration,
)
from adapter.vocabulary import LabelSpace

__all__ = [
    "config_digest",
    "data_fields",
    "marks_regions",
    "parse_label_config",
    "read_label_config",
    "require_served",
    "with_reason_header",
    "without_declaration",
]

_FIELD_NAME = re.compile(r"[A-Za-z_]\w*")
_SKIPPED = re.compile(r"\s+|<!--.*?-->|<\?.*?\?>", re.DOTALL)
_START_TAG = re.compile(r"""<[^\s/>!?]+(?:\s+[^\s=]+\s*=\s*(?:"[^"]*"|'[^']*'))*\s*(/?)>""")


def parse_label_config(xml: str) -> LabelSpace:
    """Parse a label config.

    Controls that no kind serves are collected in `unserved`, each with the reason, and leave the rest working; there
    may be no others (see `require_served`). Raises LabelConfigError with line and column when it is no XML, when it
    tries entities or a DTD, when names or labels are wrong, and when it holds no control at all.
    """
    config = without_declaration(xml)
    root = tree(config)
    elements = list(walk(root))
    refuse_unknown(elements)
    refuse_doubled_names(elements)
    if not any(is_control(element) for element in elements):
        raise LabelConfigError(
            "the label config holds no control, so there is nothing to label",
            remedy="Add one, such as <Choices name='label' toName='text'><Choice value='yes'/></Choices>.",
        )
    controls, unserved = controls_of(root)
    return LabelSpace(controls=controls, config=config, digest=config_digest(config), unserved=unserved)


def require_served(space: LabelSpace, *, where: str = "label config") -> None:
    """Raise UnsupportedControl, which names every control and why it stays out, when none is served: then there is
    nothing that the adapter could do for the project."""
    if space.controls:
        return
    parts = "; ".join(f"{each.title}: {each.why}" for each in space.unserved)
    tags = dict.fromkeys(f"<{tag}>" for kind in kinds().values() for tag in kind.tags)
    raise UnsupportedControl(
        f"none of its controls is served: {parts}",
        where=where,
        remedy=f"Add at least one that is: {', '.join(tags)}.",
    )


def marks_regions(xml: str) -> bool:
    """Whether people mark regions with this label config; not with one that cannot be read."""
    try:
        return any(isinstance(kind_of(control.kind), RegionKind) for control in parse_label_config(xml).controls)
    except (LabelConfigError, UnsupportedControl):
        return False


def read_label_config(path: Path) -> LabelSpace:
    """Parse the label config in a file; every error names the file. Raises what `parse_label_config` does, and
    LabelConfigError when the file cannot be read."""
    try:
        xml = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise LabelConfigError("it is not UTF-8", where=str(path), remedy="Save the label config as UTF-8.") from error
    except OSError as error:
        raise LabelConfigError(
            f"the label config cannot be read ({error.strerror or error})",
            where=str(path),
            remedy="Put Label Studio's XML there, or name the right file.",
        ) from error
    try:
        return parse_label_config(xml)
    except LabelConfigError as error:
        place = error.where.removeprefix("label config")
        where = f"{path}{place}" if place.startswith(",") or not place else f"{path}: {error.where}"
        raise type(error)(error.what, where=where, remedy=error.remedy) from error


def config_digest(xml: str) -> str:
    """Return the sha256, hex, of the canonical XML (C14N 2.0, comments and space around text left out)."""
    config = without_declaration(xml)
    tree(config)  # the standard library's parser, used next, is not safe with hostile XML
    canonical = ElementTree.canonicalize(config, strip_text=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def with_reason_header(xml: str, field: str) -> str:
    """Return the config with `<Header value="$field"/>` as the first child of its root, unless an element already shows
    that field; all else stays byte for byte, but for an XML declaration, which Label Studio cannot read.

    Raises LabelConfigError when the config does not parse, ValueError when `field` is no plain name.
    """
    if not _FIELD_NAME.fullmatch(field):
        raise ValueError(f"'{field}' is no plain field name")
    config = without_declaration(xml)
    if any(element.attributes.get("value") == f"${field}" for element in walk(tree(config))):
        return config
    start = 0
    while skipped := _SKIPPED.match(config, start):
        start = skipped.end()
    opening = _START_TAG.match(config, start)
    if opening is None or opening.group(1):
        raise LabelConfigError("its root element is empty", remedy="Put the controls into a <View>.")
    gap = re.match(r"\s*", config[opening.end() :])
    assert gap is not None
    return f'{config[: opening.end()]}{gap.group()}<Header value="${field}"/>{config[opening.end() :]}'


def data_fields(xml: str) -> tuple[str, ...]:
    """Return the task fields that Label Studio demands of every task of a project with this config: those that an
    element with a name shows in `value`, in document order."""
    found = (
        match.group()[1:].split("[")[0].split(".")[0]
        for element in walk(tree(without_declaration(xml)))
        if element.attributes.get("name") and (match := re.search(r"\$[\w.]+", element.attributes.get("value", "")))
    )
    return tuple(dict.fromkeys(found))
