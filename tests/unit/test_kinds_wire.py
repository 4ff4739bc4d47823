"""What Label Studio's page needs of the items that kinds write, seen by opening them there."""

from __future__ import annotations

import base64
import dataclasses
import io

import numpy as np
import pytest

from adapter.kinds import kind_of
from adapter.kinds.samples import samples
from adapter.label_studio.label_config import parse_label_config

OBJECTS = '<Image name="left" value="$left"/><Image name="right" value="$right"/><List name="list" value="$list"/>'


def test_a_mask_in_a_picture_without_transparency_gets_some() -> None:
    """The page paints every pixel that is not transparent, so it would show such a mask as the whole picture."""
    from PIL import Image

    mask = np.zeros((12, 16), np.uint8)
    mask[3:9, 4:8] = 255
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    space = parse_label_config(
        f'<View>{OBJECTS}<BitmaskLabels name="m" toName="left"><Label value="a"/></BitmaskLabels></View>'
    )
    [control] = space.controls
    kind = kind_of(control.kind)
    given = [{"labels": ["a"], "value": {"imageDataURL": url}}]
    [item] = kind.write(control, kind.canonical(control, given))
    drawn = Image.open(io.BytesIO(base64.b64decode(item["value"]["imageDataURL"].partition(",")[2])))
    assert np.array_equal(np.asarray(drawn.convert("RGBA").getchannel("A")), mask)
    assert kind.read(control, [item]) == kind.canonical(control, given)


@pytest.mark.parametrize(
    "xml",
    [
        '<RectangleLabels name="m" toName="left"><Label value="a"/></RectangleLabels>',
        '<Choices name="m" toName="left"><Choice value="a"/></Choices>',
        '<TextArea name="m" toName="left"/>',
        '<Rating name="m" toName="left"/>',
    ],
)
def test_an_answer_on_several_objects_points_at_the_first(xml: str) -> None:
    space = parse_label_config(f"<View>{OBJECTS}{xml}</View>")
    value = samples(space, 0, {})["m"]
    control = dataclasses.replace(space.control("m"), to_name="left, right")
    kind = kind_of(control.kind)
    items = kind.write(control, value)
    assert {item["to_name"] for item in items} == {"left"}
    assert kind.read(control, items) == value
