"""Suggestions as code: readable, importable, everything else left as it was."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.core.suggest.code import WIDTH, appended, bound_names, declaration, imported, literal, name_of


def test_names_are_short_stable_and_free() -> None:
    assert name_of("spam", ("free", "prize"), ()) == "spam_free_prize"
    assert name_of("spam", ("free", "prize"), {"spam_free_prize"}) == "spam_free_prize_2"
    assert name_of("1st", ("x",), ()) == "label_1st_x"
    assert name_of("!", (), ()) == "suggestion"
    assert name_of("print", (), ()) == "print_2"
    assert len(name_of("a" * 90, ("b",), ())) <= 40


@given(st.text(max_size=20), st.lists(st.text(max_size=12), max_size=4))
def test_every_name_is_python(label: str, words: list[str]) -> None:
    name = name_of(label, words, {"suggestion"})
    ast.parse(f"{name} = 1")
    assert name.isidentifier()


PLAIN = st.text(max_size=20) | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()


@given(st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3)))
def test_literals_read_back_as_what_they_were(value: Any) -> None:
    assert ast.literal_eval(literal(value)) == value


def test_a_declaration_is_one_line_with_how_it_was_found() -> None:
    code = declaration("spam_free", "keywords", ["spam", ["free", "win"]], {"field": "body"}, "found: precision 0.9")
    assert code == 'spam_free = keywords("spam", ["free", "win"], field="body")  # found: precision 0.9\n'
    named = declaration("a", "column", ["x", "age"], {"at_least": 3}, "c", control="kind", made_by="make_column")
    assert named == 'a = make_column("x", "age", at_least=3, control="kind")  # c\n'


def test_long_declarations_are_broken_and_stay_valid() -> None:
    words = [f"quite a long phrase number {n}" for n in range(12)]
    code = declaration("name", "keywords", ["spam", words], {}, "found\nwith a second line " + "and more " * 30)
    assert max(map(len, code.splitlines())) <= WIDTH
    call = ast.parse(code).body[0].value  # type: ignore[attr-defined]
    assert ast.literal_eval(call.args[1]) == words


def test_a_derived_number_becomes_a_plain_function() -> None:
    code = declaration("long", "python", ["spam", "text"], {"feature": "words", "at_least": 40}, 'found: "x"')
    space: dict[str, Any] = {"labeling_function": lambda rule: rule}
    exec(code, space)
    assert space["long"]({"text": "w " * 40}) == "spam"
    assert space["long"]({"text": "w " * 39}) is None
    assert space["long"]({"text": None}) is None
    assert space["long"].__doc__ == "found: 'x'"


@pytest.mark.parametrize(
    ("before", "after", "called"),
    [
        ("from adapter.labeling import labeling_function\nx = 1\n",
         "from adapter.labeling import keywords, labeling_function\nx = 1\n", "keywords"),
        ("from adapter.labeling import (\n    labeling_function,  # ours\n    regex,\n)\n",
         "from adapter.labeling import (\n    keywords,\n    labeling_function,  # ours\n    regex,\n)\n", "keywords"),
        ("from adapter.labeling import regex, column\n", "from adapter.labeling import regex, column, keywords\n",
         "keywords"),
        ("from adapter.labeling import keywords as kw\n", "from adapter.labeling import keywords as kw\n", "kw"),
        ("from adapter.labeling import *\n", "from adapter.labeling import *\n", "keywords"),
        ('"""Doc."""\n\nimport re\n\nx = 1\n',
         '"""Doc."""\n\nimport re\nfrom adapter.labeling import keywords\n\nx = 1\n',
         "keywords"),
        ('"""Doc."""\nx = 1\n', '"""Doc."""\n\nfrom adapter.labeling import keywords\n\nx = 1\n', "keywords"),
        ("", "from adapter.labeling import keywords\n", "keywords"),
        ("import re", "import re\nfrom adapter.labeling import keywords\n", "keywords"),
        ("from adapter.labeling import regex\r\nx = 1\r\n", "from adapter.labeling import keywords, regex\r\nx = 1\r\n",
         "keywords"),
        ("from adapter.labeling import regex\nkeywords = ['a']\n",
         "from adapter.labeling import regex, keywords as make_keywords\nkeywords = ['a']\n", "make_keywords"),
    ],
)  # fmt: skip
def test_imports_are_extended_in_their_own_style(before: str, after: str, called: str) -> None:
    source, name = imported(before, "keywords")
    assert name == called
    if "make_" in called:
        assert f"keywords as {called}" in source
        ast.parse(source)
    else:
        assert source == after
    assert imported(source, "keywords") == (source, called)


def test_an_import_with_odd_signs_in_strings_keeps_its_place() -> None:
    source = 'X = "a\u2028b\x0c"\nfrom adapter.labeling import labeling_function\nY = "é"\n'
    made, _ = imported(source, "keywords")
    assert made == source.replace("import labeling", "import keywords, labeling")


def test_code_is_set_off_as_the_rest_is() -> None:
    assert appended("x = 1\n\n\n", "y = 2\n") == "x = 1\n\ny = 2\n"
    assert appended("def f():\n    pass\n", "y = 2\n") == "def f():\n    pass\n\n\ny = 2\n"
    assert appended("x = 1", "@a\ndef f(): ...\n") == "x = 1\n\n\n@a\ndef f(): ...\n"
    assert appended("x = 1\r\n", "y = 2\n") == "x = 1\r\n\r\ny = 2\r\n"
    assert appended("", "y = 2\n") == "y = 2\n"


def test_bound_names_are_all_that_a_module_defines() -> None:
    source = "import os.path\nfrom a import b as c\nx, y = 1, 2\ndef f(): z = 1\nclass K: ...\n"
    assert {"os", "c", "x", "y", "f", "K"} <= bound_names(source)
