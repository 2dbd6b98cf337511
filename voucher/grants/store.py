"""Rows of applications: reading, writing, and the locks of those who change one. Never commits."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Row, Select, and_, or_, select, update

from suanwang.db.tables import grant_application, grant_line, tenant
from suanwang.errors import BadInput, NotFound
from voucher.flagging import read_flag
from voucher.grants.case import LIVING, Case, Due, DueKind, State
from voucher.grants.duplicates import GROUP, Elsewhere, Others
from voucher.grants.identity import Identity, IdentityKind
from voucher.grants.records import (
    Record,
    award_in,
    award_out,
    facts_in,
    facts_out,
    freed_in,
    freed_out,
    seller_of,
    shares_in,
    shares_out,
)
from voucher.grants.store_programmes import find_programme
from voucher.programmes.application import Line, text_fact
from voucher.programmes.facts import Fact

PAGE_MAX: Final = 1_000
_TABLE: Final = grant_application
_LIVING: Final = [state.value for state in LIVING]
_BEFORE: Final = "_state_before_clawback"
"""Name in ``done`` under which the state before a clawback is kept."""


def find(connection: Connection, application_id: str, *, for_update: bool = False) -> Record:
    """Return an application; raise NotFound. ``for_update`` keeps others from changing it."""
    chosen = select(_TABLE).where(_TABLE.c.id == application_id)
    if for_update:
        chosen = chosen.with_for_update()
    row = connection.execute(chosen).one_or_none()
    if row is None:
        raise NotFound(f"there is no application {application_id}")
    return _records(connection, [row])[0]


def of_lots(connection: Connection, lot_ids: Collection[str]) -> tuple[Record, ...]:
    """Return the applications of whose awards these are lots or claims, locked, in one order.

    The id of a lot begins with that of its application. Lots that were granted by hand have none.
    """
    pieces = [lot_id.split("-") for lot_id in lot_ids]
    names = {"-".join(parts[:end]) for parts in pieces for end in range(1, len(parts) + 1)}
    chosen = select(_TABLE).where(_TABLE.c.id.in_(sorted(names))).order_by(_TABLE.c.id)
    rows = connection.execute(chosen.with_for_update()).all()
    own = [row for row in rows if set(row.lots) & set(lot_ids)]
    return _records(connection, own)


def lock(connection: Connection, application_ids: Collection[str]) -> None:
    """Keep others from changing any of these applications until the end.

    Who changes several takes them first, in one order, before any programme.
    """
    connection.execute(
        select(_TABLE.c.id)
        .where(_TABLE.c.id.in_(sorted(application_ids)))
        .order_by(_TABLE.c.id)
        .with_for_update()
    ).all()


def lock_tenant(connection: Connection, tenant_id: str) -> None:
    """Let one filing of a tenant at a time look whether its reference is there already."""
    connection.execute(select(tenant.c.id).where(tenant.c.id == tenant_id).with_for_update())


def find_by_ref(connection: Connection, tenant_id: str, ref: str) -> Record | None:
    """Return the tenant's application with this reference of its own, or None."""
    chosen = select(_TABLE).where(_TABLE.c.tenant_id == tenant_id, _TABLE.c.ref == ref)
    row = connection.execute(chosen).one_or_none()
    return None if row is None else _records(connection, [row])[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which applications to list; None: any. ``district`` also shows those that name none.

    ``due_by``: only those for which something is due by then, or overdue.
    """

    tenant_id: str | None = None
    district: str | None = None
    state: State | None = None
    programme_id: str | None = None
    due_by: datetime | None = None


def page(
    connection: Connection, wanted: Filter, *, after: str = "", limit: int = 100
) -> tuple[Record, ...]:
    """Return applications in the order of their ids, which is that of their making.

    Raises BadInput for a limit out of bounds.
    """
    if not 1 <= limit <= PAGE_MAX:
        raise BadInput(f"limit {limit} is not between 1 and {PAGE_MAX}")
    chosen: Select[tuple[object, ...]] = select(_TABLE).where(_TABLE.c.id > after)
    if wanted.tenant_id is not None:
        chosen = chosen.where(_TABLE.c.tenant_id == wanted.tenant_id)
    if wanted.district is not None:
        chosen = chosen.where(_TABLE.c.district.in_(["", wanted.district]))
    if wanted.state is not None:
        chosen = chosen.where(_TABLE.c.state == wanted.state.value)
    if wanted.programme_id is not None:
        chosen = chosen.where(_TABLE.c.programme_id == wanted.programme_id)
    if wanted.due_by is not None:
        chosen = chosen.where(_TABLE.c.due_at <= wanted.due_by)
    rows = connection.execute(chosen.order_by(_TABLE.c.id).limit(limit)).all()
    return _records(connection, rows)


def ready(connection: Connection, programme_id: str) -> tuple[Record, ...]:
    """Return the applications that wait for a round's decision, locked, in order of their ids."""
    rows = connection.execute(
        select(_TABLE)
        .where(_TABLE.c.programme_id == programme_id, _TABLE.c.state == State.READY.value)
        .order_by(_TABLE.c.id)
        .with_for_update()
    ).all()
    return _records(connection, rows)


def add(connection: Connection, record: Record) -> None:
    """Write a new application with its lines."""
    connection.execute(_TABLE.insert().values(id=record.id, **_values(record)))
    _add_lines(connection, record.id, record.lines)


def save(connection: Connection, record: Record) -> None:
    """Write an application over the one that is there, lines included."""
    connection.execute(update(_TABLE).where(_TABLE.c.id == record.id).values(**_values(record)))
    connection.execute(grant_line.delete().where(grant_line.c.application_id == record.id))
    _add_lines(connection, record.id, record.lines)


def others(connection: Connection, record: Record) -> Others:
    """Return what else was filed: living lines with the same numbers, own living applications."""
    contracts = _numbers(record.lines, "contract")
    invoices = _numbers(record.lines, "invoice")
    rows = connection.execute(
        select(grant_line, _TABLE.c.programme_id, _TABLE.c.identity_key)
        .join(_TABLE, _TABLE.c.id == grant_line.c.application_id)
        .where(
            _TABLE.c.id != record.id,
            _TABLE.c.state.in_(_LIVING),
            or_(
                and_(grant_line.c.contract_no != "", grant_line.c.contract_no.in_(contracts)),
                and_(grant_line.c.invoice_no != "", grant_line.c.invoice_no.in_(invoices)),
            ),
        )
        .order_by(grant_line.c.application_id, grant_line.c.position)
    )
    lines = tuple(
        Elsewhere(
            application_id=row.application_id,
            programme_id=row.programme_id,
            contract_no=row.contract_no,
            invoice_no=row.invoice_no,
            is_own=row.identity_key == record.identity.key,
        )
        for row in rows
    )
    own = connection.execute(
        _own(record).where(_TABLE.c.programme_id == record.programme_id).order_by(_TABLE.c.id)
    )
    return Others(lines=lines, own_applications=tuple(row.id for row in own))


def group_of_others(
    connection: Connection, application_id: str, members: Iterable[str]
) -> str | None:
    """Return the group that the first other application of organisations counts under, or None.

    ``members`` are their codes; only living applications that were handed in count.
    """
    keys = {f"code:{code}" for code in members}
    rows = connection.execute(
        select(_TABLE.c.facts)
        .where(
            _TABLE.c.id != application_id,
            _TABLE.c.identity_key.in_(sorted(keys)),
            _TABLE.c.submitted_at.is_not(None),
            _TABLE.c.state.in_(_LIVING),
        )
        .order_by(_TABLE.c.submitted_at, _TABLE.c.id)
    )
    stated = (text_fact(row.facts, GROUP) for row in rows)
    return next((group for group in stated if group is not None), None)


def other_programmes(connection: Connection, record: Record) -> frozenset[str]:
    """Return the other programmes under which the same applicant has living applications."""
    rows = connection.execute(_own(record).where(_TABLE.c.programme_id != record.programme_id))
    return frozenset(row.programme_id for row in rows)


def tenant_code(connection: Connection, tenant_id: str) -> str:
    """Return the unified social credit code that a tenant is registered with, or nothing."""
    row = connection.execute(select(tenant.c.uscc).where(tenant.c.id == tenant_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no tenant {tenant_id!r}")
    return str(row.uscc)


def _own(record: Record) -> Select[tuple[object, ...]]:
    return select(_TABLE.c.id, _TABLE.c.programme_id).where(
        _TABLE.c.id != record.id,
        _TABLE.c.identity_key == record.identity.key,
        _TABLE.c.state.in_(_LIVING),
    )


def _numbers(lines: Sequence[Line], kind: str) -> list[str]:
    found = (text_fact(line.facts, f"line.{kind}_no") for line in lines)
    return [number for number in found if number]


def _add_lines(connection: Connection, application_id: str, lines: Sequence[Line]) -> None:
    rows = [
        {
            "application_id": application_id,
            "line_id": line.id,
            "position": position,
            "facts": facts_out(line.facts),
            "contract_no": text_fact(line.facts, "line.contract_no") or "",
            "invoice_no": text_fact(line.facts, "line.invoice_no") or "",
            "seller_code": seller_of(line),
        }
        for position, line in enumerate(lines)
    ]
    if rows:
        connection.execute(grant_line.insert(), rows)


def _values(record: Record) -> dict[str, object]:
    case = record.case
    return {
        "tenant_id": case.tenant_id,
        "ref": record.ref,
        "programme_id": record.programme_id,
        "programme_version": record.programme_version,
        "programme_digest": record.programme_digest,
        "district": case.district,
        "identity": asdict(record.identity),
        "identity_key": record.identity.key,
        "facts": facts_out(record.facts),
        "body_digest": record.body_digest,
        "state": case.state.value,
        "stage": case.stage,
        "done": _done_out(case),
        "flags": [flag.document() for flag in record.flags],
        "revision": record.revision,
        "created_by": record.created_by,
        "created_at": record.created_at,
        "submitted_at": record.submitted_at,
        "publicity_ends_at": case.publicity_ends_at,
        "decided_at": record.decided_at,
        "entitled_fen": record.entitled_fen,
        "award_fen": case.award_fen,
        "award": award_out(record.award),
        "funding": shares_out(record.funding),
        "lots": list(record.lots),
        "freed": freed_out(record.freed),
        "redeemed_fen": case.redeemed_fen,
        "settled_fen": case.settled_fen,
        "ends_at": case.ends_at,
        "due": "" if case.due is None else case.due.kind.value,
        "due_at": None if case.due is None else case.due.at,
        "updated_at": record.updated_at,
    }


def _done_out(case: Case) -> list[list[str]]:
    """Return who did what as pairs, in order: a database may shuffle the keys of a map."""
    pairs = [[stage, person] for stage, person in case.done.items()]
    if case.state_before_clawback is not None:
        pairs.append([_BEFORE, case.state_before_clawback.value])
    return pairs


def _records(connection: Connection, rows: Sequence[Row[tuple[object, ...]]]) -> tuple[Record, ...]:
    """Return applications with their lines, in two statements and one for each programme."""
    versions = {(row.programme_id, row.programme_version) for row in rows}
    known = {one: find_programme(connection, *one).known for one in versions}
    lines: dict[str, list[Line]] = {row.id: [] for row in rows}
    facts_known = {row.id: known[row.programme_id, row.programme_version] for row in rows}
    parts = connection.execute(
        select(grant_line)
        .where(grant_line.c.application_id.in_(list(lines)))
        .order_by(grant_line.c.application_id, grant_line.c.position)
    )
    for part in parts:
        facts = facts_in(part.facts, facts_known[part.application_id])
        lines[part.application_id].append(Line(id=part.line_id, facts=facts))
    return tuple(_record(row, facts_known[row.id], lines[row.id]) for row in rows)


def _record(
    row: Row[tuple[object, ...]], known: Mapping[str, Fact], lines: Sequence[Line]
) -> Record:
    return Record(
        case=_case(row),
        ref=row.ref,
        programme_id=row.programme_id,
        programme_version=row.programme_version,
        programme_digest=row.programme_digest,
        identity=_identity(row.identity),
        facts=facts_in(row.facts, known),
        lines=tuple(lines),
        body_digest=row.body_digest,
        created_by=row.created_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
        flags=tuple(read_flag(one) for one in row.flags),
        revision=row.revision,
        submitted_at=row.submitted_at,
        decided_at=row.decided_at,
        entitled_fen=row.entitled_fen,
        award=award_in(row.award),
        funding=shares_in(row.funding),
        lots=tuple(row.lots),
        freed=freed_in(row.freed),
    )


def _case(row: Row[tuple[object, ...]]) -> Case:
    done = dict(row.done)
    before = done.pop(_BEFORE, None)
    return Case(
        id=row.id,
        tenant_id=row.tenant_id,
        district=row.district,
        state=State(row.state),
        stage=row.stage,
        done=done,
        has_flags=bool(row.flags),
        is_decided=row.award_fen > 0,
        publicity_ends_at=row.publicity_ends_at,
        award_fen=row.award_fen,
        redeemed_fen=row.redeemed_fen,
        settled_fen=row.settled_fen,
        state_before_clawback=None if before is None else State(before),
        ends_at=row.ends_at,
        due=Due(kind=DueKind(row.due), at=row.due_at) if row.due else None,
    )


def _identity(stored: Mapping[str, str]) -> Identity:
    return Identity(**{**stored, "kind": IdentityKind(stored["kind"])})  # type: ignore[arg-type]  # kind is replaced
