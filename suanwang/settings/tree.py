"""The tree of settings: every leaf has a default and a line of description.

Its branches are one for each kind of process. The reference page is made from this file.
"""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX: Final = "SUANWANG_"
DEFAULT_PORT: Final = 8700

Folder = Annotated[Path, AfterValidator(Path.expanduser)]
Port = Annotated[int, Field(ge=0, le=65_535)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Micros = Annotated[int, Field(ge=0, le=10**12)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Group(BaseModel):
    """A branch of the tree; every leaf has a default and a line of description."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSettings(Group):
    """The centre: API, gateway and ingestion."""

    database_url: SecretStr = Field(
        default=SecretStr(""),
        description="`sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST/NAME`; empty is a SQLite "
        "file in `state_dir`",
    )
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: Port = Field(default=DEFAULT_PORT, description="TCP port to listen on; 0 is any free one")
    allow_public: bool = Field(
        default=False, description="allow a `host` that other machines can reach"
    )
    public_url: str = Field(
        default="", description="address under which users reach the centre; empty is host and port"
    )
    state_dir: Folder = Field(
        default=Path("~/.local/share/suanwang"),
        description="folder of the admin key, the signing key and the SQLite file",
        validate_default=True,
    )
    report_font: str = Field(
        default="",
        description="Chinese font file for PDFs; empty takes the one that comes with the product",
    )

    ledger_digest: Literal["sha256", "sm3"] = Field(
        default="sha256",
        description="digest that chains the ledger, `sha256` or `sm3`; it keeps its first",
    )

    advertise_url: str = Field(
        default="",
        description="address under which other replicas reach this process; empty is host and port",
    )
    lease_s: Seconds = Field(
        default=15.0,
        description="how long the ledger's writer stays it without renewing, s; it also places "
        "the jobs",
    )

    @property
    def database(self) -> str:
        """URL of the database, with the default filled in."""
        return self.database_url.get_secret_value() or f"sqlite:///{self.state_dir / 'suanwang.db'}"

    @property
    def font(self) -> Path | None:
        """The font file of PDFs, or None for the product's own."""
        return Path(self.report_font).expanduser() if self.report_font else None

    @property
    def url(self) -> str:
        """Address under which users reach the centre."""
        return self.public_url or f"http://{self.host}:{self.port}"


class RegistrySettings(Group):
    """From where on ties between organisations, and contracts, are looked at."""

    related_share_percent: Annotated[int, Field(ge=1, le=100)] = Field(
        default=25,
        description="a shareholding from this percentage on makes two parties related; 25 is that "
        "of the tax rules on related parties",
    )
    contract_limit_yuan: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="contracts under this amount are reviewed less, in yuan; several that reach it "
        "together are flagged; 0: none is stated, only the caps of policies count",
    )
    split_days: Annotated[int, Field(ge=1, le=366)] = Field(
        default=30, description="contracts signed within so many days are looked at together"
    )


class PolicySettings(Group):
    """What the placement weighs against each other, in yuan."""

    carbon_yuan_per_kg: Weight = Field(default=0.06, description="price of a kilogram of CO2")
    latency_yuan_per_ms: Weight = Field(
        default=0.002, description="price of a millisecond of round trip, once a job"
    )
    waiting_yuan_per_unit_hour: Weight = Field(
        default=0.05, description="price of a unit's hour between now and the start"
    )
    unserved_yuan_per_unit_hour: Weight = Field(
        default=1_000.0, description="price of a unit-hour that is not placed at all"
    )
    user_price_weight: Weight = Field(
        default=1.0, description="how much the user's price counts beside the operator's cost"
    )
    unfair_yuan_per_unit_hour: Weight = Field(
        default=0.0,
        description="price of a unit-hour that a tenant is served less than its share; 0: off",
    )
    change_yuan: Weight = Field(
        default=0.5, description="least gain for which a start that a user was told is put off"
    )
    move_threshold_yuan: Weight = Field(
        default=5.0, description="least gain, beyond its checkpoint, for which a running job moves"
    )
    expiring_weight: Weight = Field(
        default=0.1, description="what a yuan of a voucher is worth that would expire unused soon"
    )


class CrewSettings(Group):
    """Who helps with large problems (docs/placement-model.md)."""

    kind: Literal["in-process", "processes", "ray"] = Field(
        default="in-process",
        description="who prices the starts of large problems: `in-process`, `processes` of this "
        "machine, or `ray`",
    )
    workers: int = Field(default=2, ge=1, le=256, description="how many work side by side")
    starts_min: int = Field(
        default=500_000,
        ge=0,
        description="possible starts from which a problem is shared out; smaller ones are faster "
        "in one process",
    )
    ray_address: str = Field(
        default="local",
        description="`local` starts Ray on this machine; else the address of a cluster, such as "
        "`ray://HOST:10001`",
    )


class SchedulerSettings(Group):
    """The loop that places jobs."""

    cycle_s: Seconds = Field(default=5.0, description="longest pause between two cycles, s")
    solve_every_s: float = Field(
        default=0.0,
        ge=0.0,
        le=60.0,
        allow_inf_nan=False,
        description="jobs that come in this soon after a solve start at its prices; 0: solve, s",
    )
    moves_every_s: float = Field(
        default=60.0,
        ge=0.0,
        le=86_400.0,
        allow_inf_nan=False,
        description="how often running jobs that may move are planned anew; 0: never, s",
    )
    move_rest_s: Seconds = Field(
        default=600.0, description="how long a job runs in one place before it may move, s"
    )
    time_limit_s: Seconds = Field(
        default=10.0, description="after this long the planner answers with the best it has, s"
    )
    search_rounds: int = Field(
        default=0,
        ge=0,
        le=100,
        description="rounds in which plans too large for one search are searched site by site; "
        "a second a site, shared among the workers of `crew`",
    )
    link_gbps: Rate = Field(
        default=1.0, description="bandwidth between two sites for data of jobs after others, Gbit/s"
    )
    link_price_uyuan_per_gb: Micros = Field(
        default=0, description="price of moving a gigabyte between two sites, micro-yuan"
    )
    solver: str = Field(
        default="auto",
        description="who solves: `auto`, an algorithm of HiGHS, or `pulp:NAME`; "
        "`suanwang doctor` lists what is installed",
    )
    crew: CrewSettings = Field(default=CrewSettings(), description="who helps")
    policy: PolicySettings = Field(default=PolicySettings(), description="weights")
    tenant_weights: dict[str, Weight] = Field(
        default={}, description="tenants' weights in fair shares; 1 for those not named"
    )


class EnergySettings(Group):
    """Prices and factors of the operator's own (docs/energy.md)."""

    folder: str = Field(
        default="",
        description="folder with `tariff_*.yaml` and `carbon_REGION.csv`, beside what comes along",
    )


class AlertSettings(Group):
    """What is watched, and who is told of it (docs/alarms.md)."""

    every_s: Seconds = Field(default=15.0, description="pause between two looks at the rules, s")
    rules_file: str = Field(
        default="", description="file with rules of your own, and changes of those that come along"
    )
    group_interval_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        default=60.0, description="least time between two messages about one group of alerts, s"
    )
    give_up_s: Seconds = Field(
        default=86_400.0, description="a message that can't be delivered for so long is dead, s"
    )
    grafana_url: str = Field(
        default="", description="address of Grafana, for links to charts; empty links to `/status`"
    )
    runbooks_url: str = Field(
        default="",
        description="address of the folder with the runbooks; empty names them by their path here",
    )
    channels: tuple[dict[str, object], ...] = Field(
        default=(), description="who is told: channels, each with its `kind` and `name`"
    )

    @property
    def own_rules(self) -> Path | None:
        """The file of one's own rules, or None."""
        return Path(self.rules_file).expanduser() if self.rules_file else None


