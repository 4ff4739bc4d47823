"""`keywords` and `regex`: functions of the words in a text field, with the meaning of Python's `re` on str."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from adapter.errors import FunctionsError
from adapter.labeling.declared.common import (
    Common,
    Place,
    checked_confidence,
    checked_field,
    checked_label,
    make,
    place,
    shortened,
    text_of,
    vote,
)
from adapter.labeling.function import Answer, Declared, LabelingFunction
from adapter.vocabulary import JsonObject

LONG_LIST = 256
"""Keywords from which on a text's words are looked up, where these keywords are single words, instead of searched."""
_TOGETHER = 32
_WORD = re.compile(r"\w+")
_TWINS = {0x17F: "s", 0x212A: "k", 0x130: "i", 0x131: "i"}
_LETTERS = {"a": re.A, "i": re.I, "m": re.M, "s": re.S, "x": re.X}


@dataclass(frozen=True, slots=True)
class TextRule:
    """Votes `label` where at least `at_least` of the patterns are found in the text of `field`. parts: of each pattern,
    the patterns of which it finds any, for engines that search them apart. linear: no pattern can backtrack far, so it
    is safe to search outside a worker with its time limit. words: for long lists of single ASCII
    words, these in small letters, since looking up a text's own words is faster."""

    label: str
    field: str
    patterns: tuple[re.Pattern[str], ...]
    parts: tuple[tuple[str, ...], ...]
    at_least: int
    confidence: float | None
    linear: bool
    words: frozenset[str] | None = None

    def __call__(self, data: JsonObject) -> Answer:
        """Return the vote for one task's data. Raises FunctionsError where the field holds no text."""
        text = text_of(data, self.field)
        return vote(self.label, self.confidence) if text is not None and self.found(text) else None

    def found(self, text: str) -> bool:
        """Say whether enough patterns are found in a text."""
        if self.words is not None:
            return len(self.words.intersection(_words_of(text))) >= self.at_least
        if len(self.patterns) == 1:
            return self.patterns[0].search(text) is not None
        missed = len(self.patterns) - self.at_least
        for pattern in self.patterns:
            if pattern.search(text) is None:
                missed -= 1
                if missed < 0:
                    return False
        return True


def keywords(
    label: str,
    words: Iterable[str],
    *,
    field: str = "text",
    whole_words: bool = True,
    ignore_case: bool = True,
    at_least: int = 1,
    name: str = "",
    control: str | None = None,
    examples: Sequence[Any] = (),
    confidence: float | None = None,
    doc: str = "",
) -> LabelingFunction:
    """Vote `label` where at least `at_least` different keywords occur in the text of `field`.

    A keyword may be a phrase; a space in it stands for any run of white space. whole_words: nothing that `\\w` matches
    goes directly before or after it. ignore_case: as `re.IGNORECASE` does. It abstains where the field is missing, None
    or empty; something else than text there is a fault. Options of all declared functions: `declared.common.make`.
    Raises FunctionsError when there are no keywords, or fewer than `at_least`.
    """
    at = place()
    checked_label("keywords", label, at)
    checked_field("keywords", field, at)
    unique = _unique(words, ignore_case, at)
    if isinstance(at_least, bool) or not isinstance(at_least, int) or not 1 <= at_least <= len(unique):
        raise FunctionsError(
            f"keywords: at_least={at_least!r} with {len(unique)} different keywords",
            where=str(at),
            remedy=f"Give a whole number from 1 to {len(unique)}.",
        )
    sure = checked_confidence("keywords", confidence, at)
    flags = re.IGNORECASE if ignore_case else re.NOFLAG
    groups = [[word] for word in unique] if at_least > 1 else [unique]
    patterns = tuple(re.compile(_pattern(group, whole_words), flags) for group in groups)
    parts = tuple(
        tuple(_pattern(group[at : at + _TOGETHER], whole_words) for at in range(0, len(group), _TOGETHER))
        for group in groups
    )
    spec = {
        "kind": "keywords", "label": label, "words": unique, "field": field, "whole_words": bool(whole_words),
        "ignore_case": bool(ignore_case), "at_least": at_least, "confidence": sure,
    }  # fmt: skip
    many = f"at least {at_least} of " if at_least > 1 else ""
    how = ("" if whole_words else ", also within words") + ("" if ignore_case else ", case matters")
    shown = shortened(f"{field} has {many}{', '.join(unique)}{how}")
    rule = TextRule(
        label, field, patterns, parts, at_least, sure, linear=True, words=_set(unique, whole_words, ignore_case)
    )
    declared = Declared("keywords", label, (field,), spec, shown)
    return make(declared, rule, Common(name, control, examples, confidence, doc), at)


