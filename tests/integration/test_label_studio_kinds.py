"""Codec truth: what our kinds write, the real server takes whole and gives back unchanged, and our kinds read it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from kinds_support import CONFIGS, task_data

from adapter.kinds import kind_of, kinds
from adapter.kinds.samples import samples
from adapter.label_studio.desk import LabelStudioDesk
from adapter.label_studio.embedded import EmbeddedServer
from adapter.label_studio.label_config import parse_label_config
from adapter.label_studio.platform import LabelStudioPlatform
from adapter.label_studio.templates import templates
from adapter.ports import NewPrediction, NewTask
from adapter.vocabulary import Control, JsonObject, LabelSpace, Value

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

SEEDS = (0, 1)


@dataclass
class Server:
    """The shared server, and an annotator's token there."""

    url: str
    token: str
    platform: LabelStudioPlatform


@pytest.fixture(scope="module")
def server(label_studio: EmbeddedServer) -> Server:
    return Server(label_studio.url, label_studio.token, LabelStudioPlatform(label_studio.url, label_studio.token))


def written(space: LabelSpace, values: dict[str, Value]) -> list[JsonObject]:
    return [item for control in space.controls for item in kind_of(control.kind).write(control, values[control.name])]


def plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def walked(server: Server, title: str, config: str, seeds: tuple[int, ...]) -> None:
    """Write made-up answers as predictions, then as annotations; compare what comes back."""
    space = parse_label_config(config)
    assert space.controls
    project = server.platform.create_project(title[:50], config).id
    data = task_data(config, server.url)
    answers = {f"k{seed}": samples(space, seed, data) for seed in seeds}
    placed = server.platform.import_tasks(project, [NewTask(key, data) for key in answers])
    results = {key: tuple(written(space, values)) for key, values in answers.items()}
    rows = [NewPrediction(placed[key], result, 0.5, "m1") for key, result in results.items()]
    assert server.platform.import_predictions(project, rows) == len(rows)
    there = {prediction.task_id: prediction.result for prediction in server.platform.predictions(project)}
    desk = LabelStudioDesk(server.url, server.token, project)
    for key, result in results.items():
        assert plain(there[placed[key]]) == plain(result), f"{title}: the server keeps the prediction otherwise"
        desk.submit(placed[key], there[placed[key]], 1.0)
    desk.close()
    for task in server.platform.tasks(project):
        [annotation] = task.annotations
        assert task.key is not None
        for control in space.controls:
            check(title, control, annotation.result, answers[task.key][control.name])


def check(title: str, control: Control, result: tuple[JsonObject, ...], value: Value) -> None:
    kind = kind_of(control.kind)
    back = kind.read(control, result)
    assert back == value, f"{title}: '{control.name}' reads back as something else"
    assert kind.canonical(control, plain(back)) == value, f"{title}: '{control.name}' does not survive JSON"


def test_the_configs_have_every_tag_that_is_served() -> None:
    spaces = [parse_label_config(config) for config in CONFIGS.values()]
    tags = {(control.inner or control).tag for space in spaces for control in space.controls}
    served = {control.kind for space in spaces for control in space.controls}
    assert served == set(kinds())
    assert {tag for kind in kinds().values() for tag in kind.tags} - {"MagicWand"} <= tags
    assert not [unserved for space in spaces for unserved in space.unserved]


@pytest.mark.parametrize("name", CONFIGS)
def test_answers_of_every_kind_come_back_as_they_were(server: Server, name: str) -> None:
    walked(server, f"kinds: {name}", CONFIGS[name], SEEDS)


def test_answers_to_every_template_come_back_as_they_were(server: Server) -> None:
    served = [each for each in templates() if parse_label_config(each.config).controls]
    assert len(served) >= 56
    for template in served:
        walked(server, f"template: {template.name}", template.config, SEEDS[:1])
