"""The README for authors says what is so: its code runs, its functions keep their examples, its commands exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from adapter.labeling import LabelingFunction, discover
from adapter.labeling.bound import bound
from adapter.settings import EngineSettings

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "labeling_functions" / "README.md"
FILES = {
    "sms_spam_rules.tsv": (ROOT / "labeling_functions" / "sms_spam_rules.tsv").read_text(encoding="utf-8"),
    "blocked_sites.txt": "bit.ly\nwin.example\n",
    "vendors.csv": "entry,label\nacme.example,billing\nparcels.example,shipping\n",
    "rude.json": '["idiot", "fool"]',
}
"""Files that the snippets read."""


def fenced(kind: str) -> list[tuple[int, str]]:
    """The README's code blocks of a kind: line number, text."""
    text = README.read_text(encoding="utf-8")
    found = re.finditer(rf"^```{kind}\n(.*?)^```$", text, re.M | re.S)
    return [(text.count("\n", 0, match.start()) + 2, match[1]) for match in found]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def loaded(folder: Path, line: int, code: str) -> list[LabelingFunction]:
    path = folder / f"line_{line}.py"
    path.write_text("\n" * (line - 1) + code, encoding="utf-8")
    return discover(path)


@pytest.mark.parametrize(("line", "code"), fenced("python"))
def test_each_snippet_loads_and_its_functions_keep_their_examples(folder: Path, line: int, code: str) -> None:
    functions = loaded(folder, line, code)
    assert functions, "every snippet shows functions"
    for function in functions:
        rule = bound(function)
        for data, expected in function.examples:
            answer = rule(data)
            assert (answer[0] if isinstance(answer, tuple) else answer) == expected, (function.name, data)


def test_every_call_has_a_snippet_and_every_snippet_votes(folder: Path) -> None:
    kinds, names = set(), set()
    for line, code in fenced("python"):
        for function in loaded(folder, line, code):
            names.add(function.name)
            if function.declared is not None:
                kinds.add(function.declared.kind)
    assert kinds == {"keywords", "regex", "lookup", "column", "nearest", "model_output", "llm"}
    assert {"begs", "short", "snorkel_link", "insult", "shouting"} <= names


def test_what_the_readme_says_of_its_snippets_is_so(folder: Path) -> None:
    functions = {f.name: bound(f) for line, code in fenced("python") for f in loaded(folder, line, code)}
    assert functions["begs"]({"text": "Subscribe!"}) == "spam"
    assert functions["insists"]({"text": "win now"}) == "spam"
    assert functions["insists"]({"text": "win win"}) is None
    assert functions["shouts"]({"text": "free"}) is None
    assert functions["about_music"]({"text": "a dancer"}) == "ham"
    assert functions["blocked"]({"text": "see BIT.LY today"}) == "spam"
    assert functions["vendor"]({"from": "parcels.example"}) == "shipping"
    assert functions["occupation"]({"occupation": "Sales"}) is None
    assert functions["full_time"]({"hours-per-week": "80"}) == ">50K"
    assert functions["full_time"]({"hours-per-week": 81}) is None
    assert functions["active"]({"retired": True}) == "<=50K"
    assert functions["toxic"]({"toxicity": 0.95}) == "toxic"
    assert functions["also_toxic"]({"scores": {"toxic": 0.2}}) is None
    assert functions["length"]({"text": "word " * 50}) == ("spam", 0.5)
    assert functions["brief"]({"text": "very good"}) == "ham"
    assert functions["insult"]({"text": "what a fool"}) == "toxic"


def test_neighbours_are_found_by_meaning(folder: Path) -> None:
    code = next(code for _, code in fenced("python") if "nearest(" in code)
    (refund,) = loaded(folder, 1, code)
    assert refund({"text": "Could you give me my money back, please?"}) == "billing"
    assert refund({"text": "The screen stays dark."}) is None


def test_the_first_two_minutes_and_the_notebook_go_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from adapter.app import App
    from adapter.scaffold import Wish, scaffold
    from adapter.settings_file import load_settings
    from adapter.stages.consolidate import consolidate
    from adapter.stages.ingest import ingest
    from adapter.stages.vote import vote

    data = tmp_path / "reviews.csv"
    data.write_text('text\n"Subscribe to my channel"\n"so good"\n"a long comment about the video"\n', encoding="utf-8")
    scaffold(tmp_path, Wish(data=data, labels=("spam", "ham")))
    (tmp_path / "labeling_functions" / "reviews.py").write_text(fenced("python")[0][1], encoding="utf-8")
    app = App(load_settings(tmp_path / "config" / "adapter.yaml", {}))
    ingest(app.project("reviews"))
    assert vote(app.project("reviews")).computed == {"begs": 3, "short": 3}
    consolidate(app.project("reviews"))
    app.close()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HITL_CONFIG", raising=False)
    space: dict[str, Any] = {}
    for line, code in fenced("python notebook"):
        exec(compile("\n" * (line - 1) + code, str(README), "exec"), space)
    assert list(space["report"].index) == ["begs", "short"]
    assert space["report"].loc["begs", "coverage"] == pytest.approx(1 / 3)
    assert "begs spam" in capsys.readouterr().out


def commands() -> Iterator[tuple[int, list[str]]]:
    for line, code in fenced("sh"):
        for number, words in enumerate(code.splitlines(), start=line):
            yield number, words.split("#")[0].split()


@pytest.mark.parametrize(("line", "words"), list(commands()))
def test_every_command_exists_with_its_options(line: int, words: list[str]) -> None:
    from adapter.cli.root import app

    command: Any = typer.main.get_command(app)
    assert words[0] == "hitl"
    rest = words[1:]
    while hasattr(command, "commands"):
        assert rest[0] in command.commands, f"line {line}: {' '.join(words)}"
        command = command.commands[rest[0]]
        rest = rest[1:]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in rest if word.startswith("-")} <= known, f"line {line}: {' '.join(words)}"


def test_the_settings_that_it_shows_are_taken() -> None:
    import yaml

    blocks = [yaml.safe_load(code)["engine"] for _, code in fenced("yaml")]
    limits, cluster = (EngineSettings.model_validate(block) for block in blocks)
    assert limits == EngineSettings(), "what it shows are the defaults"
    assert cluster.kind == "dask"


def test_what_ships_is_in_the_table() -> None:
    text = README.read_text(encoding="utf-8")
    for path in (ROOT / "labeling_functions").glob("[a-z]*.py"):
        assert f"| `{path.name}` |" in text
