"""The composition root: settings in, everything wired, nothing connected until it is used."""

from __future__ import annotations

import base64
import errno
import json
import os
import secrets as randomness
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from adapter.errors import DiskFull, PlatformRefused, SettingsError, StoreError, nearest
from adapter.settings import ProjectSettings, Settings
from adapter.stages.context import Project, Secrets

if TYPE_CHECKING:
    from adapter.artifacts import Artifacts
    from adapter.artifacts.columns import ColumnStore
    from adapter.ports import Platform
    from adapter.store import Store
    from adapter.vocabulary import LabelSpace


class App:
    """All parts of the adapter for one Settings. `platform` replaces Label Studio (simulations, tests)."""

    def __init__(
        self, settings: Settings, *, platform: Platform | None = None, now: Callable[[], datetime] | None = None
    ) -> None:
        self.settings = settings
        self.now = now or (lambda: datetime.now(UTC))
        self._platform = platform
        self._projects: dict[str, Project] = {}
        self._lock = threading.RLock()
        if str(settings.config) not in sys.path:
            sys.path.append(str(settings.config))  # the user's own backends lie beside adapter.yaml

    @cached_property
    def store(self) -> Store:
        """The store, migrated."""
        from adapter.store import Store

        with _data_folder(self.settings.home):
            self.settings.home.mkdir(parents=True, exist_ok=True)
        url = self.settings.store.url.get_secret_value() or f"sqlite:///{self.settings.home / 'hitl.db'}"
        store = Store(url, now=self.now)
        store.migrate()
        return store

    @cached_property
    def artifacts(self) -> Artifacts:
        """The artifact store."""
        from adapter.artifacts import Artifacts

        return Artifacts(self.settings.store.artifacts or str(self.settings.home / "artifacts"))

    @cached_property
    def columns(self) -> ColumnStore:
        """Columns over the pool."""
        from adapter.artifacts.columns import ColumnStore

        return ColumnStore(self.store.columns, self.artifacts)

    @cached_property
    def secrets(self) -> Secrets:
        """The configured secrets; those left empty are made once and kept in the data folder, readable by its owner
        only."""
        with _data_folder(self.settings.home):
            kept = _kept_secrets(self.settings.home / "secrets.json")
        web = self.settings.web
        return Secrets(
            backend_password=web.backend_password.get_secret_value() or kept["backend_password"],
            webhook_secret=web.webhook_secret.get_secret_value() or kept["webhook_secret"],
            media_key=base64.b64decode(kept["media_key"]),
        )

    @property
    def platform(self) -> Platform:
        """Label Studio, connected at first use. Raises PlatformRefused when no token is known."""
        with self._lock:
            if self._platform is None:
                self._platform = self._label_studio()
            return self._platform

    def _label_studio(self) -> Platform:
        from adapter.label_studio.platform import LabelStudioPlatform

        conf = self.settings.label_studio
        token = conf.token.get_secret_value()
        url = conf.url
        if conf.embedded:
            url = f"http://127.0.0.1:{conf.port}"
            token = token or embedded_token(self.settings.home)
        if not token and conf.embedded:
            raise PlatformRefused(
                "the embedded Label Studio has not been started yet",
                where=url,
                remedy="Start it with `hitl up`; it makes its own token.",
            )
        if not token:
            raise PlatformRefused(
                "no Label Studio token is set",
                where=url,
                remedy="Set HITL_LABEL_STUDIO_TOKEN to the token of Label Studio's page 'Account & Settings'.",
            )
        return LabelStudioPlatform(url, token, timeout_s=conf.timeout_s)

    def project(self, name: str) -> Project:
        """Return the project called `name`; raises SettingsError with the nearest name."""
        with self._lock:
            if name not in self._projects:
                settings = self.settings.projects.get(name)
                if settings is None:
                    raise SettingsError(
                        f"there is no project '{name}'",
                        where=str(self.settings.config / "projects"),
                        remedy=nearest(name, self.settings.projects) or "Make one with `hitl init`.",
                    )
                self._projects[name] = self._build(name, settings)
            return self._projects[name]

    def _build(self, name: str, settings: ProjectSettings) -> Project:
        from adapter.label_studio.label_config import read_label_config, require_served

        space = read_label_config(_under(self.settings.config, settings.label_config))
        require_served(space, where=str(settings.label_config))
        _require_controls(space, settings)
        return Project(
            name=name,
            settings=settings,
            space=space,
            store=self.store,
            artifacts=self.artifacts,
            columns=self.columns,
            home=self.settings.home,
            config=self.settings.config,
            web=self.settings.web,
            engine=self.settings.engine,
            llm=self.settings.llm,
            secrets=self.secrets,
            now=self.now,
            make_platform=lambda: self.platform,
        )

    def projects(self) -> list[Project]:
        """Return every configured project, by name."""
        return [self.project(name) for name in sorted(self.settings.projects)]

    def close(self) -> None:
        """Release the store's connections."""
        if "store" in self.__dict__:
            self.store.close()


def _require_controls(space: LabelSpace, settings: ProjectSettings) -> None:
    """Refuse a backend for a control that is not there, or that no backend can serve."""
    from adapter.kinds import kind_of, label_kind
    from adapter.kinds.base import RegionKind

    names = [control.name for control in space.controls]
    for name in settings.backends:
        where = f"project '{settings.name}', backends.{name}"
        if name not in names:
            raise SettingsError(f"there is no control '{name}'", where=where, remedy=nearest(name, names))
        control = space.control(name)
        if label_kind(control) is None and not isinstance(kind_of(control.kind), RegionKind):
            raise SettingsError(
                f"no backend learns a control of kind '{control.kind}'",
                where=where,
                remedy="Take it out: people label this control alone.",
            )


def embedded_token(home: Path) -> str:
    """Return the token that the embedded server left in the data folder; empty if it has not started yet."""
    path = home / "label-studio" / "token"
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


def embedded_password(settings: Settings) -> str:
    """Return the embedded server's password: the configured one, else one that is made once and kept for its owner."""
    given = settings.label_studio.password.get_secret_value()
    if given:
        return given
    path = settings.home / "label-studio" / "password"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="utf-8").strip()
    made = randomness.token_urlsafe(12)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(made)
    return made


def _under(folder: Path, path: Path) -> Path:
    return path if path.is_absolute() else folder / path


@contextmanager
def _data_folder(home: Path) -> Iterator[None]:
    """Turn what the file system says of the data folder into errors that advise."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFull(
                f"no space is left in the data folder ({error.strerror})",
                where=str(home),
                remedy="Free space there and run the same command again; nothing was half-written.",
            ) from error
        raise StoreError(
            f"the data folder cannot be used ({error.strerror or error})",
            where=str(home),
            remedy="Let this user write there, or set `home` (HITL_HOME) to another folder.",
        ) from error


def _kept_secrets(path: Path) -> dict[str, str]:
    """Read, or make once, the secrets file. Two processes that start at once end with the same secrets."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = {
            "backend_password": randomness.token_urlsafe(24),
            "webhook_secret": randomness.token_urlsafe(24),
            "media_key": base64.b64encode(randomness.token_bytes(32)).decode(),
        }
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(made, file)
            os.link(draft, path)  # fails if another process was first: then its secrets hold
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    try:
        kept: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        return {key: kept[key] for key in ("backend_password", "webhook_secret", "media_key")}
    except (ValueError, KeyError) as error:
        raise SettingsError(
            "the kept secrets cannot be read",
            where=str(path),
            remedy="Delete this file: new secrets are made, and `hitl up` renews them in Label Studio.",
        ) from error
