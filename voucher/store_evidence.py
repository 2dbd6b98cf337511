"""Reads for evidence packs: the entries of a job's holds, and the policies behind its lots."""

import json
from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy import Connection, Row, select

from suanwang.db.tables import attempt, grant_application, hold, journal
from voucher.chain import Entry, genesis_before, read_moves
from voucher.reports.evidence import PolicyRef, ProvedEntry
from voucher.store_book import read_slices
from voucher.store_reports import PAGE, lots_of

_PAID = ("capture", "refund")


def entries_of_holds(
    connection: Connection, tenant_id: str, hold_ids: Iterable[str]
) -> tuple[ProvedEntry, ...]:
    """Return the entries that paid from holds, or gave back to them, with the links before them.

    Only the tenant's entries from the opening of each hold to its end are read; those that came
    later only where something was given back.
    """
    chosen: dict[int, Row[tuple[object, ...]]] = {}
    for one in connection.execute(select(hold).where(hold.c.id.in_(sorted(set(hold_ids))))):
        for row in _entries_of(connection, tenant_id, one):
            chosen[row.seq] = row
    before = connection.execute(
        select(journal.c.seq, journal.c.chain).where(journal.c.seq.in_([seq - 1 for seq in chosen]))
    )
    former = {row.seq: row.chain for row in before}
    return tuple(
        ProvedEntry(
            entry=Entry(
                seq=row.seq,
                key=row.key,
                kind=row.kind,
                tenant_id=row.tenant_id,
                at=row.at,
                body=row.body,
                balances=row.balances,
                moves=row.moves,
                late_for=row.late_for,
            ),
            former=former.get(seq - 1, genesis_before(row.chain)),
            link=row.chain,
        )
        for seq, row in sorted(chosen.items())
    )


def jobs_paid_in(
    connection: Connection,
    tenant_id: str,
    span: tuple[datetime, datetime],
    lot_ids: Collection[str] = (),
) -> tuple[str, ...]:
    """Return the jobs whose payments were booked from a moment until before another, in order.

    With ``lot_ids`` only those that one of these lots has paid.
    """
    wanted = select(journal.c.body, journal.c.moves).where(
        journal.c.tenant_id == tenant_id,
        journal.c.kind == _PAID[0],
        journal.c.at >= span[0],
        journal.c.at < span[1],
    )
    spent = {f"spent:{lot_id}" for lot_id in lot_ids}
    holds: dict[str, None] = {}
    rows = connection.execute(wanted.order_by(journal.c.seq).execution_options(yield_per=PAGE))
    for row in rows:
        if spent and not spent & {one.target for one in read_moves(row.moves)}:
            continue
        holds[json.loads(row.body)["hold_id"]] = None
    found = connection.execute(
        select(attempt.c.hold_id, attempt.c.job_id).where(attempt.c.hold_id.in_(list(holds)))
    )
    jobs = {row.hold_id: str(row.job_id) for row in found}
    return tuple(dict.fromkeys(jobs[hold_id] for hold_id in holds if hold_id in jobs))


def _entries_of(
    connection: Connection, tenant_id: str, one: Row[tuple[object, ...]]
) -> list[Row[tuple[object, ...]]]:
    """Return the payments of a hold; the scheduler's keys say where its entries begin and end."""
    keys = (f"hold:{one.attempt_id}", f"settle:{one.attempt_id}")
    rows = connection.execute(select(journal.c.key, journal.c.seq).where(journal.c.key.in_(keys)))
    ends = {row.key: row.seq for row in rows}
    wanted = select(journal).where(
        journal.c.tenant_id == tenant_id,
        journal.c.kind.in_(_PAID),
        journal.c.seq > ends.get(keys[0], 0),
    )
    is_given_back = any(part.refunded_fen for part in read_slices(one.slices))
    if keys[1] in ends and not is_given_back:
        wanted = wanted.where(journal.c.seq <= ends[keys[1]])
    found = connection.execute(wanted.order_by(journal.c.seq).execution_options(yield_per=PAGE))
    return [row for row in found if json.loads(row.body).get("hold_id") == one.id]


def policies_of(connection: Connection, tenant_id: str, lot_ids: Iterable[str]) -> list[PolicyRef]:
    """Return the policies behind a tenant's lots, as far as they were granted by application."""
    granted: dict[str, tuple[int, str]] = {}
    for row in connection.execute(
        select(grant_application).where(grant_application.c.tenant_id == tenant_id)
    ):
        for lot_id in row.lots:
            granted[str(lot_id)] = (row.programme_version, row.programme_digest)
    lots = lots_of(connection, tenant_id=tenant_id)
    found = []
    for lot_id in sorted(lot_ids):
        version, digest = granted.get(lot_id, (0, ""))
        programme = lots[lot_id].programme if lot_id in lots else ""
        found.append(PolicyRef(lot_id=lot_id, programme=programme, version=version, digest=digest))
    return found
