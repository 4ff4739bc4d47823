from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.errors import LabelConfigError, LabelError
from adapter.kinds.base import Given, LabelKind, Tag
from adapter.kinds.date import KIND
from adapter.vocabulary import Control

TEXT = Tag("Text", {"name": "text", "value": "$text"})


def date(**more: str) -> Tag:
    return Tag("DateTime", {"name": "when", "toName": "text", **more}, (), {"text": TEXT})


FULL = KIND.control(date())
DAY = KIND.control(date(only="date"))
TIME = KIND.control(date(only="time"))
YEAR = KIND.control(date(only="month, year"))
GERMAN = KIND.control(date(only="date", format="%-d.%-m.%Y"))
STRANGE = KIND.control(date(format="%L milliseconds"))


def item(value: Any) -> dict[str, Any]:
    return {"from_name": "when", "to_name": "text", "type": "datetime", "value": {"datetime": value}}


class TestControl:
    def test_parts_and_format_are_kept(self) -> None:
        assert GERMAN.options == {"only": ["date"], "format": "%-d.%-m.%Y"}
        assert YEAR.options == {"only": ["month", "year"]}
        assert (FULL.tag, FULL.fields, FULL.labels) == ("DateTime", ("text",), ())
        assert not isinstance(KIND, LabelKind)

    def test_unknown_parts_are_mistakes(self) -> None:
        with pytest.raises(LabelConfigError, match="Did you mean 'month'"):
            KIND.control(date(only="date,months"))


class TestCanonical:
    @pytest.mark.parametrize(
        ("control", "value"),
        [
            (FULL, "2026-03-04T17:30"),
            (FULL, "2026-03-04T17:30:05Z"),
            (FULL, "2026-03-04"),
            (DAY, "2026-03-04"),
            (TIME, "17:30"),
            (YEAR, "2026"),
            (YEAR, "2026-03"),
            (GERMAN, "4.3.2026"),
            (GERMAN, "04.03.2026"),
            (STRANGE, "300 milliseconds"),
        ],
    )
    def test_dates_stay_as_they_were_written(self, control: Control, value: str) -> None:
        assert KIND.canonical(control, value) == value

    def test_a_bare_year_may_come_as_a_number(self) -> None:
        assert KIND.canonical(YEAR, 2026) == "2026"

    @pytest.mark.parametrize(
        "value", [None, True, "", "  ", "soon", "2026-13-01", "4.3.2026", ["2026"], {}, 1.5, "9" * 999]
    )
    def test_strangers_are_refused(self, value: object) -> None:
        with pytest.raises(LabelError, match="2026-03-04T17:30"):
            KIND.canonical(FULL, value)

    def test_the_error_shows_the_configs_own_format(self) -> None:
        with pytest.raises(LabelError, match=r"like '04\.03\.2026'"):
            KIND.canonical(GERMAN, "2026-03-04")
        with pytest.raises(LabelError, match="as the label config says"):
            KIND.canonical(STRANGE, "")

    def test_bounds_are_the_pages(self) -> None:
        bounded = KIND.control(date(only="date", format="%d/%m/%Y", min="2020-01-01", max="2020-12-31"))
        assert KIND.canonical(bounded, "31/12/2020") == "31/12/2020"
        with pytest.raises(LabelError, match="after 2020-12-31"):
            KIND.canonical(bounded, "01/01/2021")
        with pytest.raises(LabelError, match="before 2020-01-01"):
            KIND.canonical(bounded, "31/12/2019")
        years = KIND.control(date(only="year", min="2000", max="2020"))
        assert KIND.canonical(years, "2020-05-01") == "2020-05-01"
        assert KIND.canonical(KIND.control(date(only="time", min="09:00")), "08:00") == "08:00"
        assert KIND.canonical(KIND.control(date(max="current")), "2026-03-04") == "2026-03-04"


class TestReadAndWrite:
    @given(st.datetimes(min_value=datetime(1000, 1, 1), max_value=datetime(9999, 1, 1)))
    def test_what_is_written_reads_back_after_json(self, drawn: datetime) -> None:
        for control, shape in ((FULL, "%Y-%m-%dT%H:%M"), (DAY, "%Y-%m-%d"), (TIME, "%H:%M"), (GERMAN, "%d.%m.%Y")):
            value = drawn.strftime(shape)
            assert KIND.read(control, json.loads(json.dumps(KIND.write(control, value)))) == value
            assert KIND.canonical(control, json.loads(json.dumps(value))) == value
            assert KIND.value_of(control, KIND.item(control, value)) == value

    @pytest.mark.parametrize(("only", "value"), [("", "2026-03-04T17:30"), ("date", "2026-03-04"), ("time", "17:30")])
    def test_label_studio_accepts_what_is_written(self, only: str, value: str) -> None:
        from label_studio_sdk.label_interface import LabelInterface

        attribute = f'only="{only}"' if only else ""
        config = f'<View><Text name="text" value="$text"/><DateTime name="when" toName="text" {attribute}/></View>'
        control = KIND.control(date(only=only))
        prediction = {"result": KIND.write(control, value), "score": 0.5, "model_version": "m"}
        assert LabelInterface(config).validate_prediction(prediction, return_errors=True) == []

    def test_nothing_is_no_answer(self) -> None:
        assert KIND.read(FULL, []) is None
        assert KIND.read(FULL, [item("")]) is None
        assert KIND.read(FULL, [item(None)]) is None

    @pytest.mark.parametrize("value", ["x", ["2026-03-04"], {"a": 1}, False, 3.5])
    def test_foreign_results_are_label_errors(self, value: Any) -> None:
        with pytest.raises(LabelError):
            KIND.read(FULL, [item(value)])
        with pytest.raises(LabelError):
            KIND.value_of(FULL, {"rating": value})


