"""Training of the small convolutional net.

Three nets are trained. With enough examples each holds out a part of its own: its loss there says when the net was
best, and the held-out logits of all three give one temperature.

A warm start shrinks each net of the former model towards a fresh one and takes fewer steps (see `backends.warm`). What
a net holds out stays the same from model to model.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.ports import Floats
from backends.head import CALIBRATE_FROM, NEVER, Head
from backends.image_cnn import AT_ONCE, CELLS, CHANNELS, FEATURES, NETS, PARTS, Net, as_cells, forward, shapes, standard
from backends.temperature import Doubles, folds_of, seen_labels, temperature_of
from backends.warm import folds_on, parts_of

STEPS, MOST_STEPS, EPOCHS = 160, 4_000, 10
BATCH = 32
RATE, DECAY, DROPOUT = 6e-3, 1e-3, 0.3
LOOKS = 4  # at the held-out loss, in the second half of the training
SHIFT, TURN, SCALE = 0.12, 0.25, 0.12  # of augmentation: share of the side, radians, share
KEPT, SHARE = 0.7, 0.5
"""Of a warm start: how much of each weight stays, the rest being a fresh one; and the share of the steps."""
_lock = threading.Lock()
"""One training at a time: the number of threads is the process's."""


def fit_cnn(
    images: Floats,
    targets: Doubles,
    weights: Doubles,
    *,
    multiple: bool,
    keys: Sequence[str],
    seed: int,
    steps: int = 0,
    augment: bool = True,
    device: str = "cpu",
    threads: int = 1,
    former: tuple[Net, Head] | None = None,
) -> tuple[Net, Head]:
    """Train the nets. images (n, channels, side, side) in 0..1; targets (n, k); weights (n,), all above 0; keys: equal
    for duplicates; steps: of training, 0 for enough; former: a model to begin near, see `fits`. Same input and seed,
    same nets, on a CPU with equally many threads."""
    import torch

    seen = seen_labels(targets, weights, multiple)
    means = images.mean(axis=(0, 2, 3), dtype=np.float64).astype(np.float32)
    scales = np.maximum(images.std(axis=(0, 2, 3), dtype=np.float64), 1e-3).astype(np.float32)
    known = {} if former is None else former[0].parts
    if former is not None:  # its first layer is made for these
        means, scales = former[0].means, former[0].scales
    with _lock:
        if threads:
            torch.set_num_threads(threads)
        x = standard(images, means, scales, device)
        y = torch.as_tensor(targets[:, seen], dtype=torch.float32, device=device)
        w = torch.as_tensor(weights / weights.mean(), dtype=torch.float32, device=device)
        held = len(set(keys)) >= CALIBRATE_FROM
        folds: npt.NDArray[np.int64] = np.full(len(images), -1, np.int64)
        if former is not None:
            folds = np.asarray(folds_on(keys, targets.argmax(axis=1).tolist(), known, PARTS), np.int64)
        elif held:
            folds = folds_of(keys, targets, PARTS, seed)
        nets, heads, logits = [], [], np.zeros((len(images), int(seen.sum())))
        for number in range(NETS):
            rest, out = (torch.as_tensor(np.flatnonzero(rows)) for rows in (folds != number, folds == number))
            trainer = _Trainer(x, y, w, multiple, seed * NETS + number, augment, device)
            turns = steps or _enough(len(rest))
            if former is not None:
                trainer.draw_near(*_one_of(*former, number, seen), rest)
                turns = max(1, round(SHARE * turns))
            net, coef, bias, answers = trainer.run(rest, out, turns)
            nets.append(net)
            heads.append((coef, bias))
            logits[out.numpy()] = answers
    rows = np.flatnonzero((folds >= 0) & (folds < NETS))
    temperature = temperature_of(logits[rows], targets[rows][:, seen], weights[rows], multiple)
    parts = parts_of(keys, folds.tolist(), known) if (folds >= 0).any() else {}
    fitted = Net(tuple(nets), means, scales, np.zeros(NETS * FEATURES, np.float32), device, parts)
    head = _as_head(heads, seen, temperature, targets, weights, multiple)
    return replace(fitted, centre=fitted.features(images).mean(axis=0)), head


def fits(former: tuple[Net, Head], images: Floats, targets: Doubles, multiple: bool) -> bool:
    """Return whether a model is of the shape that these images and targets (n, k) need."""
    net, head = former
    due = (images.shape[1:3], targets.shape[1], multiple)
    return (net.shape, head.coef.shape[1], head.multiple) == due


