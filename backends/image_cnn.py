"""A small convolutional net for where no pretrained weights are to be had: what is kept of it. How it is trained is in
`backends.image_cnn_training`.

Images are squares of a multiple of 16 pixels. Cells of size/16 x size/16 pixels become channels (Shi et al. 2016,
"Real-Time Single Image and Video Super-Resolution", section 2.2), so the net costs about the same at every size: three
convolutions of 3 x 3 with batch normalisation, and a layer of FEATURES numbers.

Three nets vote. The mean of their logits is a linear function of their features, so what is kept is the convolutions
and one `backends.head.Head`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from adapter.ports import Floats
from backends.files import Arrays
from backends.warm import parts_as_arrays, parts_from

CELLS = 16
CHANNELS = (16, 16, 32)
FEATURES = 64
NETS = 3
PARTS = 5  # of the examples; each net holds out one of its own
AT_ONCE = 512


@dataclass(frozen=True)
class Net:
    """Fitted nets. layers: for each net, the kernels and biases of its convolutions (normalisation folded in) and of
    its features. means, scales: of the channels of training images. centre: mean features, (NETS * FEATURES,). parts:
    digest of each example to the part it is in, 0 to PARTS-1; empty where nothing was held out."""

    layers: tuple[tuple[Floats, ...], ...]
    means: Floats
    scales: Floats
    centre: Floats
    device: str = "cpu"
    parts: Mapping[int, int] = field(default_factory=dict, repr=False)

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
                cells = as_cells(standard(images[start : start + AT_ONCE], self.means, self.scales, self.device))
                parts = [forward(net, cells) for net in nets]
                out[start : start + AT_ONCE] = torch.cat(parts, dim=1).cpu().numpy()
        return out

    def arrays(self) -> Arrays:
        """Return what `from_arrays` needs."""
        named = {f"net{i}.{j}": part for i, net in enumerate(self.layers) for j, part in enumerate(net)}
        about = {"means": self.means, "scales": self.scales, "centre": self.centre}
        return {**named, **about, **parts_as_arrays(self.parts)}

    @classmethod
    def from_arrays(cls, arrays: Arrays, device: str) -> Net:
        """Return the nets that were taken apart. Raises KeyError or ValueError if the arrays do not fit."""
        count = 2 * len(CHANNELS) + 2
        layers = tuple(tuple(arrays[f"net{i}.{j}"].astype(np.float32) for j in range(count)) for i in range(NETS))
        means, scales, centre = (arrays[name].astype(np.float32) for name in ("means", "scales", "centre"))
        if means.shape not in ((1,), (3,)) or scales.shape != means.shape or centre.shape != (NETS * FEATURES,):
            raise ValueError("the arrays of the nets do not fit")
        net = cls(layers, means, scales, centre, device, parts_from(arrays, PARTS))
        due = [part.shape for part in shapes(net.shape[0] * (net.shape[1] // CELLS) ** 2)]
        if any([part.shape for part in parts] != due for parts in layers):
            raise ValueError("the layers of the nets do not fit")
        return net


def shapes(channels: int) -> list[Any]:
    """Return empty arrays of the shapes that one net's layers have."""
    out, before = [], channels
    for channel in CHANNELS:
        out += [np.empty((channel, before, 3, 3)), np.empty(channel)]
        before = channel
    return [*out, np.empty((FEATURES, before * (CELLS // 4) ** 2)), np.empty(FEATURES)]


def standard(images: Floats, means: Floats, scales: Floats, device: str) -> Any:
    """Return images (n, channels, side, side) as a tensor, of mean 0 and deviation 1 by these figures."""
    import torch

    return torch.as_tensor((images - means[:, None, None]) / scales[:, None, None], device=device)


def as_cells(x: Any) -> Any:
    """Return a tensor (n, channels, side, side) as (n, more channels, CELLS, CELLS)."""
    import torch

    cell = x.shape[-1] // CELLS
    return torch.nn.functional.pixel_unshuffle(x, cell) if cell > 1 else x


def forward(layers: Sequence[Any], x: Any) -> Any:
    """Return the features (n, FEATURES) of one fitted net."""
    import torch.nn.functional as F

    for number in range(len(CHANNELS)):
        x = F.relu(F.conv2d(x, layers[2 * number], layers[2 * number + 1], padding=1))
        x = F.max_pool2d(x, 2) if number else x
    return F.relu(F.linear(x.flatten(1), layers[-2], layers[-1]))
