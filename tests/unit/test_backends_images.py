from __future__ import annotations

import base64
import io
from pathlib import Path
from urllib.parse import quote_from_bytes

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from backends import images
from backends.images import ImageReader


def content(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def uri(raw: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(raw).decode()


COLOURS = Image.fromarray(np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3) * 3)


def test_data_uris_are_read_however_they_are_written() -> None:
    raw = content(COLOURS)
    for value in (
        uri(raw),
        "DATA:image/png;BASE64," + base64.b64encode(raw).decode(),
        "data:image/png;base64," + quote_from_bytes(base64.b64encode(raw), safe=""),
        "data:image/png," + quote_from_bytes(raw),
    ):
        assert ImageReader().bytes_of(value) == raw
        found = ImageReader().rgb(value)
        assert found is not None
        assert np.array_equal(np.asarray(found), np.asarray(COLOURS))
        assert ImageReader().size(value) == (6, 4)


def test_files_below_the_media_root_only(tmp_path: Path) -> None:
    root = tmp_path / "media"
    root.mkdir()
    (root / "a.png").write_bytes(content(COLOURS))
    (tmp_path / "b.png").write_bytes(content(COLOURS))
    (root / "link.png").symlink_to(tmp_path / "b.png")
    reader = ImageReader(str(root))
    for value in ("hitl-file:a.png", "a.png", str(root / "a.png")):
        assert reader.size(value) == (6, 4)
    for value in ("hitl-file:../b.png", "link.png", str(tmp_path / "b.png"), "/dev/zero", ".", "", "http://127.0.0.1/"):
        assert reader.bytes_of(value) is None
    assert ImageReader().bytes_of(str(root / "a.png")) is None


def test_what_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = content(COLOURS)
    (tmp_path / "a.png").write_bytes(raw)
    assert ImageReader(max_pixels=23).rgb(uri(raw)) is None
    assert ImageReader(max_pixels=23).size(uri(raw)) is None
    assert ImageReader(max_pixels=24).rgb(uri(raw)) is not None
    monkeypatch.setattr(images, "MAX_BYTES", len(raw) - 1)
    assert ImageReader(str(tmp_path)).bytes_of("a.png") is None
    assert ImageReader().bytes_of(uri(raw)) is None


def test_large_images_are_scaled_down_in_proportion() -> None:
    wide = uri(content(Image.new("RGB", (400, 100), "red"), "JPEG"))
    found = ImageReader().rgb(wide, largest=40)
    assert found is not None
    assert found.size == (40, 10)
    small = ImageReader().rgb(wide, largest=4000)
    assert small is not None
    assert small.size == (400, 100)
    thin = ImageReader().rgb(uri(content(Image.new("RGB", (1000, 1)))), largest=10)
    assert thin is not None
    assert thin.size == (10, 1)


def test_a_photograph_lying_on_its_side_is_turned_up() -> None:
    exif = Image.Exif()
    exif[images.ORIENTATION] = 6
    value = uri(content(COLOURS, "JPEG", exif=exif))
    found = ImageReader().rgb(value)
    assert found is not None
    assert found.size == (4, 6) == ImageReader().size(value)


def test_transparency_is_white_and_deep_greys_keep_their_tone() -> None:
    clear = np.zeros((2, 2, 4), np.uint8)
    clear[:, 1, 3] = 255
    found = ImageReader().rgb(uri(content(Image.fromarray(clear))))
    assert np.asarray(found)[0].tolist() == [[255, 255, 255], [0, 0, 0]]
    palette = Image.new("P", (1, 1))
    assert np.asarray(ImageReader().rgb(uri(content(palette, transparency=0))))[0, 0].tolist() == [255, 255, 255]
    deep = Image.fromarray(np.asarray([[0, 32_896, 65_535]], np.uint16))
    assert np.asarray(ImageReader().rgb(uri(content(deep))))[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize(
    "value",
    [None, 3, [], {}, "data:", "data:image/png;base64,!!", "data:x,%ff%00", "data:\udcff,\udcff", "a\0b", "x" * 5000],
)
def test_what_is_no_image_is_none(value: object, tmp_path: Path) -> None:
    reader = ImageReader(str(tmp_path))
    assert reader.rgb(value) is None
    assert reader.size(value) is None


@given(st.data())
def test_damaged_files_are_none_or_an_image(data: st.DataObject) -> None:
    raw = bytearray(content(COLOURS, data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "WEBP"]))))
    for place, byte in data.draw(st.lists(st.tuples(st.integers(0, len(raw) - 1), st.integers(0, 255)), max_size=8)):
        raw[place] = byte
    found = ImageReader(max_pixels=10_000).rgb(uri(bytes(raw[: data.draw(st.integers(0, len(raw)))])))
    assert found is None or found.mode == "RGB"
