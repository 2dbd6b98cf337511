"""Every table of the product. Each column's ``comment`` is its line in the data dictionary."""

from suanwang.db.tables.identity import api_key, tenant
from suanwang.db.tables.jobs import (
    agent_command,
    attempt,
    attempt_log,
    decision,
    job,
    job_event,
    leader_lease,
    package,
    plan_run,
    usage_interval,
)
from suanwang.db.tables.ledger import account, hold, hold_slice, journal, ledger_head, lot, posting
from suanwang.db.tables.metadata import metadata
from suanwang.db.tables.registry import link, meter, pool, rack, site
from suanwang.db.tables.telemetry import (
    energy_window,
    meter_state,
    sample,
    series,
    source_state,
    telemetry_batch,
)

__all__ = [
    "account",
    "agent_command",
    "api_key",
    "attempt",
    "attempt_log",
    "decision",
    "energy_window",
    "hold",
    "hold_slice",
    "job",
    "job_event",
    "journal",
    "leader_lease",
    "ledger_head",
    "link",
    "lot",
    "metadata",
    "meter",
    "meter_state",
    "package",
    "plan_run",
    "pool",
    "posting",
    "rack",
    "sample",
    "series",
    "site",
    "source_state",
    "telemetry_batch",
    "tenant",
    "usage_interval",
]
