"""What bad input gets, through the command line: one clear sentence with the remedy, the documented exit code, and
nothing lost or half-written; when it is mended, the same command works."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from real_server import free_port
from tests_support import FUNCTIONS, SPAM_CONFIG, spam_rows

from adapter.app import App
from adapter.cli import main
from adapter.store import Store
from adapter.testing import MemoryPlatform
from adapter.vocabulary import TASK_KEY_FIELD

TOKEN = "e5b7f0a1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f7"
PROJECT = """
label_config: spam.xml
labeling_functions: ../functions.py
data:
  path: ../comments.jsonl
  id_column: id
window:
  size: 20
  low_water: 10
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    def refused(self, code: int, *words: str) -> None:
        """It ended with this code and one sentence (or two) on one line of stderr, that says all of these words."""
        assert self.code == code, (self.out, self.err)
        assert self.err.startswith("hitl: ")
        assert self.err.count("\n") == 1, self.err
        assert self.err.endswith((".\n", "?\n"))
        assert "Traceback" not in self.err + self.out
        assert TOKEN not in self.err + self.out
        for word in words:
            assert word in self.err

    @property
    def json(self) -> Any:
        assert self.code == 0, (self.out, self.err)
        return json.loads(self.out)


class Team:
    """A team's folder with one project, `spam`, and the command line in it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capsys = capsys
        self.config = folder / "config"
        (self.config / "projects").mkdir(parents=True)
        self.xml = self.write("config/spam.xml", SPAM_CONFIG)
        self.project = self.write("config/projects/spam.yaml", PROJECT)
        self.functions = self.write("functions.py", FUNCTIONS)
        self.adapter = self.write("config/adapter.yaml", "home: ../home\n")
        self.data = self.rows(60)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def rows(self, count: int) -> Path:
        return self.write("comments.jsonl", "".join(json.dumps(row) + "\n" for row in spam_rows(count)[0]))

    def hitl(self, *arguments: str) -> Ended:
        """Run one command in this process, as the console script does."""
        self.capsys.readouterr()
        code = 0
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        out, err = self.capsys.readouterr()
        return Ended(code, out, err)

    def process(self, *arguments: str, limit: int | None = None) -> Ended:
        """Run one command in a process of its own. limit: bytes beyond which no file grows, as on a full disk."""

        def no_space() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit or 0, resource.RLIM_INFINITY))

        done = subprocess.run(
            [sys.executable, "-m", "adapter", *arguments],
            cwd=self.folder,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
            preexec_fn=no_space if limit is not None else None,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def stored(self) -> list[str]:
        """Every row of the store, as SQL."""
        with contextlib.closing(sqlite3.connect(self.folder / "home" / "hitl.db")) as connection:
            return list(connection.iterdump())

    @contextlib.contextmanager
    def store(self) -> Iterator[Store]:
        with Store(f"sqlite:///{self.folder / 'home' / 'hitl.db'}") as store:
            yield store


@pytest.fixture
def team(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Team:
    for name in [name for name in os.environ if name.startswith("HITL_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return Team(tmp_path, capsys)


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> MemoryPlatform:
    """Label Studio in memory, behind every command of this process."""
    fake = MemoryPlatform()
    monkeypatch.setattr(App, "_label_studio", lambda app: fake)
    return fake


def spam(label: str) -> list[dict[str, Any]]:
    return [{"from_name": "spam", "to_name": "text", "type": "choices", "value": {"choices": [label]}}]


def keys_there(platform: MemoryPlatform, project_id: int = 1) -> Counter[str]:
    return Counter(task.data[TASK_KEY_FIELD] for task in platform.tasks(project_id))


# Label config


def test_a_label_config_that_does_not_parse_is_named_with_file_and_line(team: Team) -> None:
    assert team.hitl("ingest", "--json").json["new"] == 60
    before = team.stored()
    team.xml.write_text(SPAM_CONFIG.replace("</View>", "</Vew>"), encoding="utf-8")
    for command in ("ingest", "push", "status", "up"):
        team.hitl(command).refused(2, f"{team.xml}, line 7, column", "no well-formed XML", "Mend it there")
    assert team.stored() == before
    team.xml.write_text(SPAM_CONFIG, encoding="utf-8")
    assert team.hitl("ingest", "--json").json["known"] == 60


def test_the_same_in_a_process_of_its_own(team: Team) -> None:
    team.xml.write_text("<View", encoding="utf-8")
    team.process("status").refused(2, f"{team.xml}, line 1", "Mend it there")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            b"<View><Chat name='chat' value='$text'/></View>",
            ("none of its controls is served: <Chat name='chat'>", "Add"),
        ),
        (SPAM_CONFIG.replace('toName="text"', 'toName="txt"').encode(), ("txt", "text")),
        (b"\xff\xfe<View/>", ("not UTF-8", "Save the label config")),
        (b"<View><Text name='text' value='$text'/></View>", ("no control", "Add one")),
        (None, ("No such file", "or name the right file")),
    ],
    ids=["control not served", "object unknown", "encoding", "nothing to label", "missing"],
)
def test_a_label_config_that_cannot_be_used_is_refused_in_words(
    team: Team, content: bytes | None, words: tuple[str, ...]
) -> None:
    assert team.hitl("ingest").code == 0
    before = team.stored()
    team.xml.unlink()
    if content is not None:
        team.xml.write_bytes(content)
    team.hitl("ingest").refused(2, str(team.xml), *words)
    assert team.stored() == before


# Settings


def test_an_unknown_key_is_named_with_its_line_and_the_nearest_one(team: Team) -> None:
    assert team.hitl("ingest").code == 0
    before = team.stored()
    team.project.write_text(PROJECT.replace("window:", "windw:"), encoding="utf-8")
    team.hitl("ingest").refused(2, f"{team.project}:7", "unknown key `windw`", "Did you mean 'window'?")
    team.project.write_text(PROJECT.replace("low_water: 10", "low_water: many"), encoding="utf-8")
    team.hitl("ingest").refused(2, f"{team.project}:9", "`window.low_water` must be a whole number")
    assert team.stored() == before
    team.project.write_text(PROJECT, encoding="utf-8")
    assert team.hitl("ingest", "--json").json["known"] == 60


def test_an_unknown_project_is_answered_with_the_nearest_name(team: Team) -> None:
    team.hitl("ingest", "spm").refused(2, "no project 'spm'", "Did you mean 'spam'?")


def test_a_backend_that_is_not_there_is_named_by_doctor_and_by_the_stages(team: Team, platform: MemoryPlatform) -> None:
    assert team.hitl("ingest").code == 0
    team.project.write_text(PROJECT + "backend:\n  path: backends.linar:Linear\n", encoding="utf-8")
    before = team.stored()
    for command in ("rank", "push"):
        team.hitl(command).refused(1, "backend.path", "backends.linar", "Did you mean 'backends.linear'?")
    assert not any(platform.tasks(1)) if platform.find_project("spam") else True
    examined = team.hitl("doctor", "--json")
    assert examined.code == 1
    [finding] = [item for item in json.loads(examined.out) if "backend.path" in item["what"]]
    assert "Did you mean 'backends.linear'?" in finding["remedy"]
    assert [line for line in team.stored() if '"tasks"' in line] == [line for line in before if '"tasks"' in line]
    team.project.write_text(PROJECT, encoding="utf-8")
    assert team.hitl("push", "--json").json["pushed"] == 20


# Gold and simulation


def simulation(team: Team, *more: str) -> tuple[str, ...]:
    files = ("--data", "gold.csv", "--label-config", str(team.xml), "--gold", "label")
    return ("simulate", *files, "--json", "out.json", *more)


def test_a_gold_label_outside_the_label_config_is_named_with_its_line(team: Team) -> None:
    rows, gold = spam_rows(40)
    lines = [f"{row['text']},{gold[row['id']]}" for row in rows]
    team.write("gold.csv", "\n".join(["text,label", *lines[:20], "what is this,sausage", *lines[20:]]) + "\n")
    team.hitl(*simulation(team)).refused(2, "gold.csv, line 22", "'sausage'", "Valid: ham, spam")
    assert not (team.folder / "out.json").exists()
    team.write("gold.csv", "\n".join(["text,label", *lines]) + "\n")
    assert team.hitl(*simulation(team, "--budget", "4", "--batch", "2")).code == 0
    account = json.loads((team.folder / "out.json").read_text(encoding="utf-8"))
    assert (account["annotations"], account["lost"], account["duplicated"]) == (4, 0, 0)


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (("--gold", "lable"), 2, ("no column 'lable'", "text, label")),
        (("--backend", "backends.linear:Liner"), 1, ("--backend", "Linear")),
        (("--lfs", "nowhere.py"), 2, ("nowhere.py", "Create it")),
        (("--data", "none.csv"), 2, ("none.csv", "no such file")),
    ],
    ids=["gold column", "backend", "functions", "data"],
)
def test_a_simulation_refuses_wrong_options_before_anybody_works(
    team: Team, more: tuple[str, ...], code: int, words: tuple[str, ...]
) -> None:
    team.write("gold.csv", "text,label\nhello,ham\nbuy,spam\n")
    team.hitl(*simulation(team, *more)).refused(code, *words)
    assert not (team.folder / "out.json").exists()


# Labeling functions


@pytest.mark.parametrize(
    ("body", "line", "words"),
    [
        ("import no_such_module\n", 1, ("ModuleNotFoundError", "Install 'no_such_module'")),
        ("\ndef broken(:\n", 2, ("SyntaxError", "mend what it reports")),
        ("raise SystemExit(7)\n", 1, ("SystemExit", "mend what it reports")),
    ],
    ids=["import", "syntax", "exit"],
)
def test_functions_that_do_not_import_are_named_and_earlier_votes_stay(
    team: Team, body: str, line: int, words: tuple[str, ...]
) -> None:
    assert team.hitl("ingest").code == 0
    assert team.hitl("vote", "--json").json["functions"] == 3
    before = team.stored()
    team.functions.write_text(body + FUNCTIONS, encoding="utf-8")
    for command in (("vote",), ("lf", "list")):
        team.hitl(*command).refused(2, f"{team.functions}:{line}", "does not import", *words)
    assert team.stored() == before
    team.functions.write_text(FUNCTIONS, encoding="utf-8")
    again = team.hitl("vote", "--json").json
    assert (again["functions"], again["computed"]) == (3, {})


# Label Studio


class _Refuses(BaseHTTPRequestHandler):
    """Answers everything as Label Studio answers a token that it does not know."""

    def do_GET(self) -> None:
        body = b'{"id": "0", "status_code": 401, "version": "1.23.2", "detail": "Invalid token.", "exc_info": null}'
        self.send_response(401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PATCH = do_DELETE = do_GET

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def refusing() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Refuses) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def bound(team: Team) -> MemoryPlatform:
    """The team's project is in Label Studio, and somebody has labelled three tasks there that are pulled."""
    fake = MemoryPlatform()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(App, "_label_studio", lambda app: fake)
        assert team.hitl("ingest").code == 0
        assert team.hitl("push", "--json").json["pushed"] == 20
        desk = fake.desk(1, "ann")
        for _ in range(3):
            assignment = desk.next_task()
            assert assignment is not None
            desk.submit(assignment.task_id, spam("ham"), 1.0)
        assert team.hitl("pull", "--json").json["created"] == 3
    return fake


