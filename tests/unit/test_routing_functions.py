"""Declaring, loading and asking routers."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from adapter.errors import FunctionsError
from adapter.routing import MOST_FAULTS, Router, RouterRun, RoutingTask, Worker, load_router, router

HEAD = "from adapter.routing import router\n"
PEOPLE = (Worker("ann"), Worker("bob"))


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEAD + dedent(text), encoding="utf-8")
    return path


def asked(function: Any, *tasks: RoutingTask, timeout_s: float = 5.0, key: str = "k") -> tuple[list[Any], RouterRun]:
    with RouterRun(Router("r", function), PEOPLE, timeout_s=timeout_s, key=key) as run:
        return [run.ask(task) for task in tasks or (RoutingTask("t"),)], run


class TestDeclaring:
    def test_the_decorator_keeps_the_function_callable(self) -> None:
        @router
        def route(task: RoutingTask, people: Sequence[Worker]) -> list[str] | None:
            return [people[0].name] if task.label == "x" else None

        assert isinstance(route, Router)
        assert route.name == "route"
        assert route(RoutingTask("t", label="x"), PEOPLE) == ["ann"]
        assert route(RoutingTask("t"), PEOPLE) is None

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            ("@router\ndef one(task): pass\n", "two arguments"),
            ("@router\nasync def later(task, people): pass\n", "coroutine"),
            ("@router\ndef many(task, people):\n    yield 'a'\n", "generator"),
            ("@router\n@router\ndef twice(task, people): pass\n", "plain function"),
        ],
    )
    def test_what_cannot_be_called_is_refused_where_it_stands(self, tmp_path: Path, body: str, why: str) -> None:
        file = write(tmp_path / "routers.py", body)
        with pytest.raises(FunctionsError, match=why) as caught:
            load_router(f"{file}:x")
        assert str(file) in str(caught.value)


class TestLoading:
    def test_a_file_is_found_from_the_base_and_loaded_anew_when_it_changed(self, tmp_path: Path) -> None:
        write(tmp_path / "routers.py", "@router\ndef route(task, people): return ['ann']\n")
        first = load_router("routers.py:route", base=tmp_path)
        assert first(RoutingTask("t"), PEOPLE) == ["ann"]
        write(tmp_path / "routers.py", "@router\ndef route(task, people): return ['bob']\n")
        second = load_router("routers.py:route", base=tmp_path)
        assert second(RoutingTask("t"), PEOPLE) == ["bob"]
        assert first.version != second.version

    def test_a_module_is_found_by_its_dotted_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write(tmp_path / "house_routers" / "night.py", "@router\ndef route(task, people): return None\n")
        (tmp_path / "house_routers" / "__init__.py").touch()
        monkeypatch.syspath_prepend(str(tmp_path))
        assert load_router("house_routers.night:route").name == "route"

    @pytest.mark.parametrize(
        ("spec", "why"),
        [
            ("routers.py", "names no router"),
            ("routers.py:", "names no router"),
            (":route", "names no router"),
            ("routers.py:rout", "Did you mean 'route'"),
            ("routers.py:plain", "not declared as a router.*@router"),
            ("absent.py:route", "no module or file 'absent.py'.*routing.router"),
            ("no.such.module:route", "no module or file 'no.such.module'"),
            ("broken.py:route", "broken.py:2"),
        ],
    )
    def test_what_is_not_there_is_said_with_advice(self, tmp_path: Path, spec: str, why: str) -> None:
        write(tmp_path / "routers.py", "@router\ndef route(task, people): pass\n\ndef plain(task, people): pass\n")
        write(tmp_path / "broken.py", "1 / 0\n")
        with pytest.raises(FunctionsError, match=why):
            load_router(spec, base=tmp_path)


class TestAsking:
    @pytest.mark.parametrize(
        ("answer", "chosen"),
        [
            (["bob", "ann", "bob"], ("bob", "ann")),
            (("ann",), ("ann",)),
            ({"bob", "ann"}, ("ann", "bob")),
            ([], None),
            (None, None),
        ],
    )
    def test_names_come_back_once_each_and_nothing_means_the_rules(self, answer: Any, chosen: Any) -> None:
        found, run = asked(lambda task, people: answer)
        assert found == [chosen]
        assert run.faults == []

    @pytest.mark.parametrize(
        ("function", "why"),
        [
            (lambda task, people: ["zoe"], "nobody is called 'zoe'"),
            (lambda task, people: [["ann"]], "nobody is called"),
            (lambda task, people: [None], "nobody is called None"),
            (lambda task, people: "ann", "returned str"),
            (lambda task, people: 7, "returned int"),
            (lambda task, people: task.data["absent"], "KeyError"),
            (lambda task, people: exec("raise SystemExit(3)"), "SystemExit: 3"),
        ],
    )
    def test_nonsense_leaves_a_fault_and_the_rules_decide(self, function: Any, why: str) -> None:
        found, run = asked(function, RoutingTask("t1"), RoutingTask("t2"))
        assert found == [None, None]
        assert [task_id for task_id, _ in run.faults] == ["t1", "t2"]
        assert why in run.faults[0][1]

    def test_a_router_that_fails_on_everything_is_not_asked_for_ever(self) -> None:
        calls: list[str] = []

        def fails(task: RoutingTask, people: Sequence[Worker]) -> None:
            calls.append(task.task_id)
            raise ValueError("no")

        _, run = asked(fails, *(RoutingTask(f"t{n}") for n in range(100)))
        assert len(run.faults) == len(calls) == MOST_FAULTS

    def test_a_router_that_sleeps_is_given_up_and_asked_again_only_when_it_woke(self) -> None:
        wake = threading.Event()
        calls: list[str] = []

        def sleeps(task: RoutingTask, people: Sequence[Worker]) -> list[str]:
            calls.append(task.task_id)
            if len(calls) == 1:
                wake.wait(30)
            return ["ann"]

        started = time.perf_counter()
        found, run = asked(sleeps, RoutingTask("t1"), RoutingTask("t2"), timeout_s=0.05, key="sleeper")
        assert time.perf_counter() - started < 5
        assert found == [None, None]
        assert "did not answer within 0.05 s" in run.faults[0][1]
        found, run = asked(sleeps, RoutingTask("t1"), key="sleeper")
        assert found == [None]
        assert "has not come back" in run.faults[0][1]
        assert calls == ["t1"]
        wake.set()
        deadline = time.monotonic() + 10
        while any(thread.name == "router r" for thread in threading.enumerate()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        found, run = asked(sleeps, RoutingTask("t1"), key="sleeper")
        assert (found, run.faults) == ([("ann",)], [])

    def test_a_router_sees_frozen_values(self) -> None:
        def greedy(task: Any, people: Any) -> None:
            task.seats = 99

        _, run = asked(greedy)
        assert "FrozenInstanceError" in run.faults[0][1]
