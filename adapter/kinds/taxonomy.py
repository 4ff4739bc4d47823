"""Taxonomies, places in a tree of choices: `<Taxonomy>` of Label Studio.

A label is the path to a place, its parts joined as the page shows them (`pathSeparator`, " / " by default). The
canonical value is a tuple of such labels in the config's order, top to bottom; exactly one where `maxUsages` is 1, else
any number. `control.options["paths"]` has the parts of each label. Where `leafsOnly` is set, only ends of the tree are
labels.

Two values are alike as far as the tree brings them together: each path counts with all its ancestors, and these sets
are compared with MASI (Passonneau, LREC 2006). Closing label sets upwards is what the hierarchical precision and recall
of Kiritchenko, Matwin and Famili (2005) do, so that a near miss costs less than a far one.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from adapter.errors import LabelConfigError, LabelError, UnsupportedControl, nearest
from adapter.kinds.base import Measure, Tag, Unit
from adapter.kinds.choices import Choices, choices, label_of, refuse_task_data
from adapter.kinds.families.answer import attribute, short, start, title, true
from adapter.kinds.families.labelled import masi, numbers
from adapter.vocabulary import Control, Value

SEPARATOR = " / "
"""How Label Studio joins the parts of a path where the config does not say."""


class Taxonomy(Choices):
    """The kind of `<Taxonomy>`: labels with ancestors."""

    name = "taxonomy"
    tags = ("Taxonomy",)
    key = "taxonomy"
    type = "taxonomy"
    widened = "raise maxUsages"

    def control(self, tag: Tag) -> Control:
        """Parse `<Taxonomy>`. Raises LabelConfigError for empty labels and a bad maxUsages, UnsupportedControl for
        trees from task data or an address, and for taxonomies that label stretches of text."""
        where = title(tag)
        refuse_task_data(tag, "labels")
        if true(tag, "labeling"):
            raise UnsupportedControl(
                "labeling='true' marks stretches of text with it; only taxonomies of the whole task or of regions are "
                "served",
                where=where,
                remedy="Use <Labels> to mark text, and a <Taxonomy perRegion='true'> to classify what is marked.",
            )
        most = _most(tag, where)
        separator = attribute(tag, "pathSeparator") or SEPARATOR
        every = list(_paths(tag, (), where))
        paths = [path for path, leaf in every if leaf or not true(tag, "leafsOnly")]
        if not paths:
            raise LabelConfigError("it lists no labels", where=where, remedy="Add <Choice value='...'/> elements.")
        places = Counter(separator.join(path) for path, _ in every)
        twice = [place for place, times in places.items() if times > 1]
        if twice:
            raise LabelConfigError(
                f"two places are called '{twice[0]}'",
                where=where,
                remedy="Set pathSeparator to something that no label contains.",
            )
        options: dict[str, Any] = {"paths": [list(path) for path in paths], "separator": separator}
        if most is not None:
            options["max_usages"] = most
        labels = tuple(separator.join(path) for path in paths)
        return start(tag, self.name, labels=labels, multiple=most != 1, options=options)

    def limit(self, control: Control) -> int:
        """Return how many labels may hold at once: `maxUsages`."""
        return min(int(control.options.get("max_usages", len(control.labels))), len(control.labels))

    def canonical(self, control: Control, value: object) -> Value:
        """Return a tuple of labels in the config's order from a label, a path (a list inside a list), or a collection
        of them. Raises LabelError for labels outside the control, and for the wrong number of them."""
        if isinstance(value, Sequence) and not isinstance(value, str | bytes):
            value = [self._label(control, part) for part in value]
        try:
            labels = super().canonical(control, value)
        except LabelError as error:
            if len(ends := _ending(control, value)) == 1:
                raise LabelError(error.what, remedy=f"Give the whole path: '{ends[0]}'.") from error
            raise
        if len(labels) > self.limit(control):
            raise LabelError(
                f"'{control.name}' takes at most {self.limit(control)} labels, got {len(labels)}",
                remedy="Give fewer labels, or raise maxUsages in the label config.",
            )
        return labels

    def _label(self, control: Control, part: object) -> object:
        if isinstance(part, list | tuple):
            label = _by_path(control).get(tuple(part)) if all(isinstance(word, str) for word in part) else None
            if label is None:
                raise LabelError(
                    f"{short(list(part))} is no path of '{control.name}'",
                    remedy=nearest(_separator(control).join(map(str, part)), control.labels),
                )
            return label
        return part

    def item(self, control: Control, value: Value) -> dict[str, Any]:
        """Return `{"taxonomy": [paths]}`, each path a list from the root down."""
        return {"taxonomy": [list(_paths_of(control)[label]) for label in self.canonical(control, value)]}

    def chosen(self, control: Control, value: Mapping[str, Any]) -> list[object]:
        """Return the paths that a `value` object lists, not yet checked. A path of one part may come as a bare text, as
        some importers write it. Raises LabelError for no list."""
        return [[path] if isinstance(path, str) else path for path in super().chosen(control, value)]

    def closed(self, control: Control, value: Value) -> frozenset[str]:
        """Return the labels of a value and those of all their ancestors, whether these can be chosen or not."""
        above = _closures(control)
        return frozenset[str]().union(*(above[label] for label in value))

    def measure(self, control: Control) -> Measure:
        """Return sets."""
        return Measure(
            "set",
            "alpha",
            "Krippendorff's alpha with the MASI distance between sets of labels, each with its ancestors, so a near "
            "miss in the tree weighs less than a far one; beside it F1 of the labels as they were given.",
        )

    def distance(self, control: Control, a: Value, b: Value) -> float:
        """Return the MASI distance between the values with all their ancestors."""
        return masi(self.closed(control, a), self.closed(control, b))

    def units(self, control: Control, votes: Mapping[str, Value]) -> list[Unit]:
        """Return one unit of the labels that people gave, with all their ancestors."""
        return [Unit({who: self.closed(control, value) for who, value in votes.items()})] if votes else []

    def disagreement(self, control: Control, a: Value, b: Value) -> str:
        """Say in words how two values differ, and where they meet in the tree."""
        words = super().disagreement(control, a, b)
        shared = self.closed(control, a) & self.closed(control, b) - set(a) - set(b)
        deepest = max(sorted(shared), key=lambda label: label.count(_separator(control)), default="")
        return f"{words}; both lie under '{deepest}'" if deepest and a != b else words


def _paths(tag: Tag, above: tuple[str, ...], where: str) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Yield (path, whether it is an end) of every place in the tree, in document order. Of siblings with the same name
    the first counts, as on Label Studio's page."""
    seen: set[str] = set()
    for choice in (found for child in tag.children for found in choices(child)):
        label = label_of(choice, where)
        if label in seen:
            continue
        seen.add(label)
        path = (*above, label)
        below = list(_paths(choice, path, where))
        yield path, not below
        yield from below


