"""Settings files and environment: every mistake is named with file, line, key and the nearest valid key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from adapter.errors import SettingsError
from adapter.settings import ProjectSettings, Settings
from adapter.settings_env import variables
from adapter.settings_file import find_config, load_settings

ROOT = Path(__file__).resolve().parents[2]
SECRET = "s3cr3t-token-value"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "config"
    (folder / "projects").mkdir(parents=True)
    (folder / "adapter.yaml").write_text("", encoding="utf-8")
    return folder


def write(config: Path, text: str, project: str | None = None, name: str = "spam") -> Path:
    (config / "adapter.yaml").write_text(text, encoding="utf-8")
    if project is not None:
        (config / "projects" / f"{name}.yaml").write_text(project, encoding="utf-8")
    return config / "adapter.yaml"


def complaint(path: Path, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(path, environ or {})
    return str(caught.value)


def keys_of(model: type[BaseModel], at: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()
    for name, info in model.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found |= keys_of(inner, (*at, name))
        else:
            found.add((*at, name))
    return found


def leaves(data: dict[str, Any], at: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    found: dict[tuple[str, ...], Any] = {}
    for key, value in data.items():
        if isinstance(value, dict) and value:
            found |= leaves(value, (*at, key))
        else:
            found[(*at, key)] = value
    return found


def test_the_shipped_file_holds_every_key_with_its_default() -> None:
    shipped = leaves(yaml.safe_load((ROOT / "config" / "adapter.yaml").read_text(encoding="utf-8")))
    assert set(shipped) == keys_of(Settings) - {("config",), ("projects",)}
    loaded = load_settings(ROOT / "config" / "adapter.yaml", {})
    defaults = Settings(home=ROOT / ".hitl", config=ROOT / "config")
    assert loaded.model_copy(update={"projects": {}}) == defaults


def test_every_key_of_the_shipped_files_is_explained() -> None:
    for path in (ROOT / "config" / "adapter.yaml", ROOT / "config" / "projects" / "youtube-spam.yaml"):
        above = ""
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if re.match(r"\s+\w+:|\w+: \S", line):
                explained = above.strip().startswith("#") or "port" in line or "enabled" in line
                assert explained, f"{path.name}:{number}: {line}"
            above = line


def test_the_example_project_holds_every_key_with_a_valid_value() -> None:
    path = ROOT / "config" / "projects" / "youtube-spam.yaml"
    shown = leaves(yaml.safe_load(path.read_text(encoding="utf-8")))
    assert set(shown) == keys_of(ProjectSettings) - {("name",)}
    project = load_settings(ROOT / "config" / "adapter.yaml", {}).projects["youtube-spam"]
    defaults = ProjectSettings(label_config=Path("x"))
    for section in ("blind", "window", "rank", "consolidate", "flag", "train", "backend"):
        assert getattr(project, section) == getattr(defaults, section), section


def test_an_unknown_key_is_refused_with_file_line_and_the_nearest_key(config: Path) -> None:
    message = complaint(write(config, "home: x\nweb:\n  prot: 9090\n"))
    assert f"{config / 'adapter.yaml'}:3" in message
    assert "web.prot" in message
    assert "'port'" in message


def test_a_key_of_a_section_at_the_top_is_sent_to_its_section(config: Path) -> None:
    assert "belongs under `schedule:`" in complaint(write(config, "pull_s: 5\n"))


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("web:\n  port: 70000\n", 2, "at most 65535"),
        ('web:\n  port: "9090"\n', 2, "a whole number"),
        ("web:\n  port: 9.5\n", 2, "a whole number"),
        ("schedule:\n  pull_s: 0\n", 2, "greater than 0"),
        ("schedule:\n  pull_s: soon\n", 2, "a number"),
        ("label_studio:\n  embedded: 1\n", 2, "true or false"),
        ("log_level: loud\n", 1, "one of 'debug'"),
        ("web: 9090\n", 1, "a section with keys"),
        ("web:\n  host: 127\n", 2, "text"),
        ("schedule:\n  pull_s: .inf\n", 2, "finite"),
        ("home: 3\n", 1, "text"),
    ],
)
def test_a_wrong_type_or_range_is_named_with_its_line(config: Path, text: str, line: int, expected: str) -> None:
    message = complaint(write(config, text))
    assert f"adapter.yaml:{line}" in message
    assert expected in message


def test_all_mistakes_of_one_load_are_told_together(config: Path) -> None:
    path = write(config, "wbe:\n  port: 1\nlog_level: loud\n", "label_config: x.xml\nwindw: {}\n")
    message = complaint(path, {"HITL_WEB__PROT": "1"})
    assert message.startswith("4 settings are wrong")
    for part in ("'web'", "loud", "'window'", "HITL_WEB__PORT"):
        assert part in message


def test_a_key_that_is_set_twice_is_refused(config: Path) -> None:
    message = complaint(write(config, "web:\n  port: 1\n  port: 2\n"))
    assert "adapter.yaml:3" in message
    assert "first in line 2" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web: [1\n", "not valid YAML"),
        ("- a\n- b\n", "must hold keys"),
        ("a: &x 1\nb: *x\n", "anchors and aliases"),
        ("web: !!python/object:os.system {}\n", "not read"),
        ("home: !!binary aGk=\n", "not read here"),
    ],
)
def test_what_is_not_plain_yaml_is_refused(config: Path, text: str, expected: str) -> None:
    message = complaint(write(config, text))
    assert expected in message
    assert "Traceback" not in message


def test_a_missing_settings_file_says_how_to_make_one(tmp_path: Path) -> None:
    assert "hitl init" in complaint(tmp_path / "adapter.yaml")


def test_an_empty_file_means_the_defaults(config: Path) -> None:
    settings = load_settings(config / "adapter.yaml", {})
    assert settings == Settings(home=config.parent / ".hitl", config=config)


def test_a_project_needs_a_label_config(config: Path) -> None:
    message = complaint(write(config, "", "title: Spam\n"))
    assert "spam.yaml" in message
    assert "`label_config` is missing" in message


def test_a_project_s_ranges_are_held(config: Path) -> None:
    path = write(config, "", "label_config: x.xml\ntrain:\n  alpha: 0.9\n")
    assert "spam.yaml:3: `train.alpha` must be less than 0.5, not 0.9" in complaint(path)


def test_a_project_is_named_by_its_file(config: Path) -> None:
    assert "differs from the file's" in complaint(write(config, "", "name: ham\nlabel_config: x.xml\n"))
    (config / "projects" / "spam.yaml").unlink()
    assert "cannot name a project" in complaint(write(config, "", "label_config: x.xml\n", name="Spam Mail"))


def test_paths_of_a_project_start_from_the_folder_of_adapter_yaml(config: Path) -> None:
    functions = config.parent / "labeling_functions"
    functions.mkdir()
    (functions / "spam.py").write_text("", encoding="utf-8")
    path = write(config, "", "label_config: label_configs/spam.xml\ndata:\n  path: ../spam.csv\n")
    project = load_settings(path, {}).projects["spam"]
    assert project.name == "spam"
    assert project.label_config == config / "label_configs" / "spam.xml"
    assert project.data.path == str(config.parent / "spam.csv")
    assert project.labeling_functions == str(functions / "spam.py")


def test_places_that_are_no_files_are_left_alone(config: Path) -> None:
    text = "label_config: x.xml\nlabeling_functions: my.module\ndata:\n  path: label-studio:7\n"
    project = load_settings(write(config, "store:\n  artifacts: s3://bucket/x\n", text), {}).projects["spam"]
    assert project.data.path == "label-studio:7"
    assert project.labeling_functions == "my.module"
    assert load_settings(config / "adapter.yaml", {}).store.artifacts == "s3://bucket/x"


def test_the_environment_wins_over_the_file(config: Path) -> None:
    path = write(config, "web:\n  port: 1111\n  host: example\nlog_level: debug\n")
    environ = {
        "HITL_WEB__PORT": "2222",
        "HITL_LABEL_STUDIO__EMBEDDED": "true",
        "HITL_SCHEDULE__PULL_S": "1.5",
        "HITL_LOG_LEVEL": "error",
        "HITL_HOME": "/data",
        "HITL_STORE__URL": f"postgresql://u:{SECRET}@db/x",
        "OTHER": "x",
    }
    settings = load_settings(path, environ)
    assert settings.web.port == 2222
    assert settings.web.host == "example"
    assert settings.label_studio.embedded is True
    assert settings.schedule.pull_s == 1.5
    assert settings.log_level == "error"
    assert settings.home == Path("/data")
    assert settings.store.url.get_secret_value().endswith("@db/x")


def test_the_token_has_a_friendly_name(config: Path) -> None:
    settings = load_settings(config / "adapter.yaml", {"HITL_LABEL_STUDIO_TOKEN": "12345"})
    assert settings.label_studio.token.get_secret_value() == "12345"


def test_a_wrong_variable_is_named(config: Path) -> None:
    message = complaint(config / "adapter.yaml", {"HITL_WEB__PORT": "many"})
    assert "environment variable HITL_WEB__PORT: `web.port` must be a whole number" in message
    assert "HITL_LABEL_STUDIO_TOKEN" in complaint(config / "adapter.yaml", {"HITL_LABEL_STUDIO_TOKN": "x"})
    assert "projects/<name>.yaml" in complaint(config / "adapter.yaml", {"HITL_PROJECTS__SPAM__TITLE": "x"})


def test_other_documented_variables_are_no_settings(config: Path) -> None:
    environ = {"HITL_DATA": "/data", "HITL_CONFIG": "x", "HITL_TEST_URL": "x", "HITL_BENCH_PEER": "x"}
    assert load_settings(config / "adapter.yaml", environ).projects == {}


def test_a_variable_that_compose_passes_on_empty_sets_nothing(config: Path) -> None:
    environ = {"HITL_WEB__PORT": "", "HITL_LABEL_STUDIO_TOKEN": "", "HITL_LOG_LEVEL": ""}
    assert load_settings(config / "adapter.yaml", environ) == load_settings(config / "adapter.yaml", {})


@pytest.mark.parametrize(
    "text",
    [
        f"label_studio:\n  token: {SECRET}\n",
        f"label_studio:\n  password: {SECRET}\n",
        f"web:\n  backend_password: {SECRET}\n",
        f"web:\n  webhook_secret: {SECRET}\n",
        f"store:\n  url: postgresql://u:{SECRET}@db/x\n",
    ],
)
def test_a_secret_in_a_settings_file_is_refused_and_not_repeated(config: Path, text: str) -> None:
    message = complaint(write(config, text))
    assert "adapter.yaml:2" in message
    assert "HITL_" in message
    assert SECRET not in message


def test_a_store_without_password_may_stand_in_the_file(config: Path) -> None:
    settings = load_settings(write(config, "store:\n  url: postgresql://db/x\n"), {})
    assert settings.store.url.get_secret_value() == "postgresql://db/x"


def test_secrets_come_from_the_file_beside_the_settings_and_the_environment_wins(config: Path) -> None:
    secrets = config / "secrets.env"
    secrets.write_text(
        "# a comment\nexport HITL_LABEL_STUDIO_TOKEN='from file'\n"
        "HITL_WEB__WEBHOOK_SECRET=abc # why\nPOSTGRES_PASSWORD=x\n",
        encoding="utf-8",
    )
    secrets.chmod(0o600)
    settings = load_settings(config / "adapter.yaml", {"HITL_LABEL_STUDIO__TOKEN": ""})
    assert settings.label_studio.token.get_secret_value() == "from file"
    assert settings.web.webhook_secret.get_secret_value() == "abc"
    settings = load_settings(config / "adapter.yaml", {"HITL_LABEL_STUDIO_TOKEN": "from environment"})
    assert settings.label_studio.token.get_secret_value() == "from environment"


def test_a_secrets_file_that_others_can_read_is_refused(config: Path) -> None:
    secrets = config / "secrets.env"
    secrets.write_text(f"HITL_LABEL_STUDIO_TOKEN={SECRET}\n", encoding="utf-8")
    secrets.chmod(0o644)
    message = complaint(config / "adapter.yaml")
    assert f"chmod 600 {secrets}" in message
    assert SECRET not in message


def test_a_secrets_file_of_other_programs_is_none_of_our_business(config: Path) -> None:
    secrets = config / "secrets.env"
    secrets.write_text("POSTGRES_PASSWORD=x\n", encoding="utf-8")
    secrets.chmod(0o644)
    assert load_settings(config / "adapter.yaml", {}).label_studio.token.get_secret_value() == ""


def test_a_secrets_file_names_line_and_remedy_of_what_is_wrong(config: Path, tmp_path: Path) -> None:
    secrets = tmp_path / "mine.env"
    secrets.write_text(f"HITL_TOKEN={SECRET}\n{SECRET}\n", encoding="utf-8")
    secrets.chmod(0o600)
    message = complaint(config / "adapter.yaml", {"HITL_SECRETS_FILE": str(secrets)})
    assert "mine.env:1" in message
    assert "mine.env:2: this line is not NAME=value" in message
    assert SECRET not in message
    assert "cannot be read" in complaint(config / "adapter.yaml", {"HITL_SECRETS_FILE": str(tmp_path / "none")})


def test_no_secret_is_ever_shown(config: Path) -> None:
    environ = {name: SECRET for name in variables() if name.endswith(("TOKEN", "PASSWORD", "SECRET", "STORE__URL"))}
    settings = load_settings(config / "adapter.yaml", environ)
    assert SECRET not in repr(settings)
    assert SECRET not in settings.model_dump_json()
    environ["HITL_WEB__PORT"] = "x"
    assert SECRET not in complaint(config / "adapter.yaml", environ)


def test_the_file_is_named_by_the_option_then_the_environment_then_the_place() -> None:
    assert find_config(Path("a.yaml"), {"HITL_CONFIG": "b.yaml"}) == Path("a.yaml")
    assert find_config(None, {"HITL_CONFIG": "b.yaml"}) == Path("b.yaml")
    assert find_config(None, {}) == Path("config/adapter.yaml")


def test_what_is_written_out_is_read_back(config: Path) -> None:
    path = write(config, "web:\n  port: 8\n", "label_config: x.xml\nwindow:\n  budget:\n")
    settings = load_settings(path, {})
    assert settings.projects["spam"].window.budget is None
    again = settings.model_dump(mode="json", exclude={"config", "projects"}, exclude_defaults=True)
    path.write_text(yaml.safe_dump(again), encoding="utf-8")
    assert load_settings(path, {}) == settings


def test_a_settings_file_that_cannot_be_read_is_named(config: Path) -> None:
    (config / "adapter.yaml").write_bytes(b"home: \xff\xfe")
    assert "cannot be read (UnicodeDecodeError)" in complaint(config / "adapter.yaml")
