"""Jobs, attempts and plans."""

from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from suanwang.db.tables.metadata import metadata
from suanwang.db.types import Int64, Json, UtcDateTime

job_batch: Final = Table(
    "job_batch",
    metadata,
    Column("id", Text, primary_key=True, comment="id of the batch"),
    Column("tenant_id", Text, ForeignKey("tenant.id"), nullable=False, comment="who sent it"),
    Column("request_key", Text, nullable=False, comment="key of the request; a repeat is the same"),
    Column("digest", Text, nullable=False, comment="SHA-256 of what was asked for, hex"),
    Column("jobs", Integer, nullable=False, comment="jobs in it"),
    Column("submitted_at", UtcDateTime, nullable=False, comment="when it came in, UTC"),
    UniqueConstraint("tenant_id", "request_key"),
    comment="Jobs that came in together, in one request: all of them or none.",
)

job: Final = Table(
    "job",
    metadata,
    Column("id", Text, primary_key=True, comment="id of the job"),
    Column("submission_id", Text, nullable=False, unique=True, comment="id that the user sees"),
    Column("tenant_id", Text, ForeignKey("tenant.id"), nullable=False, comment="who pays"),
    Column("state", Text, nullable=False, comment="queued, placed, running, stopping, …"),
    Column("entrypoint", Text, nullable=False, comment="shell command"),
    Column("runtime_env", Json, nullable=False, comment="Ray runtime environment"),
    Column("metadata", Json, nullable=False, comment="the user's metadata, text to text"),
    Column("wishes", Json, nullable=False, comment="what placement must respect"),
    Column("entrypoint_num_cpus", Float, comment="cores reserved for the driver"),
    Column("entrypoint_num_gpus", Float, comment="GPUs reserved for the driver"),
    Column("entrypoint_memory", Int64, comment="memory reserved for the driver, bytes"),
    Column("entrypoint_resources", Json, nullable=False, comment="further resources"),
    Column("attempts", Integer, nullable=False, comment="attempts begun"),
    Column("site_id", Text, ForeignKey("site.id"), comment="where it is or was"),
    Column("pool_id", Text, ForeignKey("pool.id"), comment="in which pool"),
    Column("stop_requested", Boolean, nullable=False, comment="the user wants it to end"),
    Column("reason", Text, comment="reason code of its state"),
    Column("message", Text, nullable=False, comment="the reason in words"),
    Column("submitted_at", UtcDateTime, nullable=False, comment="when it came in, UTC"),
    Column("started_at", UtcDateTime, comment="first execution, UTC"),
    Column("ended_at", UtcDateTime, comment="end, UTC"),
    Column("exit_code", Integer, comment="exit code of the entrypoint"),
    Column("version", Int64, nullable=False, comment="counts changes"),
    Column("batch_id", Text, ForeignKey("job_batch.id"), comment="batch it came in with"),
    Column("move_to", Text, ForeignKey("pool.id"), comment="pool that it moves to, while it does"),
    Column("moves", Integer, nullable=False, comment="moves begun"),
    Column("left_units", Integer, comment="after a move: units that it goes on with"),
    Column("left_run_s", Integer, comment="after a move: longest run that is left, s"),
    comment="Jobs as users submitted them.",
)
Index("ix_job_state_submitted_at", job.c.state, job.c.submitted_at)
Index("ix_job_batch_id", job.c.batch_id)
Index("ix_job_tenant_id_submitted_at", job.c.tenant_id, job.c.submitted_at)
Index(
    "ix_job_move_to",
    job.c.move_to,
    postgresql_where=job.c.move_to.is_not(None),
    sqlite_where=job.c.move_to.is_not(None),
)

job_event: Final = Table(
    "job_event",
    metadata,
    Column("job_id", Text, ForeignKey("job.id"), primary_key=True, comment="the job"),
    Column("seq", Integer, primary_key=True, comment="counts from 1"),
    Column("at", UtcDateTime, nullable=False, comment="when, UTC"),
    Column("kind", Text, nullable=False, comment="what happened"),
    Column("message", Text, nullable=False, comment="in words"),
    Column("facts", Json, nullable=False, comment="its facts"),
    comment="The story of each job.",
)

