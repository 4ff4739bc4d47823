"""Laws of the store, tried on many inputs: JSON survives; annotations follow a simple model of what a pull means."""

from __future__ import annotations

import itertools
import math
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from adapter.errors import StoreError
from adapter.store import NewRow, Store
from adapter.store.encoding import cleaned, from_json, storable, to_json
from adapter.vocabulary import Annotation

WILD_TEXT = st.text(alphabet=st.characters(exclude_categories=()), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WILD_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WILD_TEXT, inner, max_size=4),
    max_leaves=12,
)
START = datetime(2025, 1, 1, tzinfo=UTC)


@given(JSON)
def test_json_comes_back_as_it_went_and_fits_any_database(value: Any) -> None:
    text = to_json(value)
    assert storable(text)
    assert from_json(text) == value


@given(WILD_TEXT)
def test_cleaned_text_is_storable_and_good_text_stays(text: str) -> None:
    assert storable(cleaned(text))
    assert len(cleaned(text)) == len(text)
    if storable(text):
        assert cleaned(text) == text


@pytest.mark.parametrize("huge", [0, 10**40])
def test_numbers_that_json_lacks_become_null(huge: int) -> None:
    assert from_json(to_json([math.nan, math.inf, (1, 2), huge])) == [None, None, [1, 2], huge]


def test_what_is_not_json_is_refused_in_words() -> None:
    with pytest.raises(StoreError, match="cannot be written as JSON"):
        to_json({"x": object()})
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(StoreError, match="nested deeper"):
        to_json(deep)


class PulledAnnotations(RuleBasedStateMachine):
    """The store against a dictionary: each pull brings the full set of some tasks."""

    tasks = ("a", "b", "c")

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.store = Store(f"sqlite:///{Path(self.folder.name) / 'hitl.db'}")
        self.store.migrate()
        self.store.projects.ensure("p", "d")
        self.store.tasks.add("p", [NewRow(name, {}, name) for name in self.tasks], blind=lambda _: False)
        self.there: dict[str, dict[int, Annotation]] = {name: {} for name in self.tasks}
        self.ever: dict[str, set[int]] = {name: set() for name in self.tasks}
        self.digests: dict[str, Any] = {}

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()

    @rule(
        pulled=st.dictionaries(
            st.sampled_from(tasks),
            st.dictionaries(
                st.integers(1, 4),
                st.tuples(st.sampled_from(["spam", "ham"]), st.booleans(), st.integers(0, 2)),
                max_size=3,
            ),
            max_size=3,
        )
    )
    def pull(self, pulled: dict[str, dict[int, tuple[str, bool, int]]]) -> None:
        sets = {
            task: {number: self.make(task, number, *facts) for number, facts in items.items()}
            for task, items in pulled.items()
        }
        change = self.store.annotations.record_many("p", {task: list(items.values()) for task, items in sets.items()})
        keys = [(task, number) for task, items in sets.items() for number in items]
        assert change.created == sum(number not in self.ever[task] for task, number in keys)
        assert change.deleted == sum(len(self.there[task].keys() - items.keys()) for task, items in sets.items())
        assert change.same == sum(self.there[task].get(number) == sets[task][number] for task, number in keys)
        assert change.changed == len(keys) - change.created - change.same
        for task, items in sets.items():
            self.there[task] = items
            self.ever[task] |= items.keys()
        again = self.store.annotations.record_many("p", {task: list(items.values()) for task, items in sets.items()})
        assert (again.created, again.changed, again.deleted) == (0, 0, 0)

    @staticmethod
    def make(task: str, number: int, label: str, cancelled: bool, minute: int) -> Annotation:
        return Annotation(
            id=number,
            task_id=task,
            annotator=f"ann{number % 2}",
            values={"spam": [label]},
            result=(),
            created_at=START,
            updated_at=START + timedelta(minutes=minute),
            cancelled=cancelled,
        )

    @invariant()
    def the_store_holds_the_last_full_sets(self) -> None:
        if not hasattr(self, "there"):
            return
        voting = {
            task: {number: item for number, item in items.items() if not item.cancelled}
            for task, items in self.there.items()
        }
        found = self.store.annotations.voting("p")
        assert {task: {item.id: item for item in items} for task, items in found.items()} == {
            task: items for task, items in voting.items() if items
        }
        assert self.store.annotations.count("p") == sum(map(len, voting.values()))
        totals = self.store.annotations.totals("p")
        kept = sum(map(len, self.there.values()))
        assert totals.deleted == sum(map(len, self.ever.values())) - kept
        assert totals.cancelled == kept - totals.votes
        said = sorted(
            (task, n, item.annotator, str(item.values)) for task, items in voting.items() for n, item in items.items()
        )
        digest = self.store.annotations.digest("p")
        assert self.digests.setdefault(digest, said) == said
        assert list(self.digests.values()).count(said) == 1


PulledAnnotations.TestCase.settings = settings(max_examples=12, stateful_step_count=8, deadline=None)
TestPulledAnnotations = PulledAnnotations.TestCase


@settings(max_examples=15, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 5)), max_size=8), max_size=5))
def test_however_rows_are_batched_the_pool_is_the_same(batches: list[list[tuple[int, int]]]) -> None:
    rows = [NewRow(f"t{n}", {"c": c}, f"c{c}") for n, c in itertools.chain.from_iterable(batches)]
    with tempfile.TemporaryDirectory() as folder:
        with Store(f"sqlite:///{folder}/hitl.db") as store:
            store.migrate()
            store.projects.ensure("batched", "")
            store.projects.ensure("whole", "")
            done = [
                store.tasks.add(
                    "batched", [NewRow(f"t{n}", {"c": c}, f"c{c}") for n, c in batch], blind=lambda _: False
                )
                for batch in batches
            ]
            whole = store.tasks.add("whole", rows, blind=lambda _: False)
            assert store.tasks.between("batched", 0, 99) == store.tasks.between("whole", 0, 99)
        assert sum(added.new for added in done) == whole.new == len({row.id for row in rows})
        assert sum(added.duplicates for added in done) == whole.duplicates
        assert sum(added.known for added in done) == whole.known
        assert [task_id for added in done for task_id in added.changed] == list(whole.changed)
