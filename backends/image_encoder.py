"""A frozen vision transformer or convolutional net of `transformers` that turns images into vectors.

Images are prepared as the model's `preprocessor_config.json` says, with PIL and NumPy: resizing, a crop of the centre,
scaling and normalisation. That is what the model's own image processor does, without a need for torchvision.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from adapter.errors import BackendError
from adapter.ports import Floats
from backends.importing import import_transformers

if TYPE_CHECKING:
    from PIL.Image import Image

NAME = "Image"
LARGEST = 1024  # pixels along a side of what any model is given
WARP_FROM = 384  # from this size on ConvNeXT's processor squeezes the whole image, below it cuts the centre out


@dataclass(frozen=True)
class Preparation:
    """How an image becomes numbers. height, width: of what the model sees. shortest: length of the shorter side before
    the centre is cut out, 0 for squeezing the whole image. resample: PIL's number of the method."""

    height: int
    width: int
    shortest: int
    resample: int
    scale: float
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @classmethod
    def of(cls, config: Mapping[str, Any], image_size: int) -> Preparation:
        """Return what a `preprocessor_config.json` says. image_size: of the model, for what it leaves out. Raises
        TypeError or ValueError for nonsense."""
        size, crop = config.get("size") or image_size, config.get("crop_size") or config.get("size") or image_size
        kind = str(config.get("image_processor_type") or config.get("feature_extractor_type") or "")
        cut = bool(config.get("do_center_crop"))
        height, width = _sides(crop if cut else size, image_size)
        shortest = 0
        if not config.get("do_resize", True):
            shortest = -1
        elif "ConvNext" in kind and height < WARP_FROM:
            shortest = int(height / float(config.get("crop_pct") or 224 / 256))
        elif cut:
            shortest = int(size["shortest_edge"]) if isinstance(size, dict) and "shortest_edge" in size else 0
            shortest = size if isinstance(size, int) else shortest
            if not shortest and _sides(size, image_size) != (height, width):
                raise ValueError(f"size {size} with a crop of {crop}")
        for side in (height, width, max(shortest, 1)):
            if not 1 <= side <= LARGEST:
                raise ValueError(f"a side of {side} pixels")
        scale = float(config.get("rescale_factor") or 1 / 255) if config.get("do_rescale", True) else 1.0
        normal = config.get("do_normalize", True)
        return cls(
            height=height,
            width=width,
            shortest=shortest,
            resample=int(2 if (given := config.get("resample")) is None else given),
            scale=scale,
            mean=_three(config.get("image_mean") or 0.5) if normal else (0.0, 0.0, 0.0),
            deviation=_three(config.get("image_std") or 0.5) if normal else (1.0, 1.0, 1.0),
        )

    def apply(self, image: Image) -> Floats:
        """Return the numbers (3, height, width) for an image in mode RGB."""
        from PIL.Image import Resampling

        way = Resampling(self.resample)
        if self.shortest == 0:
            image = image.resize((self.width, self.height), way)
        else:
            if self.shortest > 0:
                short, long = sorted(image.size)
                longer = min(int(self.shortest * long / short), 16 * LARGEST)
                upright = image.width <= image.height
                image = image.resize((self.shortest, longer) if upright else (longer, self.shortest), way)
            left, top = (image.width - self.width) // 2, (image.height - self.height) // 2
            image = image.crop((left, top, left + self.width, top + self.height))
        pixels = np.asarray(image, np.float32) * np.float32(self.scale)
        pixels = (pixels - np.asarray(self.mean, np.float32)) / np.asarray(self.deviation, np.float32)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _sides(size: Any, image_size: int) -> tuple[int, int]:
    """Return height and width for the ways to write a size."""
    if isinstance(size, dict):
        if "height" in size and "width" in size:
            return int(size["height"]), int(size["width"])
        side = int(size.get("shortest_edge") or image_size)
        return side, side
    if isinstance(size, list | tuple):
        height, width = size
        return int(height), int(width)
    return int(size), int(size)


def _three(value: Any) -> tuple[float, ...]:
    """Return a number for each channel."""
    found = tuple(float(each) for each in (value if isinstance(value, list | tuple) else [value] * 3))
    if len(found) != 3:
        raise ValueError(f"{len(found)} channels instead of 3")
    return found


