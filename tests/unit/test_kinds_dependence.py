from __future__ import annotations

from typing import ClassVar

import pytest

from adapter.kinds.dependence import visible
from adapter.vocabulary import Control, LabelSpace, Shown


def control(name: str, *shown: Shown, kind: str = "choices", labels: tuple[str, ...] = ("yes", "no")) -> Control:
    return Control(name, kind, "text", "Text", "text", labels, shown_when=shown)


def space(*controls: Control) -> LabelSpace:
    return LabelSpace(controls, "", "")


FIRST = control("first")


class TestChoices:
    def test_without_conditions_a_control_is_always_shown(self) -> None:
        assert visible(space(FIRST), FIRST, {})

    @pytest.mark.parametrize(
        ("value", "seen"), [(("yes",), True), (("no",), False), ((), False), (None, False), (("yes", "no"), True)]
    )
    def test_a_choice_that_must_be_made(self, value: tuple[str, ...] | None, seen: bool) -> None:
        then = control("then", Shown("choice-selected", "first", ("yes",)))
        values = {} if value is None else {"first": value}
        assert visible(space(FIRST, then), then, values) == seen

    def test_any_of_several_choices_will_do(self) -> None:
        then = control("then", Shown("choice-selected", "first", ("no", "maybe")))
        assert visible(space(FIRST, then), then, {"first": ("no",)})

    def test_any_answer_at_all(self) -> None:
        then = control("then", Shown("choice-selected", "first"))
        assert visible(space(FIRST, then), then, {"first": ("no",)})
        assert not visible(space(FIRST, then), then, {"first": ()})

    def test_a_choice_that_must_not_be_made(self) -> None:
        then = control("then", Shown("choice-unselected", "first", ("yes",)))
        assert visible(space(FIRST, then), then, {})
        assert visible(space(FIRST, then), then, {"first": ("no",)})
        assert not visible(space(FIRST, then), then, {"first": ("yes",)})

    def test_all_conditions_must_hold(self) -> None:
        then = control("then", Shown("choice-selected", "first", ("yes",)), Shown("choice-selected", "second", ("no",)))
        here = space(FIRST, control("second"), then)
        assert visible(here, then, {"first": ("yes",), "second": ("no",)})
        assert not visible(here, then, {"first": ("yes",), "second": ("yes",)})

    def test_what_hangs_on_a_hidden_control_is_hidden(self) -> None:
        second = control("second", Shown("choice-selected", "first", ("yes",)))
        third = control("third", Shown("choice-selected", "second", ("yes",)))
        here = space(FIRST, second, third)
        assert visible(here, third, {"first": ("yes",), "second": ("yes",)})
        assert not visible(here, third, {"first": ("no",), "second": ("yes",)})

    def test_controls_that_wait_for_each_other_do_not_wait_for_ever(self) -> None:
        one = control("one", Shown("choice-selected", "two", ("yes",)))
        two = control("two", Shown("choice-selected", "one", ("yes",)))
        assert visible(space(one, two), one, {"one": ("yes",), "two": ("yes",)})

    def test_without_a_name_any_control_of_choices_counts_but_not_the_control_itself(self) -> None:
        then = control("then", Shown("choice-selected", "", ("yes",)))
        here = space(FIRST, control("text", kind="text", labels=()), then)
        assert visible(here, then, {"first": ("yes",)})
        assert not visible(here, then, {"then": ("yes",), "text": ("yes",)})

    def test_a_taxonomy_is_asked_for_its_last_step(self) -> None:
        tree = control("tree", kind="taxonomy", labels=("Animal", "Animal / Dog"))
        then = control("then", Shown("choice-selected", "tree", ("Dog",)))
        assert visible(space(tree, then), then, {"tree": ("Animal / Dog",)})
        assert not visible(space(tree, then), then, {"tree": ("Animal",)})

    def test_a_control_that_is_not_served_hides_nothing(self) -> None:
        for when in ("choice-selected", "choice-unselected", "region-selected"):
            then = control("then", Shown(when, "chat", ("yes",)))
            assert visible(space(FIRST, then), then, {"first": ("no",)})


class TestRegions:
    BOXES = control("boxes", kind="rectangles", labels=("car", "bus"))
    BOX: ClassVar[dict[str, object]] = {
        "id": "a",
        "type": "rectanglelabels",
        "labels": ["car"],
        "value": {},
        "envelope": {},
    }

    def test_some_region_with_the_label_must_be_there(self) -> None:
        then = control("then", Shown("region-selected", "", ("car",)), kind="per-region")
        other = control("then", Shown("region-selected", "", ("bus",)), kind="per-region")
        here = space(self.BOXES, then)
        assert visible(here, then, {"boxes": (self.BOX,)})
        assert not visible(here, other, {"boxes": (self.BOX,)})
        assert not visible(here, then, {"boxes": ()})

    def test_the_label_may_stand_in_an_answer_on_the_region(self) -> None:
        labels = control("what", kind="per-region", labels=("car", "bus"))
        then = control("then", Shown("region-selected", "what", ("car",)), kind="per-region")
        bare = {**self.BOX, "labels": []}
        here = space(control("boxes", kind="rectangles", labels=()), labels, then)
        assert visible(here, then, {"boxes": (bare,), "what": ({"region": bare, "value": ("car",)},)})
        assert not visible(here, then, {"boxes": (bare,), "what": ({"region": bare, "value": ("bus",)},)})

    def test_no_selection_can_always_be_brought_about(self) -> None:
        then = control("then", Shown("no-region-selected"))
        assert visible(space(self.BOXES, then), then, {"boxes": (self.BOX,)})

    def test_a_choice_made_on_some_region_counts(self) -> None:
        asked = control("state", kind="per-region")
        then = control("then", Shown("choice-selected", "state", ("yes",)), kind="per-region")
        assert visible(space(asked, then), then, {"state": ({"region": self.BOX, "value": ("yes",)},)})
        assert not visible(space(asked, then), then, {"state": ({"region": self.BOX, "value": ("no",)},)})
