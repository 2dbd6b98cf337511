"""A bill as rows of text, for spreadsheets: amounts in yuan, each line with its part."""

from decimal import Decimal

from api.schemas.bills import BillOut
from suanwang.units import UYUAN_PER_YUAN

HEADINGS = ("part", "tariff", "line", "quantity", "unit", "rate", "rate unit", "amount CNY")
_FEN = Decimal("0.01")
_WH_PER_KWH = 1_000
_W_PER_KW = 1_000
KVA = "capacity"


def bill_rows(bill: BillOut) -> list[tuple[str, ...]]:
    """Return headings, a row a line, the total, and below it the notes."""
    return [
        HEADINGS,
        *_energy_rows(bill),
        *_demand_rows(bill),
        *_charge_rows(bill),
        ("total", bill.tariff_id, "", _kwh(bill.energy_wh), "kWh", "", "", yuan(bill.total_fen)),
        *(("note", "", text, "", "", "", "", "") for text in bill.notes),
    ]


def _energy_rows(bill: BillOut) -> list[tuple[str, ...]]:
    return [
        (
            "energy", one.tariff_id, one.label, _kwh(one.energy_wh), "kWh",
            _rate(one.price_uyuan_per_kwh), "CNY/kWh", yuan(one.amount_fen),
        )
        for one in bill.lines
    ]  # fmt: skip


def _demand_rows(bill: BillOut) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for one in bill.demand:
        is_capacity = one.basis == KVA
        quantity = str(one.quantity) if is_capacity else str(Decimal(one.quantity) / _W_PER_KW)
        unit = "kVA" if is_capacity else "kW"
        line = f"{one.basis} {one.month:%Y-%m}, {one.share:.4f} of the month"
        rate = _rate(one.rate_uyuan)
        per = f"CNY/{unit}/month"
        rows.append(
            ("demand", one.tariff_id, line, quantity, unit, rate, per, yuan(one.amount_fen))
        )
    return rows


def _charge_rows(bill: BillOut) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for one in bill.charges:
        if one.energy_wh:
            how = (_kwh(one.energy_wh), "kWh", _rate(one.price_uyuan_per_kwh), "CNY/kWh")
        else:
            how = (yuan(one.base_fen), "CNY", f"{one.percent:g}", "%")
        line = f"{one.label} (included above)" if one.is_included else one.label
        rows.append((one.part, one.tariff_id, line, *how, yuan(one.amount_fen)))
    return rows


def yuan(amount_fen: int) -> str:
    """Write fen as plain yuan, as spreadsheets read them."""
    return str(Decimal(amount_fen) * _FEN)


def _kwh(energy_wh: int) -> str:
    return str(Decimal(energy_wh) / _WH_PER_KWH)


def _rate(uyuan: int) -> str:
    return str(Decimal(uyuan) / UYUAN_PER_YUAN)