class ExecutorSettings(Group):
    """What runs the jobs at the site."""

    kind: Literal["ray_jobs", "fake"] = Field(
        default="ray_jobs", description="`ray_jobs`, or `fake` which only pretends"
    )
    address: str = Field(
        default="http://127.0.0.1:8265", description="address of Ray's dashboard at the site"
    )
    token: SecretStr = Field(default=SecretStr(""), description="token of the Ray cluster")


class AgentSettings(Group):
    """The process at a site."""

    centre_url: str = Field(
        default=f"http://127.0.0.1:{DEFAULT_PORT}", description="address of the centre"
    )
    token: SecretStr = Field(default=SecretStr(""), description="the site's token (`swt_…`)")
    site_id: str = Field(default="", description="id of the site")
    spool_dir: Folder = Field(
        default=Path("~/.local/share/suanwang/agent"),
        description="folder that keeps telemetry and reports until the centre has them",
        validate_default=True,
    )
    spool_mib_max: int = Field(
        default=4_096,
        ge=1,
        description="most that telemetry takes in `spool_dir`, MiB; above it plain readings go "
        "first, registers of meters last",
    )
    spool_days: float = Field(
        default=7.0,
        gt=0,
        le=35,
        description="how long telemetry is kept for a centre that does not answer, days; the "
        "centre takes 35",
    )
    executor: ExecutorSettings = Field(default=ExecutorSettings(), description="what runs jobs")
    metrics_port: int = Field(
        default=0,
        ge=0,
        le=65_535,
        description="port on the loopback for the agent's own `/metrics`; 0 serves none",
    )
    watch_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        default=5.0,
        description="seconds between two looks at the settings file, whose sources are then taken "
        "without a restart; 0 looks at SIGHUP only",
    )
    sources: tuple[dict[str, object], ...] = Field(
        default=(), description="telemetry sources, each with its `kind` and `name`"
    )


