"""One contract for every engine: the same votes bit for bit, and every fault in the cell where it happened."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from adapter.engines import ABSTAIN, FAULT, Applied, Engine, make_engine
from adapter.engines.local import LocalEngine
from adapter.errors import FunctionsError
from adapter.labeling import LabelingFunction, discover, labeling_function
from adapter.settings import EngineSettings
from adapter.vocabulary import Control, JsonObject, LabelSpace

LABEL = Control("label", "choices", "text", "Text", "text", ("spam", "ham"))
TOPIC = Control("topic", "choices", "text", "Text", "text", ("music", "sport", "food"))
SPACE = LabelSpace((LABEL, TOPIC), "", "")
HEAD = """
import builtins, ctypes, os, random, signal, subprocess, sys, threading, time
from pathlib import Path
from adapter.labeling import column, keywords, labeling_function, preprocessor, regex
"""
LIMITS: dict[str, Any] = {"timeout_s": 0.4, "memory_mb": 1024}
Make = Callable[..., list[LabelingFunction]]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A Dask cluster of two processes of our own, on ports that the system picks; ended by its ids."""
    import dask
    from distributed import LocalCluster

    quiet = {"distributed.worker.daemon": False, "distributed.admin.large-graph-warning-threshold": "100MB"}
    with dask.config.set(quiet):
        started = LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            scheduler_port=0,
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
        )
        ids = [nanny.pid for nanny in started.workers.values()]
        yield started
        started.close(timeout=20)
    for pid in ids:
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(pid).kill()


