"""Writes the demo's two projects: support mails, and scikit-learn's handwritten digits as images in the tasks
themselves."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import yaml

from adapter.demo.corpus import support_mails

MAIL = "support_mail"
DIGITS = "digits"

MAIL_CONFIG = """<View>
  <Text name="text" value="$text"/>
  <Choices name="topic" toName="text" choice="single" showInline="true">
    <Choice value="billing"/>
    <Choice value="technical"/>
    <Choice value="shipping"/>
    <Choice value="other"/>
  </Choices>
</View>
"""

DIGITS_CONFIG = """<View>
  <Image name="image" value="$image" maxWidth="200px"/>
  <Choices name="digit" toName="image" choice="single" showInline="true">
{choices}
  </Choices>
</View>
""".format(choices="\n".join(f'    <Choice value="{digit}"/>' for digit in range(10)))


def write_demo(folder: Path, *, mails: int = 600, digits: int = 600, seed: int = 0) -> dict[str, dict[str, str]]:
    """Write settings and data into `folder` and return project to (task id to gold label), which the adapter never
    sees.

    What is there already is kept, so that a demo goes on where it stopped; gold is derived anew, the same each time.
    """
    config = folder / "config"
    for part in ("projects", "label_configs"):
        (config / part).mkdir(parents=True, exist_ok=True)
    (folder / "data").mkdir(exist_ok=True)
    gold = {MAIL: {}, DIGITS: {}}  # type: dict[str, dict[str, str]]
    rows = []
    for number, (text, label) in enumerate(support_mails(mails, seed)):
        gold[MAIL][f"mail-{number}"] = label
        rows.append({"id": f"mail-{number}", "text": text})
    _write(folder / "data" / f"{MAIL}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    rows = []
    for number, (image, label) in enumerate(digit_images(digits, seed)):
        gold[DIGITS][f"digit-{number}"] = label
        rows.append({"id": f"digit-{number}", "image": image})
    _write(folder / "data" / f"{DIGITS}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    _write(config / "label_configs" / f"{MAIL}.xml", MAIL_CONFIG)
    _write(config / "label_configs" / f"{DIGITS}.xml", DIGITS_CONFIG)
    for name, backend in ((MAIL, "backends.linear:Linear"), (DIGITS, "backends.pixels:Pixels")):
        settings = {
            "title": f"Demo: {name.replace('_', ' ')}",
            "label_config": f"label_configs/{name}.xml",
            "labeling_functions": f"labeling_functions.{name}",
            "data": {"path": f"../data/{name}.jsonl", "id_column": "id"},
            "backend": {"path": backend},
            "blind": {"share": 0.15, "batch_share": 0.2},
            "window": {"size": 30, "low_water": 15},
            "train": {"min_labels": 12, "min_new": 15},
            "flag": {"min_labels": 40},
        }
        _write(config / "projects" / f"{name}.yaml", yaml.safe_dump(settings, sort_keys=False))
    return gold


def digit_images(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Return (data URI of a 128 x 128 PNG, digit) of the first `count` digits in a seeded order."""
    from PIL import Image
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = np.random.default_rng(seed).permutation(len(bunch.images))[:count]
    out = []
    for index in order:
        pixels = (255 - bunch.images[index] * 255 / 16).astype(np.uint8)
        image = Image.fromarray(pixels).resize((128, 128), Image.Resampling.BICUBIC)
        buffer = io.BytesIO()
        image.save(buffer, format="PNG", optimize=True)
        uri = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
        out.append((uri, str(int(bunch.target[index]))))
    return out


def _write(path: Path, text: str) -> None:
    if not path.exists():
        path.write_text(text, encoding="utf-8")
