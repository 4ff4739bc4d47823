from __future__ import annotations

import contextlib

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from adapter.errors import LabelConfigError, UnsupportedControl
from adapter.label_studio.config_xml import KNOWN_TAGS
from adapter.label_studio.label_config import (
    config_digest,
    data_fields,
    parse_label_config,
    require_served,
    with_reason_header,
)
from adapter.vocabulary import LabelSpace, Shown

CONFIG = """<View>
  <!-- what people see -->
  <Header value="Read, then choose"/>
  <Text name="text" value="$comment"/>
  <Choices name="label" toName="text" choice="single" required="true">
    <Choice value="spam"/>
    <Choice value="ham"/>
  </Choices>
</View>
"""


def unserved(space: LabelSpace) -> dict[str, str]:
    return {each.title: each.why for each in space.unserved}


def config(*inside: str) -> str:
    return f'<View><Text name="text" value="$text"/>{"".join(inside)}</View>'


GOOD = '<Choices name="label" toName="text"><Choice value="a"/><Choice value="b"/></Choices>'


class TestParse:
    def test_controls_labels_and_objects(self) -> None:
        space = parse_label_config(CONFIG)
        control = space.control("label")
        assert (control.kind, control.to_name, control.object_tag, control.field) == (
            "choices",
            "text",
            "Text",
            "comment",
        )
        assert control.labels == ("spam", "ham")
        assert control.required
        assert space.fields == ("comment",)
        assert space.config == CONFIG
        assert len(space.digest) == 64

    def test_several_controls_keep_their_order(self) -> None:
        second = '<Choices name="tone" toName="text" choice="multiple"><Choice value="angry"/></Choices>'
        space = parse_label_config(config(GOOD, second))
        assert [control.name for control in space.controls] == ["label", "tone"]

    def test_a_control_may_stand_before_its_object(self) -> None:
        assert parse_label_config(f'<View>{GOOD}<Text name="text" value="$text"/></View>').fields == ("text",)

    def test_names_of_tags_are_found_in_any_case_as_label_studio_does(self) -> None:
        xml = '<view><text name="t" value="$t"/><choices name="c" toName="t"><choice value="a"/></choices></view>'
        assert parse_label_config(xml).controls[0].object_tag == "Text"

    def test_lists_of_values_are_fields(self) -> None:
        xml = GOOD.replace("text", "pages")
        assert parse_label_config(f'<View><Image name="pages" valueList="$scans"/>{xml}</View>').fields == ("scans",)

    def test_style_and_free_html_are_passed_over(self) -> None:
        xml = config('<Style>.a { color: red }</Style><HyperText name="h"><div><h1>Rules</h1></div></HyperText>', GOOD)
        assert len(parse_label_config(xml).controls) == 1

    def test_the_xml_declaration_goes_since_label_studio_fails_on_it(self) -> None:
        space = parse_label_config('\ufeff<?xml version="1.0" encoding="utf-8"?>\n' + CONFIG)
        assert space.config == CONFIG
        assert space.digest == parse_label_config(CONFIG).digest


class TestDigest:
    def test_layout_comments_and_order_of_attributes_do_not_matter(self) -> None:
        same = CONFIG.replace("  <!-- what people see -->\n", "").replace("\n", "\n\n")
        same = same.replace('name="text" value="$comment"', "value='$comment'   name='text'")
        assert config_digest(same) == config_digest(CONFIG)

    def test_labels_and_their_order_matter(self) -> None:
        digests = {
            config_digest(CONFIG),
            config_digest(CONFIG.replace("ham", "eggs")),
            config_digest(CONFIG.replace("spam", "x").replace("ham", "spam").replace('"x"', '"ham"')),
        }
        assert len(digests) == 3


