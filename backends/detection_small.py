"""A small object detector of our own, for where no pretrained one is to be had: it learns from tens to hundreds of
images on a CPU in minutes.

A convolutional net of some 400,000 parameters with one map of a quarter of the input's size: for each place and label
how surely the middle of a thing lies there, and how far its edges are (Zhou et al. 2019, "Objects as Points", arXiv
1904.07850: Gaussian targets with the penalty-reduced focal loss of section 3; edges by generalised IoU, Rezatofighi et
al. 2019, arXiv 1902.09630, at the 3 x 3 places about the middle).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.ports import Floats

STRIDE = 4
PEAKS = 200
"""Places of one image that are looked at."""
WIDTHS = (24, 32, 56, 88)


def network(labels: int) -> Any:
    """Return an untrained net as a torch module. Called with images (n, 3, h, w) in -1..1 it returns logits (n, k, h/4,
    w/4), distances (n, 4, h/4, w/4) of the left, top, right and bottom edge in pixels, and vectors (n, d)."""
    import torch
    from torch import nn

    def step(before: int, after: int, stride: int = 1) -> Any:
        return nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.GroupNorm(8, after), nn.SiLU(inplace=True)
        )

    class Block(nn.Module):  # type: ignore[misc]  # torch has no types here
        def __init__(self, width: int) -> None:
            super().__init__()
            self.body = nn.Sequential(step(width, width), step(width, width))

        def forward(self, x: Any) -> Any:
            return x + self.body(x)

    class Net(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            a, b, c, d = WIDTHS
            self.quarter = nn.Sequential(step(3, a, 2), step(a, b, 2))
            self.eighth = nn.Sequential(step(b, c, 2), Block(c))
            self.sixteenth = nn.Sequential(step(c, d, 2), Block(d), Block(d))
            self.down = nn.ModuleList([nn.Conv2d(d, c, 1), nn.Conv2d(c, b, 1)])
            self.merge = nn.ModuleList([step(c, c), step(b, b)])
            self.shared = step(b, 48)
            self.heat, self.edges = nn.Conv2d(48, labels, 1), nn.Conv2d(48, 4, 1)
            nn.init.constant_(self.heat.bias, -4.0)
            nn.init.constant_(self.edges.bias, 1.0)

        def forward(self, images: Any) -> tuple[Any, Any, Any]:
            larger = nn.functional.interpolate
            quarter = self.quarter(images)
            eighth = self.eighth(quarter)
            deep = self.sixteenth(eighth)
            middle = self.merge[0](eighth + larger(self.down[0](deep), scale_factor=2.0))
            top = self.shared(self.merge[1](quarter + larger(self.down[1](middle), scale_factor=2.0)))
            return self.heat(top), STRIDE * self.edges(top).clamp(-4, 6).exp(), deep.mean((2, 3))

    assert torch.is_tensor(torch.empty(0))
    return Net()


def targets(
    boxes: Floats, labels: npt.NDArray[np.int64], count: int, shape: tuple[int, int]
) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Return for one image (input of `shape` height, width) the heat (count, h/4, w/4), which is 1 at each thing's
    middle and falls off with its size; the box (4, h/4, w/4) that each place answers for; and which places do."""
    height, width = shape[0] // STRIDE, shape[1] // STRIDE
    heat = np.zeros((count, height, width), np.float32)
    edges = np.zeros((4, height, width), np.float32)
    held = np.zeros((height, width), bool)
    rows, columns = np.mgrid[0:height, 0:width]
    sizes = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    for at in np.argsort(-sizes, kind="stable"):  # small things last: they keep the places that both claim
        left, top, right, bottom = boxes[at] / STRIDE
        across, down = max(right - left, 1.0), max(bottom - top, 1.0)
        x = min(int((left + right) / 2), width - 1)
        y = min(int((top + bottom) / 2), height - 1)
        fall = ((columns - x) / (0.15 * across + 0.3)) ** 2 + ((rows - y) / (0.15 * down + 0.3)) ** 2
        np.maximum(heat[labels[at]], np.exp(-0.5 * fall), out=heat[labels[at]])
        near = (slice(max(y - 1, 0), y + 2), slice(max(x - 1, 0), x + 2))
        held[near] = True
        edges[:, near[0], near[1]] = boxes[at][:, None, None]
    return heat, edges, held


def losses(heat: Any, edges: Any, goal: Any, boxes: Any, held: Any) -> Any:
    """Return (n,), the loss of each image of a batch. heat, edges: of the net; goal, boxes, held: of `targets`."""
    import torch

    chance = heat.sigmoid().clamp(1e-5, 1 - 1e-5)
    middle = goal > 0.999
    focal = torch.where(middle, (1 - chance) ** 2 * chance.log(), (1 - goal) ** 4 * chance**2 * (1 - chance).log()).sum(
        (1, 2, 3)
    )
    things = middle.sum((1, 2, 3)).clamp(min=1)
    wrong = (1.0 - _likeness(placed(edges), boxes)) * held
    return -focal / things + 2.0 * wrong.sum((1, 2)) / held.sum((1, 2)).clamp(min=1)


def placed(edges: Any) -> Any:
    """Return boxes (n, 4, h, w) left, top, right, bottom in pixels for distances from each place's middle."""
    import torch

    y, x = torch.meshgrid(
        *(STRIDE * (torch.arange(side, device=edges.device) + 0.5) for side in edges.shape[2:]), indexing="ij"
    )
    left, top, right, bottom = edges.unbind(1)
    return torch.stack([x - left, y - top, x + right, y + bottom], 1)


def _likeness(a: Any, b: Any) -> Any:
    """Return (n, h, w), the generalised IoU of boxes (n, 4, h, w), -1..1."""
    import torch

    def size(box: Any) -> Any:
        return (box[:, 2] - box[:, 0]).clamp(min=0) * (box[:, 3] - box[:, 1]).clamp(min=0)

    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    common = (high - low).clamp(min=0).prod(1)
    union = size(a) + size(b) - common + 1e-6
    around = torch.cat([torch.minimum(a[:, :2], b[:, :2]), torch.maximum(a[:, 2:], b[:, 2:])], 1)
    return common / union - (size(around) - union) / (size(around) + 1e-6)


def peaks(heat: Any, edges: Any) -> list[tuple[Floats, Floats, npt.NDArray[np.int64]]]:
    """Return for each image boxes (m, 4) in pixels, scores (m,) and labels (m,) of the places that are surer than the
    eight about them."""
    import torch

    chance = heat.sigmoid()
    top = chance * (torch.nn.functional.max_pool2d(chance, 3, 1, 1) == chance)
    boxes, count = placed(edges), min(PEAKS, top[0].numel())
    cells = top.shape[2] * top.shape[3]
    out = []
    for image in range(len(top)):
        scores, at = top[image].flatten().topk(count)
        found = boxes[image].flatten(1)[:, at % cells].T
        known = scores > 0.01
        out.append(
            (
                found[known].cpu().numpy(),
                scores[known].cpu().numpy(),
                (at // cells)[known].cpu().numpy().astype(np.int64),
            )
        )
    return out
