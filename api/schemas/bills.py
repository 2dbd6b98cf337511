"""Electricity bills of sites."""

from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated

from pydantic import Field

from api.schemas.common import In, Out
from collectors.store_bill import GridRecord
from suanwang.energy.bill import Bill
from suanwang.energy.clauses import Part
from suanwang.model.site import DemandBasis

TARIFF_LENGTH_MAX = 200_000
PRICES_LENGTH_MAX = 4_000_000


class EnergyLineOut(Out):
    """Energy of one version in one band, or of a curve on one side of zero."""

    tariff_id: str
    label: str
    energy_wh: int
    price_uyuan_per_kwh: int = Field(description="its mean price, micro-yuan")
    amount_fen: int


class DemandLineOut(Out):
    """The demand charge of a month, or of a version's share of it."""

    tariff_id: str
    month: date
    basis: DemandBasis
    quantity: int = Field(description="W of the largest demand, or kVA of the transformer")
    rate_uyuan: int = Field(description="micro-yuan a kW or kVA and month")
    share: float = Field(description="of the month")
    amount_fen: int


class ChargeOut(Out):
    """What a clause adds; an included amount is inside the lines above."""

    tariff_id: str
    part: Part
    label: str
    energy_wh: int
    price_uyuan_per_kwh: int
    base_fen: int
    percent: float
    amount_fen: int
    is_included: bool


class BillOut(Out):
    """A bill out of the record. It is for checking a paper one: no figure here charges anybody."""

    site_id: str
    tariff_id: str
    voltage: str
    start: datetime
    end: datetime
    is_provisional: bool = Field(description="it may still change")
    is_stand_in: bool = Field(description="for some of it no price was in force")
    coverage: float = Field(description="known share of the windows that are over")
    windows_asked: int
    windows_over: int
    windows_known: int
    windows_provisional: int
    interpolated_s: float
    estimated_s: float
    energy_wh: int
    demand_w: int
    lines: list[EnergyLineOut]
    demand: list[DemandLineOut]
    charges: list[ChargeOut]
    energy_fen: int
    demand_fen: int
    charges_fen: int
    total_fen: int
    notes: list[str]


class ReplayIn(In):
    """A period under another tariff: its file as text, and the table of prices of a curve."""

    period: Annotated[str, Field(max_length=100)]
    power_factor: Annotated[float | None, Field(default=None, ge=0, le=1)]
    tariff: Annotated[str, Field(max_length=TARIFF_LENGTH_MAX)]
    prices: Annotated[str, Field(max_length=PRICES_LENGTH_MAX)] = ""
    voltage: Annotated[str, Field(max_length=64)] = ""


def bill_out(site_id: str, bill: Bill, record: GridRecord) -> BillOut:
    """Return a bill with what is known of its windows."""
    return BillOut(
        site_id=site_id,
        tariff_id=bill.tariff_id,
        voltage=bill.voltage,
        start=record.start,
        end=record.end,
        is_provisional=record.is_provisional,
        is_stand_in=bill.is_stand_in,
        coverage=record.coverage,
        windows_asked=record.asked,
        windows_over=record.expected,
        windows_known=len(record.uses),
        windows_provisional=record.provisional,
        interpolated_s=record.interpolated_ms / 1_000,
        estimated_s=record.estimated_ms / 1_000,
        energy_wh=bill.energy_wh,
        demand_w=bill.demand_w,
        lines=[EnergyLineOut(**asdict(one)) for one in bill.lines],
        demand=[
            DemandLineOut(**asdict(one) | {"share": float(one.share)}) for one in bill.demand_lines
        ],
        charges=[
            ChargeOut(**asdict(one) | {"percent": float(one.percent)}) for one in bill.charges
        ],
        energy_fen=bill.energy_fen,
        demand_fen=bill.demand_fen,
        charges_fen=bill.charges_fen,
        total_fen=bill.total_fen,
        notes=[*bill.notes, *_notes(bill, record)],
    )


def _notes(bill: Bill, record: GridRecord) -> list[str]:
    notes: list[str] = []
    if missing := record.expected - len(record.uses):
        notes.append(
            f"{missing} of {record.expected} windows that are over are not known; "
            "their energy is not in this bill"
        )
    if to_come := record.asked - record.expected:
        notes.append(f"{to_come} windows of the period are to come")
    if bill.is_stand_in:
        notes.append("for some of the period no price was in force; the nearest one stands in")
    return notes
