"""The label config: Label Studio's XML into a `LabelSpace`. The only place that lists labels; it may be hostile."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from adapter.errors import LabelConfigError, UnsupportedControl, nearest
from adapter.kinds import kind_for_tag, kinds
from adapter.kinds.base import Tag
from adapter.vocabulary import Control, LabelSpace


def _tags(names: str) -> frozenset[str]:
    return frozenset(names.split())


# Label Studio 1.23: the tags that its page registers, and the further ones that its documentation and SDK know.
CONTROL_TAGS = _tags(
    """
    Bitmask BitmaskLabels Brush BrushLabels Chat ChatMessage Choices CustomInterface DateTime Ellipse EllipseLabels
    HyperTextLabels KeyPoint KeyPointLabels Labels MagicWand Number OcrLabels Pairwise ParagraphLabels Polygon
    PolygonLabels Prompt Ranker Rating ReactCode Rectangle RectangleLabels Relations Taxonomy TextArea TimelineLabels
    TimeSeriesLabels Vector VectorLabels VideoRectangle VideoVector VideoVectorLabels
    """
)
"""Tags whose input a person makes, and that end in an annotation's result."""
OBJECT_TAGS = _tags(
    """
    Audio AudioPlus Chat HyperText Image List Paragraphs Pdf Table Text TimeSeries Video
    """
)
"""Tags that show a task's data."""
VISUAL_TAGS = _tags(
    """
    Collapse Dialog Filter Header Markdown PagedView Panel Shortcut Style View
    """
)
"""Tags that lay out, style or explain; they change no result."""
PART_TAGS = _tags("Bucket Channel Choice Label MultiChannel Region Relation TimeSeriesChannel")
"""Tags that belong to the tag around them."""
KNOWN_TAGS = CONTROL_TAGS | OBJECT_TAGS | VISUAL_TAGS | PART_TAGS | {"Repeater"}

_FREE_CONTENT = frozenset({"HyperText", "Style", "Markdown", "Header", "CustomInterface", "ReactCode"})
_FIELD = re.compile(r"\$[^\s,$\[\]{}]+")
_FIELD_NAME = re.compile(r"[A-Za-z_]\w*")
_DECLARATION = re.compile(r"^\ufeff?\s*<\?xml\b.*?\?>\s*", re.DOTALL)
_SKIPPED = re.compile(r"\s+|<!--.*?-->|<\?.*?\?>", re.DOTALL)
_START_TAG = re.compile(r"""<[^\s/>!?]+(?:\s+[^\s=]+\s*=\s*(?:"[^"]*"|'[^']*'))*\s*(/?)>""")
_MAX_CHARS = 2_000_000
_MAX_DEPTH = 100


def parse_label_config(xml: str) -> LabelSpace:
    """Parse a label config.

    Raises LabelConfigError with line and column when it is no XML, when it tries entities or a DTD, and when names or
    labels are wrong; UnsupportedControl, naming all of them at once, when it holds controls that no kind serves.
    """
    config = without_declaration(xml)
    root = _tree(config)
    elements = list(_walk(root))
    _refuse_unknown(elements)
    _refuse_doubled_names(elements)
    objects = {e.attributes["name"]: e for e in elements if e.name in OBJECT_TAGS and e.attributes.get("name")}
    controls = [e for e in elements if _is_control(e)]
    if not controls:
        raise LabelConfigError(
            "the label config holds no control, so there is nothing to label",
            remedy="Add one, such as <Choices name='label' toName='text'><Choice value='yes'/></Choices>.",
        )
    unserved = [_title(e) for e in elements if e.name == "Repeater" or (_is_control(e) and not kind_for_tag(e.name))]
    parsed: list[Control] = []
    refusals: list[UnsupportedControl] = []
    for element in controls:
        if unserved and kind_for_tag(element.name) is None:
            continue
        try:
            parsed.append(_control(element, objects))
        except UnsupportedControl as refusal:
            refusals.append(refusal)
        except LabelConfigError:
            if not unserved:  # else the controls that are not served are the first thing to mend
                raise
    if unserved or refusals:
        raise _refusal(list(dict.fromkeys(unserved)), refusals, elements)
    return LabelSpace(controls=tuple(parsed), config=config, digest=config_digest(config))


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
    _tree(config)  # the standard library's parser, used next, is not safe with hostile XML
    canonical = ElementTree.canonicalize(config, strip_text=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def without_declaration(xml: str) -> str:
    """Return the config without a byte order mark and XML declaration: Label Studio fails on text that declares an
    encoding."""
    return _DECLARATION.sub("", xml, count=1).removeprefix("\ufeff")


def with_reason_header(xml: str, field: str) -> str:
    """Return the config with `<Header value="$field"/>` as the first child of its root, unless an element already shows
    that field; all else stays byte for byte, but for an XML declaration, which Label Studio cannot read.

    Raises LabelConfigError when the config does not parse, ValueError when `field` is no plain name.
    """
    if not _FIELD_NAME.fullmatch(field):
        raise ValueError(f"'{field}' is no plain field name")
    config = without_declaration(xml)
    if any(element.attributes.get("value") == f"${field}" for element in _walk(_tree(config))):
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
        for element in _walk(_tree(without_declaration(xml)))
        if element.attributes.get("name") and (match := re.search(r"\$[\w.]+", element.attributes.get("value", "")))
    )
    return tuple(dict.fromkeys(found))


