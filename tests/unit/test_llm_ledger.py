"""Money: the limit holds with many threads and several processes, through kills and lies, and nothing is paid twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_server import KEY, LlmServer, Manners, by_words

from adapter.errors import BackendError
from adapter.llm import Answered, Asker, Down, Endpoint, Prompt, Spent, checked_options, make_sheet
from adapter.llm.client import Patience
from adapter.llm.ledger import NANO, Ledger, Prices, Quota
from adapter.llm.limits import Backoff, Clock, Rate

FAST = Patience(timeout_s=5.0, attempts=4, failures=500, backoff=Backoff(base_s=0.005, longest_s=0.02))
READ, WRITTEN = 2.5, 10.0


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with LlmServer(by_words({"win": "spam"}, "ham")) as server:
        yield server


def asker(server: LlmServer, folder: Path | None, **options: Any) -> Asker:
    given = {"model": "m", "price_input": READ, "price_output": WRITTEN, **options}
    prompt = Prompt(make_sheet(("spam", "ham")))
    return Asker(Endpoint(server.url, KEY), prompt, checked_options(given, "test"), folder, patience=FAST)


def bill(server: LlmServer) -> float:
    """What the server's owner would ask for: all that it answered whole, by its own count."""
    return (server.seen.read * READ + server.seen.written * WRITTEN) / 1e6


def texts(count: int, word: str = "win") -> list[str | None]:
    return [f"{word} {number}" for number in range(count)]


def now() -> float:
    return 1_000_000.0


@pytest.mark.parametrize("manners", [Manners(), Manners(broken=0.2, dropped=0.1, garbled=0.1), Manners(usage="none")])
def test_the_budget_is_kept_with_many_at_once(server: LlmServer, tmp_path: Path, manners: Manners) -> None:
    server.manners = manners
    one = asker(server, tmp_path, budget=0.03, concurrency=16)
    outcomes = one.ask(texts(200))
    assert any(isinstance(outcome, Spent) for outcome in outcomes)
    assert any(isinstance(outcome, Answered) for outcome in outcomes)
    assert bill(server) <= one.ledger.spent <= 0.03
    if manners == Manners():
        assert bill(server) > 0.015  # what calls under way may cost is held back meanwhile
    said = next(outcome for outcome in outcomes if isinstance(outcome, Spent))
    assert "Raise `budget`" in str(said)


def test_the_budget_of_a_run_ends_that_run_alone(server: LlmServer, tmp_path: Path) -> None:
    first = asker(server, tmp_path, run_budget=0.02)
    first.ask(texts(100))
    assert first.ledger.spent_here <= 0.02
    second = asker(server, tmp_path, run_budget=0.02)
    answered = [outcome for outcome in second.ask(texts(100)) if isinstance(outcome, Answered)]
    assert second.ledger.spent == pytest.approx(first.ledger.spent_here + second.ledger.spent_here)
    assert len(answered) > server.seen.answered / 2


@pytest.mark.parametrize("usage", [{"prompt_tokens": 0, "completion_tokens": 0}, {"prompt_tokens": 10**12}])
def test_lies_about_tokens_neither_open_nor_break_the_budget(server: LlmServer, tmp_path: Path, usage: Any) -> None:
    server.manners.usage = usage
    one = asker(server, tmp_path, budget=0.01)
    one.ask(texts(400))
    assert 0 < one.ledger.spent <= 0.01
    assert server.seen.requests < 400


CHILD = textwrap.dedent("""
    import sys
    from pathlib import Path
    from adapter.llm import Asker, Endpoint, Prompt, checked_options, make_sheet
    url, key, folder, word, count, seconds = sys.argv[1:]
    options = {"model": "m", "price_input": 2.5, "price_output": 10.0, "budget": 0.03, "concurrency": 8}
    one = Asker(Endpoint(url, key), Prompt(make_sheet(("spam", "ham"))), checked_options(options, "t"), Path(folder))
    print("ready", flush=True)
    one.ask([f"{word} {n}" for n in range(int(count))])
    print(one.ledger.spent_here, flush=True)
""")


