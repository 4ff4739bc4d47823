"""What a data lead does wrong on the first day, and what is said: settings, order of work, models that vanished."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapter.app import App
from adapter.core.stopping import Agreement, Standing, advise
from adapter.doctor import model_finding, order_findings
from adapter.errors import ModelError, PlatformRefused
from adapter.findings import Level
from adapter.policies import StopPolicy
from adapter.scaffold import Wish, scaffold
from adapter.settings import LabelStudioSettings, Settings
from adapter.stages.evidence import current_judge
from adapter.stages.setup import setup
from adapter.stages.status import status


def test_doctor_names_a_misspelt_strategy(make_world: Callable[..., Any]) -> None:
    world = make_world(functions=False, rank={"strategy": "fischer", "cold_start": "typiclust"})
    (finding,) = order_findings(world.project)
    assert finding.level is Level.ERROR
    assert "rank.strategy" in finding.what
    assert "Did you mean 'fisher'?" in finding.remedy


@pytest.mark.parametrize(("share", "word"), [(0.0, "can ever be measured"), (1.0, "left to learn from")])
def test_doctor_warns_of_a_blind_sample_that_is_nothing_or_all(
    make_world: Callable[..., Any], share: float, word: str
) -> None:
    (finding,) = order_findings(make_world(functions=False, blind={"share": share}).project)
    assert finding.level is Level.WARN
    assert word in finding.what


def test_doctor_is_content_with_the_defaults(make_world: Callable[..., Any]) -> None:
    assert list(order_findings(make_world(functions=False).project)) == []


def test_an_embedded_server_that_was_never_started_is_no_question_of_tokens(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", config=tmp_path, label_studio=LabelStudioSettings(embedded=True))
    app = App(settings)
    with pytest.raises(PlatformRefused) as caught:
        _ = app.platform
    assert "`hitl up`" in caught.value.remedy
    assert "HITL_LABEL_STUDIO_TOKEN" not in str(caught.value)
    app.close()


def test_status_says_how_many_labels_the_first_training_waits_for(make_world: Callable[..., Any]) -> None:
    world = make_world(functions=False)
    assert status(world.project).training == "not due: 0 labels outside the blind sample, 12 are needed"


def test_a_spent_budget_leaves_nothing_rather_than_less(make_world: Callable[..., Any]) -> None:
    from adapter.stages.ingest import ingest
    from adapter.stages.push import push
    from adapter.stages.rank import rank
    from adapter.stages.window import left_in_budget

    world = make_world(functions=False, window={"size": 20, "low_water": 10})
    ingest(world.project)
    rank(world.project)
    assert push(world.project).pushed == 20
    poorer = make_world(functions=False, window={"size": 20, "low_water": 10, "budget": 5})
    assert left_in_budget(poorer.project, 5) < 0
    assert status(poorer.project).budget_left == 0


def test_a_model_whose_files_vanished_is_named_and_a_training_mends_it(make_world: Callable[..., Any]) -> None:
    from adapter.stages.consolidate import consolidate
    from adapter.stages.ingest import ingest
    from adapter.stages.pull import pull
    from adapter.stages.push import push
    from adapter.stages.rank import rank
    from adapter.stages.train import train

    world = make_world(functions=False, window={"size": 60, "low_water": 30})
    ingest(world.project)
    rank(world.project)
    push(world.project)
    world.label("ann", 50)
    pull(world.project)
    consolidate(world.project)
    assert train(world.project).promoted
    version = world.project.store.models.current("spam").version
    shutil.rmtree(world.project.home / "artifacts" / "folders")
    with pytest.raises(ModelError, match=version) as caught:
        current_judge(world.project)
    assert "`hitl train spam`" in caught.value.remedy
    finding = model_finding(world.project)
    assert finding.level is Level.ERROR
    assert version in finding.what
    assert train(world.project).promoted
    assert current_judge(world.project) is not None
    assert model_finding(world.project).level is Level.OK


def test_of_two_projects_one_is_made_at_a_time(make_world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world(functions=False)
    platform, at_once, most = world.platform, [0], [0]
    made = platform.create_project

    def slowly(title: str, config: str) -> Any:
        at_once[0] += 1
        most[0] = max(most[0], at_once[0])
        time.sleep(0.1)
        at_once[0] -= 1
        return made(title, config)

    monkeypatch.setattr(platform, "create_project", slowly)
    monkeypatch.setattr(platform, "find_project", lambda title: None)
    threads = [threading.Thread(target=setup, args=(world.project,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1


@pytest.mark.parametrize(("threshold", "told"), [(0.99, True), (0.5, False)])
def test_a_bound_that_bounds_nothing_is_not_told(threshold: float, told: bool) -> None:
    same = Agreement(1.0, 500, (400, 500))
    found = advise(
        Standing(labels=500, agreements=(same, same, same)), StopPolicy(kappa=threshold, window=3, least_labels=100)
    )
    assert found.stop
    assert ("changed by at most" in found.why) is told


def test_images_get_a_backend_that_reads_images(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "d0301.png").write_bytes(b"")
    scaffold(tmp_path, Wish(data=tmp_path / "pictures", labels=("0", "1")))
    assert "path: backends.image:Image" in (tmp_path / "config/projects/pictures.yaml").read_text()
    (tmp_path / "texts.csv").write_text("text\nhello\n")
    scaffold(tmp_path, Wish(data=tmp_path / "texts.csv", labels=("0", "1")))
    assert "path: backends.linear:Linear" in (tmp_path / "config/projects/texts.yaml").read_text()


@pytest.mark.parametrize(("label", "name", "votes"), [("0", "d0301.png", False), ("cat", "cat01.png", True)])
def test_the_first_function_for_images_does_not_find_short_labels_inside_names(
    tmp_path: Path, label: str, name: str, votes: bool
) -> None:
    from adapter.labeling import discover

    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / name).write_bytes(b"")
    scaffold(tmp_path, Wish(data=tmp_path / "pictures", labels=(label, "other")))
    functions = {one.name: one for one in discover(str(tmp_path / "labeling_functions/pictures.py"))}
    said = functions["named"]({"image": f"hitl-file:{name}"})
    assert (said == label) is votes


def test_transformers_can_be_imported_by_several_threads_at_once() -> None:
    import subprocess
    import sys

    program = """
import threading
from backends.importing import import_transformers
wrong = []
def use():
    try:
        import_transformers()
        from transformers import AutoConfig, AutoModel, AutoTokenizer
    except ImportError as error:
        wrong.append(str(error))
threads = [threading.Thread(target=use) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert not wrong, wrong
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert found.returncode == 0, found.stderr[-2000:]


def test_the_scheduler_waits_for_our_endpoints_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    from adapter import findings
    from adapter.cli.run import Ready

    answers = [findings.Answer(0, "refused"), findings.Answer(0, "refused"), findings.Answer(200, "{}")]
    monkeypatch.setattr(findings, "fetch", lambda *_: answers.pop(0))
    clock = [100.0]
    monkeypatch.setattr("adapter.cli.run.time.monotonic", lambda: clock[0])
    patient = Ready("http://127.0.0.1:1/health")
    seen = []
    for _ in range(4):
        seen.append(patient())
        clock[0] += 1000.0
    assert seen == [False, False, True, True]
    answers[:] = [findings.Answer(0, "refused")] * 3
    hurried = Ready("http://127.0.0.1:1/health", patience_s=30.0)
    assert not hurried()
    clock[0] += 20.0
    assert not hurried()
    clock[0] += 20.0
    assert hurried()
