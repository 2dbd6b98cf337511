"""Reads for reports: entries of a period in pages, with the runs they are about. Nothing writes."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Select, func, select
from sqlalchemy.sql.elements import ColumnElement

from suanwang.db.tables import (
    attempt,
    hold,
    job,
    journal,
    lot,
    pool,
    site,
    tenant,
    usage_interval,
)
from suanwang.errors import NotFound
from suanwang.ids import AttemptId
from suanwang.model.usage import UsageInterval
from voucher.chain import GENESIS, read_moves
from voucher.commands import read_balances
from voucher.funding import Parts, read_mix
from voucher.metering import covered_unit_ms
from voucher.reports.lines import Chain, LedgerLine, LotFacts
from voucher.reports.programme import LotUse
from voucher.reports.report import Party, Period

PAGE: Final = 2_000
"""Entries read at once."""
_PAID: Final = ("capture", "refund")
"""Kinds of entries by which a payee earns, or gives back."""


def party(connection: Connection, tenant_id: str) -> Party:
    """Return an organisation; raise NotFound."""
    row = connection.execute(select(tenant).where(tenant.c.id == tenant_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no tenant {tenant_id}", tenant_id=tenant_id)
    return Party(id=row.id, name=row.name, uscc=row.uscc)


def parties(connection: Connection) -> dict[str, Party]:
    """Return every organisation by its id."""
    rows = connection.execute(select(tenant.c.id, tenant.c.name, tenant.c.uscc))
    return {row.id: Party(id=row.id, name=row.name, uscc=row.uscc) for row in rows}


def sites_of(connection: Connection, operator: str) -> tuple[str, ...]:
    """Return the ids of the sites that an operator runs: whom the ledger pays for them."""
    rows = connection.execute(select(site.c.id).where(site.c.operator == operator))
    return tuple(sorted(row.id for row in rows))


def chain_at(connection: Connection, before: datetime) -> Chain:
    """Return the newest entry booked before a moment, of anybody; entry 0 for none."""
    newest = select(func.max(journal.c.seq)).where(journal.c.at < before)
    seq = connection.execute(newest).scalar_one()
    if seq is None:
        return Chain(seq=0, link=GENESIS)
    link = connection.execute(select(journal.c.chain).where(journal.c.seq == seq)).scalar_one()
    return Chain(seq=seq, link=link)


def lots_of(
    connection: Connection, *, tenant_id: str | None = None, programme: str | None = None
) -> dict[str, LotFacts]:
    """Return lots by their ids: a tenant's, a programme's, or all."""
    chosen = select(lot).order_by(lot.c.issued_at, lot.c.id)
    if tenant_id is not None:
        chosen = chosen.where(lot.c.tenant_id == tenant_id)
    if programme is not None:
        chosen = chosen.where(lot.c.programme == programme)
    return {
        row.id: LotFacts(
            id=row.id,
            tenant_id=row.tenant_id,
            programme=row.programme,
            granted_fen=row.issued_fen,
            issued_at=row.issued_at,
            expires_at=row.expires_at,
            mix=read_mix(row.funders),
        )
        for row in connection.execute(chosen)
    }


def balances_before(connection: Connection, tenant_id: str, before: datetime) -> dict[str, int]:
    """Return what a tenant's entries before a moment left on each account, in fen."""
    return moved(connection, (journal.c.tenant_id == tenant_id) & (journal.c.at < before))


def statement_lines(connection: Connection, tenant_id: str, period: Period) -> Iterator[LedgerLine]:
    """Yield a tenant's entries of a period in order."""
    chosen = within(period) & (journal.c.tenant_id == tenant_id)
    return _lines(connection, chosen, with_use=False)


def settlement_lines(
    connection: Connection, payees: Sequence[str], period: Period
) -> Iterator[LedgerLine]:
    """Yield the entries of a period by which one of ``payees`` earned, or gave back."""
    chosen = within(period) & journal.c.kind.in_(_PAID)
    return (line for line in _lines(connection, chosen, with_use=True) if line.payee in payees)


def entry_of(connection: Connection, seq: int) -> LedgerLine:
    """Return one entry; raise NotFound."""
    for line in _lines(connection, journal.c.seq == seq, with_use=True):
        return line
    raise NotFound(f"there is no entry {seq}", seq=seq)


def lot_uses(connection: Connection, programme: str, period: Period) -> Iterator[LotUse]:
    """Yield what became of a programme's lots in a period, lots in the order they were granted."""
    lots = lots_of(connection, programme=programme)
    theirs = journal.c.tenant_id.in_(sorted({known.tenant_id for known in lots.values()}))
    before = moved(connection, theirs & (journal.c.at < period.start))
    changes = moved(connection, theirs & within(period))
    for known in lots.values():
        if known.issued_at >= period.end:
            continue
        began = _became(known.id, before)
        yield LotUse(
            lot=known,
            granted_fen=known.granted_fen if known.issued_at >= period.start else 0,
            began=began,
            ends=began.plus(_became(known.id, changes)),
        )