def child(server: LlmServer, folder: Path, word: str, count: int) -> subprocess.Popen[str]:
    arguments = [server.url, KEY, str(folder), word, str(count), "0"]
    return subprocess.Popen([sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, text=True)


def test_the_budget_is_kept_by_two_processes(server: LlmServer, tmp_path: Path) -> None:
    both = [child(server, tmp_path, word, 150) for word in ("win", "lose")]
    paid = [float(each.communicate(timeout=60)[0].split()[-1]) for each in both]
    assert all(each.returncode == 0 for each in both)
    assert min(paid) > 0
    assert bill(server) <= sum(paid) + 1e-9 <= 0.03 + 1e-9
    whole = json.loads((tmp_path / "llm" / "ledger.json").read_text(encoding="utf-8"))
    assert whole["accounts"]["llm"]["spent"] == pytest.approx(sum(paid) * NANO, rel=1e-6)
    assert whole["accounts"]["llm"]["held"] == {}


def test_after_a_kill_nothing_that_was_answered_is_paid_again(server: LlmServer, tmp_path: Path) -> None:
    server.manners.seconds = 0.02
    killed = child(server, tmp_path, "win", 100)
    assert killed.stdout is not None
    killed.stdout.readline()
    while server.seen.answered < 30:
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    time.sleep(0.1)
    before = server.seen.answered
    kept = len(list((tmp_path / "llm" / "answers").rglob("*.json")))
    assert before - 8 <= kept <= before
    one = asker(server, tmp_path, budget=0.1)
    assert one.ledger.spent >= bill(server) - 1e-9
    assert all(isinstance(outcome, Answered) for outcome in one.ask(texts(100)))
    assert server.seen.answered == before + 100 - kept
    assert bill(server) <= one.ledger.spent <= 0.1


def test_threads_never_pass_the_limit_together(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "a", total=100 / NANO, run=None, wall=now)
    got: list[str] = []

    def take() -> None:
        for _ in range(20):
            try:
                ticket = ledger.reserve(7)
            except Spent:
                continue
            got.append(ticket)
            ledger.settle(ticket, 5)

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) * 5 <= 100
    assert ledger.spent == pytest.approx(len(got) * 5 / NANO)
    assert len(got) == 19


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(-5, 60), st.booleans()), max_size=40))
def test_no_order_of_reserving_and_settling_passes_the_limit(steps: list[tuple[int, int, bool]]) -> None:
    ledger = Ledger(None, "a", total=100 / NANO, run=80 / NANO, wall=now)
    open_: list[str] = []
    for amount, paid, settle in steps:
        try:
            open_.append(ledger.reserve(amount))
        except Spent:
            assert ledger.spent * NANO + amount > 80 - 1e-6
        if settle and open_:
            ledger.settle(open_.pop(0), paid)
        assert ledger.spent * NANO <= 80 + 1e-6


