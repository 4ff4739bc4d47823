"""The shape of all settings: one frozen, strict `Settings`. `adapter.settings_file` reads it; nothing else reads the
environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from adapter.policies import (
    AgreementPolicy,
    BlindPolicy,
    ConsolidatePolicy,
    FlagPolicy,
    PeoplePolicy,
    RankPolicy,
    ReviewPolicy,
    RoutingPolicy,
    StopPolicy,
    TrainPolicy,
    WindowPolicy,
)

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """Base of every settings section: frozen, unknown keys refused, secrets hidden in `repr`."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StoreSettings(Section):
    """url: SQLAlchemy URL; empty means SQLite in the data folder. artifacts: fsspec URL; empty means the data
    folder."""

    url: SecretStr = SecretStr("")
    artifacts: str = ""


class LabelStudioSettings(Section):
    """url: where Label Studio answers. token: legacy or personal access token (secret). embedded: start our own server;
    then port, user and password (secret; made and kept in the data folder if empty) are used and the token is made."""

    url: str = "http://127.0.0.1:8080"
    token: SecretStr = SecretStr("")
    embedded: bool = False
    port: Port = 8080
    user: str = "admin@localhost.local"
    password: SecretStr = SecretStr("")
    timeout_s: Seconds = 60.0


class WebSettings(Section):
    """Our own endpoints. public_url: the address under which Label Studio reaches us; empty means http://host:port.
    backend_user and backend_password: Basic auth of the ML backend. webhook_secret: sent in the header X-Hitl-Secret.
    Empty secrets are made once and kept in the data folder. max_body_mb: larger requests get 413."""

    host: str = "127.0.0.1"
    port: Port = 9090
    public_url: str = ""
    backend_user: str = "label-studio"
    backend_password: SecretStr = SecretStr("")
    webhook_secret: SecretStr = SecretStr("")
    max_body_mb: Annotated[float, Field(gt=0, le=1024)] = 64.0


class ScheduleSettings(Section):
    """Seconds between runs of each job; jitter_s is added at random; lease_s is how long a silent scheduler keeps
    its lease."""

    pull_s: Seconds = 5.0
    top_up_s: Seconds = 5.0
    consolidate_s: Seconds = 30.0
    train_s: Seconds = 10.0
    flag_s: Seconds = 60.0
    jitter_s: Annotated[float, Field(ge=0)] = 0.5
    lease_s: Seconds = 15.0


class EngineSettings(Section):
    """Where labeling functions run. kind: `local`, this machine's processes, or `dask`, an existing cluster whose
    scheduler answers at `address` (tcp://host:port). workers: most processes here; null for one a core, at most 8.
    timeout_s: for one call of one function. strikes: time-outs and crashes after which a function is given up for the
    rest of a run. memory_mb: of one worker; 0 for no limit. partition_rows: tasks that are read, voted on and stored at
    a time."""

    kind: Literal["local", "dask"] = "local"
    address: str = ""
    workers: Annotated[int, Field(ge=1, le=1024)] | None = None
    timeout_s: Seconds = 5.0
    strikes: Annotated[int, Field(ge=1)] = 3
    memory_mb: Annotated[int, Field(ge=0)] = 4096
    partition_rows: Annotated[int, Field(ge=100, le=1_000_000)] = 20_000


class DataSettings(Section):
    """Where a project's tasks come from. path: file, folder or `label-studio:<project id>`; relative to the settings
    file. format: `auto` by ending. id_column: stable id; empty means by content. subgroups: columns for bias audits.
    field: for a folder, the task field that gets each file."""

    path: str = ""
    format: Literal["auto", "csv", "jsonl", "parquet", "folder", "label-studio"] = "auto"
    id_column: str = ""
    subgroups: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    field: str = ""


class BackendSettings(Section):
    """A model backend: dotted path `module:factory` and its options."""

    path: str = "backends.linear:Linear"
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("options")
    @classmethod
    def _no_secret(cls, options: dict[str, Any]) -> dict[str, Any]:
        """Options are kept with every model, readable by whoever reads it."""
        for name in options:
            if name in ("llm_key", "api_key", "token", "password"):
                raise ValueError(f"'{name}' is a secret: set HITL_LLM__API_KEY in the environment instead")
        return options


class LlmSettings(Section):
    """An endpoint that speaks OpenAI's protocol, for the backend and the labeling functions that ask a language model.
    url: up to and with `/v1`; empty means that there is none. api_key: secret, never stored with a model."""

    url: str = ""
    api_key: SecretStr = SecretStr("")


class ProjectSettings(Section):
    """One project: `config/projects/<name>.yaml`.

    label_config: path of the XML, relative to the config folder. labeling_functions: importable module or package, or a
    path; empty means `labeling_functions/<name>` if it is there. mode: `window` keeps the pool here and pushes a work
    window; `in-place` serves a Label Studio project whose tasks are already there. project_id: adopt this Label Studio
    project instead of making one. backend: of every control with a fixed list of labels. backends: control to a backend
    of its own; controls for regions (spans, boxes) have a model only if they are named here.
    """

    name: str = ""
    title: str = ""
    label_config: Path
    data: DataSettings = DataSettings()
    labeling_functions: str = ""
    backend: BackendSettings = BackendSettings()
    backends: dict[str, BackendSettings] = Field(default_factory=dict)
    mode: Literal["window", "in-place"] = "window"
    project_id: int | None = None
    blind: BlindPolicy = BlindPolicy()
    window: WindowPolicy = WindowPolicy()
    rank: RankPolicy = RankPolicy()
    consolidate: ConsolidatePolicy = ConsolidatePolicy()
    flag: FlagPolicy = FlagPolicy()
    train: TrainPolicy = TrainPolicy()
    stop: StopPolicy = StopPolicy()
    agreement: AgreementPolicy = AgreementPolicy()
    routing: RoutingPolicy = RoutingPolicy()
    review: ReviewPolicy = ReviewPolicy()
    people: PeoplePolicy = PeoplePolicy()


class Settings(Section):
    """Everything. home: the data folder. config: the folder that adapter.yaml is in."""

    home: Path
    config: Path
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"
    store: StoreSettings = StoreSettings()
    label_studio: LabelStudioSettings = LabelStudioSettings()
    web: WebSettings = WebSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    engine: EngineSettings = EngineSettings()
    llm: LlmSettings = LlmSettings()
    projects: dict[str, ProjectSettings] = Field(default_factory=dict)