class VisionEncoder:
    """A frozen vision model, loaded once a process. Thread-safe. device: `cpu` or `cuda`; there in half precision.

    The vector is the class token beside the mean of the patches where the model has a class token, else the mean of all
    positions; for CLIP-like models the vision tower's projection. Length 1.
    """

    def __init__(self, model: str, device: str) -> None:
        import torch

        import_transformers()
        from transformers import AutoConfig, AutoModel
        from transformers.utils import logging

        self._torch: Any = torch
        self._device = device
        logging.disable_progress_bar()
        try:
            config: Any = AutoConfig.from_pretrained(model, local_files_only=True, trust_remote_code=False)
            self._model: Any = AutoModel.from_pretrained(
                model, local_files_only=True, trust_remote_code=False, use_safetensors=True
            )
            vision = getattr(config, "vision_config", config)
            image_size = getattr(vision, "image_size", 224)
            size = image_size if isinstance(image_size, int) else max(image_size)
            self.preparation = Preparation.of(_preprocessor(model), size)
            self._model = _tower(self._model).eval().to(device)
            self.identity = self._digest()
            probe = np.zeros((1, 3, self.preparation.height, self.preparation.width), np.float32)
            self.dimensions = int(self.encode(probe, 1).shape[1])
        except Exception as error:  # whatever a foreign folder makes the libraries raise
            raise BackendError(
                f"the vision model '{model}' cannot be loaded: {type(error).__name__}: {str(error)[:200]}",
                where=NAME,
                remedy="Name a folder that `transformers` can load, with safetensors weights of a vision model (ViT, "
                "DINOv2, CLIP, ConvNeXT), or a hub model that is already in the local hub cache. Without one, "
                "`model: cnn` trains a small net from scratch.",
            ) from error

    def _digest(self) -> str:
        """Return a digest of weights and preparation: the same model has the same identity wherever its files are."""
        digest = hashlib.sha256(json.dumps(asdict(self.preparation)).encode())
        for name, tensor in sorted(self._model.state_dict().items()):
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor.flatten()[:4096].contiguous().float().cpu().numpy().tobytes())
        return digest.hexdigest()[:32]

    def encode(self, pixels: Floats, threads: int) -> Floats:
        """Return vectors (n, d) of length 1 for prepared images (n, 3, height, width). threads: of torch, 0 as is."""
        torch = self._torch
        with _computing, torch.inference_mode(), torch.autocast(self._device, enabled=self._device == "cuda"):
            if threads:
                torch.set_num_threads(threads)
            given = torch.as_tensor(pixels, device=self._device)
            if hasattr(self._model, "get_image_features"):
                found = self._model.get_image_features(pixel_values=given)
                found = found if torch.is_tensor(found) else found.pooler_output
            else:
                states = self._model(pixel_values=given).last_hidden_state
                if states.ndim == 4:
                    found = states.mean((2, 3))
                elif self._has_class_token():
                    found = torch.cat([states[:, 0], states[:, 1:].mean(1)], dim=1)
                else:
                    found = states.mean(1)
            return np.asarray(torch.nn.functional.normalize(found.float(), dim=1).cpu().numpy(), np.float32)

    def _has_class_token(self) -> bool:
        return any(name.endswith(("cls_token", "class_embedding")) for name, _ in self._model.named_parameters())


def _tower(model: Any) -> Any:
    """Return the model without its text side, which would only cost memory."""
    for name in ("text_model", "text_projection"):
        if hasattr(model, "get_image_features") and hasattr(model, name):
            setattr(model, name, None)
    return model


def _preprocessor(model: str) -> dict[str, Any]:
    """Return what the model's folder says of its preparation; empty if it says nothing."""
    import_transformers()
    from transformers.utils import cached_file

    for name in ("preprocessor_config.json", "processor_config.json"):
        try:
            path = cached_file(model, name, local_files_only=True)
        except OSError:
            continue
        if path is not None:
            with open(path, encoding="utf-8") as file:
                found = json.load(file)
            found = found.get("image_processor", found) if isinstance(found, dict) else None
            if not isinstance(found, dict):
                raise ValueError(f"{name} is no object")
            return found
    return {}


_loading = threading.Lock()
_computing = threading.Lock()


def vision_encoder(model: str, device: str) -> VisionEncoder:
    """Return the encoder of this process for a model: a local folder, or a hub name in the local cache."""
    with _loading:  # two threads must not load the same model twice
        return _loaded(model, device)


@lru_cache(maxsize=2)
def _loaded(model: str, device: str) -> VisionEncoder:
    return VisionEncoder(model, device)


def batches(count: int, size: int) -> Sequence[slice]:
    """Return slices that cover `count` rows, `size` at a time."""
    return [slice(start, start + size) for start in range(0, count, size)]
