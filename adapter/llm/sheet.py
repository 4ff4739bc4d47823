"""What a language model may answer: the control's labels with what the label config says of them, each with a short
key."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass

ABSTAIN_KEY = "unsure"
_LONGEST_WORDS = 300


@dataclass(frozen=True, slots=True)
class Option:
    """key: what the model answers with. label: as the label config writes it. words: what else is said of it there: the
    name shown to people where another one is stored, and the hint."""

    key: str
    label: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The labels of one control, in its order. question: what the label config asks. multiple: several may hold.
    may_abstain: the model may say that it cannot tell."""

    options: tuple[Option, ...]
    question: str = ""
    multiple: bool = False
    may_abstain: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys in the order of the labels."""
        return tuple(option.key for option in self.options)


def make_sheet(
    labels: Sequence[str],
    *,
    config: str = "",
    control: str = "",
    question: str = "",
    multiple: bool = False,
    may_abstain: bool = False,
) -> Sheet:
    """Return the sheet of a control. config: the label config's XML, for hints and the question; it may be hostile, and
    is passed over where it cannot be read. question: goes before the config's."""
    asked, words = _config_words(config, control) if config else ("", {})
    keys = keys_for(labels)
    options = tuple(
        Option(key, label, " ".join(words.get(label, "").split())[:_LONGEST_WORDS])
        for key, label in zip(keys, labels, strict=True)
    )
    return Sheet(options, " ".join((question or asked).split())[:2000], multiple, may_abstain)


def keys_for(labels: Sequence[str]) -> tuple[str, ...]:
    """Return a key for each label: A, B, C; numbers where there are more than 26 or a label is a letter itself; the
    labels where they are numbers too. One letter is one token nearly everywhere, so its probability can be read."""
    taken = {label.strip().casefold() for label in labels}
    letters = string.ascii_uppercase[: len(labels)]
    if len(labels) <= 26 and not any(letter.casefold() in taken for letter in letters):
        return tuple(letters)
    numbers = tuple(str(number) for number in range(1, len(labels) + 1))
    if not any(number in taken for number in numbers):
        return numbers
    return tuple(f"L{number}" for number in numbers)


def _config_words(xml: str, control: str) -> tuple[str, dict[str, str]]:
    """Return the question before a control, and label to what is said of it."""
    from xml.etree import ElementTree

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(xml, forbid_dtd=True)
    except (ElementTree.ParseError, DefusedXmlException, ValueError, RecursionError):
        return "", {}
    question, words = "", {}
    for element in root.iter():
        shown = element.get("value", "")
        if str(element.tag).lower() == "header" and shown and "$" not in shown:
            question = shown
        if element.get("name") == control and element.get("toName") is not None:
            for part in element.iter():
                label = part.get("alias") or part.get("value")
                if label and part is not element:
                    other = part.get("value", "") if part.get("alias") else ""
                    words[label] = ", ".join(filter(None, (other, part.get("hint", ""))))
            break
    return question, words
