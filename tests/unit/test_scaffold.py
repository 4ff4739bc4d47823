"""What `hitl init` writes is read by the settings, runs, and never replaces a file."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from adapter.errors import DataError, HitlError, LabelError, SettingsError
from adapter.label_studio.label_config import parse_label_config
from adapter.labeling import discover
from adapter.scaffold import Wish, scaffold
from adapter.settings_file import load_settings


def csv_file(folder: Path, header: str = "id,text", name: str = "Support Mail.csv") -> Path:
    path = folder / name
    path.write_text(f"{header}\n1,hello\n", encoding="utf-8")
    return path


def test_a_csv_and_labels_make_a_project_that_settings_and_label_config_read(tmp_path: Path) -> None:
    data = csv_file(tmp_path)
    made = scaffold(tmp_path / "work", Wish(data=data, labels=("billing", 'R&D "new"'), id_column="id"))
    assert made.project == "support-mail"
    settings = load_settings(tmp_path / "work" / "config" / "adapter.yaml", {})
    project = settings.projects["support-mail"]
    assert settings.label_studio.embedded
    assert settings.home == tmp_path / "work" / ".hitl"
    assert project.data.path == str(data)
    assert project.data.id_column == "id"
    space = parse_label_config(project.label_config.read_text(encoding="utf-8"))
    assert space.controls[0].labels == ("billing", 'R&D "new"')
    assert space.controls[0].field == "text"
    functions = discover(project.labeling_functions)
    declared, plain = functions
    assert declared.declared is not None
    assert declared({"text": "My BILLING is wrong"}) == "billing"
    assert declared({"text": "hello"}) is None
    assert plain({"text": "Billing: it is wrong"}) == "billing"
    assert plain({"text": "My billing is wrong"}) is None


def test_nothing_is_ever_overwritten(tmp_path: Path) -> None:
    wish = Wish(data=csv_file(tmp_path))
    first = scaffold(tmp_path, wish)
    for path in first.written:
        if path.name != ".gitignore":
            path.write_text("mine", encoding="utf-8")
    again = scaffold(tmp_path, wish)
    assert again.written == ()
    assert set(again.kept) == set(first.written)
    assert all(path.read_text(encoding="utf-8") == "mine" for path in again.kept if path.name != ".gitignore")


def test_a_second_project_joins_the_first(tmp_path: Path) -> None:
    scaffold(tmp_path, Wish(name="one"))
    scaffold(tmp_path, Wish(name="two", labels=("a", "b", "c"), multiple=True))
    settings = load_settings(tmp_path / "config" / "adapter.yaml", {})
    assert sorted(settings.projects) == ["one", "two"]
    space = parse_label_config(settings.projects["two"].label_config.read_text(encoding="utf-8"))
    assert space.controls[0].multiple


def test_the_secrets_file_is_private_and_ignored_by_git(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.pyc", encoding="utf-8")
    made = scaffold(tmp_path, Wish(name="one"))
    assert stat.S_IMODE(made.secrets.stat().st_mode) == 0o600
    lines = (tmp_path / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "*.pyc"
    assert {"config/secrets.env", "/.hitl/"} <= set(lines)


def test_an_own_label_studio_is_not_embedded(tmp_path: Path) -> None:
    scaffold(tmp_path, Wish(name="one", label_studio="https://ls.example"))
    conf = load_settings(tmp_path / "config" / "adapter.yaml", {}).label_studio
    assert conf.url == "https://ls.example"
    assert not conf.embedded


def test_a_folder_of_images_is_shown_as_images(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "a.png").write_bytes(b"")
    scaffold(tmp_path, Wish(data=pictures, labels=("cat", "dog")))
    project = load_settings(tmp_path / "config" / "adapter.yaml", {}).projects["pictures"]
    control = parse_label_config(project.label_config.read_text(encoding="utf-8")).controls[0]
    assert (control.object_tag, control.field) == ("Image", "image")
    declared, plain = discover(project.labeling_functions)
    assert declared({"image": "hitl-file:Cats/7.png"}) == "cat"
    assert declared({"image": "hitl-file:7.png"}) is None
    assert plain({"image": "hitl-file:Cats/7.png"}) is None


@pytest.mark.parametrize("label", ["billing", 'R&D "new"', "c++", "Übergröße", "{curly}", "back\\slash", "no: 5%"])
@pytest.mark.parametrize("image", [False, True])
def test_the_functions_that_are_written_keep_their_own_examples(tmp_path: Path, label: str, image: bool) -> None:
    data = tmp_path / "pictures"
    data.mkdir()
    (data / "a.png").write_bytes(b"")
    made = scaffold(tmp_path, Wish(name="one", data=data if image else None, labels=(label, "other")))
    functions = discover(tmp_path / "labeling_functions" / f"{made.project}.py")
    assert [function.name for function in functions] == ["named", "example"]
    for function in functions:
        assert function.examples
        assert function.doc
        for task, expected in function.examples:
            assert function(task) == expected, function.name


def test_columns_of_jsonl_and_parquet_are_known(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    lines = tmp_path / "a.jsonl"
    lines.write_text(json.dumps({"body": "x"}) + "\n", encoding="utf-8")
    pq.write_table(pa.table({"body": ["x"], "n": [1]}), tmp_path / "b.parquet")
    scaffold(tmp_path, Wish(data=lines))
    scaffold(tmp_path, Wish(data=tmp_path / "b.parquet", field="body"))
    for name in ("a", "b"):
        text = (tmp_path / "config" / "label_configs" / f"{name}.xml").read_text(encoding="utf-8")
        assert '"$body"' in text


@pytest.mark.parametrize(
    ("wish", "kind", "part"),
    [
        (Wish(labels=("spam", "spam")), LabelError, "'spam' stands twice"),
        (Wish(labels=("spam", "")), LabelError, "none of them empty"),
        (Wish(labels=("spam",)), LabelError, "at least two"),
        (Wish(name="My Project"), SettingsError, "a-z"),
        (Wish(data=Path("/nowhere.csv")), DataError, "no such file"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused_and_nothing_is_written(
    tmp_path: Path, wish: Wish, kind: type[HitlError], part: str
) -> None:
    with pytest.raises(kind, match=part):
        scaffold(tmp_path / "work", wish)
    assert not (tmp_path / "work").exists()


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    data = csv_file(tmp_path, "id,txet")
    with pytest.raises(DataError, match="no column 'text'") as caught:
        scaffold(tmp_path, Wish(data=data))
    assert "Did you mean 'txet'?" in str(caught.value)
    with pytest.raises(DataError, match="--id-column"):
        scaffold(tmp_path, Wish(data=data, field="txet", id_column="key"))
    with pytest.raises(DataError, match="no format"):
        scaffold(tmp_path, Wish(data=csv_file(tmp_path, name="a.xlsx")))
