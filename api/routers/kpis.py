"""Figures beside PUE, targets, and the certificates that the market book rests on."""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query
from sqlalchemy import Connection

from api.context import ApiContext, Context
from api.identity import Identity, SiteManager, SiteReader
from api.ownership import may_manage, own_site
from api.schemas.common import PAGE_MAX
from api.schemas.kpis import (
    CancellationIn,
    CertificateList,
    CertificatesIn,
    EnteredOut,
    KpiDayList,
    KpiList,
    KpiOut,
    NetworkKpis,
    PueChangeOut,
    certificate_out,
    kpi_out,
    standing_out,
)
from collectors import store_forecast, store_green, store_kpi_days, store_kpis
from collectors.kpis.figure import FORMULAS, Known, Kpi
from collectors.kpis.network import SiteResult, network_figures, standings
from collectors.kpis.tables import load_tables
from collectors.store_green import Consumption
from suanwang.energy.compute import Precision
from suanwang.errors import BadInput, Forbidden
from suanwang.ids import SiteId
from suanwang.model.meter import PueCategory
from suanwang.model.tenant import Role
from suanwang.periods import EXAMPLES, Period, parse_period

router = APIRouter(prefix="/v1", tags=["kpis"])

Hours = Annotated[int, Query(ge=1, le=366 * 24, description="hours back from now")]
PeriodText = Annotated[
    str | None,
    Query(max_length=100, description=f"in the site's time zone, instead of hours: {EXAMPLES}"),
]
Category = Annotated[
    PueCategory | None, Query(description="where IT is measured; else what the site declares")
]
AtPrecision = Annotated[Precision, Query(description="precision of the intelligent share")]


def _asked(
    connection: Connection, context: ApiContext, site_id: str, text: str | None, hours: int
) -> store_kpis.Asked:
    now = context.clock.now()
    facts = store_kpis.site_facts(connection, site_id)
    period = Period(now - timedelta(hours=hours), now)
    if text is not None:
        period = parse_period(text, ZoneInfo(facts.timezone), now)
    return store_kpis.Asked(
        facts=facts,
        start=period.start,
        end=period.end,
        now=now,
        tables=load_tables(),
        catalogue=context.catalogue,
    )


@router.get("/sites/{site_id}/kpis", summary="Figures of a site")
def read_site_kpis(
    site_id: str,
    identity: SiteReader,
    context: Context,
    hours: Hours = 24,
    period: PeriodText = None,
    precision: AtPrecision = store_kpis.SHARE_PRECISION,
) -> KpiList:
    """Return every figure of a site over a period, each with its value or why it has none."""
    with context.reading() as connection:
        asked = _asked(connection, context, site_id, period, hours)
        figures = store_kpis.site_figures(connection, asked, precision)
    return KpiList(site_id=site_id, items=[kpi_out(figure) for figure in figures])


@router.get("/sites/{site_id}/kpis/days", summary="Daily figures of a site")
def read_kpi_days(
    site_id: str,
    identity: SiteReader,
    context: Context,
    kpi: Annotated[Kpi, Query(description="wue, cue_location, cue_market, ref, erf or ere")],
    period: PeriodText = "last-30d",
) -> KpiDayList:
    """Return the days' figures as they are in the record, by their newest revisions."""
    if kpi not in store_kpi_days.RULES:
        names = ", ".join(store_kpi_days.RULES)
        raise BadInput(f"{kpi} is not kept by day", next_step=f"ask for one of {names}")
    with context.reading() as connection:
        asked = _asked(connection, context, site_id, period, 1)
        items = store_kpi_days.days(connection, site_id, kpi, asked.start, asked.end)
    return KpiDayList(site_id=site_id, unit=FORMULAS[kpi].unit, items=items)


@router.get("/sites/{site_id}/kpis/forecast", summary="PUE of the year")
def read_forecast(
    site_id: str, identity: SiteReader, context: Context, category: Category = None
) -> KpiOut:
    """Return the PUE that the calendar year will end with, its band, and how that was checked."""
    with context.reading() as connection:
        asked = _asked(connection, context, site_id, None, 1)
        return kpi_out(store_forecast.year_forecast(connection, asked, category))


