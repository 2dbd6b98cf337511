"""Builders for tests of reports: parties, a period, and lines made of postings."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final

from voucher.chain import Posting
from voucher.funding import FunderPart
from voucher.reports.lines import Chain, Heading, LedgerLine, LotFacts
from voucher.reports.report import Party, Period

START: Final = datetime(2026, 10, 14, tzinfo=UTC)
HAIYUN: Final = Party(id="haiyun", name="海云科技有限公司", uscc="91350100M000100Y43")
PLATFORM: Final = Party(id="platform", name="青岛算力平台")
LOTS: Final = {
    "l1": LotFacts(
        id="l1",
        tenant_id="haiyun",
        programme="qingdao-2026",
        granted_fen=100_000,
        issued_at=START,
        expires_at=START + timedelta(days=90),
        mix=(FunderPart("city", 50_000), FunderPart("district", 50_000)),
    )
}


def a_heading(about: Party = HAIYUN) -> Heading:
    """October 2026, made on the first of November."""
    return Heading(
        about=about,
        issuer=PLATFORM,
        period=Period(first=date(2026, 10, 1), last=date(2026, 10, 31)),
        made_at=datetime(2026, 11, 1, tzinfo=UTC),
        chain=Chain(seq=9, link="01" + "ab" * 32),
    )


def a_line(
    seq: int, kind: str, *moves: tuple[str, str, int], spent_fen: int = 20_001, **changes: str
) -> LedgerLine:
    """An entry of haiyun with ``(source, target, fen)`` moves; lot l1 has then paid so much."""
    facts = {"submission_id": "train-1", "payee": "laoshan"} if kind == "capture" else {}
    return LedgerLine(
        seq=seq,
        at=START + timedelta(minutes=seq),
        kind=kind,
        key=f"key-{seq}",
        tenant_id="haiyun",
        link="01" + f"{seq:064x}",
        postings=tuple(Posting(*move) for move in moves),
        balances={"spent:l1": spent_fen},
        **{**facts, **changes},  # type: ignore[arg-type]  # a builder takes any text field
    )


def a_month() -> Sequence[LedgerLine]:
    """A grant, cash, a hold, its payment, and what was left of the lot."""
    return (
        a_line(1, "issue", ("budget:qingdao-2026/city", "lot:l1", 100_000)),
        a_line(2, "deposit", ("bank:deposits", "cash:haiyun", 50_000)),
        a_line(
            3,
            "open-hold",
            ("lot:l1", "held:l1", 30_000),
            ("cash:haiyun", "cash_held:haiyun", 20_000),
        ),
        a_line(
            4,
            "capture",
            ("held:l1", "spent:l1", 20_001),
            ("held:l1", "lot:l1", 9_999),
            ("cash_held:haiyun", "payable:laoshan", 13_333),
            ("cash_held:haiyun", "cash:haiyun", 6_667),
        ),
        a_line(5, "expire", ("lot:l1", "expired:l1", 79_999)),
    )
