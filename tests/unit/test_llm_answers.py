"""What a model wrote becomes a label, or none; never anything else."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.llm import Answered, Unusable, make_sheet
from adapter.llm.answers import mean, read_answer
from adapter.llm.reply import Reply, Token, billed, read_reply

SPAM = make_sheet(("spam", "ham"), may_abstain=True)
SEVERAL = make_sheet(("red", "green", "blue"), multiple=True)
NEWS = make_sheet(("World", "Sports", "Business", "Sci/Tech"))


def said(text: str, sheet: Any = SPAM) -> str | None:
    found = read_answer(Reply(text), sheet, 0.9)
    if found.unsure > max(found.probabilities):
        return None
    return str(sheet.options[int(np.argmax(found.probabilities))].label)


@pytest.mark.parametrize(
    "text",
    [
        '{"answer": "A"}',
        '{"answer": "spam"}',
        '{"Label": " SPAM. "}',
        '{"answer": ["A"]}',
        '{"category": "A: spam"}',
        '{"x": "A"}',
        '```json\n{"answer": "A"}\n```\nHope this helps!',
        'Sure! {"answer": "A"} because it sells something.',
        "A",
        " spam ",
        '"Spam"',
        "**spam**",
        "A: spam",
        "A) spam",
        "spam\nIt sells something.",
        "The answer is A.",
        "I think the label is spam, as it sells something.",
        "Clearly spam!",
        "<think>could be ham, or not</think>spam",
        '{"reasoning": "it is no ham", "answer": "A"}',
    ],
)
def test_it_reads_what_names_a_label(text: str) -> None:
    assert said(text) == "spam"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "spamm",
        '{"answer": "spammy"}',
        '{"answer": "C"}',
        '{"answer": true}',
        '{"answer": null}',
        '{"answer": {"a": 1}}',
        "This is not spam",
        "spam or ham",
        "It isn't spam",
        "I cannot help with that.",
        "HACKED",
        '{"answer": "A',
        "[" * 100_000,
        '{"a": "A", "b": "B"}',
        "a spammer's ham-fisted attempt; spam",
        "The answer is a matter of taste.",
        "This isn\u2019t spam",
        "anything but spam",
        "hardly spam",
    ],
)
def test_what_names_no_label_is_no_answer(text: str) -> None:
    with pytest.raises(Unusable) as caught:
        said(text)
    assert caught.value.remedy


def test_it_may_say_that_it_cannot_tell() -> None:
    assert said('{"answer": "unsure"}') is None
    assert said("Unsure.") is None
    with pytest.raises(Unusable):
        said('{"answer": "unsure"}', make_sheet(("spam", "ham")))


def test_labels_that_are_letters_or_numbers_get_other_keys() -> None:
    assert make_sheet(("A", "b")).keys == ("1", "2")
    assert make_sheet(("0", "1", "2")).keys == ("A", "B", "C")
    assert make_sheet(("1", "b")).keys == ("L1", "L2")
    assert make_sheet([f"label {n}" for n in range(40)]).keys[30] == "31"
    assert said('{"answer": "A"}', make_sheet(("A", "b"))) == "A"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"A": true, "B": false, "C": true}', [1, 0, 1]),
        ('{"A": "yes", "B": "no", "C": "no"}', [1, 0, 0]),
        ('{"red": true}', [1, 0, 0]),
        ('{"labels": ["red", "C"]}', [1, 0, 1]),
        ('["blue"]', [0, 0, 1]),
        ("red, blue", [1, 0, 1]),
        ("none", [0, 0, 0]),
        ("[]", [0, 0, 0]),
    ],
)
def test_several_labels(text: str, expected: list[int]) -> None:
    found = read_answer(Reply(text), SEVERAL, 0.9)
    assert [int(p > 0.5) for p in found.probabilities] == expected


@pytest.mark.parametrize(
    "text", ['{"A": 7}', '{"D": true}', "pink", "", '{"labels": ["pink"]}', '{"A": true, "red": false}']
)
def test_several_labels_of_which_one_is_none_are_no_answer(text: str) -> None:
    with pytest.raises(Unusable):
        read_answer(Reply(text), SEVERAL, 0.9)


def token(text: str, **others: float) -> Token:
    return Token(text, others.get(text.strip('" '), 1.0), others or {text: 1.0})


def test_log_probabilities_of_the_key_become_probabilities() -> None:
    tokens = (token('{"answer": "'), token("B", B=0.7, A=0.2, D=0.05, zzz=0.05), token('"}'))
    found = read_answer(Reply('{"answer": "B"}', tokens), NEWS, 0.9)
    assert found.measured
    expected = np.array([0.2, 0.7, 0.0, 0.05]) / 0.95
    assert found.probabilities == pytest.approx(0.99 * expected + 0.0025)


def test_keys_that_share_a_token_with_quotes_are_read() -> None:
    tokens = (token('{"answer":'), Token(' "B', 0.7, {' "B': 0.7, ' "A': 0.3}), token('"}'))
    found = read_answer(Reply('{"answer": "B"}', tokens), NEWS, 0.9)
    assert found.measured
    assert found.probabilities[1] == pytest.approx(0.99 * 0.7 + 0.0025)


def test_keys_of_several_tokens_get_the_product_and_the_others_share_the_rest() -> None:
    sheet = make_sheet([f"label {n}" for n in range(40)])
    first, second = token("1", **{"1": 0.8, "2": 0.2}), token("2", **{"2": 0.5, "7": 0.5})
    tokens = (token('{"answer": "'), first, second, token('"}'))
    found = read_answer(Reply('{"answer": "12"}', tokens), sheet, 0.9)
    assert found.measured
    assert found.probabilities[11] == pytest.approx(0.99 * 0.4 + 0.01 / 40, abs=1e-4)


def test_log_probabilities_that_contradict_the_answer_are_not_believed() -> None:
    tokens = (token('{"answer": "'), token("B", B=0.1, A=0.9), token('"}'))
    found = read_answer(Reply('{"answer": "B"}', tokens), NEWS, 0.9)
    assert not found.measured
    assert int(np.argmax(found.probabilities)) == 1
    assert not read_answer(Reply('{"answer": "B"}', tokens[:-1]), NEWS, 0.9).measured


def test_each_of_several_labels_has_its_own_probability() -> None:
    words = {" true": 0.8, " false": 0.2}
    tokens = [token("{")]
    for key, word in (("A", " true"), ("B", " false"), ("C", " true")):
        chances = words if word == " true" else {" true": 0.3, " false": 0.7}
        tokens += [token(f'"{key}":'), Token(word, chances[word], chances), token("," if key != "C" else "}")]
    text = "".join(each.text for each in tokens)
    found = read_answer(Reply(text, tuple(tokens)), SEVERAL, 0.9)
    assert found.measured
    assert found.probabilities == pytest.approx([0.797, 0.302, 0.797], abs=1e-3)


def test_the_mean_of_several_answers_is_self_consistency() -> None:
    both = [read_answer(Reply(text), NEWS, 0.97) for text in ("A", "A", "B", "A")]
    found = mean(both)
    assert found.probabilities[0] == pytest.approx(0.99 * (0.75 * 0.97 + 0.25 * 0.01) + 0.0025)
    assert sum(found.probabilities) == pytest.approx(1)


@given(st.text(max_size=300))
def test_any_text_gives_an_answer_among_the_labels_or_none(text: str) -> None:
    for sheet in (SPAM, SEVERAL, NEWS):
        try:
            found = read_answer(Reply(text), sheet, 0.9)
        except Unusable:
            continue
        assert len(found.probabilities) == len(sheet.options)
        assert all(0 < p < 1 for p in found.probabilities)
        if not sheet.multiple:
            assert sum(found.probabilities) + found.unsure == pytest.approx(1)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(
        ["choices", "message", "content", "logprobs", "usage", "token", "logprob", "top_logprobs", "prompt_tokens"]
    ), inner, max_size=5),
    max_leaves=20,
)  # fmt: skip


@given(json_values)
def test_a_hostile_reply_is_read_or_refused(value: Any) -> None:
    for raw in (json.dumps(value).encode(), json.dumps({"choices": [{"message": {}, "logprobs": value}]}).encode()):
        try:
            reply = read_reply(raw)
        except ValueError:
            continue
        assert all(0 <= token.probability <= 1 and sum(token.others.values()) <= 1.06 for token in reply.tokens)


@pytest.mark.parametrize("number", [10**400, -(10**400)])
def test_numbers_too_large_for_a_float_are_read_or_refused(number: int) -> None:
    content = [{"token": "A", "logprob": -0.1, "top_logprobs": [{"token": "B", "logprob": number}]}]
    reply = {"choices": [{"message": {"content": "A"}, "logprobs": {"content": content}}]}
    assert read_reply(json.dumps(reply).encode()).tokens[0].others.get("B", 0.0) == 0.0
    content[0]["logprob"] = number
    assert read_reply(json.dumps(reply).encode()).text == "A"


@given(st.integers() | st.none(), st.integers() | st.none(), st.text(max_size=100))
def test_what_is_billed_lies_within_what_is_possible(read: int | None, written: int | None, text: str) -> None:
    whole = {"prompt_tokens": read, "completion_tokens": written}
    reply = read_reply(json.dumps({"choices": [{"message": {"content": text}}], "usage": whole}).encode())
    paid = billed(reply, 1600, 64)
    assert 100 <= paid[0] <= 1600
    assert 1 <= paid[1] <= 64
    if read is not None and 100 <= read <= 1600:
        assert paid[0] == read


def test_positive_log_probabilities_and_sums_above_one_are_no_probabilities() -> None:
    def reply(*chances: float) -> Reply:
        top = [{"token": str(n), "logprob": math.log(p)} for n, p in enumerate(chances)]
        content = [{"token": "0", "logprob": math.log(chances[0]), "top_logprobs": top}]
        raw = {"choices": [{"message": {"content": "0"}, "logprobs": {"content": content}}]}
        return read_reply(json.dumps(raw).encode())

    assert reply(0.5, 0.5).tokens
    assert not reply(0.9, 0.9).tokens
    assert not reply(2.0).tokens


def test_an_answer_is_plain_and_frozen() -> None:
    assert Answered((0.5, 0.5)) == Answered((0.5, 0.5), 0.0, False)
