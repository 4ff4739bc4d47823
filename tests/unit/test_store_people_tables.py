"""Laws of the tables about people: what is stored comes back, again is no news, a place is what stands there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from adapter.errors import StoreError
from adapter.store import NewRow, Store
from adapter.store.encoding import cleaned
from adapter.vocabulary import Decision, GoldLabel, Review, Routed

START = datetime(2025, 1, 1, tzinfo=UTC)
TASKS = ("a", "b", "c")
WILD_TEXT = st.text(alphabet=st.characters(exclude_categories=()), max_size=10)
JSON = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WILD_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WILD_TEXT, inner, max_size=3),
    max_leaves=6,
)
_NAMES = itertools.count()
MANY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store(f"sqlite:///{tmp_path_factory.mktemp('people') / 'hitl.db'}") as opened:
        opened.migrate()
        yield opened


def fresh(store: Store) -> str:
    """A project of its own with three tasks."""
    name = f"p{next(_NAMES)}"
    store.projects.ensure(name, "")
    store.tasks.add(name, [NewRow(task, {}, task) for task in TASKS], blind=lambda _: False)
    return name


@MANY
@given(value=JSON, by=WILD_TEXT)
def test_any_gold_value_comes_back_and_again_is_no_news(store: Store, value: Any, by: str) -> None:
    name = fresh(store)
    row = GoldLabel("a", "x", value, "given", by, START)
    assert store.gold.put(name, [row]) == 1
    assert store.gold.put(name, [row]) == 0
    (found,) = store.gold.all(name)
    assert (found.value, found.by) == (value, cleaned(by))


@MANY
@given(value=JSON, words=WILD_TEXT, lead=st.none() | st.floats(allow_nan=True, allow_infinity=True))
def test_any_decision_comes_back_and_again_is_no_news(store: Store, value: Any, words: str, lead: float | None) -> None:
    name = fresh(store)
    row = Review("a", "x", words, Decision.CORRECT, None, value, 1, words, START, lead)
    assert store.reviews.record(name, [row]) == 1
    assert store.reviews.record(name, [row]) == 0
    assert store.reviews.record_places(name, {7: [row]}).changed == (row,)
    assert store.reviews.record_places(name, {7: [row]}).changed == ()
    (found,) = store.reviews.all(name)
    assert (found.value, found.reviewer, found.why) == (value, cleaned(words), cleaned(words))


def test_a_transaction_that_fails_writes_nothing(store: Store) -> None:
    name = fresh(store)
    good = GoldLabel("a", "x", 1, "given", "lead", START)
    with pytest.raises(StoreError):
        store.gold.put(name, [good, GoldLabel("nowhere", "x", 1, "given", "lead", START)])
    with pytest.raises(StoreError):
        store.routed.give(name, [Routed("a", "ann", "", START), Routed("nowhere", "ann", "", START)])
    assert store.gold.all(name) == []
    assert store.routed.of(name) == []


def test_detached_decisions_stand_whatever_becomes_of_the_place(store: Store) -> None:
    name = fresh(store)
    row = Review("a", "x", "eve", Decision.ACCEPT, 1, 1, 1, "", START)
    store.reviews.record_places(name, {7: [row]})
    store.reviews.detach(name)
    assert store.reviews.at_places(name) == {}
    assert store.reviews.record_places(name, {7: []}).withdrawn == 0
    assert store.reviews.all(name) == [row]


def test_projects_do_not_see_each_other_s_people(store: Store) -> None:
    one, other = fresh(store), fresh(store)
    store.gold.put(one, [GoldLabel("a", "x", 1, "given", "lead", START)])
    store.reviews.record(one, [Review("a", "x", "eve", Decision.REJECT, 1, None, 1, "", START)])
    store.routed.give(one, [Routed("a", "ann", "", START)])
    assert store.gold.drop(other, ["a"]) == 0
    assert store.reviews.withdraw(other, [1]) == 0
    assert store.routed.withdraw(other, [("a", "ann")]) == 0
    assert [len(store.gold.all(one)), len(store.reviews.all(one)), len(store.routed.of(one))] == [1, 1, 1]


class Places(RuleBasedStateMachine):
    """What stands after any pulls of a review project is what each place held last."""

    store: Store

    @initialize()
    def begin(self) -> None:
        self.name = fresh(self.store)
        self.places: dict[int, dict[int, Review]] = {}
        self.ever: set[int] = set()

    @rule(place=st.integers(1, 3), numbers=st.sets(st.integers(0, 4), max_size=3), decision=st.sampled_from(Decision))
    def pull(self, place: int, numbers: set[int], decision: Decision) -> None:
        rows = {
            place * 10 + n: Review(
                TASKS[place - 1], "x", "eve", decision, None, n, place * 10 + n, "", START + timedelta(seconds=n)
            )
            for n in numbers
        }
        before = self.places.get(place, {})
        told = self.store.reviews.record_places(self.name, {place: list(rows.values())})
        assert {row.annotation for row in told.changed} == {n for n, row in rows.items() if before.get(n) != row}
        assert told.withdrawn == len(before.keys() - rows.keys())
        self.places[place] = rows
        self.ever |= rows.keys()

    @invariant()
    def what_stands_is_what_was_there_last(self) -> None:
        expected = {number for rows in self.places.values() for number in rows}
        assert {row.annotation for row in self.store.reviews.all(self.name)} == expected
        kept = self.store.reviews.at_places(self.name)
        assert {row.annotation for rows in kept.values() for row in rows} == self.ever


def test_places(store: Store) -> None:
    bound: type[Places] = type("Bound", (Places,), {"store": store})
    run_state_machine_as_test(bound, settings=settings(max_examples=15, stateful_step_count=12, deadline=None))
