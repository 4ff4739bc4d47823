"""Training of object detectors, small and large: batches of one shape, flips and zooms, held-out images that tell when
to stop and how sure to be."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from adapter.ports import Floats
from backends.detection_boxes import Picture, hits, strongest
from backends.warm import HELD, LEARNED, Parts, held_on, parts_of

Truth = tuple[Floats, npt.NDArray[np.int64]]
"""Boxes (m, 4) left, top, right, bottom in pixels of the model's input, and labels (m,)."""
Found = tuple[Floats, Floats, npt.NDArray[np.int64]]
"""Boxes (m, 4), scores (m,) in 0..1 and labels (m,)."""
HELD_OUT = 0.15
HOLD_OUT_FROM = 20
SHOWN, EPOCHS = 12_000, (40, 240)
LOOKS = 12
"""Times in a training that held-out images are looked at."""
PATIENCE = 3
KEPT, SHARE = 0.5, 0.5
"""Of a warm start: how much of each weight stays, the rest being a fresh one; and the share of the epochs."""
TINY = 1e-4


class Detector(Protocol):
    """What training asks of a model. Images are float tensors (n, 3, h, w) in 0..255 on its device."""

    module: Any
    device: str

    def loss(self, images: Any, truths: Sequence[Truth], weights: Sequence[float]) -> Any:
        """Return the weighted mean of the images' losses, a scalar tensor."""
        ...

    def find(self, images: Any) -> list[Found]:
        """Return what it sees in each image."""
        ...


@dataclass(frozen=True)
class Recipe:
    """How to train. epochs: at most; 0 for as many as `SHOWN` images in all take. rate: the greatest learning rate.
    decay: of weights. flips: `horizontal`, `both` or `none`. zoom: how much larger or smaller images become, as a
    share. averaged: keep a running mean of the weights, which is steadier. clip: of the gradient's norm."""

    epochs: int
    batch: int
    rate: float
    decay: float
    flips: str
    zoom: float
    averaged: bool
    clip: float


@dataclass(frozen=True)
class Sureness:
    """How a model's scores become probabilities: 1 / (1 + e^-(slope * logit + shift)) (Platt 1999)."""

    slope: float = 1.0
    shift: float = 0.0

    def of(self, scores: Floats) -> Floats:
        """Return probabilities (n,)."""
        clipped = np.clip(np.asarray(scores, np.float64), TINY, 1 - TINY)
        logits = self.slope * np.log(clipped / (1 - clipped)) + self.shift
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)), np.float32)