def _one_of(net: Net, head: Head, number: int, seen: Any) -> tuple[Sequence[Floats], Floats, Floats]:
    """Return one net's layers, and the coefficients (FEATURES, labels) and intercepts (labels,) of its logits."""
    some = head.coef[number * FEATURES : (number + 1) * FEATURES] * (len(net.layers) * head.temperature)
    bias = np.where(head.unseen, 0.0, head.bias * head.temperature)
    return net.layers[number], some[:, seen], bias[seen].astype(np.float32)


def _as_head(
    heads: Sequence[tuple[Floats, Floats]],
    seen: Any,
    temperature: float,
    targets: Doubles,
    weights: Doubles,
    multiple: bool,
) -> Head:
    """Return the mean of the nets' logits as one head on their joined features."""
    n, k = targets.shape
    coef, bias = np.zeros((len(heads) * FEATURES, k)), np.zeros(k)
    coef[:, seen] = np.concatenate([each for each, _ in heads]) / (len(heads) * temperature)
    bias[seen] = np.mean([each for _, each in heads], axis=0) / temperature
    floor = 0.0
    if multiple:  # a label that is always or never there: its share, as in `backends.head`
        share = (weights @ targets + 0.5) / (weights.sum() + 1.0)
        bias[~seen] = np.log(share[~seen] / (1.0 - share[~seen]))
    elif not seen.all():
        floor = 1.0 / (n + k)
        bias[~seen] = NEVER
    return Head(coef.astype(np.float32), bias.astype(np.float32), ~seen, floor, multiple, temperature)