def test_accounts_are_apart_and_old_reservations_count_as_spent(tmp_path: Path) -> None:
    time_ = [1_000_000.0]
    ledger = Ledger(tmp_path, "a", total=1.0, run=None, wall=lambda: time_[0])
    ledger.reserve(NANO // 2)
    other = Ledger(tmp_path, "b", total=1.0, run=None, wall=lambda: time_[0])
    assert other.spent == 0
    time_[0] += 10_000
    again = Ledger(tmp_path, "a", total=1.0, run=None, wall=lambda: time_[0])
    assert again.spent == 0.5
    again.settle(again.reserve(NANO // 4), NANO // 4)
    assert json.loads((tmp_path / "ledger.json").read_text(encoding="utf-8"))["accounts"]["a"]["held"] == {}
    assert again.spent == 0.75
    with pytest.raises(Spent, match="budget of 'a'"):
        again.reserve(NANO // 2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        "\xff",
        '{"format": 1}',
        '{"format": 1, "accounts": {"a": {"spent": -1}}}',
        '{"format": 1, "accounts": {"llm": {"spent": NaN, "held": {}}}}',
        '{"format": 1, "accounts": {"llm": {"spent": 0, "held": {"x": [NaN, 0]}}}}',
    ],
)
def test_a_damaged_ledger_is_never_taken_for_an_empty_one(tmp_path: Path, server: LlmServer, text: str) -> None:
    (tmp_path / "llm").mkdir()
    (tmp_path / "llm" / "ledger.json").write_text(text, encoding="latin-1")
    (outcome,) = asker(server, tmp_path, budget=1.0).ask(["win"])
    assert isinstance(outcome, Down)
    assert "cannot be read" in str(outcome)
    assert outcome.remedy
    assert server.seen.requests == 0


@given(st.floats(0, 1000), st.floats(0, 1000), st.integers(0, 10**7), st.integers(0, 10**7))
def test_costs_are_rounded_up_to_whole_billionths(read: float, written: float, m: int, n: int) -> None:
    cost = Prices(read, written).cost(m, n)
    exact = (m * read + n * written) / 1e6 * NANO
    assert cost >= exact * (1 - 1e-12) - 1e-5
    assert cost <= exact * (1 + 1e-12) + 1


def test_where_nothing_can_be_written_down_nothing_is_asked(server: LlmServer, tmp_path: Path) -> None:
    (tmp_path / "llm").write_text("in the way", encoding="utf-8")
    (outcome,) = asker(server, tmp_path, budget=1.0).ask(["win"])
    assert isinstance(outcome, Down)
    assert "cannot be written down" in str(outcome)
    assert server.seen.requests == 0


def test_damaged_answers_are_asked_for_again(server: LlmServer, tmp_path: Path) -> None:
    asker(server, tmp_path).ask(texts(6))
    for number, path in enumerate(sorted((tmp_path / "llm" / "answers").rglob("*.json"))):
        path.write_bytes([b"", b"[]", b'{"p": [2, 0], "unsure": 0}', b"{}", b'{"p": "x"}', b'{"p": [1.0]}'][number])
    assert all(isinstance(outcome, Answered) for outcome in asker(server, tmp_path).ask(texts(6)))
    assert server.seen.requests == 12


def test_a_quota_is_shared_and_those_it_admitted_stay_admitted(tmp_path: Path) -> None:
    first, second = Quota(tmp_path / "q.txt", 3), Quota(tmp_path / "q.txt", 3)
    assert first.admit(["a", "b"]) == {"a", "b"}
    assert second.admit(["c", "d", "a"]) == {"c", "a"}
    assert first.admit(["a", "d", "c"]) == {"a", "c"}
    assert Quota(None, None).admit(["x"]) == {"x"}


@pytest.mark.parametrize("rest", [b"a\nb", b"a\n\xff\xfe"])
def test_a_quota_outlives_a_line_that_a_kill_cut(tmp_path: Path, rest: bytes) -> None:
    (tmp_path / "q.txt").write_bytes(rest)
    assert Quota(tmp_path / "q.txt", 3).admit(["a", "c", "d"]) == {"a", "c"}
    assert Quota(tmp_path / "q.txt", 3).admit(["a", "c", "d"]) == {"a", "c"}


@pytest.mark.parametrize("name", ["price_input", "budget", "run_budget", "timeout_s", "requests_per_minute"])
@pytest.mark.parametrize("value", [1e300, 10**400])
def test_settings_too_large_to_count_with_are_refused(name: str, value: float) -> None:
    with pytest.raises(BackendError, match=name):
        checked_options({"model": "m", "price_output": 1.0, name: value}, "me")


def test_a_rate_too_low_to_wait_for_at_once_is_waited_for_in_parts() -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) > 2:
            raise KeyboardInterrupt

    rate = Rate(1e-300, None, Clock(now=lambda: 0.0, sleep=sleep))
    rate.wait(1)
    with pytest.raises(KeyboardInterrupt):
        rate.wait(1)
    assert max(slept) <= 3600
