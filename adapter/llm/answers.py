"""From what a model wrote to probabilities over the labels. Nothing that is no label comes out of here.

Read are, in this order: JSON in the form that was asked for, or nearly so; the answer alone; one label or key at the
end of a sentence such as "The answer is B". Case, quotes, code fences and white space do not matter. A name that is not
a label's is no answer, however near it is; nor is prose that names several labels, or says what does not hold.

Probabilities come from the log-probabilities of the answer's own token where the endpoint gives them. Elsewhere the
chosen label gets a fixed confidence, and what is left is shared out; asked several times, the mean is taken
(self-consistency: Wang et al., ICLR 2023). Either is a first word only: models are far too sure of themselves, and
calibration on people's labels corrects it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.llm.faults import Unusable
from adapter.llm.reply import Reply, Token
from adapter.llm.sheet import ABSTAIN_KEY, Sheet

Doubles = npt.NDArray[np.float64]
SMOOTHING = 0.01
"""Share of every answer that is spread over all labels: no label is ever impossible."""
LEAST_MASS = 0.5
"""Probability that the keys must have together for an answer's log-probabilities to be believed."""
_ABSTAIN = -1
_FENCE = re.compile(r"```[\w-]*\s*(.*?)```", re.DOTALL)
_THOUGHT = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_NAMES = ("answer", "label", "labels", "answers", "class", "category", "key", "choice", "result")
_NOT = re.compile(
    r"\b(not|no|isnt|cannot|never|neither|nor|rather than|instead of|anything but|hardly|unlikely|unlike|except)\b"
    r"|n['\u2019]t\b",
    re.IGNORECASE,
)
_SAYS = re.compile(
    r"(?:answer|label|choice|key|option)\s*(?:is|:|=|->|→)\s*[\"'`*(\[]*(?!(?-i:[ai])\s+\w)([^\s\"'`*)\].,;]+)",
    re.IGNORECASE,
)
"""In "the answer is a matter of taste" the small a is no key."""
_YES, _NO = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0", "none"})


@dataclass(frozen=True, slots=True)
class Answered:
    """probabilities (k,): of each label; they sum to 1 - `unsure`, unless several may hold. unsure: that it cannot be
    told. measured: whether they come from log-probabilities."""

    probabilities: tuple[float, ...]
    unsure: float = 0.0
    measured: bool = False


def read_answer(reply: Reply, sheet: Sheet, confidence: float) -> Answered:
    """Return what a reply says. confidence: of a label that was named without log-probabilities. Raises Unusable."""
    text = _THOUGHT.sub(" ", reply.text).strip()
    k = len(sheet.options)
    if sheet.multiple:
        chosen = _several(text, sheet)
        sure = _measured_several(reply, sheet, chosen)
        values = np.where(chosen, confidence, 1.0 - confidence) if sure is None else sure
        smooth = SMOOTHING / 2 + (1 - SMOOTHING) * values
        return Answered(tuple(smooth.tolist()), 0.0, sure is not None)
    named = _one(text, sheet)
    mass = _measured_one(reply, sheet, named)
    measured = mass is not None
    if mass is None:
        mass = np.full(k + 1, (1.0 - confidence) / max(k - 1, 1))
        mass[named], mass[k if named != _ABSTAIN else 0] = confidence, 0.0
        if named == _ABSTAIN:
            mass[:k], mass[k] = (1.0 - confidence) / k, confidence
        mass /= mass.sum()
    labels = (1 - SMOOTHING) * mass[:k] + SMOOTHING * (1 - mass[k]) / k
    return Answered(tuple(labels.tolist()), float(mass[k]), measured)


def mean(answers: Sequence[Answered]) -> Answered:
    """Return the mean of several answers to one question."""
    table = np.asarray([answer.probabilities for answer in answers])
    unsure = float(np.mean([answer.unsure for answer in answers]))
    return Answered(tuple(table.mean(axis=0).tolist()), unsure, all(answer.measured for answer in answers))


def _unusable(text: str, why: str) -> Unusable:
    shown = " ".join(text.split())[:80]
    return Unusable(
        f"the model answered {shown!r}, {why}",
        remedy="Say in the guideline how to answer, raise `max_tokens` if it was cut off, or take another model.",
    )


