"""One training of a tagger: what it learns from, the layer that it starts from, and the losses of windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backends.head import Head, fit_head
from backends.token_spans_windows import Window
from backends.transformer_encoder import Encoder, by_length
from backends.transformer_tops import FROZEN_C, Top

START_WORDS = 20_000
"""Words that this layer is fitted to: all inside of spans, and a sample of those outside."""
BATCH = 16


@dataclass(frozen=True, eq=False)
class Text:
    """One text to learn from. tags: (words,), -1 where nothing is known. weight: above 0."""

    text: str
    tags: npt.NDArray[np.int64]
    windows: Sequence[Window]
    weight: float


@dataclass(frozen=True, eq=False)
class _Row:
    """One window. at: (m,) positions of the tokens that speak; tags: (m,) theirs. weight: of each."""

    ids: npt.NDArray[np.int32]
    at: npt.NDArray[np.int64]
    tags: npt.NDArray[np.int64]
    weight: float


class Lesson:
    """held: (n,) which texts are held out. t: number of tags. lengths: of the windows to learn from, in tokens."""

    def __init__(
        self, encoder: Encoder, texts: Sequence[Text], held: npt.NDArray[np.bool_], t: int, balanced: bool, seed: int
    ) -> None:
        self._encoder = encoder
        mean = float(np.mean([one.weight for one, out in zip(texts, held, strict=True) if not out]))
        self._rows = _rows([one for one, out in zip(texts, held, strict=True) if not out], mean)
        self._held = _rows([one for one, out in zip(texts, held, strict=True) if out], mean)
        self.lengths = [len(row.ids) for row in self._rows]
        self._usual = float(np.mean([len(row.at) for row in self._rows]))
        frozen = self._frozen(t, seed)
        self._seen = np.flatnonzero(~frozen.unseen)
        self._column = np.full(t, -1, np.int64)
        self._column[self._seen] = np.arange(len(self._seen))
        totals = np.zeros(len(self._seen))
        for row in self._rows:
            np.add.at(totals, self._column[row.tags], row.weight)
        self._top = Top(frozen, frozen, totals, float(totals.sum()), balanced, encoder.device)
        self.top = self._top.layer

    def loss(self, rows: Sequence[int]) -> Any:
        """Return the sum of the windows' weighted losses, a tensor; a window of usual length counts as one."""
        return self._loss([self._rows[row] for row in rows]) / self._usual

    def held_loss(self) -> float:
        """Return the loss of the held-out words, in nats a word; see `transformer_tops.Top.held_loss`."""
        return self._top.held_loss(*self._held_words())

    def frozen_loss(self) -> float:
        """Return the same for the frozen model; to be called before training."""
        return self._top.held_loss(*self._held_words(), frozen=True)

    def head(self, *, frozen: bool) -> Head:
        """Return the layer on top as a head, with the temperature that suits the held-out words best. frozen: the best
        one on the frozen model instead."""
        return self._top.head(*self._held_words(), frozen=frozen)

    def _held_words(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        """Return features (m, d), targets (m, k) and weights (m,) of the held-out words; those with a tag that only
        held-out texts have weigh nothing."""
        if not self._held:
            return np.zeros((0, self._encoder.dimensions)), np.zeros((0, len(self._seen))), np.zeros(0)
        tags = np.concatenate([self._column[row.tags] for row in self._held])
        weights = np.concatenate([np.full(len(row.at), row.weight) for row in self._held])
        goal = np.eye(len(self._seen))[np.maximum(tags, 0)]
        return self._features(self._held), goal, np.where(tags >= 0, weights, 0.0)

    def _loss(self, rows: Sequence[_Row]) -> Any:
        import torch

        states, _ = self._encoder.states([row.ids for row in rows])
        which = np.concatenate([np.full(len(row.at), number) for number, row in enumerate(rows)])
        at = np.concatenate([row.at for row in rows])
        tags = self._column[np.concatenate([row.tags for row in rows])]
        weights = np.concatenate([np.full(len(row.at), row.weight, np.float32) for row in rows])
        weights[tags < 0] = 0.0  # a tag that only held-out texts have
        spoken = torch.nn.functional.normalize(states[which, at].float(), dim=1)
        goal = np.eye(len(self._seen))[np.maximum(tags, 0)]
        return self._top.loss(spoken, goal, weights)

    def _features(self, rows: Sequence[_Row]) -> npt.NDArray[np.float32]:
        """Return (words, d) the states that speak, of length 1, in the rows' order."""
        import torch

        out: list[Any] = [None] * len(rows)
        with torch.inference_mode():
            for batch in by_length([row.ids for row in rows], BATCH):
                states, _ = self._encoder.states([rows[number].ids for number in batch])
                states = torch.nn.functional.normalize(states.float(), dim=2).cpu().numpy()
                for number, state in zip(batch, states, strict=True):
                    out[number] = state[rows[number].at]
        return np.concatenate(out) if out else np.zeros((0, self._encoder.dimensions), np.float32)

    def _frozen(self, t: int, seed: int) -> Head:
        """Return the best linear layer on the frozen states, from which training starts: most words are outside of any
        span, and a weak layer, from which texts are better learned as a whole, would first have to learn just that."""
        tags = np.concatenate([row.tags for row in self._rows])
        weights = np.concatenate([np.full(len(row.at), row.weight) for row in self._rows])
        features = self._features(self._rows)
        inside, outside = np.flatnonzero(tags > 0), np.flatnonzero(tags == 0)
        room = max(START_WORDS - len(inside), len(inside), 1)
        if len(outside) > room:  # those that stay stand for all
            kept = np.sort(np.random.default_rng(seed).choice(outside, room, replace=False))
            weights[kept] *= len(outside) / room
            outside = kept
        some = np.concatenate([inside, outside])
        goal = np.eye(t)[tags[some]]
        return fit_head(
            features[some].astype(np.float64), goal, weights[some], multiple=False, c=FROZEN_C, keys=(), seed=seed
        )


def _rows(texts: Sequence[Text], mean: float) -> list[_Row]:
    out = []
    for text in texts:
        for window in text.windows:
            known = text.tags[window.words] >= 0
            if known.any():
                tags = text.tags[window.words][known]
                out.append(_Row(window.ids, window.at[known], tags, text.weight / mean))
    return out
