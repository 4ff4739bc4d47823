"""Labeling functions that do what they must not, beside two good ones, through the stages of the loop: it goes on, each
is named with what it did, and the good ones' votes are what they would be alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from adapter.settings import EngineSettings
from adapter.stages.consolidate import consolidate
from adapter.stages.evidence import WEAK
from adapter.stages.flag import flag
from adapter.stages.function_votes import votes_key
from adapter.stages.ingest import ingest
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.rank import rank
from adapter.stages.reports import VoteReport
from adapter.stages.status import status
from adapter.stages.train import train
from adapter.stages.vote import VOTES, vote

TASKS = 90
ABSTAIN, FAULT = -1, -2
GOOD = '''
import os, random, sys, time

from adapter.labeling import keywords, labeling_function, preprocessor

begs = keywords("spam", ["subscribe", "check out", "visit", "prize"], whole_words=False)


@labeling_function
def music(data):
    """Talks about the music."""
    return "ham" if any(word in data["text"] for word in ("song", "chorus", "voice", "listen")) else None
'''
HOSTILE = """
@labeling_function
def raises_at_random(data):
    if random.random() < 0.5:
        raise RuntimeError("bad luck")
    return "ham"


@labeling_function(timeout_s=0.3)
def sleeps_for_ever(data):
    time.sleep(10**6)


@labeling_function(timeout_s=0.3)
def will_not_be_woken(data):
    while True:
        try:
            time.sleep(10**6)
        except BaseException:
            pass


class Unprintable:
    def __repr__(self):
        raise ValueError("no")

    __str__ = __eq__ = __hash__ = __bool__ = __len__ = __getattr__ = __repr__


@labeling_function
def returns_garbage(data):
    number = len(data["text"]) + int("".join(sign for sign in data["text"] if sign.isdigit()) or 0)
    return [Unprintable(), 3.7, b"spam", ["spam"], "spma", ("spam", 7), ("spam", "sure"), (), float("nan")][number % 9]


@labeling_function
def allocates_10_gb(data):
    return "spam" if bytearray(10 * 2**30) else None


@labeling_function
def calls_sys_exit(data):
    sys.exit(3)


@labeling_function
def ends_the_process(data):
    os._exit(7)


@labeling_function
def recurses(data):
    return recurses(data)


@labeling_function
def writes_into_the_task(data):
    data["text"] = "mine"
    return "spam"


@labeling_function
def raises_a_novel(data):
    raise ValueError("line\\n" * 2_000_000)


def loads():
    raise FileNotFoundError("no such list")


@labeling_function(resources={"words": loads})
def lacks_its_resource(data, words):
    return "spam"


@preprocessor
def garbles(data):
    return ["not", "data"]


@labeling_function(pre=[garbles])
def is_given_garbage(data):
    return "spam"
"""
CHATTY = """
said = False


@labeling_function(timeout_s=60)
def prints_a_million_lines(data):
    global said
    if not said:
        said = True
        for number in range(1_000_000):
            print(number, "of a million lines")
        sys.stderr.write("x" * 10_000_000)
    return "ham" if "song" in data["text"] else None
"""

FAULTS = {
    "raises_at_random": "RuntimeError: bad luck",
    "sleeps_for_ever": "took longer than 0.3 s",
    "will_not_be_woken": "took longer than 0.3 s",
    "returns_garbage": "which is no",
    "allocates_10_gb": "MemoryError",
    "calls_sys_exit": "SystemExit: 3",
    "ends_the_process": "ended with exit code 7",
    "recurses": "RecursionError",
    "writes_into_the_task": "does not support item assignment",
    "raises_a_novel": "ValueError: line",
    "lacks_its_resource": "FileNotFoundError: no such list",
    "is_given_garbage": "preprocessor 'garbles' returned list",
}


@dataclass(frozen=True)
class Voted:
    world: Any
    report: VoteReport

    @property
    def project(self) -> Any:
        return project_of(self.world)

    def votes(self, name: str) -> list[int]:
        function = next(item for item in self.project.functions() if item.name == name)
        column = self.project.columns.read("spam", VOTES, *votes_key(function, self.project.learned[0]), TASKS, fill=-9)
        return [int(vote) for vote in column]


def project_of(world: Any) -> Any:
    return replace(world.project, engine=EngineSettings(workers=2, timeout_s=2.0, memory_mb=1024))


@pytest.fixture
def voted(make_world: Callable[..., Any]) -> Voted:
    world = make_world(tasks=TASKS)
    (world.folder / "functions.py").write_text(GOOD + HOSTILE + CHATTY, encoding="utf-8")
    ingest(project_of(world))
    return Voted(world, vote(project_of(world)))


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="workers need POSIX")


def test_each_is_named_with_its_fault_and_the_good_ones_votes_are_what_they_would_be_alone(voted: Voted) -> None:
    assert set(voted.report.faults) == set(FAULTS)
    kept = voted.project.store.faults.recent("spam", limit=10_000)
    for name, words in FAULTS.items():
        messages = [fault.message for fault in kept if fault.source == name]
        assert any(words in message for message in messages), (name, messages[:3])
        assert all(fault.where == "vote" for fault in kept if fault.source == name)
        assert max(len(message) for message in messages) < 1_000, "a novel is cut"
    tasks = voted.project.store.tasks.between("spam", 0, TASKS)
    gold = [voted.world.gold[task.id] for task in tasks]
    assert voted.votes("begs") == [0 if label == "spam" else ABSTAIN for label in gold]
    assert voted.votes("music") == [1 if label == "ham" else ABSTAIN for label in gold]
    songs = ["song" in task.data["text"] for task in tasks]
    assert voted.votes("prints_a_million_lines") == [1 if song else ABSTAIN for song in songs]
    for name in set(FAULTS) - {"raises_at_random"}:
        assert set(voted.votes(name)) == {FAULT}, f"a fault of {name} is no abstention"
    at_random = voted.votes("raises_at_random")
    assert set(at_random) == {FAULT, 1}
    assert 20 < at_random.count(FAULT) < 70


def test_the_loop_goes_on(voted: Voted) -> None:
    project, world = voted.project, voted.world
    weak = consolidate(project)
    assert weak.chosen["spam"]
    note = project.store.projects.notes("spam")["weak"]["spam"]
    assert {"begs", "music"} <= set(note["functions"])
    labels = project.columns.read("spam", WEAK, "spam", note["chosen"], note["version"], TASKS, fill=np.nan)
    gold = [world.gold[task.id] for task in project.store.tasks.between("spam", 0, TASKS)]
    spam = [row for row, label in enumerate(gold) if label == "spam"]
    assert np.isfinite(labels[spam]).all(), "a spam comment is covered by `begs`, whatever failed beside it"
    assert rank(project).ranked > 0
    push(project)
    for _ in range(2):
        world.label("ann", 15)
        world.label("bob", 15)
        pull(project)
        consolidate(project)
        flag(project)
        rank(project)
        push(project)
    assert train(project).version
    assert vote(project).computed == {}, "what failed is not run again and again"
    assert set(FAULTS) <= {name.removesuffix(" (vote)") for name in status(project).faults}, "status speaks of them"

    path = world.folder / "functions.py"
    text = path.read_text(encoding="utf-8").replace("    sys.exit(3)", "    return None")
    path.write_text(text, encoding="utf-8")
    again = vote(voted.project)
    assert again.computed == {"calls_sys_exit": TASKS}, "the mended one votes, and it alone"
    assert again.faults == {}
    assert set(voted.votes("calls_sys_exit")) == {ABSTAIN}
