"""docker-compose.yml without a Docker engine: its services' commands as processes of this machine.

What Docker would do is done here by hand: variables are filled in from the secrets, the folders that a service mounts
are copied to where it looks for them, a service's name becomes 127.0.0.1 and its port a free one.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from real_server import free_port

_VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?:(?P<how>:[?-])(?P<word>[^}]*))?\})")
_ENTRYPOINT = re.compile(r"^ENTRYPOINT (\[.*\])$", re.MULTILINE)


def interpolate(value: Any, secrets: Mapping[str, str]) -> Any:
    """Fill in `${NAME}`, `${NAME:-default}` and `${NAME:?message}` as compose does, in every text below `value`."""

    def fill(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        given = secrets.get(match["name"], "")
        if not given and match["how"] == ":?":
            raise ValueError(f"{match['name']}: {match['word']}")
        return given or (match["word"] if match["how"] == ":-" else "") or ""

    if isinstance(value, str):
        return _VARIABLE.sub(fill, value)
    if isinstance(value, dict):
        return {key: interpolate(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolate(item, secrets) for item in value]
    return value


class Postgres:
    """A PostgreSQL of our own, made as the official image makes one: the user of POSTGRES_USER rules it."""

    def __init__(self, service: Mapping[str, Any], port: int) -> None:
        self.service = service
        self.port = port
        self.bin = postgres_programs()
        owner = _other_user() if os.getuid() == 0 else None  # PostgreSQL refuses to run as root
        self.folder = Path(tempfile.mkdtemp(prefix="hitl-postgres-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = owner.pw_uid if owner is not None else None
        self._group = owner.pw_gid if owner is not None else None
        if owner is not None:
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)

    def start(self) -> None:
        """Make the cluster, start the server, wait until it is healthy, make the database."""
        conf = self.service["environment"]
        (self.folder / "password").write_text(conf["POSTGRES_PASSWORD"] + "\n", encoding="utf-8")
        self._run("initdb", "-D", "data", "-U", conf["POSTGRES_USER"], "-A", "scram-sha-256", "-E", "UTF8",
                  "--locale=C", "--no-sync", "--pwfile=password")  # fmt: skip
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
        with (self.folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [str(self.bin / "postgres"), "-D", "data", "-p", str(self.port)]
                + [part for name, value in options.items() for part in ("-c", f"{name}={value}")],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                user=self._owner,
                group=self._group,
                extra_groups=None if self._owner is None else [],
            )
        self._process = process
        wait_until_healthy(self.service, process, self._environment(), self.folder / "log")
        if not self.sql("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm'", "postgres"):
            pytest.skip("this PostgreSQL lacks pg_trgm: install its contrib modules (Debian: postgresql)")
        self.sql(f'CREATE DATABASE "{conf["POSTGRES_DB"]}"', "postgres")

    def sql(self, text: str, database: str = "") -> list[str]:
        """Run SQL as the image runs its scripts (by default in POSTGRES_DB) and return the rows as text."""
        conf = self.service["environment"]
        done = self._run("psql", "-v", "ON_ERROR_STOP=1", "--no-psqlrc", "-qAt", "-h", "127.0.0.1",
                         "-U", conf["POSTGRES_USER"], "-d", database or conf["POSTGRES_DB"], given=text)  # fmt: skip
        return done.splitlines()

    def stop(self) -> None:
        """Stop the server and remove its files."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # fast shutdown
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder)

    def _environment(self) -> dict[str, str]:
        conf = self.service["environment"]
        ours = {"PGPORT": str(self.port), "PGPASSWORD": conf["POSTGRES_PASSWORD"], "PGCONNECT_TIMEOUT": "5"}
        return {"PATH": f"{self.bin}{os.pathsep}{os.defpath}", "LC_ALL": "C", **ours}

    def _run(self, program: str, *arguments: str, given: str = "") -> str:
        done = subprocess.run(
            [self.bin / program, *arguments], input=given, cwd=self.folder, env=self._environment(),
            capture_output=True, text=True, check=False, timeout=120,
            user=self._owner, group=self._group, extra_groups=None if self._owner is None else [],
        )  # fmt: skip
        assert done.returncode == 0, f"{program}: {done.stderr}"
        return done.stdout


