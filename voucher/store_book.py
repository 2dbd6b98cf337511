"""Reads for the ledger's door: the lock on the chain's end, and the state that a batch can meet."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final, Literal

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

from suanwang.db.tables import account, hold, hold_slice, journal, ledger_head, lot, tenant
from suanwang.errors import Unavailable
from suanwang.ids import HoldId, LotId, TenantId
from suanwang.model.voucher import Hold, HoldSlice, HoldState
from voucher.book import BANK, Book, LotTerms
from voucher.chain import GENESIS
from voucher.commands import (
    Capture,
    Command,
    Deposit,
    Expire,
    Issue,
    OpenHold,
    Release,
    canonical,
)

HEAD_ID: Final = 1
Dialect = Literal["sqlite", "postgresql"]


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry's number (0 for none) and link."""

    seq: int
    chain: str


@dataclass(frozen=True, slots=True)
class Known:
    """A key that was used: its entry, the digest of its body, and the balances that were told."""

    seq: int
    digest: str
    balances: str


@dataclass(slots=True)
class Names:
    """What a batch talks about."""

    tenants: set[str] = field(default_factory=set)
    lots: set[str] = field(default_factory=set)
    holds: set[str] = field(default_factory=set)
    attempts: set[str] = field(default_factory=set)
    accounts: set[str] = field(default_factory=set)

    def add(self, command: Command) -> None:
        """Note everything that the command names."""
        match command:
            case Issue():
                self.tenants.add(command.tenant_id)
                self.lots.add(command.lot_id)
                self.accounts.add(f"funder:{command.programme}")
            case Deposit():
                self.tenants.add(command.tenant_id)
                self.accounts.add(BANK)
            case OpenHold():
                self.tenants.add(command.tenant_id)
                self.holds.add(command.hold_id)
                self.attempts.add(command.attempt_id)
                self.lots.update(part.lot_id for part in command.slices if part.lot_id)
            case Capture():
                self.holds.add(command.hold_id)
                self.accounts.add(f"payable:{command.payee}")
            case Release():
                self.holds.add(command.hold_id)
            case Expire():
                self.lots.add(command.lot_id)


def lock_head(connection: Connection) -> Head:
    """Return the chain's end and keep every other writer away until the transaction ends."""
    wanted = select(ledger_head.c.seq, ledger_head.c.chain).where(ledger_head.c.id == HEAD_ID)
    wanted = wanted.with_for_update()
    row = connection.execute(wanted).one_or_none()
    if row is None:
        insert = sqlite.insert if dialect(connection) == "sqlite" else postgresql.insert
        first = insert(ledger_head).values(id=HEAD_ID, seq=0, chain=GENESIS)
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
    for lot_id in names.lots:
        names.accounts.update(f"{kind}:{lot_id}" for kind in ("lot", "held", "spent", "expired"))
    for tenant_id in names.tenants:
        names.accounts.update((f"cash:{tenant_id}", f"cash_held:{tenant_id}"))
    rows = _fetch(connection, _accounts(dialect(connection)), ids=names.accounts)
    book.balances.update({row.id: row.balance_fen for row in rows})
    return book


def hold_from(row: Row[tuple[object, ...]], slices: Sequence[HoldSlice]) -> Hold:
    """Return the hold that a row of the table and its slices describe."""
    return Hold(
        id=HoldId(row.id),
        tenant_id=TenantId(row.tenant_id),
        attempt_id=row.attempt_id,
        state=HoldState(row.state),
        slices=tuple(slices),
        held_at=row.held_at,
        closed_at=row.closed_at,
    )


def slice_from(row: Row[tuple[object, ...]]) -> HoldSlice:
    """Return the slice that a row of the table describes."""
    return HoldSlice(
        lot_id=LotId(row.lot_id) if row.lot_id is not None else None,
        amount_fen=row.amount_fen,
        captured_fen=row.captured_fen,
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
    slices: dict[str, list[HoldSlice]] = {row.id: [] for row in rows}
    for part in _fetch(connection, _slices(dialect(connection)), ids=slices):
        slices[part.hold_id].append(slice_from(part))
        if part.lot_id is not None:
            names.lots.add(part.lot_id)
    for row in rows:
        names.tenants.add(row.tenant_id)
        book.holds[row.id] = hold_from(row, slices[row.id])
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
def _slices(kind: Dialect) -> Select[tuple[object, ...]]:
    chosen = _among(hold_slice.c.hold_id, "ids", kind)
    return select(*hold_slice.c).where(chosen).order_by(hold_slice.c.hold_id, hold_slice.c.seq)


@cache
def _lots(kind: Dialect) -> Select[tuple[object, ...]]:
    names = ("id", "tenant_id", "ratio_num", "ratio_den", "expires_at", "rank")
    return select(*(lot.c[name] for name in names)).where(_among(lot.c.id, "ids", kind))


@cache
def _tenants(kind: Dialect) -> Select[tuple[object, ...]]:
    return select(tenant.c.id).where(_among(tenant.c.id, "ids", kind))


@cache
def _accounts(kind: Dialect) -> Select[tuple[object, ...]]:
    return select(account.c.id, account.c.balance_fen).where(_among(account.c.id, "ids", kind))
