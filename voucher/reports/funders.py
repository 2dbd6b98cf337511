"""Who funded what was paid: each funder's part of each entry, to the fen, pure.

An entry says what each of its lots has paid by then, so each funder's part of it follows from the
lot's mix. All entries together are what each funder has paid of the lot: they telescope, whoever
the payee and whatever the period.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from voucher.chain import Posting
from voucher.funding import Mix, between
from voucher.reports.report import CellKind, Column, Row, Section

CASH: Final = "自付"


class OfFunders(Protocol):
    """A lot with its funders."""

    @property
    def programme(self) -> str:
        """The programme that granted it."""

    @property
    def mix(self) -> Mix:
        """Whose money it is, in fen by funder."""


class Paying(Protocol):
    """An entry that may pay from lots."""

    @property
    def postings(self) -> tuple[Posting, ...]:
        """What moved."""

    @property
    def balances(self) -> Mapping[str, int]:
        """The accounts that it touched, after it, in fen."""


ByFunder = dict[tuple[str, str], int]
"""Fen by programme and funder."""


def paid_by_lot(postings: Iterable[Posting]) -> dict[str, int]:
    """Return what each lot paid, in fen; negative for money that came back to it."""
    paid: dict[str, int] = {}
    for posting in postings:
        for account, amount in (
            (posting.target, posting.amount_fen),
            (posting.source, -posting.amount_fen),
        ):
            kind, _, lot_id = account.partition(":")
            if kind == "spent":
                paid[lot_id] = paid.get(lot_id, 0) + amount
    return paid


def add_funders(line: Paying, lots: Mapping[str, OfFunders], totals: ByFunder) -> None:
    """Add what each funder paid in an entry; below zero for money that came back."""
    for lot_id, amount in paid_by_lot(line.postings).items():
        lot = lots[lot_id]
        after = line.balances[f"spent:{lot_id}"]
        for one, part in zip(lot.mix, between(after - amount, after, lot.mix), strict=True):
            key = (lot.programme, one.funder)
            totals[key] = totals.get(key, 0) + part


def funders_section(totals: Mapping[tuple[str, str], int], cash_fen: int) -> Section:
    """Return who funded what was paid, own cash last."""
    rows: list[Row] = [(programme, funder, fen) for (programme, funder), fen in
                       sorted(totals.items())]  # fmt: skip
    return Section(
        name="funders",
        label="资金来源",
        columns=(
            Column(name="programme", label="政策或来源", width=28),
            Column(name="funder", label="出资方", width=18),
            Column(name="amount_fen", label="金额", kind=CellKind.AMOUNT, width=14, is_summed=True),
        ),
        rows=[*rows, (CASH, "", cash_fen)],
    )
