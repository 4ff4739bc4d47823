"""A small dual encoder of our own, for where no pretrained one is to be had: it learns from the pairs themselves which
parts go together, without a label.

Two towers of some 100,000 parameters (a convolutional net for images, hashed words and letter trigrams for text) are
trained by the symmetric contrastive loss of CLIP (Radford et al. 2021, arXiv 2103.00020, section 2.3). Its optimum is
the pointwise mutual information log p(left, right) / p(left) p(right), so a score above 0 says that the parts are more
likely to belong together than to have been thrown together.

Wrong pairs in the data: they are a minority without a system, and what a model has not seen it cannot have learned by
heart. So `FOLDS` models are trained, and a pair is judged by the one whose training left out the pair's fold, which
follows from its content: duplicates share it, and it stays the same for ever. In the last two thirds of a training the
pairs that fit worst in their batch no longer count (small-loss selection, Han et al. 2018, arXiv 1804.06872).
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from adapter.ports import Floats
from backends.files import Arrays

FOLDS = 4
BUCKETS = 8192
"""Hashed words and trigrams; 0 is kept for none."""
MAX_UNITS = 256
"""Words and trigrams read of a text, evenly spread over it."""
DIMENSIONS = 48
BATCH = 128
REFERENCE = 256
"""Partners that a score is compared with."""
TRIMMED = 0.15
"""Share of a batch that may be wrong pairs, and does not count late in a training."""
HOTTEST = 30.0
Kind = Literal["image", "text"]
KINDS: tuple[Kind, ...] = ("image", "text")
Side = npt.NDArray[Any]
"""(n, size, size, 3) uint8 for images, (n, MAX_UNITS) int32 numbers of words and trigrams for texts."""
_WORD = re.compile(r"\w+")


def units_of(texts: Sequence[str]) -> npt.NDArray[np.int32]:
    """Return (n, MAX_UNITS), the bucket numbers of each text's words and letter trigrams; 0 fills up."""
    out = np.zeros((len(texts), MAX_UNITS), np.int32)
    for row, text in enumerate(texts):
        units: list[str] = []
        for word in _WORD.findall(text.lower()[:20_000]):
            units.append(word)
            units += [f"#{trigram}" for trigram in trigrams(word)]
        if len(units) > MAX_UNITS:
            units = [units[at] for at in np.linspace(0, len(units) - 1, MAX_UNITS).astype(int)]
        out[row, : len(units)] = [1 + zlib.crc32(unit.encode("utf-8", "replace")) % (BUCKETS - 1) for unit in units]
    return out


def trigrams(word: str) -> list[str]:
    """Return a word's letter trigrams with its borders marked; none of a word of one letter."""
    marked = f"<{word}>"
    return [marked[at : at + 3] for at in range(len(marked) - 2)] if len(word) > 1 else []


def folds_of(keys: Sequence[bytes]) -> npt.NDArray[np.int64]:
    """Return (n,), the fold of each pair by what it holds."""
    return np.asarray([int.from_bytes(hashlib.sha256(key).digest()[:4], "big") % FOLDS for key in keys], np.int64)


class DualEncoder:
    """Models of what goes together: one for each fold and one of everything (the last), which gives vectors.

    kinds: of the left and the right side. size: images are size x size. Thread-safe once trained.
    """

    def __init__(self, kinds: tuple[Kind, Kind], size: int, *, device: str = "cpu") -> None:
        self.kinds = kinds
        self.size = size
        self.device = device
        self._models: list[Any] = []
        self._references: list[tuple[Floats, Floats]] = []

    def train(
        self,
        left: Side,
        right: Side,
        weights: Floats,
        folds: npt.NDArray[np.int64],
        *,
        epochs: int,
        seed: int,
        everything: bool = True,
    ) -> None:
        """Train on n pairs. weights (n,): how far a pair counts as one. folds (n,) of `folds_of`. everything: also the
        model that gives vectors."""
        self._models, self._references = [], []
        for fold in range(FOLDS + everything):
            rows = np.flatnonzero((folds != fold) & (weights > 0))
            if len(rows) < 2:
                rows = np.flatnonzero(weights > 0)
            model = _train(
                self.kinds, self.size, left[rows], right[rows], weights[rows], epochs, seed + fold, self.device
            )
            self._models.append(model)
            some = np.random.default_rng(seed).permutation(len(rows))[:REFERENCE]
            self._references.append(self._towers(model, left[rows[some]], right[rows[some]]))

    def scores(self, left: Side, right: Side, folds: npt.NDArray[np.int64]) -> Floats:
        """Return (n,): log of how much likelier each pair is than two parts thrown together, by the model of its
        fold."""
        out = np.zeros(len(left), np.float32)
        for fold in range(FOLDS):
            rows = np.flatnonzero(folds == fold)
            if len(rows):
                model = self._models[fold]
                u, v = self._towers(model, left[rows], right[rows])
                out[rows] = log_ratio(u, v, *self._references[fold], model.scale().item())
        return out

    def vectors(self, left: Side, right: Side) -> tuple[Floats, Floats]:
        """Return the vectors (n, d) of both sides, of length 1."""
        return self._towers(self._models[-1], left, right)

    def _towers(self, model: Any, left: Side, right: Side) -> tuple[Floats, Floats]:
        import torch

        u, v = (np.zeros((len(left), DIMENSIONS), np.float32) for _ in range(2))
        with torch.inference_mode():
            for start in range(0, len(left), 256):
                some = slice(start, start + 256)
                both = model(_tensor(left[some], self.device), _tensor(right[some], self.device))
                u[some], v[some] = (vectors.cpu().numpy() for vectors in both)
        return u, v

    def arrays(self) -> Arrays:
        """Return what `from_arrays` needs."""
        out: Arrays = {}
        for number, (model, (u, v)) in enumerate(zip(self._models, self._references, strict=True)):
            for name, tensor in model.state_dict().items():
                out[f"small.{number}.{name}"] = tensor.cpu().numpy()
            out[f"small.{number}.reference.left"], out[f"small.{number}.reference.right"] = u, v
        return out

    def from_arrays(self, arrays: Arrays) -> None:
        """Become what `arrays` told. Raises KeyError, ValueError or RuntimeError if the parts do not fit."""
        import torch

        models, references = [], []
        for number in range(FOLDS + 1):
            prefix = f"small.{number}."
            own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
            pair = own.pop("reference.left"), own.pop("reference.right")
            if any(part.ndim != 2 or part.shape[1] != DIMENSIONS or not len(part) for part in pair):
                raise ValueError("reference vectors of another shape")
            model = network(self.kinds, self.size)
            model.load_state_dict({name: torch.from_numpy(np.asarray(array)) for name, array in own.items()})
            models.append(model.to(self.device).eval())
            references.append(pair)
        self._models, self._references = models, references


