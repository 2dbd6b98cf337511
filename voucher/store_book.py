"""Reads for the ledger's door: the lock on the chain's end, and the state that a batch can meet."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Final, Literal, NamedTuple

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Row,
    Select,
    Text,
    any_,
    bindparam,
    func,
    or_,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from suanwang.db.tables import account, hold, journal, ledger_head, ledger_period, lot, tenant
from suanwang.errors import Unavailable
from suanwang.ids import HoldId, LotId, TenantId
from suanwang.model.voucher import Hold, HoldSlice, HoldState
from voucher.book import BANK, LOT_PARTS, Book, LotTerms, Period
from voucher.chain import GENESIS
from voucher.commands import (
    Capture,
    Clawback,
    ClosePeriod,
    Command,
    Deposit,
    Expire,
    ExtendHold,
    Issue,
    OpenHold,
    Refund,
    Release,
    Repay,
    canonical,
)

HEAD_ID: Final = 1
Dialect = Literal["sqlite", "postgresql"]


class Head(NamedTuple):
    """The newest entry's number (0 for none) and link."""

    seq: int
    chain: str


class Known(NamedTuple):
    """A key that was used: its entry, the digest of its body, and the balances that were told."""

    seq: int
    digest: str
    balances: str


@dataclass(slots=True)
class Names:
    """What a batch talks about; ``used_from`` is the earliest use that is paid in it."""

    tenants: set[str] = field(default_factory=set)
    lots: set[str] = field(default_factory=set)
    recalled: set[str] = field(default_factory=set)
    holds: set[str] = field(default_factory=set)
    attempts: set[str] = field(default_factory=set)
    accounts: set[str] = field(default_factory=set)
    used_from: datetime | None = None
    closes: bool = False

    def add(self, command: Command) -> None:
        """Note everything that the command names."""
        match command:
            case OpenHold():
                self.tenants.add(command.tenant_id)
                self.holds.add(command.hold_id)
                self.attempts.add(command.attempt_id)
                self.lots.update(part.lot_id for part in command.slices if part.lot_id)
            case Capture():
                self.holds.add(command.hold_id)
                self.accounts.add(f"payable:{command.payee}")
                self._note_use(command.used_until)
            case Release() | Refund():
                self.holds.add(command.hold_id)
            case ExtendHold():
                self.holds.add(command.hold_id)
                self.lots.update(part.lot_id for part in command.slices if part.lot_id)
            case _:
                self._add_grant(command)

    def _note_use(self, used_until: datetime | None) -> None:
        if used_until is not None:
            self.used_from = min(self.used_from or used_until, used_until)

    def _add_grant(
        self, command: Issue | Deposit | Expire | Clawback | Repay | ClosePeriod
    ) -> None:
        match command:
            case Issue():
                self.tenants.add(command.tenant_id)
                self.lots.add(command.lot_id)
                self.accounts.add(f"funder:{command.programme}")
            case Deposit():
                self.tenants.add(command.tenant_id)
                self.accounts.add(BANK)
            case Repay():
                self.tenants.add(command.tenant_id)
                self.accounts.update((BANK, f"receivable:{command.tenant_id}"))
            case Clawback():
                self.lots.add(command.lot_id)
                self.recalled.add(command.lot_id)
            case Expire():
                self.lots.add(command.lot_id)
            case ClosePeriod():
                self.closes = True


def lock_head(connection: Connection, start: str = GENESIS) -> Head:
    """Return the chain's end and keep every other writer away until the transaction ends.

    A ledger without an entry begins with the link ``start``.
    """
    wanted = select(ledger_head.c.seq, ledger_head.c.chain).where(ledger_head.c.id == HEAD_ID)
    wanted = wanted.with_for_update()
    row = connection.execute(wanted).one_or_none()
    if row is None:
        insert = sqlite.insert if dialect(connection) == "sqlite" else postgresql.insert
        first = insert(ledger_head).values(id=HEAD_ID, seq=0, chain=start, writer="", epoch=0)
        connection.execute(first.on_conflict_do_nothing())
        row = connection.execute(wanted).one()
    return Head(row.seq, row.chain)


def known_keys(connection: Connection, keys: Collection[str]) -> dict[str, Known]:
    """Return those of ``keys`` that were used, with what was answered then."""
    rows = _fetch(connection, _by_key(dialect(connection)), keys=keys)
    return {row.key: Known(row.seq, row.digest, row.balances) for row in rows}


def load_book(connection: Connection, commands: Iterable[Command]) -> Book:
    """Return the state that these commands can meet: their tenants, lots, holds and accounts."""
    names = Names()
    for command in commands:
        names.add(command)
    book = Book()
    _load_holds(connection, names, book)
    for row in _fetch(connection, _lots(dialect(connection)), ids=names.lots):
        book.lots[row.id] = LotTerms(**row._mapping)
        names.tenants.add(row.tenant_id)
    found = _fetch(connection, _tenants(dialect(connection)), ids=names.tenants)
    book.tenants.update(row.id for row in found)
    _name_accounts(names, book)
    rows = _fetch(connection, _accounts(dialect(connection)), ids=names.accounts)
    book.balances.update({row.id: row.balance_fen for row in rows})
    if names.closes:
        kinds = select(account.c.kind, func.sum(account.c.balance_fen)).group_by(account.c.kind)
        book.totals = Counter({kind: int(total) for kind, total in connection.execute(kinds)})
    if names.closes or names.used_from is not None:
        book.periods += _periods(connection, None if names.closes else names.used_from)
    return book