def _enough(examples: int) -> int:
    return int(np.clip(EPOCHS * examples // BATCH, STEPS, MOST_STEPS))


class _Trainer:
    """The training of one net."""

    def __init__(self, x: Any, y: Any, w: Any, multiple: bool, seed: int, augment: bool, device: str) -> None:
        import torch

        self.x, self.y, self.w, self.multiple, self.augment, self.device = x, y, w, multiple, augment, device
        self.random = torch.Generator().manual_seed(seed % 2**63)
        self.params = []
        for part in shapes(x.shape[1] * (x.shape[-1] // CELLS) ** 2):
            if part.ndim == 1:
                self.params.append(torch.zeros(part.shape))
            else:
                deviation = (2.0 / np.prod(part.shape[1:])) ** 0.5
                self.params.append(torch.randn(part.shape, generator=self.random) * deviation)
        self.params += [torch.zeros(y.shape[1], FEATURES), torch.zeros(y.shape[1])]
        self.gains = [torch.ones(channel) for channel in CHANNELS]
        self.params = [part.to(device).requires_grad_(True) for part in self.params]
        self.gains = [part.to(device).requires_grad_(True) for part in self.gains]

    def draw_near(self, layers: Sequence[Floats], coef: Floats, bias: Floats, rows: Any) -> None:
        """Shrink a former net towards this fresh one. Its kernels have the normalisation folded in: what comes out of
        each, on some rows, is what normalisation is to give again."""
        import torch
        import torch.nn.functional as F

        old = [torch.as_tensor(part, device=self.device) for part in (*layers, coef.T.copy(), bias)]
        with torch.no_grad():
            x = as_cells(self.x[rows[:: max(1, len(rows) // AT_ONCE)]])
            for number, gain in enumerate(self.gains):
                kernel, shift, fresh = old[2 * number], old[2 * number + 1], self.params[2 * number]
                x = F.conv2d(x, kernel, padding=1)
                mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
                size = fresh.flatten(1).norm(dim=1) / kernel.flatten(1).norm(dim=1).clamp(min=1e-8)
                fresh.lerp_(kernel * size[:, None, None, None], KEPT)
                gain.lerp_(torch.sqrt(variance + 1e-5), KEPT)
                self.params[2 * number + 1].lerp_(shift + mean, KEPT)
                x = F.relu(x + shift[:, None, None])
                x = F.max_pool2d(x, 2) if number else x
            for mine, its in zip(self.params[-4:], old[-4:], strict=True):
                mine.lerp_(its, KEPT)

    def run(self, rows: Any, held: Any, steps: int) -> tuple[tuple[Floats, ...], Floats, Floats, Doubles]:
        """Train on some rows. Return the layers, the coefficients (FEATURES, k) and intercepts (k,) of the logits, and
        the logits of the rows that are held out; the layers are those that did best on them."""
        import torch

        looks = {steps - 1} | {round(steps * (0.5 + 0.5 * look / LOOKS)) - 1 for look in range(1, LOOKS)}
        everything = [*self.params, *self.gains]
        adam = torch.optim.AdamW(everything, lr=RATE, weight_decay=DECAY)
        best: tuple[float, Any, Any] = (np.inf, None, None)
        for step in range(steps):
            warm = min(1.0, (step + 1) / 20)
            adam.param_groups[0]["lr"] = RATE * warm * 0.5 * (1 + np.cos(np.pi * step / steps))
            chosen = rows[torch.randint(len(rows), (min(BATCH, len(rows)),), generator=self.random)]
            batch = self._moved(self.x[chosen]) if self.augment else self.x[chosen]
            logits = self._logits(as_cells(batch))
            loss = self._losses(logits, chosen).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            if (step in looks and len(held)) or step == steps - 1:
                layers = self._folded(rows)
                answers = self._answers(layers, held)
                cost = float(self._losses(answers, held).sum()) if len(held) else 0.0
                if cost < best[0]:
                    best = (cost, [part.clone() for part in layers], answers)
        _, layers, answers = best
        arrays = [part.cpu().numpy() for part in layers]
        return tuple(arrays[:-2]), arrays[-2].T, arrays[-1], answers.cpu().numpy().astype(np.float64)

    def _losses(self, logits: Any, rows: Any) -> Any:
        import torch.nn.functional as F

        goal = self.y[rows]
        if self.multiple:
            each = F.binary_cross_entropy_with_logits(logits, goal, reduction="none").sum(1)
        else:
            each = -(goal * F.log_softmax(logits, 1)).sum(1)
        return each * self.w[rows]

    def _logits(self, x: Any) -> Any:
        """Return logits in training: normalised by the batch, features dropped at random."""
        import torch
        import torch.nn.functional as F

        for number, gain in enumerate(self.gains):
            x = F.conv2d(x, self.params[2 * number], padding=1)
            x = F.relu(F.batch_norm(x, None, None, gain, self.params[2 * number + 1], training=True))
            x = F.max_pool2d(x, 2) if number else x
        features = F.relu(F.linear(x.flatten(1), self.params[-4], self.params[-3]))
        kept = torch.rand(features.shape, generator=self.random) > DROPOUT
        return F.linear(features * kept.to(self.device) / (1.0 - DROPOUT), self.params[-2], self.params[-1])

    def _folded(self, rows: Any) -> list[Any]:
        """Return all layers with the normalisation of these rows (of some, where there are many) folded in."""
        import torch
        import torch.nn.functional as F

        out = []
        with torch.no_grad():
            x = as_cells(self.x[rows[:: max(1, len(rows) // AT_ONCE)]])
            for number, gain in enumerate(self.gains):
                kernel, shift = self.params[2 * number], self.params[2 * number + 1]
                x = F.conv2d(x, kernel, padding=1)
                mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
                factor = gain / torch.sqrt(variance + 1e-5)
                out += [kernel * factor[:, None, None, None], shift - mean * factor]
                x = F.relu(x * factor[:, None, None] + out[-1][:, None, None])
                x = F.max_pool2d(x, 2) if number else x
        return [*out, *(part.detach() for part in self.params[-4:])]

    def _answers(self, layers: list[Any], rows: Any) -> Any:
        import torch
        import torch.nn.functional as F

        with torch.no_grad():
            parts = [
                F.linear(forward(layers[:-2], as_cells(self.x[some])), layers[-2], layers[-1])
                for some in rows.split(AT_ONCE)
            ]
            return torch.cat(parts) if parts else self.y[:0]

    def _moved(self, x: Any) -> Any:
        """Return the images shifted, turned and scaled a little, each in its own way."""
        import torch
        import torch.nn.functional as F

        turn, scale, across, down = (torch.rand(4, len(x), generator=self.random) * 2 - 1).to(self.device)
        scale, turn = 1 + SCALE * scale, TURN * turn
        cosine, sine = scale * torch.cos(turn), scale * torch.sin(turn)
        first = torch.stack([cosine, -sine, 2 * SHIFT * across], 1)
        second = torch.stack([sine, cosine, 2 * SHIFT * down], 1)
        grid = F.affine_grid(torch.stack([first, second], 1), x.shape, align_corners=False)
        return F.grid_sample(x, grid, align_corners=False, padding_mode="border")
