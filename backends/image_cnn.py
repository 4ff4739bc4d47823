"""A small convolutional net, trained from scratch: for where no pretrained weights are to be had.

Images are squares of a multiple of 16 pixels. Cells of size/16 x size/16 pixels become channels (Shi et al. 2016,
"Real-Time Single Image and Video Super-Resolution", section 2.2), so the net costs about the same at every size: three
convolutions of 3 x 3 with batch normalisation, and a layer of FEATURES numbers.

Three nets vote. With enough examples each holds out a part of its own: its loss there says when the net was best, and
the held-out logits of all three give one temperature. The mean of their logits is a linear function of their
features, so what is kept is the convolutions and one `backends.head.Head`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adapter.ports import Floats
from backends.files import Arrays
from backends.head import CALIBRATE_FROM, NEVER, Head
from backends.temperature import Doubles, folds_of, seen_labels, temperature_of

CELLS = 16
CHANNELS = (16, 16, 32)
FEATURES = 64
NETS = 3
PARTS = 5  # of the examples; each net holds out one of its own
STEPS, MOST_STEPS, EPOCHS = 160, 4_000, 10
BATCH = 32
RATE, DECAY, DROPOUT = 6e-3, 1e-3, 0.3
LOOKS = 4  # at the held-out loss, in the second half of the training
SHIFT, TURN, SCALE = 0.12, 0.25, 0.12  # of augmentation: share of the side, radians, share
AT_ONCE = 512
_lock = threading.Lock()
"""One training at a time: the number of threads is the process's."""


