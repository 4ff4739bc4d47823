"""Signed addresses and local bytes."""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from adapter.errors import DataError
from adapter.media import PREFIX, Media
from adapter.readers.folder import MEDIA

SECRET = b"0123456789abcdef"


@pytest.fixture
def media(tmp_path: Path) -> Media:
    root = tmp_path / "data"
    (root / "deep").mkdir(parents=True)
    (root / "deep" / "ärger 1#?.png").write_bytes(b"picture")
    (tmp_path / "secret.txt").write_text("secret")
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    return Media(root, "my project", SECRET, "http://host:9090/", max_bytes=100)


def test_an_address_is_signed_and_opens_the_file_it_names(media: Media) -> None:
    url = urlsplit(media.url_for("deep/ärger 1#?.png"))
    assert url.path.startswith("/files/my%20project/deep/")
    _, _, project, name = unquote(url.path).split("/", 3)
    assert media.verify(project, name, parse_qs(url.query)["sig"][0])
    assert media.path_of(name).read_bytes() == b"picture"
    assert media.url_for(name) == media.url_for(name)


def test_a_signature_is_good_for_one_file_of_one_project_and_one_secret(media: Media, tmp_path: Path) -> None:
    sig = media.signature("a.png")
    assert media.verify("my project", "a.png", sig)
    for project, name, given in (
        ("my project", "b.png", sig),
        ("other", "a.png", sig),
        ("my project", "a.png", sig.upper()),
        ("my project", "a.png", ""),
        ("my project", "a.png", "ü"),
        ("my project", "a.png", "\udcff"),
        ("my projecta.png", "", sig),
    ):
        assert not media.verify(project, name, given)
    assert not Media(tmp_path, "my project", b"another-secret-16", "").verify("my project", "a.png", sig)


def test_the_secret_shows_nowhere_and_must_not_be_short(media: Media) -> None:
    assert "0123456789abcdef" not in repr(media)
    with pytest.raises(ValueError, match="16 bytes"):
        Media(Path(), "p", b"short", "")


@pytest.mark.parametrize(
    "name",
    ["../secret.txt", "deep/../../secret.txt", "/etc/passwd", "link.txt", "", ".", "deep", "deep//x", "a\0b", "..\\x",
     "gone.png", "x" * 5000],
)  # fmt: skip
def test_no_path_leads_out_of_the_folder(media: Media, name: str) -> None:
    with pytest.raises(DataError):
        media.path_of(name)
    with pytest.raises(DataError):
        media.open_local(PREFIX + name)


def test_bytes_come_from_files_and_data_uris_up_to_a_limit(media: Media) -> None:
    assert media.open_local("hitl-file:deep/ärger 1#?.png") == b"picture"
    assert media.open_local("data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()) == b"\x89PNG"
    assert media.open_local("data:,a%20b") == b"a b"
    (media.root / "large.bin").write_bytes(bytes(101))
    for large in ("hitl-file:large.bin", "data:," + "x" * 101, "data:;base64," + "A" * 400):
        with pytest.raises(DataError, match="larger than 100 bytes"):
            media.open_local(large)


@pytest.mark.parametrize("value", ["http://host/a.png", "data:image/png;base64", "data:;base64,%%%", "", "a.png"])
def test_anything_else_is_refused_and_nothing_fetched(media: Media, value: str) -> None:
    with pytest.raises(DataError):
        media.open_local(value)


def test_data_is_presented_with_addresses_however_deep_and_not_changed_itself(media: Media) -> None:
    data = {"image": "hitl-file:a.png", "pages": [{"url": "hitl-file:b.png"}], "text": "see hitl-file:c", "n": 1}
    shown = media.present(data)
    assert shown["image"] == media.url_for("a.png")
    assert shown["pages"] == [{"url": media.url_for("b.png")}]
    assert (shown["text"], shown["n"]) == ("see hitl-file:c", 1)
    assert data["image"] == "hitl-file:a.png"


def test_readers_and_media_agree_on_the_prefix() -> None:
    assert PREFIX == MEDIA
