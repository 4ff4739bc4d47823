"""Spans by the fine-tuned tagger that we ship, in a real Label Studio: learned from people's marks in a process of its
own, shown on open tasks, and spread while a person marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from browser_support import until
from live_endpoints import endpoints, live_app
from tiny_models import tiny_bert

from adapter.core.spans.spread import SCORE
from adapter.label_studio.client import Client
from adapter.label_studio.desk import LabelStudioDesk
from adapter.label_studio.embedded import EmbeddedServer
from adapter.label_studio.users import make_annotator
from adapter.stages.consolidate import consolidate
from adapter.stages.ingest import ingest
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.rank import rank
from adapter.stages.setup import setup
from adapter.stages.train import train
from adapter.vocabulary import TASK_KEY_FIELD

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

CONFIG = """<View>
  <Labels name="names" toName="text"><Label value="person"/><Label value="place"/></Labels>
  <Text name="text" value="$text"/>
</View>
"""
PEOPLE = ("Anna Smith", "Maria Jones", "Anna", "Maria")
PLACES = ("Paris", "Berlin", "London", "Oslo")
FRAMES = (
    "\U0001f600 {person} lives in {place}",
    "hello {person} in {place} today",
    "the meeting moved to {place} for {person}",
    "{person} visits {place} and {person} is well",
)
"""The first begins with a sign that JavaScript counts twice."""
Span = tuple[int, int, str]


def sentences(count: int) -> tuple[list[dict[str, str]], dict[str, list[Span]]]:
    """Return rows, and by their id the true spans (start, end, label); the last line of each is its own."""
    rows, gold = [], {}
    for number in range(count):
        text, spans = f"{FRAMES[number % 4]}\nno {number}", []
        names = {"person": PEOPLE[(number + number // 4) % 4], "place": PLACES[(number * 3 + number // 4) % 4]}
        while "{" in text:
            start, end = text.index("{"), text.index("}")
            label = text[start + 1 : end]
            text = text[:start] + names[label] + text[end + 1 :]
            spans.append((start, start + len(names[label]), label))
        rows.append({"id": f"s{number}", "text": text})
        gold[f"s{number}"] = spans
    return rows, gold


def item(text: str, span: Span) -> dict[str, Any]:
    start, end, label = span
    value = {"start": start, "end": end, "text": text[start:end], "labels": [label]}
    return {"id": f"at {start}", "from_name": "names", "to_name": "text", "type": "labels", "value": value}


def spans_of(result: Sequence[Mapping[str, Any]]) -> list[Span]:
    return [(one["value"]["start"], one["value"]["end"], one["value"]["labels"][0]) for one in result]


def work(project: Any, server: EmbeddedServer, gold: dict[str, list[Span]], count: int) -> set[str]:
    """Let an annotator mark so many tasks as they are served; return our ids of them."""
    desk = LabelStudioDesk(server.url, make_annotator(server, "ann"), project.platform_id)
    done = set()
    for _ in range(count):
        task = desk.next_task()
        assert task is not None
        key, text = str(task.data[TASK_KEY_FIELD]), task.data["text"]
        desk.submit(task.task_id, [item(text, span) for span in gold[key]], 1.0)
        done.add(key)
    desk.close()
    pull(project)
    consolidate(project)
    return done


def test_spans_are_learned_shown_and_spread(label_studio: EmbeddedServer, tmp_path: Path) -> None:
    rows, gold = sentences(56)
    options = {
        "model": str(tiny_bert(tmp_path / "encoder")),
        "epochs": 12,
        "learning_rate": 3e-3,
        "batch_size": 8,
        "threads": 1,
    }
    app = live_app(
        tmp_path,
        label_studio,
        CONFIG,
        rows,
        backends={"names": {"path": "backends.token_spans:TokenSpans", "options": options}},
        window={"size": 40, "low_water": 39},
        train={"min_labels": 8, "min_new": 5, "min_gate": 4},
        blind={"share": 0.2, "batch_share": 0.2},
    )
    project: Any = app.project("live")
    with endpoints(app) as service:
        ingest(project)
        setup(project)
        push(project)
        done = work(project, label_studio, gold, 32)
        told = train(project)
        assert told.promoted, told.sentence
        rank(project)
        assert push(project).version == told.version

        # What people will see: on every open task, at the right characters, sure of itself, under the model's name.
        assert project.platform.project(project.platform_id).model_version == told.version
        tasks = {task.id: task for task in project.platform.tasks(project.platform_id)}
        shown = {row.task_id: row for row in project.platform.predictions(project.platform_id)}
        places = project.store.ledger.placements(project.name)
        assert set(shown) == {row.platform_id for row in places if not (row.blind or row.done or row.gone)}
        assert len(shown) >= 10
        true = found = right = 0
        for number, row in shown.items():
            key, text = str(tasks[number].key), tasks[number].data["text"]
            assert key not in done
            assert row.model_version == told.version
            assert 0.5 <= row.score <= 1
            assert all(
                one["value"]["text"] == text[slice(*span[:2])]
                for one, span in zip(row.result, spans_of(row.result), strict=True)
            )
            true, found = true + len(gold[key]), found + len(row.result)
            right += len({*spans_of(row.result)} & {*gold[key]})
        assert right >= 0.8 * true
        assert right >= 0.8 * found

        # While a person marks: the same words again, and what the model sees beside them.
        until(lambda: service.host.current("live").version == told.version, 30, "the model is not served")
        client = Client(label_studio.url, label_studio.token)
        (backend,) = project.platform.backends(project.platform_id)

        def ask(task: Any, *drawn: Span) -> Any:
            context = {"result": [item(task.data["text"], span) for span in drawn]}
            path = f"/api/ml/{backend.id}/interactive-annotating"
            return client.post(path, {"task": task.id, "context": context})["data"]

        twice = [task for task in tasks.values() if len(gold[str(task.key)]) == 3]
        bare = next(task for task in twice if str(task.key) in done and not project.is_blind(str(task.key)))
        person, place, again = gold[str(bare.key)]
        answer = ask(bare, person)
        assert spans_of(answer["result"]) == [place, again]
        assert answer["model_version"] == told.version
        by_model, by_hand = (one["score"] for one in answer["result"])
        assert by_hand == SCORE
        assert 0.5 <= by_model <= 1
        assert answer["score"] == pytest.approx(min(by_model, by_hand))
        assert ask(bare)["result"] == []
        hidden = next(task for task in twice if project.is_blind(str(task.key)))
        person, _, again = gold[str(hidden.key)]
        assert spans_of(ask(hidden, person)["result"]) == [again]  # of a blind task no model speaks
    app.close()
