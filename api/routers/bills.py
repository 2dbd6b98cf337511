"""Electricity bills of sites, out of the record: any past day or month, under any tariff."""

from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response
from sqlalchemy import Connection

from api.bill_table import bill_rows
from api.context import ApiContext, Context
from api.identity import SiteManager
from api.ownership import own_site
from api.schemas.bills import BillOut, ReplayIn, bill_out
from collectors.store_bill import GridRecord, grid_record
from suanwang.energy.bill import BillPeriod, bill_period
from suanwang.energy.schema_tariff import parse_tariff
from suanwang.energy.tariff import round_half_up
from suanwang.energy.versions import TariffVersions
from suanwang.model.site import Site
from suanwang.periods import EXAMPLES, parse_period
from suanwang.sheets import write_csv, write_xlsx

router = APIRouter(prefix="/v1/sites", tags=["energy"])

PeriodText = Annotated[
    str, Query(max_length=100, description=f"in the site's time zone: {EXAMPLES}")
]
PowerFactor = Annotated[
    float | None, Query(ge=0, le=1, description="of the month, from the grid company's meter")
]
_HUNDREDTHS: Final = 100
NO_BASIS: Final = "how the site's demand is charged is not registered, so no demand is charged"
_FILE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The file.", "content": {"application/octet-stream": {}}}
}


class TableFormat(StrEnum):
    """Kinds of files that a bill can be written as."""

    CSV = "csv"
    XLSX = "xlsx"


@router.get("/{site_id}/bill", summary="Electricity bill of a site")
def read_bill(
    site_id: str,
    identity: SiteManager,
    context: Context,
    period: PeriodText,
    power_factor: PowerFactor = None,
) -> BillOut:
    """Return the bill of a period by the site's tariff, out of its 15-minute windows."""
    with context.reading() as connection:
        site = own_site(connection, identity, site_id).site
        versions = context.catalogue.tariff_versions(site.tariff_id)
        return _bill(connection, context, site, versions, (period, power_factor))


@router.post("/{site_id}/bill", summary="Electricity bill under another tariff")
def replay_bill(site_id: str, body: ReplayIn, identity: SiteManager, context: Context) -> BillOut:
    """Return the bill that a period would have had under the tariff given; nothing is kept."""
    prices = body.prices.encode() if body.prices else None
    versions = TariffVersions((parse_tariff(body.tariff, "tariff", prices),))
    with context.reading() as connection:
        site = own_site(connection, identity, site_id).site
        asked = (body.period, body.power_factor)
        return _bill(connection, context, site, versions, asked, body.voltage)


@router.get(
    "/{site_id}/bill/table",
    summary="Electricity bill as a table",
    responses=_FILE,
    response_class=Response,
)
def read_bill_table(
    site_id: str,
    identity: SiteManager,
    context: Context,
    period: PeriodText,
    power_factor: PowerFactor = None,
    kind: Annotated[TableFormat, Query(alias="format")] = TableFormat.XLSX,
) -> Response:
    """Return the lines of a bill as a CSV or xlsx file."""
    bill = read_bill(site_id, identity, context, period, power_factor)
    rows = bill_rows(bill)
    content = write_csv(rows) if kind is TableFormat.CSV else write_xlsx(rows, "bill")
    return Response(
        content,
        media_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="bill-{site_id}.{kind}"'},
    )


def _bill(
    connection: Connection,
    context: ApiContext,
    site: Site,
    versions: TariffVersions,
    asked: tuple[str, float | None],
    voltage: str = "",
) -> BillOut:
    text, factor = asked
    now = context.clock.now()
    period = parse_period(text, ZoneInfo(site.timezone), now)
    record: GridRecord = grid_record(connection, site.id, period.start, period.end, now)
    known = BillPeriod(
        start=record.start,
        end=record.end,
        power_factor=None if factor is None else round_half_up(Fraction(str(factor)) * _HUNDREDTHS),
    )
    bill = bill_period(versions, voltage or site.voltage, site.demand_terms, record.uses, known)
    out = bill_out(site.id, bill, record)
    if site.demand_basis is None:
        return out.model_copy(update={"notes": [*out.notes, NO_BASIS]})
    return out
