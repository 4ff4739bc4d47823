"""Several controls with a model of their own each, in a real Label Studio: learned, pre-labelled, learned again, asked
while a person works; and the button that starts a training."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser_support import until
from live_endpoints import endpoints, keep_model, live_app
from tests_support import SPAM_CONFIG, spam_rows
from word_list import WordList

from adapter.app import App
from adapter.label_studio.client import Client
from adapter.label_studio.desk import LabelStudioDesk
from adapter.label_studio.embedded import EmbeddedServer
from adapter.label_studio.users import make_annotator
from adapter.loop import LoopRunner, default_stages
from adapter.ports import Assignment
from adapter.stages.consolidate import consolidate
from adapter.stages.ingest import ingest
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.rank import rank
from adapter.stages.review import rejected, review
from adapter.stages.review_project import title_of
from adapter.stages.setup import setup
from adapter.stages.status import status
from adapter.stages.train import train
from adapter.training import run as run_training
from adapter.vocabulary import TASK_KEY_FIELD

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

CONFIG = """<View>
  <Text name="text" value="$text"/>
  <Choices name="spam" toName="text" choice="single"><Choice value="spam"/><Choice value="ham"/></Choices>
  <Labels name="words" toName="text"><Label value="opening"/><Label value="closing"/></Labels>
  <Rating name="tone" toName="text" maxRating="3"/>
</View>
"""
CONTROLS = {"spam", "words", "tone"}
SETTINGS: dict[str, Any] = {
    "backend": {"path": "backends.linear:Linear"},
    "backends": {
        "words": {"path": "word_list:WordList"},
        "tone": {"path": "backends.linear:Linear", "options": {"c": 0.5}},
    },
    "window": {"size": 40, "low_water": 39},
    "train": {"min_labels": 8, "min_new": 5, "min_gate": 4},
    "blind": {"share": 0.2, "batch_share": 0.2},
    "review": {"enabled": True, "random_share": 1.0, "low_skill": 0.0},
}


def answers(text: str, spam: str) -> list[dict[str, Any]]:
    """What a person says of a text: all three controls."""
    words = text.split()
    last = len(text) - len(words[-1])
    spans = [(0, len(words[0]), "opening"), (last, len(text), "closing")]
    return [
        {"from_name": "spam", "to_name": "text", "type": "choices", "value": {"choices": [spam]}},
        *(
            {
                "id": label,
                "from_name": "words",
                "to_name": "text",
                "type": "labels",
                "value": {"start": start, "end": end, "text": text[start:end], "labels": [label]},
            }
            for start, end, label in spans
        ),
        {"from_name": "tone", "to_name": "text", "type": "rating", "value": {"rating": 1 if spam == "spam" else 3}},
    ]


class Live:
    """The project in the real server, and its one annotator."""

    def __init__(self, app: App, server: EmbeddedServer, gold: dict[str, str]) -> None:
        self.app, self.server, self.gold = app, server, gold
        self.project = app.project("live")
        self.jobs: list[Any] = []

    def seat(self, name: str, platform_id: int | None) -> LabelStudioDesk:
        assert platform_id is not None
        return LabelStudioDesk(self.server.url, make_annotator(self.server, name), platform_id)

    def work(self, count: int, *, skip: Sequence[int] = ()) -> tuple[list[str], list[str]]:
        """Label so many tasks as they are served, but skip those at these places; return both ids."""
        desk = self.seat("ann", self.project.platform_id)
        done: list[str] = []
        skipped: list[str] = []
        for number in range(count):
            assignment = desk.next_task()
            assert assignment is not None
            key = str(assignment.data[TASK_KEY_FIELD])
            if number in skip:
                desk.skip(assignment.task_id, 1.0)
                skipped.append(key)
            else:
                desk.submit(assignment.task_id, answers(assignment.data["text"], self.gold[key]), 1.0)
                done.append(key)
        desk.close()
        self.settle()
        return done, skipped

    def settle(self) -> None:
        pull(self.project)
        consolidate(self.project)
        review(self.project)
        consolidate(self.project)

    def reject(self) -> str:
        """Let a reviewer reject the first annotation on their table; return its task's id."""
        there = self.project.platform.find_project(title_of(self.project))
        desk = self.seat("eve", there.id)
        task = desk.next_task()
        assert isinstance(task, Assignment)
        desk.skip(task.task_id, 1.0)
        desk.close()
        self.settle()
        return str(task.data[TASK_KEY_FIELD])

    def learned_from(self) -> set[str]:
        """Ids of the tasks in the last training job, whichever control they are for."""
        job = self.jobs[-1]
        return {key for part in (*job.controls, *job.marked) for key in part.ids}