class TestUnserved:
    def test_each_is_named_with_the_reason_and_the_rest_works(self) -> None:
        chat = '<Chat name="talk" value="$talk"/>'
        page = '<CustomInterface name="own" toName="text"/>'
        regions = '<Choices name="each" toName="text" perRegion="true"><Choice value="a"/></Choices>'
        space = parse_label_config(config(chat, GOOD, page, regions))
        assert [control.name for control in space.controls] == ["label"]
        found = unserved(space)
        assert list(found) == ["<Chat name='talk'>", "<CustomInterface name='own'>", "<Choices name='each'>"]
        assert "conversation" in found["<Chat name='talk'>"]
        assert "no control here that is served marks any on 'text'" in found["<Choices name='each'>"]
        require_served(space)

    def test_without_any_that_is_served_set_up_is_told_everything_at_once(self) -> None:
        space = parse_label_config(config('<Chat name="talk" value="$talk"/>', '<Prompt name="ask" toName="text"/>'))
        assert space.controls == ()
        with pytest.raises(UnsupportedControl) as caught:
            require_served(space)
        message = str(caught.value)
        assert "none of its controls is served: <Chat name='talk'>: " in message
        assert "<Prompt name='ask'>: " in message
        assert "<Choices>" in caught.value.remedy

    def test_choices_from_task_data_stay_out(self) -> None:
        space = parse_label_config(config(GOOD, '<Choices name="d" toName="text" value="$options"/>'))
        assert "come from task data" in unserved(space)["<Choices name='d'>"]

    def test_doubled_labels_keep_one_control_out(self) -> None:
        doubled = '<Choices name="d" toName="text"><Choice value="a"/><Choice value="a"/></Choices>'
        space = parse_label_config(config(GOOD, doubled))
        assert unserved(space) == {"<Choices name='d'>": "the label 'a' is there twice"}

    def test_a_control_of_another_edition_stays_out(self) -> None:
        space = parse_label_config(config(GOOD, '<Hologram name="h" toName="text"/>'))
        assert "no tag of Label Studio 1.23 that we know" in unserved(space)["<Hologram name='h'>"]

    def test_an_unknown_control_gets_the_nearest_tag(self) -> None:
        with pytest.raises(LabelConfigError, match=r"<Chioces> is no tag of Label Studio. Did you mean 'Choices'"):
            parse_label_config(config('<Chioces name="c" toName="text"/>'))

    @pytest.mark.parametrize("tag", ["Relations", "Chat", "Repeater"])
    def test_controls_without_to_name_are_found_too(self, tag: str) -> None:
        space = parse_label_config(config(GOOD, f'<{tag} on="$x" value="$x"/>'))
        assert list(unserved(space)) == [f"<{tag}>"]
        assert [control.name for control in space.controls] == ["label"]

    def test_what_a_repeater_makes_is_named_and_not_parsed(self) -> None:
        inside = (
            '<Repeater on="$pages"><Text name="page_{{idx}}" value="$pages[{{idx}}].text"/>'
            '<Choices name="c_{{idx}}" toName="page_{{idx}}"><Choice value="a"/></Choices></Repeater>'
        )
        space = parse_label_config(config(GOOD, inside))
        assert [control.name for control in space.controls] == ["label"]
        assert "<Choices name='c_{{idx}}'>" in unserved(space)["<Repeater>"]

    def test_a_part_of_a_field_is_no_field(self) -> None:
        xml = f'<View><Text name="text" value="$rows[0]"/>{GOOD}</View>'
        assert "a part of a task field, '$rows[0]'" in unserved(parse_label_config(xml))["<Choices name='label'>"]

    def test_a_missing_to_name_is_told_apart_from_an_ambiguous_one(self) -> None:
        lost = GOOD.replace(' toName="text"', "")
        assert "Add toName='text'" in unserved(parse_label_config(config(lost)))["<Choices name='label'>"]
        with pytest.raises(LabelConfigError, match=r"has no toName\. Point it at an object"):
            parse_label_config(config('<Text name="more" value="$more"/>', lost))


class TestConditions:
    def shown(self, *inside: str) -> tuple[Shown, ...]:
        return parse_label_config(config(*inside)).control("then").shown_when

    def then(self, attributes: str = "") -> str:
        return f'<Choices name="then" toName="text" {attributes}><Choice value="x"/></Choices>'

    def test_there_are_none_without_visible_when(self) -> None:
        assert self.shown(GOOD, self.then()) == ()

    def test_on_the_control(self) -> None:
        attributes = 'visibleWhen="choice-selected" whenTagName="label" whenChoiceValue="a,b"'
        assert self.shown(GOOD, self.then(attributes)) == (Shown("choice-selected", "label", ("a", "b")),)

    def test_on_views_around_it_the_outermost_first(self) -> None:
        inner = f'<View visibleWhen="choice-unselected" whenTagName="label">{self.then()}</View>'
        outer = f'<View visibleWhen="region-selected" whenLabelValue="Car">{inner}</View>'
        assert self.shown(GOOD, outer) == (Shown("region-selected", "", ("Car",)), Shown("choice-unselected", "label"))

    def test_results_hold_the_alias_so_conditions_do(self) -> None:
        asked = '<Choices name="label" toName="text"><Choice value="A thing" alias="a"/><Choice value="b"/></Choices>'
        attributes = 'visibleWhen="choice-selected" whenTagName="label" whenChoiceValue="A thing"'
        assert self.shown(asked, self.then(attributes)) == (Shown("choice-selected", "label", ("a",)),)

    def test_a_bare_when_choice_value_asks_for_that_choice_anywhere(self) -> None:
        assert self.shown(GOOD, self.then('whenChoiceValue="a"')) == (Shown("choice-selected", "", ("a",)),)

    def test_attributes_are_found_in_any_case_as_the_page_does(self) -> None:
        attributes = 'visiblewhen="choice-selected" whentagname="label"'
        assert self.shown(GOOD, self.then(attributes)) == (Shown("choice-selected", "label"),)

    def test_what_the_page_does_not_know_hides_nothing(self) -> None:
        assert self.shown(GOOD, self.then('visibleWhen="moonlight"')) == ()


