"""Units and the only function that rounds money.

Money is a whole number of fen (1 CNY = 100 fen) wherever it is booked, and a whole number of
micro-yuan (1 CNY = 1,000,000 micro-yuan) in prices. Energy in the record is whole watt-hours.
No float ever touches money: a charge is price x quantity, divided once, here.
"""

import re
from typing import Final, NewType

Fen = NewType("Fen", int)
MicroYuan = NewType("MicroYuan", int)
WattHours = NewType("WattHours", int)

FEN_PER_YUAN: Final = 100
UYUAN_PER_YUAN: Final = 1_000_000
UYUAN_PER_FEN: Final = UYUAN_PER_YUAN // FEN_PER_YUAN
MS_PER_HOUR: Final = 3_600_000
SECONDS_PER_HOUR: Final = 3_600
STANDARD_RACK_W: Final = 2_500
"""Design IT power of one standard rack (标准机架)."""
INT64_MAX: Final = 2**63 - 1

_AMOUNT: Final = re.compile(r"(?P<sign>[+-]?)(?P<whole>[0-9]*)(?:\.(?P<fraction>[0-9]*))?")


def divide_up(numerator: int, denominator: int) -> int:
    """Return ``numerator / denominator`` rounded towards plus infinity; denominator above zero."""
    if denominator <= 0:
        raise ValueError(f"denominator must be positive, got {denominator}")
    return -(-numerator // denominator)


def charge_fen(unit_ms: int, price_uyuan_per_unit_hour: int) -> Fen:
    """Price of a cumulative use, rounded down to a whole fen: the only place that rounds a charge.

    ``unit_ms`` is accelerators (or cores) times milliseconds, counted from the attempt's start. A
    bill in steps is the difference of two cumulative charges, so it telescopes: any way of cutting
    the run into ticks gives the same total.
    """
    if unit_ms < 0 or price_uyuan_per_unit_hour < 0:
        raise ValueError(
            f"use {unit_ms} ms and price {price_uyuan_per_unit_hour} must not be negative"
        )
    return Fen(unit_ms * price_uyuan_per_unit_hour // (MS_PER_HOUR * UYUAN_PER_FEN))


def hold_fen(unit_ms: int, price_uyuan_per_unit_hour: int) -> Fen:
    """Return the most that ``unit_ms`` of use can cost, rounded up to a whole fen."""
    return Fen(divide_up(unit_ms * price_uyuan_per_unit_hour, MS_PER_HOUR * UYUAN_PER_FEN))


def share_fen(amount_fen: int, numerator: int, denominator: int) -> Fen:
    """Return ``amount * numerator / denominator`` rounded down to a fen: a voucher's share."""
    return Fen(amount_fen * numerator // denominator)


def yuan_text(amount_fen: int) -> str:
    """Write an amount of fen as yuan with two digits, for people: 123456 is ``1,234.56``."""
    sign = "-" if amount_fen < 0 else ""
    yuan, fen = divmod(abs(amount_fen), FEN_PER_YUAN)
    return f"{sign}{yuan:,}.{fen:02d}"


def parse_yuan(text: str) -> Fen:
    """Read an amount such as ``1,234.56`` into fen; raise ValueError for more than two digits."""
    parts = _AMOUNT.fullmatch(text.strip().replace(",", ""))
    if parts is None or not (parts["whole"] or parts["fraction"]):
        raise ValueError(f"{text!r} is not an amount in yuan, such as 1234.56")
    fraction = parts["fraction"] or ""
    if len(fraction) > 2:
        raise ValueError(
            f"{text!r} has more than two digits after the point; the smallest amount is 0.01"
        )
    amount = int(parts["whole"] or "0") * FEN_PER_YUAN + int(fraction.ljust(2, "0"))
    return Fen(-amount if parts["sign"] == "-" else amount)