attempt: Final = Table(
    "attempt",
    metadata,
    Column("id", Text, primary_key=True, comment="job id and number"),
    Column("job_id", Text, ForeignKey("job.id"), nullable=False, comment="its job"),
    Column("number", Integer, nullable=False, comment="counts from 1"),
    Column("site_id", Text, ForeignKey("site.id"), nullable=False, comment="its site"),
    Column("pool_id", Text, ForeignKey("pool.id"), nullable=False, comment="its pool"),
    Column("units", Integer, nullable=False, comment="units it occupies"),
    Column("state", Text, nullable=False, comment="intent, submitting, starting, running, …"),
    Column("executor_id", Text, nullable=False, comment="id at the executor, derived"),
    Column("hold_id", Text, nullable=False, comment="money set aside for it"),
    Column("price_uyuan_per_unit_hour", Int64, nullable=False, comment="price agreed, micro-yuan"),
    Column("run_s_max", Integer, nullable=False, comment="longest run that is paid for, s"),
    Column("epoch", Int64, nullable=False, comment="writer's epoch that wrote the intent"),
    Column("intent_at", UtcDateTime, nullable=False, comment="when it was decided, UTC"),
    Column(
        "lease_expires_at", UtcDateTime, nullable=False, comment="not allowed to run beyond, UTC"
    ),
    Column("submitted_at", UtcDateTime, comment="accepted by the executor, UTC"),
    Column("started_at", UtcDateTime, comment="start of execution, UTC"),
    Column("ended_at", UtcDateTime, comment="end of execution, UTC"),
    Column("last_seen_at", UtcDateTime, comment="last report of the agent, UTC"),
    Column("exit_code", Integer, comment="exit code"),
    Column("failure", Text, comment="user or infrastructure"),
    Column("message", Text, nullable=False, comment="in words"),
    Column("stop_requested", Boolean, nullable=False, comment="a stop was sent"),
    Column("report_seq", Int64, nullable=False, comment="last report taken in"),
    Column("stop_grace_s", Integer, nullable=False, comment="grace of a stop, s; paid for too"),
    Column("extensions", Integer, nullable=False, comment="extensions granted"),
    Column("unconfirmed_s", Integer, nullable=False, comment="granted, not known to the agent, s"),
    Column("auto_extended_s", Integer, nullable=False, comment="granted without a person, s"),
    Column("warned_s", Integer, nullable=False, comment="run_s_max whose end was announced, s"),
    UniqueConstraint("job_id", "number"),
    comment="Runs of jobs; at most one of a job is not proven dead.",
)
Index("ix_attempt_site_id_state", attempt.c.site_id, attempt.c.state)

extension: Final = Table(
    "extension",
    metadata,
    Column("attempt_id", Text, ForeignKey("attempt.id"), primary_key=True, comment="the attempt"),
    Column("number", Integer, primary_key=True, comment="counts from 1"),
    Column("job_id", Text, ForeignKey("job.id"), nullable=False, comment="its job"),
    Column("at", UtcDateTime, nullable=False, comment="when it was granted, UTC"),
    Column("by_s", Integer, nullable=False, comment="time that was added, s"),
    Column("run_s_max", Integer, nullable=False, comment="longest run after it, s"),
    Column("lease_expires_at", UtcDateTime, nullable=False, comment="lease after it, UTC"),
    Column("amount_fen", Int64, nullable=False, comment="added to the hold, fen"),
    Column("is_automatic", Boolean, nullable=False, comment="the job's wish, not a person's act"),
    Column("asked_by", Text, nullable=False, comment="id of the key that asked; empty: the wish"),
    Column("request_key", Text, nullable=False, comment="key of the request; a repeat is the same"),
    Column("confirmed_at", UtcDateTime, comment="when the agent had it on disk, UTC"),
    UniqueConstraint("job_id", "request_key"),
    comment="Time that was added to attempts while they lived, and who asked for it.",
)

usage_interval: Final = Table(
    "usage_interval",
    metadata,
    Column("attempt_id", Text, ForeignKey("attempt.id"), primary_key=True, comment="the attempt"),
    Column("resource", Text, primary_key=True, comment="accelerator, or cpu"),
    Column("seq", Integer, primary_key=True, comment="counts from 1"),
    Column("quantity", Integer, nullable=False, comment="units"),
    Column("started_at", UtcDateTime, nullable=False, comment="start, UTC"),
    Column("ended_at", UtcDateTime, nullable=False, comment="end, UTC"),
    Column("source", Text, nullable=False, comment="supervisor, poll or lease"),
    comment="What each attempt used, and when.",
)

