"""Gathers what a usage certificate says: the job, its meters, its site, its entries, its flags.

Measured numbers come as floats from the telemetry; here they become whole numbers, rounded once.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from api.context import ApiContext
from api.identity import PLATFORM
from api.routers.grants_front import rules_of
from collectors import store as telemetry
from scheduler import registry, service, store_registry, store_usage
from scheduler import store as job_store
from suanwang.errors import Conflict, NotFound, Refused
from suanwang.ids import JobId, SiteId, TenantId
from suanwang.model.attempt import Attempt
from suanwang.model.job import Job
from suanwang.model.meter import MeterRole
from suanwang.model.reading import Quality
from suanwang.model.site import Site
from suanwang.model.usage import UsageInterval
from voucher import store_anchors, store_evidence, store_load, store_papers, store_reports
from voucher.flagging import Flag, FlagCode
from voucher.grants import store as grant_store
from voucher.grants.duplicates import related_flag
from voucher.grants.screening import signed
from voucher.metering import covered_unit_ms
from voucher.programmes.application import china_day
from voucher.registry import store as registry_store
from voucher.registry.graph import Network, Relations
from voucher.registry.rules import Rules, limits
from voucher.reports import flags
from voucher.reports.evidence import (
    AttemptUse,
    Certificate,
    Energy,
    JobUse,
    Pue,
    References,
    SiteUse,
    Usage,
)
from voucher.reports.evidence_index import JOBS_MAX, Index
from voucher.reports.flags import BilledRun, InvoiceUse, Metered
from voucher.reports.funders import paid_by_lot
from voucher.reports.lines import movement
from voucher.reports.proof import ChainProof
from voucher.reports.report import Party, Period

_MWH_PER_WH = 1_000
_PPM = 1_000_000
_PUE_E4 = 10_000
_MS_PER_HOUR = 3_600_000
_PUE_OVER = timedelta(days=1)
_PATTERN_OVER = timedelta(days=30)
_LOADS_MAX = 100
"""Newest runs at night whose load is read."""


def certificate(
    connection: Connection, context: ApiContext, job: Job, references: References
) -> Certificate:
    """Return the certificate of a job that has ended; raise Conflict before its end."""
    found = _unproved(connection, context, job, references)
    night = _night_flags(connection, found.enterprise.id, found.issued_at)
    proof = store_anchors.prove(connection, [proved.entry.seq for proved in found.entries])
    return replace(found, flags=(*found.flags, *night), proof=proof)


def period_index(
    connection: Connection,
    context: ApiContext,
    tenant_id: TenantId,
    period: Period,
    application: str = "",
) -> Index:
    """Return the certificates of all jobs that an enterprise paid in a period, under one proof.

    With ``application`` only those that its award paid. Raises NotFound where there is none,
    Refused where there are more than one pack holds, Conflict where one has not ended.
    """
    lots: tuple[str, ...] = ()
    if application:
        record = grant_store.find(connection, application)
        if record.case.tenant_id != tenant_id:
            raise NotFound(f"there is no application {application}")
        lots = record.lots
    span = (period.start, period.end)
    names = store_evidence.jobs_paid_in(connection, tenant_id, span, lots)
    if not names or (application and not lots):
        raise NotFound(f"{tenant_id} paid for no job from {period.first} to {period.last}")
    if len(names) > JOBS_MAX:
        raise Refused(
            f"{len(names)} jobs were paid from {period.first} to {period.last}, "
            f"one pack holds {JOBS_MAX}",
            next_step="ask for shorter periods",
        )
    jobs = [job_store.job_by_id(connection, JobId(name)) for name in names]
    found = [_unproved(connection, context, job, References()) for job in jobs]
    seqs = [proved.entry.seq for one in found for proved in one.entries]
    proof = store_anchors.prove(connection, seqs)
    now = context.clock.now()
    return Index(
        id=context.ids.new("evi"),
        issued_at=now,
        issuer=_party(connection, PLATFORM.id),
        enterprise=store_reports.party(connection, tenant_id),
        period=period,
        certificates=tuple(replace(one, proof=proof) for one in found),
        flags=_night_flags(connection, tenant_id, now),
        application=application,
        lots=lots,
    )


def _unproved(
    connection: Connection, context: ApiContext, job: Job, references: References
) -> Certificate:
    """Return a certificate without the proof of its entries, which many may share."""
    if not job.state.is_final:
        raise Conflict(
            f"job {job.submission_id} is {job.state.value}; a certificate is of a job that ended",
            next_step="wait for its end, or stop it",
        )
    attempts = service.attempts_of(connection, job.id)
    uses = tuple(_attempt(connection, attempt) for attempt in attempts)
    entries = store_evidence.entries_of_holds(
        connection, job.tenant_id, [attempt.hold_id for attempt in attempts]
    )
    lots = paid_by_lot(posting for proved in entries for posting in proved.entry.postings)
    customer = store_reports.party(connection, job.tenant_id)
    now = context.clock.now()
    codes = {use.site.operator.uscc for use in uses} - {""}
    found = Certificate(
        id=context.ids.new("cert"),
        issued_at=now,
        issuer=_party(connection, PLATFORM.id),
        enterprise=customer,
        job=JobUse(
            id=job.id,
            submission_id=job.submission_id,
            state=job.state.value,
            submitted_at=job.submitted_at,
            attempts=uses,
        ),
        references=store_papers.with_registered(
            connection, references, (customer.uscc, sorted(codes)), china_day(now)
        ),
        policies=tuple(store_evidence.policies_of(connection, job.tenant_id, lots)),
        awards=store_papers.awards_of(connection, job.tenant_id, lots),
        entries=entries,
        flags=(),
        proof=ChainProof.of_links(()),
    )
    rules = rules_of(context.settings)
    return replace(found, flags=_flags(connection, found, attempts, rules))


def _attempt(connection: Connection, attempt: Attempt) -> AttemptUse:
    intervals = [
        one
        for one in store_usage.intervals_of_job(connection, attempt.job_id)
        if one.attempt_id == attempt.id
    ]
    pool = store_registry.pool_by_id(connection, attempt.pool_id)
    site = registry.find_site(connection, attempt.site_id).site
    start, end = _window(attempt, intervals)
    unit_ms = covered_unit_ms(intervals)
    power_w = pool.power_w_busy if pool else 0.0
    accelerator = pool.accelerator if pool else ""
    return AttemptUse(
        id=attempt.id,
        number=attempt.number,
        state=attempt.state.value,
        pool_id=attempt.pool_id,
        accelerator=accelerator,
        is_domestic=pool.is_domestic if pool else False,
        units=attempt.units,
        price_uyuan_per_unit_hour=attempt.price_uyuan_per_unit_hour,
        started_at=attempt.started_at,
        ended_at=attempt.ended_at,
        usage=tuple(_usage(one) for one in intervals),
        unit_ms=unit_ms,
        energy=Energy(
            energy_mwh=round(unit_ms * power_w * _MWH_PER_WH / _MS_PER_HOUR),
            method="units x time x power of a busy unit, without the site's cooling",
            quality=(Quality.DERIVED if unit_ms else Quality.MISSING).value,
            coverage_ppm=_PPM if unit_ms else 0,
        ),
        load=store_load.load(connection, site.id, store_load.metric_of(accelerator), start, end),
        site=_site(connection, site, start, end),
    )


def _usage(interval: UsageInterval) -> Usage:
    return Usage(
        started_at=interval.started_at,
        ended_at=interval.ended_at,
        quantity=interval.quantity,
        source=interval.source,
    )


def _window(attempt: Attempt, intervals: Sequence[UsageInterval]) -> tuple[datetime, datetime]:
    """Return when the attempt ran, never an empty time."""
    start = min((one.started_at for one in intervals), default=attempt.intent_at)
    end = max((one.ended_at for one in intervals), default=attempt.ended_at or start)
    return start, max(end, start + timedelta(seconds=1))


def _site(connection: Connection, site: Site, start: datetime, end: datetime) -> SiteUse:
    """Return the site while the attempt ran, with its PUE of the day before the end."""
    counted = telemetry.pue(connection, site.id, end - _PUE_OVER, end, end)
    return SiteUse(
        id=site.id,
        name=site.name,
        region=site.region,
        operator=_party(connection, site.operator),
        pue=Pue(
            pue_e4=None if counted.value is None else round(counted.value * _PUE_E4),
            category=counted.category.value,
            quality=counted.quality.value,
            started_at=counted.start,
            ended_at=counted.end,
            withheld=counted.withheld,
        ),
        it_energy=_metered(connection, site.id, MeterRole.IT, start, end),
        facility_energy=_metered(connection, site.id, MeterRole.FACILITY, start, end),
    )


def _metered(
    connection: Connection, site_id: SiteId, role: MeterRole, start: datetime, end: datetime
) -> Energy:
    figure = telemetry.energy_wh(connection, site_id, role, start, end)
    return Energy(
        energy_mwh=round(figure.wh * _MWH_PER_WH),
        method=f"registers of the site's {role.value} meters while the attempt ran",
        quality=figure.quality.value,
        coverage_ppm=round(figure.coverage * _PPM),
    )


def _party(connection: Connection, tenant_id: str) -> Party:
    try:
        return store_reports.party(connection, tenant_id)
    except NotFound:
        return Party(id=tenant_id, name=tenant_id)


def _flags(
    connection: Connection, found: Certificate, attempts: Iterable[Attempt], rules: Rules
) -> tuple[Flag, ...]:
    invoices = found.references.invoices
    inside = [InvoiceUse(number=one.number, line=one.line, used_for=found.id) for one in invoices]
    numbers = {one.number for one in invoices}
    handed_in = store_papers.invoice_uses(connection, found.enterprise.id, numbers)
    own = {(one.number, one.line, one.payees, one.contract_no) for one in handed_in}
    new = [
        one
        for one in uses_of(found)
        if (one.number, one.line, one.payees, one.contract_no) not in own
    ]
    holds = {str(attempt.id): str(attempt.hold_id) for attempt in attempts}
    runs = [_run(connection, found, use, holds[use.id]) for use in found.job.attempts]
    return (
        *flags.idle_runs(runs),
        *flags.repeated_invoices(inside),
        *flags.shared_invoices([*handed_in, *new]),
        *_party_flags(connection, found, rules),
    )


def uses_of(found: Certificate) -> list[InvoiceUse]:
    """Return for what the invoices of a certificate are handed in."""
    payees = ",".join(sorted({use.site.id for use in found.job.attempts}))
    return [
        InvoiceUse(
            number=one.number,
            line=one.line,
            used_for=found.job.submission_id,
            tenant_id=found.enterprise.id,
            payees=payees,
            contract_no=found.references.contract_no,
        )
        for one in {(one.number, one.line): one for one in found.references.invoices}.values()
    ]


def _party_flags(connection: Connection, found: Certificate, rules: Rules) -> Iterable[Flag]:
    """Yield related parties, and contracts of theirs that a limit does not see together."""
    customer = found.enterprise.uscc or found.enterprise.id
    operators = {use.site.operator.uscc or use.site.operator.id: use.site.operator.name
                 for use in found.job.attempts}  # fmt: skip
    day = china_day(found.issued_at)
    network = registry_store.network(connection, {customer, *operators}, day)
    said = Network(names={customer: found.enterprise.name, **operators})
    relations = Relations(said.joined(network), rules.share_ppm_min)
    for operator in sorted(operators):
        path = relations.path(customer, operator)
        if path is not None:
            yield related_flag(FlagCode.RELATED_PARTY, relations, (customer, operator), path)
    for limit in limits(rules, None):
        group = relations.related_to(customer)
        contracts = registry_store.contracts(connection, "customer", group, day)
        yield from flags.split_contracts(
            [signed(one) for one in contracts],
            limit,
            dict.fromkeys(group, customer),
            own=lambda one: one.customer_id == customer,
        )


def _night_flags(connection: Connection, tenant_id: str, now: datetime) -> tuple[Flag, ...]:
    """Return what the enterprise's paid runs of the last days look like together."""
    paid = store_load.paid_runs(connection, tenant_id, now - _PATTERN_OVER)
    return tuple(
        flag
        for own in flags.at_night_only(paid)
        for flag in flags.night_only(
            [*store_load.with_loads(connection, own[:_LOADS_MAX]), *own[_LOADS_MAX:]]
        )
    )


def _run(connection: Connection, found: Certificate, use: AttemptUse, hold_id: str) -> BilledRun:
    """Return a run beside what was measured."""
    moved = movement(
        posting
        for proved in found.entries
        if json.loads(proved.entry.body).get("hold_id") == hold_id
        for posting in proved.entry.postings
    )
    metered = use.site.it_energy
    start = min((one.started_at for one in use.usage), default=found.issued_at)
    return BilledRun(
        attempt_id=use.id,
        tenant_id=found.enterprise.id,
        started_at=start,
        ended_at=max((one.ended_at for one in use.usage), default=start),
        units=use.units,
        paid_fen=moved.voucher_paid_fen + moved.cash_paid_fen,
        busy_mwh=use.energy.energy_mwh,
        site_it=Metered(
            energy_mwh=metered.energy_mwh,
            coverage_ppm=metered.coverage_ppm,
            quality=metered.quality,
        ),
        load=use.load,
    )
