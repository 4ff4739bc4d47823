"""Versions of labeling functions: what changes one, what must not, and that no change of votes goes unseen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from adapter.labeling import discover

HEAD = (
    "import random\nimport re\nfrom pathlib import Path\n"
    "from adapter.labeling import keywords, labeling_function, preprocessor\n"
)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def versions(path: Path) -> dict[str, str]:
    found = {function.name: function.version for function in discover(path)}
    assert all(len(version) == 64 for version in found.values())
    return found


def changed(folder: Path, before: str, after: str) -> set[str]:
    """Names of the functions whose version changes when a module's text does."""
    first = versions(write(folder / "functions.py", HEAD + before))
    second = versions(write(folder / "functions.py", HEAD + after))
    assert first.keys() == second.keys()
    return {name for name in first if first[name] != second[name]}


TWO = """
WORDS = ["win", "free"]
LIMIT = 3

def count(data):
    return len(data["text"])

def is_long(data):
    return count(data) > LIMIT

class Shape:
    corners = 4

@labeling_function
def has_word(data):
    return "spam" if any(word in data["text"] for word in WORDS) else None

@labeling_function
def too_long(data):
    return "spam" if is_long(data) else None

@labeling_function
def square(data):
    return "spam" if Shape.corners == 4 else None
"""


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ('"spam" if any(word', '"ham" if any(word', {"has_word"}),
        ('["win", "free"]', '["win", "prize"]', {"has_word"}),
        ("LIMIT = 3", "LIMIT = 4", {"too_long"}),
        ('len(data["text"])', 'len(data["text"].split())', {"too_long"}),
        ("corners = 4", "corners = 5", {"square"}),
        ("@labeling_function\ndef square", "@labeling_function(timeout_s=2)\ndef square", {"square"}),
        ("\nWORDS", "\nOTHER = 1\nWORDS", set()),
        ("\nWORDS", "\nimport json\nWORDS", set()),
        ("\nWORDS", "\nrandom.seed(3)\nWORDS", {"has_word", "too_long", "square"}),
        ("\nWORDS", "\nif True:\n    WORDS2 = 1\nWORDS", {"has_word", "too_long", "square"}),
    ],
)
def test_an_edit_changes_the_functions_that_use_what_was_edited(
    tmp_path: Path, old: str, new: str, names: set[str]
) -> None:
    assert old in TWO
    assert changed(tmp_path, TWO, TWO.replace(old, new, 1)) == names


def test_comments_layout_docstrings_and_examples_do_not_count(tmp_path: Path) -> None:
    before = """
@labeling_function(examples=[({"text": "a"}, "spam")])
def f(data):
    '''One.'''
    return 'spam' if 'a' in data['text'] else None
free = keywords("spam", ["free"], doc="One.")
"""
    after = """
# A comment.
@labeling_function(
    examples=[({"text": "a"}, "spam"), ({"text": "x"}, None)],
)
def f(data):
    \"\"\"Two.\"\"\"

    return ("spam" if "a" in data["text"]
            else None)  # another


free = keywords("spam", ["free"], doc="Two.", examples=[({"text": "free"}, "spam")])
if __name__ == "__main__":
    print(f({"text": "a"}))
"""
    assert changed(tmp_path, before, after) == set()
    assert changed(tmp_path, before, after.replace('["free"]', '["free", "win"]')) == {"free"}


def test_a_docstring_counts_where_the_file_reads_docstrings(tmp_path: Path) -> None:
    text = "@labeling_function\ndef f(data):\n    return helper.__doc__\ndef helper():\n    '''spam'''\n"
    assert changed(tmp_path, text, text.replace("'''spam'''", "'''ham'''")) == {"f"}


def test_moving_a_definition_changes_nothing(tmp_path: Path) -> None:
    parts = TWO.strip().split("\n\n")
    functions = [part for part in parts if part.startswith("@")]
    others = [part for part in parts if not part.startswith("@")]
    moved = "\n\n".join([*reversed(others), *reversed(functions), ""])
    assert changed(tmp_path, TWO, moved) == set()


def test_arguments_defaults_and_nested_functions_count(tmp_path: Path) -> None:
    text = """
N = 1
def make(): return 1
def load(): return [1]
@preprocessor
def shape(data): return {**data, "n": N}
@labeling_function(pre=[shape])
def first(data): return None
@labeling_function(resources={"words": load})
def second(data, words): return None
@labeling_function
def third(data, limit=make()): return None
@labeling_function
def fourth(data):
    def inner():
        return [N for _ in "ab"]
    return inner()
@labeling_function
def fifth(data):
    N = 2
    return N
"""
    assert changed(tmp_path, text, text.replace("N = 1", "N = 9")) == {"first", "fourth"}
    assert changed(tmp_path, text, text.replace("return [1]", "return [2]")) == {"second"}
    assert changed(tmp_path, text, text.replace("def make(): return 1", "def make(): return 2")) == {"third"}
    assert changed(tmp_path, text, text.replace('"ab"', '"abc"')) == {"fourth"}