@pytest.fixture
def live(label_studio: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    rows, gold = spam_rows(90)
    made = Live(live_app(tmp_path, label_studio, CONFIG, rows, **SETTINGS), label_studio, gold)

    def watched(job: Any, *args: Any, **options: Any) -> Any:
        made.jobs.append(job)
        return run_training(job, *args, **options)

    monkeypatch.setattr("adapter.stages.train.run", watched)
    yield made
    made.app.close()


def shown(project: Any) -> dict[int, list[Any]]:
    """Platform task id to the predictions of the version that the server shows."""
    version = project.platform.project(project.platform_id).model_version
    found: dict[int, list[Any]] = {}
    for row in project.platform.predictions(project.platform_id):
        if row.model_version == version:
            found.setdefault(row.task_id, []).append(row)
    return found


def visible(project: Any) -> set[int]:
    """Open tasks that may have a pre-label."""
    rows = project.store.ledger.placements(project.name)
    return {row.platform_id for row in rows if not (row.blind or row.done or row.gone)}


def test_three_controls_are_learned_shown_and_learned_again(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    project = live.project
    ingest(project)
    push(project)
    done, skipped = live.work(24, skip=(3, 11))
    refused = live.reject()
    assert refused in done
    assert rejected(project) == {refused}
    assert len(skipped) == 2
    first = train(project)
    assert first.promoted, first.sentence
    (job,) = live.jobs
    assert {part.name for part in job.controls} == {"spam", "tone"}
    assert {part.name for part in job.marked} == {"words"}
    assert {part.backend for part in job.marked} == {"word_list:WordList"}
    assert {part.name: dict(part.options) for part in job.controls} == {"spam": {}, "tone": {"c": 0.5}}
    blind = {row.task_id for row in project.store.ledger.placements(project.name) if row.blind}
    taught = live.learned_from()
    assert taught
    assert taught == set(done) - blind - {refused}
    assert not taught & set(skipped)

    rank(project)
    assert push(project).version == first.version
    push(project)  # what the first one asked for again, since it was rejected, gets its pre-label
    there = project.platform.project(project.platform_id)
    assert there.model_version == first.version
    before = shown(project)
    assert set(before) == visible(project)
    for (row,) in before.values():
        assert {"spam", "tone"} <= {item["from_name"] for item in row.result} <= CONTROLS
        assert 0 < row.score <= 1
    marked = [row for (row,) in before.values() if any(item["from_name"] == "words" for item in row.result)]
    assert len(marked) > len(before) / 2  # where the word list knows a word

    # More people's work, and a second model.
    more, _ = live.work(15)
    moments = watch_versions(project, monkeypatch)
    second = train(project)
    assert second.promoted, second.sentence
    assert second.version != first.version
    assert not {refused, *skipped} & live.learned_from()
    assert set(more) - blind <= live.learned_from()
    ranked = rank(project)
    assert ranked.basis == second.version
    place = (project.name, "probabilities", "spam", "model", second.version)
    assert not list(project.columns.missing(*place, project.store.tasks.count(project.name)))
    assert project.platform.project(project.platform_id).model_version == first.version
    pushed = push(project)
    assert (pushed.version, pushed.prelabelled) == (second.version, len(visible(project)))
    after = shown(project)
    assert set(after) == visible(project)
    assert all(row.model_version == second.version for rows in after.values() for row in rows)
    assert all(len(rows) == 1 for rows in after.values())

    # Every open task had a pre-label of the version that was shown, whenever anything was changed.
    verbs = [verb for verb, _, _ in moments]
    assert "import_predictions" in verbs
    assert verbs.index("import_predictions") < verbs.index(f"shown {second.version}")
    for verb, version, bare in moments:
        assert version in (first.version, second.version)
        assert not bare, f"at '{verb}' {len(bare)} open tasks had no pre-label of {version}"


def watch_versions(project: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, set[int]]]:
    """Watch the calls that change predictions or the version shown: (what was done, the version shown after it, open
    tasks without a prediction of that version). Tasks that have just come are not counted."""
    moments: list[tuple[str, str, set[int]]] = []
    platform, old = project.platform, visible(project)

    def look(verb: str) -> None:
        version = platform.project(project.platform_id).model_version
        moments.append((verb, version, (visible(project) & old) - set(shown(project))))

    def watched(verb: str) -> Any:
        real = getattr(platform, verb)

        def call(*args: Any, **options: Any) -> Any:
            look(f"before {verb}")
            answer = real(*args, **options)
            look(f"shown {options['model_version']}" if "model_version" in options else verb)
            return answer

        return call

    for verb in ("import_predictions", "delete_predictions", "configure", "import_tasks"):
        monkeypatch.setattr(platform, verb, watched(verb))
    return moments


def test_the_button_starts_a_training_that_one_can_see(live: Live) -> None:
    project = live.project
    with endpoints(live.app):
        ingest(project)
        setup(project)
        push(project)
        live.work(20)
        client = Client(live.server.url, live.server.token)
        (backend,) = project.platform.backends(project.platform_id)
        client.post(f"/api/ml/{backend.id}/train", {})
        web = project.web
        ours = httpx.Client(
            base_url=project.public_url,
            auth=(web.backend_user, project.secrets.backend_password),
            trust_env=False,
        )
        with ours:
            asked = ours.post("/train", json={"project": f"{project.platform_id}.1"}).json()
            job = asked["job"]  # asking again while it waits is the same job: this is the button's
            seen = lambda: ours.get("/job_status", params={"job": job}).json()  # noqa: E731
            assert seen()["job_status"] == "queued"
            loop = LoopRunner(project, {**default_stages(), "measure_progress": lambda *_, **__: None})
            thread = threading.Thread(target=loop.train)
            thread.start()
            try:
                under_way = until(lambda: (now := seen())["job_status"] == "started" and now, 60, "it did not start")
                assert under_way["training"]["annotations"] == 20
                told = until(lambda: (words := status(project).training).startswith("under way: ") and words, 60, "?")
                steps = until(lambda: "steps" in status(project).training or seen()["job_status"] != "started", 60, "?")
            finally:
                thread.join()
            assert told
            assert steps
            ended = seen()
            version = project.store.models.current(project.name).version
            assert (ended["job_status"], ended["model_version"]) == ("finished", version)
            assert not status(project).training.startswith("under way")


def test_label_studio_brings_our_suggestions_to_a_person_at_work(live: Live, tmp_path: Path) -> None:
    project = live.project
    with endpoints(live.app) as service:
        ingest(project)
        setup(project)
        push(project)
        model = WordList(["text"])
        model.words = {"channel": ("closing", 0.7)}
        version = keep_model(project, tmp_path / "model", {"words": model})
        until(lambda: service.host.current("live").version == version, 30, "the model is not served")
        client = Client(live.server.url, live.server.token)
        (backend,) = project.platform.backends(project.platform_id)
        assert client.get(f"/api/ml/{backend.id}")["is_interactive"] is True
        tasks = {str(task.key): task for task in project.platform.tasks(project.platform_id)}
        spam = [task for task in tasks.values() if "channel" in task.data["text"]]
        seen = next(task for task in spam if not project.is_blind(str(task.key)))
        hidden = next(task for task in tasks.values() if project.is_blind(str(task.key)))

        def ask(task: Any, context: Any) -> Any:
            path = f"/api/ml/{backend.id}/interactive-annotating"
            return client.post(path, {"task": task.id, "context": context})

        def starts(answer: Any) -> list[tuple[int, str]]:
            return [(item["value"]["start"], item["value"]["labels"][0]) for item in answer["data"]["result"]]

        text = seen.data["text"]
        at = text.index("s")
        drawn = answers(text, "spam")[1] | {"id": "drawn here"}
        drawn["value"] = {"start": at, "end": at + 1, "text": "s", "labels": ["opening"]}
        answer = ask(seen, {"result": [drawn]})
        assert answer["data"]["model_version"] == version
        assert starts(answer) == [(text.index("channel"), "closing")]
        assert starts(ask(hidden, {"result": [drawn | {"id": "of a blind task"}]})) == []  # of it no model speaks
        assert ask(seen, {"result": []})["data"]["result"] == []
        assert "data" in ask(seen, None)  # Label Studio sends null where the page tells nothing


def test_a_project_without_regions_is_not_asked_while_people_work(label_studio: EmbeddedServer, tmp_path: Path) -> None:
    rows, _ = spam_rows(6)
    app = live_app(tmp_path, label_studio, SPAM_CONFIG, rows)
    project = app.project("live")
    with endpoints(app):
        ingest(project)
        setup(project)
        push(project)
        client = Client(label_studio.url, label_studio.token)
        (backend,) = project.platform.backends(project.platform_id)
        assert client.get(f"/api/ml/{backend.id}")["is_interactive"] is False
        task = min(project.platform.task_ids(project.platform_id))
        answer = client.post(f"/api/ml/{backend.id}/interactive-annotating", {"task": task, "context": {"result": []}})
        assert "not set to be used for interactive" in answer["errors"][0]
    app.close()