def log_ratio(u: Floats, v: Floats, left: Floats, right: Floats, scale: float) -> Floats:
    """Return (n,): log of e^(scale * cosine) of u and v (n, d) over its mean over partners left and right (m, d), half
    for each side's."""
    over_right, over_left = _log_mean(scale * (u @ right.T)), _log_mean(scale * (v @ left.T))
    return np.asarray(scale * (u * v).sum(axis=1) - 0.5 * (over_right + over_left), np.float32)


def _log_mean(scores: Floats) -> Floats:
    """Return (n,): log of the mean of e^score over columns."""
    top = scores.max(axis=1)
    return np.asarray(top + np.log(np.exp(scores - top[:, None]).mean(axis=1)), np.float32)


def _tensor(side: Side, device: str) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(side)).to(device)


def network(kinds: tuple[Kind, Kind], size: int) -> Any:
    """Return an untrained pair of towers as a torch module; call it with both sides for their vectors (n, d)."""
    import torch
    from torch import nn

    class Image(nn.Module):  # type: ignore[misc]  # torch has no types here
        def __init__(self) -> None:
            super().__init__()
            layers: list[Any] = []
            for before, after in ((3, 24), (24, 48), (48, 64)):
                layers += [nn.Conv2d(before, after, 3, padding=1), nn.GroupNorm(4, after), nn.GELU(), nn.MaxPool2d(2)]
            self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(4), nn.Flatten())
            self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(64 * 16, DIMENSIONS))

        def forward(self, pixels: Any) -> Any:
            x = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1.0
            return self.head(self.body(x))

    class Text(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(BUCKETS, 64, padding_idx=0)
            nn.init.normal_(self.words.weight, std=0.1)
            self.head = nn.Sequential(nn.Linear(64, 96), nn.GELU(), nn.Dropout(0.1), nn.Linear(96, DIMENSIONS))

        def forward(self, units: Any) -> Any:
            known = (units > 0).unsqueeze(-1)
            total = (self.words(units) * known).sum(1)
            return self.head(total / known.sum(1).clamp(min=1).sqrt())

    class Both(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.left = Image() if kinds[0] == "image" else Text()
            self.right = Image() if kinds[1] == "image" else Text()
            self.log_scale = nn.Parameter(torch.tensor(2.0))

        def scale(self) -> Any:
            return self.log_scale.exp().clamp(max=HOTTEST)

        def forward(self, left: Any, right: Any) -> Any:
            normalize = torch.nn.functional.normalize
            return normalize(self.left(left), dim=1), normalize(self.right(right), dim=1)

    return Both()


def _train(
    kinds: tuple[Kind, Kind],
    size: int,
    left: Side,
    right: Side,
    weights: Floats,
    epochs: int,
    seed: int,
    device: str,
) -> Any:
    """Return a trained network, in evaluation mode."""
    import torch

    n = len(left)
    batch = min(BATCH, n)
    steps = max(1, n // batch) * epochs
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = network(kinds, size).to(device).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.02)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps + 1, pct_start=0.2)
        mass = torch.from_numpy(np.asarray(weights, np.float32)).to(device)
        order = torch.empty(0, dtype=torch.long)
        for step in range(steps):
            if len(order) < batch:
                order = torch.randperm(n)
            rows, order = order[:batch], order[batch:]
            sides = [
                _moved(_tensor(side[rows.numpy()], device)) if kind == "image" else _tensor(side[rows.numpy()], device)
                for kind, side in zip(kinds, (left, right), strict=True)
            ]
            u, v = model(*sides)
            logits = model.scale() * u @ v.T
            goal = torch.arange(batch, device=device)
            each = 0.5 * (
                torch.nn.functional.cross_entropy(logits, goal, reduction="none")
                + torch.nn.functional.cross_entropy(logits.T, goal, reduction="none")
            )
            part = mass[rows.to(device)]
            if step > steps // 3 and batch >= 32:
                part = part * (each.detach() <= torch.quantile(each.detach(), 1.0 - TRIMMED))
            loss = (each * part).sum() / part.sum().clamp(min=1e-6)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def _moved(pixels: Any) -> Any:
    """Return images (n, size, size, 3) moved by up to a sixteenth of their size, each its own way."""
    import torch

    n, size = pixels.shape[:2]
    most = max(1, size // 16)
    shift = torch.randint(-most, most + 1, (2, n, 1)).to(pixels.device)
    at = torch.arange(size, device=pixels.device)[None]
    down, across = ((at + shift[axis]).clamp(0, size - 1) for axis in (0, 1))
    return pixels[torch.arange(n, device=pixels.device)[:, None, None], down[:, :, None], across[:, None, :]]