def test_a_token_that_is_refused_ends_with_the_page_to_get_one(
    team: Team, bound: MemoryPlatform, refusing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = team.stored()
    monkeypatch.setenv("HITL_LABEL_STUDIO__URL", refusing)
    monkeypatch.setenv("HITL_LABEL_STUDIO_TOKEN", TOKEN)
    for command in ("pull", "push"):
        team.hitl(command).refused(3, refusing, "token is refused", "Set HITL_LABEL_STUDIO_TOKEN")
    team.hitl("attach", "spam", "--id", "1").refused(3, "token is refused")
    assert team.stored() == before
    monkeypatch.setattr(App, "_label_studio", lambda app: bound)
    assert team.hitl("pull", "--json").json["created"] == 0


def test_no_token_at_all_says_which_variable_to_set(team: Team) -> None:
    assert team.hitl("ingest").code == 0
    team.hitl("push").refused(3, "no Label Studio token is set", "Set HITL_LABEL_STUDIO_TOKEN")


def test_a_label_studio_that_is_down_is_told_and_the_work_goes_on_when_it_is_back(
    team: Team, bound: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = team.stored()
    monkeypatch.setattr("adapter.label_studio.client.PAUSES_S", (0.01,))
    monkeypatch.setenv("HITL_LABEL_STUDIO__URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("HITL_LABEL_STUDIO_TOKEN", TOKEN)
    for command in ("pull", "push"):
        team.hitl(command).refused(3, "cannot be reached", "Start it, or mend `label_studio.url`")
    assert team.stored() == before
    assert team.hitl("status", "--json").json["annotations"] == 3  # what we know does not need it
    monkeypatch.setattr(App, "_label_studio", lambda app: bound)
    assert team.hitl("pull", "--json").json["strays"] == 0
    assert team.hitl("push", "--json").json["reconciled"] == 0


def test_a_project_deleted_under_us_keeps_what_people_said(team: Team, bound: MemoryPlatform, platform: Any) -> None:
    platform.create_project("another", SPAM_CONFIG)  # a Label Studio in which project 1 is another one's, then gone
    platform.delete_project(1)
    before = team.stored()
    for command in ("pull", "push"):
        team.hitl(command).refused(
            3, "project 1 of 'spam' is gone", "Nothing in our store was lost", "attach spam --new"
        )
    assert team.stored() == before
    assert team.hitl("attach", "spam", "--new", "--json").json["created"]
    assert team.hitl("consolidate", "--json").json["people"] == {"spam": 3}
    assert team.hitl("push", "--json").json["pushed"] > 0
    assert team.hitl("pull").code == 0
    assert team.hitl("status", "--json").json["annotations"] == 3
    assert set(keys_there(platform, 2).values()) == {1}


def test_an_annotation_for_a_task_that_we_do_not_know_is_kept_aside(
    team: Team, bound: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(App, "_label_studio", lambda app: bound)
    bound.annotate(bound.add_task(1, {"text": "from somebody else"}), "eve", spam("ham"))
    pulled = team.hitl("pull", "--json").json
    assert pulled["strays"] == 1
    assert "kept aside" in pulled["note"]
    assert "mode: in-place" in pulled["note"]
    figures = team.hitl("status", "--json").json
    assert (figures["strays"], figures["annotations"], figures["tasks"]) == (1, 3, 60)
    with team.store() as store:
        [stray] = store.annotations.strays("spam")
    assert stray.why == "its task is not in our pool"
    team.project.write_text(PROJECT + "mode: in-place\n", encoding="utf-8")
    assert team.hitl("pull", "--whole", "--json").json["adopted"] == 1
    assert team.hitl("status", "--json").json["annotations"] == 4


# Data


def test_data_that_is_not_there_says_what_is(team: Team) -> None:
    assert team.hitl("ingest").code == 0
    before = team.stored()
    team.data.rename(team.folder / "coments.jsonl")
    team.hitl("ingest").refused(2, "comments.jsonl", "no such file", "Mend `data.path`", "coments.jsonl")
    assert team.stored() == before
    (team.folder / "coments.jsonl").rename(team.data)
    assert team.hitl("ingest", "--json").json["known"] == 60


def test_bad_rows_go_to_the_rejects_file_with_line_and_reason_and_the_rest_comes_in(team: Team) -> None:
    lines = team.data.read_text(encoding="utf-8").splitlines()
    lines[3], lines[9], lines[11] = "{not json", '{"id": "c9"}', '{"id": null, "text": "nobody"}'
    team.data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    ended = team.hitl("ingest", "--json").json
    assert (ended["read"], ended["new"], ended["rejected"]) == (60, 57, 3)
    rejects = [json.loads(line) for line in Path(ended["rejects_file"]).read_text(encoding="utf-8").splitlines()]
    assert [(row["line"], bool(row["reason"])) for row in rejects] == [(4, True), (10, True), (12, True)]
    team.rows(60)
    mended = team.hitl("ingest", "--json").json
    assert (mended["new"], mended["known"], mended["rejected"], mended["rejects_file"]) == (3, 57, 0, None)


def test_bytes_of_another_encoding_are_told_by_line(team: Team) -> None:
    team.project.write_text(PROJECT.replace("comments.jsonl", "comments.csv"), encoding="utf-8")
    table = team.folder / "comments.csv"
    table.write_bytes("id,text\n1,caf\xe9\n2,tea\n".encode("latin-1"))
    ended = team.hitl("ingest", "--json").json
    assert (ended["new"], ended["rejected"]) == (1, 1)
    assert "not UTF-8" in Path(ended["rejects_file"]).read_text(encoding="utf-8")
    table.write_text("id,text\n1,café\n2,tea\n", encoding="utf-8")
    assert team.hitl("ingest", "--json").json["new"] == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ("no header line", "Write the columns' names")),
        ("id,t\xe9xt\n1,a\n".encode("latin-1"), ("not UTF-8", "Save the file as UTF-8")),
        (b"PK\x03\x04\x00\x00\x08\x00\n", ("not text", "Export the table")),
        (b"id,note\n1,a\n", ("no column 'text'", "Did you mean 'note'?")),
        (b"name,text\n1,a\n", ("data.id_column", "id")),
    ],
    ids=["empty", "header's encoding", "a spreadsheet", "field missing", "id column missing"],
)
def test_a_file_that_cannot_be_read_at_all_changes_nothing(team: Team, content: bytes, words: tuple[str, ...]) -> None:
    assert team.hitl("ingest").code == 0
    before = team.stored()
    team.project.write_text(PROJECT.replace("comments.jsonl", "comments.csv"), encoding="utf-8")
    (team.folder / "comments.csv").write_bytes(content)
    team.hitl("ingest").refused(2, *words)
    assert team.stored() == before


# Full disk


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process grows or changes; the kernel itself says so."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_from_the_start_leaves_nothing_half_made(team: Team) -> None:
    team.process("ingest", limit=0).refused(1, "no space is left", "Free space")
    assert team.hitl("ingest", "--json").json["new"] == 60


def test_a_disk_that_fills_during_ingest_keeps_whole_batches_and_the_rest_comes_later(team: Team) -> None:
    count = 20_000
    assert team.hitl("status").code == 0
    team.rows(count)
    team.process("ingest", limit=6_000_000).refused(1, "no space is left", "run the same command again")
    with team.store() as store:
        kept = store.tasks.count("spam")
    assert 0 < kept < count
    assert kept % 5_000 == 0
    again = team.hitl("ingest", "--json").json
    assert (again["known"], again["new"]) == (kept, count - kept)
    with team.store() as store:
        assert len(set(store.tasks.index("spam").ids)) == count


def test_a_disk_that_is_full_before_a_push_sends_nothing(team: Team, bound: MemoryPlatform, monkeypatch: Any) -> None:
    monkeypatch.setattr(App, "_label_studio", lambda app: bound)
    team.project.write_text(PROJECT.replace("size: 20", "size: 40").replace("low_water: 10", "low_water: 30"), "utf-8")
    before, there = team.stored(), keys_there(bound)
    with full_disk():
        ended = team.hitl("push")
    ended.refused(1, "no space is left", "Free space")
    assert (team.stored(), keys_there(bound)) == (before, there)
    assert team.hitl("push", "--json").json["pushed"] == 23
    assert set(keys_there(bound).values()) == {1}


def test_a_disk_that_fills_between_their_yes_and_our_note_of_it_makes_no_copy(
    team: Team, platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert team.hitl("ingest").code == 0
    landed = platform.import_tasks
    with contextlib.ExitStack() as disk:

        def then_full(*arguments: Any) -> Any:
            done = landed(*arguments)
            disk.enter_context(full_disk())
            return done

        monkeypatch.setattr(platform, "import_tasks", then_full)
        ended = team.hitl("push")
    ended.refused(1, "no space is left", "nothing was half-written")
    assert len(keys_there(platform)) == 20
    with team.store() as store:
        assert (len(store.ledger.pending("spam")), store.ledger.placements("spam")) == (20, [])
    monkeypatch.setattr(platform, "import_tasks", landed)
    again = team.hitl("push", "--json").json
    assert (again["reconciled"], again["open"]) == (20, 20)
    assert sorted(keys_there(platform).values()) == [1] * 20


def test_a_data_folder_that_cannot_be_written_says_where_to_put_another(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HITL_HOME", str(team.data))  # a file, not a folder
    team.hitl("ingest").refused(1, str(team.data), "data folder cannot be used", "HITL_HOME")


# The real server


@pytest.mark.integration
def test_the_real_server_refuses_a_token_and_forgets_a_project_in_the_same_words(
    team: Team, label_studio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adapter.label_studio.platform import LabelStudioPlatform

    team.project.write_text(PROJECT + "title: Bad input\n", encoding="utf-8")
    monkeypatch.setenv("HITL_LABEL_STUDIO__URL", label_studio.url)
    monkeypatch.setenv("HITL_LABEL_STUDIO_TOKEN", TOKEN)
    assert team.hitl("ingest").code == 0
    before = team.stored()
    team.hitl("push").refused(3, "token is refused", "Set HITL_LABEL_STUDIO_TOKEN")
    assert team.stored() == before
    monkeypatch.setenv("HITL_LABEL_STUDIO_TOKEN", label_studio.token)
    assert team.hitl("push", "--json").json["pushed"] == 20
    with team.store() as store:
        row = store.projects.get("spam")
    assert row is not None
    assert row.platform_id is not None
    there = LabelStudioPlatform(label_studio.url, label_studio.token)
    there._client.delete(f"/api/projects/{row.platform_id}/")
    before = team.stored()
    for command in ("pull", "push"):
        ended = team.hitl(command)
        ended.refused(3, f"project {row.platform_id} of 'spam' is gone", "attach spam --new")
    assert team.stored() == before
    assert team.hitl("attach", "spam", "--new", "--json").json["created"]
    assert team.hitl("push", "--json").json["pushed"] == 20
    there.close()


def test_every_exit_code_is_told_in_the_readme() -> None:
    from adapter import errors

    codes = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "exit_code")}
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert codes <= {int(code) for code in re.findall(r"^\| (\d+) \|", readme, re.MULTILINE)}