@dataclass(frozen=True)
class Net:
    """Fitted nets. layers: for each net, the kernels and biases of its convolutions (normalisation folded in) and of
    its features. means, scales: of the channels of training images. centre: mean features, (NETS * FEATURES,)."""

    layers: tuple[tuple[Floats, ...], ...]
    means: Floats
    scales: Floats
    centre: Floats
    device: str = "cpu"

    @property
    def shape(self) -> tuple[int, int]:
        """Channels and side of the images that it takes."""
        channels = len(self.means)
        return channels, CELLS * round(float(self.layers[0][0].shape[1] / channels) ** 0.5)

    def features(self, images: Floats) -> Floats:
        """Return features (n, NETS * FEATURES) of images (n, channels, side, side) with values in 0..1."""
        import torch

        out = np.empty((len(images), len(self.layers) * FEATURES), np.float32)
        nets = [[torch.as_tensor(part, device=self.device) for part in layers] for layers in self.layers]
        with torch.inference_mode():
            for start in range(0, len(images), AT_ONCE):
                cells = _cells(_standard(images[start : start + AT_ONCE], self.means, self.scales, self.device))
                parts = [_forward(net, cells) for net in nets]
                out[start : start + AT_ONCE] = torch.cat(parts, dim=1).cpu().numpy()
        return out

    def arrays(self) -> Arrays:
        """Return what `from_arrays` needs."""
        named = {f"net{i}.{j}": part for i, net in enumerate(self.layers) for j, part in enumerate(net)}
        return {**named, "means": self.means, "scales": self.scales, "centre": self.centre}

    @classmethod
    def from_arrays(cls, arrays: Arrays, device: str) -> Net:
        """Return the nets that were taken apart. Raises KeyError or ValueError if the arrays do not fit."""
        count = 2 * len(CHANNELS) + 2
        layers = tuple(tuple(arrays[f"net{i}.{j}"].astype(np.float32) for j in range(count)) for i in range(NETS))
        means, scales, centre = (arrays[name].astype(np.float32) for name in ("means", "scales", "centre"))
        if means.shape not in ((1,), (3,)) or scales.shape != means.shape or centre.shape != (NETS * FEATURES,):
            raise ValueError("the arrays of the nets do not fit")
        net = cls(layers, means, scales, centre, device)
        due = [part.shape for part in _shapes(net.shape[0] * (net.shape[1] // CELLS) ** 2)]
        if any([part.shape for part in parts] != due for parts in layers):
            raise ValueError("the layers of the nets do not fit")
        return net


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
) -> tuple[Net, Head]:
    """Train the nets. images (n, channels, side, side) in 0..1; targets (n, k); weights (n,), all above 0; keys: equal
    for duplicates; steps: of training, 0 for enough. Same input and seed, same nets, on a CPU with equally many
    threads."""
    import torch

    seen = seen_labels(targets, weights, multiple)
    means = images.mean(axis=(0, 2, 3), dtype=np.float64).astype(np.float32)
    scales = np.maximum(images.std(axis=(0, 2, 3), dtype=np.float64), 1e-3).astype(np.float32)
    with _lock:
        if threads:
            torch.set_num_threads(threads)
        x = _standard(images, means, scales, device)
        y = torch.as_tensor(targets[:, seen], dtype=torch.float32, device=device)
        w = torch.as_tensor(weights / weights.mean(), dtype=torch.float32, device=device)
        held = len(set(keys)) >= CALIBRATE_FROM
        folds = folds_of(keys, targets, PARTS, seed) if held else np.full(len(images), -1)
        nets, heads, logits = [], [], np.zeros((len(images), int(seen.sum())))
        for number in range(NETS):
            rest, out = (torch.as_tensor(np.flatnonzero(rows)) for rows in (folds != number, folds == number))
            trainer = _Trainer(x, y, w, multiple, seed * NETS + number, augment, device)
            net, coef, bias, answers = trainer.run(rest, out, steps or _enough(len(rest)))
            nets.append(net)
            heads.append((coef, bias))
            logits[out.numpy()] = answers
    rows = np.flatnonzero((folds >= 0) & (folds < NETS))
    temperature = temperature_of(logits[rows], targets[rows][:, seen], weights[rows], multiple)
    net_ = Net(tuple(nets), means, scales, np.zeros(NETS * FEATURES, np.float32), device)
    centre = net_.features(images).mean(axis=0)
    head = _as_head(heads, seen, temperature, targets, weights, multiple)
    return Net(net_.layers, means, scales, centre, device), head


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


def _shapes(channels: int) -> list[Any]:
    """Return empty arrays of the shapes that one net's layers have."""
    out, before = [], channels
    for channel in CHANNELS:
        out += [np.empty((channel, before, 3, 3)), np.empty(channel)]
        before = channel
    return [*out, np.empty((FEATURES, before * (CELLS // 4) ** 2)), np.empty(FEATURES)]


def _standard(images: Floats, means: Floats, scales: Floats, device: str) -> Any:
    import torch

    return torch.as_tensor((images - means[:, None, None]) / scales[:, None, None], device=device)


def _cells(x: Any) -> Any:
    import torch

    cell = x.shape[-1] // CELLS
    return torch.nn.functional.pixel_unshuffle(x, cell) if cell > 1 else x


def _forward(layers: Sequence[Any], x: Any) -> Any:
    """Return the features (n, FEATURES) of one fitted net."""
    import torch.nn.functional as F

    for number in range(len(CHANNELS)):
        x = F.relu(F.conv2d(x, layers[2 * number], layers[2 * number + 1], padding=1))
        x = F.max_pool2d(x, 2) if number else x
    return F.relu(F.linear(x.flatten(1), layers[-2], layers[-1]))


class _Trainer:
    """The training of one net."""

    def __init__(self, x: Any, y: Any, w: Any, multiple: bool, seed: int, augment: bool, device: str) -> None:
        import torch

        self.x, self.y, self.w, self.multiple, self.augment, self.device = x, y, w, multiple, augment, device
        self.random = torch.Generator().manual_seed(seed % 2**63)
        self.params = []
        for part in _shapes(x.shape[1] * (x.shape[-1] // CELLS) ** 2):
            if part.ndim == 1:
                self.params.append(torch.zeros(part.shape))
            else:
                deviation = (2.0 / np.prod(part.shape[1:])) ** 0.5
                self.params.append(torch.randn(part.shape, generator=self.random) * deviation)
        self.params += [torch.zeros(y.shape[1], FEATURES), torch.zeros(y.shape[1])]
        self.gains = [torch.ones(channel) for channel in CHANNELS]
        self.params = [part.to(device).requires_grad_(True) for part in self.params]
        self.gains = [part.to(device).requires_grad_(True) for part in self.gains]

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
            logits = self._logits(_cells(batch))
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
            x = _cells(self.x[rows[:: max(1, len(rows) // AT_ONCE)]])
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
                F.linear(_forward(layers[:-2], _cells(self.x[some])), layers[-2], layers[-1])
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
