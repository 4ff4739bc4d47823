"""Rules from a file: a line is a function, what is wrong is told with file and line, real ones vote as `re` does."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import FunctionsError
from adapter.labeling import LabelingFunction, discover
from adapter.labeling.declared.rules import rules
from adapter.labeling.declared.text import regex

CALL = 'from adapter.labeling import rules\nRULES = rules("list.tsv"{})\n'


def write(folder: Path, *lines: str, options: str = "") -> Path:
    (folder / "list.tsv").write_text("\n".join(lines), encoding="utf-8")
    path = folder / "functions.py"
    path.write_text(CALL.format(options), encoding="utf-8")
    return path


def test_a_line_is_a_function_with_name_label_and_example(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "# made by hand",
        "spam\t(won|win) (a|the) (prize|cash)\tYou won a prize",
        "",
        "ham\t^(thanks|thank you)\\b",
    )
    one, two = discover(path)
    assert (one.name, two.name) == ("spam_won_win_a_the_prize", "ham_thanks_thank_you")
    assert one.declared is not None
    assert (one.declared.kind, one.declared.label, one.declared.fields) == ("regex", "spam", ("text",))
    assert one.examples == (({"text": "You won a prize"}, "spam"),)
    assert two.examples == ()
    assert one.doc == "Line 2 of list.tsv."
    assert [one({"text": "we won the cash"}), one({"text": "WON THE CASH"})] == ["spam", None]
    assert two({"text": "thanks."}) == "ham"


def test_columns_may_stand_in_any_order_and_carry_name_doc_and_confidence(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "greets;x;^hi;1;0.8;A greeting",
        "asks;x;\\?$;0;0.6;A question",
        options=", separator=';', columns=('name', '', 'regex', 'label', 'confidence', 'doc'),"
        " labels={'1': 'spam', '0': 'ham'}, field='body', flags='i', control='topic'",
    )
    greets, asks = discover(path)
    assert (greets.name, greets.doc, greets.control) == ("greets", "A greeting", "topic")
    assert greets({"body": "HI there"}) == ("spam", 0.8)
    assert asks({"body": "now?"}) == ("ham", 0.6)


def test_rules_for_lower_cased_text_match_whatever_the_case(tmp_path: Path) -> None:
    (function,) = discover(write(tmp_path, "spam\tfree \\S+ now", options=", lower=True"))
    assert function({"text": "FREE beer NOW"}) == "spam"


def test_editing_a_line_renews_that_line_alone(tmp_path: Path) -> None:
    path = write(tmp_path, "spam\tfree", "ham\tthanks", "ham\tsorry")
    before = {function.name: function.version for function in discover(path)}
    write(tmp_path, "# a line more", "spam\tfree", "ham\tthanks?", "ham\tsorry")
    after = {function.name: function.version for function in discover(path)}
    assert set(before) == set(after) == {"spam_free", "ham_thanks", "ham_sorry"}
    assert [name for name in before if before[name] != after[name]] == ["ham_thanks"]


def test_two_rules_with_the_same_words_have_names_of_their_own(tmp_path: Path) -> None:
    functions = discover(write(tmp_path, "spam\tfree", "spam\t^free", "ham\t\\d{4}", "ham\t\\W{9}"))
    assert [function.name for function in functions] == ["spam_free", "spam_free_2", "line_3", "line_4"]


def test_a_file_with_windows_line_ends_and_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "list.tsv").write_bytes("\ufeffspam\tfree\tfor free\r\nham\tthanks$\r\n".encode())
    one, two = discover(path)
    assert one.examples == (({"text": "for free"}, "spam"),)
    assert two({"text": "thanks"}) == "ham"


@pytest.mark.parametrize(
    ("lines", "options", "says"),
    [
        (["spam\tfree", "spam"], "", r"line 2 of \S*list\.tsv has 1 column\. Write LABEL TAB REGEX TAB EXAMPLE"),
        (["spam\ta\tb\tc"], "", r"line 1 of \S*list\.tsv has 4 columns"),
        (["spam\tfree", "ham\t(open"], "", r"line 2 of \S*list\.tsv: .*does not compile.*character"),
        (["spam\t"], "", r"line 1 of \S*list\.tsv: "),
        (["\tfree"], "", r"line 1 of \S*list\.tsv: it has no label"),
        (
            ["spma\tfree"],
            ", labels={'spam': 'Spam'}",
            r"line 1 of \S*list\.tsv: 'spma' is not among .* Did you mean 'spam'",
        ),
        (["spam\tFREE"], ", lower=True", r"line 1 of \S*list\.tsv: .*holds 'F'.*lower case"),
        (
            ["spam\tfree\t1.5"],
            ", columns=('label', 'regex', 'confidence')",
            r"line 1 of \S*list\.tsv: '1\.5' is no confidence",
        ),
        (["# nothing"], "", r"list\.tsv holds no rule\. Write one a line: LABEL TAB"),
        (["spam\tfree"], ", columns=('label', 'regexp')", r"functions\.py:2: .*no column 'regexp'.*'regex'"),
        (["spam\tfree"], ", columns=('label',)", r"functions\.py:2: .*must name 'regex' once"),
        (["spam\tfree"], ", flags='q'", "flag"),
    ],
)
def test_what_cannot_be_used_is_told_with_file_and_line(
    tmp_path: Path, lines: list[str], options: str, says: str
) -> None:
    with pytest.raises(FunctionsError) as caught:
        discover(write(tmp_path, *lines, options=options))
    assert re.search(says, str(caught.value)), str(caught.value)
    assert str(tmp_path / "functions.py") in str(caught.value), "and where the file is read"


def test_a_file_that_is_not_there_is_told_with_the_one_that_is(tmp_path: Path) -> None:
    path = write(tmp_path, "spam\tfree")
    (tmp_path / "list.tsv").rename(tmp_path / "lists.tsv")
    with pytest.raises(FunctionsError, match=r"no file of rules \S*list\.tsv\. Did you mean 'lists\.tsv'\?"):
        discover(path)
    (tmp_path / "lists.tsv").rename(tmp_path / "list.tsv")
    (tmp_path / "list.tsv").write_bytes(b"spam\t\xff\xfe")
    with pytest.raises(FunctionsError, match="UTF-8"):
        discover(path)


@given(st.lists(st.text(max_size=40), min_size=1, max_size=6))
def test_any_file_gives_functions_or_advice(lines: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "any.tsv"
        file.write_text("\n".join(lines), encoding="utf-8", errors="replace")
        try:
            found = rules(file)
        except FunctionsError as error:
            refused: FunctionsError | None = error
        else:
            refused = None
            assert len({function.name for function in found}) == len(found) > 0
    if refused is not None:
        assert str(file) in refused.what
        assert refused.where.startswith(__file__)


def votes_by_re(lines: list[list[str]], texts: list[str]) -> np.ndarray[Any, Any]:
    """What the rules say by their own definition: `re.search` on lower-cased text; 1 spam, 0 ham, -1 nothing."""
    out = np.full((len(texts), len(lines)), -1, np.int16)
    for column, (label, pattern, _) in enumerate(lines):
        search = re.compile(pattern).search
        out[[row for row, text in enumerate(texts) if search(text.lower())], column] = int(label == "spam")
    return out


@pytest.fixture(scope="module")
def real(data_folder: Path) -> tuple[list[LabelingFunction], list[list[str]], list[str], np.ndarray[Any, Any], int]:
    file = data_folder / "sms_spam" / "rule.txt"
    lines = [line.split("\t") for line in file.read_text(encoding="utf-8").rstrip("\n").split("\n")]
    texts: list[str] = []
    gold: list[bool] = []
    train = 0
    for part in ("train", "valid", "test"):
        with (data_folder / "sms_spam" / f"{part}.csv").open(encoding="utf-8", newline="") as opened:
            for row in csv.DictReader(opened):
                texts.append(row["v2"])
                gold.append(row["v1"] == "spam")
        train = train or len(texts)
    return rules(file, lower=True), lines, texts, np.asarray(gold), train


@pytest.mark.data
def test_the_73_real_rules_vote_as_re_does_on_all_messages(real: Any) -> None:
    functions, lines, texts, _, _ = real
    assert len(functions) == len({function.name for function in functions}) == 73
    assert len(texts) == 5_502
    own = np.array([[{"spam": 1, "ham": 0, None: -1}[f({"text": text})] for f in functions] for text in texts])
    assert (own == votes_by_re(lines, texts)).all()
    shouted = np.array([[{"spam": 1, "ham": 0, None: -1}[f({"text": t.upper()})] for f in functions] for t in texts])
    assert (shouted == own).all(), "the case of the text does not matter"
    for function in functions:
        assert [function(data) for data, _ in function.examples] == [function.declared.label]


@pytest.mark.data
def test_majority_of_the_73_rules_gives_the_published_figures(real: Any) -> None:
    _, lines, texts, gold, train = real
    votes, truth = votes_by_re(lines, texts)[:train], gold[:train]
    spam, ham = (votes == 1).sum(axis=1), (votes == 0).sum(axis=1)
    covered = spam + ham > 0
    assert round(float(covered.mean()), 2) == 0.40

    def f1(says_spam: np.ndarray[Any, Any]) -> float:
        said, right = says_spam[covered], truth[covered]
        return float(2 * (said * right).sum() / (said.sum() + right.sum()))

    assert round(100 * f1((spam > ham) * 1.0), 1) == 88.4  # a tie goes to ham, the first label
    assert round(100 * f1(np.where(spam == ham, 0.5, spam > ham)), 1) == 88.7  # a tie is half of each
    assert int((covered & (spam == ham)).sum()) == 8


def test_a_rule_is_what_regex_would_have_made(tmp_path: Path) -> None:
    (tmp_path / "one.tsv").write_text("spam\tfree", encoding="utf-8")
    (one,) = rules(tmp_path / "one.tsv", flags="i")
    other = regex("spam", "free", flags="i")
    assert one.declared == other.declared
    assert one.line > 0
    assert one.module == __file__
