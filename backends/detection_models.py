"""The two models of `backends.detection` behind the same methods: our own small one, and one of `transformers`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adapter.errors import BackendError
from adapter.ports import Floats
from backends.detection_small import losses, network, peaks, targets
from backends.detection_training import Found, Truth
from backends.files import Arrays
from backends.importing import import_transformers

NAME = "Detection"
Parts = tuple[dict[str, Any], Arrays]


class Small:
    """The net of `backends.detection_small`."""

    def __init__(self, labels: int, device: str) -> None:
        self.module: Any = network(labels).to(device)
        self.device, self._labels = device, labels

    def loss(self, images: Any, truths: Sequence[Truth], weights: Sequence[float]) -> Any:
        """See `detection_training.Detector`."""
        import torch

        shape = tuple(images.shape[2:])
        parts = zip(*(targets(boxes, labels, self._labels, shape) for boxes, labels in truths), strict=True)
        goal, boxes, held = (torch.from_numpy(np.stack(part)).to(self.device) for part in parts)
        heat, edges, _ = self._ask(images)
        each = losses(heat, edges, goal, boxes, held)
        return (each * torch.tensor(weights, device=self.device)).mean()

    def find(self, images: Any) -> list[Found]:
        """See `detection_training.Detector`."""
        heat, edges, _ = self._ask(images)
        return peaks(heat, edges)

    def vectors(self, images: Any) -> Floats:
        """Return (n, d), what the deepest layer says of each image, not yet of length 1."""
        return np.asarray(self._ask(images)[2].cpu().numpy(), np.float32)

    def _ask(self, images: Any) -> tuple[Any, Any, Any]:
        import torch

        with torch.autocast("cuda", torch.float16, enabled=self.device == "cuda"):
            heat, edges, vectors = self.module((images - 127.5) / 127.5)
        return heat.float(), edges.float(), vectors.float()

    def parts(self) -> Parts:
        """Return what `small_from` needs, as JSON and arrays."""
        return {}, _weights(self.module)


def small_from(arrays: Arrays, labels: int, device: str) -> Small:
    """Return the model that was taken apart. Raises RuntimeError if the weights do not fit."""
    model = Small(labels, "cpu")
    _restore(model.module, arrays)
    model.module.to(device).eval()
    model.device = device
    return model


class Transformer:
    """A detector of `transformers`: YOLOS, DETR, RT-DETR, Deformable DETR and what else `AutoModelForObjectDetection`
    has, as far as it needs no package that is not there.

    module: the model. mean, deviation: of the colours that it expects, in 0..1.
    """

    def __init__(self, module: Any, mean: Sequence[float], deviation: Sequence[float], device: str) -> None:
        self.module, self.device = module, device
        self.mean, self.deviation = tuple(map(float, mean)), tuple(map(float, deviation))

    def loss(self, images: Any, truths: Sequence[Truth], weights: Sequence[float]) -> Any:
        """See `detection_training.Detector`. The library has one loss for a batch, so images of unequal weight are
        asked one by one."""
        if len(set(weights)) == 1:
            return self._loss(images, truths) * weights[0]
        each = [self._loss(images[row : row + 1], truths[row : row + 1]) * weight for row, weight in enumerate(weights)]
        return sum(each) / len(each)

    def _loss(self, images: Any, truths: Sequence[Truth]) -> Any:
        import torch

        height, width = images.shape[2:]
        sides = np.array([width, height, width, height], np.float32)
        given = []
        for boxes, labels in truths:
            middle = np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1) / sides
            given.append(
                {
                    "class_labels": torch.from_numpy(labels).to(self.device),
                    "boxes": torch.from_numpy(middle.astype(np.float32)).to(self.device),
                }
            )
        with torch.autocast("cuda", torch.float16, enabled=self.device == "cuda"):
            return self.module(pixel_values=self._normal(images), labels=given).loss.float()

    def find(self, images: Any) -> list[Found]:
        """See `detection_training.Detector`."""
        answer = self._ask(images)
        logits, places = answer.logits.float(), answer.pred_boxes.float()
        count = self.module.config.num_labels
        # the DETR family keeps a column for nothing; its later members ask of each label by itself
        chances = logits.softmax(-1)[..., :count] if logits.shape[-1] == count + 1 else logits.sigmoid()
        scores, labels = chances.max(-1)
        sides = np.array([images.shape[3], images.shape[2]] * 2, np.float32)
        out = []
        for row in range(len(images)):
            known = scores[row] > 0.01
            middle = places[row][known].cpu().numpy()
            corners = np.concatenate([middle[:, :2] - middle[:, 2:] / 2, middle[:, :2] + middle[:, 2:] / 2], axis=1)
            out.append((corners * sides, scores[row][known].cpu().numpy(), labels[row][known].cpu().numpy()))
        return out

    def vectors(self, images: Any) -> Floats:
        """Return (n, d), the mean of the last layer's states of each image, not yet of length 1."""
        return np.asarray(self._ask(images).last_hidden_state.float().mean(1).cpu().numpy(), np.float32)

    def _ask(self, images: Any) -> Any:
        import torch

        with torch.autocast("cuda", torch.float16, enabled=self.device == "cuda"):
            return self.module(pixel_values=self._normal(images))

    def _normal(self, images: Any) -> Any:
        import torch

        mean, deviation = (
            torch.tensor(one, device=images.device)[None, :, None, None] for one in (self.mean, self.deviation)
        )
        return (images / 255.0 - mean) / deviation

    def parts(self) -> Parts:
        """Return what `transformer_from` needs, as JSON and arrays."""
        config = self.module.config.to_dict()
        config.pop("_name_or_path", None)  # a place of this machine
        about = {"config": json.loads(json.dumps(config, default=str)), "mean": self.mean, "deviation": self.deviation}
        return about, _weights(self.module)