@router.get("/sites/{site_id}/kpis/pue-change", summary="Why PUE changed")
def read_pue_change(
    site_id: str,
    identity: SiteReader,
    context: Context,
    hours: Hours = 24,
    period: PeriodText = None,
) -> PueChangeOut:
    """Return why the PUE of a period differs from that of as long a time before it."""
    with context.reading() as connection:
        asked = _asked(connection, context, site_id, period, hours)
        change = store_forecast.pue_change(connection, asked)
    return PueChangeOut(**asdict(change), is_misleading=change.is_misleading)


@router.get("/kpis", summary="Figures of the network")
def read_network_kpis(identity: SiteReader, context: Context, hours: Hours = 24) -> NetworkKpis:
    """Return the figures of all sites and of the network, and how they stand to the targets."""
    now = context.clock.now()
    tables = load_tables()
    with context.reading() as connection:
        results = [
            _result(connection, _asked(connection, context, name, None, hours))
            for name in store_kpis.site_ids(connection)
        ]
    known = Known(start=now - timedelta(hours=hours), end=now)
    network = network_figures(known, results, tables)
    limits = context.catalogue.pue_limits
    return NetworkKpis(
        items=[kpi_out(figure) for figure in network],
        sites=[
            KpiList(site_id=one.site_id, items=[kpi_out(figure) for figure in one.figures])
            for one in results
        ],
        targets=[
            standing_out(one) for one in standings(results, network, tables, limits, now.date())
        ],
    )


def _result(connection: Connection, asked: store_kpis.Asked) -> SiteResult:
    return SiteResult(
        site_id=asked.facts.id,
        figures=store_kpis.site_figures(connection, asked),
        fleets=asked.facts.fleets,
        it_design_w=asked.facts.it_design_w,
        site_class=asked.facts.site_class,
        pue_limit=asked.facts.pue_limit,
    )


@router.post("/energy-certificates", summary="Register green certificates", status_code=201)
def register_certificates(
    body: CertificatesIn, identity: SiteManager, context: Context
) -> EnteredOut:
    """Write certificates down by their numbers; the same again changes nothing."""
    owner = body.owner or _own_name(identity)
    if not may_manage(identity, owner):
        raise Forbidden(f"you may register certificates of {identity.tenant_id} only")
    now = context.clock.now()
    with context.writing() as connection:
        entered = store_green.register(
            connection, body.to_instruments(owner), actor=identity.key_id, now=now
        )
    return EnteredOut(**asdict(entered))


def _own_name(identity: Identity) -> str:
    if identity.role is Role.ADMIN:
        raise BadInput("whose certificates?", next_step="name the operator as owner")
    return identity.tenant_id


@router.get("/energy-certificates", summary="List green certificates")
def list_certificates(
    identity: SiteManager,
    context: Context,
    after: Annotated[str, Query(max_length=100)] = "",
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
) -> CertificateList:
    """Return an operator's certificates, and for what each was cancelled; the admin's: all."""
    owner = None if identity.role is Role.ADMIN else identity.tenant_id
    with context.reading() as connection:
        found = store_green.held(connection, owner, after=after, limit=limit)
    return CertificateList(items=[certificate_out(one) for one in found])


@router.post("/sites/{site_id}/energy-certificates", summary="Cancel certificates for a site")
def cancel_certificates(
    site_id: str, body: CancellationIn, identity: SiteManager, context: Context
) -> EnteredOut:
    """Use certificates for a site's consumption, all or none, once and for ever."""
    now: datetime = context.clock.now()
    consumption = Consumption(
        site_id=SiteId(site_id), from_at=body.from_at, until_at=body.until_at, reason=body.reason
    )
    with context.writing() as connection:
        own_site(connection, identity, site_id)
        entered = store_green.cancel(
            connection,
            list(dict.fromkeys(body.ids)),
            consumption,
            actor=identity.key_id,
            now=now,
        )
    return EnteredOut(**asdict(entered))