class TestMeasure:
    def test_dates_are_compared_in_time_where_they_can_be_read(self) -> None:
        assert KIND.measure(GERMAN).scale == "interval"
        assert KIND.measure(STRANGE).scale == "nominal"
        (unit,) = KIND.units(GERMAN, {"ann": "1.1.1970", "bob": "2.1.1970"})
        assert unit.codes == {"ann": 0.0, "bob": 86400.0}
        (unit,) = KIND.units(STRANGE, {"ann": "1 milliseconds"})
        assert unit.codes == {"ann": "1 milliseconds"}
        assert KIND.units(FULL, {}) == []

    def test_distance_by_hand(self) -> None:
        assert KIND.distance(TIME, "17:00", "18:00") == 0.5
        assert KIND.distance(DAY, "2026-03-01", "2026-03-31") == 0.5
        assert KIND.distance(YEAR, "2020", "2030") == pytest.approx(2 / 3, abs=0.001)
        assert KIND.distance(STRANGE, "1 milliseconds", "2 milliseconds") == 1
        assert KIND.disagreement(DAY, "2026-03-01", "2026-03-31") == "'2026-03-01' against '2026-03-31'"

    @given(st.dates(), st.dates())
    def test_it_is_symmetric_bounded_and_zero_only_for_equals(self, a: Any, b: Any) -> None:
        left, right = a.isoformat(), b.isoformat()
        assert KIND.distance(DAY, left, right) == KIND.distance(DAY, right, left)
        assert 0 <= KIND.distance(DAY, left, right) < 1
        assert (KIND.distance(DAY, left, right) == 0) == (a == b)


class TestConsensus:
    def test_most_people_win(self) -> None:
        votes = {"t": {"ann": "2026-03-01", "bob": "2026-03-01", "cy": "2027-03-01"}}
        merged = KIND.consensus(DAY, votes, Given()).merged["t"]
        assert merged.value == "2026-03-01"
        assert 0.9 < merged.confidence == merged.certainty < 1

    def test_a_tie_proposes_the_median(self) -> None:
        votes = {"t": {"ann": "2026-03-09", "bob": "2026-03-01", "cy": "2026-03-05"}}
        merged = KIND.consensus(DAY, votes, Given()).merged["t"]
        assert (merged.value, merged.proposal) == (None, "2026-03-05")
        assert merged.why == "1 says '2026-03-01', 1 says '2026-03-05', 1 says '2026-03-09'"
        assert merged.certainty < 0.5

    def test_a_tie_that_cannot_be_read_proposes_the_first(self) -> None:
        merged = KIND.consensus(STRANGE, {"t": {"ann": "b", "bob": "a"}}, Given()).merged["t"]
        assert (merged.value, merged.proposal) == (None, "a")

    def test_one_vote_is_as_sure_as_its_person(self) -> None:
        found = KIND.consensus(DAY, {"t": {"ann": "2026-03-01"}}, Given(method="dawid-skene"))
        assert found.method == "one-coin"
        assert found.merged["t"].confidence == pytest.approx(found.skill["ann"].accuracy) == pytest.approx(0.9)

    def test_skill_decides_between_two(self) -> None:
        votes = {f"t{i:02}": {"ann": f"2026-03-{i:02}", "bob": f"2025-03-{i:02}"} for i in range(1, 31)}
        found = KIND.consensus(DAY, votes, Given(gold={f"t{i:02}": f"2026-03-{i:02}" for i in range(1, 25)}))
        assert found.skill["ann"].accuracy > 0.9 > found.skill["bob"].accuracy
        assert found.merged["t30"].value == "2026-03-30"

    def test_gold_wins_even_if_nobody_said_it(self) -> None:
        merged = KIND.consensus(
            DAY, {"t": {"ann": "2026-03-01"}}, Given(gold={"t": "2020-01-01", "x": "1999-01-01"})
        ).merged
        assert set(merged) == {"t"}
        assert (merged["t"].value, merged["t"].confidence) == ("2020-01-01", 1.0)

    def test_no_votes_are_no_consensus(self) -> None:
        assert KIND.consensus(DAY, {}, Given()).merged == {}
        merged = KIND.consensus(DAY, {"t": {}}, Given()).merged["t"]
        assert (merged.value, merged.certainty) == (None, 0.0)
        assert merged.why

    @settings(deadline=None, max_examples=50)
    @given(
        st.dictionaries(
            st.sampled_from("xyz"),
            st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["2020", "2021", "2022"]), max_size=4),
            max_size=3,
        )
    )
    def test_what_comes_out_was_said_or_has_a_reason(self, votes: dict[str, dict[str, str]]) -> None:
        found = KIND.consensus(YEAR, votes, Given())
        again = KIND.consensus(YEAR, {t: dict(reversed(v.items())) for t, v in reversed(votes.items())}, Given())
        assert found.merged == again.merged
        for task, merged in found.merged.items():
            assert (merged.value is None) == bool(merged.why)
            assert merged.value is None or merged.value in votes[task].values()