def _tree(xml: str) -> Tag:
    """Parse hostile XML safely into tags."""
    if len(xml) > _MAX_CHARS:
        raise LabelConfigError(
            f"it is longer than {_MAX_CHARS:,} characters", remedy="Label configs list labels; keep data in tasks."
        )
    try:
        root = fromstring(xml, forbid_dtd=True)
    except ElementTree.ParseError as error:
        line, column = error.position
        raise LabelConfigError(
            f"it is no well-formed XML: {str(error).split(':')[0]}",
            where=f"label config, line {line}, column {column + 1}",
            remedy="Mend it there; Label Studio's labeling interface editor shows the place too.",
        ) from error
    except DefusedXmlException as error:
        raise LabelConfigError(
            "it declares a DTD or entities, which can read files and exhaust memory",
            where="label config",
            remedy="Remove <!DOCTYPE ...> and <!ENTITY ...>.",
        ) from error
    except (ValueError, RecursionError) as error:  # lone surrogates, NUL characters
        raise LabelConfigError(
            "it holds characters that are not allowed in XML", where="label config", remedy="Save it as UTF-8."
        ) from error
    return _tag(root, 1)


def _tag(element: ElementTree.Element, depth: int) -> Tag:
    if depth > _MAX_DEPTH:
        raise LabelConfigError(
            f"its elements nest deeper than {_MAX_DEPTH}", where="label config", remedy="Flatten it."
        )
    name = _CANONICAL_NAMES.get(element.tag.lower(), element.tag)
    return Tag(name, dict(element.attrib), tuple(_tag(child, depth + 1) for child in element))


# Label Studio's page looks tags up by their name in lower case.
_CANONICAL_NAMES = {name.lower(): name for name in KNOWN_TAGS}


def _walk(tag: Tag) -> Iterator[Tag]:
    """Yield a tag and all below it in document order, but for the free content of tags such as `Style`."""
    yield tag
    if tag.name not in _FREE_CONTENT:
        for child in tag.children:
            yield from _walk(child)


def _is_control(tag: Tag) -> bool:
    if tag.name in CONTROL_TAGS:
        return True
    return tag.name not in KNOWN_TAGS and "toName" in tag.attributes


def _title(tag: Tag) -> str:
    name = tag.attributes.get("name")
    return f"<{tag.name} name='{name}'>" if name else f"<{tag.name}>"


def _refuse_unknown(elements: list[Tag]) -> None:
    for element in elements:
        if element.name not in KNOWN_TAGS and "toName" not in element.attributes:
            raise LabelConfigError(
                f"<{element.name}> is no tag of Label Studio",
                where="label config",
                remedy=_near_tag(element.name) or "Remove it.",
            )


def _near_tag(name: str) -> str:
    advice = nearest(name, KNOWN_TAGS)
    return advice if advice.startswith("Did you mean") else ""


def _refuse_doubled_names(elements: list[Tag]) -> None:
    seen: set[str] = set()
    for element in elements:
        name = element.attributes.get("name")
        if name and name in seen:
            raise LabelConfigError(
                f"the name '{name}' is there twice",
                where=_title(element),
                remedy="Give each element a name of its own.",
            )
        if name:
            seen.add(name)


def _control(element: Tag, objects: dict[str, Tag]) -> Control:
    kind = kind_for_tag(element.name)
    assert kind is not None  # the caller has looked
    target = _target(element, objects)
    return kind.control(Tag(element.name, element.attributes, element.children, {element.attributes["toName"]: target}))


def _refusal(unserved: list[str], refusals: list[UnsupportedControl], elements: list[Tag]) -> UnsupportedControl:
    """Put everything that is not served into one error, so that one look mends it all."""
    if not unserved and len(refusals) == 1:
        return refusals[0]
    served = ", ".join(f"<{tag}>" for kind in kinds().values() for tag in kind.tags)
    parts = [f"{', '.join(unserved)} {'is' if len(unserved) == 1 else 'are'} not served yet"] if unserved else []
    parts += [f"{refusal.where}: {refusal.what}" for refusal in refusals]
    typos = [f"{e.name}? {near}" for e in elements if e.name not in KNOWN_TAGS and (near := _near_tag(e.name))]
    advice = f"Served: {served}. Remove the others, or keep them in a project of their own."
    return UnsupportedControl("; ".join(parts), where="label config", remedy=" ".join([*typos, advice]))


def _target(control: Tag, objects: dict[str, Tag]) -> Tag:
    """Return the object a control points at; raises when there is none, several, or one that shows no task field."""
    title, to_name = _title(control), control.attributes.get("toName", "")
    if not control.attributes.get("name"):
        raise LabelConfigError(f"<{control.name}> has no name", where="label config", remedy="Add name='...'.")
    if not to_name:
        raise LabelConfigError(
            "it has no toName", where=title, remedy=f"Point it at an object. {_objects(to_name, objects)}"
        )
    if to_name not in objects and "," in to_name:
        raise UnsupportedControl(
            f"it points at several objects: '{to_name}'", where=title, remedy="Point it at one of them."
        )
    target = objects.get(to_name)
    if target is None:
        raise LabelConfigError(f"toName='{to_name}' names no object", where=title, remedy=_objects(to_name, objects))
    value = target.attributes.get("valueList") or target.attributes.get("value", "")
    if not _FIELD.fullmatch(value):
        raise LabelConfigError(
            f"{_title(target)} shows no task field, but {_clip(value)}",
            where=title,
            remedy="Point it at an element with value='$field'.",
        )
    return target


def _objects(to_name: str, objects: dict[str, Tag]) -> str:
    return nearest(to_name, objects) or "There is no object yet: add one, such as <Text name='text' value='$text'/>."


def _clip(value: str) -> str:
    if not value:
        return "nothing"
    return f"'{value}'" if len(value) <= 60 else f"'{value[:57]}...'"
