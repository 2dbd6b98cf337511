"""What the centre knows, as numbers for Prometheus: read from the database by any replica.

Each name and each label has a line in docs/scheduling.md.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from sqlalchemy import Connection

from collectors import store as telemetry
from collectors import store_inventory, store_kpi_days, store_kpis
from collectors.kpis.compute import compute, intelligent_share
from collectors.kpis.figure import Known
from collectors.kpis.tables import load_tables
from scheduler import store_metrics
from scheduler.snapshot import take_snapshot
from suanwang.energy.compute import Precision
from suanwang.model.job import JobState
from suanwang.model.network import Fact, SiteState
from voucher import store as money_store

Kind = Literal["gauge", "counter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One sample: a name with its unit, a line of help, and labels."""

    name: str
    help: str
    type: Kind
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


HELP: Final[Mapping[str, tuple[Kind, str]]] = {
    "suanwang_jobs": ("gauge", "jobs by state"),
    "suanwang_site_jobs": ("gauge", "jobs that are or were at a site, by state"),
    "suanwang_attempts": ("gauge", "attempts by site and state"),
    "suanwang_orders_open": ("gauge", "orders that a site has not acknowledged"),
    "suanwang_extensions": ("gauge", "extensions of attempts by site, and who asked"),
    "suanwang_extensions_unconfirmed": (
        "gauge",
        "live attempts whose site does not know yet of time that was granted",
    ),
    "suanwang_pool_units": ("gauge", "units of a pool that are not drained"),
    "suanwang_pool_units_free": ("gauge", "units of a pool that no attempt occupies"),
    "suanwang_site_reachable": ("gauge", "1 while the site's agent and executor answer"),
    "suanwang_site_open": ("gauge", "1 while the operator takes new jobs"),
    "suanwang_site_agent_age_seconds": ("gauge", "seconds since the agent's last call"),
    "suanwang_site_power_watts": ("gauge", "newest power of IT and of the whole facility"),
    "suanwang_site_power_age_seconds": ("gauge", "seconds since that power was measured"),
    "suanwang_site_pue": ("gauge", "interim PUE of the last day, from energy registers"),
    "suanwang_site_kpi": ("gauge", "newest daily figure of a site, in the unit of docs/kpis.md"),
    "suanwang_site_kpi_age_seconds": ("gauge", "seconds since the end of that day"),
    "suanwang_site_kpi_coverage": ("gauge", "share of that day that all its meters know"),
    "suanwang_inventory_things": ("gauge", "rooms, feeds, racks, meters, hosts, accelerators"),
    "suanwang_racks": ("gauge", "racks of a site by delivery: planned, delivered, in_use"),
    "suanwang_racks_rated_watts": ("gauge", "rated power of the racks of a site by delivery, W"),
    "suanwang_network_compute_flops": ("gauge", "dense performance of all sites by precision"),
    "suanwang_network_intelligent_share": ("gauge", "intelligent over all compute by precision"),
    "suanwang_source_up": ("gauge", "1 where the last poll of a telemetry source succeeded"),
    "suanwang_source_age_seconds": ("gauge", "seconds since a source was last polled"),
    "suanwang_voucher_lots": ("gauge", "voucher lots of a tenant"),
    "suanwang_voucher_fen": ("gauge", "money in vouchers by tenant and part, fen"),
    "suanwang_cash_fen": ("gauge", "free cash by tenant, fen"),
    "suanwang_ledger_entries": ("gauge", "entries of the ledger"),
    "suanwang_plan_seconds": ("gauge", "time of the newest planning run by part"),
    "suanwang_plan_jobs": ("gauge", "jobs in the newest planning run"),
}
"""Every metric: its type and its help."""


def metrics(connection: Connection, now: datetime) -> tuple[Metric, ...]:
    """Return every metric of the scheduler at ``now``."""
    return (
        *_jobs(connection),
        *_sites(connection, now),
        *_kpis(connection, now),
        *_inventory(connection),
        *_money(connection, now),
        *_plans(connection),
    )


def _metric(name: str, value: float, **labels: str) -> Metric:
    kind, words = HELP[name]
    return Metric(name=name, help=words, type=kind, value=value, labels=labels)


def _jobs(connection: Connection) -> Iterator[Metric]:
    counts = store_metrics.jobs_by_state(connection)
    for state in JobState:
        yield _metric("suanwang_jobs", counts.get(state.value, 0), state=state.value)
    for (site, word), count in sorted(store_metrics.jobs_by_site(connection).items()):
        yield _metric("suanwang_site_jobs", count, site=site, state=word)
    for (site, word), count in sorted(store_metrics.attempts_by_state(connection).items()):
        yield _metric("suanwang_attempts", count, site=site, state=word)
    for site, count in sorted(store_metrics.open_orders_by_site(connection).items()):
        yield _metric("suanwang_orders_open", count, site=site)
    for (site, by), count in sorted(store_metrics.extensions_by_site(connection).items()):
        yield _metric("suanwang_extensions", count, site=site, by=by)
    for site, count in sorted(store_metrics.unconfirmed_by_site(connection).items()):
        yield _metric("suanwang_extensions_unconfirmed", count, site=site)