def test_a_list_changed_from_elsewhere_counts_with_what_changes_it(tmp_path: Path) -> None:
    text = """
WORDS = ["a"]
SEEN = {}
def extend(words, more):
    words.append(more)
    return more
MORE = extend(WORDS, "b")
def note(data):
    SEEN[1] = 2
def traced(f):
    REGISTRY.append(f)
    return f
REGISTRY = []
@traced
def plain(x):
    return 1
@labeling_function
def uses_words(data): return WORDS[-1]
@labeling_function
def uses_seen(data): return SEEN.get(1)
@labeling_function
def uses_registry(data): return REGISTRY[0](1)
@labeling_function
def alone(data): return None
"""
    assert changed(tmp_path, text, text.replace('"b")', '"c")')) == {"uses_words"}
    assert changed(tmp_path, text, text.replace("SEEN[1] = 2", "SEEN[1] = 3")) == {"uses_seen"}
    assert changed(tmp_path, text, text.replace("return 1\n", "return 3\n")) == {"uses_registry"}


def test_shared_word_lists_and_preprocessors_do_not_tie_functions_together(tmp_path: Path) -> None:
    text = """
WORDS = ["a"]
PATTERN = re.compile("|".join(sorted(WORDS)))
@preprocessor
def shape(data): return {**data, "n": len(WORDS)}
@labeling_function(pre=[shape])
def first(data): return WORDS[0]
@labeling_function(pre=[shape])
def second(data): return "spam" if PATTERN.search(data["text"]) else WORDS[1]
"""
    assert changed(tmp_path, text, text.replace("WORDS[0]", "WORDS[2]")) == {"first"}
    assert changed(tmp_path, text, text.replace("WORDS[1]", "WORDS[2]")) == {"second"}
    assert changed(tmp_path, text, text.replace('["a"]', '["b"]')) == {"first", "second"}


def test_names_bound_twice_conditionally_or_through_global_count_with_all_their_statements(tmp_path: Path) -> None:
    twice = "X = 1\nX = 2\n@labeling_function\ndef f(data): return X\n@labeling_function\ndef g(data): return None\n"
    assert changed(tmp_path, twice, twice.replace("X = 1\nX = 2\n", "X = 2\nX = 1\n")) == {"f"}
    either = "try:\n    X = 1\nexcept ValueError:\n    X = 2\n" + twice.split("X = 2\n")[1]
    assert "f" in changed(tmp_path, either, either.replace("X = 2", "X = 3"))
    through = "X = 1\ndef setup():\n    global X\n    X = 5\nsetup()\n" + twice.split("X = 2\n")[1]
    assert "f" in changed(tmp_path, through, through.replace("X = 5", "X = 6"))
    later = through.replace("setup()\n", "Y = setup()\n", 1).replace("def Y = setup()", "def setup()")
    assert "f" in changed(tmp_path, later.replace("setup():", "setup(n=0):"), later.replace("setup():", "setup(n=1):"))


def test_functions_in_lists_have_versions_of_their_own_unless_they_are_made_in_a_loop(tmp_path: Path) -> None:
    text = """
RULES = [
    labeling_function(name="a")(lambda data: "spam"),
    labeling_function(name="b")(lambda data: None),
]
def make(word):
    def inner(data):
        return "spam" if word in data["text"] else None
    return labeling_function(name=word)(inner)
MADE = [make(word) for word in ("x", "y")]
"""
    assert changed(tmp_path, text, text.replace('lambda data: "spam"', 'lambda data: "ham"')) == {"a"}
    assert changed(tmp_path, text, text.replace("in data[", "not in data[")) == {"x", "y"}


@pytest.mark.parametrize(
    "uncertain",
    [
        'exec("LIMIT = 3")\n',
        "globals()['LIMIT'] = 3\n",
        "from .words import *\n",
        "import sys\nsys.modules[__name__].LIMIT = 3\n",
    ],
)
def test_where_the_source_does_not_tell_the_whole_file_counts(tmp_path: Path, uncertain: str) -> None:
    write(tmp_path / "words.py", "LIMIT = 3\n")
    text = uncertain + "@labeling_function\ndef f(data): return LIMIT\n@labeling_function\ndef g(data): return None\n"
    assert changed(tmp_path, text, text + "# a comment\n") == {"f", "g"}


