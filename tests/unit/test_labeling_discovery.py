"""Where labeling functions are found in a module, and how those without a name get one."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from adapter.errors import FunctionsError
from adapter.function_labels import unknown_labels
from adapter.labeling import discover

HEAD = "from adapter.labeling import keywords, labeling_function, lookup\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def names(path: Path) -> list[str]:
    return [function.name for function in discover(path)]


def test_functions_are_found_in_lists_tuples_and_dicts_and_named_after_them(tmp_path: Path) -> None:
    text = """
free = keywords("spam", ["free"])
RULES = [keywords("spam", ["win"]), "no function", keywords("spam", ["prize"], name="prizes"), free]
PAIR = (keywords("ham", ["song"]),)
BY_NAME = {"greeting": keywords("ham", ["hello"]), "deep": {"er": [keywords("ham", ["hi"])]}}
@labeling_function
def last(data):
    return None
"""
    found = discover(write(tmp_path / "functions.py", HEAD + text))
    assert [function.name for function in found] == [
        "free",
        "rules_0",
        "prizes",
        "pair_0",
        "greeting",
        "by_name_deep_er_0",
        "last",
    ]
    assert all(function.version and function.origin and function.module.endswith("functions.py") for function in found)
    assert [function({"text": "win a prize"}) for function in found[:3]] == [None, "spam", "spam"]


def test_a_list_that_holds_itself_ends(tmp_path: Path) -> None:
    text = 'RULES = [keywords("spam", ["win"])]\nRULES.append(RULES)\n'
    assert names(write(tmp_path / "functions.py", HEAD + text)) == ["rules_0"]


def test_a_function_imported_from_a_sibling_has_its_name_place_and_version_from_there(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    write(folder / "a.py", HEAD + "from .b import free as other, plain\nEXTRA = [other]\n")
    write(
        folder / "b.py", HEAD + 'free = keywords("spam", ["free"])\n@labeling_function\ndef plain(data): return None\n'
    )
    found = discover(folder)
    assert [function.name for function in found] == ["free", "plain"]
    assert {Path(function.module).name for function in found} == {"b.py"}
    alone = {function.name: function.version for function in discover(folder / "b.py")}
    assert {function.name: function.version for function in found} == alone


def test_two_of_one_name_in_containers_are_refused_with_their_places(tmp_path: Path) -> None:
    text = 'rules_0 = keywords("spam", ["a"])\nRULES = [keywords("spam", ["b"])]\n'
    path = write(tmp_path / "functions.py", HEAD + text)
    with pytest.raises(FunctionsError, match="'rules_0'") as caught:
        discover(path)
    assert caught.value.where == f"{path}:2 and {path}:3"


@pytest.mark.parametrize(
    "body",
    ["import time\ntime.sleep(60)\n", "while True:\n    try:\n        pass\n    except Exception:\n        pass\n"],
)
@pytest.mark.parametrize("thread", [False, True])
def test_a_module_that_never_ends_is_given_up(tmp_path: Path, body: str, thread: bool) -> None:
    path = write(tmp_path / "functions.py", body)
    errors: list[Exception] = []

    def look() -> None:
        try:
            discover(path, limit_s=0.4)
        except FunctionsError as error:
            errors.append(error)

    if thread:
        other = threading.Thread(target=look)
        other.start()
        other.join()
    else:
        look()
    assert "took longer than 0.4 s" in str(errors[0])
    assert str(errors[0]).startswith(f"{path}:")


def test_a_thread_is_saved_from_a_module_that_ends_its_process(tmp_path: Path) -> None:
    path = write(tmp_path / "functions.py", "import os\nos._exit(3)\n")
    told: list[str] = []

    def look() -> None:
        with pytest.raises(FunctionsError, match="ends the process") as caught:
            discover(path)
        told.append(caught.value.where)
        write(path, HEAD + "@labeling_function\ndef f(data): return None\n")
        told.extend(names(path) + names(path))

    other = threading.Thread(target=look)
    other.start()
    other.join()
    assert told == [str(path), "f", "f"]


def test_even_what_is_no_exception_is_told_as_advice(tmp_path: Path) -> None:
    with pytest.raises(FunctionsError, match="BaseException: odd"):
        discover(write(tmp_path / "functions.py", "raise BaseException('odd')\n"))


def test_labels_of_tuples_and_declared_functions_are_compared(tmp_path: Path) -> None:
    text = """
free = keywords("smap", ["free"])
table = lookup({"a": "spam", "b": "hma"})
@labeling_function
def sure(data):
    return ("egg", 0.9) if data else ("spam", 0.5)
"""
    found = {function.name: function for function in discover(write(tmp_path / "functions.py", HEAD + text))}
    labels = ["spam", "ham"]
    assert unknown_labels(found["free"], labels) == [("smap", 3, "Did you mean 'spam'?")]
    assert unknown_labels(found["table"], labels) == [("hma", 4, "Did you mean 'ham'?")]
    assert unknown_labels(found["sure"], labels) == [("egg", 7, "Valid: ham, spam.")]
    assert unknown_labels(found["sure"].function, labels) == [("egg", 7, "Valid: ham, spam.")]
