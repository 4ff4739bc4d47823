"""The language model as a backend: the contract, what it shows and asks, and what it never writes down."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llm_server import KEY, LlmServer, Manners, by_examples, by_words

from adapter.errors import BackendError, ModelError
from adapter.testing_backends import CHECKS, Material
from backends.llm import LLM

CONFIG = """<View><Header value="Is this message spam?"/><Text name="text" value="$text"/>
<Choices name="spam" toName="text"><Choice value="spam" hint="unwanted mail"/><Choice value="ham"/></Choices></View>"""
WORDS = {"free": "spam", "win": "spam"}
TEXTS = [{"text": f"{'win a prize' if n % 2 else 'see you at'} {n}"} for n in range(20)]
TARGETS = np.eye(2, dtype=np.float32)[[0 if n % 2 else 1 for n in range(20)]]
ONES = np.ones(20, np.float32)


@pytest.fixture(scope="module")
def learner() -> Iterator[LlmServer]:
    with LlmServer(by_examples, Manners(logprobs=True)) as server:
        yield server


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with LlmServer(by_words(WORDS, "ham"), Manners(logprobs=True)) as server:
        yield server


@pytest.fixture(scope="module")
def material(learner: LlmServer) -> Material:
    spam = ["win a free phone now", "free cash prize click", "claim your free voucher", "cheap pills free delivery"]
    ham = ["see you at dinner", "the meeting moved", "thanks for the evening", "call your mother please"]
    texts = [{"text": f"{text} {word}"} for word in ("ok", "hi", "so") for text in spam + ham]
    options = {"model": "tiny", "llm_url": learner.url, "llm_key": KEY, "shots": 24, "concurrency": 4}
    return Material(LLM, ("text",), texts, [0, 0, 0, 0, 1, 1, 1, 1] * 3, unreadable={"text": None}, options=options)


def made(server: LlmServer, **options: Any) -> LLM:
    places: dict[str, Any] = {"llm_url": server.url, "llm_key": KEY, "label_config": CONFIG}
    return LLM(("text",), **{"model": "m", **places, "labels": ("spam", "ham"), "control": "spam", **options})


def fitted(server: LlmServer, **options: Any) -> LLM:
    backend = made(server, **options)
    backend.fit(TEXTS, TARGETS, weights=ONES, multiple=False, seed=0)
    return backend


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_it_keeps_the_contract(check: Callable[[Material, Path], None], material: Material, tmp_path: Path) -> None:
    check(material, tmp_path)


def test_probabilities_are_those_of_the_endpoint(server: LlmServer) -> None:
    answers = fitted(server).predict([{"text": "a free win"}, {"text": "hello"}, {"text": ""}])
    assert answers[0, 0] == pytest.approx(0.95, abs=0.01)
    assert answers[1, 1] == pytest.approx(0.95, abs=0.01)
    assert np.isnan(answers[2]).all()


def test_without_log_probabilities_the_confidence_is_the_fixed_one(server: LlmServer) -> None:
    server.manners.logprobs = False
    answers = fitted(server, confidence=0.8).predict([{"text": "a free win"}])
    assert answers[0] == pytest.approx([0.797, 0.203], abs=1e-3)


def test_the_prompt_holds_hints_question_guideline_and_balanced_examples(server: LlmServer, tmp_path: Path) -> None:
    (tmp_path / "guide.txt").write_text("Prizes are spam.", encoding="utf-8")
    fitted(server, shots=4, guideline_file=str(tmp_path / "guide.txt")).predict([{"text": "hello"}])
    (body,) = server.seen.bodies
    system = body["messages"][0]["content"]
    assert "A: spam (unwanted mail)" in system
    assert "Is this message spam?" in system
    assert "Prizes are spam." in system
    answers = [json.loads(each["content"])["answer"] for each in body["messages"] if each["role"] == "assistant"]
    assert sorted(answers) == ["A", "A", "B", "B"]


def test_similar_examples_are_those_most_like_the_task(server: LlmServer) -> None:
    backend = fitted(server, shots=2, similar=True)
    backend.predict([{"text": "see you at 4"}])
    shown = [each["content"] for each in server.seen.bodies[0]["messages"] if each["role"] == "user"]
    assert "see you at 4" in shown[1]
    assert "see you at" in shown[0]


def test_unclear_and_weightless_examples_are_not_shown(server: LlmServer) -> None:
    targets, weights = TARGETS.copy(), ONES.copy()
    targets[:10], weights[10:18] = 0.5, 0
    backend = made(server)
    backend.fit(TEXTS, targets, weights=weights, multiple=False, seed=0)
    backend.predict([{"text": "hello"}])
    shown = " ".join(str(each["content"]) for each in server.seen.bodies[0]["messages"][1:-1])
    assert "18" in shown
    assert "19" in shown
    assert not any(f" {number}\n" in shown for number in range(18))


def test_answers_are_remembered_across_models_and_processes(server: LlmServer, tmp_path: Path) -> None:
    fitted(server, cache_folder=str(tmp_path)).predict(TEXTS)
    asked = server.seen.requests
    again = fitted(server, cache_folder=str(tmp_path)).predict(TEXTS)
    assert server.seen.requests == asked == 20
    assert (again.argmax(axis=1) == TARGETS.argmax(axis=1)).all()


def test_a_task_that_cannot_be_answered_is_a_row_of_nan_and_harms_no_other(server: LlmServer) -> None:
    server.manners.wrong = 0.4
    answers = fitted(server).predict(TEXTS)
    lost = np.isnan(answers).all(axis=1)
    assert 0 < lost.sum() < 15
    assert np.isfinite(answers[~lost]).all()
    assert (answers[~lost].argmax(axis=1) == TARGETS.argmax(axis=1)[~lost]).all()


def test_beyond_most_rows_are_nan(server: LlmServer) -> None:
    backend = fitted(server, most=5)
    assert np.isnan(backend.predict(TEXTS)).all(axis=1).sum() == 15
    assert np.isnan(backend.predict(TEXTS)).all(axis=1).sum() == 15
    assert server.seen.requests == 5


def test_the_budget_ends_the_asking(server: LlmServer, tmp_path: Path) -> None:
    backend = fitted(server, cache_folder=str(tmp_path), budget=0.02, price_input=10.0, price_output=30.0)
    answers = backend.predict([{"text": f"hello {number}"} for number in range(60)])
    spent = (server.seen.read * 10 + server.seen.written * 30) / 1e6
    assert np.isnan(answers).any()
    assert 0 < server.seen.requests < 60
    assert spent <= 0.02


@pytest.mark.parametrize(("status", "words"), [(401, "refuses the key"), (402, "used up"), (404, "no such address")])
def test_an_endpoint_that_refuses_us_is_an_error_with_advice(server: LlmServer, status: int, words: str) -> None:
    server.manners.status = status
    server.manners.echo = True
    backend = fitted(server)
    with pytest.raises(BackendError, match=words) as caught:
        backend.predict(TEXTS)
    assert caught.value.remedy
    assert KEY not in str(caught.value)
    assert server.seen.requests <= backend.options.concurrency


def test_without_an_endpoint_fit_says_what_to_set() -> None:
    backend = LLM(("text",), model="m")
    with pytest.raises(BackendError, match=r"Set `llm\.url`"):
        backend.fit(TEXTS, TARGETS, weights=ONES, multiple=False, seed=0)


def test_a_saved_model_keeps_its_prompt_whatever_becomes_of_config_and_options(
    server: LlmServer, tmp_path: Path
) -> None:
    backend = fitted(server, guideline="Prizes are spam.")
    before = backend.predict(TEXTS)
    backend.save(tmp_path)
    other = made(server, label_config="", guideline="Nothing is spam.", model="other", max_chars=100, shots=0)
    other.load(tmp_path)
    assert np.array_equal(other.predict(TEXTS), before)
    assert server.seen.bodies[-1]["messages"][0] == server.seen.bodies[0]["messages"][0]
    assert {body["model"] for body in server.seen.bodies} == {"m"}


def test_the_key_is_in_no_saved_file_and_no_repr(server: LlmServer, tmp_path: Path) -> None:
    backend = fitted(server, cache_folder=str(tmp_path / "cache"))
    backend.predict(TEXTS)
    (tmp_path / "model").mkdir()
    backend.save(tmp_path / "model")
    assert KEY not in repr(backend)
    assert KEY not in repr(vars(backend))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"modle": "x"}, "Did you mean 'model'"),
        ({"model": ""}, "option 'model'"),
        ({"shots": 1000}, "option 'shots'"),
        ({"budget": 1.0}, "what tokens cost"),
        ({"budget": -1.0, "price_input": 1.0}, "option 'budget'"),
        ({"samples": 0}, "option 'samples'"),
        ({"temperature": 9}, "option 'temperature'"),
        ({"confidence": 1.0}, "option 'confidence'"),
        ({"guideline": 3}, "option 'guideline'"),
        ({"requests_per_minute": 0}, "option 'requests_per_minute'"),
        ({"account": ""}, "option 'account'"),
        ({"price_input": -1}, "option 'price_input'"),
    ],
)
def test_senseless_options_are_refused_with_advice(options: dict[str, Any], words: str) -> None:
    with pytest.raises(BackendError, match=words) as caught:
        LLM(("text",), **{"model": "m", **options})
    assert caught.value.remedy


def test_files_with_labels_that_are_not_listed_are_refused(server: LlmServer, tmp_path: Path) -> None:
    fitted(server).save(tmp_path)
    about = json.loads((tmp_path / "backend.json").read_text(encoding="utf-8"))
    for change in ({"pool": [["x", [7]]]}, {"pool": [["x", []]]}, {"shots": 1e9}, {"ask": {}}, {"options": [["A"]]}):
        (tmp_path / "backend.json").write_text(json.dumps({**about, **change}), encoding="utf-8")
        with pytest.raises(ModelError):
            made(server).load(tmp_path)