# What was said


def _one(text: str, sheet: Sheet) -> int:
    """Return the number of the label that an answer names, or _ABSTAIN."""
    names = _known(sheet)
    for value in _jsons(text):
        said = _named(value)
        if isinstance(said, list) and len(said) == 1:
            said = said[0]
        if isinstance(said, str | int) and not isinstance(said, bool):
            found = _match(str(said), names)
            if found is not None:
                return found
        if isinstance(value, dict):
            raise _unusable(text, "which names no label")
    plain = _FENCE.sub(r"\1", text).strip()
    for piece in dict.fromkeys((plain, plain.splitlines()[0] if plain else "")):
        found = _match(piece, names)
        if found is not None:
            return found
    return _in_prose(plain, names)


def _in_prose(text: str, names: Mapping[str, int]) -> int:
    said = {found for each in _SAYS.findall(text) if (found := _match(each, names)) is not None}
    if not said and not _NOT.search(text):
        long = (name for name in names if len(name) > 2 and name != ABSTAIN_KEY)
        said = {names[name] for name in long if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text.casefold())}
    if len(said) == 1:
        return said.pop()
    raise _unusable(text, "which names several labels" if said else "which names no label")


def _several(text: str, sheet: Sheet) -> npt.NDArray[np.bool_]:
    """Return which labels an answer says hold, bool (k,)."""
    names, k = _known(sheet), len(sheet.options)
    for value in _jsons(text):
        inner = _named(value)
        if isinstance(inner, dict):
            value = inner
        if isinstance(value, dict) and not isinstance(inner, list | str):
            said: dict[int | None, bool | None] = {}
            for name, each in value.items():
                number, holds = _match(str(name), names), _truth(each)
                said[number] = holds if said.get(number, holds) == holds else None  # it says both
            if said and None not in said and None not in said.values():
                return np.asarray([bool(said.get(number, False)) for number in range(k)])
        elif isinstance(inner, list | str):
            parts = inner if isinstance(inner, list) else re.split(r"[,;]", inner)
            found = [_match(str(part), names) for part in parts if str(part).strip()]
            if None not in found:
                return np.asarray([number in found for number in range(k)])
        raise _unusable(text, "which is no answer for each label")
    plain = _FENCE.sub(r"\1", text).strip()
    found = [_match(part, names) for part in re.split(r"[,;\n]", plain) if part.strip()]
    if found and None not in found:
        return np.asarray([number in found for number in range(k)])
    if plain and plain.strip(" .\"'[]").casefold() in ("none", "no label", ""):
        return np.zeros(k, bool)
    raise _unusable(text, "which names no labels")


def _jsons(text: str) -> Iterator[Any]:
    """Yield the first JSON object or list in a text, in a code fence or not."""
    decoder = json.JSONDecoder()
    for piece in (*_FENCE.findall(text), text):
        for start in [found.start() for found in re.finditer(r"[{\[]", piece)][:20]:
            try:
                value, _ = decoder.raw_decode(piece, start)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict | list):
                yield value
                return


def _named(value: Any) -> Any:
    """Return what a JSON answer says: under one of the usual names, or the only thing in it."""
    if not isinstance(value, dict):
        return value
    small = {str(name).casefold(): each for name, each in value.items()}
    for name in _NAMES:
        if name in small and not isinstance(small[name], bool):
            return small[name]
    return None if len(small) != 1 else next(iter(small.values()))


def _known(sheet: Sheet) -> dict[str, int]:
    """Return every way to name a label, in small letters; what would name two is left out."""
    found: dict[str, int] = {}
    twice: set[str] = set()
    for number, option in enumerate(sheet.options):
        for name in (option.label, option.key, f"{option.key}: {option.label}"):
            folded = _folded(name)
            if found.setdefault(folded, number) != number:
                twice.add(folded)
    known = {name: number for name, number in found.items() if name not in twice}
    if sheet.may_abstain:
        known.setdefault(ABSTAIN_KEY, _ABSTAIN)
    return known