def _became(lot_id: str, fen: Mapping[str, int]) -> Parts:
    """Return what became of a lot or a claim, from what stands on accounts."""
    return Parts(
        spent=fen.get(f"spent:{lot_id}", 0) + fen.get(f"redeemed:{lot_id}", 0),
        held=fen.get(f"held:{lot_id}", 0),
        left=fen.get(f"lot:{lot_id}", 0) + fen.get(f"claim:{lot_id}", 0),
        recalled=fen.get(f"recalled:{lot_id}", 0),
        expired=fen.get(f"expired:{lot_id}", 0),
    )


def within(period: Period) -> ColumnElement[bool]:
    """Return the condition that an entry was booked in a period."""
    return (journal.c.at >= period.start) & (journal.c.at < period.end)


def moved(connection: Connection, chosen: ColumnElement[bool]) -> dict[str, int]:
    """Return what the chosen entries added to each account, in fen."""
    changes: dict[str, int] = {}
    query = select(journal.c.moves).where(chosen).execution_options(yield_per=PAGE)
    for (moves,) in connection.execute(query):
        for source, target, amount_fen in read_moves(moves):
            changes[source] = changes.get(source, 0) - amount_fen
            changes[target] = changes.get(target, 0) + amount_fen
    return changes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What is known of the attempt that a hold is for."""

    attempt_id: str
    submission_id: str
    site_id: str
    accelerator: str
    payee: str


_NO_RUN: Final = _Run(attempt_id="", submission_id="", site_id="", accelerator="", payee="")


@dataclass(frozen=True, slots=True)
class _Context:
    """What a page of entries refers to."""

    runs: Mapping[str, _Run]
    unit_ms: Mapping[str, int]


def _lines(
    connection: Connection, chosen: ColumnElement[bool], *, with_use: bool
) -> Iterator[LedgerLine]:
    after = 0
    while True:
        rows = connection.execute(_page(chosen, after)).all()
        if not rows:
            return
        bodies = [json.loads(row.body) for row in rows]
        holds = {str(body.get("hold_id", "")) for body in bodies} - {""}
        runs = _runs(connection, holds)
        about = _Context(runs, _unit_ms(connection, runs.values()) if with_use else {})
        for row, body in zip(rows, bodies, strict=True):
            run = about.runs.get(str(body.get("hold_id", "")), _NO_RUN)
            yield LedgerLine(
                seq=row.seq,
                at=row.at,
                kind=row.kind,
                key=row.key,
                tenant_id=row.tenant_id,
                link=row.chain,
                postings=read_moves(row.moves),
                balances=read_balances(row.balances) if "spent:" in row.moves else {},
                hold_id=str(body.get("hold_id", "")),
                attempt_id=run.attempt_id,
                submission_id=run.submission_id,
                site_id=run.site_id,
                payee=str(body.get("payee", "")) or run.payee,
                accelerator=run.accelerator,
                unit_ms=about.unit_ms.get(run.attempt_id, 0) if row.kind == "capture" else 0,
            )
        after = rows[-1].seq


def _page(chosen: ColumnElement[bool], after: int) -> Select[tuple[object, ...]]:
    columns = ("seq", "key", "kind", "tenant_id", "at", "body", "balances", "moves", "chain")
    return (
        select(*(journal.c[name] for name in columns))
        .where(chosen, journal.c.seq > after)
        .order_by(journal.c.seq)
        .limit(PAGE)
    )


def _runs(connection: Connection, hold_ids: Iterable[str]) -> dict[str, _Run]:
    """Return the runs behind holds; a job that was deleted leaves its attempt's id only."""
    rows = connection.execute(
        select(hold.c.id, hold.c.attempt_id, hold.c.payee, job.c.submission_id, attempt.c.site_id)
        .add_columns(pool.c.accelerator)
        .select_from(hold)
        .outerjoin(attempt, attempt.c.id == hold.c.attempt_id)
        .outerjoin(job, job.c.id == attempt.c.job_id)
        .outerjoin(pool, pool.c.id == attempt.c.pool_id)
        .where(hold.c.id.in_(sorted(hold_ids)))
    )
    return {
        row.id: _Run(
            attempt_id=row.attempt_id,
            submission_id=row.submission_id or "",
            site_id=row.site_id or "",
            accelerator=row.accelerator or "",
            payee=row.payee or "",
        )
        for row in rows
    }


def _unit_ms(connection: Connection, runs: Iterable[_Run]) -> dict[str, int]:
    names = sorted({run.attempt_id for run in runs})
    rows = connection.execute(select(usage_interval).where(usage_interval.c.attempt_id.in_(names)))
    by_attempt: dict[str, list[UsageInterval]] = {}
    for row in rows:
        by_attempt.setdefault(row.attempt_id, []).append(
            UsageInterval(
                attempt_id=AttemptId(row.attempt_id),
                resource=row.resource,
                quantity=row.quantity,
                started_at=row.started_at,
                ended_at=row.ended_at,
                source=row.source,
            )
        )
    return {name: covered_unit_ms(intervals) for name, intervals in by_attempt.items()}
