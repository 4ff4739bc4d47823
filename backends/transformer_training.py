"""Fine-tuning: one loop for all backends that train a transformer.

AdamW with linear warm-up and decay (Devlin et al. 2019, appendix A.3; with bias correction and enough steps for few
examples, Mosbach et al. 2021, "On the stability of fine-tuning BERT"), gradient clipping, mixed precision
(bfloat16 where the card or processor has it, else on CUDA float16 with loss scaling), early stopping on held-out loss.
`transformers.Trainer` would need `accelerate`, and brings callbacks, checkpoints and reports that nobody reads here.

On one CPU the same data, seed and number of threads give the same model. On CUDA the order of floating-point sums is
not fixed (attention, scatter), so two runs differ in the last digits, and after many steps in more.
"""

from __future__ import annotations

import gc
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.core.folds import grouped_folds
from adapter.errors import BackendError

STEPS = 130
"""Steps that a training has at least, where the number of epochs is left open."""
MIN_EPOCHS = 2
MAX_EPOCHS = 30
HOLD_FROM = 100
"""Distinct examples from which on a tenth is held out; with fewer, held-out loss is mostly noise."""
HOLD_FOLDS = 10
WEIGHT_DECAY = 0.01
HEAD_RATE = 10.0
"""How many times faster than the transformer the layer on top learns."""
BUCKET = 50
"""Batches in whose examples like lengths are put together."""
AT_ONCE = {"cpu": 2048, "cuda": 16384}
"""Tokens that a gradient is computed for at once: attention with dropout keeps length x length numbers for each."""
DEVICES = ("auto", "cpu", "cuda")

_training = threading.Lock()  # torch's generator, from which dropout is drawn, belongs to the process


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train. epochs: at most; 0 for as many as few examples need. accumulate: batches to a step. warmup: share
    of the steps in which the rate rises. patience: epochs without a better held-out loss after which it stops.
    mixed: multiply in a short number type where the device is faster in one."""

    epochs: int
    batch_size: int
    accumulate: int
    learning_rate: float
    warmup: float
    clip: float
    patience: int
    mixed: bool
    seed: int

    def epochs_for(self, n: int) -> int:
        """Return the number of epochs for n examples."""
        steps = max(1, math.ceil(n / (self.batch_size * self.accumulate)))
        return self.epochs or min(MAX_EPOCHS, max(MIN_EPOCHS, math.ceil(STEPS / steps)))


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a training did. epochs: run. best: the epoch whose weights stayed; 0 where the frozen model was better.
    losses: held-out loss of the frozen model and after each epoch; empty where nothing was held out."""

    epochs: int
    best: int
    losses: tuple[float, ...]


def fine_tune(
    encoder: Any,
    top: Any,
    lengths: Sequence[int],
    loss_of: Callable[[Sequence[int]], Any],
    held_loss: Callable[[], float] | None,
    frozen_loss: float,
    recipe: Recipe,
    progress: Callable[[int, int], None] | None = None,
) -> Tuned:
    """Train two torch modules together, the transformer and the layer on top, in place.

    lengths: of each example, in tokens. loss_of: rows to the sum of their losses, a tensor. held_loss: of the held-out
    examples; None for no early stopping. frozen_loss: the same without any training; if no epoch comes below it, the
    transformer is as it was. progress: called with (steps done, steps). Memory for gradients and the
    optimizer is given back. Raises BackendError if the weights run off to infinity.
    """
    import torch

    device = next(encoder.parameters()).device
    cuda = device.type == "cuda"
    half = _half(device.type) if recipe.mixed else None
    epochs = recipe.epochs_for(len(lengths))
    per_epoch = math.ceil(math.ceil(len(lengths) / recipe.batch_size) / recipe.accumulate)
    total = epochs * per_epoch
    weights = [weight for module in (encoder, top) for weight in module.parameters() if weight.requires_grad]
    with _seeded(recipe.seed, device):
        optimizer = torch.optim.AdamW(list(_groups(encoder, top, recipe.learning_rate)), fused=True)
        rise = max(1, round(recipe.warmup * total))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min((step + 1) / rise, max(0.0, (total - step) / max(1, total - rise)))
        )
        scaler = torch.amp.GradScaler("cuda", enabled=half is torch.float16)
        losses = [frozen_loss] if held_loss is not None else []
        best, kept, done, epoch = 0, _copied(weights) if losses else [], 0, 0
        try:
            for epoch in range(1, epochs + 1):
                encoder.train()
                top.train()
                batches = bucketed(lengths, recipe.batch_size, np.random.default_rng((recipe.seed, epoch)))
                for start in range(0, len(batches), recipe.accumulate):
                    part = batches[start : start + recipe.accumulate]
                    size = recipe.batch_size * len(part)  # the last, smaller batch pulls less
                    for rows in sliced(part, lengths, AT_ONCE[device.type]):
                        with torch.autocast(device.type, dtype=half, enabled=half is not None):
                            loss = loss_of(rows) / size
                        scaler.scale(loss).backward()
                    scaler.unscale_(optimizer)
                    torch.nn.utils.clip_grad_norm_(weights, recipe.clip)
                    scaler.step(optimizer)
                    scaler.update()
                    schedule.step()
                    optimizer.zero_grad(set_to_none=True)
                    done += 1
                    if progress is not None:
                        progress(done, total)
                encoder.eval()
                top.eval()
                if held_loss is None:
                    best = epoch
                    continue
                losses.append(held_loss())
                if losses[-1] < losses[best]:
                    best, kept = epoch, _copied(weights)
                elif epoch - best >= recipe.patience:
                    break
        finally:
            encoder.eval()
            top.eval()
            optimizer.zero_grad(set_to_none=True)
            del optimizer, schedule, scaler
        with torch.no_grad():
            for weight, value in zip(weights, kept, strict=False):
                weight.copy_(value)
    del kept
    gc.collect()
    if cuda:
        torch.cuda.empty_cache()
    if not all(bool(torch.isfinite(weight).all()) for weight in weights):
        raise BackendError(
            "the training ran off to infinity", where="fit", remedy="Lower the option `learning_rate`, or raise warmup."
        )
    return Tuned(epoch, best, tuple(losses))


