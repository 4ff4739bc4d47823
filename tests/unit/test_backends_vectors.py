from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.vectors import MERGE_FROM, Remembered, VectorFolder, key_of


def vectors(n: int, start: int = 0) -> dict[bytes, np.ndarray]:
    return {key_of("m", str(i)): np.full(4, i, np.float32) for i in range(start, start + n)}


def parts(folder: Path) -> int:
    return len(list(folder.glob("*.keys.npy")))


def test_memory_keeps_the_most_recently_used() -> None:
    memory = Remembered(3)
    memory.put(vectors(3))
    keys = list(vectors(4))
    memory.get([keys[0]])
    memory.put(vectors(1, start=3))
    assert set(memory.get(keys)) == {keys[0], keys[2], keys[3]}


def test_a_folder_of_vectors_survives_its_process_and_damage(tmp_path: Path) -> None:
    folder = VectorFolder(tmp_path)
    folder.put(vectors(3))
    folder.put(vectors(2, start=3))
    assert len(VectorFolder(tmp_path)) == 5
    next(tmp_path.glob("*.keys.npy")).write_bytes(b"cut")
    left = VectorFolder(tmp_path)
    assert 0 < len(left) < 5
    for key, vector in left.get(vectors(5)).items():
        assert np.array_equal(vector, vectors(5)[key])


@pytest.mark.parametrize("what", ["keys", "vectors"])
def test_parts_that_make_no_sense_are_passed_over(what: str, tmp_path: Path) -> None:
    folder = VectorFolder(tmp_path)
    folder.put(vectors(3))
    path = next(tmp_path.glob(f"*.{what}.npy"))
    for wrong in (
        np.zeros((3, 31), np.uint8),
        np.zeros(3, np.uint8),
        np.zeros((2, 4), np.float32),
        np.zeros((3, 4)),
        np.load(path)[::-1].copy() if what == "keys" else np.zeros((4, 4), np.float32),
    ):
        np.save(path, wrong)
        assert len(VectorFolder(tmp_path)) == 0


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(1, 40), max_size=30), half=st.booleans())
def test_what_was_put_is_found_however_often_parts_are_merged(
    sizes: list[int], half: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("vectors")
    folder, start = VectorFolder(place, half=half), 0
    for size in sizes:
        folder.put(vectors(size, max(0, start - 3)))  # some again
        start += size
    due = vectors(max(0, start - 3))
    for view in (folder, VectorFolder(place)):
        found = view.get([*due, key_of("m", "none")])
        assert found.keys() == due.keys()
        assert all(np.array_equal(found[key], due[key]) for key in due)
    assert parts(place) < 4 * MERGE_FROM
    assert len(list(place.iterdir())) == 2 * parts(place)


def test_parts_of_like_size_become_one(tmp_path: Path) -> None:
    folder = VectorFolder(tmp_path)
    for i in range(MERGE_FROM):
        folder.put(vectors(2, start=2 * i))
    assert parts(tmp_path) == 1
    assert len(folder) == 2 * MERGE_FROM
    assert len(folder.get(vectors(2 * MERGE_FROM))) == 2 * MERGE_FROM


def test_keys_that_begin_alike_are_told_apart(tmp_path: Path) -> None:
    keys = [b"same8888" + bytes([0] * 23 + [n]) for n in (0, 1, 2, 255)]
    VectorFolder(tmp_path).put({key: np.full(4, n, np.float32) for n, key in enumerate(keys)})
    found = VectorFolder(tmp_path).get([*reversed(keys), b"same8888" + bytes([0] * 23 + [7]), bytes(32), b"\xff" * 32])
    assert {key: vector[0] for key, vector in found.items()} == dict(zip(keys, range(4), strict=True))


def test_another_process_may_have_merged_what_is_open_here(tmp_path: Path) -> None:
    here = VectorFolder(tmp_path)
    for i in range(MERGE_FROM - 1):
        here.put(vectors(2, start=2 * i))
    VectorFolder(tmp_path).put(vectors(2, start=100))  # the eighth part, which merges them
    assert parts(tmp_path) == 1
    assert len(here.get(vectors(14))) == 14
    here.put(vectors(2, start=200))
    due = vectors(14) | vectors(2, start=100) | vectors(2, start=200)
    assert VectorFolder(tmp_path).get(due).keys() == due.keys()


def test_threads_share_one_folder(tmp_path: Path) -> None:
    folder = VectorFolder(tmp_path)
    threads = [threading.Thread(target=folder.put, args=(vectors(3, start=3 * i),)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(VectorFolder(tmp_path)) == 36


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    folder = VectorFolder(tmp_path / "a")
    (tmp_path / "a").rmdir()
    folder.put(vectors(2))
    assert folder.get(vectors(2)) == {}