def pretrained(folder: str, labels: int, device: str) -> Transformer:
    """Return a detector with a new head for so many labels. Raises BackendError if it cannot be loaded."""
    import_transformers()
    from transformers import AutoModelForObjectDetection
    from transformers.utils import logging

    logging.disable_progress_bar()
    before = logging.get_verbosity()
    logging.set_verbosity_error()  # that the head is new is no news here
    try:
        module = AutoModelForObjectDetection.from_pretrained(
            folder,
            num_labels=labels,
            ignore_mismatched_sizes=True,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
        ).float()
        mean, deviation = _colours(folder)
    except Exception as error:  # whatever a foreign folder makes the libraries raise
        raise BackendError(
            f"the detector '{folder}' cannot be loaded: {type(error).__name__}: {str(error)[:200]}",
            where=NAME,
            remedy="Name a folder with a detector that `transformers` can load, with safetensors weights (YOLOS and "
            "RT-DETR need no further package), a hub model that is already in the local hub cache, or 'small'.",
        ) from error
    finally:
        logging.set_verbosity(before)
    return Transformer(module.to(device), mean, deviation, device)


def transformer_from(meta: dict[str, Any], arrays: Arrays, labels: int, device: str) -> Transformer:
    """Return the model that was taken apart. Raises ValueError if it does not fit."""
    import_transformers()
    from transformers import AutoConfig, AutoModelForObjectDetection

    try:
        config = dict(meta["config"])
        made = AutoConfig.for_model(config.pop("model_type"), **config)
        if getattr(made, "use_pretrained_backbone", False):
            made.use_pretrained_backbone = False  # its weights are among ours
        module = AutoModelForObjectDetection.from_config(made)
        _restore(module, arrays)
        if module.config.num_labels != labels:
            raise ValueError(f"{module.config.num_labels} labels do not fit {labels}")
        return Transformer(module.to(device).eval(), meta["mean"], meta["deviation"], device)
    except Exception as error:  # a foreign config may make the libraries raise anything
        raise ValueError(f"{type(error).__name__}: {str(error)[:200]}") from error


def _colours(folder: str) -> tuple[Sequence[float], Sequence[float]]:
    """Return mean and deviation of the colours that a model expects: as its image processor has them, else those of
    ImageNet."""
    path = Path(folder) / "preprocessor_config.json"
    if not path.is_file():
        import_transformers()
        from transformers.utils import cached_file

        found = (
            None
            if Path(folder).is_dir()
            else cached_file(folder, path.name, local_files_only=True, _raise_exceptions_for_missing_entries=False)
        )
        if found is None:
            return (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        path = Path(found)
    about = json.loads(path.read_text(encoding="utf-8"))
    if not about.get("do_normalize", True):
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return about.get("image_mean", (0.485, 0.456, 0.406)), about.get("image_std", (0.229, 0.224, 0.225))


def _weights(module: Any) -> Arrays:
    return {f"weights.{name}": tensor.cpu().numpy() for name, tensor in module.state_dict().items()}


def _restore(module: Any, arrays: Arrays) -> None:
    import torch

    own = {
        name.removeprefix("weights."): torch.from_numpy(np.array(array))
        for name, array in arrays.items()
        if name.startswith("weights.")
    }
    module.load_state_dict(own)
