"""Who gets what: rules, fair queues, caps, gold tasks, work-stealing."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from adapter.core.crowd.skill import Skill
from adapter.core.routing import (
    ALL_AT_CAP,
    BY_ROUTER,
    EMPTY_QUEUE,
    NOBODY_FITS,
    Given,
    RoutingTask,
    Worker,
    assign,
    fits,
    gold_due,
    rule_of,
    steal,
)
from adapter.policies import RoutingPolicy, Rule


def skill(accuracy: float, n: int = 50) -> Skill:
    return Skill(accuracy, accuracy - 0.05, accuracy + 0.05, n)


def policy(*rules: dict[str, Any], **fields: Any) -> RoutingPolicy:
    return RoutingPolicy(enabled=True, rules=tuple(Rule(**rule) for rule in rules), **fields)


def task(number: int, **fields: Any) -> RoutingTask:
    return RoutingTask(f"t{number}", priority=number, **fields)


def whom(found: list[Given]) -> dict[str, set[str]]:
    out: dict[str, set[str]] = {}
    for one in found:
        out.setdefault(one.task_id, set()).update(one.annotators)
    return out


HARD = {"when": "hard", "at_least": 0.7, "to": "skilled", "accuracy": 0.9}
ANN, BOB, CY = Worker("ann", skill(0.95)), Worker("bob", skill(0.8)), Worker("cy")


class TestRules:
    def test_the_first_rule_that_fits_a_task_decides(self) -> None:
        rules = policy(
            HARD,
            {"when": "class", "labels": ("spam",), "to": "good-at"},
            {"when": "subgroup", "field": "country", "labels": ("de",), "to": "tier:german"},
            {"when": "always"},
            tiers={"german": ("cy",)},
        )
        known = [
            (task(1, uncertainty=0.7, label="spam"), "hard"),
            (task(2, disagreement=0.9), "hard"),
            (task(3, uncertainty=0.69, label="spam"), "class"),
            (task(4, label="ham", subgroup={"country": "de"}), "subgroup"),
            (task(5), "always"),
        ]
        for one, when in known:
            rule = rule_of(one, rules)
            assert rule is not None
            assert rule.when == when
        assert rule_of(task(1), policy()) is None

    def test_skill_counts_once_it_was_judged_often_enough(self) -> None:
        rule = Rule(to="skilled", accuracy=0.9, judged=10)
        assert fits(ANN, task(1), rule)
        assert not fits(BOB, task(1), rule)
        assert not fits(CY, task(1), rule)
        assert not fits(Worker("new", skill(0.99, n=9)), task(1), rule)

    def test_good_at_looks_at_the_likeliest_label(self) -> None:
        rule = Rule(when="class", labels=("a", "b"), to="good-at", accuracy=0.9)
        person = Worker("ann", skill(0.5), {"a": skill(0.95), "b": skill(0.6)})
        assert fits(person, task(1, label="a"), rule)
        assert not fits(person, task(1, label="b"), rule)
        assert not fits(person, task(1, label="c"), rule)

    @pytest.mark.parametrize(
        ("fields", "advice"),
        [
            ({"rules": ({"to": "skiled"},)}, "Did you mean 'skilled'"),
            ({"rules": ({"to": "tier:expert"},), "tiers": {"experts": ("a",)}}, "Did you mean 'experts'"),
            ({"rules": ({"when": "class"},)}, "needs `labels`"),
            ({"rules": ({"when": "subgroup", "labels": ("x",)},)}, "needs `field`"),
            ({"way": "project"}, "'views', 'projects' or 'enterprise'"),
            ({"annotators": ("a;b",)}, "no annotator's name"),
            ({"caps": {" ": 3}}, "no annotator's name"),
        ],
    )
    def test_senseless_settings_are_refused_with_advice(self, fields: dict[str, Any], advice: str) -> None:
        with pytest.raises(ValidationError, match=advice):
            RoutingPolicy.model_validate(fields)


class TestAssign:
    def test_hard_tasks_go_to_skilled_people_and_easy_ones_to_the_shortest_queue(self) -> None:
        tasks = [task(n, uncertainty=0.9 if n % 2 else 0.1) for n in range(8)]
        found = assign(tasks, [ANN, BOB, CY], policy(HARD, ahead=4))
        got = whom(found)
        assert all(got[f"t{n}"] == {"ann"} for n in (1, 3, 5, 7))
        assert all(got[f"t{n}"] <= {"bob", "cy"} for n in (0, 2, 4, 6))
        assert Counter(name for names in got.values() for name in names) == {"ann": 4, "bob": 2, "cy": 2}
        assert {one.why for one in found} == {"hard tasks (from 0.7) to skilled people", "no rule fits: anyone"}

    def test_every_seat_is_another_person_and_nobody_who_answered(self) -> None:
        found = assign([task(1, seats=2, taken=frozenset({"ann"}))], [ANN, BOB, CY], policy())
        assert whom(found) == {"t1": {"bob", "cy"}}
        assert whom(assign([task(1, seats=3, taken=frozenset({"ann"}))], [ANN, BOB], policy())) == {"t1": {"bob"}}

    def test_queues_and_caps_are_kept(self) -> None:
        full, capped = replace(ANN, queue=3), replace(BOB, cap=5, done_today=4)
        got = whom(assign([task(n) for n in range(9)], [full, capped], policy(ahead=4)))
        assert Counter(name for names in got.values() for name in names) == {"ann": 1, "bob": 1}
        assert assign([task(1)], [replace(CY, cap=0)], policy()) == []

    def test_first_tasks_first(self) -> None:
        got = whom(assign([task(n) for n in (5, 1, 3, 2, 4)], [ANN], policy(ahead=3)))
        assert sorted(got) == ["t1", "t2", "t3"]

    def test_a_task_whose_people_are_busy_waits_for_them(self) -> None:
        busy = replace(ANN, queue=4)
        assert assign([task(1, uncertainty=1.0)], [busy, replace(BOB, queue=1)], policy(HARD, ahead=4)) == []

    def test_a_task_that_nobody_fits_goes_to_anyone_and_says_so(self) -> None:
        (one,) = assign([task(1, uncertainty=1.0)], [BOB, CY], policy(HARD))
        assert NOBODY_FITS in one.why
        (one,) = assign([task(1, uncertainty=1.0, taken=frozenset({"ann"}))], [ANN, BOB], policy(HARD))
        assert (one.annotators, NOBODY_FITS in one.why) == (("bob",), True)

    def test_a_task_whose_people_reached_their_cap_goes_to_anyone_and_says_so(self) -> None:
        (one,) = assign([task(1, uncertainty=1.0)], [replace(ANN, cap=3, done_today=3), BOB], policy(HARD))
        assert (one.annotators, ALL_AT_CAP in one.why) == (("bob",), True)

    def test_nobody_waits_while_there_is_work_except_before_a_tier(self) -> None:
        busy = replace(ANN, queue=4, tiers=("experts",))
        hard = [task(n, uncertainty=1.0) for n in range(6)]
        found = assign(hard, [busy, BOB], policy(HARD, ahead=4, keep=2))
        assert {(one.task_id, one.annotators, one.why) for one in found} == {
            ("t0", ("bob",), EMPTY_QUEUE),
            ("t1", ("bob",), EMPTY_QUEUE),
        }
        guarded = policy({"when": "hard", "to": "tier:experts"}, tiers={"experts": ("ann",)}, ahead=4)
        assert assign(hard, [busy, BOB], guarded) == []

    def test_a_router_decides_in_place_of_the_rules(self) -> None:
        tasks = [task(1, uncertainty=1.0), task(2, uncertainty=1.0)]
        found = assign(tasks, [ANN, BOB, CY], policy(HARD), named={"t1": ["cy", "bob"]})
        (by_router,) = [one for one in found if one.task_id == "t1"]
        assert by_router.why == BY_ROUTER
        assert set(by_router.annotators) <= {"bob", "cy"}
        assert whom(found)["t2"] == {"ann"}
        busy = assign([tasks[0]], [replace(CY, queue=10), BOB], policy(ahead=10), named={"t1": ["cy"]})
        assert busy == [], "it waits for the one who was chosen"

    def test_nothing_to_give_or_nobody_to_give_to(self) -> None:
        assert assign([], [ANN], policy()) == []
        assert assign([task(1)], [], policy()) == []

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.tuples(st.floats(0, 1), st.integers(1, 3), st.sets(st.sampled_from("abcde"))), min_size=1, max_size=25
        ),
        st.lists(
            st.tuples(st.floats(0.5, 1), st.integers(0, 6), st.none() | st.integers(0, 8)), min_size=1, max_size=5
        ),
        st.integers(0, 3),
        st.randoms(use_true_random=False),
    )
    def test_whatever_comes_the_promises_hold(
        self, raw_tasks: list[Any], raw_people: list[Any], seed: int, shuffler: Any
    ) -> None:
        rules = policy(HARD, ahead=5)
        tasks = [task(n, uncertainty=u, seats=s, taken=frozenset(taken)) for n, (u, s, taken) in enumerate(raw_tasks)]
        people = [Worker("abcde"[i], skill(a), queue=q, cap=c) for i, (a, q, c) in enumerate(raw_people)]
        found = assign(tasks, people, rules, seed=seed)
        known, load = {t.task_id: t for t in tasks}, Counter(n for one in found for n in one.annotators)
        seen: set[tuple[str, str]] = set()
        for one in found:
            for name in one.annotators:
                assert name not in known[one.task_id].taken
                assert (one.task_id, name) not in seen
                seen.add((one.task_id, name))
        for one in tasks:
            assert sum(pair[0] == one.task_id for pair in seen) <= one.seats
        for worker in people:
            assert worker.queue + load[worker.name] <= max(rules.ahead, worker.queue)
            assert load[worker.name] <= worker.left_today
        # No starvation: a person without work gets some if any seat is open to them.
        for worker in people:
            if worker.queue + load[worker.name] == 0 and worker.left_today >= 1:
                for one in tasks:
                    full = sum(pair[0] == one.task_id for pair in seen) >= one.seats
                    assert full or worker.name in one.taken
        shuffler.shuffle(tasks)
        shuffler.shuffle(people)
        again = assign(tasks, people, rules, seed=seed)
        assert sorted(map(repr, again)) == sorted(map(repr, found))

    def test_a_thousand_tasks_and_two_hundred_people_take_no_time(self) -> None:
        tasks = [task(n, uncertainty=n % 10 / 10, seats=1 + n % 2) for n in range(1000)]
        people = [Worker(f"p{n}", skill(0.7 + n % 30 / 100)) for n in range(200)]
        started = time.perf_counter()
        found = assign(tasks, people, policy(HARD))
        assert time.perf_counter() - started < 2.0
        assert sum(len(one.annotators) for one in found) == 1500


class TestSteal:
    def held(self, name: str, count: int, **fields: Any) -> list[RoutingTask]:
        return [replace(task(n, **fields), task_id=f"{name}{n}", taken=frozenset({name})) for n in range(count)]

    def test_an_empty_queue_takes_half_of_what_stands_behind_the_longest_head(self) -> None:
        queues = {"ann": self.held("ann", 10), "bob": self.held("bob", 5)}
        moves = steal(queues, [replace(ANN, queue=10), replace(BOB, queue=5), CY], policy(keep=2))
        assert {(one.annotators, one.taken_from) for one in moves} == {(("cy",), "ann")}
        assert {one.task_id for one in moves} == {"ann6", "ann7", "ann8", "ann9"}
        assert all("ann" in one.why for one in moves)

    def test_heads_stay_since_they_may_be_open_on_the_page(self) -> None:
        assert steal({"ann": self.held("ann", 2)}, [ANN, CY], policy(keep=2)) == []
        moves = steal({"ann": self.held("ann", 3)}, [ANN, CY], policy(keep=2))
        assert [one.task_id for one in moves] == ["ann2"]

    def test_nobody_takes_what_they_have_answered_what_is_bound_or_more_than_their_cap(self) -> None:
        queue = [replace(one, taken=one.taken | {"cy"}) for one in self.held("ann", 6)]
        assert steal({"ann": queue}, [ANN, CY], policy()) == []
        plain = self.held("ann", 6)
        assert steal({"ann": plain}, [ANN, CY], policy(), bound={one.task_id for one in plain}) == []
        assert len(steal({"ann": plain}, [ANN, replace(CY, cap=1)], policy())) == 1
        assert steal({"ann": plain}, [ANN, replace(CY, cap=1, done_today=1)], policy()) == []

    def test_tasks_that_fit_the_taker_go_first_and_tiers_keep_theirs(self) -> None:
        rules = policy(HARD, keep=2)
        mixed = [
            replace(task(n, uncertainty=0.9 if n > 3 else 0.0), task_id=f"m{n}", taken=frozenset({"ann"}))
            for n in range(6)
        ]
        moves = steal({"ann": mixed}, [ANN, BOB], rules)
        assert {one.task_id for one in moves} == {"m2", "m3"}
        tiers = policy({"when": "hard", "to": "tier:x"}, tiers={"x": ("ann",)}, keep=2)
        moves = steal({"ann": mixed}, [replace(ANN, tiers=("x",)), BOB], tiers)
        assert {one.task_id for one in moves} == {"m2", "m3"}

    def test_several_empty_queues_share_and_the_order_of_people_does_not_matter(self) -> None:
        queues = {"ann": self.held("ann", 12)}
        people = [replace(ANN, queue=12), BOB, CY]
        moves = steal(queues, people, policy(keep=2))
        assert {one.annotators[0] for one in moves} == {"bob", "cy"}
        assert steal(queues, people[::-1], policy(keep=2)) == moves


class TestGoldDue:
    @pytest.mark.parametrize("rate", [0.05, 0.2, 1.0])
    def test_the_share_is_kept_at_any_length(self, rate: float) -> None:
        gold = 0
        for done in range(1000):
            gold += gold_due(done, gold, rate, name="ann")
            assert abs(gold - rate * done) <= 1 + rate, done
            assert gold_due(done, gold, rate, name="ann") == 0

    def test_places_differ_between_people_and_are_the_same_every_time(self) -> None:
        def places(name: str) -> list[int]:
            found, gold = [], 0
            for number in range(300):
                if gold_due(number, gold, 0.1, name=name):
                    found.append(number)
                    gold += 1
            return found

        assert places("ann") == places("ann")
        assert places("ann") != places("bob")
        assert len(set(Counter(b - a for a, b in zip(places("ann"), places("ann")[1:], strict=False)))) > 3

    def test_without_a_rate_there_is_none(self) -> None:
        assert gold_due(1000, 0, 0.0, name="ann") == 0