def _folded(text: str) -> str:
    return " ".join(text.strip().strip("\"'`*.!()[]").split()).casefold()


def _match(text: str, names: Mapping[str, int]) -> int | None:
    """Return the label that a short text names; None for none."""
    if len(text) > 500:
        return None
    folded = _folded(text)
    if folded in names:
        return names[folded]
    key, mark, rest = folded.partition(":") if ":" in folded else folded.partition(")")
    if mark and key.strip() in names and names.get(_folded(rest)) == names[key.strip()]:
        return names[key.strip()]
    return None


def _truth(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    word = str(value).strip().casefold()
    return True if word in _YES else False if word in _NO else None


# How sure it was


def _measured_one(reply: Reply, sheet: Sheet, named: int) -> Doubles | None:
    """Return the probability of each label, and of being unsure, (k + 1,) summing to 1, by the token that names the
    answer; None where that cannot be read, or contradicts the answer."""
    keys = [*sheet.keys, ABSTAIN_KEY]
    said = keys[named]
    found = re.search(rf"\"answer\"\s*:\s*\"(?={re.escape(said)}\")", reply.text)
    start = found.end() if found else (0 if reply.text.strip() == said else None)
    if start is None:
        return None
    mass = _at(reply.tokens, reply.text, start, keys, len(said))
    if mass is None or int(mass.argmax()) != (named if named != _ABSTAIN else len(keys) - 1):
        return None
    return mass


def _measured_several(reply: Reply, sheet: Sheet, chosen: npt.NDArray[np.bool_]) -> Doubles | None:
    """Return the probability of each label, (k,), by the tokens that say true or false; None where one cannot be
    read."""
    values = np.empty(len(chosen))
    for number, key in enumerate(sheet.keys):
        said = "true" if chosen[number] else "false"
        found = re.search(rf"\"{re.escape(key)}\"\s*:\s*(?={said})", reply.text)
        mass = None if found is None else _at(reply.tokens, reply.text, found.end(), ["true", "false"], len(said))
        if mass is None or bool(mass[0] > 0.5) != bool(chosen[number]):
            return None
        values[number] = mass[0]
    return values


def _at(tokens: Sequence[Token], text: str, start: int, words: Sequence[str], length: int) -> Doubles | None:
    """Return the probabilities of words at a place of an answer, (len(words),) summing to 1.

    One token that tells the words apart is enough. Where the word that was said takes several tokens, its probability
    is their product, and the rest is shared by the others."""
    if not tokens or "".join(token.text for token in tokens) != text:
        return None
    index, at = 0, 0
    while index < len(tokens) and at + len(tokens[index].text) <= start:
        at += len(tokens[index].text)
        index += 1
    if index == len(tokens):
        return None
    token = tokens[index]
    mass = np.zeros(len(words))
    lead = token.text[: start - at]
    for other, chance in token.others.items():
        word = _begun(other, lead, words)
        if word is not None:
            mass[word] += chance
    if mass.sum() >= LEAST_MASS:
        return np.asarray(mass / mass.sum())
    product, place = 1.0, at
    for token in tokens[index:]:
        if place >= start + length:
            break
        product *= token.probability
        place += len(token.text)
    said = next((i for i, word in enumerate(words) if text.startswith(word, start) and len(word) == length), None)
    if said is None or len(words) < 2:
        return None
    mass[:] = (1.0 - product) / (len(words) - 1)
    mass[said] = product
    return mass


def _begun(token: str, lead: str, words: Sequence[str]) -> int | None:
    """Return the only word that a token begins or holds, after what of it comes before the word; None for none."""
    lead, token = lead.strip(), token.lstrip()
    piece = token[len(lead) :] if token.startswith(lead) else token.lstrip("\"' ")
    core = re.match(r"\w*", piece.lstrip())
    begun = core.group() if core else ""
    if not begun:
        return None
    whole = piece.strip() != begun  # something follows: this is all of the word; else it may be its beginning
    fits = [i for i, word in enumerate(words) if (word == begun if whole else word.startswith(begun))]
    return fits[0] if len(fits) == 1 else None
