"""From entries of the ledger to lines on paper, pure.

What an entry did is read from its postings alone: how much more stands on each kind of account
after it. So the lines of a statement always add up to the journal, whatever kinds of entries there
are: granted + paid in = paid + expired + recalled + more in hand + more set aside + elsewhere.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from voucher.book import kind_of
from voucher.chain import Posting
from voucher.funding import Mix
from voucher.reports.amount_words import amount_words
from voucher.reports.funders import ByFunder, add_funders, funders_section
from voucher.reports.report import (
    CellKind,
    Column,
    Fact,
    Party,
    Period,
    Report,
    Row,
    Section,
    Tail,
    Totals,
    local,
)

KIND_LABELS: Final[Mapping[str, str]] = {
    "issue": "发券",
    "deposit": "充值",
    "open-hold": "预占",
    "capture": "结算",
    "release": "释放",
    "expire": "到期",
    "extend-hold": "追加预占",
    "refund": "退款",
    "clawback": "追回",
    "repay": "还款",
    "close-period": "结账",
    "claim": "兑付额度",
    "redeem": "申请兑付",
    "pay-claim": "拨付到账",
    "end-claim": "兑付结束",
    "appropriate": "拨入资金池",
    "withdraw": "资金池退回",
    "pay-out": "拨付",
    "pay-back": "退回拨付",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The end of the chain that a report stands on: the newest entry and its link."""

    seq: int
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LotFacts:
    """Whose money a lot is."""

    id: str
    tenant_id: str
    programme: str
    granted_fen: int
    issued_at: datetime
    expires_at: datetime
    mix: Mix


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerLine:
    """An entry with what is known of the run it is about; texts are empty where nothing is.

    ``balances`` are the accounts that it touched, after it, in fen: only of entries that pay from
    lots, or give back to them.
    """

    seq: int
    at: datetime
    kind: str
    key: str
    tenant_id: str
    link: str
    postings: tuple[Posting, ...]
    balances: Mapping[str, int]
    hold_id: str = ""
    attempt_id: str = ""
    submission_id: str = ""
    site_id: str = ""
    payee: str = ""
    accelerator: str = ""
    unit_ms: int = 0


@dataclass(frozen=True, slots=True)
class Movement:
    """What an entry did, by kind of account, in fen; missing kinds did not move."""

    by_kind: Mapping[str, int]

    @property
    def granted_fen(self) -> int:
        """Money that programmes gave, less what they demand back."""
        return -sum(self.by_kind.get(kind, 0) for kind in _OF_FUNDERS)

    @property
    def deposited_fen(self) -> int:
        """Cash paid in."""
        return -self.by_kind.get("bank", 0)

    @property
    def voucher_paid_fen(self) -> int:
        """Paid by vouchers; negative for money that came back."""
        return self.by_kind.get("spent", 0)

    @property
    def cash_paid_fen(self) -> int:
        """Paid in cash; negative for money that came back."""
        return self.by_kind.get("payable", 0)

    @property
    def expired_fen(self) -> int:
        """Voucher money that ended unused."""
        return self.by_kind.get("expired", 0)

    @property
    def recalled_fen(self) -> int:
        """Voucher money that the programme took back."""
        return self.by_kind.get("recalled", 0)

    @property
    def held_fen(self) -> int:
        """More set aside."""
        return self.by_kind.get("held", 0) + self.by_kind.get("cash_held", 0)

    @property
    def voucher_fen(self) -> int:
        """More voucher money in hand."""
        return self.by_kind.get("lot", 0)

    @property
    def cash_fen(self) -> int:
        """More cash in hand."""
        return self.by_kind.get("cash", 0)

    @property
    def claim_fen(self) -> int:
        """More money kept for claims."""
        return self.by_kind.get("claim", 0)

    @property
    def received_fen(self) -> int:
        """Paid to the tenant by bank, on claims."""
        return self.by_kind.get("paid", 0)

    @property
    def other_fen(self) -> int:
        """What went to accounts that have no column: debts to a programme, redeemed and due."""
        return sum(amount for kind, amount in self.by_kind.items() if kind not in _IN_COLUMNS)


_OF_FUNDERS: Final = frozenset({"budget", "pool", "reused", "reclaim"})
_IN_COLUMNS: Final = _OF_FUNDERS | frozenset(
    {
        "bank",
        "spent",
        "payable",
        "expired",
        "recalled",
        "held",
        "cash_held",
        "lot",
        "cash",
        "claim",
    }
)


def movement(postings: Iterable[Posting]) -> Movement:
    """Return what postings did together."""
    by_kind: dict[str, int] = {}
    for posting in postings:
        source, target = kind_of(posting.source), kind_of(posting.target)
        by_kind[source] = by_kind.get(source, 0) - posting.amount_fen
        by_kind[target] = by_kind.get(target, 0) + posting.amount_fen
    return Movement(by_kind)


def _by_kind(amounts: Mapping[str, int]) -> Movement:
    by_kind: dict[str, int] = {}
    for account, amount in amounts.items():
        kind = kind_of(account)
        by_kind[kind] = by_kind.get(kind, 0) + amount
    return Movement(by_kind)


def amount(name: str, label: str, *, sum_of: tuple[str, ...] = ()) -> Column:
    """Return a column of fen that is summed."""
    return Column(
        name=name, label=label, kind=CellKind.AMOUNT, width=14, is_summed=True, sum_of=sum_of
    )


def count(name: str, label: str, width: int = 8, *, is_summed: bool = False) -> Column:
    """Return a column of whole numbers."""
    return Column(name=name, label=label, kind=CellKind.COUNT, width=width, is_summed=is_summed)


