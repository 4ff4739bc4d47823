"""Small pictures for tests: coloured blocks and rings on a grey ground, with their boxes in percent."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

LABELS = ("block", "ring")


def uri(pixels: np.ndarray, kind: str = "PNG", **options: Any) -> str:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return f"data:image/{kind.lower()};base64," + base64.b64encode(stream.getvalue()).decode()


def ground(random: np.random.Generator, width: int = 64, height: int = 64) -> np.ndarray:
    return (random.integers(110, 140, (height, width, 3))).astype(np.uint8)


def box(x: float, y: float, width: float, height: float, label: str) -> dict[str, Any]:
    return {"labels": [label], "value": {"x": x, "y": y, "width": width, "height": height, "rotation": 0}}


def drawn(
    n: int, seed: int = 0, width: int = 64, height: int = 64
) -> tuple[list[dict[str, str]], list[list[dict[str, Any]]]]:
    """Return n pictures, each with one block and one ring that do not touch, and their boxes."""
    random = np.random.default_rng(seed)
    examples, regions = [], []
    for _ in range(n):
        pixels = ground(random, width, height)
        here = []
        for number, label in enumerate(random.permutation(LABELS)):
            side = int(random.integers(18, 25))
            x = number * width // 2 + int(random.integers(2, max(3, width // 2 - side - 1)))
            y = int(random.integers(2, height - side - 2))
            colour = (230, 40, 40) if label == "block" else (30, 60, 240)
            pixels[y : y + side, x : x + side] = colour
            if label == "ring":
                pixels[y + 6 : y + side - 6, x + 6 : x + side - 6] = 250
            here.append(box(x / width * 100, y / height * 100, side / width * 100, side / height * 100, str(label)))
        examples.append({"image": uri(pixels)})
        regions.append(here)
    return examples, regions
