"""A funder's report: what became of a programme's money, lot by lot, pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from voucher.reports.amount_words import amount_words
from voucher.reports.lines import Heading, LotFacts
from voucher.reports.report import (
    CellKind,
    Column,
    Fact,
    Party,
    Report,
    Row,
    Section,
    Tail,
    Totals,
    local,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LotUse:
    """A lot over a period, in fen; ``left`` and ``held`` are at its end.

    before + granted = spent + expired + recalled + held + left.
    """

    lot: LotFacts
    before_fen: int
    granted_fen: int
    spent_fen: int
    expired_fen: int
    recalled_fen: int
    left_fen: int
    held_fen: int


def _amount(name: str, label: str, *, sum_of: tuple[str, ...] = ()) -> Column:
    return Column(
        name=name, label=label, kind=CellKind.AMOUNT, width=14, is_summed=True, sum_of=sum_of
    )


PROGRAMME_COLUMNS: Final = (
    Column(name="number", label="序号", kind=CellKind.COUNT, width=7),
    Column(name="lot", label="额度", width=18),
    Column(name="holder", label="领券企业", width=24),
    Column(name="holder_uscc", label="统一社会信用代码", width=20),
    Column(name="issued_at", label="发放时间", width=19),
    Column(name="expires_at", label="到期时间", width=19),
    _amount("before_fen", "期初余额"),
    _amount("granted_fen", "本期发放"),
    _amount("spent_fen", "本期核销"),
    _amount("expired_fen", "本期作废"),
    _amount("recalled_fen", "本期追回"),
    _amount("held_fen", "期末预占"),
    _amount("left_fen", "期末可用"),
)


def programme_report(
    heading: Heading, uses: Iterable[LotUse], holders: Mapping[str, Party]
) -> Report:
    """Return what became of a programme's money in a period."""

    def after(totals: Totals) -> Tail:
        spent = totals["spent_fen"]
        return Tail(
            facts=(
                Fact(
                    name="spent_fen",
                    label="本期核销（小写）",
                    value=spent,
                    kind=CellKind.AMOUNT,
                    sum_of=("total:spent_fen",),
                ),
                Fact(
                    name="spent_words",
                    label="本期核销（大写）",
                    value=f"人民币{amount_words(spent)}",
                ),
            )
        )

    return Report(
        name="programme-report",
        title="算力券资金使用报告",
        facts=heading.facts("政策（项目）"),
        main=Section(
            name="lots", label="额度明细", columns=PROGRAMME_COLUMNS, rows=_rows(uses, holders)
        ),
        after=after,
    )


def _rows(uses: Iterable[LotUse], holders: Mapping[str, Party]) -> Iterator[Row]:
    for number, use in enumerate(uses, 1):
        holder = holders.get(use.lot.tenant_id, Party(id=use.lot.tenant_id, name=use.lot.tenant_id))
        yield (
            number,
            use.lot.id,
            holder.name,
            holder.uscc,
            local(use.lot.issued_at),
            local(use.lot.expires_at),
            use.before_fen,
            use.granted_fen,
            use.spent_fen,
            use.expired_fen,
            use.recalled_fen,
            use.held_fen,
            use.left_fen,
        )
