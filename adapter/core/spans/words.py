"""Words of a text in any script, cut by rules and not by a model's tokenizer, so that they are the same for all."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

Place = tuple[int, int]
"""start, end (exclusive) in characters."""
SPACE, WORD, ALONE, GOES_ON = range(4)
UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x1100, 0x11FF),  # Hangul: spaces stand between phrases, and endings are no part of a name
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7AF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
"""Ranges of scripts without spaces between words, in which each letter counts as a word."""
LONGEST_TAIL = 64
"""Marks behind one letter that are looked through for it; more have no meaning, and a hostile text is made of them."""
ENDS = frozenset(".!?\u2026\u3002\uff01\uff1f\u061f\u0964\n\r\u2028\u2029")
"""What ends a sentence: a full stop of some script, or the line."""
LONGEST_GAP = 64
"""Signs between two sentences."""


def words_of(text: str) -> list[Place]:
    """Return the words of a text, in order: runs of letters, digits and underscores; every other sign, and every letter
    of a script that has no spaces, by itself. Marks and invisible characters belong to what they follow; white space
    belongs to no word."""
    out: list[Place] = []
    before = SPACE
    for at, sign in enumerate(text):
        kind = _kind(sign)
        if kind == SPACE:
            before = SPACE
        elif before != SPACE and (kind == GOES_ON or (kind == WORD and before == WORD)):
            out[-1] = (out[-1][0], at + 1)
        else:
            out.append((at, at + 1))
            before = WORD if kind == GOES_ON else kind
    return out


def borders(text: str, at: int) -> bool:
    """Whether no word of the text goes on across a place: between the characters at - 1 and at."""
    if not 0 < at < len(text):
        return True
    here, back = _kind(text[at]), at - 1
    if here == GOES_ON:
        return _kind(text[back]) == SPACE
    if here != WORD:
        return True
    first = max(0, at - LONGEST_TAIL)
    while back > first and _kind(text[back]) == GOES_ON:
        back -= 1
    kind = _kind(text[back])
    # marks that follow nothing are a word by themselves
    return kind == ALONE or (kind == SPACE and back == at - 1)


def begins_sentence(text: str, at: int) -> bool:
    """Whether a sentence, or a line, may begin at a place: between it and the word before it stands what ends one."""
    first = max(0, at - LONGEST_GAP)
    while at > first:
        at -= 1
        if text[at] in ENDS:
            return True
        if text[at].isalnum():
            return False
    return at == 0


@lru_cache(maxsize=4096)
def _kind(sign: str) -> int:
    if sign.isspace():
        return SPACE
    category = unicodedata.category(sign)
    if category[0] == "M" or category in ("Cf", "Cc"):
        return GOES_ON
    code = ord(sign)
    if any(low <= code <= high for low, high in UNSPACED):
        return ALONE
    return WORD if category[0] in "LN" or sign == "_" else ALONE
