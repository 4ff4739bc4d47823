"""What a stage is given: one project with everything it may touch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapter.core.blind import is_blind
from adapter.kinds import kind_of, learned
from adapter.kinds.base import RegionKind
from adapter.policies import BlindPolicy
from adapter.settings import BackendSettings, EngineSettings, LlmSettings, ProjectSettings, WebSettings
from adapter.vocabulary import Control, LabelSpace

if TYPE_CHECKING:
    from adapter.artifacts import Artifacts
    from adapter.artifacts.columns import ColumnStore
    from adapter.labeling import LabelingFunction
    from adapter.media import Media
    from adapter.ports import Platform
    from adapter.stages.tier_projects import TierProjects
    from adapter.store import Store


LONGEST_TITLE = 50
"""Characters of a project's title that Label Studio takes."""


@dataclass(frozen=True)
class Secrets:
    """Secrets that the faces need. Hidden in `repr`."""

    backend_password: str
    webhook_secret: str
    media_key: bytes

    def __repr__(self) -> str:
        return "Secrets(...)"


@dataclass(frozen=True)
class Project:
    """One project: settings, label space, store, artifacts, platform, time.

    Nothing here is connected until it is used. home: the data folder. config: the folder of adapter.yaml.
    """

    name: str
    settings: ProjectSettings
    space: LabelSpace
    store: Store
    artifacts: Artifacts
    columns: ColumnStore
    home: Path
    config: Path
    web: WebSettings
    engine: EngineSettings
    secrets: Secrets
    now: Callable[[], datetime]
    make_platform: Callable[[], Platform]
    llm: LlmSettings = field(default_factory=LlmSettings)

    @property
    def platform(self) -> Platform:
        """Label Studio, connected at first use. Where tiers have projects of their own, calls about ours mean those
        too."""
        return self.tiers.over(self.make_platform())

    @cached_property
    def tiers(self) -> TierProjects:
        """The Label Studio projects of the tiers, if any (`routing.way: projects`)."""
        from adapter.stages.tier_projects import TierProjects

        return TierProjects(self)

    @property
    def platform_id(self) -> int | None:
        """The Label Studio project that this one is bound to, if any."""
        row = self.store.projects.get(self.name)
        return row.platform_id if row else None

    @cached_property
    def learned(self) -> tuple[Control, ...]:
        """The controls that labeling functions vote on and a backend learns: those with a fixed list of labels."""
        return learned(self.space)

    @cached_property
    def marked(self) -> tuple[Control, ...]:
        """The controls of regions (spans, boxes) that `backends` gives a model; the others are marked by people
        alone."""
        known = {control.name for control in self.learned}
        return tuple(
            control
            for control in self.space.controls
            if control.name in self.settings.backends
            and control.name not in known
            and isinstance(kind_of(control.kind), RegionKind)
        )

    def backend_of(self, control: Control) -> BackendSettings:
        """Return the settings of a control's backend: its own, or the project's."""
        return self.settings.backends.get(control.name, self.settings.backend)

    def offered(self, control: Control) -> dict[str, Any]:
        """Return what a control's backend may ask for by parameter name, see `ports.BackendFactory`."""
        return {**self.places, "labels": control.labels, "control": control.name}

    @property
    def public_url(self) -> str:
        """The address under which Label Studio and browsers reach our endpoints, without a slash at the end."""
        return (self.web.public_url or f"http://{self.web.host}:{self.web.port}").rstrip("/")

    @property
    def title(self) -> str:
        """The project's title in Label Studio."""
        return self.settings.title or self.name

    def title_beside(self, name: str) -> str:
        """Return the title of a further project beside this one, "<title> · <name>". Where that is longer than Label
        Studio takes, the title is cut and told apart by a digest."""
        whole = f"{self.title} · {name}"
        if len(whole) <= LONGEST_TITLE:
            return whole
        mark = hashlib.sha256(self.title.encode()).hexdigest()[:6]
        return f"{self.title[: LONGEST_TITLE - len(name) - len(mark) - 4]}~{mark} · {name}"

    @property
    def backend_title(self) -> str:
        """The title of our ML backend there. Unlike any model version, so that stored predictions are shown."""
        return f"hitl {self.name}"

    @cached_property
    def media(self) -> Media:
        """Files of a folder project: signed addresses for browsers, bytes for backends."""
        from adapter.media import Media

        root = Path(self.settings.data.path) if self.settings.data.path else self.home
        return Media(root=root, project=self.name, secret=self.secrets.media_key, public_url=self.public_url)

    @property
    def places(self) -> dict[str, Any]:
        """What this machine and project offer to backends that ask for it by parameter name; never part of a model."""
        return {
            "media_root": str(self.media.root),
            "cache_folder": str(self.home / "cache"),
            "label_config": self.space.config,
            "llm_url": self.llm.url,
            "llm_key": self.llm.api_key.get_secret_value(),
        }

    def functions(self) -> list[LabelingFunction]:
        """Load the project's labeling functions; raises FunctionsError when their module does not import."""
        from adapter.labeling import discover

        spec = self.settings.labeling_functions
        if spec == "none":
            return []
        return discover(spec) if spec else []

    def is_blind(self, task_id: str) -> bool:
        """Whether a task belongs to the blind sample."""
        return is_blind(task_id, self.blind)

    @property
    def blind(self) -> BlindPolicy:
        """The policy of the blind sample."""
        return self.settings.blind