class RemoteWriteSettings(Group):
    """A copy of every sample for VictoriaMetrics or Prometheus; no bill and no PUE comes from it.

    See [telemetry.md](telemetry.md#a-time-series-database-beside).
    """

    url: str = Field(
        default="",
        description="where to send, such as `http://127.0.0.1:8428/api/v1/write`; empty sends "
        "nothing",
    )
    sender: Literal["centre", "agent"] = Field(
        default="centre", description="who sends: `centre`, of all sites, or `agent`, of its own"
    )
    name: Annotated[str, Field(min_length=1, max_length=100)] = Field(
        default="centre",
        description="under which the centre keeps how far its copy is; each of several replicas "
        "needs one of its own",
    )
    token_file: str = Field(default="", description="file with a bearer token")
    username: str = Field(default="", description="name for basic authentication")
    password_file: str = Field(default="", description="file with the password to that name")
    ca_file: str = Field(
        default="", description="authorities in PEM to believe; empty is the system's"
    )
    external_labels: dict[str, str] = Field(
        default={}, description="labels that each series gets, where it has none of that name"
    )
    queue_samples: Annotated[int, Field(ge=10_000, le=100_000_000)] = Field(
        default=2_000_000,
        description="most samples that wait, about 24 bytes each; what is more the centre "
        "reads from the record later, at an agent the oldest give way",
    )
    batch_samples: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=10_000, description="most samples of one request"
    )
    shards: Annotated[int, Field(ge=1, le=64)] = Field(
        default=2, description="requests under way at once; a series always takes the same way"
    )
    flush_s: Seconds = Field(default=1.0, description="longest wait for a request to fill, s")
    timeout_s: Seconds = Field(default=30.0, description="longest wait for an answer, s")


class ClientSettings(Group):
    """The command line."""

    url: str = Field(
        default=f"http://127.0.0.1:{DEFAULT_PORT}", description="address of the centre"
    )
    api_key: SecretStr = Field(default=SecretStr(""), description="your API key (`swk_…`)")


class LogSettings(Group):
    """The log, which goes to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="`debug`, `info`, `warning` or `error`"
    )
    style: Literal["text", "json"] = Field(default="text", description="`text` or `json`")

    @field_validator("level", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value


class Settings(BaseSettings):
    """The whole tree. Use ``load``, which knows the files and names what is wrong."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
    )

    server: ServerSettings = ServerSettings()
    scheduler: SchedulerSettings = SchedulerSettings()
    energy: EnergySettings = EnergySettings()
    alerts: AlertSettings = AlertSettings()
    agent: AgentSettings = AgentSettings()
    remote_write: RemoteWriteSettings = RemoteWriteSettings()
    client: ClientSettings = ClientSettings()
    log: LogSettings = LogSettings()
    registry: RegistrySettings = RegistrySettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what is handed in: ``load`` has read and checked the layers one by one."""
        return (init_settings,)