def test_of_other_files_what_is_imported_counts(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    lists = "WORDS = ['a']\nOTHER = ['b']\ndef helper(x):\n    return OTHER\n"
    write(folder / "lists.py", lists)
    write(folder / "deep" / "__init__.py", "")
    write(folder / "deep" / "shapes.py", "from ..lists import helper\ndef corners(x):\n    return helper(x)\n")
    write(
        folder / "a.py",
        HEAD + "from . import lists\nfrom .lists import WORDS\n"
        "@labeling_function\ndef one(data): return WORDS\n"
        "@labeling_function\ndef all_of_it(data): return lists.OTHER\n"
        "@labeling_function\ndef lazily(data):\n    from .deep.shapes import corners\n    return corners(data)\n"
        "@labeling_function\ndef alone(data): return None\n",
    )
    start = versions(folder)

    def differing(text: str) -> set[str]:
        write(folder / "lists.py", text)
        now = versions(folder)
        return {name for name in start if now[name] != start[name]}

    assert differing(lists.replace("['a']", "['c']")) == {"one", "all_of_it"}
    assert differing(lists.replace("['b']", "['c']")) == {"all_of_it", "lazily"}
    assert differing(lists + "UNUSED = 1\n") == {"all_of_it"}
    assert differing(lists + "WORDS.append('x')\n") == {"one", "all_of_it", "lazily"}
    assert differing(lists) == set()


def test_an_import_that_nothing_uses_counts_for_what_it_does(tmp_path: Path) -> None:
    write(tmp_path / "words.py", "WORDS = []\n")
    write(tmp_path / "setup_words.py", "from .words import WORDS\nWORDS.append(1)\n")
    write(
        tmp_path / "functions.py",
        HEAD + "from . import setup_words\nfrom .words import WORDS\n@labeling_function\ndef f(data): return WORDS\n",
    )
    before = versions(tmp_path / "functions.py")
    write(tmp_path / "setup_words.py", "from .words import WORDS\nWORDS.append(2)\n")
    assert versions(tmp_path / "functions.py") != before


def test_data_files_that_a_function_names_count_and_others_do_not(tmp_path: Path) -> None:
    for name in ("spam.txt", "ham.txt"):
        write(tmp_path / "lists" / name, "x\n")
    write(tmp_path / "one.csv", "x\n")
    path = write(
        tmp_path / "functions.py",
        HEAD + "HERE = Path(__file__).parent\n"
        "def read(name): return (HERE / 'lists' / name).read_text()\n"
        "SPAM = read('spam.txt')\nHAM = read('ham.txt')\nONE = HERE.joinpath('one.csv').read_text()\n"
        "ALL = [file.read_text() for file in (HERE / 'lists').glob('*.txt')]\n"
        "@labeling_function\ndef spam(data): return SPAM\n@labeling_function\ndef ham(data): return HAM\n"
        "@labeling_function\ndef one(data): return ONE\n@labeling_function\ndef both(data): return ALL\n",
    )
    start = versions(path)

    def differing(name: str) -> set[str]:
        content = (tmp_path / name).read_text()
        write(tmp_path / name, "y\n")
        now = versions(path)
        write(tmp_path / name, content)
        return {key for key in start if now[key] != start[key]}

    assert differing("lists/spam.txt") == {"spam", "both"}
    assert differing("lists/ham.txt") == {"ham", "both"}
    assert differing("one.csv") == {"one"}
    write(tmp_path / "lists" / "third.txt", "z")
    assert {key for key, version in versions(path).items() if version != start[key]} == {"both"}


def test_a_broken_neighbour_that_is_imported_makes_the_whole_file_count(tmp_path: Path) -> None:
    write(tmp_path / "broken.py", "def f(:\n")
    text = (
        "try:\n    from .broken import X\nexcept SyntaxError:\n    X = 1\n"
        "@labeling_function\ndef f(data): return X\n"
    )  # fmt: skip
    before = versions(write(tmp_path / "functions.py", HEAD + text))
    write(tmp_path / "broken.py", "def g(:\n")
    assert versions(tmp_path / "functions.py") != before


def test_versions_are_the_same_in_every_process_and_folder(tmp_path: Path) -> None:
    here = write(tmp_path / "here" / "functions.py", HEAD + TWO)
    there = write(tmp_path / "there" / "functions.py", HEAD + TWO)
    assert versions(here) == versions(there)
    program = "import json, sys\nfrom adapter.labeling import discover\n"
    program += "print(json.dumps({f.name: f.version for f in discover(sys.argv[1])}))\n"
    for seed in ("1", "2"):
        answer = subprocess.run(
            [sys.executable, "-c", program, str(here)],
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        assert json.loads(answer.stdout) == versions(here)


def test_a_declared_functions_version_is_that_of_its_spec_wherever_it_stands(tmp_path: Path) -> None:
    alone = versions(write(tmp_path / "functions.py", HEAD + 'free = keywords("spam", ["free"])\n'))
    others = HEAD + 'random.seed(1)\nfree = keywords("spam", ["free"])\n'
    assert versions(write(tmp_path / "functions.py", others)) == alone
    held = versions(write(tmp_path / "functions.py", HEAD + 'R = {"free": keywords("spam", ["free"])}\n'))
    assert held == alone
    moved = HEAD + 'free = keywords("spam", ["free"], control="topic")\n'
    assert versions(write(tmp_path / "functions.py", moved)) != alone
