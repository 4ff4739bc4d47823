"""Sources of labeling functions on their way to another machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter.engines import shipping
from adapter.engines.shipping import Bundle, pack, unpack
from adapter.errors import FunctionsError
from adapter.labeling import discover

FUNCTION = "from adapter.labeling import labeling_function\n{}\n@labeling_function\ndef f(data):\n    return {}\n"


def names(bundle: Bundle) -> list[str]:
    return [name for name, _ in bundle.files]


def test_of_a_file_only_what_it_is_made_of_is_sent(tmp_path: Path) -> None:
    (tmp_path / "functions.py").write_text(FUNCTION.format("from .words import WORDS\nLIST = 'list.txt'", "None"))
    (tmp_path / "words.py").write_text("WORDS = ()\n")
    (tmp_path / "list.txt").write_text("free\n")
    (tmp_path / "private.txt").write_text("nobody's business")
    (tmp_path / "other.py").write_text("1 / 0\n")
    bundle = pack([str(tmp_path / "functions.py")])
    assert names(bundle) == ["0/functions.py", "0/list.txt", "0/words.py"]
    assert bundle.origins == ((str(tmp_path / "functions.py"), "0/functions.py"),)


def test_of_a_folder_all_but_hidden_files_is_sent(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    for name in ("functions.py", "lists/words.txt", ".secret", ".git/config", "__pycache__/x.pyc"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(FUNCTION.format("", "None") if name.endswith(".py") else "x")
    assert names(pack([str(folder)])) == ["0/mine/functions.py", "0/mine/lists/words.txt"]


def test_unpacked_elsewhere_they_are_the_same_functions_in_the_same_versions(tmp_path: Path) -> None:
    package = tmp_path / "here" / "package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "words.py").write_text("WORDS = {'free'}\n")
    (package / "functions.py").write_text(
        FUNCTION.format("from .words import WORDS", "'spam' if data['text'] in WORDS else None")
    )
    (tmp_path / "there").mkdir()
    origins = [str(package / "functions.py"), str(package)]
    there = unpack(pack(origins), tmp_path / "there")
    for origin in origins:
        before, after = discover(origin), discover(there[origin])
        assert [(f.name, f.version) for f in before] == [(f.name, f.version) for f in after]
        assert after[0]({"text": "free"}) == "spam"
        assert str(tmp_path / "there") in after[0].module


def test_a_dotted_name_stays_what_it_is(tmp_path: Path) -> None:
    bundle = pack(["some.package"])
    assert bundle.files == ()
    assert unpack(bundle, tmp_path) == {"some.package": "some.package"}


def test_the_digest_tells_contents_names_and_origins_apart(tmp_path: Path) -> None:
    bundles = [
        Bundle((("a", b"1"),), (("x", "a"),), ("0",)),
        Bundle((("a", b"2"),), (("x", "a"),), ("0",)),
        Bundle((("b", b"1"),), (("x", "a"),), ("0",)),
        Bundle((("a", b"1"),), (("y", "a"),), ("0",)),
        Bundle((("a", b"1"),), (("x", "a"),), ("1",)),
    ]
    assert len({bundle.digest for bundle in bundles}) == 5
    assert bundles[0].digest == Bundle((("a", b"1"),), (("x", "a"),), ("0",)).digest


@pytest.mark.parametrize("name", ["../out", "/etc/x", "a/../../out", ""])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(FunctionsError, match="leads out"):
        unpack(Bundle(((name, b"x"),), (), ()), tmp_path / "in")
    assert list(tmp_path.rglob("*")) == [tmp_path / "in"]


def test_what_is_too_large_to_send_is_refused_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "MOST_BYTES", 1 << 20)
    (tmp_path / "functions.py").write_text(FUNCTION.format("LIST = 'list.txt'", "None"))
    (tmp_path / "list.txt").write_text("x" * (2 << 20))
    with pytest.raises(FunctionsError, match=r"more than 1 MB to send.*absolute path"):
        pack([str(tmp_path / "functions.py")])