attempt_log: Final = Table(
    "attempt_log",
    metadata,
    Column("attempt_id", Text, ForeignKey("attempt.id"), primary_key=True, comment="the attempt"),
    Column("offset", Int64, primary_key=True, comment="first character of the piece"),
    Column("text", Text, nullable=False, comment="output of the entrypoint"),
    comment="Output of attempts in pieces, as the agents sent it.",
)

package: Final = Table(
    "package",
    metadata,
    Column("tenant_id", Text, ForeignKey("tenant.id"), primary_key=True, comment="who sent it"),
    Column("name", Text, primary_key=True, comment="name that the client gave it"),
    Column("sha256", Text, nullable=False, comment="digest of the bytes"),
    Column("content", LargeBinary, nullable=False, comment="the archive"),
    Column("created_at", UtcDateTime, nullable=False, comment="when it came, UTC"),
    comment="Working directories and modules that jobs need.",
)

agent_command: Final = Table(
    "agent_command",
    metadata,
    Column("id", Text, primary_key=True, comment="id of the order"),
    Column("site_id", Text, ForeignKey("site.id"), nullable=False, comment="who must carry it out"),
    Column("attempt_id", Text, ForeignKey("attempt.id"), nullable=False, comment="which attempt"),
    Column("kind", Text, nullable=False, comment="start, stop, fence, extend or note"),
    Column("number", Integer, nullable=False, comment="which of its kind; 0 where there is one"),
    Column("message", Text, nullable=False, comment="words for the job's output, or empty"),
    Column("issued_at", UtcDateTime, nullable=False, comment="when, UTC"),
    Column("is_handed_out", Boolean, nullable=False, comment="whether an agent may know of it"),
    Column("acknowledged_at", UtcDateTime, comment="when the agent had it on disk, UTC"),
    UniqueConstraint("attempt_id", "kind", "number"),
    comment="Orders to agents; handed out again until they are acknowledged.",
)
Index(
    "ix_agent_command_site_id_acknowledged_at",
    agent_command.c.site_id,
    agent_command.c.acknowledged_at,
)

plan_run: Final = Table(
    "plan_run",
    metadata,
    Column("id", Text, primary_key=True, comment="id of the planning run"),
    Column("made_at", UtcDateTime, nullable=False, comment="moment of the snapshot, UTC"),
    Column("epoch", Int64, nullable=False, comment="writer's epoch"),
    Column("planner", Text, nullable=False, comment="optimal, feasible or greedy"),
    Column("solver", Text, nullable=False, comment="solver and its status"),
    Column("objective", Float, nullable=False, comment="yuan"),
    Column("bound", Float, comment="yuan; no plan can cost less"),
    Column("build_s", Float, nullable=False, comment="time to build the model, s"),
    Column("solve_s", Float, nullable=False, comment="time to solve it, s"),
    Column("jobs", Integer, nullable=False, comment="jobs in the queue"),
    Column("starts", Integer, nullable=False, comment="jobs that start now"),
    Column("note", Text, nullable=False, comment="what the planner says about itself"),
    Column("certificate", Json, nullable=False, comment="what the planner proved of the plan"),
    comment="Planning runs.",
)

energy_plan: Final = Table(
    "energy_plan",
    metadata,
    Column("site_id", Text, ForeignKey("site.id"), primary_key=True, comment="the site"),
    Column("made_at", UtcDateTime, nullable=False, comment="moment of its plan's snapshot, UTC"),
    Column("schedule", Json, nullable=False, comment="powers, W, and nodes awake, slot by slot"),
    Column("inputs", Json, nullable=False, comment="what of it was measured, and what was not"),
    comment="The newest energy schedule of each site, which other processes show.",
)

decision: Final = Table(
    "decision",
    metadata,
    Column("job_id", Text, ForeignKey("job.id"), primary_key=True, comment="the job"),
    Column("plan_id", Text, ForeignKey("plan_run.id"), nullable=False, comment="run that decided"),
    Column("decided_at", UtcDateTime, nullable=False, comment="when, UTC"),
    Column("reason", Text, nullable=False, comment="reason code"),
    Column("message", Text, nullable=False, comment="in words"),
    Column("placement", Json, comment="the placement, if there is one"),
    Column("verdicts", Json, nullable=False, comment="every pool with its figures or its reason"),
    comment="The newest decision about each job, for explain.",
)