class TestObjects:
    def test_a_pair_of_objects_keeps_the_words_the_first_and_all_fields(self) -> None:
        space = parse_label_config(
            config('<Text name="more" value="$extra"/>', '<Pairwise name="better" toName="text,more"/>')
        )
        control = space.control("better")
        assert (control.to_name, control.object_tag, control.field) == ("text,more", "Text", "text")
        assert control.fields == ("text", "extra")

    def test_other_controls_on_several_objects_stay_out_since_the_page_loses_their_answers(self) -> None:
        xml = config('<Text name="more" value="$extra"/>', GOOD.replace('toName="text"', 'toName="text,more"'))
        space = parse_label_config(xml)
        assert space.controls == ()
        assert "submits an empty answer" in space.unserved[0].why

    def test_every_one_of_them_must_be_there(self) -> None:
        with pytest.raises(LabelConfigError, match=r"toName='moer' names no object\. Did you mean 'more'"):
            parse_label_config(
                config('<Text name="more" value="$extra"/>', GOOD.replace('toName="text"', 'toName="text,moer"'))
            )

    def test_tag_and_fields_are_filled(self) -> None:
        control = parse_label_config(CONFIG).control("label")
        assert (control.tag, control.fields, control.inner) == ("Choices", ("comment",), None)


class TestRegions:
    BOX = '<RectangleLabels name="box" toName="img"><Label value="Car"/><Label value="Bus"/></RectangleLabels>'

    def space(self, *inside: str) -> LabelSpace:
        return parse_label_config(f'<View><Image name="img" value="$image"/>{"".join(inside)}</View>')

    def test_a_question_on_each_region_is_a_control_with_one_inside(self) -> None:
        asked = '<Choices name="state" toName="img" perRegion="true" choice="multiple"><Choice value="wet"/></Choices>'
        control = self.space(asked, self.BOX).control("state")
        assert (control.kind, control.tag, control.labels, control.multiple) == (
            "per-region",
            "Choices",
            ("wet",),
            True,
        )
        assert control.inner is not None
        assert (control.inner.kind, control.inner.name, control.inner.labels) == ("choices", "state", ("wet",))
        assert list(control.options["regions"]) == ["box"]

    def test_a_label_that_a_region_must_have_is_a_condition(self) -> None:
        asked = '<Rating name="r" toName="img" perRegion="true" whenTagName="box" whenLabelValue="Car"/>'
        assert self.space(self.BOX, asked).control("r").shown_when == (Shown("region-selected", "", ("Car",)),)

    def test_labels_beside_bare_shapes_are_a_question_on_each(self) -> None:
        inside = '<Label value="Car" alias="c"/><Label value="Bus"/>'
        labels = f'<Labels name="what" toName="img" choice="multiple">{inside}</Labels>'
        space = self.space(labels, '<Rectangle name="r" toName="img"/>', '<Polygon name="p" toName="img"/>')
        control = space.control("what")
        assert (control.kind, control.tag, control.labels, control.multiple) == (
            "per-region",
            "Labels",
            ("c", "Bus"),
            True,
        )
        assert list(control.options["regions"]) == ["r", "p"]
        assert unserved(space) == {}

    def test_on_a_video_shape_and_label_are_one_control_since_they_are_one_item(self) -> None:
        labels = '<Labels name="what" toName="v"><Label value="Man"/><Label value="Car"/></Labels>'
        space = parse_label_config(
            f'<View><Video name="v" value="$video"/>{labels}<VideoRectangle name="box" toName="v"/></View>'
        )
        (control,) = space.controls
        assert (control.name, control.kind, control.labels) == ("box", "tracks", ("Man", "Car"))
        assert control.options["labels_of"] == "what"
        assert unserved(space) == {}

    def test_labels_on_a_video_without_shapes_stay_out(self) -> None:
        labels = '<Labels name="what" toName="v"><Label value="Man"/></Labels>'
        space = parse_label_config(f'<View><Video name="v" value="$video"/>{labels}</View>')
        assert "marks any on 'v'" in unserved(space)["<Labels name='what'>"]

    def test_labels_without_shapes_name_nothing(self) -> None:
        space = self.space('<Labels name="what" toName="img"><Label value="Car"/></Labels>')
        assert "marks any on 'img'" in unserved(space)["<Labels name='what'>"]

    def test_relations_need_no_name_and_no_object(self) -> None:
        space = self.space(self.BOX, '<Relations><Relation value="next to"/><Relation value="in"/></Relations>')
        control = space.control("relations")
        assert (control.kind, control.labels, control.field) == ("relations", ("next to", "in"), "image")
        assert list(control.options["regions"]) == ["box"]
        assert space.fields == ("image",)

    def test_relations_keep_a_name_and_need_regions(self) -> None:
        assert self.space(self.BOX, '<Relations name="links"/>').control("links").labels == ()
        space = self.space('<Choices name="c" toName="img"><Choice value="a"/></Choices>', "<Relations/>")
        assert unserved(space) == {"<Relations>": "no control here that is served marks regions to relate"}


