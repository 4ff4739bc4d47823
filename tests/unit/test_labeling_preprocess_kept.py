"""What preprocessors remember outlives the loading of an edited module, unless they were edited themselves."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

from adapter.labeling import discover
from adapter.labeling.bound import bound

MODULE = """
from adapter.labeling import labeling_function, preprocessor

WORDS = ("win",)
MADE = []

@preprocessor
def shape(data):
    MADE.append(1)
    return {{**data, "hits": sum(word in data["text"] for word in WORDS){more}}}

@labeling_function(pre=[shape])
def one(data):
    return "spam" if data["hits"] > {least} else None
"""


def answers(path: Path, *texts: str) -> tuple[list[object], int]:
    """What the function says of the texts, and how often its preprocessor ran for them."""
    (function,) = discover(path)
    made = function.function.__globals__["MADE"]
    call = bound(function)
    return [call(MappingProxyType({"text": text})) for text in texts], len(made)


def test_an_edited_function_finds_what_its_preprocessor_remembers(tmp_path: Path) -> None:
    path = tmp_path / "functions.py"
    path.write_text(MODULE.format(least=0, more=""))
    assert answers(path, "win", "sun", "win") == (["spam", None, "spam"], 2)
    path.write_text(MODULE.format(least=5, more=""))
    assert answers(path, "win", "sun", "new") == ([None, None, None], 1)


def test_an_edited_preprocessor_or_what_it_uses_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "functions.py"
    path.write_text(MODULE.format(least=0, more=""))
    answers(path, "win", "sun")
    path.write_text(MODULE.format(least=0, more=" + 1"))
    assert answers(path, "win", "sun") == (["spam", "spam"], 2)
    path.write_text(MODULE.format(least=0, more=" + 1").replace('("win",)', '("sun", "moon")').replace("> 0", "> 1"))
    assert answers(path, "win", "sun") == ([None, "spam"], 2)
