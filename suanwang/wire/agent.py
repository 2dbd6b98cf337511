"""The agent channel: every call is made by the agent, with its site's token, under ``/agent/v1``.

| call | body | answer |
|---|---|---|
| POST ``/hello`` | ``Hello`` | ``Welcome`` |
| POST ``/telemetry`` | bytes, see ``suanwang.wire.batch`` | ``Receipt`` |
| GET ``/orders?wait_s=20`` | | ``OrderList``: held open until there is an order |
| POST ``/orders/ack`` | ``OrderAcks`` | ``Receipt`` |
| POST ``/reports`` | ``ReportUpload`` | ``Receipt`` |
| POST ``/logs`` | ``LogUpload`` | ``LogReceipt`` |
| GET ``/packages/{sha256}`` | | the bytes |

Every call may be repeated: batches carry ids, reports a sequence, log pieces an offset.
"""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class WireModel(BaseModel):
    """Unknown fields are an error; values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class UseReport(WireModel):
    """What an attempt uses of a node; of no attempt of ours where the id is empty."""

    attempt_id: str = Field(max_length=200)
    cpus: float = Field(ge=0)
    gpus: float = Field(ge=0)


class NodeReport(WireModel):
    """A node of the executor: what it has, and who uses it."""

    name: str = Field(max_length=200)
    address: str = Field(default="", max_length=200)
    kind: str = Field(default="", max_length=200)
    cpus: float = Field(ge=0)
    gpus: float = Field(ge=0)
    used: tuple[UseReport, ...] = Field(default=(), max_length=10_000)


class Hello(WireModel):
    """Who calls, and how its executor does; ``nodes`` is empty where it does not tell of them."""

    agent_version: str = Field(max_length=64)
    clock: AwareDatetime
    executor_state: Literal["up", "degraded", "unreachable"]
    executor_message: str = Field(default="", max_length=2_000)
    executor_session: str = Field(default="", max_length=200)
    running: tuple[str, ...] = Field(default=(), max_length=100_000)
    nodes: tuple[NodeReport, ...] = Field(default=(), max_length=10_000)


class Welcome(WireModel):
    """What the centre knows of the site, and how often it wants to hear from it.

    ``running`` names the attempts that the centre believes alive at this site: the agent reports on
    each, also where it has no record of it.
    """

    site_id: str
    clock: AwareDatetime
    hello_every_s: float
    running: tuple[str, ...]


class Receipt(WireModel):
    """What became of an upload. ``refused`` names what can never be taken, and why."""

    accepted: int
    duplicates: int = 0
    refused: tuple[str, ...] = ()


class StartOrder(WireModel):
    """Run this attempt. ``packages`` maps URIs in ``runtime_env`` to the digests of their bytes."""

    kind: Literal["start"] = "start"
    id: str
    attempt_id: str
    executor_id: str
    submission_id: str
    entrypoint: str
    runtime_env: dict[str, object]
    metadata: dict[str, str]
    units: int
    accelerator: str
    entrypoint_num_cpus: float | None = None
    entrypoint_num_gpus: float | None = None
    entrypoint_memory: int | None = None
    entrypoint_resources: dict[str, float] = Field(default_factory=dict)
    packages: dict[str, str] = Field(default_factory=dict)
    stop_grace_s: int = 3
    run_s_max: int
    lease_expires_at: AwareDatetime


class StopOrder(WireModel):
    """End this attempt, with its grace."""

    kind: Literal["stop"] = "stop"
    id: str
    attempt_id: str
    executor_id: str
    reason: str = ""


class FenceOrder(WireModel):
    """Prove that nothing of this attempt lives: kill what does."""

    kind: Literal["fence"] = "fence"
    id: str
    attempt_id: str
    executor_id: str


class ExtendOrder(WireModel):
    """Let this attempt run longer: its new limits, and a line about it for its output.

    An order that comes after the agent began to stop the attempt changes nothing: the agent names
    it as late when it acknowledges it.
    """

    kind: Literal["extend"] = "extend"
    id: str
    attempt_id: str
    executor_id: str
    run_s_max: int
    lease_expires_at: AwareDatetime
    note: str = Field(default="", max_length=2_000)


class NoteOrder(WireModel):
    """Write a line from the centre into the attempt's output, once."""

    kind: Literal["note"] = "note"
    id: str
    attempt_id: str
    executor_id: str
    note: str = Field(max_length=2_000)


Order = Annotated[
    StartOrder | StopOrder | FenceOrder | ExtendOrder | NoteOrder, Field(discriminator="kind")
]


class OrderList(WireModel):
    """Orders not acknowledged yet, oldest first."""

    orders: tuple[Order, ...]


class OrderAcks(WireModel):
    """Ids of orders that the agent has on disk; ``late`` are those among them without effect.

    An extension is late where its attempt is being stopped already, or is not known here.
    """

    ids: tuple[str, ...] = Field(max_length=10_000)
    late: tuple[str, ...] = Field(default=(), max_length=10_000)


class AttemptReport(WireModel):
    """Where an attempt stands, by its agent. ``seq`` grows with each report of the attempt.

    ``started_at`` and ``ended_at`` bound the execution; ``window_source`` is their source.
    ``unknown`` means the executor does not answer; ``fenced`` that every process is proven dead.
    """

    attempt_id: str = Field(max_length=200)
    seq: int = Field(ge=1)
    at: AwareDatetime
    state: Literal[
        "submitting", "starting", "running", "succeeded", "failed", "stopped", "unknown", "fenced"
    ]
    started_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    window_source: Literal["supervisor", "poll", "lease"] = "poll"
    exit_code: int | None = None
    is_infrastructure: bool = False
    message: str = Field(default="", max_length=4_000)


class ReportUpload(WireModel):
    """Reports in the order in which they were made."""

    reports: tuple[AttemptReport, ...] = Field(max_length=10_000)


class LogUpload(WireModel):
    """A piece of an attempt's output, from character ``offset`` on."""

    attempt_id: str = Field(max_length=200)
    offset: int = Field(ge=0)
    text: str = Field(max_length=1_000_000)


class LogReceipt(WireModel):
    """``next_offset`` is where the centre wants the next piece to begin."""

    next_offset: int
