"""Every backend that is shipped passes the checks that authors of backends are given."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import backends
from adapter.testing_backends import CHECKS, Material, check_several_labels
from backends.embedding import Embedding
from backends.linear import Linear
from backends.pixels import Pixels

SPAM = ["win a free phone now", "free cash prize click", "claim your free voucher today", "cheap pills free delivery"]
HAM = [
    "see you at dinner tonight",
    "the meeting moved to monday",
    "thanks for the lovely evening",
    "call your mother please",
]


def text_examples() -> tuple[list[dict[str, str]], list[int]]:
    examples = [{"text": f"{text} {word}"} for word in ("ok", "hi", "so", "well", "oh", "yes") for text in SPAM + HAM]
    return examples, [0, 0, 0, 0, 1, 1, 1, 1] * 6


def image_uri(pixels: np.ndarray) -> str:
    stream = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def image_examples() -> tuple[list[dict[str, str]], list[int]]:
    random = np.random.default_rng(0)
    examples, labels = [], []
    for number in range(45):
        label = number % 3
        pixels = random.integers(0, 60, (12, 12))
        pixels[label * 4 : label * 4 + 4] += 180
        examples.append({"image": image_uri(pixels)})
        labels.append(label)
    return examples, labels


@cache
def material(name: str) -> Material:
    texts, labels = text_examples()
    if name == "linear":
        return Material(Linear, ("text",), texts, labels, unreadable={"other": 1})
    if name == "embedding":
        return Material(Embedding, ("text",), texts, labels, unreadable={"text": None})
    images, figures = image_examples()
    return Material(Pixels, ("image",), images, figures, unreadable={"image": "data:image/png;base64,AAAA"})


@pytest.mark.parametrize("name", ["linear", "embedding", "pixels"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_backend_keeps_the_contract(name: str, check: Callable[[Material, Path], None], tmp_path: Path) -> None:
    check(material(name), tmp_path)


def readme_backend() -> Any:
    """Return the class that the guide for authors shows."""
    guide = Path(backends.__file__).with_name("README.md").read_text(encoding="utf-8")
    code = next(block for block in re.findall(r"```python\n(.*?)```", guide, re.DOTALL) if "class Length" in block)
    names: dict[str, Any] = {}
    exec(compile(code, "backends/README.md", "exec"), names)
    return names["Length"]


@pytest.mark.parametrize(
    "check",
    [check for check in CHECKS if check is not check_several_labels],
    ids=lambda check: check.__name__.removeprefix("check_"),
)
def test_the_example_for_authors_keeps_the_contract(check: Callable[[Material, Path], None], tmp_path: Path) -> None:
    examples = [{"text": "x" * (5 + number % 3 if number % 2 else 60 + number % 5)} for number in range(40)]
    labels = [number % 2 for number in range(40)]
    check(Material(readme_backend(), ("text",), examples, labels, unreadable={}), tmp_path)