def _most(tag: Tag, where: str) -> int | None:
    text = attribute(tag, "maxUsages").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 9 and int(text) >= 1):
        raise LabelConfigError(
            f"maxUsages='{short(text)}' is no whole number from 1", where=where, remedy="Write how many may be chosen."
        )
    return int(text)


def _separator(control: Control) -> str:
    return str(control.options.get("separator", SEPARATOR))


@functools.lru_cache(maxsize=64)
def _paths_of(control: Control) -> Mapping[str, tuple[str, ...]]:
    """Return label to the parts of its path."""
    paths = control.options.get("paths") or [label.split(_separator(control)) for label in control.labels]
    return {label: tuple(path) for label, path in zip(control.labels, paths, strict=True)}


@functools.lru_cache(maxsize=64)
def _by_path(control: Control) -> Mapping[tuple[str, ...], str]:
    return {path: label for label, path in _paths_of(control).items()}


@functools.lru_cache(maxsize=64)
def _closures(control: Control) -> Mapping[str, frozenset[str]]:
    """Return label to itself and all its ancestors."""
    separator = _separator(control)
    return {
        label: frozenset(separator.join(path[:depth]) for depth in range(1, len(path) + 1))
        for label, path in _paths_of(control).items()
    }


def _ending(control: Control, value: object) -> list[str]:
    """Return the labels whose last part is the first text in `value` that is no label."""
    said = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    strangers = [part for part in said if isinstance(part, str) and part not in numbers(control.labels)]
    return [label for label, path in _paths_of(control).items() if strangers and path[-1] == strangers[0]]


KIND = Taxonomy()
