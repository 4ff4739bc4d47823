from __future__ import annotations

import base64
import io
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adapter.errors import BackendError
from backends.pixels import Pixels


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def uri(raw: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(raw).decode()


def readable(backend: Pixels, value: object) -> bool:
    return bool(backend.embed([{"image": value}]).any())


EDGE = np.concatenate([np.zeros((8, 4)), np.full((8, 4), 255)], axis=1)


def test_a_file_is_read_below_the_media_root_only(tmp_path: Path) -> None:
    root = tmp_path / "media"
    (root / "a").mkdir(parents=True)
    (root / "a" / "x y.png").write_bytes(png(EDGE))
    (tmp_path / "outside.png").write_bytes(png(EDGE))
    (root / "link.png").symlink_to(tmp_path / "outside.png")
    backend = Pixels(("image",), media_root=str(root))
    assert readable(backend, "hitl-file:a/x y.png")
    assert readable(backend, "a/x y.png")
    assert readable(backend, str(root / "a" / "x y.png"))
    for value in ("hitl-file:../outside.png", str(tmp_path / "outside.png"), "link.png", "a", "", "a\0b", "/dev/zero"):
        assert not readable(backend, value)
    assert not readable(Pixels(("image",)), str(root / "a" / "x y.png"))
    assert not readable(backend, "http://127.0.0.1:9/x.png")


def test_a_decompression_bomb_is_not_decoded() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(10_000_000)))
    started = time.perf_counter()
    assert not readable(Pixels(("image",)), uri(bomb))
    assert not readable(Pixels(("image",), max_pixels=16), uri(png(EDGE)))
    assert time.perf_counter() - started < 10.0  # decoding 3.6 thousand million pixels would take longer, if memory did


@pytest.mark.parametrize("value", [None, 3, [], "data:", "data:image/png;base64,!!", "data:image/svg+xml,<svg/>"])
def test_what_is_no_image_is_not_readable(value: object) -> None:
    assert not readable(Pixels(("image",)), value)


def test_a_cut_image_is_not_readable() -> None:
    whole = png(np.random.default_rng(0).integers(0, 255, (64, 64)))
    assert not readable(Pixels(("image",)), uri(whole[: len(whole) // 2]))


def test_transparent_means_white() -> None:
    pixels = np.zeros((8, 8, 4))
    pixels[:, 4:, 3] = 255
    clear = Pixels(("image",), size=8).embed([{"image": uri(png(pixels))}])[0].reshape(8, 8)
    assert (clear[:, :4] > 0).all()
    assert (clear[:, 4:] < 0).all()


def test_the_first_field_with_an_image_counts() -> None:
    backend = Pixels(("thumb", "image"))
    both = backend.embed([{"thumb": "nothing", "image": uri(png(EDGE))}, {"thumb": uri(png(EDGE))}])
    assert np.allclose(both[0], both[1])


def test_options_are_checked() -> None:
    with pytest.raises(BackendError, match="Did you mean 'size'"):
        Pixels(("image",), sise=3)
    with pytest.raises(BackendError, match="2 to 128"):
        Pixels(("image",), size=1)


def test_real_digits_are_told_apart() -> None:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    images, labels = images[order], labels[order]
    examples = [{"image": uri(png(image.reshape(8, 8) * 15))} for image in images[:800]]
    backend = Pixels(("image",), size=8)
    backend.fit(
        examples[:500],
        np.eye(10, dtype=np.float32)[labels[:500]],
        weights=np.ones(500, np.float32),
        multiple=False,
        seed=0,
    )
    answers = backend.predict(examples[500:])
    assert (answers.argmax(axis=1) == labels[500:800]).mean() > 0.95
    sure = answers.max(axis=1)
    assert abs(sure.mean() - (answers.argmax(axis=1) == labels[500:800]).mean()) < 0.08
