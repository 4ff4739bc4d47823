"""A cross-encoder: a transformer that reads two texts together, fine-tuned on labelled pairs (Nogueira and Cho 2019,
arXiv 1901.04085; the sentence pairs of Devlin et al. 2019, arXiv 1810.04805, section 4.1)."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.errors import BackendError
from adapter.ports import Floats
from backends.device import set_threads
from backends.files import Arrays
from backends.importing import import_transformers
from backends.temperature import temperature_of
from backends.transformer_training import held_rows

NAME = "Pairs"
HOLD_OUT_FROM = 60
"""Distinct pairs from which on a tenth of them is held out, and tells when to stop and how sure to be."""
PATIENCE = 2
Doubles = npt.NDArray[np.float64]
Texts = Sequence[tuple[str, str]]


class CrossEncoder:
    """Sequence-pair classification by `AutoModelForSequenceClassification`. Predicting is thread-safe.

    folder: of the transformer that training starts from. epochs: at most; it stops when pairs that were held out get no
    better. batch_size, max_tokens: of both texts together. Mixed precision on CUDA.
    """

    def __init__(
        self,
        folder: str,
        *,
        epochs: int,
        batch_size: int,
        max_tokens: int,
        learning_rate: float,
        device: str,
        threads: int,
    ) -> None:
        self._folder, self._epochs, self._batch, self._max_tokens = folder, epochs, batch_size, max_tokens
        self._rate, self._device, self._threads = learning_rate, device, threads
        self._lock = threading.Lock()
        self._model: Any = None
        self._tokenizer: Any = None
        self._longest = max_tokens
        self._temperature = 1.0
        self._multiple = False
        self._seen: npt.NDArray[np.bool_] = np.zeros(0, bool)

    @property
    def labels(self) -> int:
        """The number of labels."""
        return len(self._seen)

    def fit(self, texts: Texts, targets: Doubles, weights: Doubles, *, multiple: bool, seed: int) -> None:
        """Fine-tune. texts: n pairs; targets (n, k) and weights (n,) as in `ports.Backend`, all weights above 0."""
        import torch

        mass = (targets * weights[:, None]).sum(axis=0)
        self._seen = mass > 0
        if not multiple and self._seen.sum() < 2:
            raise BackendError(
                "all examples have the same label, so there is nothing to learn",
                where="fit",
                remedy="Label examples of two or more labels first.",
            )
        self._multiple, self._temperature = multiple, 1.0
        set_threads(self._threads)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._load_base(targets.shape[1])
            keys = ["\x1f".join(pair) for pair in texts]
            held = held_rows(keys, targets.argmax(axis=1).tolist(), seed, HOLD_OUT_FROM)
            self._train(texts, targets, weights, np.flatnonzero(~held), np.flatnonzero(held))

    def _train(
        self,
        texts: Texts,
        targets: Doubles,
        weights: Doubles,
        rows: npt.NDArray[np.int64],
        held_out: npt.NDArray[np.int64],
    ) -> None:
        import torch

        optimizer = torch.optim.AdamW(self._model.parameters(), lr=self._rate, weight_decay=0.01)
        steps = self._epochs * -(-len(rows) // self._batch)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min((step + 1) / max(1.0, 0.1 * steps), (steps - step) / (0.9 * steps + 1e-9), 1.0)
        )
        scaler = torch.amp.GradScaler(enabled=self._device == "cuda")
        mean = weights[rows].mean()
        best, worse, kept = np.inf, 0, None
        for _ in range(self._epochs):
            self._model.train()
            turn = rows[torch.randperm(len(rows)).numpy()]
            for start in range(0, len(turn), self._batch):
                some = turn[start : start + self._batch]
                goal = torch.as_tensor(targets[some], dtype=torch.float32, device=self._device)
                mass = torch.as_tensor(weights[some] / mean, dtype=torch.float32, device=self._device)
                loss = (self._losses(self._logits([texts[row] for row in some]), goal) * mass).mean()
                optimizer.zero_grad()
                scaler.scale(loss).backward()
                scaler.unscale_(optimizer)
                torch.nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
                scaler.step(optimizer)
                scaler.update()
                schedule.step()
            if len(held_out):
                cost = self._cost(self._all_logits([texts[row] for row in held_out]), targets, weights, held_out)
                if cost < best - 1e-4:
                    best, worse = cost, 0
                    kept = {name: tensor.detach().clone() for name, tensor in self._model.state_dict().items()}
                else:
                    worse += 1
                    if worse >= PATIENCE:
                        break
        if kept is not None:
            self._model.load_state_dict(kept)
            logits = self._all_logits([texts[row] for row in held_out]).astype(np.float64)
            self._temperature = temperature_of(logits, targets[held_out], weights[held_out], self._multiple)
        self._model.eval()

    def _losses(self, logits: Any, goal: Any) -> Any:
        """Return (n,), the loss of each pair."""
        import torch

        if self._multiple:
            return torch.nn.functional.binary_cross_entropy_with_logits(logits, goal, reduction="none").sum(1)
        return -(goal * torch.log_softmax(logits, dim=1)).sum(1)

    def _cost(self, logits: Floats, targets: Doubles, weights: Doubles, rows: npt.NDArray[np.int64]) -> float:
        import torch

        goal = torch.as_tensor(targets[rows], dtype=torch.float32)
        each = self._losses(torch.from_numpy(np.asarray(logits, np.float32)), goal).numpy()
        return float(weights[rows] @ each / weights[rows].sum())

    def predict(self, texts: Texts) -> Floats:
        """Return probabilities (n, k). Labels without an example get a small one."""
        logits = self._all_logits(texts).astype(np.float64) / self._temperature
        if self._multiple:
            return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)), np.float32)
        logits[:, ~self._seen] = -np.inf
        exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
        out = exponents / exponents.sum(axis=1, keepdims=True)
        floor = 0.01 / max(1, self.labels)
        out *= 1.0 - floor * (~self._seen).sum()
        out[:, ~self._seen] = floor
        return np.asarray(out, np.float32)

    def _all_logits(self, texts: Texts) -> Floats:
        """Return logits (n, k); texts of like length share a batch."""
        import torch

        order = sorted(range(len(texts)), key=lambda row: len(texts[row][0]) + len(texts[row][1]))
        out = np.zeros((len(texts), self.labels), np.float32)
        set_threads(self._threads)
        with self._lock, torch.inference_mode():
            self._model.eval()
            for start in range(0, len(order), self._batch):
                rows = order[start : start + self._batch]
                out[rows] = self._logits([texts[row] for row in rows]).cpu().numpy()
        return out

    def _logits(self, texts: Texts) -> Any:
        import torch

        encoded = self._tokenizer.encode_batch(list(texts))
        given = {
            "input_ids": torch.tensor([one.ids for one in encoded], device=self._device),
            "attention_mask": torch.tensor([one.attention_mask for one in encoded], device=self._device),
        }
        if getattr(self._model.config, "type_vocab_size", 0) > 1:
            given["token_type_ids"] = torch.tensor([one.type_ids for one in encoded], device=self._device)
        with torch.autocast("cuda", torch.float16, enabled=self._device == "cuda"):
            logits = self._model(**given).logits
        return logits.float()

    def _load_base(self, labels: int) -> None:
        import_transformers()
        from transformers import AutoModelForSequenceClassification, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()
        before = logging.get_verbosity()
        logging.set_verbosity_error()  # that the head is new is no news here
        try:
            tokenizer = AutoTokenizer.from_pretrained(self._folder, local_files_only=True, trust_remote_code=False)
            self._model = AutoModelForSequenceClassification.from_pretrained(
                self._folder,
                num_labels=labels,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                ignore_mismatched_sizes=True,
            )
            self._model = self._model.float().to(self._device)
            self._own_tokenizer(tokenizer.backend_tokenizer.to_str(), int(tokenizer.model_max_length))
        except Exception as error:  # whatever a foreign folder makes the libraries raise
            raise BackendError(
                f"the transformer '{self._folder}' cannot be loaded: {type(error).__name__}",
                where=NAME,
                remedy="Name a folder that `transformers` can load, with safetensors weights and a fast tokenizer, or "
                "a hub model that is already in the local hub cache.",
            ) from error
        finally:
            logging.set_verbosity(before)

    def _own_tokenizer(self, text: str, longest: int) -> None:
        """Keep the tokenizer, for pairs of as many tokens as the option and the model take."""
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_str(text)
        pad = getattr(self._model.config, "pad_token_id", None) or 0
        positions = getattr(self._model.config, "max_position_embeddings", None)
        if isinstance(positions, int) and positions > 0:
            table = getattr(getattr(self._model.base_model, "embeddings", None), "position_embeddings", None)
            taken = getattr(table, "padding_idx", None)  # RoBERTa and its like count positions from behind it
            longest = min(longest, positions - (taken + 1 if taken is not None else 0))
        self._longest = max(8, min(longest, self._max_tokens))
        tokenizer.enable_truncation(self._longest, strategy="longest_first")
        tokenizer.enable_padding(pad_id=pad, pad_token=tokenizer.id_to_token(pad) or "[PAD]")
        self._tokenizer = tokenizer

    def parts(self) -> tuple[dict[str, Any], Arrays]:
        """Return what `from_parts` needs, as JSON and arrays."""
        config = self._model.config.to_dict()
        config.pop("_name_or_path", None)  # a place of this machine
        about = {
            "config": json.loads(json.dumps(config, default=str)),
            "tokenizer": self._tokenizer.to_str(),
            "temperature": self._temperature,
            "multiple": self._multiple,
            "max_tokens": self._longest,
        }
        arrays: Arrays = {f"cross.{name}": tensor.cpu().numpy() for name, tensor in self._model.state_dict().items()}
        return about, {**arrays, "seen": self._seen}

    def from_parts(self, meta: dict[str, Any], arrays: Arrays) -> None:
        """Become what was taken apart. Raises KeyError, TypeError, ValueError or RuntimeError if it does not fit."""
        import torch

        import_transformers()
        from transformers import AutoConfig, AutoModelForSequenceClassification

        config = dict(meta["config"])
        try:
            made = AutoConfig.for_model(config.pop("model_type"), **config)
            model = AutoModelForSequenceClassification.from_config(made)
            own = {
                name.removeprefix("cross."): torch.from_numpy(np.array(array))
                for name, array in arrays.items()
                if name.startswith("cross.")
            }
            model.load_state_dict(own)
            self._model = model.to(self._device).eval()
            self._own_tokenizer(str(meta["tokenizer"]), int(meta["max_tokens"]))
        except Exception as error:  # a foreign config may make the libraries raise anything
            raise ValueError(f"{type(error).__name__}: {error}") from error
        self._temperature, self._multiple = float(meta["temperature"]), bool(meta["multiple"])
        self._seen = arrays["seen"].astype(bool)
        if self._seen.shape != (model.config.num_labels,):
            raise ValueError(f"{self._seen.shape} labels do not fit {model.config.num_labels}")
