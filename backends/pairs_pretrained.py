"""Pretrained dual encoders: a CLIP-like model of `transformers` for images and texts, a sentence encoder for two texts.

Nothing is fetched: a model is a local folder, or a hub name that is already in the local hub cache.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from adapter.errors import BackendError
from adapter.ports import Floats
from adapter.vocabulary import JsonObject
from backends.embedding import Embedding, folder_of
from backends.images import ImageReader
from backends.importing import import_transformers
from backends.pairs_sides import texts_of
from backends.pairs_small import Kind
from backends.vectors import Remembered, key_of

NAME = "Pairs"
SENTENCE_SCALE = 20.0
"""Of cosines of sentence encoders: what they are trained with (the default of the sentence-transformers library)."""
_remembered = Remembered()
_loading = threading.Lock()


class Sentences:
    """Two texts in one sentence encoder."""

    def __init__(self, model: str, batch_size: int, max_tokens: int, cache_folder: str, threads: int) -> None:
        self._embedding = Embedding(
            ("text",),
            model=model,
            batch_size=batch_size,
            max_tokens=max_tokens,
            cache_folder=cache_folder,
            threads=threads,
        )
        self.scale = SENTENCE_SCALE

    @property
    def identity(self) -> str:
        """The same for the same weights, wherever they lie."""
        vector = self._embedding.embed([{"text": "the same model says the same of this"}])[0]
        return "sentences:" + hashlib.sha256(np.round(vector, 2).tobytes()).hexdigest()[:32]

    def side(self, examples: Sequence[JsonObject], field: str, kind: Kind) -> Floats:
        """Return vectors (n, d) of length 1, zero for what cannot be read. Raises BackendError for images."""
        if kind == "image":
            raise BackendError(
                f"the field '{field}' holds images, and the model reads texts only",
                where=NAME,
                remedy="Name a CLIP-like `model`, or 'small', which learns from the pairs themselves.",
            )
        texts = texts_of(examples, field)
        vectors = self._embedding.embed([{"text": text} for text in texts])
        return vectors


class Clip:
    """A model with an image and a text tower, by `AutoModel`: CLIP, SigLIP and their like. Thread-safe."""

    def __init__(self, folder: str, device: str) -> None:
        import_transformers()
        from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

        try:
            self._model: Any = AutoModel.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, use_safetensors=True
            )
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            self._processor: Any = AutoImageProcessor.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, use_fast=False
            )
            if not hasattr(self._model, "get_image_features") or not hasattr(self._model, "get_text_features"):
                raise ValueError("it has no towers for images and texts")
        except Exception as error:  # whatever a foreign folder makes the libraries raise
            raise BackendError(
                f"the dual encoder '{folder}' cannot be loaded: {type(error).__name__}",
                where=NAME,
                remedy="Name a folder with a CLIP-like model that `transformers` can load, with safetensors weights, "
                "its tokenizer and image processor, or a hub model that is already in the local hub cache.",
            ) from error
        self._model.to(device).eval()
        self._device = device
        self._lock = threading.Lock()
        config = self._model.config
        self._longest = int(getattr(config.text_config, "max_position_embeddings", 64))
        self._padding = "max_length" if str(config.model_type).startswith("siglip") else True
        self.scale = (
            float(self._model.logit_scale.exp().item()) if hasattr(self._model, "logit_scale") else SENTENCE_SCALE
        )
        self.identity = _digest(self._model)
        self.dimensions = int(self.texts(["a"]).shape[1])

    def texts(self, texts: Sequence[str]) -> Floats:
        """Return vectors (n, d) of length 1."""
        tokens = self._tokenizer(
            list(texts), padding=self._padding, truncation=True, max_length=self._longest, return_tensors="pt"
        )
        known = {name: tokens[name] for name in ("input_ids", "attention_mask") if name in tokens}
        return self._ask(self._model.get_text_features, known)

    def images(self, images: Sequence[Any]) -> Floats:
        """Return vectors (n, d) of length 1 of PIL images."""
        pixels = self._processor(images=list(images), return_tensors="pt")["pixel_values"]
        return self._ask(self._model.get_image_features, {"pixel_values": pixels})

    def _ask(self, tower: Callable[..., Any], given: dict[str, Any]) -> Floats:
        import torch

        on = {name: tensor.to(self._device) for name, tensor in given.items()}
        mixed = torch.autocast("cuda", torch.float16, enabled=self._device.startswith("cuda"))
        with self._lock, torch.inference_mode(), mixed:
            found = tower(**on)
        found = found if isinstance(found, torch.Tensor) else found.pooler_output  # transformers 4 gave the tensor
        return np.asarray(torch.nn.functional.normalize(found.float(), dim=-1).cpu().numpy(), np.float32)


class ClipSides:
    """Both sides through one CLIP-like model, what was computed once remembered by content."""

    def __init__(self, model: str, batch_size: int, reader: ImageReader, device: str) -> None:
        with _loading:  # two threads must not load the same model twice
            self._clip = _clip(model, device)
        self._batch_size = batch_size
        self._reader = reader
        self.scale = self._clip.scale
        self.identity = self._clip.identity

    def side(self, examples: Sequence[JsonObject], field: str, kind: Kind) -> Floats:
        """Return vectors (n, d) of length 1, zero for what cannot be read."""
        out = np.zeros((len(examples), self._clip.dimensions), np.float32)
        for start in range(0, len(examples), self._batch_size):
            some = examples[start : start + self._batch_size]
            found = self._texts(some, field) if kind == "text" else self._images(some, field)
            for row, vector in enumerate(found, start):
                if vector is not None:
                    out[row] = vector
        return out

    def _texts(self, examples: Sequence[JsonObject], field: str) -> list[Floats | None]:
        texts = texts_of(examples, field)
        keys = [None if text is None else key_of(self.identity, f"text:{text}") for text in texts]
        return self._vectors(keys, lambda row: texts[row], self._clip.texts)

    def _images(self, examples: Sequence[JsonObject], field: str) -> list[Floats | None]:
        raws = [self._reader.bytes_of(example.get(field)) for example in examples]
        keys = [
            None if raw is None else key_of(self.identity, f"image:{hashlib.sha256(raw).hexdigest()}") for raw in raws
        ]
        return self._vectors(keys, lambda row: self._reader.decode(raws[row] or b"", "RGB"), self._clip.images)

    def _vectors(
        self,
        keys: Sequence[bytes | None],
        thing: Callable[[int], Any],
        compute: Callable[[Sequence[Any]], Floats],
    ) -> list[Floats | None]:
        """Return each key's vector: remembered, or computed from what `thing` gives for its row; None where there is no
        key, or nothing is given."""
        found = _remembered.get(key for key in keys if key is not None)
        missing: dict[bytes, Any] = {}
        for row, key in enumerate(keys):
            if key is not None and key not in found and key not in missing:
                given = thing(row)
                if given is not None:
                    missing[key] = given
        if missing:
            fresh = dict(zip(missing, compute(list(missing.values())), strict=True))
            _remembered.put(fresh)
            found.update(fresh)
        return [None if key is None else found.get(key) for key in keys]


def pretrained(
    model: str,
    kinds: tuple[Kind, Kind],
    *,
    batch_size: int,
    max_tokens: int,
    cache_folder: str,
    threads: int,
    reader: ImageReader,
    device: str,
) -> Sentences | ClipSides:
    """Return the towers of a model: a CLIP-like one if it has two, else a sentence encoder. Raises BackendError."""
    folder = folder_of(model)
    with _loading:
        both = _has_two_towers(folder)
    if both:
        return ClipSides(folder, batch_size, reader, device)
    if "image" in kinds:
        raise BackendError(
            f"'{model}' reads texts only, and one part of the pairs is an image",
            where=NAME,
            remedy="Name a CLIP-like `model`, or 'small', which learns from the pairs themselves.",
        )
    return Sentences(model, batch_size, max_tokens, cache_folder, threads)


@lru_cache(maxsize=8)
def _has_two_towers(folder: str) -> bool:
    import_transformers()
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # whatever a foreign folder makes the libraries raise
        raise BackendError(
            f"the model '{folder}' cannot be loaded: {type(error).__name__}",
            where=NAME,
            remedy="Name a folder that `transformers` can load, a hub model that is already in the local hub cache, or "
            "'small', which needs none.",
        ) from error
    return hasattr(config, "vision_config") and hasattr(config, "text_config")


@lru_cache(maxsize=2)
def _clip(folder: str, device: str) -> Clip:
    return Clip(folder, device)


def _digest(model: Any) -> str:
    """Return the weights' digest: the same model has the same identity wherever its files are."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.flatten()[:4096].cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]
