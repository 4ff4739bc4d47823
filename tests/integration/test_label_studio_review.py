"""Review against the real server: the reviewer's page, the three gestures, what follows of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter.app import App
from adapter.label_studio.client import Client
from adapter.label_studio.desk import LabelStudioDesk
from adapter.label_studio.embedded import EmbeddedServer
from adapter.label_studio.platform import LabelStudioPlatform
from adapter.label_studio.users import make_annotator
from adapter.settings import ProjectSettings, Settings
from adapter.stages.consolidate import consolidate
from adapter.stages.ingest import ingest
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.review import ReviewReport, rejected, review, standing
from adapter.stages.review_project import PROPOSED, load, title_of
from adapter.vocabulary import REASON_FIELD, SAID_FIELD, TASK_KEY_FIELD, Decision

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

CONFIG = """<View><Text name="text" value="$text"/>
<Choices name="tone" toName="text"><Choice value="good"/><Choice value="bad"/></Choices></View>"""


def tone(label: str) -> list[dict[str, Any]]:
    return [{"from_name": "tone", "to_name": "text", "type": "choices", "value": {"choices": [label]}}]


@pytest.fixture
def app(label_studio: EmbeddedServer, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[App]:
    config = tmp_path / "config"
    config.mkdir()
    (config / "tone.xml").write_text(CONFIG, encoding="utf-8")
    data = tmp_path / "texts.jsonl"
    data.write_text("".join(json.dumps({"id": f"t{n}", "text": f"text {n}"}) + "\n" for n in range(6)))
    project = ProjectSettings.model_validate(
        {
            "name": "tone",
            "title": request.node.name[:40],
            "label_config": str(config / "tone.xml"),
            "data": {"path": str(data), "id_column": "id"},
            "labeling_functions": "none",
            "consolidate": {"max_people": 2},
            "blind": {"share": 0.0},
            "flag": {"enabled": False},
            "review": {"enabled": True, "random_share": 0.0, "low_skill": 0.0},
        }
    )
    opened = App(
        Settings(home=tmp_path / "home", config=config, projects={"tone": project}),
        platform=LabelStudioPlatform(label_studio.url, label_studio.token),
    )
    yield opened
    opened.close()


def seat(server: EmbeddedServer, name: str, project_id: int) -> LabelStudioDesk:
    return LabelStudioDesk(server.url, make_annotator(server, name), project_id)


def labelled(app: App, server: EmbeddedServer, *, split: tuple[str, ...] = ("t1", "t2", "t3")) -> Any:
    """All six tasks, labelled by two people who differ on some."""
    project = app.project("tone")
    ingest(project)
    push(project)
    assert project.platform_id is not None
    for placement in project.store.ledger.placements("tone"):
        project.platform.set_overlap(placement.platform_id, 2)
    for name in ("ann", "bob"):
        desk = seat(server, name, project.platform_id)
        while (assignment := desk.next_task()) is not None:
            wrong = name == "bob" and assignment.data[TASK_KEY_FIELD] in split
            desk.submit(assignment.task_id, tone("bad" if wrong else "good"), 1.0)
        desk.close()
    settled(project)
    return project


def settled(project: Any) -> ReviewReport:
    pull(project)
    consolidate(project)
    report = review(project)
    consolidate(project)
    return report


def values(project: Any) -> dict[str, Any]:
    return {row.task_id: (row.value, row.method) for row in project.store.consensus.all("tone")}


def test_a_reviewer_accepts_corrects_and_rejects(app: App, label_studio: EmbeddedServer) -> None:
    project = labelled(app, label_studio)
    assert {task for task, (value, _) in values(project).items() if value is None} == {"t1", "t2", "t3"}
    there = project.platform.find_project(title_of(project))
    assert there is not None
    assert there.task_count == 3
    desk = seat(label_studio, "eve", there.id)
    first = desk.next_task()
    assert first is not None
    assert "there is no consensus of 2 people" in first.data[REASON_FIELD]
    assert "person A says" in first.data[SAID_FIELD]
    desk.submit(first.task_id, tone("good"), 2.0)
    second = desk.next_task()
    assert second is not None
    made = desk.submit(second.task_id, tone("bad"), 2.0)
    third = desk.next_task()
    assert third is not None
    desk.skip(third.task_id, 2.0)
    report = settled(project)
    assert sum(report.decided.values()) == 3
    assert report.decided["reject"] == 1
    assert report.open == 0
    keys = [task.data[TASK_KEY_FIELD] for task in (first, second, third)]
    now = values(project)
    assert now[keys[0]] == (["good"], "expert")
    assert now[keys[1]] == (["bad"], "expert")
    assert now[keys[2]][0] is None
    assert rejected(project) == {keys[2]}
    assert {row.task_id for row in project.store.gold.all("tone")} == set(keys[:2])

    raw = Client(label_studio.url, label_studio.token)
    raw.patch(f"/api/annotations/{made}/", {"result": tone("good")})
    settled(project)
    assert values(project)[keys[1]] == (["good"], "expert")
    raw.delete(f"/api/annotations/{made}/")
    report = settled(project)
    assert report.undone == 1
    assert values(project)[keys[1]][1] != "expert"
    assert [entry.task_id for entry in load(project).entries.values()] == [keys[1]]
    again = desk.next_task()
    assert again is not None
    assert again.data[TASK_KEY_FIELD] == keys[1]


def test_the_proposed_label_is_selected_and_unchanged_accepts(app: App, label_studio: EmbeddedServer) -> None:
    settings = app.settings.projects["tone"]
    policy = settings.review.model_copy(update={"random_share": 1.0})
    app.settings.projects["tone"] = settings.model_copy(update={"review": policy})
    project = labelled(app, label_studio, split=())
    there = project.platform.find_project(title_of(project))
    assert there is not None
    assert (there.task_count, there.model_version) == (6, PROPOSED)
    desk = seat(label_studio, "eve", there.id)
    task = desk.next_task()
    assert task is not None
    assert task.prelabel_version == PROPOSED
    desk.submit(task.task_id, task.prelabel, 1.0)
    assert settled(project).decided == {"accept": 1}
    (decision,) = standing(project).values()
    assert (decision.decision, decision.value, decision.reviewer) == (
        Decision.ACCEPT,
        ["good"],
        "eve@annotators.local",
    )


def test_a_task_that_people_settle_leaves_the_reviewers_table(app: App, label_studio: EmbeddedServer) -> None:
    project = labelled(app, label_studio)
    theirs = [made for made in project.store.annotations.of_task("tone", "t1") if made.annotator.startswith("bob")]
    Client(label_studio.url, label_studio.token).patch(f"/api/annotations/{theirs[0].id}/", {"result": tone("good")})
    report = settled(project)
    assert (report.withdrawn, report.open) == (1, 2)
    there = project.platform.find_project(title_of(project))
    assert there is not None
    assert there.task_count == 2
    assert settled(project).withdrawn == 0