def _name_accounts(names: Names, book: Book) -> None:
    for lot_id in names.lots:
        names.accounts.update([f"{kind}:{lot_id}" for kind in LOT_PARTS])
    for tenant_id in names.tenants:
        names.accounts.update((f"cash:{tenant_id}", f"cash_held:{tenant_id}"))
    for one in book.holds.values():
        if one.payee is not None:
            names.accounts.add(f"payable:{one.payee}")
    for lot_id in names.recalled & book.lots.keys():
        terms = book.lots[lot_id]
        names.accounts.update((f"funder:{terms.programme}", f"receivable:{terms.tenant_id}"))


def _periods(connection: Connection, used_from: datetime | None) -> list[Period]:
    wanted = select(ledger_period.c.id, ledger_period.c.ends_at)
    if used_from is not None:
        wanted = wanted.where(ledger_period.c.ends_at >= used_from)
    rows = connection.execute(wanted.order_by(ledger_period.c.ends_at))
    return [Period(row.id, row.ends_at) for row in rows]


def hold_from(row: Row[tuple[object, ...]]) -> Hold:
    """Return the hold that a row of the table describes."""
    return Hold(
        id=HoldId(row.id),
        tenant_id=TenantId(row.tenant_id),
        attempt_id=row.attempt_id,
        state=HoldState(row.state),
        slices=read_slices(row.slices),
        held_at=row.held_at,
        closed_at=row.closed_at,
        payee=row.payee,
    )


def write_slices(slices: Sequence[HoldSlice]) -> str:
    """Return slices as the text in which they are stored."""
    return canonical(
        [(part.lot_id, part.amount_fen, part.captured_fen, part.refunded_fen) for part in slices]
    )


def read_slices(text: str) -> tuple[HoldSlice, ...]:
    """Return the slices that a text in a hold describes."""
    return tuple(
        HoldSlice(
            lot_id=None if lot_id is None else LotId(lot_id),
            amount_fen=amount_fen,
            captured_fen=captured_fen,
            refunded_fen=refunded_fen,
        )
        for lot_id, amount_fen, captured_fen, refunded_fen in json.loads(text)
    )


def dialect(connection: Connection) -> Dialect:
    """Return which of the two databases this is; raise Unavailable for any other."""
    name = connection.dialect.name
    if name == "sqlite":
        return "sqlite"
    if name == "postgresql":
        return "postgresql"
    raise Unavailable(f"the ledger does not run on {name}")


def _load_holds(connection: Connection, names: Names, book: Book) -> None:
    rows = _fetch(connection, _holds(dialect(connection)), ids=names.holds, attempts=names.attempts)
    for row in rows:
        loaded = hold_from(row)
        names.tenants.add(row.tenant_id)
        names.lots.update(part.lot_id for part in loaded.slices if part.lot_id is not None)
        book.holds[row.id] = loaded
        book.attempts[row.attempt_id] = row.id


def _fetch(
    connection: Connection, statement: Select[tuple[object, ...]], **lists: Collection[str]
) -> Sequence[Row[tuple[object, ...]]]:
    """Run a statement whose parameters are lists of texts; no lists, no round trip."""
    if not any(lists.values()):
        return ()
    is_array = dialect(connection) == "postgresql"
    values = {
        name: list(texts) if is_array else canonical(list(texts)) for name, texts in lists.items()
    }
    return connection.execute(statement, values).all()


def _among(column: ColumnElement[str], name: str, kind: Dialect) -> ColumnElement[bool]:
    """Return ``column in (the list bound as name)``: one parameter for a list of any length."""
    if kind == "postgresql":
        return column == any_(bindparam(name, type_=ARRAY(Text)))
    listed = func.json_each(bindparam(name, type_=Text)).table_valued("value")
    return column.in_(select(listed.c.value))


@cache
def _by_key(kind: Dialect) -> Select[tuple[object, ...]]:
    columns = (journal.c.key, journal.c.seq, journal.c.digest, journal.c.balances)
    return select(*columns).where(_among(journal.c.key, "keys", kind))


@cache
def _holds(kind: Dialect) -> Select[tuple[object, ...]]:
    by_id, by_attempt = (
        _among(column, name, kind)
        for column, name in ((hold.c.id, "ids"), (hold.c.attempt_id, "attempts"))
    )
    return select(*hold.c).where(or_(by_id, by_attempt))


@cache
def _lots(kind: Dialect) -> Select[tuple[object, ...]]:
    names = ("id", "tenant_id", "programme", "ratio_num", "ratio_den", "expires_at", "rank")
    return select(*(lot.c[name] for name in names)).where(_among(lot.c.id, "ids", kind))


@cache
def _tenants(kind: Dialect) -> Select[tuple[object, ...]]:
    return select(tenant.c.id).where(_among(tenant.c.id, "ids", kind))


@cache
def _accounts(kind: Dialect) -> Select[tuple[object, ...]]:
    return select(account.c.id, account.c.balance_fen).where(_among(account.c.id, "ids", kind))
