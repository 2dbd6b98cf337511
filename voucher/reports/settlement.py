"""What a provider earned in a period, what it was paid by bank, and what is still open. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from voucher.reports.funders import CASH, ByFunder, add_funders, funders_section
from voucher.reports.lines import Heading, LedgerLine, LotFacts, amount, count, in_words, movement
from voucher.reports.report import Column, Fact, Party, Report, Row, Section, Tail, Totals, local

SETTLEMENT_COLUMNS: Final = (
    count("number", "序号", 7),
    Column(name="at", label="时间", width=24),
    count("seq", "账本序号", 11),
    Column(name="site", label="智算中心", width=14),
    Column(name="customer", label="企业", width=24),
    Column(name="customer_uscc", label="企业统一社会信用代码", width=20),
    Column(name="job", label="作业", width=20),
    Column(name="accelerator", label="算力类型", width=14),
    Column(name="unit_hours", label="卡时", width=14),
    amount("voucher_paid_fen", "算力券支付"),
    amount("cash_paid_fen", "企业自付"),
    amount("paid_fen", "应结合计", sum_of=("voucher_paid_fen", "cash_paid_fen")),
)
ACCOUNT_COLUMNS: Final = (
    Column(name="programme", label="政策或来源", width=28),
    Column(name="site", label="智算中心", width=14),
    amount("opening_fen", "期初未付"),
    amount("earned_fen", "本期应结"),
    amount("paid_fen", "本期已付"),
    amount("open_fen", "期末未付"),
)
PAYMENT_COLUMNS: Final = (
    Column(name="at", label="时间", width=24),
    count("seq", "账本序号", 11),
    Column(name="programme", label="政策或来源", width=28),
    Column(name="site", label="智算中心", width=14),
    Column(name="receipt", label="银行回单号", width=24),
    amount("amount_fen", "金额"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PayeeAccount:
    """What a site earned with a programme's vouchers, or (empty) cash, over a period, in fen.

    opening + earned = paid + open.
    """

    programme: str
    payee: str
    opening_fen: int
    earned_fen: int
    paid_fen: int

    @property
    def open_fen(self) -> int:
        """What is not paid at the end."""
        return self.opening_fen + self.earned_fen - self.paid_fen


@dataclass(frozen=True, slots=True, kw_only=True)
class BankPayment:
    """A payment to a site under the bank's receipt, in fen; below zero where it was paid back."""

    at: datetime
    seq: int
    programme: str
    payee: str
    receipt: str
    amount_fen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a provider's sites are owed over a period, and what they were paid."""

    payees: Sequence[PayeeAccount]
    payments: Sequence[BankPayment]


@dataclass(slots=True)
class _Sums:
    """What settlements add up beside their lines."""

    by_funder: ByFunder = field(default_factory=dict)
    unit_ms: int = 0


def settlement(
    heading: Heading,
    lines: Iterable[LedgerLine],
    lots: Mapping[str, LotFacts],
    customers: Mapping[str, Party],
    account: Account,
) -> Report:
    """Return what a provider has earned in a period, line by line, paid and open."""
    sums = _Sums()

    def after(totals: Totals) -> Tail:
        hours = Fact(name="unit_hours", label="卡时合计", value=unit_hours(sums.unit_ms))
        return Tail(
            facts=(hours, *in_words("paid", "应结合计", totals["paid_fen"])),
            sections=(
                funders_section(sums.by_funder, totals["cash_paid_fen"]),
                _account(account.payees),
                _payments(account.payments),
            ),
        )

    return Report(
        name="settlement",
        title="算力服务结算单",
        facts=heading.facts("算力服务商"),
        main=Section(
            name="lines",
            label="明细",
            columns=SETTLEMENT_COLUMNS,
            rows=_settlement_rows(lines, lots, customers, sums),
        ),
        after=after,
    )


def _settlement_rows(
    lines: Iterable[LedgerLine],
    lots: Mapping[str, LotFacts],
    customers: Mapping[str, Party],
    sums: _Sums,
) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        moved = movement(line.postings)
        add_funders(line, lots, sums.by_funder)
        sums.unit_ms += line.unit_ms
        customer = customers.get(line.tenant_id, Party(id=line.tenant_id, name=line.tenant_id))
        yield (
            number,
            local(line.at),
            line.seq,
            line.payee,
            customer.name,
            customer.uscc,
            line.submission_id or line.attempt_id,
            line.accelerator,
            unit_hours(line.unit_ms),
            moved.voucher_paid_fen,
            moved.cash_paid_fen,
            moved.voucher_paid_fen + moved.cash_paid_fen,
        )


def _account(payees: Sequence[PayeeAccount]) -> Section:
    rows = [
        (
            one.programme or CASH,
            one.payee,
            one.opening_fen,
            one.earned_fen,
            one.paid_fen,
            one.open_fen,
        )
        for one in payees
    ]
    return Section(name="account", label="结算账户", columns=ACCOUNT_COLUMNS, rows=rows)


def _payments(payments: Sequence[BankPayment]) -> Section:
    rows = [
        (local(one.at), one.seq, one.programme or CASH, one.payee, one.receipt, one.amount_fen)
        for one in payments
    ]
    return Section(name="payments", label="拨付明细", columns=PAYMENT_COLUMNS, rows=rows)


def unit_hours(unit_ms: int) -> str:
    """Write units times milliseconds as unit-hours with six digits, rounded down."""
    hours, rest = divmod(unit_ms, 3_600_000)
    return f"{hours}.{rest * 1_000_000 // 3_600_000:06d}"
