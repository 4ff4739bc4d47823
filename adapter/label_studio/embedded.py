"""A Label Studio of our own: a subprocess with its data in our data folder, quiet towards the net, ended with us."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import IO

import httpx

from adapter.errors import PlatformError, PlatformRefused, PlatformUnreachable
from adapter.label_studio.launch import FOLDER_BUSY
from adapter.label_studio.users import token_by_password

READY_S = 300.0
GRACE_S = 10.0
LAST_LINES = 15
LARGEST_LOG = 10 * 1024 * 1024

# Of our environment the server gets what a program needs to run, and the user's own LABEL_STUDIO_ variables. Not more:
# it also reads bare names such as HOST, PORT, DEBUG and USERNAME, and our secrets are none of its business.
_PASSED_ON = (
    *("PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"),
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("SYSTEMROOT", "COMSPEC", "PATHEXT", "APPDATA", "LOCALAPPDATA", "USERPROFILE"),
)


class EmbeddedServer:
    """Label Studio as a child process: `start`, `wait`, use `url` and `token`, `stop`. Also a context manager.

    home: our data folder; the server's data lie in `label-studio/`, its log in `logs/label-studio.log`. user and
    password: its administrator, made at the first start (a later start keeps the password it has). host: address to
    bind; the default is reachable from this machine only. May be started again on the same folder.
    """

    def __init__(self, home: Path, port: int, user: str, password: str, *, host: str = "127.0.0.1") -> None:
        self.home = home
        self.port = port
        self.user = user
        self.host = host
        self.folder = home / "label-studio"
        self.log = home / "logs" / "label-studio.log"
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None
        self._token = ""

    def __repr__(self) -> str:
        return f"EmbeddedServer({self.url!r}, pid={self.pid})"

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{'127.0.0.1' if self.host in ('', '0.0.0.0') else self.host}:{self.port}"  # noqa: S104 - compared, not bound

    @property
    def pid(self) -> int | None:
        """Its process id, also its process group; None when it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def token(self) -> str:
        """The administrator's token (secret). Made at the first start, kept in `label-studio/token` (0600)."""
        if not self._token:
            self._token = _kept_token(self.folder / "token")
        return self._token

    def __enter__(self) -> EmbeddedServer:
        try:
            self.start()
            self.wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def password(self) -> str:
        """The administrator's password (secret)."""
        return self._password

    def start(self) -> None:
        """Start the process and return at once. Raises PlatformUnreachable: not installed, or the port is in use."""
        if self.pid is not None:
            return
        if importlib.util.find_spec("label_studio") is None:
            raise PlatformUnreachable(
                "Label Studio is not installed in this Python environment",
                where=sys.prefix,
                remedy='Run `pip install "hitl-labeling[server]"`, or use a Label Studio that runs elsewhere.',
            )
        self._require_free_port()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        program = Path(__file__).with_name("launch.py")
        with _open_log(self.log) as log:
            # -P: the program's own folder must not shadow Label Studio's modules.
            self._process = subprocess.Popen(  # noqa: S603 - our own argument list, no shell
                [sys.executable, "-P", str(program), str(self.folder), self.host, str(self.port)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                cwd=self.folder,
                start_new_session=True,
            )

    def wait(self, timeout_s: float = READY_S) -> None:
        """Block until it serves and its token works. Raises PlatformUnreachable with the log's last lines."""
        process = self._process
        if process is None:
            raise PlatformUnreachable("the server was not started", where=self.url)
        deadline = time.monotonic() + timeout_s
        with httpx.Client(base_url=self.url, timeout=10, trust_env=False) as http:
            while not self._healthy(http):
                code = process.poll()
                if self._process is not process:
                    raise PlatformUnreachable("the server was stopped while it started", where=self.url)
                if code is not None:
                    raise self._ended(code)
                if time.monotonic() > deadline:
                    raise PlatformUnreachable(
                        f"the server does not answer after {timeout_s:.0f} s; {self._last_lines()}",
                        where=self.url,
                        remedy=f"Look into {self.log}, or wait longer on a slow machine.",
                    )
                time.sleep(0.2)
            answer = http.get("/api/current-user/whoami", headers={"Authorization": f"Token {self.token}"})
        if answer.status_code == 401:
            self._recover_token()

    def stop(self) -> None:
        """End it with its whole process group: SIGTERM, then SIGKILL. Safe to call at any time, from any thread."""
        process, self._process = self._process, None
        if process is None:
            return
        _signal_group(process, hard=False)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
        _reap(process)

    def _healthy(self, http: httpx.Client) -> bool:
        try:
            return http.get("/health", follow_redirects=True).status_code == 200
        except httpx.TransportError:
            return False

    def _ended(self, code: int) -> PlatformError:
        process, self._process = self._process, None
        if process is not None:
            _reap(process)
        if code == FOLDER_BUSY:
            return PlatformUnreachable(
                "another Label Studio runs on this data folder",
                where=str(self.folder),
                remedy="Stop the other `hitl up`, or choose another home.",
            )
        return PlatformUnreachable(
            f"the server ended by itself with code {code}; {self._last_lines()}",
            where=self.url,
            remedy=f"The whole log is {self.log}.",
        )

    def _last_lines(self) -> str:
        try:
            with self.log.open("rb") as file:
                file.seek(max(self.log.stat().st_size - 16384, 0))
                lines = file.read().decode("utf-8", "replace").splitlines()[-LAST_LINES:]
        except OSError:
            lines = []
        return "its last words:\n" + "\n".join(f"    {line}" for line in lines) if lines else "its log is empty"

    def _recover_token(self) -> None:
        """The kept token is not the server's (the file was lost, or came from elsewhere): ask with the password."""
        try:
            self._token = token_by_password(self.url, self.user, self._password)
        except PlatformRefused as error:
            raise PlatformRefused(
                f"the kept token is not valid there and '{self.user}' cannot log in with the configured password",
                where=self.url,
                remedy=f"Set the password that this Label Studio knows, or move {self.folder} away to begin anew.",
            ) from error
        _write_secret(self.folder / "token", self._token)

    def _require_free_port(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a closed connection's echo does not count
            try:
                probe.bind((self.host, self.port))
            except OSError as error:
                raise PlatformUnreachable(
                    f"port {self.port} cannot be used ({error.strerror})",
                    where=self.url,
                    remedy="Stop what listens there, or set another `label_studio.port`.",
                ) from error

    def _environment(self) -> dict[str, str]:
        kept = {
            key: value
            for key, value in os.environ.items()
            if key in _PASSED_ON or key.startswith(("LC_", "LABEL_STUDIO_"))
        }
        ours = {
            "BASE_DATA_DIR": str(self.folder),
            "USERNAME": self.user,
            "PASSWORD": self._password,
            "USER_TOKEN": self.token,
            "HOST": "",
            "ENABLE_LEGACY_API_TOKEN": "true",
            "DISABLE_SIGNUP_WITHOUT_LINK": "true",
            "SSRF_PROTECTION_ENABLED": "false",
            "COLLECT_ANALYTICS": "false",
            "LATEST_VERSION_CHECK": "false",
            "SENTRY_DSN": "",
            "FRONTEND_SENTRY_DSN": "",
            "DEBUG": "false",
            # A task that somebody opened and left is free for others after an hour, not after a day.
            "TASK_LOCK_TTL": "3600",
        }
        quiet = {"ML_BLOCK_LOCAL_IP": "false", "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore"}
        return kept | quiet | {f"LABEL_STUDIO_{key}": value for key, value in ours.items()}


def _reap(process: subprocess.Popen[bytes]) -> None:
    """End what is left of a process and its group, and let go of it."""
    _signal_group(process, hard=True)
    process.wait()
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()


def _signal_group(process: subprocess.Popen[bytes], *, hard: bool) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL if hard else signal.SIGTERM)
        elif hard:
            process.kill()
        else:
            process.terminate()


def _kept_token(path: Path) -> str:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write_secret(path, secrets.token_hex(20))
    return path.read_text(encoding="utf-8").strip()


def _write_secret(path: Path, value: str) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(value)
    draft.replace(path)


def _open_log(path: Path) -> IO[bytes]:
    """Open for appending; a log that has grown large is set aside as `<name>.1` first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LARGEST_LOG:
        path.replace(path.with_name(f"{path.name}.1"))
    return path.open("ab")
