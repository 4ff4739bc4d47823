"""Artifacts: named by content, whole or not there at all, checked when asked; in a folder and at a distance."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from adapter.artifacts import Artifacts
from adapter.artifacts.artifacts import folder_digest
from adapter.errors import DiskFull, StoreError

DTYPES = st.sampled_from(["bool", "int8", "int16", "int64", "uint8", "uint64", "float16", "float32", "float64", ">f4"])


@pytest.fixture(params=["folder", "file url", "far away"])
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> Artifacts:
    if request.param == "far away":
        return Artifacts(f"memory://bucket-{tmp_path.name}/prefix", cache=tmp_path / "cache")
    return Artifacts(str(tmp_path / "store") if request.param == "folder" else f"file://{tmp_path}/store")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "spam").mkdir(parents=True)
    (folder / "meta.json").write_text("{}")
    (folder / "spam" / "weights.safetensors").write_bytes(os.urandom(5000))
    return folder


@settings(max_examples=80, deadline=None)
@given(array=hnp.arrays(DTYPES, hnp.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=6)))
def test_arrays_come_back_bit_by_bit(tmp_path_factory: pytest.TempPathFactory, array: Any) -> None:
    store = Artifacts(str(tmp_path_factory.getbasetemp() / "arrays"))
    uri, digest = store.put_array(array)
    back = store.get_array(uri, digest)
    assert back.shape == array.shape
    assert back.dtype == array.dtype.newbyteorder("=")
    assert back.tobytes() == np.ascontiguousarray(array, dtype=back.dtype).tobytes()


def test_the_same_content_has_the_same_name(artifacts: Artifacts) -> None:
    first = artifacts.put_array(np.arange(10, dtype=np.int16))
    assert artifacts.put_array(np.arange(20, dtype=np.int16)[::2] // 2) == first
    assert artifacts.put_array(np.arange(10, dtype=np.int32)) != first
    np.testing.assert_array_equal(artifacts.get_array(*first), np.arange(10))


def test_what_was_read_cannot_be_written_to(artifacts: Artifacts) -> None:
    uri, _ = artifacts.put_array(np.ones((3, 2), np.float32))
    array = artifacts.get_array(uri)
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 5


@pytest.mark.parametrize(
    "array", [np.array(["a"]), np.array([object()]), np.array(5), np.zeros((1, 1, 1)), np.array([1 + 2j])]
)
def test_what_is_no_column_is_refused(tmp_path: Path, array: Any) -> None:
    with pytest.raises(StoreError, match="is no column"):
        Artifacts(str(tmp_path)).put_array(array)


def test_damage_is_noticed_when_a_digest_is_given(tmp_path: Path) -> None:
    store = Artifacts(str(tmp_path))
    uri, digest = store.put_array(np.arange(1000, dtype=np.float64))
    assert store.get_array(uri, digest)[999] == 999
    path = tmp_path / uri
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(StoreError, match="digest differs"):
        store.get_array(uri, digest)
    assert store.put_array(np.arange(1000, dtype=np.float64)) == (uri, digest)
    assert store.get_array(uri, digest)[999] == 999


@pytest.mark.parametrize("content", [b"", b"ARROW1", b"garbage" * 100])
def test_a_file_that_is_no_array_is_an_error_of_ours(tmp_path: Path, content: bytes) -> None:
    store = Artifacts(str(tmp_path))
    uri, _ = store.put_array(np.arange(3))
    (tmp_path / uri).write_bytes(content)
    with pytest.raises(StoreError, match="not an array of ours"):
        store.get_array(uri)


def test_a_folder_comes_back_whole(artifacts: Artifacts, model: Path) -> None:
    uri, digest = artifacts.put_folder(model)
    assert artifacts.put_folder(model) == (uri, digest)
    back = artifacts.get_folder(uri, digest)
    assert (back / "spam" / "weights.safetensors").read_bytes() == (model / "spam" / "weights.safetensors").read_bytes()
    assert sorted(path.name for path in back.rglob("*")) == ["meta.json", "spam", "weights.safetensors"]
    assert folder_digest(back) == digest


def test_another_process_reads_what_lies_far_away(tmp_path: Path, model: Path) -> None:
    url = f"memory://shared-{tmp_path.name}"
    uri, digest = Artifacts(url, cache=tmp_path / "one").put_folder(model)
    array_uri, array_digest = Artifacts(url, cache=tmp_path / "one").put_array(np.arange(4))
    other = Artifacts(url)
    assert folder_digest(other.get_folder(uri, digest)) == digest
    assert other.get_array(array_uri, array_digest).tolist() == [0, 1, 2, 3]


def test_a_damaged_folder_is_noticed_and_put_again(tmp_path: Path, model: Path) -> None:
    store = Artifacts(str(tmp_path / "store"))
    uri, digest = store.put_folder(model)
    assert store.get_folder(uri, digest).is_dir()
    (tmp_path / "store" / uri / "extra").write_text("added")
    with pytest.raises(StoreError, match="digest differs"):
        store.get_folder(uri, digest)
    store.put_folder(model)
    assert store.get_folder(uri, digest).is_dir()


def test_a_link_in_a_folder_is_refused(tmp_path: Path, model: Path) -> None:
    (model / "link").symlink_to("/etc/hostname")
    with pytest.raises(StoreError, match="a link cannot be stored"):
        Artifacts(str(tmp_path / "store")).put_folder(model)


def test_what_was_deleted_is_gone_and_deleting_again_is_no_error(artifacts: Artifacts, model: Path) -> None:
    for uri in (artifacts.put_array(np.arange(3))[0], artifacts.put_folder(model)[0]):
        artifacts.delete(uri)
        artifacts.delete(uri)
        with pytest.raises(StoreError, match=r"gone.*compute"):
            artifacts.get_array(uri) if uri.startswith("arrays") else artifacts.get_folder(uri)


@pytest.mark.parametrize(
    "uri", ["", "/etc/passwd", "../x", "arrays/../../x", "arrays/aa", "other/aa/x", "arrays/aa/bb/cc", "arrays/a/\x00"]
)
def test_a_uri_never_leads_outside_the_store(tmp_path: Path, uri: str) -> None:
    store = Artifacts(str(tmp_path))
    for call in (store.get_array, store.get_folder, store.delete):
        with pytest.raises(StoreError, match="names no artifact"):
            call(uri)


def test_a_store_moves_with_its_folder(tmp_path: Path) -> None:
    uri, digest = Artifacts(str(tmp_path / "old")).put_array(np.arange(3))
    (tmp_path / "old").rename(tmp_path / "new")
    assert Artifacts(str(tmp_path / "new")).get_array(uri, digest).tolist() == [0, 1, 2]


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = Artifacts(str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DiskFull, match="Free space"):
            store.put_array(np.arange(3))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert list((tmp_path / "tmp").iterdir()) == []
    assert store.put_array(np.arange(3))[0].startswith("arrays/")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"file/store.*may read and write there"):
        Artifacts(str(tmp_path / "file" / "store")).put_array(np.arange(3))


def test_scratch_of_killed_processes_goes_after_a_day(tmp_path: Path) -> None:
    old, young = tmp_path / "tmp" / "old", tmp_path / "tmp" / "young"
    for folder in (old, young):
        folder.mkdir(parents=True)
        (folder / "half").write_text("x")
    os.utime(old, (time.time() - 90_000,) * 2)
    Artifacts(str(tmp_path)).put_array(np.arange(3))
    assert not old.exists()
    assert young.exists()


def test_a_missing_driver_is_named_and_secrets_are_not(tmp_path: Path) -> None:
    store = Artifacts("nosuch://user:hunter2@host/path?token=hunter2", cache=tmp_path)
    with pytest.raises(StoreError, match="driver that is not installed") as caught:
        store.put_array(np.arange(3))
    assert "hunter2" not in f"{caught.value} {store!r}"
