"""What the store does, on SQLite and on PostgreSQL, by the same tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa

from adapter.errors import ModelError, StoreError
from adapter.store import WITHDRAWN, Intent, NewRow, Part, Store
from adapter.vocabulary import (
    Annotation,
    Consensus,
    Decision,
    Fault,
    Flag,
    FlagReason,
    GoldLabel,
    ModelState,
    ModelVersion,
    Ranked,
    Review,
    Routed,
)

NOON = datetime(2025, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def row(task_id: str, content: str = "", **data: Any) -> NewRow:
    return NewRow(task_id, data or {"text": task_id}, content or f"content of {task_id}", {}, 1)


def fill(store: Store, *ids: str) -> None:
    store.tasks.add("p", [row(task_id) for task_id in ids], blind=lambda _: False)


def annotation(number: int, task_id: str = "a", **changes: Any) -> Annotation:
    return replace(
        Annotation(
            id=number,
            task_id=task_id,
            annotator="ann",
            values={"spam": ("ham",)},
            result=({"from_name": "spam", "value": {"choices": ["ham"]}},),
            created_at=NOON + timedelta(seconds=number),
            updated_at=NOON + timedelta(seconds=number),
            lead_time=1.5,
        ),
        **changes,
    )


class TestProjects:
    def test_ensure_makes_a_project_once(self, store: Store) -> None:
        made = store.projects.ensure("q", "d1")
        again = store.projects.ensure("q", "d1")
        assert made == again
        assert (made.name, made.platform_id, made.mark, made.label_config_digest) == ("q", None, None, "d1")
        assert made.created_at.tzinfo is not None
        assert [project.name for project in store.projects.all()] == ["p", "q"]

    def test_ensure_notes_a_new_label_config(self, store: Store) -> None:
        assert store.projects.ensure("p", "another").label_config_digest == "another"

    def test_binding_and_mark_are_kept_and_removed(self, store: Store) -> None:
        store.projects.bind("p", 17)
        store.projects.set_mark("p", "2025-03-01T12:00:00Z")
        found = store.projects.get("p")
        assert found is not None
        assert (found.platform_id, found.mark) == (17, "2025-03-01T12:00:00Z")
        store.projects.bind("p", None)
        store.projects.set_mark("p", None)
        found = store.projects.get("p")
        assert found is not None
        assert (found.platform_id, found.mark) == (None, None)

    def test_notes_hold_any_json_and_none_removes_them(self, store: Store) -> None:
        store.projects.note("p", "b", {"x": [1, 2.5, None, "ü\x00\ud800", 10**30, float("nan")]})
        store.projects.note("p", "a", 1)
        store.projects.note("p", "a", False)
        assert store.projects.notes("p") == {"a": False, "b": {"x": [1, 2.5, None, "ü\x00\ud800", 10**30, None]}}
        assert store.projects.notes("p", "a", "missing") == {"a": False}
        store.projects.note("p", "a", None)
        assert list(store.projects.notes("p")) == ["b"]
        assert store.projects.notes("p", "a") == {}

    def test_an_unknown_project_has_nothing_and_takes_nothing(self, store: Store) -> None:
        assert store.projects.get("nobody") is None
        assert store.projects.get("no\x00body") is None
        assert store.tasks.count("nobody") == 0
        assert store.annotations.voting("nobody") == {}
        assert store.ledger.placements("nobody") == []
        with pytest.raises(StoreError, match=r"no project 'nobody'.*hitl ingest"):
            store.tasks.add("nobody", [row("a")], blind=lambda _: False)

    def test_projects_do_not_see_each_other(self, store: Store) -> None:
        store.projects.ensure("q", "")
        fill(store, "a", "b")
        store.tasks.add("q", [row("b")], blind=lambda _: True)
        assert [task.seq for task in store.tasks.get("q", ["a", "b"])] == [0]
        assert store.tasks.count("p") == 2


class TestTasks:
    def test_rows_are_numbered_densely_in_order(self, store: Store) -> None:
        fill(store, "c", "a")
        added = store.tasks.add("p", [row("b"), row("a"), row("d")], blind=lambda _: False)
        assert (added.new, added.known, added.duplicates, added.changed) == (2, 1, 0, ())
        assert [(task.seq, task.id) for task in store.tasks.between("p", 0, 10)] == [
            (0, "c"),
            (1, "a"),
            (2, "b"),
            (3, "d"),
        ]
        assert store.tasks.count("p") == 4

    def test_the_same_rows_again_change_nothing(self, store: Store) -> None:
        rows = [row(f"t{number}") for number in range(50)]
        assert store.tasks.add("p", rows, blind=lambda _: True).new == 50
        before = store.tasks.between("p", 0, 50)
        assert [(id_, dict(data)) for id_, data in store.tasks.data_between("p", 0, 50)] == [
            (task.id, dict(task.data)) for task in before
        ]
        again = store.tasks.add("p", rows, blind=lambda _: False)
        assert (again.new, again.known) == (0, 50)
        assert store.tasks.between("p", 0, 50) == before

    def test_duplicates_point_to_the_first_within_and_across_batches(self, store: Store) -> None:
        first = store.tasks.add("p", [row("a", "x"), row("b", "x"), row("c", "y")], blind=lambda _: False)
        second = store.tasks.add("p", [row("d", "y"), row("e", "x"), row("f", "z")], blind=lambda _: False)
        assert (first.duplicates, second.duplicates) == (1, 2)
        originals = {task.id: task.duplicate_of for task in store.tasks.between("p", 0, 6)}
        assert originals == {"a": None, "b": "a", "c": None, "d": "c", "e": "a", "f": None}
        assert store.tasks.index("p").duplicate_of.tolist() == [-1, 0, -1, 2, 0, -1]

    def test_a_known_id_with_other_content_is_told_and_kept_as_it_was(self, store: Store) -> None:
        store.tasks.add("p", [row("a", "old", text="old")], blind=lambda _: False)
        added = store.tasks.add("p", [row("a", "new", text="new"), row("a", "newer")], blind=lambda _: False)
        assert (added.new, added.known, added.changed) == (0, 2, ("a", "a"))
        assert store.tasks.get("p", ["a"])[0].data == {"text": "old"}

    def test_an_id_twice_in_one_batch_is_one_task(self, store: Store) -> None:
        added = store.tasks.add("p", [row("a", "x"), row("a", "x"), row("a", "y")], blind=lambda _: False)
        assert (added.new, added.known, added.changed) == (1, 2, ("a",))

    def test_get_and_at_answer_in_the_order_asked_and_leave_out_the_unknown(self, store: Store) -> None:
        fill(store, "a", "b", "c")
        assert [task.id for task in store.tasks.get("p", ["c", "zz", "a", "\x00", "\ud800", "c"])] == ["c", "a", "c"]
        assert [task.id for task in store.tasks.at("p", [2, 99, 0, -1])] == ["c", "a"]
        assert store.tasks.get("p", []) == []

    def test_more_ids_than_a_statement_has_places_for(self, store: Store) -> None:
        fill(store, "a", "b")
        assert len(store.tasks.get("p", [f"x{n}" for n in range(100_000)] + ["b"])) == 1

    def test_hostile_data_comes_back_as_it_went(self, store: Store) -> None:
        data = {
            "text": "'); DROP TABLE hitl_tasks; --\x00\ud800\u2028",
            "": None,
            "deep": [[[{"a": 10**40}]]],
            "n": -0.5,
        }
        new = NewRow("'; --%s %(x)s :y ü 🙂", data, "c", {"land": "\x00"}, 7)
        store.tasks.add("p", [new], blind=lambda _: True)
        (task,) = store.tasks.get("p", [new.id])
        assert (task.data, task.subgroup, task.blind) == (data, {"land": "\x00"}, True)

    @pytest.mark.parametrize("bad", ["", "a\x00b", "\ud800", "x" * 501])
    def test_an_id_that_no_database_holds_is_refused_whole(self, store: Store, bad: str) -> None:
        with pytest.raises(StoreError, match="task id"):
            store.tasks.add("p", [row("good"), row(bad)], blind=lambda _: False)
        assert store.tasks.count("p") == 0

    def test_index_and_stream_show_the_whole_pool(self, store: Store) -> None:
        ids = [f"t{number}" for number in range(23)]
        store.tasks.add("p", [row(task_id) for task_id in ids], blind=lambda task_id: task_id.endswith("3"))
        index = store.tasks.index("p")
        assert index.ids.tolist() == ids
        assert [task_id for task_id, blind in zip(ids, index.blind, strict=True) if blind] == ["t3", "t13"]
        assert index.seq_of["t22"] == 22
        chunks = list(store.tasks.stream("p", chunk=10))
        assert [len(chunk) for chunk in chunks] == [10, 10, 3]
        assert [task.id for chunk in chunks for task in chunk] == ids

    def test_an_empty_pool_has_an_empty_index(self, store: Store) -> None:
        index = store.tasks.index("p")
        assert (len(index), index.blind.dtype, index.duplicate_of.dtype) == (0, "bool", "int64")
        assert list(store.tasks.stream("p")) == []


class TestLedger:
    def intend(self, store: Store, *ids: str) -> list[Intent]:
        fill(store, *ids)
        intents = [Intent(task_id, n, "margin", 1, n % 2 == 0) for n, task_id in enumerate(ids, start=1)]
        store.ledger.intend("p", intents)
        return intents

    def test_an_intent_is_pending_until_it_lands(self, store: Store) -> None:
        intents = self.intend(store, "a", "b")
        assert store.ledger.pending("p") == intents
        assert store.ledger.placements("p") == []
        store.ledger.landed("p", {"a": 11})
        assert store.ledger.pending("p") == intents[1:]
        (placed,) = store.ledger.placements("p")
        assert (placed.task_id, placed.platform_id, placed.priority, placed.reason) == ("a", 11, 1, "margin")
        assert (placed.gone, placed.done) == (False, False)
        assert placed.placed_at.tzinfo is not None

    def test_an_intent_again_is_ignored_while_pending_or_placed(self, store: Store) -> None:
        self.intend(store, "a", "b")
        store.ledger.landed("p", {"a": 11})
        store.ledger.intend("p", [Intent("a", 9, "other", 3, True), Intent("b", 9, "other", 3, True)])
        assert store.ledger.pending("p")[0].priority == 2
        assert store.ledger.placements("p")[0].overlap == 1

    def test_a_task_that_is_gone_may_be_pushed_again_with_its_predictions(self, store: Store) -> None:
        self.intend(store, "a")
        store.ledger.landed("p", {"a": 11})
        store.ledger.set_done("p", ["a"], True)
        store.ledger.intend_predictions("p", "v1", ["a"])
        store.ledger.landed_predictions("p", "v1", ["a"])
        store.ledger.mark_gone("p", [11])
        assert store.ledger.placements("p")[0].gone
        assert store.ledger.task_ids("p", [11]) == {}
        assert store.ledger.predicted("p", "v1") == set()
        store.ledger.intend("p", [Intent("a", 5, "again")])
        assert store.ledger.pending("p") == [Intent("a", 5, "again")]
        store.ledger.landed("p", {"a": 12})
        (placed,) = store.ledger.placements("p")
        assert (placed.platform_id, placed.gone, placed.done, placed.priority) == (12, False, False, 5)

    def test_forgetting_drops_only_what_is_pending(self, store: Store) -> None:
        self.intend(store, "a", "b")
        store.ledger.landed("p", {"a": 11})
        store.ledger.forget("p", {"a", "b"})
        assert store.ledger.pending("p") == []
        assert [placed.task_id for placed in store.ledger.placements("p")] == ["a"]

    def test_landing_without_an_intent_or_on_a_taken_place_notes_nothing(self, store: Store) -> None:
        self.intend(store, "a", "b")
        with pytest.raises(StoreError, match="never intended"):
            store.ledger.landed("p", {"a": 1, "zz": 2})
        with pytest.raises(StoreError):
            store.ledger.landed("p", {"a": 1, "b": 1})
        assert len(store.ledger.pending("p")) == 2

    def test_an_intent_for_a_task_that_is_not_in_the_pool_is_refused(self, store: Store) -> None:
        with pytest.raises(StoreError, match="Ingest the tasks first"):
            store.ledger.intend("p", [Intent("nobody", 1, "")])

    def test_platform_ids_lead_back_to_our_ids(self, store: Store) -> None:
        self.intend(store, "a", "b")
        store.ledger.landed("p", {"a": 2**40, "b": 12})
        assert store.ledger.task_ids("p", [12, 2**40, 99, 10**30]) == {12: "b", 2**40: "a"}

    def test_overlap_and_done_are_set(self, store: Store) -> None:
        self.intend(store, "a", "b")
        store.ledger.landed("p", {"a": 11, "b": 12})
        store.ledger.set_overlap("p", "a", 3)
        store.ledger.set_done("p", {"a", "b"}, True)
        store.ledger.set_done("p", {"b"}, False)
        assert [(placed.overlap, placed.done) for placed in store.ledger.placements("p")] == [(3, True), (1, False)]

    def test_predictions_are_pending_until_they_land(self, store: Store) -> None:
        fill(store, "a", "b")
        store.ledger.intend_predictions("p", "v1", ["b", "a", "a"])
        store.ledger.landed_predictions("p", "v1", ["a"])
        store.ledger.intend_predictions("p", "v1", ["a"])
        assert store.ledger.pending_predictions("p", "v1") == ["b"]
        assert store.ledger.predicted("p", "v1") == {"a"}
        assert store.ledger.predicted("p", "v2") == set()


class TestAnnotations:
    @pytest.fixture(autouse=True)
    def _pool(self, store: Store) -> None:
        fill(store, "a", "b")

    def test_the_same_set_twice_changes_nothing(self, store: Store) -> None:
        given = [annotation(1), annotation(2, annotator="bea", lead_time=None, shown="m-1")]
        assert store.annotations.record("p", "a", given).created == 2
        again = store.annotations.record("p", "a", given)
        assert (again.created, again.changed, again.deleted, again.same) == (0, 0, 0, 2)
        stored = store.annotations.of_task("p", "a")
        assert [(item.id, item.annotator, item.lead_time, item.shown) for item in stored] == [
            (1, "ann", 1.5, None),
            (2, "bea", None, "m-1"),
        ]
        assert stored[0].created_at == NOON + timedelta(seconds=1)
        assert isinstance(stored[0].result, tuple)

    def test_what_is_absent_is_deleted_and_what_returns_is_changed(self, store: Store) -> None:
        store.annotations.record("p", "a", [annotation(1), annotation(2)])
        gone = store.annotations.record("p", "a", [annotation(2)])
        assert (gone.deleted, gone.same) == (1, 1)
        assert [item.id for item in store.annotations.voting("p")["a"]] == [2]
        assert store.annotations.of_task("p", "a")[0].deleted_at is not None
        assert store.annotations.record("p", "a", [annotation(2)]).deleted == 0
        back = store.annotations.record("p", "a", [annotation(1), annotation(2)])
        assert (back.created, back.changed, back.same) == (0, 1, 1)
        assert len(store.annotations.voting("p")["a"]) == 2

    def test_a_task_without_annotations_loses_those_it_had(self, store: Store) -> None:
        store.annotations.record_many("p", {"a": [annotation(1)], "b": [annotation(2, "b")]})
        assert store.annotations.record_many("p", {"a": []}).deleted == 1
        assert list(store.annotations.voting("p")) == ["b"]

    def test_ids_of_another_server_do_not_overwrite(self, store: Store) -> None:
        store.annotations.record("p", "a", [annotation(1)])
        store.annotations.record("p", "b", [annotation(1, "b", annotator="other")])
        assert store.annotations.of_task("p", "a")[0].annotator == "ann"

    def test_moments_of_any_zone_come_back_aware_and_equal(self, store: Store) -> None:
        tokyo = NOON.astimezone(timezone(timedelta(hours=9)))
        store.annotations.record("p", "a", [annotation(1, created_at=tokyo, updated_at=tokyo)])
        (stored,) = store.annotations.of_task("p", "a")
        assert stored.created_at == NOON
        assert stored.created_at.utcoffset() == timedelta(0)
        with pytest.raises(StoreError, match="time zone"):
            store.annotations.record("p", "a", [annotation(2, created_at=NOON.replace(tzinfo=None))])

    def test_totals_and_counts_see_only_what_counts(self, store: Store) -> None:
        items = [annotation(1), annotation(2, cancelled=True), annotation(3, annotator="bea"), annotation(4)]
        store.annotations.record("p", "a", items)
        store.annotations.record("p", "a", items[:3])
        store.annotations.record("p", "b", [annotation(9, "b")])
        totals = store.annotations.totals("p")
        assert (totals.votes, totals.cancelled, totals.deleted) == (3, 1, 1)
        assert (totals.tasks, totals.annotators) == (2, 2)
        assert store.annotations.count("p") == 3
        assert store.annotations.count("p", since=NOON + timedelta(seconds=3)) == 1

    def test_the_digest_changes_when_votes_change_and_only_then(self, store: Store) -> None:
        empty = store.annotations.digest("p")
        store.annotations.record("p", "a", [annotation(1), annotation(2, cancelled=True)])
        one = store.annotations.digest("p")
        assert one != empty
        store.annotations.record(
            "p", "a", [annotation(1, lead_time=99.0, updated_at=NOON), annotation(3, cancelled=True)]
        )
        assert store.annotations.digest("p") == one
        store.annotations.record("p", "a", [annotation(1, values={"spam": ("spam",)})])
        assert store.annotations.digest("p") not in (one, empty)
        store.annotations.record("p", "a", [])
        assert store.annotations.digest("p") == empty

    def test_hostile_annotations_are_kept(self, store: Store) -> None:
        wild = annotation(
            1,
            annotator="x\x00y",
            values={"spam": ["\ud800\x00"]},
            result=({"a": float("inf")},),
            lead_time=float("nan"),
        )
        assert store.annotations.record("p", "a", [wild]).created == 1
        assert store.annotations.record("p", "a", [wild]).same == 1
        (stored,) = store.annotations.of_task("p", "a")
        assert (stored.annotator, stored.values, stored.lead_time) == ("x\ufffdy", {"spam": ["\ud800\x00"]}, None)

    def test_an_unknown_task_is_refused_and_nothing_of_the_call_is_written(self, store: Store) -> None:
        with pytest.raises(StoreError):
            store.annotations.record_many("p", {"a": [annotation(1)], "nobody": [annotation(2, "nobody")]})
        assert store.annotations.voting("p") == {}

    def test_an_id_beyond_64_bits_is_an_error_of_ours(self, store: Store) -> None:
        with pytest.raises(StoreError):
            store.annotations.record("p", "a", [replace(annotation(1), id=2**70)])

    def test_strays_are_kept_whole_and_once(self, store: Store) -> None:
        store.annotations.stray("p", 5, 6, {"result": [1]}, "unknown")
        store.annotations.stray("p", 5, 6, {"result": [2]}, "still unknown")
        (stray,) = store.annotations.strays("p")
        assert (stray.platform_task_id, stray.annotation_id, stray.raw, stray.why) == (
            5,
            6,
            {"result": [2]},
            "still unknown",
        )


class TestConsensus:
    def test_replace_counts_what_really_changed(self, store: Store) -> None:
        fill(store, "a", "b")
        rows = [
            Consensus("b", "spam", None, 0.5, (0.5, 0.5), {"ann": ("ham",), "bea": ("spam",)}),
            Consensus("a", "spam", ("ham",), 0.9, (0.9, 0.1), {"ann": ("ham",)}),
        ]
        assert store.consensus.replace("p", rows) == 2
        assert store.consensus.replace("p", rows) == 0
        found = store.consensus.all("p", "spam")
        assert [(item.task_id, item.value, item.probabilities) for item in found] == [
            ("a", ["ham"], (0.9, 0.1)),
            ("b", None, (0.5, 0.5)),
        ]
        assert store.consensus.replace("p", [replace(rows[0], confidence=0.6)]) == 2
        assert [item.confidence for item in store.consensus.all("p")] == [0.6]
        assert store.consensus.all("p", "other") == []

    def test_how_it_was_made_and_what_to_start_from_are_kept(self, store: Store) -> None:
        fill(store, "a", "b")
        made = Consensus("a", "spam", ("ham",), 0.99, (), {"ann": ("ham",)}, "expert")
        open_ = Consensus("b", "spam", None, 0.5, (), {}, "majority", ({"labels": ["ham"]},), "a tie\x00")
        assert store.consensus.replace("p", [made, open_]) == 2
        assert store.consensus.replace("p", [made, open_]) == 0
        first, second = store.consensus.all("p")
        assert (first.method, first.proposal, first.why) == ("expert", None, "")
        assert (second.method, second.proposal, second.why) == ("majority", [{"labels": ["ham"]}], "a tie\ufffd")
        assert store.consensus.replace("p", [made, replace(open_, proposal=None)]) == 1


class TestGold:
    @pytest.fixture(autouse=True)
    def _pool(self, store: Store) -> None:
        fill(store, "a", "b")

    def gold(self, task_id: str, value: Any = ("ham",), control: str = "spam", **changes: Any) -> GoldLabel:
        return replace(GoldLabel(task_id, control, value, "given", "lead", NOON), **changes)

    def test_one_label_per_task_and_control(self, store: Store) -> None:
        rows = [self.gold("b"), self.gold("a", (), control="tone"), self.gold("a")]
        assert store.gold.put("p", rows) == 3
        assert store.gold.put("p", rows) == 0
        assert [(row.task_id, row.control, row.value) for row in store.gold.all("p")] == [
            ("a", "spam", ["ham"]),
            ("a", "tone", []),
            ("b", "spam", ["ham"]),
        ]
        assert [row.task_id for row in store.gold.all("p", "tone")] == ["a"]
        assert store.gold.all("p")[0].at == NOON

    def test_another_truth_replaces_the_first_and_another_moment_alone_does_not(self, store: Store) -> None:
        store.gold.put("p", [self.gold("a")])
        later = NOON + timedelta(days=1)
        assert store.gold.put("p", [self.gold("a", at=later)]) == 0
        assert store.gold.put("p", [self.gold("a", ("spam",), origin="adjudicated", by="eve\x00", at=later)]) == 1
        (row,) = store.gold.all("p")
        assert (row.value, row.origin, row.by, row.at) == (["spam"], "adjudicated", "eve\ufffd", later)

    def test_dropping_takes_one_control_or_all(self, store: Store) -> None:
        store.gold.put("p", [self.gold("a"), self.gold("a", control="tone"), self.gold("b")])
        assert store.gold.drop("p", ["a", "zzz"], "tone") == 1
        assert store.gold.drop("p", ["a", "b"]) == 2
        assert store.gold.all("p") == []
        assert store.gold.drop("p", []) == 0

    def test_ground_truth_marks_are_read_from_annotations_that_count(self, store: Store) -> None:
        marked = [
            annotation(2, ground_truth=True),
            annotation(1, ground_truth=True, values={"spam": ("spam",), "tone": None}),
            annotation(3),
            annotation(4, ground_truth=True, cancelled=True),
        ]
        store.annotations.record("p", "a", marked)
        found = [(row.task_id, row.control, row.value, row.by) for row in store.gold.marked("p")]
        assert found == [("a", "spam", ["spam"], "ann"), ("a", "spam", ["ham"], "ann")]
        store.annotations.record("p", "a", [])
        assert store.gold.marked("p") == []

    def test_gold_needs_a_task_and_a_value(self, store: Store) -> None:
        with pytest.raises(StoreError, match="not in the store"):
            store.gold.put("p", [self.gold("nowhere")])
        with pytest.raises(StoreError, match="without a value"):
            store.gold.put("p", [self.gold("a", None)])
        assert store.gold.all("p") == []


class TestReviews:
    @pytest.fixture(autouse=True)
    def _pool(self, store: Store) -> None:
        fill(store, "a", "b")

    def review(self, annotation: int, task_id: str = "a", control: str = "spam", **changes: Any) -> Review:
        return replace(
            Review(
                task_id=task_id,
                control=control,
                reviewer="eve",
                decision=Decision.ACCEPT,
                proposed=("ham",),
                value=("ham",),
                annotation=annotation,
                why="people differ",
                at=NOON + timedelta(seconds=annotation),
                lead_time=3.5,
            ),
            **changes,
        )

    def test_a_decision_comes_back_as_it_was(self, store: Store) -> None:
        rejected = self.review(7, decision=Decision.REJECT, proposed=None, value=None, lead_time=None)
        assert store.reviews.record("p", [rejected, self.review(5, control="tone")]) == 2
        first, second = store.reviews.all("p")
        assert second == rejected
        assert (first.annotation, first.control, first.value, first.lead_time) == (5, "tone", ["ham"], 3.5)
        assert second.decision is Decision.REJECT

    def test_the_same_decision_again_is_no_news_and_another_replaces_it(self, store: Store) -> None:
        assert store.reviews.record("p", [self.review(1)]) == 1
        assert store.reviews.record("p", [self.review(1)]) == 0
        assert store.reviews.record("p", [self.review(1, decision=Decision.CORRECT, value=("spam",))]) == 1
        assert [(row.decision, row.value) for row in store.reviews.all("p")] == [(Decision.CORRECT, ["spam"])]

    def test_latest_is_by_task_and_control(self, store: Store) -> None:
        store.reviews.record("p", [self.review(2, reviewer="kim"), self.review(1), self.review(3, "b")])
        latest = store.reviews.latest("p")
        assert {key: row.reviewer for key, row in latest.items()} == {("a", "spam"): "kim", ("b", "spam"): "eve"}

    def test_a_withdrawn_decision_does_not_stand_until_it_returns(self, store: Store) -> None:
        store.reviews.record("p", [self.review(1), self.review(1, control="tone"), self.review(2)])
        assert store.reviews.withdraw("p", [1, 99]) == 2
        assert store.reviews.withdraw("p", [1]) == 0
        assert [row.annotation for row in store.reviews.all("p")] == [2]
        assert store.reviews.record("p", [self.review(1)]) == 1
        assert [row.annotation for row in store.reviews.all("p")] == [1, 2]
        assert store.reviews.withdraw("p", []) == 0

    def test_a_place_holds_what_stands_there_and_remembers_what_stood(self, store: Store) -> None:
        first = store.reviews.record_places("p", {70: [self.review(1), self.review(1, control="tone")], 71: []})
        assert ([row.control for row in first.changed], first.withdrawn) == (["spam", "tone"], 0)
        again = store.reviews.record_places("p", {70: [self.review(1), self.review(1, control="tone")]})
        assert (again.changed, again.withdrawn) == ((), 0)
        store.reviews.record_places("p", {71: [self.review(4, "b")]})
        moved = store.reviews.record_places("p", {70: [self.review(2)]})
        assert ([row.annotation for row in moved.changed], moved.withdrawn) == ([2], 2)
        assert [row.annotation for row in store.reviews.all("p")] == [2, 4]
        there = store.reviews.at_places("p", [70, 99])
        assert {place: [row.annotation for row in rows] for place, rows in there.items()} == {70: [1, 1, 2]}
        assert set(store.reviews.at_places("p")) == {70, 71}
        assert store.reviews.record_places("p", {70: [], 71: []}).withdrawn == 2
        assert store.reviews.all("p") == []

    def test_a_decision_needs_a_task_of_the_pool(self, store: Store) -> None:
        with pytest.raises(StoreError, match="not in the store"):
            store.reviews.record("p", [self.review(1, "nowhere")])


class TestRouted:
    @pytest.fixture(autouse=True)
    def _pool(self, store: Store) -> None:
        fill(store, "a", "b", "c")

    def given(self, task_id: str, annotator: str, second: int = 0) -> Routed:
        return Routed(task_id, annotator, "hard, to the skilled", NOON + timedelta(seconds=second))

    def test_what_was_given_comes_back_oldest_first(self, store: Store) -> None:
        rows = [self.given("b", "ann", 2), self.given("c", "ann", 1), self.given("b", "bob", 3)]
        assert store.routed.give("p", rows) == 3
        assert store.routed.of("p") == [rows[1], rows[0], rows[2]]
        assert [row.task_id for row in store.routed.of("p", "ann")] == ["c", "b"]
        assert store.routed.of("p", "nobody\x00") == []

    def test_giving_again_keeps_what_is_there(self, store: Store) -> None:
        store.routed.give("p", [self.given("a", "ann")])
        assert store.routed.finish("p", [("a", "ann"), ("a", "bob")]) == 1
        assert store.routed.give("p", [self.given("a", "ann", 9), self.given("a", "bob", 9)]) == 1
        assert [(row.annotator, row.done) for row in store.routed.of("p")] == [("ann", True), ("bob", False)]

    def test_only_open_tasks_are_taken_back(self, store: Store) -> None:
        store.routed.give("p", [self.given("a", "ann"), self.given("b", "ann"), self.given("b", "bob")])
        store.routed.finish("p", [("a", "ann")])
        assert store.routed.finish("p", [("a", "ann")]) == 0
        assert store.routed.withdraw("p", [("a", "ann"), ("b", "ann"), ("c", "ann")]) == 1
        assert [(row.task_id, row.annotator) for row in store.routed.of("p")] == [("a", "ann"), ("b", "bob")]
        assert store.routed.withdraw("p", []) == store.routed.finish("p", []) == 0

    def test_a_pair_needs_a_task_and_a_name(self, store: Store) -> None:
        with pytest.raises(StoreError, match="not in the store"):
            store.routed.give("p", [self.given("nowhere", "ann")])
        with pytest.raises(StoreError, match="the annotator ''"):
            store.routed.give("p", [self.given("a", "")])


class TestFlags:
    @pytest.fixture(autouse=True)
    def _pool(self, store: Store) -> None:
        fill(store, "a", "b", "c")

    def flag(self, task_id: str, score: float = 0.5, **changes: Any) -> Flag:
        return replace(Flag(task_id, "spam", FlagReason.LABEL_ISSUE, score, {"given": "ham"}, "about"), **changes)

    def test_open_flags_come_most_doubtful_first(self, store: Store) -> None:
        assert store.flags.raise_("p", [self.flag("a", 0.2), self.flag("b", 0.9), self.flag("c", control="x")]) == 3
        assert [flag.task_id for flag in store.flags.open("p")] == ["b", "c", "a"]
        assert [flag.task_id for flag in store.flags.open("p", "spam")] == ["b", "a"]
        assert all(flag.id > 0 and flag.reason is FlagReason.LABEL_ISSUE for flag in store.flags.open("p"))

    def test_an_open_flag_again_gets_the_new_score(self, store: Store) -> None:
        store.flags.raise_("p", [self.flag("a", 0.2)])
        assert store.flags.raise_("p", [self.flag("a", 0.7, evidence={"given": "spam"})]) == 0
        (flag,) = store.flags.open("p")
        assert (flag.score, flag.evidence) == (0.7, {"given": "spam"})

    def test_a_resolved_flag_stays_resolved_unless_the_label_changes(self, store: Store) -> None:
        store.flags.raise_("p", [self.flag("a")])
        assert store.flags.resolve([store.flags.open("p")[0].id, 10**6], "label confirmed", NOON) == 1
        assert store.flags.raise_("p", [self.flag("a", 0.99)]) == 0
        assert store.flags.open("p") == []
        assert store.flags.raise_("p", [self.flag("a", about="another label")]) == 1
        resolved = [flag for flag in store.flags.all("p") if flag.resolved_at]
        assert [(flag.resolution, flag.resolved_at, flag.score) for flag in resolved] == [
            ("label confirmed", NOON, 0.5)
        ]

    def test_what_is_no_longer_raised_is_withdrawn_and_may_rise_again(self, store: Store) -> None:
        outlier = self.flag("c", reason=FlagReason.OUTLIER)
        store.flags.raise_("p", [self.flag("a"), self.flag("b"), outlier])
        keep = {("a", "spam", FlagReason.LABEL_ISSUE, "about")}
        assert store.flags.withdraw("p", keep, reasons=[FlagReason.LABEL_ISSUE], at=NOON) == 1
        assert {flag.task_id for flag in store.flags.open("p")} == {"a", "c"}
        assert [flag.resolution for flag in store.flags.all("p") if flag.task_id == "b"] == [WITHDRAWN]
        assert store.flags.raise_("p", [self.flag("b")]) == 1
        assert {flag.task_id for flag in store.flags.open("p")} == {"a", "b", "c"}


class TestRankings:
    def test_a_ranking_replaces_the_one_before(self, store: Store) -> None:
        fill(store, "a", "b", "c")
        assert store.rankings.basis("p") is None
        store.rankings.replace("p", [Ranked("a", 0, 1, "x", 0.5)], "first")
        rows = [Ranked("c", 2, 1, "margin", 0.9, True, 2), Ranked("b", 1, 2, "random", 0.1)]
        store.rankings.replace("p", rows, "second")
        assert store.rankings.current("p") == rows
        assert store.rankings.current("p", limit=1) == rows[:1]
        assert store.rankings.basis("p") == "second"
        store.rankings.replace("p", [], "third")
        assert store.rankings.current("p") == []


class TestModels:
    def model(self, number: int, **changes: Any) -> ModelVersion:
        made = ModelVersion(
            f"p-{number}-abc", number, "backends.linear:Linear", ModelState.CANDIDATE, {"acc": 0.5}, "d", "u", NOON
        )
        return replace(made, **changes)

    def test_promotion_retires_the_one_before(self, store: Store) -> None:
        assert (store.models.next_number("p"), store.models.current("p")) == (1, None)
        store.models.add("p", self.model(1))
        store.models.add("p", self.model(2, parent="p-1-abc"))
        store.models.promote("p", "p-1-abc")
        store.models.promote("p", "p-2-abc")
        assert [model.state for model in store.models.all("p")] == [ModelState.RETIRED, ModelState.CURRENT]
        assert store.models.current("p") == self.model(2, parent="p-1-abc", state=ModelState.CURRENT)
        store.models.promote("p", "p-1-abc")
        assert [model.state for model in store.models.all("p")] == [ModelState.CURRENT, ModelState.RETIRED]
        assert store.models.next_number("p") == 3

    def test_a_version_is_immutable_but_for_state_and_verdict(self, store: Store) -> None:
        store.models.add("p", self.model(1))
        with pytest.raises(ModelError, match="immutable"):
            store.models.add("p", self.model(1, uri="elsewhere"))
        store.models.set_state("p", "p-1-abc", ModelState.REJECTED, {"outcome": "fail"})
        assert store.models.get("p", "p-1-abc") == self.model(1, state=ModelState.REJECTED, verdict={"outcome": "fail"})
        store.models.set_state("p", "p-1-abc", ModelState.CURRENT)
        found = store.models.get("p", "p-1-abc")
        assert found is not None
        assert found.verdict == {"outcome": "fail"}

    def test_an_unknown_version_is_named_with_the_nearest(self, store: Store) -> None:
        store.models.add("p", self.model(1))
        store.models.promote("p", "p-1-abc")
        with pytest.raises(ModelError, match="Did you mean 'p-1-abc'"):
            store.models.promote("p", "p-1-abd")
        assert store.models.get("p", "p-1-abd") is None
        assert store.models.current("p") is not None


class TestColumns:
    def part(self, lo: int, hi: int, uri: str = "arrays/aa/x.arrow", **changes: Any) -> Part:
        return replace(Part("votes", "spam", "f", "v1", lo, hi, uri, "digest"), **changes)

    def test_parts_merge_into_covered_ranges(self, store: Store) -> None:
        for lo, hi in ((20, 30), (0, 10), (10, 15), (12, 14), (28, 31)):
            store.columns.add("p", self.part(lo, hi))
        assert store.columns.covered("p", "votes", "spam", "f", "v1") == [(0, 15), (20, 31)]
        assert [part.lo for part in store.columns.parts("p", "votes", "spam", "f", "v1")] == [0, 10, 12, 20, 28]
        assert store.columns.covered("p", "votes", "spam", "f", "v2") == []

    def test_a_part_again_keeps_the_first(self, store: Store) -> None:
        store.columns.add("p", self.part(0, 5))
        store.columns.add("p", self.part(0, 5, "arrays/bb/y.arrow"))
        assert [part.uri for part in store.columns.parts("p", "votes", "spam", "f", "v1")] == ["arrays/aa/x.arrow"]

    @pytest.mark.parametrize(("lo", "hi"), [(5, 5), (6, 5), (-1, 3)])
    def test_a_part_without_rows_is_refused(self, store: Store, lo: int, hi: int) -> None:
        with pytest.raises(StoreError, match="covers no rows"):
            store.columns.add("p", self.part(lo, hi))

    def test_versions_list_the_columns_of_a_sort(self, store: Store) -> None:
        for part in (self.part(0, 5), self.part(5, 9), self.part(0, 5, source="g"), self.part(0, 5, control="other")):
            store.columns.add("p", part)
        assert store.columns.versions("p", "votes") == [("other", "f", "v1"), ("spam", "f", "v1"), ("spam", "g", "v1")]
        assert store.columns.versions("p", "votes", "other") == [("other", "f", "v1")]
        assert store.columns.versions("p", "embeddings") == []

    def test_dropping_names_only_artifacts_that_nobody_else_uses(self, store: Store) -> None:
        store.columns.add("p", self.part(0, 5, "arrays/aa/shared"))
        store.columns.add("p", self.part(5, 9, "arrays/bb/own"))
        store.columns.add("p", self.part(0, 5, "arrays/aa/shared", source="g"))
        assert store.columns.drop("p", "votes", "spam", "f", "v1") == ["arrays/bb/own"]
        assert store.columns.drop("p", "votes", "spam", "f", "v1") == []
        assert store.columns.drop("p", "votes", "spam", "g", "v1") == ["arrays/aa/shared"]


class TestEvents:
    def test_a_doubled_event_is_recorded_once(self, store: Store) -> None:
        assert store.events.record(1, "ANNOTATION_CREATED", "d1", {"a": 1})
        assert not store.events.record(1, "ANNOTATION_CREATED", "d1", {"a": 1})
        assert store.events.record(None, "?\x00", "d2", {})
        assert store.events.count() == 2
        first, second = store.events.unhandled()
        assert (first.platform_id, first.action, first.payload, first.handled) == (
            1,
            "ANNOTATION_CREATED",
            {"a": 1},
            False,
        )
        assert (second.platform_id, second.action) == (None, "?\ufffd")

    def test_handled_events_do_not_come_again(self, store: Store) -> None:
        for number in range(5):
            store.events.record(1, "X", f"d{number}", {})
        store.events.handled([event.id for event in store.events.unhandled(limit=2)])
        assert [event.digest for event in store.events.unhandled()] == ["d2", "d3", "d4"]
        assert not store.events.record(1, "X", "d0", {})
        assert store.events.count() == 5


class TestLeases:
    def test_one_holder_at_a_time_until_it_ends(self, store: Store) -> None:
        assert store.leases.acquire("loop", "one", 10, NOON)
        assert not store.leases.acquire("loop", "two", 10, NOON + timedelta(seconds=9.9))
        assert store.leases.holder("loop", NOON + timedelta(seconds=9.9)) == "one"
        assert store.leases.holder("loop", NOON + timedelta(seconds=10)) is None
        assert store.leases.acquire("loop", "two", 10, NOON + timedelta(seconds=10))
        assert not store.leases.renew("loop", "one", 10, NOON + timedelta(seconds=11))
        assert store.leases.acquire("other", "one", 10, NOON)

    def test_renewing_prolongs_only_a_lease_that_holds(self, store: Store) -> None:
        store.leases.acquire("loop", "one", 10, NOON)
        assert store.leases.renew("loop", "one", 10, NOON + timedelta(seconds=8))
        assert not store.leases.acquire("loop", "two", 10, NOON + timedelta(seconds=17))
        assert not store.leases.renew("loop", "one", 10, NOON + timedelta(seconds=18))
        assert store.leases.acquire("loop", "one", 10, NOON + timedelta(seconds=18))

    def test_a_released_lease_is_free_and_only_its_holder_can_release(self, store: Store) -> None:
        store.leases.acquire("loop", "one", 10, NOON)
        store.leases.release("loop", "two")
        assert store.leases.holder("loop", NOON) == "one"
        store.leases.release("loop", "one")
        assert store.leases.acquire("loop", "two", 10, NOON)


class TestFaultsAndRuns:
    def test_faults_are_counted_and_the_newest_come_first(self, store: Store) -> None:
        store.faults.add("p", [Fault("f", "v1", "vote", "a", "boom\x00", NOON), Fault("f", "v1", "vote", None, "bang")])
        store.faults.add("p", [Fault("m", "1", "predict", "b", "crash", NOON)])
        recent = store.faults.recent("p", limit=2)
        assert [fault.message for fault in recent] == ["crash", "bang"]
        assert recent[1].at is not None
        assert store.faults.recent("p")[-1] == Fault("f", "v1", "vote", "a", "boom\ufffd", NOON)
        assert store.faults.counts("p") == {("f", "vote"): 2, ("m", "predict"): 1}

    def test_the_last_run_of_each_stage_is_known(self, store: Store) -> None:
        store.runs.record("p", "pull", NOON, 0.25, {"tasks": 3}, None)
        store.runs.record("p", "train", NOON, 9.0, {}, "out of memory")
        store.runs.record("p", "pull", NOON + timedelta(seconds=5), 0.5, {"tasks": 0}, None)
        last = store.runs.last("p", "pull")
        assert last is not None
        assert (last.seconds, last.report, last.error, last.started_at) == (
            0.5,
            {"tasks": 0},
            None,
            NOON + timedelta(seconds=5),
        )
        assert [(run.stage, run.error) for run in store.runs.recent("p", 2)] == [
            ("pull", None),
            ("train", "out of memory"),
        ]
        assert store.runs.last("p", "flag") is None

    def test_only_the_last_runs_of_a_stage_are_kept(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("adapter.store.runs.KEPT", 3)
        store.runs.record("p", "train", NOON, 1.0, {}, None)
        for number in range(6):
            store.runs.record("p", "pull", NOON, float(number), {}, None)
        assert [run.seconds for run in store.runs.recent("p", 10) if run.stage == "pull"] == [5.0, 4.0, 3.0]
        assert store.runs.last("p", "train") is not None


class TestAuditLog:
    def log(self, store: Store) -> list[str]:
        return [
            store.audit.append("p", who, what, {"n": n, "f": 0.1, "text": "ü\x00"}, NOON + timedelta(hours=n))
            for n, (who, what) in enumerate([("adapter", "promoted"), ("ann", "rolled back"), ("adapter", "promoted")])
        ]

    def tamper(self, store: Store, statement: str) -> None:
        with store._database.write() as conn:
            conn.execute(sa.text(statement))

    def test_an_untouched_log_verifies_and_reads_back(self, store: Store) -> None:
        digests = self.log(store)
        assert store.audit.verify("p") == []
        rows = store.audit.all("p")
        assert [found.digest for found in rows] == digests
        assert (rows[1].number, rows[1].who, rows[1].what, rows[1].at) == (
            2,
            "ann",
            "rolled back",
            NOON + timedelta(hours=1),
        )
        assert rows[0].detail == {"n": 0, "f": 0.1, "text": "ü\x00"}
        assert len(set(digests)) == 3

    @pytest.mark.parametrize(
        ("statement", "expected"),
        [
            ("UPDATE hitl_audit SET who = 'mallory' WHERE number = 2", ["Row 2"]),
            ("UPDATE hitl_audit SET detail = '{}' WHERE number = 1", ["Row 1"]),
            ("UPDATE hitl_audit SET at = '2020-01-01T00:00:00+00:00' WHERE number = 3", ["Row 3"]),
            ("UPDATE hitl_audit SET digest = 'x' WHERE number = 2", ["Row 2", "Row 3"]),
            ("DELETE FROM hitl_audit WHERE number = 2", ["Rows 2 to 2", "Row 3"]),
            ("UPDATE hitl_audit SET number = 9 WHERE number = 3", ["Rows 3 to 8", "Row 9"]),
        ],
    )
    def test_tampering_shows(self, store: Store, statement: str, expected: Sequence[str]) -> None:
        self.log(store)
        self.tamper(store, statement)
        broken = store.audit.verify("p")
        assert len(broken) == len(expected)
        assert all(found.startswith(start) for found, start in zip(broken, expected, strict=True))
