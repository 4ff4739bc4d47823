"""docker-compose.yml: it parses, every variable is read by somebody, every service can become healthy."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

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


def test_the_network_switches_and_the_silence_are_set(compose: dict[str, Any]) -> None:
    environment = compose["services"]["label-studio"]["environment"]
    assert environment["ML_BLOCK_LOCAL_IP"] == "false"
    assert environment["SSRF_PROTECTION_ENABLED"] == "false"
    assert environment["SENTRY_DSN"] == ""
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