def regex(
    label: str,
    pattern: str,
    *,
    field: str = "text",
    flags: int | str = 0,
    name: str = "",
    control: str | None = None,
    examples: Sequence[Any] = (),
    confidence: float | None = None,
    doc: str = "",
) -> LabelingFunction:
    """Vote `label` where Python's `re.search` finds `pattern` in the text of `field`.

    flags: as `re` has them, `re.I | re.S` or the letters "is". It abstains where the field is missing, None or empty;
    something else than text there is a fault. Options of all declared functions: `declared.common.make`. Raises
    FunctionsError with the position where the pattern does not compile.
    """
    at = place()
    checked_label("regex", label, at)
    checked_field("regex", field, at)
    number = _flags(flags, at)
    if not isinstance(pattern, str) or not pattern:
        raise FunctionsError(
            f"regex: {pattern!r} is no pattern", where=str(at), remedy="Write it as a raw string: r'...'."
        )
    sure = checked_confidence("regex", confidence, at)
    compiled = _compiled(pattern, number, at)
    spec = {
        "kind": "regex", "label": label, "pattern": pattern, "field": field, "flags": compiled.flags, "confidence": sure
    }  # fmt: skip
    letters = "".join(letter for letter, flag in _LETTERS.items() if number & flag)
    shown = shortened(f"{field} matches /{pattern}/{letters}")
    rule = TextRule(label, field, (compiled,), ((pattern,),), 1, sure, linear=False)
    declared = Declared("regex", label, (field,), spec, shown)
    return make(declared, rule, Common(name, control, examples, confidence, doc), at)


def _unique(words: object, ignore_case: bool, at: Place) -> list[str]:
    """The keywords with single spaces, each once, in their order."""
    remedy = 'Write keywords("label", ["word", "another word"]).'
    if isinstance(words, str | bytes) or not isinstance(words, Iterable):
        raise FunctionsError(f"keywords: {words!r:.60} is not a list of keywords", where=str(at), remedy=remedy)
    unique: dict[str, str] = {}
    for word in words:
        if not isinstance(word, str) or not word.strip():
            raise FunctionsError(f"keywords: {word!r:.60} is no keyword", where=str(at), remedy=remedy)
        plain = " ".join(word.split())
        unique.setdefault(plain.lower() if ignore_case else plain, plain)
    if not unique:
        raise FunctionsError("keywords: the list is empty", where=str(at), remedy=remedy)
    return list(unique.values())


def _pattern(words: Sequence[str], whole: bool) -> str:
    parts = [r"\s+".join(re.escape(part) for part in word.split(" ")) for word in words]
    return rf"(?<!\w)(?:{'|'.join(parts)})(?!\w)" if whole else f"(?:{'|'.join(parts)})"


def _words_of(text: str) -> list[str]:
    """A text's words in small letters, and the four letters beyond ASCII that `re.I` takes for s, k and i as these."""
    if text.isascii():
        return _WORD.findall(text.lower())
    return " ".join(_WORD.findall(text)).translate(_TWINS).lower().split(" ")


def _set(words: Sequence[str], whole: bool, ignore_case: bool) -> frozenset[str] | None:
    """A long list of single words as a set; None where the patterns must be searched."""
    plain = all(word.isascii() and _WORD.fullmatch(word) for word in words)
    return (
        frozenset(word.lower() for word in words)
        if plain and whole and ignore_case and len(words) > LONG_LIST
        else None
    )


def _flags(flags: object, at: Place) -> int:
    allowed = int(re.A | re.I | re.M | re.S | re.X)
    remedy = f"Use the letters {', '.join(_LETTERS)} or re.I, re.M, re.S, re.X, re.A."
    if isinstance(flags, str):
        number = 0
        for letter in flags.lower():
            if letter not in _LETTERS:
                raise FunctionsError(f"regex: {letter!r} is no flag", where=str(at), remedy=remedy)
            number |= int(_LETTERS[letter])
        return number
    if isinstance(flags, bool) or not isinstance(flags, int) or int(flags) & ~(allowed | int(re.U)):
        raise FunctionsError(f"regex: flags={flags!r} are no flags", where=str(at), remedy=remedy)
    return int(flags)


def _compiled(pattern: str, flags: int, at: Place) -> re.Pattern[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "possible nested set": the pattern means what it means today
            return re.compile(pattern, flags)
    except re.error as error:
        spot = "" if error.pos is None else f" at character {error.pos + 1}"
        raise FunctionsError(
            f"regex: /{shortened(pattern)}/ does not compile: {error.msg}{spot}",
            where=str(at),
            remedy="Put a backslash before a character that is meant as itself, and write the pattern as r'...'.",
        ) from error
    except (ValueError, OverflowError, RecursionError) as error:
        raise FunctionsError(f"regex: /{shortened(pattern)}/ does not compile: {error}", where=str(at)) from error
