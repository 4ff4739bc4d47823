from __future__ import annotations

import contextlib
import importlib.util
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import LabelConfigError, UnsupportedControl
from adapter.label_studio.label_config import (
    config_digest,
    data_fields,
    parse_label_config,
    with_reason_header,
)

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


class TestRefusals:
    def test_all_that_is_not_served_is_named_at_once(self) -> None:
        boxes = '<RectangleLabels name="box" toName="text"><Label value="car"/></RectangleLabels>'
        area = '<TextArea name="note" toName="text"/>'
        regions = '<Choices name="each" toName="text" perRegion="true"><Choice value="a"/></Choices>'
        with pytest.raises(UnsupportedControl) as caught:
            parse_label_config(config(boxes, GOOD, area, regions))
        message = str(caught.value)
        assert "<RectangleLabels name='box'>, <TextArea name='note'> are not served yet" in message
        assert "<Choices name='each'>: perRegion='true' asks for choices on each region" in message
        assert "Served: <Choices>" in message

    def test_an_unknown_control_gets_the_nearest_tag(self) -> None:
        with pytest.raises(UnsupportedControl, match=r"Chioces\? Did you mean 'Choices'"):
            parse_label_config(config('<Chioces name="c" toName="text"/>'))

    def test_an_unknown_tag_is_not_passed_over_in_silence(self) -> None:
        with pytest.raises(LabelConfigError, match="Did you mean 'Choice'"):
            parse_label_config(config(GOOD.replace('<Choice value="b"/>', '<Choise value="b"/>')))

    @pytest.mark.parametrize("tag", ["Relations", "Chat", "Repeater"])
    def test_controls_without_to_name_are_found_too(self, tag: str) -> None:
        with pytest.raises(UnsupportedControl, match=f"<{tag}"):
            parse_label_config(config(GOOD, f'<{tag} on="$x" value="$x"/>'))

    @pytest.mark.parametrize(
        ("xml", "words"),
        [
            (
                config(GOOD.replace('toName="text"', 'toName="txet"')),
                "toName='txet' names no object. Did you mean 'text'",
            ),
            (config(GOOD.replace(' toName="text"', "")), "has no toName. Point it at an object"),
            (config(GOOD.replace('name="label" ', "")), "<Choices> has no name"),
            (config(GOOD, GOOD), "'label' is there twice"),
            (config(GOOD.replace('name="label"', 'name="text"')), "'text' is there twice"),
            (config(), "holds no control"),
            (f"<View>{GOOD}</View>", "no object yet"),
            (f'<View><Text name="text" value="Hello"/>{GOOD}</View>', "shows no task field, but 'Hello'"),
            (f'<View><Text name="text"/>{GOOD}</View>', "shows no task field, but nothing"),
            (f'<View><Text name="text" value="$a and $b"/>{GOOD}</View>', "shows no task field"),
            (config(GOOD.replace('value="b"', 'value="a"')), "'a' is there twice"),
        ],
    )
    def test_mistakes_are_named_with_the_remedy(self, xml: str, words: str) -> None:
        with pytest.raises(LabelConfigError) as caught:
            parse_label_config(xml)
        assert words in str(caught.value)
        assert caught.value.remedy

    def test_several_objects_at_once_are_not_served(self) -> None:
        xml = config('<Text name="more" value="$more"/>', GOOD.replace('toName="text"', 'toName="text,more"'))
        with pytest.raises(UnsupportedControl, match="several objects"):
            parse_label_config(xml)

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


def templates() -> list[Path]:
    found = importlib.util.find_spec("label_studio")
    if found is None or found.origin is None:
        return []
    return sorted(Path(found.origin).parent.glob("annotation_templates/**/config.yml"))


@pytest.mark.skipif(not templates(), reason="needs the templates of an installed label-studio: pip install '.[server]'")
def test_every_template_that_users_start_from_parses_or_is_refused_in_words() -> None:
    served = refused = 0
    for path in templates():
        xml = yaml.safe_load(path.read_text(encoding="utf-8"))["config"]
        refusal = None
        try:
            space = parse_label_config(xml)
        except LabelConfigError as error:
            refusal = error
        if refusal is None:
            served += 1
            assert all(control.labels and control.field for control in space.controls), path
            assert parse_label_config(with_reason_header(xml, "why")).controls == space.controls
        else:
            refused += 1
            assert refusal.remedy, path
            assert "<" in str(refusal), path
    assert served >= 5
    assert refused >= 30