def train(
    model: Detector,
    pictures: Sequence[Picture],
    truths: Sequence[Truth],
    weights: npt.NDArray[np.float64],
    recipe: Recipe,
    seed: int,
    *,
    overlap: float,
    known: Parts | None = None,
) -> tuple[Sureness, Parts]:
    """Train on n images, all with weight; return how sure its scores are on images that were held out, and which were;
    none if there were too few. known: the same of a model that this one was drawn near to; see `backends.warm`."""
    import torch

    random = np.random.default_rng(seed)
    names = [hashlib.sha256(one.pixels.tobytes()).hexdigest() for one in pictures]
    if known:
        held = np.flatnonzero(held_on(names, [0] * len(names), known, HELD_OUT)).tolist()
    else:
        held = _held_out(names, random)
    rows = np.asarray([row for row in range(len(pictures)) if row not in held], np.int64)
    masses = weights / weights[rows].mean()
    per_epoch = len(_batches(pictures, rows, recipe.batch, np.random.default_rng(seed)))
    epochs = recipe.epochs or min(max(round(SHOWN / len(rows)), EPOCHS[0]), EPOCHS[1])
    epochs = max(1, round(SHARE * epochs)) if known else epochs
    steps = max(1, epochs * per_epoch)
    grouped = [parameter for parameter in model.module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(grouped, lr=recipe.rate, weight_decay=recipe.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, total_steps=steps + 1, pct_start=0.15)
    scaler = torch.amp.GradScaler(enabled=model.device == "cuda")
    mean = (
        {name: value.detach().clone() for name, value in model.module.state_dict().items()} if recipe.averaged else {}
    )
    best, worse, kept, step = np.inf, 0, None, 0
    model.module.train()
    while step < steps:
        for batch in _batches(pictures, rows, recipe.batch, random):
            images, seen = _varied(model, pictures, truths, batch, recipe, random)
            loss = model.loss(images, seen, masses[batch].tolist())
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(grouped, recipe.clip)
            scaler.step(optimizer)
            scaler.update()
            schedule.step()
            step += 1
            _average(mean, model.module, step)
            if len(held) and (step % max(1, steps // LOOKS) == 0 or step == steps):
                cost, state = _cost(model, pictures, truths, masses, held, mean)
                worse = 0 if cost < best else worse + (step > steps // 2)
                if cost < best:
                    best, kept = cost, state
            if step >= steps or worse >= PATIENCE:
                step = steps
                break
    state = kept or mean
    if state:
        model.module.load_state_dict(state)
    model.module.eval()
    out = set(held)
    sides = [HELD if row in out else LEARNED for row in range(len(names))]
    return _sureness(model, pictures, truths, held, overlap), parts_of(names, sides, known or {}) if held else {}


def draw_near(module: Any, former: Any) -> bool:
    """Shrink a former module towards a fresh one of the same kind, in place; return whether it is of that kind."""
    import torch

    own, its = module.state_dict(), former.state_dict()
    if {name: value.shape for name, value in own.items()} != {name: value.shape for name, value in its.items()}:
        return False
    with torch.no_grad():
        for name, value in own.items():
            if value.dtype.is_floating_point:
                value.lerp_(its[name].to(value), KEPT)
    return True


def _held_out(pictures: Sequence[str], random: np.random.Generator) -> list[int]:
    """Return rows to hold out, by the digests of images; the same image twice is held out twice or not at all."""
    groups: dict[str, list[int]] = {}
    for row, one in enumerate(pictures):
        groups.setdefault(one, []).append(row)
    if len(groups) < HOLD_OUT_FROM:
        return []
    names = list(groups)
    chosen = random.permutation(len(names))[: max(3, round(HELD_OUT * len(names)))]
    return sorted(row for number in chosen for row in groups[names[int(number)]])


def _batches(
    pictures: Sequence[Picture], rows: npt.NDArray[np.int64], size: int, random: np.random.Generator
) -> list[npt.NDArray[np.int64]]:
    """Return the rows in batches of one shape, in random order."""
    shapes: dict[tuple[int, ...], list[int]] = {}
    for row in random.permutation(rows):
        shapes.setdefault(pictures[row].pixels.shape, []).append(int(row))
    batches = [
        np.asarray(some[start : start + size], np.int64)
        for some in shapes.values()
        for start in range(0, len(some), size)
    ]
    return [batches[at] for at in random.permutation(len(batches))]


def tensor(pictures: Sequence[Picture], device: str) -> Any:
    """Return images (n, 3, h, w) in 0..255 of pictures of one shape."""
    import torch

    pixels = np.stack([one.pixels for one in pictures])
    return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float()


def _varied(
    model: Detector,
    pictures: Sequence[Picture],
    truths: Sequence[Truth],
    rows: npt.NDArray[np.int64],
    recipe: Recipe,
    random: np.random.Generator,
) -> tuple[Any, list[Truth]]:
    """Return images and truths flipped, zoomed, moved, lighter or darker, each its own way."""
    import torch

    images = tensor([pictures[row] for row in rows], model.device)
    n, _, height, width = images.shape
    sides = np.array([width, height], np.float64)
    zoom = 1.0 + recipe.zoom * random.uniform(-1, 1, (n, 1))
    zoom = np.repeat(zoom, 2, axis=1)
    if recipe.flips in ("horizontal", "both"):
        zoom[:, 0] *= random.choice([-1.0, 1.0], n)
    if recipe.flips == "both":
        zoom[:, 1] *= random.choice([-1.0, 1.0], n)
    move = recipe.zoom / 2 * random.uniform(-1, 1, (n, 2))
    # a place p of the old image in -1..1 comes to zoom * p + move; the grid asks the other way round
    back = np.zeros((n, 2, 3), np.float32)
    back[:, [0, 1], [0, 1]] = 1.0 / zoom
    back[:, :, 2] = -move / zoom
    light, contrast = random.uniform(-12, 12, (n, 1, 1, 1)), random.uniform(0.85, 1.15, (n, 1, 1, 1))
    if recipe.zoom or recipe.flips != "none":
        grid = torch.nn.functional.affine_grid(torch.from_numpy(back), list(images.shape), align_corners=False)
        images = torch.nn.functional.grid_sample(images - 127.0, grid.to(images), align_corners=False) + 127.0
    given = [torch.from_numpy(one.astype(np.float32)).to(images) for one in (light, contrast)]
    images = ((images - 127.0) * given[1] + 127.0 + given[0]).clamp(0, 255)
    seen = []
    for row, scale, shift in zip(rows, zoom, move, strict=True):
        boxes, labels = truths[row]
        ends = (boxes.reshape(-1, 2, 2) / sides * 2 - 1) * scale + shift
        ends = np.sort((ends + 1) / 2 * sides, axis=1)
        whole = (ends[:, 1] - ends[:, 0]).prod(axis=1)
        ends = np.clip(ends, 0, sides)
        left = (ends[:, 1] - ends[:, 0]).prod(axis=1)
        known = (left > 0.3 * whole) & (ends[:, 1] - ends[:, 0] > 1).all(axis=1)
        seen.append((ends.reshape(-1, 4)[known].astype(np.float32), labels[known]))
    return images, seen


def _average(mean: dict[str, Any], module: Any, step: int) -> None:
    """Move the running mean of the weights towards what they are now."""
    import torch

    share = min(0.995, (1 + step) / (10 + step))
    with torch.no_grad():
        for name, value in module.state_dict().items() if mean else ():
            if value.dtype.is_floating_point:
                mean[name].mul_(share).add_(value, alpha=1 - share)
            else:
                mean[name].copy_(value)


def _cost(
    model: Detector,
    pictures: Sequence[Picture],
    truths: Sequence[Truth],
    masses: npt.NDArray[np.float64],
    held: Sequence[int],
    mean: dict[str, Any],
) -> tuple[float, dict[str, Any]]:
    """Return the loss of held-out images and the weights that give it: the running mean where there is one."""
    import torch

    now = {name: value.detach().clone() for name, value in model.module.state_dict().items()}
    state = {name: value.clone() for name, value in mean.items()} if mean else now
    model.module.load_state_dict(state)
    model.module.eval()
    total = 0.0
    with torch.inference_mode():
        for row in held:
            total += float(model.loss(tensor([pictures[row]], model.device), [truths[row]], [float(masses[row])]))
    model.module.load_state_dict(now)
    model.module.train()
    return total / len(held), state


def _sureness(
    model: Detector, pictures: Sequence[Picture], truths: Sequence[Truth], held: Sequence[int], overlap: float
) -> Sureness:
    """Return how scores become probabilities, so that they suit held-out images; with a weak prior that they do."""
    import torch
    from scipy.optimize import minimize

    logits, right = [], []
    for row in held:
        with torch.inference_mode():
            boxes, scores, labels = model.find(tensor([pictures[row]], model.device))[0]
        kept = strongest(boxes, scores, labels, overlap)
        clipped = np.clip(scores[kept].astype(np.float64), TINY, 1 - TINY)
        logits.append(np.log(clipped / (1 - clipped)))
        right.append(hits(boxes[kept], labels[kept], *truths[row]))
    if not logits or not np.concatenate(right).any():
        return Sureness()
    x, y = np.concatenate(logits), np.concatenate(right).astype(np.float64)

    def cost(parts: npt.NDArray[np.float64]) -> float:
        z = np.exp(parts[0]) * x + parts[1]
        return float((np.logaddexp(0, z) - y * z).sum() + 0.5 * (parts**2).sum())

    slope, shift = minimize(cost, np.zeros(2), method="L-BFGS-B", bounds=[(-3, 3), (-8, 8)]).x
    return Sureness(float(np.exp(slope)), float(shift))
