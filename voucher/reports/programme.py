"""A funder's report: what became of a programme's money, lot by lot, pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from voucher.funding import Parts
from voucher.funding import by_funder as by_funder_of
from voucher.reports.lines import Heading, LotFacts, amount, count, in_words
from voucher.reports.report import (
    Column,
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

    before + granted = spent + expired + recalled + held + left. ``began`` and ``ends`` are what had
    become of it before the period, and after it; of a claim, what was redeemed counts as spent.
    """

    lot: LotFacts
    granted_fen: int
    began: Parts
    ends: Parts

    @property
    def before_fen(self) -> int:
        """What could still be used when the period began."""
        return self.began.left + self.began.held

    @property
    def moved(self) -> Parts:
        """What became of it in the period."""
        return self.ends.minus(self.began)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolUse:
    """A funder's pool over a period, in fen: put in (less taken out), and in it at the end."""

    funder: str
    appropriated_fen: int
    pool_fen: int


PROGRAMME_COLUMNS: Final = (
    count("number", "序号", 7),
    Column(name="lot", label="额度", width=18),
    Column(name="holder", label="领券企业", width=24),
    Column(name="holder_uscc", label="统一社会信用代码", width=20),
    Column(name="issued_at", label="发放时间", width=19),
    Column(name="expires_at", label="到期时间", width=19),
    amount("before_fen", "期初余额"),
    amount("granted_fen", "本期发放"),
    amount("spent_fen", "本期核销"),
    amount("expired_fen", "本期作废"),
    amount("recalled_fen", "本期追回"),
    amount("held_fen", "期末预占"),
    amount("left_fen", "期末可用"),
)


FUNDER_COLUMNS: Final = (
    Column(name="funder", label="出资方", width=18),
    amount("appropriated_fen", "本期拨入资金池"),
    amount("pool_fen", "期末资金池余额"),
    amount("before_fen", "期初余额"),
    amount("granted_fen", "本期发放"),
    amount("spent_fen", "本期核销"),
    amount("expired_fen", "本期作废"),
    amount("recalled_fen", "本期追回"),
    amount("held_fen", "期末预占"),
    amount("left_fen", "期末可用"),
)


@dataclass(slots=True)
class _Funder:
    """What became of one funder's money in all lots."""

    granted_fen: int = 0
    began: Parts = field(default_factory=Parts)
    ends: Parts = field(default_factory=Parts)


def programme_report(
    heading: Heading,
    uses: Iterable[LotUse],
    holders: Mapping[str, Party],
    pools: Sequence[PoolUse],
) -> Report:
    """Return what became of a programme's money in a period, by lot and by funder."""
    by_funder: dict[str, _Funder] = {}

    def after(totals: Totals) -> Tail:
        facts = in_words("spent", "本期核销", totals["spent_fen"])
        return Tail(facts=tuple(facts), sections=(_funders(pools, by_funder),))

    return Report(
        name="programme-report",
        title="算力券资金使用报告",
        facts=heading.facts("政策（项目）"),
        main=Section(
            name="lots",
            label="额度明细",
            columns=PROGRAMME_COLUMNS,
            rows=_rows(uses, holders, by_funder),
        ),
        after=after,
    )


def _rows(
    uses: Iterable[LotUse], holders: Mapping[str, Party], by_funder: dict[str, _Funder]
) -> Iterator[Row]:
    for number, use in enumerate(uses, 1):
        _add(use, by_funder)
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
            use.moved.spent,
            use.moved.expired,
            use.moved.recalled,
            use.ends.held,
            use.ends.left,
        )


def _add(use: LotUse, by_funder: dict[str, _Funder]) -> None:
    """Add what became of each funder's part of a lot, at both ends of the period."""
    began = by_funder_of(use.began, use.lot.mix) if use.began.granted else {}
    for funder, ends in by_funder_of(use.ends, use.lot.mix).items():
        total = by_funder.setdefault(funder, _Funder())
        total.ends = total.ends.plus(ends)
        if funder in began:
            total.began = total.began.plus(began[funder])
        else:
            total.granted_fen += ends.granted


def _funders(pools: Sequence[PoolUse], by_funder: Mapping[str, _Funder]) -> Section:
    in_pools = {one.funder: one for one in pools}
    rows = []
    for funder in sorted({*in_pools, *by_funder}):
        pool = in_pools.get(funder, PoolUse(funder=funder, appropriated_fen=0, pool_fen=0))
        use = by_funder.get(funder, _Funder())
        moved = use.ends.minus(use.began)
        rows.append(
            (
                funder,
                pool.appropriated_fen,
                pool.pool_fen,
                use.began.left + use.began.held,
                use.granted_fen,
                moved.spent,
                moved.expired,
                moved.recalled,
                use.ends.held,
                use.ends.left,
            )
        )
    return Section(name="funders", label="出资方", columns=FUNDER_COLUMNS, rows=rows)