def _sites(connection: Connection, now: datetime) -> Iterator[Metric]:
    for state in take_snapshot(connection, now).sites:
        yield from _site(state, now)
        site = state.site.id
        for source in telemetry.source_states(connection, site):
            age_s = max(0.0, (now - source.polled_at).total_seconds())
            yield _metric(
                "suanwang_source_up", float(source.is_up), site=site, source=source.source
            )
            yield _metric("suanwang_source_age_seconds", age_s, site=site, source=source.source)


def _inventory(connection: Connection) -> Iterator[Metric]:
    for (site, kind), count in sorted(store_inventory.counts_by_site(connection).items()):
        yield _metric("suanwang_inventory_things", count, site=site, kind=kind)
    for one in store_inventory.racks_by_delivery(connection):
        labels = {"site": one.site_id, "delivery": one.delivery}
        yield _metric("suanwang_racks", one.racks, **labels)
        yield _metric("suanwang_racks_rated_watts", one.rated_w, **labels)


def _kpis(connection: Connection, now: datetime) -> Iterator[Metric]:
    for site, day in store_kpi_days.newest(connection):
        if day.value is None:
            continue
        labels = {"site": site, "kpi": day.kpi.value}
        yield _metric("suanwang_site_kpi", day.value, **labels)
        age_s = (now - day.end).total_seconds()
        yield _metric("suanwang_site_kpi_age_seconds", age_s, **labels)
        length_ms = (day.end - day.start).total_seconds() * 1000
        yield _metric("suanwang_site_kpi_coverage", day.common_ms / length_ms, **labels)
    fleets, matrix = store_kpis.fleets(connection), load_tables().compute
    known = Known(start=now, end=now)
    for precision in Precision:
        total = compute(known, fleets, matrix, precision).value
        share = intelligent_share(known, fleets, matrix, precision).value
        if total is not None and share is not None:
            name = precision.value
            yield _metric("suanwang_network_compute_flops", total, precision=name)
            yield _metric("suanwang_network_intelligent_share", share, precision=name)


def _site(state: SiteState, now: datetime) -> Iterator[Metric]:
    site = state.site.id
    yield _metric("suanwang_site_reachable", float(state.is_reachable), site=site)
    yield _metric("suanwang_site_open", float(state.is_open), site=site)
    if state.agent_seen_at is not None:
        age_s = max(0.0, (now - state.agent_seen_at).total_seconds())
        yield _metric("suanwang_site_agent_age_seconds", age_s, site=site)
    if state.pue.at is not None:
        yield _metric("suanwang_site_pue", state.pue.value, site=site)
    yield from _power(state.it_power_w, now, site, "it")
    yield from _power(state.facility_power_w, now, site, "facility")
    for pool_state in state.pools:
        pool = pool_state.pool
        labels = {"site": site, "pool": pool.id, "accelerator": pool.accelerator}
        yield _metric("suanwang_pool_units", pool.units_usable, **labels)
        yield _metric("suanwang_pool_units_free", pool_state.units_free, **labels)


def _power(power_w: Fact, now: datetime, site: str, part: str) -> Iterator[Metric]:
    if power_w.at is not None:
        age_s = max(0.0, (now - power_w.at).total_seconds())
        yield _metric("suanwang_site_power_watts", power_w.value, site=site, part=part)
        yield _metric("suanwang_site_power_age_seconds", age_s, site=site, part=part)


def _money(connection: Connection, now: datetime) -> Iterator[Metric]:
    counts: Counter[str] = Counter()
    sums: Counter[tuple[str, str]] = Counter()
    for lot in money_store.lots(connection, now=now):
        counts[lot.tenant_id] += 1
        sums[lot.tenant_id, "available"] += lot.available_fen
        sums[lot.tenant_id, "held"] += lot.held_fen
        sums[lot.tenant_id, "spent"] += lot.spent_fen
        sums[lot.tenant_id, "expired"] += lot.expired_fen
    for tenant, count in sorted(counts.items()):
        yield _metric("suanwang_voucher_lots", count, tenant=tenant)
    for (tenant, part), amount in sorted(sums.items()):
        yield _metric("suanwang_voucher_fen", amount, tenant=tenant, part=part)
    for tenant, amount in sorted(money_store.cash_by_tenant(connection).items()):
        yield _metric("suanwang_cash_fen", amount, tenant=tenant)
    yield _metric("suanwang_ledger_entries", store_metrics.ledger_entries(connection))


def _plans(connection: Connection) -> Iterator[Metric]:
    newest = store_metrics.newest_run(connection)
    if newest is not None:
        build_s, solve_s, jobs = newest
        yield _metric("suanwang_plan_seconds", build_s, part="build")
        yield _metric("suanwang_plan_seconds", solve_s, part="solve")
        yield _metric("suanwang_plan_jobs", jobs)