def postgres_programs() -> Path:
    """The folder with PostgreSQL's programs, or a skip that says what is missing."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    found = shutil.which("initdb")
    folders = [*([Path(os.path.realpath(found)).parent] if found else []), *reversed(versions)]
    for folder in folders:
        if all((folder / name).exists() for name in ("initdb", "postgres", "psql", "pg_isready")):
            return folder
    pytest.skip("needs a PostgreSQL server with pg_trgm: install one (Debian: apt-get install postgresql)")


def _other_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody")


class Stack:
    """The services of docker-compose.yml on this machine. `checkout` is the folder that the file would lie in."""

    def __init__(self, compose_file: Path, checkout: Path, folder: Path, secrets: Mapping[str, str]) -> None:
        self.raw: dict[str, Any] = yaml.safe_load(compose_file.read_text(encoding="utf-8"))
        self.secrets = secrets
        self.checkout = checkout
        self.app = folder / "app"
        self.data = folder / "data"
        self.logs = folder / "logs"
        self.home = folder / "nobody-s-home"
        for made in (self.app, self.data, self.logs, self.home):
            made.mkdir()
        self.ports = {"db": free_port(), "label-studio": free_port(), "web": free_port()}
        self.services: dict[str, Any] = interpolate(self.raw["services"], secrets)
        self.db = Postgres(self._local(self.services["db"]), self.ports["db"])
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def url(self, name: str) -> str:
        """The address under which a service answers here."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def start_database(self) -> None:
        """Start the database and run the scripts that compose mounts for it."""
        self.db.start()
        for config in self.services["db"]["configs"]:
            assert config["target"].startswith("/docker-entrypoint-initdb.d/")
            assert config["target"].endswith(".sql")
            self.db.sql(interpolate(self.raw["configs"][config["source"]]["content"], self.secrets))

    def start(self, name: str, *arguments: str, **environment: str) -> None:
        """Start a service and wait until its health check passes. What Docker's images and networks add is given."""
        service = self._local(self.services[name])
        self._mount(name)
        log = self.logs / f"{name}.log"
        with log.open("wb") as file:
            self._processes[name] = subprocess.Popen(
                [*self._entrypoint(name), *service["command"], *arguments],
                cwd=self.app,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=self.environment(name) | environment,
                start_new_session=True,
            )
        wait_until_healthy(service, self._processes[name], self.environment(name), log)

    def environment(self, name: str) -> dict[str, str]:
        """All that a service's processes get: nothing of this process's own environment."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
        ours: dict[str, str] = self._local(self.services[name])["environment"]
        return {"PATH": path, "HOME": str(self.home), "LANG": "C.UTF-8"} | ours

    def mounts(self, name: str) -> list[tuple[Path, Path]]:
        """The folders and files of the checkout that a service sees, all of them read-only, with their places here."""
        found = []
        for mount in self.services[name].get("volumes", ()):
            if mount.startswith("./"):
                source, target, mode = mount.split(":")
                assert mode == "ro", mount
                found.append((self.checkout / source, Path(self._local(target))))
        return found

    def check(self, name: str) -> subprocess.CompletedProcess[str]:
        """Run a service's health check once."""
        return check(self._local(self.services[name]), self.environment(name))

    def end(self, name: str) -> bool:
        """End a service as `docker compose stop` does, and return whether it ended within the time that it is given."""
        process = self._processes.pop(name)
        process.terminate()
        try:
            process.wait(seconds(self.services[name].get("stop_grace_period", "10s")))
        except subprocess.TimeoutExpired:
            return False
        else:
            return True
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def stop(self) -> None:
        """End all processes, those started last first, and the database at last."""
        for name in reversed(list(self._processes)):
            self.end(name)
        self.db.stop()

    def _entrypoint(self, name: str) -> list[str]:
        build = self.services[name].get("build")
        if build is None:
            return []
        found = _ENTRYPOINT.search(build["dockerfile_inline"])
        assert found is not None
        start: list[str] = self._local(json.loads(found[1]))
        return start

    def _mount(self, name: str) -> None:
        for source, target in self.mounts(name):
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            else:
                shutil.copy2(source, target)

    def _local(self, value: Any) -> Any:
        """Translate names, ports and folders of the containers into those of this machine."""
        if isinstance(value, dict):
            return {key: self._local(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._local(item) for item in value]
        if not isinstance(value, str):
            return value
        whole = {"db": "127.0.0.1", "0.0.0.0": "127.0.0.1", "/data": str(self.data)}
        whole |= {"5432": str(self.ports["db"]), "9090": str(self.ports["web"])}
        if value in whole:
            return whole[value]
        for name, port in (("db", 5432), ("label-studio", 8080), ("web.internal", 9090)):
            here = self.ports[name.removesuffix(".internal")]
            value = re.sub(rf"(?<=[@/]){re.escape(name)}:{port}\b|\blocalhost:{port}\b", f"127.0.0.1:{here}", value)
        return re.sub(r"(?<![\w.])/app/", f"{self.app}/", value)


def check(service: Mapping[str, Any], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a health check as Docker does: CMD gives a program's arguments, CMD-SHELL a line for /bin/sh."""
    kind, *words = service["healthcheck"]["test"]
    argv = {"CMD": words, "CMD-SHELL": ["/bin/sh", "-c", *words]}[kind]
    return subprocess.run(
        argv, env=dict(environment), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=120
    )


def wait_until_healthy(
    service: Mapping[str, Any], process: subprocess.Popen[bytes], environment: Mapping[str, str], log: Path
) -> None:
    """Wait for a health check to pass, as long as compose would on a machine of half the speed."""
    conf = service["healthcheck"]
    patience = 2 * (seconds(conf.get("start_period", "0s")) + conf["retries"] * seconds(conf["interval"]))
    deadline = time.monotonic() + patience
    while (done := check(service, environment)).returncode != 0:
        last = f"its health check said: {done.stderr}{done.stdout}\nits log:\n{tail(log)}"
        assert process.poll() is None, f"it ended with {process.returncode}; {last}"
        assert time.monotonic() < deadline, f"it was not healthy after {patience:.0f} s; {last}"
        time.sleep(0.5)


def seconds(text: str) -> float:
    """Read a duration as compose files write them."""
    assert text.endswith("s")
    return float(text[:-1])


def tail(log: Path) -> str:
    """The end of a log."""
    return log.read_text(encoding="utf-8", errors="replace")[-4000:]
