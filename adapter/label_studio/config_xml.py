"""Label Studio's XML as a tree of tags, parsed safely: it may be hostile. What the tags are called, and what they are
for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from adapter.errors import LabelConfigError, nearest
from adapter.kinds.base import Tag


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
_DECLARATION = re.compile(r"^\ufeff?\s*<\?xml\b.*?\?>\s*", re.DOTALL)
_MAX_CHARS = 2_000_000
_MAX_DEPTH = 100
# Label Studio's page looks tags up by their name in lower case.
_CANONICAL_NAMES = {name.lower(): name for name in KNOWN_TAGS}


def without_declaration(xml: str) -> str:
    """Return the config without a byte order mark and XML declaration: Label Studio fails on text that declares an
    encoding."""
    return _DECLARATION.sub("", xml, count=1).removeprefix("\ufeff")


def tree(xml: str) -> Tag:
    """Parse hostile XML safely into tags. Raises LabelConfigError with line and column when it is no XML, and when it
    is too long, nests too deep, or declares entities or a DTD."""
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


def walk(tag: Tag) -> Iterator[Tag]:
    """Yield a tag and all below it in document order, but for the free content of tags such as `Style`."""
    for element, _ in walk_with_ancestors(tag):
        yield element


def walk_with_ancestors(tag: Tag, above: tuple[Tag, ...] = ()) -> Iterator[tuple[Tag, tuple[Tag, ...]]]:
    """Yield what `walk` does, each with the tags around it, the root first."""
    yield tag, above
    if tag.name not in _FREE_CONTENT:
        for child in tag.children:
            yield from walk_with_ancestors(child, (*above, tag))


def is_control(tag: Tag) -> bool:
    """Return whether a person answers in this tag: a control of Label Studio, or an unknown tag that points at an
    object."""
    return tag.name in CONTROL_TAGS or (tag.name not in KNOWN_TAGS and "toName" in tag.attributes)


def title(tag: Tag) -> str:
    """Return what messages call a tag, such as `<Choices name='tone'>`."""
    name = tag.attributes.get("name")
    return f"<{tag.name} name='{name}'>" if name else f"<{tag.name}>"


def refuse_unknown(elements: list[Tag]) -> None:
    """Raise LabelConfigError for a tag that is none of Label Studio's; one that points at an object may be a control
    of another edition, unless its name is a known one misspelt."""
    for element in elements:
        if element.name in KNOWN_TAGS:
            continue
        near = nearest(element.name, KNOWN_TAGS)
        near = near if near.startswith("Did you mean") else ""
        if near or "toName" not in element.attributes:
            raise LabelConfigError(
                f"<{element.name}> is no tag of Label Studio", where="label config", remedy=near or "Remove it."
            )


def refuse_doubled_names(elements: list[Tag]) -> None:
    """Raise LabelConfigError when two elements have one name."""
    seen: set[str] = set()
    for element in elements:
        name = element.attributes.get("name")
        if name and name in seen:
            raise LabelConfigError(
                f"the name '{name}' is there twice",
                where=title(element),
                remedy="Give each element a name of its own.",
            )
        if name:
            seen.add(name)