class TestRefusals:
    def test_an_unknown_tag_is_not_passed_over_in_silence(self) -> None:
        with pytest.raises(LabelConfigError, match="Did you mean 'Choice'"):
            parse_label_config(config(GOOD.replace('<Choice value="b"/>', '<Choise value="b"/>')))

    @pytest.mark.parametrize(
        ("xml", "words"),
        [
            (
                config(GOOD.replace('toName="text"', 'toName="txet"')),
                "toName='txet' names no object. Did you mean 'text'",
            ),
            ("<View>" + GOOD.replace(' toName="text"', "") + "</View>", "has no toName. Point it at an object"),
            (config(GOOD.replace('name="label" ', "")), "<Choices> has no name"),
            (config(GOOD, GOOD), "'label' is there twice"),
            (config(GOOD.replace('name="label"', 'name="text"')), "'text' is there twice"),
            (config(), "holds no control"),
            (f"<View>{GOOD}</View>", "no object yet"),
            (f'<View><Text name="text" value="Hello"/>{GOOD}</View>', "shows no task field, but 'Hello'"),
            (f'<View><Text name="text"/>{GOOD}</View>', "shows no task field, but nothing"),
            (f'<View><Text name="text" value="$a and $b"/>{GOOD}</View>', "shows no task field"),
        ],
    )
    def test_mistakes_are_named_with_the_remedy(self, xml: str, words: str) -> None:
        with pytest.raises(LabelConfigError) as caught:
            parse_label_config(xml)
        assert words in str(caught.value)
        assert caught.value.remedy

    def test_broken_xml_is_placed_by_line_and_column(self) -> None:
        with pytest.raises(LabelConfigError, match="line 3, column 3: it is no well-formed XML: mismatched tag"):
            parse_label_config("<View>\n  <Text>\n</View>")

    @pytest.mark.parametrize("xml", ["", "   ", "no xml", "<View>", "<View/><View/>", "<View>\x00</View>", "\ud800"])
    def test_nonsense_is_a_label_config_error(self, xml: str) -> None:
        with pytest.raises(LabelConfigError):
            parse_label_config(xml)

    @given(
        st.text() | st.text(alphabet="<>/&;\"'= ViewChoicestoName$!?-[]").map(lambda inside: f"<View>{inside}</View>")
    )
    def test_no_text_whatever_raises_anything_else(self, xml: str) -> None:
        with contextlib.suppress(LabelConfigError):
            parse_label_config(xml)


class TestHostile:
    @pytest.mark.parametrize(
        "head",
        [
            "<!DOCTYPE View>",
            '<!DOCTYPE View [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>',
            '<!DOCTYPE View [<!ENTITY f SYSTEM "file:///etc/passwd">]>',
            '<!DOCTYPE View SYSTEM "http://127.0.0.1/x.dtd">',
        ],
    )
    def test_dtds_and_entities_are_refused(self, head: str) -> None:
        with pytest.raises(LabelConfigError, match="DTD or entities"):
            parse_label_config(head + CONFIG)
        with pytest.raises(LabelConfigError, match="DTD or entities"):
            with_reason_header(head + CONFIG, "why")
        with pytest.raises(LabelConfigError, match="DTD or entities"):
            config_digest(head + CONFIG)

    def test_depth_and_size_are_bounded(self) -> None:
        with pytest.raises(LabelConfigError, match="nest deeper"):
            parse_label_config("<View>" * 5000 + "</View>" * 5000)
        with pytest.raises(LabelConfigError, match="longer than"):
            parse_label_config("<View>" + " " * 2_000_001 + "</View>")

    def test_long_values_are_not_repeated_in_full(self) -> None:
        with pytest.raises(LabelConfigError) as caught:
            parse_label_config(f'<View><Text name="text" value="{"x" * 5000}"/>{GOOD}</View>')
        assert len(str(caught.value)) < 500


