"""docker-compose.yml: it parses, every variable is read by somebody, every service can become healthy."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from adapter.settings_env import variables

ROOT = Path(__file__).resolve().parents[2]
POSTGRES_IMAGE = {"POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return loaded


def test_it_has_label_studio_a_database_web_and_scheduler(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"db", "label-studio", "web", "scheduler"}


def test_every_service_has_a_health_check_and_restarts(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["healthcheck"]["test"], name
        assert service["restart"] == "unless-stopped", name


def test_services_wait_for_what_they_need_to_be_healthy(compose: dict[str, Any]) -> None:
    for name, needed in (("label-studio", {"db"}), ("web", {"db", "label-studio"}), ("scheduler", {"db", "web"})):
        waits = compose["services"][name]["depends_on"]
        assert needed <= set(waits)
        assert all(waits[other] == {"condition": "service_healthy"} for other in waits)


def test_our_variables_are_read_by_our_settings(compose: dict[str, Any]) -> None:
    known = {*variables(), "HITL_LABEL_STUDIO_TOKEN"}
    for name in ("web", "scheduler"):
        assert set(compose["services"][name]["environment"]) <= known


def test_the_database_s_variables_are_those_of_its_image(compose: dict[str, Any]) -> None:
    assert set(compose["services"]["db"]["environment"]) == POSTGRES_IMAGE


def test_label_studio_reads_its_variables(compose: dict[str, Any]) -> None:
    spec = importlib.util.find_spec("label_studio")
    if spec is None or spec.origin is None:
        pytest.skip("label-studio is not installed: pip install 'hitl-labeling[server]'")
    package = Path(spec.origin).parent
    source = "".join(
        path.read_text(encoding="utf-8", errors="replace")
        for folder in ("core", "server.py", "users", "organizations", "io_storages", "ml", "webhooks", "tasks")
        for path in ([package / folder] if folder.endswith(".py") else (package / folder).rglob("*.py"))
        if "migrations" not in path.parts and "tests" not in path.parts
    )
    for variable in compose["services"]["label-studio"]["environment"]:
        # Label Studio reads a variable by its name, with or without the prefix LABEL_STUDIO_.
        names = {variable, variable.removeprefix("LABEL_STUDIO_")}
        assert any(re.search(rf"['\"]{name}['\"]", source) for name in names), f"nobody reads {variable}"


def test_a_config_folder_that_starts_its_own_label_studio_does_not_do_so_here(compose: dict[str, Any]) -> None:
    assert compose["services"]["web"]["environment"]["HITL_LABEL_STUDIO__EMBEDDED"] == "false"


def test_our_address_is_a_name_of_the_web_service_that_label_studio_takes(compose: dict[str, Any]) -> None:
    web = compose["services"]["web"]
    default = re.fullmatch(r"\$\{PUBLIC_URL:-(.+)\}", web["environment"]["HITL_WEB__PUBLIC_URL"])
    assert default is not None
    host = urlsplit(default[1]).hostname or ""
    assert host in web["networks"]["default"]["aliases"]
    assert "." in host  # Django, which checks a webhook's address, knows no other host without a dot than localhost
    assert f"PUBLIC_URL={default[1]}\n" in (ROOT / "config" / "secrets.env.example").read_text(encoding="utf-8")


def test_health_checks_ask_the_port_that_the_service_listens_on(compose: dict[str, Any]) -> None:
    for name in ("label-studio", "web"):
        service = compose["services"][name]
        inside = service["ports"][0].split(":")[1]
        assert f"http://localhost:{inside}/health" in service["healthcheck"]["test"][1]
    assert compose["services"]["web"]["environment"]["HITL_WEB__PORT"] == "9090"


def test_the_database_is_not_healthy_while_its_image_still_makes_it(compose: dict[str, Any]) -> None:
    assert "pg_isready -h 127.0.0.1 " in compose["services"]["db"]["healthcheck"]["test"][1]


def test_what_comes_from_the_checkout_is_read_only_and_no_secrets_file(compose: dict[str, Any]) -> None:
    for name in ("web", "scheduler"):
        mounts = [mount.split(":") for mount in compose["services"][name]["volumes"] if mount.startswith(".")]
        assert all(mode == "ro" for _, _, mode in mounts)
        assert not {"./config", "./config/secrets.env"} & {source for source, _, _ in mounts}
        assert {"/app/config/adapter.yaml", "/app/config/projects"} <= {target for _, target, _ in mounts}


def test_the_data_folder_is_a_volume_that_our_user_may_write(compose: dict[str, Any]) -> None:
    web = compose["services"]["web"]
    assert f"adapter-data:{web['environment']['HITL_HOME']}" in web["volumes"]
    assert "mkdir /data && chown hitl /data" in web["build"]["dockerfile_inline"]  # a new volume takes this over


def test_the_network_switches_and_the_silence_are_set(compose: dict[str, Any]) -> None:
    environment = compose["services"]["label-studio"]["environment"]
    assert environment["ML_BLOCK_LOCAL_IP"] == "false"
    assert environment["SSRF_PROTECTION_ENABLED"] == "false"
    assert environment["LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK"] == "true"
    assert environment["SENTRY_DSN"] == environment["FRONTEND_SENTRY_DSN"] == ""
    assert environment["COLLECT_ANALYTICS"] == "False"


def test_secrets_come_from_the_environment_and_are_all_in_the_example(compose: dict[str, Any]) -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    used = set(re.findall(r"\$\{([A-Z_]+)", text))
    example = (ROOT / "config" / "secrets.env.example").read_text(encoding="utf-8")
    offered = {line.split("=")[0] for line in example.splitlines() if "=" in line and not line.startswith("#")}
    assert used == offered


def test_every_named_volume_is_declared(compose: dict[str, Any]) -> None:
    mounts = [mount for service in compose["services"].values() for mount in service.get("volumes", ())]
    named = {mount.split(":")[0] for mount in mounts if not mount.startswith(".")}
    assert named == set(compose["volumes"])
