"""Small pairs for tests: coloured images with captions, and two texts that name the same thing or not."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (40, 60, 230), "black": (10, 10, 10)}
WORDINGS = ("a {} square", "the {} one", "something {}", "picture of a {} thing")


def image_uri(colour: tuple[int, int, int], random: np.random.Generator, size: int = 16) -> str:
    pixels = np.clip(np.array(colour) + random.integers(-25, 26, (size, size, 3)), 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def captioned(n: int, wrong_share: float, seed: int) -> tuple[list[dict[str, str]], np.ndarray]:
    """Return coloured images with captions, and (n,) which captions name another colour."""
    random = np.random.default_rng(seed)
    names, examples, wrong = list(COLOURS), [], np.zeros(n, bool)
    wrong[random.choice(n, round(n * wrong_share), replace=False)] = True
    for row in range(n):
        shown = int(random.integers(len(names)))
        told = (shown + int(random.integers(1, len(names)))) % len(names) if wrong[row] else shown
        caption = WORDINGS[int(random.integers(len(WORDINGS)))].format(names[told])
        examples.append({"image": image_uri(COLOURS[names[shown]], random), "caption": caption})
    return examples, wrong


THINGS = ("red kettle", "steel pan", "green lamp", "oak table", "garden hose", "paper fan", "wool sock", "iron nail")


def texts(n: int = 40) -> tuple[list[dict[str, str]], list[int]]:
    examples, labels = [], []
    for row in range(n):
        label = row % 2
        one, other = THINGS[row // 2 % 8], THINGS[(row // 2 + (3 + row // 16) * label) % 8]
        examples.append({"a": f"{one} number {row // 16}", "b": f"{other}, new"})
        labels.append(label)
    return examples, labels