class TestReasonHeader:
    def test_it_becomes_the_first_child_and_all_else_stays(self) -> None:
        made = with_reason_header(CONFIG, "hitl_reason")
        assert made.startswith('<View>\n  <Header value="$hitl_reason"/>\n  <!-- what people see -->')
        assert made.replace('\n  <Header value="$hitl_reason"/>', "", 1) == CONFIG

    def test_the_label_space_stays(self) -> None:
        assert (
            parse_label_config(with_reason_header(CONFIG, "hitl_reason")).controls
            == parse_label_config(CONFIG).controls
        )

    def test_twice_is_once(self) -> None:
        once = with_reason_header(CONFIG, "hitl_reason")
        assert with_reason_header(once, "hitl_reason") == once
        assert with_reason_header(config('<Text name="r" value="$why"/>'), "why") == config(
            '<Text name="r" value="$why"/>'
        )

    def test_comments_before_and_brackets_inside_the_root_are_respected(self) -> None:
        xml = '<!-- <View> -->\n<View style="a > b" title=\'"/>\'><Text name="t" value="$t"/></View>'
        made = with_reason_header(xml, "why")
        assert made == xml.replace("'\"/>'>", '\'"/>\'><Header value="$why"/>')

    def test_only_plain_names_are_written_into_xml(self) -> None:
        with pytest.raises(ValueError, match="no plain field name"):
            with_reason_header(CONFIG, 'x"/><Choices')

    def test_an_empty_root_is_refused(self) -> None:
        with pytest.raises(LabelConfigError, match="root element is empty"):
            with_reason_header("<View/>", "why")

    def test_label_studio_validates_it_and_asks_no_more_of_tasks(self) -> None:
        from label_studio_sdk.label_interface import LabelInterface

        made = with_reason_header(CONFIG, "hitl_reason")
        LabelInterface(made).validate()
        assert data_fields(made) == data_fields(CONFIG) == ("comment",)


def test_demanded_fields_are_those_of_named_elements() -> None:
    xml = '<View><Header value="$h"/><Text name="a" value="$one"/><HyperText name="b" value="&lt;b&gt;$two"/></View>'
    assert data_fields(xml) == ("one", "two")


_NAMES = st.sampled_from(["", "a", "b", "img", "text", "a,b", "text,img", ",", "relations"])
_VALUES = st.sampled_from(
    ["", "$text", "$img", "x", "$rows[0]", "$a and $b", "true", "choice-selected", "1", "-1", "é"]
)
_KEYS = st.sampled_from(
    [
        "value",
        "valueList",
        "perRegion",
        "visibleWhen",
        "whenTagName",
        "whenChoiceValue",
        "whenLabelValue",
        "choice",
        "alias",
        "required",
        "maxRating",
        "min",
        "max",
        "only",
        "format",
        "perItem",
        "allowNested",
        "maxSubmissions",
    ]
)


@st.composite
def elements(draw: st.DrawFn, depth: int = 0) -> str:
    tag = draw(st.sampled_from(sorted(KNOWN_TAGS)))
    attributes = draw(st.dictionaries(_KEYS, _VALUES, max_size=3))
    attributes |= {key: draw(_NAMES) for key in ("name", "toName") if draw(st.booleans())}
    inside = "".join(draw(st.lists(elements(depth + 1), max_size=3))) if depth < 2 else ""
    written = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f"<{tag}{written}>{inside}</{tag}>"


@settings(deadline=None, max_examples=200)  # the first call imports every kind
@given(st.lists(elements(), max_size=6))
def test_whatever_the_tags_say_a_config_parses_or_is_refused_in_words(inside: list[str]) -> None:
    xml = f'<View><Text name="text" value="$text"/><Image name="img" value="$img"/>{GOOD}{"".join(inside)}</View>'
    try:
        space = parse_label_config(xml)
    except LabelConfigError as refusal:
        assume(refusal.remedy or refusal.where)
        return
    assert space.control("label").labels == ("a", "b")
    assert all(each.title and each.why for each in space.unserved)
    assert all(control.tag and control.field for control in space.controls)
    assert len({control.name for control in space.controls}) == len(space.controls)