STATEMENT_COLUMNS: Final = (
    count("number", "序号", 7),
    Column(name="at", label="时间", width=24),
    count("seq", "账本序号", 11),
    Column(name="kind", label="类型", width=6),
    Column(name="job", label="作业", width=20),
    Column(name="lots", label="额度", width=16),
    Column(name="payee", label="收款方", width=12),
    amount("granted_fen", "发券"),
    amount("deposited_fen", "充值"),
    amount("voucher_paid_fen", "算力券支付"),
    amount("cash_paid_fen", "自付"),
    amount("paid_fen", "支付合计", sum_of=("voucher_paid_fen", "cash_paid_fen")),
    amount("expired_fen", "到期作废"),
    amount("recalled_fen", "追回"),
    amount("held_fen", "预占变动"),
    amount("voucher_fen", "券变动"),
    amount("cash_fen", "现金变动"),
    amount("claim_fen", "兑付额度变动"),
    amount("received_fen", "拨付到账"),
    amount("other_fen", "欠款变动"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What every report says first: about whom, by whom, for when, on which chain."""

    about: Party
    issuer: Party
    period: Period
    made_at: datetime
    chain: Chain

    def facts(self, role: str) -> tuple[Fact, ...]:
        """Return the facts; ``role`` says what the party is."""
        return (
            Fact(name="party_name", label=role, value=self.about.name),
            Fact(name="party_uscc", label="统一社会信用代码", value=self.about.uscc),
            Fact(name="party_id", label="平台编号", value=self.about.id),
            Fact(name="issuer_name", label="出具方", value=self.issuer.name),
            Fact(name="issuer_uscc", label="出具方统一社会信用代码", value=self.issuer.uscc),
            Fact(name="period", label="期间（北京时间）", value=self.period.text),
            Fact(name="made_at", label="出具时间", value=local(self.made_at)),
            Fact(
                name="chain_seq",
                label="账本最后序号",
                value=self.chain.seq,
                kind=CellKind.COUNT,
            ),
            Fact(name="chain_link", label="账本链头", value=self.chain.link),
        )


def statement(
    heading: Heading,
    opening: Mapping[str, int],
    lines: Iterable[LedgerLine],
    lots: Mapping[str, LotFacts],
) -> Report:
    """Return an enterprise's statement; ``opening`` is fen by account before the period."""
    at_start = _by_kind(opening)
    opened = (
        _fen("opening_voucher_fen", "期初可用券", at_start.voucher_fen),
        _fen("opening_cash_fen", "期初可用现金", at_start.cash_fen),
        _fen("opening_held_fen", "期初预占", at_start.held_fen),
    )
    by_funder: ByFunder = {}

    def after(totals: Totals) -> Tail:
        closing = tuple(
            _fen(
                f"closing_{name}",
                label,
                start + totals[name],
                sum_of=(f"opening_{name}", f"total:{name}"),
            )
            for name, label, start in (
                ("voucher_fen", "期末可用券", at_start.voucher_fen),
                ("cash_fen", "期末可用现金", at_start.cash_fen),
                ("held_fen", "期末预占", at_start.held_fen),
            )
        )
        return Tail(
            facts=(*closing, *in_words("paid", "支付合计", totals["paid_fen"])),
            sections=(funders_section(by_funder, totals["cash_paid_fen"]),),
        )

    return Report(
        name="statement",
        title="算力使用对账单",
        facts=(*heading.facts("企业"), *opened),
        main=Section(
            name="lines",
            label="明细",
            columns=STATEMENT_COLUMNS,
            rows=_statement_rows(lines, lots, by_funder),
        ),
        after=after,
    )


def _statement_rows(
    lines: Iterable[LedgerLine], lots: Mapping[str, LotFacts], by_funder: ByFunder
) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        moved = movement(line.postings)
        add_funders(line, lots, by_funder)
        yield (
            number,
            local(line.at),
            line.seq,
            KIND_LABELS.get(line.kind, line.kind),
            line.submission_id or line.attempt_id,
            ", ".join(_lots_of(line.postings)),
            line.payee,
            moved.granted_fen,
            moved.deposited_fen,
            moved.voucher_paid_fen,
            moved.cash_paid_fen,
            moved.voucher_paid_fen + moved.cash_paid_fen,
            moved.expired_fen,
            moved.recalled_fen,
            moved.held_fen,
            moved.voucher_fen,
            moved.cash_fen,
            moved.claim_fen,
            moved.received_fen,
            moved.other_fen,
        )


def _lots_of(postings: Iterable[Posting]) -> list[str]:
    names: dict[str, None] = {}
    for posting in postings:
        for account in (posting.source, posting.target):
            kind, _, name = account.partition(":")
            if kind == "lot" or kind == "held":
                names[name] = None
    return list(names)


def _fen(name: str, label: str, amount_fen: int, *, sum_of: tuple[str, ...] = ()) -> Fact:
    return Fact(name=name, label=label, value=amount_fen, kind=CellKind.AMOUNT, sum_of=sum_of)


def in_words(name: str, label: str, amount_fen: int) -> Sequence[Fact]:
    """Return a total in digits and in Chinese capitals."""
    return (
        _fen(f"{name}_fen", f"{label}（小写）", amount_fen, sum_of=(f"total:{name}_fen",)),
        Fact(
            name=f"{name}_words",
            label=f"{label}（大写）",
            value=f"人民币{amount_words(amount_fen)}",
        ),
    )