@pytest.fixture(scope="session", params=["local", "dask"])
def engine(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Each engine, with short limits."""
    made: Any
    if request.param == "local":
        made = LocalEngine(workers=2, **LIMITS)
    else:
        from adapter.engines.dask import DaskEngine

        made = DaskEngine(request.getfixturevalue("cluster").scheduler_address, **LIMITS)
    with made:
        yield made


@pytest.fixture
def functions(tmp_path: Path) -> Make:
    def make(body: str) -> list[LabelingFunction]:
        path = tmp_path / "functions.py"
        path.write_text(HEAD + body, encoding="utf-8")
        return discover(path)

    return make


def rule(name: str, *lines: str, options: str = "(control='label')") -> str:
    return f"\n@labeling_function{options}\ndef {name}(data):\n" + "".join(f"    {line}\n" for line in lines)


def numbers(count: int) -> list[JsonObject]:
    return [{"n": number, "text": f"row {number}"} for number in range(count)]


def apply(engine: Engine, found: list[LabelingFunction], rows: Any) -> Applied:
    return engine.start(found, SPACE).apply(rows)


def told(applied: Applied, name: str) -> dict[int | None, str]:
    return {fault.row: fault.message for fault in applied.faults if fault.source == name}


EVEN = rule("even", "return 'spam' if data['n'] % 2 == 0 else None")
GOOD = rule("good", "return 'ham'")


def test_votes_are_indices_into_the_labels_of_each_functions_own_control(engine: Engine, functions: Make) -> None:
    found = functions(EVEN + rule("sport", "return 'sport' if data['n'] else None", options="(control='topic')"))
    applied = apply(engine, found, numbers(3))
    assert applied.votes.dtype == np.int16
    assert applied.votes.tolist() == [[0, ABSTAIN], [ABSTAIN, 1], [0, 1]]
    assert applied.faults == ()
    assert applied.confidence == {}
    assert set(applied.seconds) == {"even", "sport"}


def test_many_rows_from_a_generator_come_back_in_order(engine: Engine, functions: Make) -> None:
    applied = apply(engine, functions(EVEN), iter(numbers(23_456)))
    assert applied.votes[:, 0].tolist() == [0 if number % 2 == 0 else ABSTAIN for number in range(23_456)]


def test_a_generator_is_drawn_from_only_as_fast_as_rows_are_voted_on(engine: Engine, functions: Make) -> None:
    found = functions(rule("slow", "time.sleep(0.2) if data['n'] % 1000 == 0 else None", "return 'ham'"))
    apply(engine, found, numbers(1))
    drawn: list[int] = []

    def rows() -> Iterator[JsonObject]:
        for row in numbers(60_000):
            drawn.append(row["n"])
            yield row
            if len(drawn) == 40_000:
                raise RuntimeError("enough")

    began = time.monotonic()
    with pytest.raises(RuntimeError, match="enough"):
        apply(engine, found, rows())
    assert time.monotonic() - began > 0.4  # 40 waits of 0.2 s on two processes, less what was under way


@pytest.mark.parametrize("count", [0, 1, 3])
def test_nothing_to_do_is_no_error(engine: Engine, functions: Make, count: int) -> None:
    assert apply(engine, [], numbers(count)).votes.shape == (count, 0)
    assert apply(engine, functions(EVEN), numbers(0)).votes.shape == (0, 1)


def test_an_answer_may_carry_a_confidence(engine: Engine, functions: Make) -> None:
    body = rule("sure", "return ('spam', data['n'] / 10) if data['n'] % 2 else None") + EVEN
    body += rule("half", "return ('ham', 0.5) if data['n'] == 5 else 'ham'") + rule("certain", "return ('ham', 1.0)")
    applied = apply(engine, functions(body), numbers(10))
    assert applied.votes[:, 0].tolist() == [-1, 0] * 5
    assert set(applied.confidence) == {"sure", "half"}
    assert applied.confidence["sure"].dtype == np.float32
    assert applied.confidence["sure"].tolist() == pytest.approx([1, 0.1, 1, 0.3, 1, 0.5, 1, 0.7, 1, 0.9])
    assert applied.confidence["half"].tolist() == [1, 1, 1, 1, 1, 0.5, 1, 1, 1, 1]
    assert (applied.votes[:, 3] == 1).all()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("'spm'", "returned 'spm', which is not a label of 'label'. Did you mean 'spam'?"),
        ("1", "returned 1, which is no label"),
        ("['spam']", "returned ['spam'], which is no label"),
        ("('spam', 2)", "returned ('spam', 2), whose confidence is no number between 0 and 1"),
        ("('spam', float('nan'))", "returned ('spam', nan), whose confidence is no number"),
        ("(None, 0.5)", "returned (None, 0.5)"),
        ("('spam',)", "returned ('spam',), which is no label"),
        ("type('X', (), {'__repr__': lambda s: 1 / 0, '__eq__': lambda s, o: 1 / 0})()", "returned a"),
        ("type('X', (), {'__hash__': lambda s: sys.exit(3)})()", "returned"),
        ("data['missing']", "KeyError: 'missing' (line 8)"),
    ],
)
def test_garbage_is_a_fault_that_says_what_was_meant(engine: Engine, functions: Make, answer: str, says: str) -> None:
    applied = apply(engine, functions(rule("f", f"return {answer}") + GOOD), numbers(2))
    assert applied.votes.tolist() == [[FAULT, 1], [FAULT, 1]]
    assert told(applied, "f")[1].startswith(says)


def test_faults_are_told_by_row_then_function_and_counted_beyond_a_hundred(engine: Engine, functions: Make) -> None:
    body = rule("boom", "return 1 / 0") + rule("rare", "return 'ham' if data['n'] != 9_000 else 1 / 0")
    applied = apply(engine, functions(body), numbers(10_000))
    assert [fault.row for fault in applied.faults[:100]] == list(range(100))
    assert told(applied, "boom")[None] == "9900 more tasks failed"
    assert told(applied, "rare") == {9_000: "ZeroDivisionError: division by zero (line 12)"}
    assert np.argwhere(applied.votes[:, 1] == FAULT).tolist() == [[9_000]]


HOSTILE = {
    "leaves": ("sys.exit(3)", "SystemExit: 3"),
    "gone": ("os._exit(3)", "the worker process ended with exit code 3"),
    "crashes": ("ctypes.string_at(0)", "SIGSEGV"),
    "sleeps": ("time.sleep(10**6)", "took longer than 0.4 s"),
    "spins": ("sum(range(10**15))", "took longer than 0.4 s and had to be killed"),
    "eats": ("bytearray(10 << 30)", "MemoryError"),
    "gorges": ("HELD.extend(bytearray(1 << 22) for _ in range(2560))", "MemoryError"),
    "recurses": ("recurses(data)", "RecursionError"),
    "interrupts": ("os.kill(os.getpid(), signal.SIGINT); time.sleep(1)", "KeyboardInterrupt"),
    "hangs_up": ("os.closerange(3, 256); time.sleep(1)", "the worker process"),
    "writes": ("data['n'] = 0", "TypeError: 'mappingproxy' object does not support item assignment"),
    "names_a_stranger": ("raise type('E', (Exception,), {'__str__': lambda s: sys.exit(1)})()", "E"),
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_a_hostile_call_costs_its_cell_and_is_named(engine: Engine, functions: Make, name: str) -> None:
    deed, says = HOSTILE[name]
    limit = "(control='label', timeout_s=20)" if "Memory" in says else "(control='label')"
    body = "\nHELD = []\n" + EVEN + rule(name, f"if data['n'] == 2: {deed}", "return 'ham'", options=limit) + GOOD
    applied = apply(engine, functions(body), numbers(5))
    assert applied.votes[:, 0].tolist() == [0, -1, 0, -1, 0]
    assert applied.votes[:, 1].tolist() == [1, 1, FAULT, 1, 1]
    assert (applied.votes[:, 2] == 1).all()
    assert list(told(applied, name)) == [2]
    assert says in told(applied, name)[2]
    assert applied.stopped == frozenset()


PIPES = """
def pipes():
    for fd in os.listdir("/proc/self/fd"):
        path = Path("/proc/self/fdinfo", fd)
        if path.exists() and os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:"):
            if int(path.read_text().split()[3], 8) & 1:
                yield int(fd)
"""
DEAF = ("while data['n'] == 1:", "    try: time.sleep(60)", "    except BaseException: pass", "return 'ham'")
HARMLESS = {
    "prints": ("for _ in range(100_000): print('x')", "sys.stderr.write('y' * 10**7)", "os.write(1, b'z' * 10**6)"),
    "forks": ("if os.fork() == 0: os._exit(0)",),
    "forks_on": ("os.fork()",),
    "threads": ("threading.Thread(target=time.sleep, args=(5,), daemon=True).start()",),
    "children": ("subprocess.Popen(['sleep', '20'])",),
    "scribbles": ("[os.write(fd, b'junk') for fd in list(pipes())]",),
}


@pytest.mark.parametrize("name", list(HARMLESS))
def test_what_a_call_does_beside_its_answer_disturbs_nobody(engine: Engine, functions: Make, name: str) -> None:
    body = PIPES + EVEN + rule(name, *HARMLESS[name], "return 'ham'", options="(control='label', timeout_s=5)") + GOOD
    applied = apply(engine, functions(body), numbers(4))
    assert applied.votes.tolist() == [[0, 1, 1], [-1, 1, 1], [0, 1, 1], [-1, 1, 1]]
    assert applied.faults == ()


def test_whoever_catches_everything_in_a_loop_costs_one_cell(engine: Engine, functions: Make) -> None:
    applied = apply(engine, functions(rule("deaf", *DEAF) + GOOD), numbers(3))
    assert applied.votes.tolist() == [[1, 1], [FAULT, 1], [1, 1]]
    assert "had to be killed" in told(applied, "deaf")[1]


@pytest.mark.parametrize(
    ("deed", "what"),
    [
        ("builtins.len = lambda x: 0", "builtins.len"),
        ("builtins.isinstance = lambda *x: 1 / 0", "builtins.isinstance"),
        ("time.monotonic = lambda: 0.0", "time.monotonic"),
        ("time.sleep = None", "time.sleep"),
        ("signal.signal(signal.SIGALRM, signal.SIG_IGN)", "the alarm signal"),
        ("signal.setitimer(signal.ITIMER_REAL, 0)", "the alarm signal"),
        ("os._exit = os.write = None", "os.write"),
    ],
)
def test_what_a_function_replaces_for_all_is_put_back_and_told(
    engine: Engine, functions: Make, deed: str, what: str
) -> None:
    body = rule("patches", deed, "return 'ham'") + rule("counts", "return 'ham' if len(data) == 2 else 'spam'")
    body += rule("sleeps", "time.sleep(60 if data['n'] == 1 else 0)", "return 'ham'") + rule("boom", "return 1 / 0")
    applied = apply(engine, functions(body), numbers(3))
    assert applied.votes.tolist() == [[1, 1, 1, FAULT], [1, 1, FAULT, FAULT], [1, 1, 1, FAULT]]
    assert what in told(applied, "patches")[None]
    assert told(applied, "sleeps") == {1: "took longer than 0.4 s"}
    assert "ZeroDivisionError" in told(applied, "boom")[0]


def test_what_lies_inside_a_task_cannot_be_changed_for_the_others(engine: Engine, functions: Make) -> None:
    body = rule("writes", "data['tags'].clear()", "data['box']['x'] = 9", "return 'ham'")
    body += rule("reads", "return 'spam' if data['tags'] == [1, 2] and data['box'] == {'x': 1} else 'ham'")
    applied = apply(engine, functions(body), [{"tags": [1, 2], "box": {"x": 1}}] * 3)
    assert applied.votes.tolist() == [[1, 0]] * 3


def test_too_many_threads_or_children_left_behind_cost_strikes_and_a_new_worker(
    engine: Engine, functions: Make
) -> None:
    body = rule("threads", *HARMLESS["threads"], "return 'ham'", options="(control='label', timeout_s=5)")
    body += rule("children", *HARMLESS["children"], "return 'ham'", options="(control='label', timeout_s=5)") + GOOD
    applied = apply(engine, functions(body), numbers(50))
    assert (applied.votes == 1).all()
    assert told(applied, "threads") == {None: "left many threads running; its worker was replaced"}
    assert told(applied, "children") == {None: "left many child processes running; its worker was replaced"}


def test_one_who_fills_the_memory_for_good_does_not_take_the_others_down(engine: Engine, functions: Make) -> None:
    body = "\nHELD = []\n" + rule("hoards", "HELD.append(bytearray(1 << 20))", "return 'ham'")
    body += rule("works", "return 'ham' if bytearray(1 << 20) else 'spam'")
    applied = apply(engine, functions(body), numbers(3_000))
    assert (applied.votes == 1).all()
    assert applied.faults == ()


def test_a_function_that_always_hangs_is_stopped_and_stays_stopped_in_the_run(engine: Engine, functions: Make) -> None:
    run = engine.start(
        functions(rule("hangs", "time.sleep(60)", options="(control='label', timeout_s=0.1)") + EVEN), SPACE
    )
    began = time.monotonic()
    first = run.apply(numbers(9_000))
    assert time.monotonic() - began < 20
    assert first.stopped == {"hangs"}
    assert (first.votes[:, 0] == FAULT).all()
    assert first.votes[:, 1].tolist() == [0, -1] * 4_500
    rows = [row for row in told(first, "hangs") if row is not None]
    assert 3 <= len(rows) <= 6  # one more may be under way in each other worker
    more = 9_000 - len(rows)
    assert told(first, "hangs")[None] == f"stopped: it hung or crashed 3 times; {more} more tasks have no vote of it"
    second = run.apply(numbers(10))
    assert (second.votes[:, 0] == FAULT).all()
    assert second.faults == ()
    assert second.stopped == {"hangs"}


RESOURCES = """
def words(): return {"row 1", "row 3"}
def broken(): raise OSError("no such list")
def endless(): time.sleep(60)

CALLS = []

@preprocessor
def shape(data):
    return {**data, "half": data["n"] // 2}

@labeling_function(control="label", resources={"words": words}, pre=[shape])
def listed(data, words):
    return "spam" if data["text"] in words and data["half"] < 5 else None

@labeling_function(control="label", resources={"words": broken})
def unmade(data, words):
    return "spam"
"""


def test_resources_and_preprocessors_are_honoured_and_a_resource_that_fails_is_named(
    engine: Engine, functions: Make
) -> None:
    applied = apply(engine, functions(RESOURCES + GOOD), numbers(5))
    assert applied.votes.tolist() == [[-1, FAULT, 1], [0, FAULT, 1], [-1, FAULT, 1], [0, FAULT, 1], [-1, FAULT, 1]]
    assert "no such list" in told(applied, "unmade")[0]


SNORKEL = """
from snorkel.labeling import LabelingFunction
from snorkel.preprocess import preprocessor as snorkel_preprocessor

@snorkel_preprocessor()
def louder(x):
    x.text = x.text.upper()
    return x

def _says(x, word):
    return 0 if word in x.text and x["n"] > 1 else -1

has_row = LabelingFunction("has_row", _says, resources={"word": "ROW"}, pre=[louder])
wrong = LabelingFunction("wrong", lambda x: 7)
"""


@pytest.mark.filterwarnings("ignore")
def test_snorkels_own_functions_vote_by_index(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "functions.py"
    path.write_text(SNORKEL, encoding="utf-8")
    applied = engine.start(discover(path), LABEL).apply(numbers(4))
    assert applied.votes.tolist() == [[-1, FAULT], [-1, FAULT], [0, FAULT], [0, FAULT]]
    assert told(applied, "wrong")[0].startswith("returned 7")


MIX = """
free = keywords("spam", ["free", "win"], control="label", confidence=0.75)
link = regex("spam", r"https?://", control="label")
big = column("ham", "n", above=100, control="label")
goal = keywords("sport", ["goal"], control="topic")

@labeling_function(control="label")
def shouts(data):
    return ("spam", 0.25) if "FREE" in data["text"] else None

@labeling_function(control="label")
def fails(data):
    return "ham" if data["n"] % 7 else 1 / 0
"""


def texts(count: int) -> list[JsonObject]:
    chosen = random.Random(3)
    words = [
        "free",
        "win",
        "Goal",
        "http://x",
        "übergroß",
        "straße",
        "FREE",
        "row",
        "song",
        "\u017ftrange",
        "\u212aelvin",
    ]
    return [{"n": number, "text": " ".join(chosen.choices(words, k=6))} for number in range(count)]


def test_declared_and_python_functions_mix_and_all_engines_agree_bit_for_bit(engine: Engine, functions: Make) -> None:
    found = functions(MIX)
    rows = texts(9_500)
    applied = apply(engine, found, iter(rows))
    by_hand = np.full((len(rows), len(found)), FAULT, dtype=np.int16)
    for column, function in enumerate(found):
        labels = SPACE.control(function.control or "").labels
        for number, row in enumerate(rows):
            try:
                answer = function(row)
            except ZeroDivisionError:
                continue
            label = answer[0] if isinstance(answer, tuple) else answer
            by_hand[number, column] = ABSTAIN if label is None else labels.index(label)
    assert applied.votes.tobytes() == by_hand.tobytes()
    assert set(applied.confidence) == {"free", "shouts"}
    with LocalEngine(workers=1, **LIMITS) as reference:
        expected = apply(reference, found, rows)
    assert applied.votes.tobytes() == expected.votes.tobytes()
    assert applied.faults == expected.faults
    for name, confidence in expected.confidence.items():
        assert applied.confidence[name].tobytes() == confidence.tobytes()


def test_an_edit_between_two_runs_is_obeyed(engine: Engine, functions: Make) -> None:
    first = functions(rule("f", "return 'ham'"))
    assert apply(engine, first, numbers(1)).votes.tolist() == [[1]]
    second = functions(rule("f", "return 'spam'"))
    assert apply(engine, second, numbers(1)).votes.tolist() == [[0]]


def test_a_folder_with_a_data_file_and_shared_code_works_wherever_it_runs(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (folder / "lists").mkdir(parents=True)
    (folder / "lists" / "words.txt").write_text("row 1\n", encoding="utf-8")
    (folder / "common.py").write_text(
        "from pathlib import Path\nFOLDER = Path(__file__).parent / 'lists'\n"
        "WORDS = set((FOLDER / 'words.txt').read_text().split('\\n'))\n",
        encoding="utf-8",
    )
    (folder / "functions.py").write_text(
        "from .common import WORDS\nfrom adapter.labeling import labeling_function\n"
        "@labeling_function(control='label')\ndef listed(data):\n"
        "    return 'spam' if data['text'] in WORDS else None\n",
        encoding="utf-8",
    )
    assert apply(engine, discover(folder), numbers(3)).votes.tolist() == [[-1], [0], [-1]]


def test_functions_that_no_worker_could_load_are_refused(engine: Engine) -> None:
    @labeling_function(control="label")
    def local(data: object) -> str | None:
        return None

    with pytest.raises(FunctionsError, match="discover"):
        engine.start([local], SPACE)


def test_a_function_on_a_foreign_control_is_refused_before_anything_runs(engine: Engine, functions: Make) -> None:
    with pytest.raises(FunctionsError, match="Did you mean 'label'"):
        engine.start(functions(rule("f", "return 'ham'", options="(control='labels')")), SPACE)


def test_an_engine_that_was_closed_starts_anew(cluster: Any, functions: Make) -> None:
    found = functions(EVEN)
    for settings in (EngineSettings(workers=1), EngineSettings(kind="dask", address=cluster.scheduler_address)):
        engine = make_engine(settings)
        for _ in range(2):
            assert apply(engine, found, numbers(2)).votes.tolist() == [[0], [-1]]
            engine.close()
    assert os.getpid() == psutil.Process().pid
