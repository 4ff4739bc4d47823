"""Declaring and discovering labeling functions."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from adapter.errors import FunctionsError
from adapter.labeling import LabelingFunction, check, control_of, discover, labeling_function
from adapter.vocabulary import Control, LabelSpace

HEAD = "from adapter.labeling import labeling_function\n"
ONE = HEAD + "\n@labeling_function\ndef one(data):\n    return 'spam'\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text), encoding="utf-8")
    return path


def space(*names: str) -> LabelSpace:
    controls = tuple(Control(name, "choices", "text", "Text", "text", ("spam", "ham")) for name in names)
    return LabelSpace(controls, "", "")


def test_the_decorator_keeps_the_function_callable_and_takes_name_and_doc() -> None:
    @labeling_function
    def link(data: object) -> str | None:
        """An address
        in the text.

        More."""
        return "spam" if "http" in str(data) else None

    assert isinstance(link, LabelingFunction)
    assert (link.name, link.doc, link.control) == ("link", "An address in the text.", None)
    assert link({"text": "http://x"}) == "spam"
    assert link({"text": "x"}) is None


def test_the_decorator_takes_options() -> None:
    @labeling_function(name="other", control="topic", timeout_s=2)
    def link(data: object) -> str | None:
        return None

    assert (link.name, link.control, link.timeout_s) == ("other", "topic", 2)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("@labeling_function\ndef two(a, b):\n    return None\n", "one argument"),
        ("@labeling_function\nasync def later(data):\n    return None\n", "coroutine"),
        ("@labeling_function\ndef many(data):\n    yield None\n", "generator"),
        ("@labeling_function(name=' ')\ndef blank(data):\n    return None\n", "no name"),
        ("@labeling_function(timeout_s=0)\ndef fast(data):\n    return None\n", "timeout_s"),
        ("@labeling_function\n@labeling_function\ndef twice(data):\n    return None\n", "plain function"),
    ],
)
def test_nonsense_is_refused_with_its_place(tmp_path: Path, body: str, why: str) -> None:
    path = write(tmp_path / "functions.py", HEAD + body)
    with pytest.raises(FunctionsError, match=why) as caught:
        discover(path)
    assert caught.value.where.startswith(f"{path}:")


def test_a_file_is_discovered_in_the_order_of_declaration(tmp_path: Path) -> None:
    text = HEAD + "".join(f"@labeling_function\ndef {name}(data):\n    return None\n" for name in ("b", "a", "c"))
    found = discover(write(tmp_path / "functions.py", text))
    assert [function.name for function in found] == ["b", "a", "c"]
    assert all(len(function.version) == 64 for function in found)
    assert {function.module for function in found} == {str(tmp_path / "functions.py")}


def test_a_folder_is_a_package_whose_files_come_by_path_without_tests_and_hidden_ones(tmp_path: Path) -> None:
    package = tmp_path / "project"
    write(package / "words.py", "WORDS = ['win']\n")
    write(package / "b.py", HEAD + "from .words import WORDS\n@labeling_function\ndef b(data):\n    return WORDS[0]\n")
    write(package / "a.py", HEAD + "from .b import b\n@labeling_function\ndef a(data):\n    return None\n")
    write(package / "deep" / "c.py", HEAD + "from ..words import WORDS\n@labeling_function\ndef c(data): return None\n")
    for skipped in ("test_a.py", "conftest.py", "__main__.py", ".hidden/d.py"):
        write(package / skipped, "raise RuntimeError('must not be loaded')\n")
    assert [function.name for function in discover(package)] == ["b", "a", "c"]
    assert discover(package)[0]({}) == "win"


def test_an_init_file_runs_first_and_may_hold_functions(tmp_path: Path) -> None:
    package = tmp_path / "project"
    write(package / "__init__.py", HEAD + "LABEL = 'ham'\n@labeling_function\ndef top(data):\n    return LABEL\n")
    write(package / "A.py", HEAD + "from . import LABEL\n@labeling_function\ndef low(data):\n    return LABEL\n")
    assert [function({}) for function in discover(str(package))] == ["ham", "ham"]


def test_two_projects_with_a_file_of_the_same_name_do_not_meet(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write(tmp_path / name / "functions.py", f"{HEAD}@labeling_function\ndef f(data):\n    return '{name}'\n")
    first, second = (discover(tmp_path / name / "functions.py")[0] for name in ("first", "second"))
    assert (first({}), second({})) == ("first", "second")
    assert "functions" not in sys.modules
    assert first.version != second.version


def test_an_edit_within_the_same_second_and_of_the_same_size_is_seen(tmp_path: Path) -> None:
    path = write(tmp_path / "functions.py", ONE)
    before = discover(path)[0]
    path.write_text(ONE.replace("'spam'", "'jam!'"), encoding="utf-8")
    after = discover(path)[0]
    assert (before({}), after({})) == ("spam", "jam!")
    assert before.version != after.version


def test_a_version_changes_with_what_the_file_imports_and_names_and_with_nothing_else(tmp_path: Path) -> None:
    package = tmp_path / "project"
    text = HEAD + (
        "from pathlib import Path\nfrom .lists import WORDS\nMORE = Path(__file__).with_name('more.txt').read_text()\n"
        "@labeling_function\ndef a(data):\n    return MORE\n"
    )
    write(package / "a.py", text)
    write(package / "lists.py", "WORDS = []\n")
    write(package / "more.txt", "x")
    write(package / "other.py", ONE)

    def versions() -> dict[str, str]:
        return {function.name: function.version for function in discover(package)}

    start = versions()
    write(package / "unrelated.txt", "x")
    assert versions() == start
    write(package / "lists.py", "WORDS = [1]\n")
    changed_list = versions()
    assert (changed_list["a"] != start["a"], changed_list["one"] == start["one"]) == (True, True)
    write(package / "more.txt", "y")
    assert versions()["a"] not in (start["a"], changed_list["a"])


def test_the_same_sources_elsewhere_have_the_same_version(tmp_path: Path) -> None:
    there, here = (write(tmp_path / name / "functions.py", ONE) for name in ("there", "here"))
    assert discover(there)[0].version == discover(here)[0].version


def test_a_dotted_module_is_found_and_loaded_anew_when_edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path / "authors_package" / "__init__.py", "")
    write(tmp_path / "authors_package" / "lists.py", "LABEL = 'spam'\n")
    text = HEAD + "from authors_package.lists import LABEL\n@labeling_function\ndef f(data):\n    return LABEL\n"
    write(tmp_path / "authors_package" / "rules.py", text)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    first = discover("authors_package.rules", base=elsewhere)[0]
    again = discover("authors_package.rules", base=elsewhere)[0]
    assert first.function is again.function
    write(tmp_path / "authors_package" / "lists.py", "LABEL = 'ham'\n")
    changed = discover("authors_package.rules", base=elsewhere)[0]
    assert (first({}), changed({})) == ("spam", "ham")
    assert changed.version != first.version
    assert [function.name for function in discover("authors_package", base=elsewhere)] == ["f"]


def test_an_own_file_goes_before_an_installed_module_of_that_name(tmp_path: Path) -> None:
    write(tmp_path / "labeling_functions" / "youtube_spam.py", ONE)
    found = discover("labeling_functions.youtube_spam", base=tmp_path)
    assert [function.name for function in found] == ["one"]


def test_a_function_imported_from_a_sibling_counts_once_though_the_sibling_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path / "shared_package" / "__init__.py", "")
    write(tmp_path / "shared_package" / "base.py", ONE)
    write(tmp_path / "shared_package" / "more.py", HEAD + "from .base import one\n")
    importlib.import_module("shared_package.more")
    away = tmp_path / "away"
    away.mkdir()
    assert len(discover("shared_package", base=away)) == 1
    write(tmp_path / "shared_package" / "base.py", ONE + "# changed\n")
    assert len(discover("shared_package", base=away)) == 1


def test_two_functions_of_one_name_are_refused_with_both_places(tmp_path: Path) -> None:
    write(tmp_path / "project" / "a.py", ONE)
    write(tmp_path / "project" / "b.py", ONE)
    with pytest.raises(FunctionsError, match="'one'") as caught:
        discover(tmp_path / "project")
    assert "a.py:3" in caught.value.where
    assert "b.py:3" in caught.value.where


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("x = 1\ny = undefined\n", 2, "NameError: name 'undefined'"),
        ("def f(:\n", 1, "SyntaxError"),
        ("import sys\nsys.exit('bye')\n", 2, "SystemExit: bye"),
        ("import no_such_module_here\n", 1, "Install 'no_such_module_here'"),
        ("import lists\n", 1, "from .lists import"),
    ],
)
def test_a_module_that_does_not_import_is_named_with_file_line_and_reason(
    tmp_path: Path, text: str, line: int, says: str
) -> None:
    path = write(tmp_path / "functions.py", text)
    write(tmp_path / "lists.py", "")
    with pytest.raises(FunctionsError) as caught:
        discover(path)
    assert caught.value.where == f"{path}:{line}"
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nothing_found_is_an_empty_list_and_a_missing_place_an_error(tmp_path: Path) -> None:
    assert discover(write(tmp_path / "functions.py", "x = 1\n")) == []
    (tmp_path / "empty").mkdir()
    assert discover(tmp_path / "empty") == []
    for missing in ("nowhere/functions.py", "nowhere.functions", tmp_path / "gone"):
        with pytest.raises(FunctionsError, match="there is no"):
            discover(missing, base=tmp_path)


def test_a_relative_path_starts_from_the_base(tmp_path: Path) -> None:
    write(tmp_path / "mine" / "functions.py", ONE)
    assert [function.name for function in discover("mine/functions.py", base=tmp_path)] == ["one"]


def test_a_function_finds_its_control_or_is_told_which_there_are() -> None:
    plain = LabelingFunction("f", lambda data: None)
    named = LabelingFunction("g", lambda data: None, control="topik")
    assert control_of(plain, space("spam")).name == "spam"
    with pytest.raises(FunctionsError, match="Valid: spam, topic"):
        control_of(plain, space("spam", "topic"))
    with pytest.raises(FunctionsError, match="Did you mean 'topic'"):
        control_of(named, space("spam", "topic"))
    assert len(check([plain, named], space("spam", "topic"))) == 2