def sliced(batches: Sequence[Sequence[int]], lengths: Sequence[int], most: int) -> Iterator[Sequence[int]]:
    """Yield the rows of batches in slices of at most `most` tokens, padding counted, or one row: their gradients sum to
    those of the whole, for less memory."""
    for rows in batches:
        size = max(1, most // max(lengths[row] for row in rows))
        for start in range(0, len(rows), size):
            yield rows[start : start + size]


def _half(device: str) -> Any:
    """Return the short number type that a device multiplies faster in than in float32; None if it has none."""
    import torch

    if device == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    fast = any(getattr(torch.cpu, name, bool)() for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return torch.bfloat16 if fast else None


def bucketed(lengths: Sequence[int], size: int, random: np.random.Generator) -> list[list[int]]:
    """Return all rows in batches of `size`, in random order; those of one batch are of like length."""
    order = random.permutation(len(lengths))
    batches: list[list[int]] = []
    for start in range(0, len(order), size * BUCKET):
        chunk = sorted(order[start : start + size * BUCKET].tolist(), key=lambda row: lengths[row])
        batches += [chunk[at : at + size] for at in range(0, len(chunk), size)]
    return [batches[number] for number in random.permutation(len(batches))]


def held_rows(keys: Sequence[str], strata: Sequence[Any], seed: int, least: int = HOLD_FROM) -> npt.NDArray[np.bool_]:
    """Return (n,) which rows are held out: a tenth, duplicates (equal keys) together, each stratum in its share. None
    below `least` distinct keys; nothing of a stratum that is too rare to be spared."""
    if len(set(keys)) < least:
        return np.zeros(len(keys), bool)
    counts: dict[str, int] = {}
    for stratum in strata:
        counts[repr(stratum)] = counts.get(repr(stratum), 0) + 1
    spared = np.asarray([counts[repr(stratum)] >= HOLD_FOLDS for stratum in strata])
    held = np.asarray((grouped_folds(keys, HOLD_FOLDS, seed, strata) == 0) & spared, bool)
    kept = {key for key, out in zip(keys, held, strict=True) if not out}
    held &= np.asarray([key not in kept for key in keys], bool)  # a duplicate whose twin has a rare label
    return np.asarray(held, bool)


def freeze(encoder: Any, layers: int, where: str) -> None:
    """Let a transformer's embeddings and lowest `layers` layers stay as they are; 0 lets all learn."""
    import torch

    for name, weight in encoder.named_parameters():
        weight.requires_grad_("pooler" not in name)  # nothing here reads a pooler
    if not layers:
        return
    count = int(getattr(encoder.config, "num_hidden_layers", 0))
    stack = next((m for m in encoder.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == count), None)
    if stack is None or layers > count:
        raise BackendError(
            f"option 'freeze' is {layers}, but the model has {count if stack is not None else 'no'} layers",
            where=where,
            remedy="Give a number from 0 to the number of layers.",
        )
    low = [weight for layer in list(stack)[:layers] for weight in layer.parameters()]
    low += [weight for name, weight in encoder.named_parameters() if "embed" in name.lower()]
    for weight in low:
        weight.requires_grad_(False)


def _groups(encoder: Any, top: Any, rate: float) -> Iterator[dict[str, Any]]:
    """Yield the optimizer's groups: norms and biases do not decay, and the layer on top learns faster."""
    for module, speed in ((encoder, rate), (top, rate * HEAD_RATE)):
        learning = [weight for weight in module.parameters() if weight.requires_grad]
        for thick, decay in ((True, WEIGHT_DECAY), (False, 0.0)):
            some = [weight for weight in learning if (weight.ndim > 1) is thick]
            if some:
                yield {"params": some, "lr": speed, "weight_decay": decay}


def _copied(weights: Sequence[Any]) -> list[Any]:
    return [weight.detach().to("cpu", copy=True) for weight in weights]


@contextmanager
def _seeded(seed: int, device: Any) -> Iterator[None]:
    """Draw from a seed meanwhile, and leave the process's own chance as it was. One training at a time."""
    import torch

    devices = [device.index or 0] if device.type == "cuda" else []
    with _training, torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
