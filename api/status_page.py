"""The status page: plain HTML from the server, no script, nothing fetched from anywhere.

Everybody sees the network's sums. A tenant's jobs are on a page of their own, for its key.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from sqlalchemy import Connection

from alerts import store as alerts
from alerts.model import AlertState, Severity
from api.store import jobs_by_state, waiting_by_reason
from collectors import store as telemetry
from collectors.remote_write.tally import RemoteState
from collectors.remote_write.writer import RemoteWriter
from scheduler import registry
from scheduler.registry import RegisteredSite
from scheduler.snapshot import take_snapshot
from suanwang.clock import Clock
from suanwang.model.job import Job, JobState
from suanwang.model.network import Fact, SiteState
from suanwang.model.reading import Quality
from voucher import store as voucher_store

FRESH_S: Final = 3.0
"""A page is shown again for this long before it is made anew."""
PROOF_FRESH_S: Final = 60.0
"""The ledger is recounted at most this often for the page."""
CSP: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
NOTHING: Final = "–"

STATE_WORDS: Final[Mapping[str, str]] = {
    "queued": "排队",
    "placed": "已派",
    "running": "运行",
    "stopping": "停止中",
    "succeeded": "成功",
    "failed": "失败",
    "stopped": "已停",
    "info": "提示",
    "warning": "警告",
    "critical": "严重",
}
"""States of jobs and severities, as the pages show them beside the English word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRow:
    """A pool in use."""

    id: str
    accelerator: str
    units: int
    units_used: int
    price: str

    @property
    def used_percent(self) -> int:
        """Share of the units in use."""
        return round(100 * self.units_used / self.units) if self.units else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRow:
    """A site as the page shows it."""

    id: str
    name: str
    region: str
    state: str
    is_well: bool
    agent: str
    pue: str
    pue_note: str
    it_kw: str
    facility_kw: str
    power_note: str
    sources_up: int
    sources_down: tuple[str, ...]
    pools: tuple[PoolRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """Alerts of one rule that fire at a site."""

    site: str
    rule: str
    severity: str
    alerts: int
    age: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything on the public page."""

    at: datetime
    sites: tuple[SiteRow, ...]
    jobs: Mapping[JobState, int]
    waiting: Mapping[str, int]
    alerts: tuple[AlertRow, ...]
    ledger: str
    is_ledger_sound: bool
    remote: str = ""
    is_remote_well: bool = True


class LedgerProof:
    """The ledger's own check, kept for a minute: a page that anyone may call must stay cheap."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: tuple[float, str, bool] | None = None

    def words(self, connection: Connection) -> tuple[str, bool]:
        """Return what the check found, and whether the books are sound."""
        with self._lock:
            now = self._clock.monotonic()
            if self._known is None or now - self._known[0] > PROOF_FRESH_S:
                found = voucher_store.check(connection)
                words = (
                    "账目平衡，链完整 · sums to zero, chain whole"
                    if found.is_sound
                    else "；".join(found.findings[:3])
                )
                self._known = (now, words, found.is_sound)
            return self._known[1], self._known[2]


def age(moment: datetime | None, now: datetime) -> str:
    """Return how long ago a moment was, in words for people."""
    if moment is None:
        return "never"
    seconds = max(0, round((now - moment).total_seconds()))
    for limit, unit_s, unit in ((90, 1, "s"), (5_400, 60, "min"), (129_600, 3_600, "h")):
        if seconds < limit:
            return f"{seconds // unit_s} {unit}"
    return f"{seconds // 86_400} d"


def _figure(fact: Fact, digits: int, scale: float = 1.0) -> str:
    if fact.quality is Quality.MISSING or fact.at is None:
        return NOTHING
    return f"{fact.value / scale:,.{digits}f}"


def _note(fact: Fact, now: datetime) -> str:
    if fact.quality is Quality.MISSING or fact.at is None:
        return "not measured"
    return f"{fact.quality.value}, {age(fact.at, now)} old"


def _site_row(
    connection: Connection, found: RegisteredSite, state: SiteState, now: datetime
) -> SiteRow:
    sources = telemetry.source_states(connection, found.site.id)
    words = "open 开放" if found.is_open else "closed 关闭"
    return SiteRow(
        id=found.site.id,
        name=found.site.name,
        region=found.site.region,
        state=words if state.is_reachable else "unreachable 失联",
        is_well=state.is_reachable and found.is_open,
        agent=age(found.agent_seen_at, now),
        pue=_figure(state.pue, 3),
        pue_note=_note(state.pue, now),
        it_kw=_figure(state.it_power_w, 2, 1_000),
        facility_kw=_figure(state.facility_power_w, 2, 1_000),
        power_note=_note(state.facility_power_w, now),
        sources_up=sum(source.is_up for source in sources),
        sources_down=tuple(source.source for source in sources if not source.is_up),
        pools=tuple(
            PoolRow(
                id=pool.pool.id,
                accelerator=pool.pool.accelerator,
                units=pool.pool.units,
                units_used=max(0, pool.pool.units_usable - pool.units_free),
                price=f"{pool.pool.price_uyuan_per_unit_hour / 1_000_000:.4f}",
            )
            for pool in state.pools
        ),
    )


def _alert_rows(connection: Connection, now: datetime) -> tuple[AlertRow, ...]:
    """Return what fires, the worst first; subjects are for those who hold a key."""
    firing = [one for one in alerts.counts(connection) if one.state == AlertState.FIRING.value]
    order = [severity.value for severity in Severity]
    return tuple(
        AlertRow(
            site=one.site_id or "network",
            rule=one.rule_id,
            severity=one.severity,
            alerts=one.alerts,
            age=age(one.bad_at, now),
        )
        for one in sorted(firing, key=lambda one: (order.index(one.severity), one.bad_at))
    )


def remote_words(state: RemoteState, now: datetime) -> str:
    """Return how the copy for a time series database does; never its address or its words."""
    if state.down_since is None:
        answers = "应答 answers"
    else:
        answers = f"无应答 silent for {age(state.down_since, now)}"
    dropped = sum(state.dropped.values())
    if state.is_behind:
        answers += f" · 补传 {state.behind_s / 3_600:,.1f} h behind"
    return f"{answers} · {state.sent:,} sent · {state.queued:,} wait · {dropped:,} dropped"


def read_overview(
    connection: Connection, now: datetime, proof: LedgerProof, remote: RemoteState | None = None
) -> Overview:
    """Return what the public page shows: sums only, no tenant and no job."""
    states = {state.site.id: state for state in take_snapshot(connection, now).sites}
    words, is_sound = proof.words(connection)
    return Overview(
        at=now,
        sites=tuple(
            _site_row(connection, found, states[found.site.id], now)
            for found in registry.sites(connection)
        ),
        jobs=jobs_by_state(connection),
        waiting=waiting_by_reason(connection),
        alerts=_alert_rows(connection, now),
        ledger=words,
        is_ledger_sound=is_sound,
        remote="" if remote is None else remote_words(remote, now),
        is_remote_well=remote is None or remote.down_since is None,
    )


class StatusPages:
    """Renders the pages; the public one is kept for a few seconds."""

    def __init__(self, clock: Clock, remote: RemoteWriter | None = None) -> None:
        self._clock = clock
        self._remote = remote
        self._proof = LedgerProof(clock)
        self._lock = threading.Lock()
        self._kept: tuple[float, str] | None = None
        self._templates = Environment(
            loader=PackageLoader("api", "templates"), autoescape=True, undefined=StrictUndefined
        )
        self._templates.globals["chinese"] = STATE_WORDS

    def public(self, connection: Connection, now: datetime) -> str:
        """Return the public page."""
        with self._lock:
            moment = self._clock.monotonic()
            if self._kept is None or moment - self._kept[0] > FRESH_S:
                remote = None if self._remote is None else self._remote.state
                overview = read_overview(connection, now, self._proof, remote)
                page = self._templates.get_template("status.html").render(overview=overview)
                self._kept = (moment, page)
            return self._kept[1]

    def jobs(self, jobs: tuple[Job, ...], whose: str, now: datetime) -> str:
        """Return the page of a caller's newest jobs."""
        return self._templates.get_template("status_jobs.html").render(
            jobs=jobs, whose=whose, at=now
        )
