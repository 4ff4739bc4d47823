"""Strategies of a user's own are found by file or module, and what is wrong with them is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adapter.core.strategies import State, choose, load_strategy
from adapter.errors import FunctionsError, SettingsError

FILE = """
import numpy as np

from adapter.core.strategies import strategy


@strategy("longest-first", reason="it is long")
def longest(vectors, probabilities, state):
    return np.linspace({low}, 1, len(probabilities))


def plain(vectors, probabilities, state):
    return np.zeros(len(probabilities))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(FILE.format(low=0))
    return tmp_path


def test_by_file_and_by_module(folder: Path) -> None:
    state = State(3, 3, 0, np.array([0.1, 0.2, 0.3]))
    for spec in ("mine.py:longest", "mine:longest", f"{folder / 'mine.py'}:longest"):
        found = load_strategy(spec, folder)
        assert (found.name, found.reason) == ("longest-first", "it is long")
        assert choose(found, None, np.full((3, 2), 0.5, np.float32), state).rows.tolist() == [2, 1, 0]


def test_an_edit_counts_at_the_next_load(folder: Path) -> None:
    p = np.full((3, 2), 0.5, np.float32)
    state = State(3, 3, 0, np.array([0.1, 0.2, 0.3]))
    assert choose(load_strategy("mine.py:longest", folder), None, p, state).scores[0] == 0
    (folder / "mine.py").write_text(FILE.format(low=0.5))
    assert choose(load_strategy("mine.py:longest", folder), None, p, state).scores[0] == 0.5


def test_a_name_without_a_colon_is_one_that_comes_with_the_adapter() -> None:
    assert load_strategy("margin").name == "margin"
    with pytest.raises(SettingsError, match=r"there is no strategy 'bagde'.*Did you mean 'badge'"):
        load_strategy("bagde")
    with pytest.raises(SettingsError) as refused:
        load_strategy("bagde", where="--strategy")
    assert refused.value.where == "--strategy"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("mine.py:longst", "there is no strategy 'longst'. Did you mean 'longest'"),
        ("mine.py:plain", "'plain' is not declared as a strategy. Write @strategy"),
        ("mine.py:", "names no strategy"),
        (":longest", "names no strategy"),
        ("mine.py:a b", "names no strategy"),
        ("theirs.py:longest", "there is no module or file 'theirs.py' with strategies"),
        ("theirs:longest", "there is no module or file 'theirs' with strategies"),
        ("no.such.module:longest", "no such module|there is no module"),
    ],
)
def test_what_is_not_there_is_said(folder: Path, spec: str, said: str) -> None:
    with pytest.raises(FunctionsError, match=said) as error:
        load_strategy(spec, folder)
    assert "labeling function" not in str(error.value)


def test_a_file_that_does_not_import_is_named_with_its_line(folder: Path) -> None:
    (folder / "mine.py").write_text("import numpy\n\n1 / 0\n")
    with pytest.raises(FunctionsError, match=r"mine\.py:3: .*ZeroDivisionError"):
        load_strategy("mine.py:longest", folder)


def test_a_declaration_that_cannot_work_is_named_with_its_line(folder: Path) -> None:
    text = 'from adapter.core.strategies import strategy\n\n\n@strategy("s")\ndef longest(vectors):\n    return 1\n'
    (folder / "mine.py").write_text(text)
    with pytest.raises(FunctionsError, match=r"mine\.py:4: .*three arguments"):
        load_strategy("mine.py:longest", folder)
