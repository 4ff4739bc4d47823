"""A text as windows of tokens, and which token speaks for which word.

Long texts are cut into windows that share a quarter of their tokens; of the windows that hold a word, the one in which
it lies farthest from the edges speaks for it. Of a word's tokens the first one speaks (Devlin et al. 2019, section
5.3).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.core.spans.words import Place
from backends.transformer_encoder import Encoder, Ids

SHARED = 0.25
"""Share of a window's tokens that the next one repeats."""


@dataclass(frozen=True, slots=True)
class Window:
    """ids: of its tokens. at, words: (m,) positions of the tokens that speak, and the words for which they do.
    weight: tokens that no earlier window has held, for the mean over a text."""

    ids: Ids
    at: npt.NDArray[np.int64]
    words: npt.NDArray[np.int64]
    weight: int


def cut(encoder: Encoder) -> None:
    """Have an encoder's tokenizer cut long texts into windows that overlap, instead of cutting them off."""
    special = encoder.tokenizer.num_special_tokens_to_add(False)
    room = max(1, encoder.longest - special)
    encoder.tokenizer.enable_truncation(encoder.longest, stride=min(int(SHARED * room), room - 1))


def windows(encoder: Encoder, texts: Sequence[str], words: Sequence[Sequence[Place]]) -> list[list[Window]]:
    """Return the windows of each text whose words are given."""
    encoded = encoder.tokenizer.encode_batch(list(texts))
    return [
        _windows([one, *one.overflowing], text, places, encoder.pad)
        for one, text, places in zip(encoded, texts, words, strict=True)
    ]


def _windows(parts: Sequence[Any], text: str, words: Sequence[Place], pad: int) -> list[Window]:
    starts = [start for start, _ in words]
    best: dict[int, tuple[int, int, int, int]] = {}  # word to (begins it?, distance from the edge, window, token)
    fresh: list[int] = []
    reached = -1
    for number, part in enumerate(parts):
        offsets = part.offsets
        special = part.special_tokens_mask
        inner = [at for at, mask in enumerate(special) if not mask]
        fresh.append(sum(offsets[at][0] > reached for at in inner))
        for at in inner:
            start, end = offsets[at]
            while start < end and text[start].isspace():
                start += 1
            reached = max(reached, offsets[at][0])
            word = bisect_right(starts, start) - 1
            edge = min(at - inner[0], inner[-1] - at)
            if start < end and word >= 0 and start < words[word][1]:
                _offer(best, word, (int(start == starts[word]), edge, -number, -at))
            later = word + 1
            while later < len(words) and starts[later] < end:  # a token that holds the beginning of further words
                _offer(best, later, (1, edge, -number, -at))
                later += 1
    spoken: list[list[tuple[int, int]]] = [[] for _ in parts]
    for word, (_, _, number, at) in sorted(best.items()):
        spoken[-number].append((-at, word))
    return [
        Window(
            np.asarray(part.ids or [pad], np.int32),
            np.asarray([at for at, _ in pairs], np.int64),
            np.asarray([word for _, word in pairs], np.int64),
            max(new, 1 if len(parts) == 1 else 0),
        )
        for part, pairs, new in zip(parts, spoken, fresh, strict=True)
    ]


def _offer(best: dict[int, tuple[int, int, int, int]], word: int, offer: tuple[int, int, int, int]) -> None:
    if word not in best or offer > best[word]:
        best[word] = offer
