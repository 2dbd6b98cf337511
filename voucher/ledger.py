"""The door of the ledger: ``apply`` is the only function of the product that books money.

A batch is decided in order on a copy of the state that it can meet, chained, and written in a few
statements. A refused command leaves nothing behind and does not touch its neighbours. It is booked
in the transaction of a ``Turn``, which only the writer gives: what ``apply`` accepted is true once
that commits, and is gone if it does not.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from suanwang.errors import BadInput, Conflict
from voucher.actor import Actor
from voucher.book import Book
from voucher.chain import Algorithm, Entry, genesis, genesis_before, link, write_moves
from voucher.commands import (
    Appropriate,
    Capture,
    Clawback,
    ClosePeriod,
    Command,
    Deposit,
    EndClaim,
    Expire,
    ExtendHold,
    Issue,
    OpenHold,
    PayBack,
    PayClaim,
    PayOut,
    Redeem,
    Refund,
    Release,
    Repay,
    Withdraw,
    body,
    canonical_balances,
    digest,
    kind_of_entry,
    read_balances,
)
from voucher.outcomes import Accepted, Outcome, Refusal, RefusalCode
from voucher.rules import decide, fault_of
from voucher.store_book import Head, Known, known_keys, load_book, lock_head
from voucher.store_journal import Before, Sealed, Writes, write
from voucher.turn import Turn

__all__ = [
    "Accepted",
    "Algorithm",
    "Appropriate",
    "Capture",
    "Clawback",
    "ClosePeriod",
    "Command",
    "Deposit",
    "EndClaim",
    "Expire",
    "ExtendHold",
    "Issue",
    "OpenHold",
    "Outcome",
    "PayBack",
    "PayClaim",
    "PayOut",
    "Redeem",
    "Refund",
    "Refusal",
    "RefusalCode",
    "Release",
    "Repay",
    "Withdraw",
    "apply",
    "begin",
]

BATCH_LENGTH_MAX: Final = 10_000


def begin(connection: Connection, algorithm: Algorithm = Algorithm.SHA256) -> None:
    """Make sure that the ledger is chained by ``algorithm``; an empty one begins with it.

    Raises Conflict for a ledger that was begun with another, Unavailable where it is not there.
    """
    start = genesis(algorithm)
    head = lock_head(connection, start)
    if genesis_before(head.chain) != start:
        raise Conflict(
            f"the ledger has {head.seq} entries and is chained by another digest "
            f"than {algorithm.value}",
            next_step="set server.ledger_digest to what it was when the ledger began",
        )


def apply(
    turn: Turn, batch: Sequence[Command], now: datetime, by: Actor | None = None
) -> tuple[Outcome, ...]:
    """Book a batch in order and return an outcome for each command, in the same order.

    ``now`` decides over expiry; ``by`` is kept beside the entries as who caused them.

    Raises BadInput for more than 10,000 commands or a moment without a zone, and Conflict when the
    tables were changed behind the ledger's back; a business refusal is a value.
    """
    if now.tzinfo is None or len(batch) > BATCH_LENGTH_MAX:
        raise BadInput(
            f"a batch has at most {BATCH_LENGTH_MAX} commands and an aware moment; "
            f"this one has {len(batch)} and {now}"
        )
    connection = turn.connection
    faults = [fault_of(command) for command in batch]
    sound = [command for command, fault in zip(batch, faults, strict=True) if fault is None]
    if not sound:
        return tuple(fault for fault in faults if fault is not None)
    head = lock_head(connection)
    known = known_keys(connection, {command.key for command in sound})
    fresh = [command for command in sound if command.key not in known]
    book = load_book(connection, fresh)
    desk = _Desk(head, known, book, now)
    before = Before(dict(book.balances), dict(book.holds))
    outcomes = tuple(
        fault or desk.take(command) for command, fault in zip(batch, faults, strict=True)
    )
    if desk.writes.sealed:
        desk.writes.by = by
        write(connection, head, desk.writes, before, book)
    return outcomes


class _Desk:
    """Takes the commands of one batch one by one."""

    def __init__(self, head: Head, known: dict[str, Known], book: Book, now: datetime) -> None:
        self._head = head
        self._known = known
        self._book = book
        self._now = now
        self.writes = Writes()

    def take(self, command: Command) -> Outcome:
        """Return the outcome of one command, after all that came before it."""
        text = body(command)
        fingerprint = digest(text)
        known = self._known.get(command.key)
        if known is not None:
            return _again(command, known, fingerprint)
        draft = decide(self._book, command, self._now)
        if isinstance(draft, Refusal):
            return draft
        balances = self._book.fold(draft)
        entry = Entry(
            self._head.seq + 1,
            command.key,
            kind_of_entry(command),
            draft.tenant_id,
            self._now,
            text,
            canonical_balances(balances),
            write_moves(draft.postings),
            draft.late_for,
        )
        self._head = Head(entry.seq, link(self._head.chain, entry))
        self._known[command.key] = Known(entry.seq, fingerprint, entry.balances)
        self.writes.sealed.append(Sealed(entry, fingerprint, self._head.chain))
        if isinstance(command, Issue):
            self.writes.lots.append((command, self._now))
        if draft.hold is not None:
            self.writes.holds[draft.hold.id] = draft.hold
        if draft.period is not None:
            self.writes.periods.append((draft.period, entry.seq))
        if draft.receipt:
            self.writes.receipts.append((draft.receipt, entry.seq))
        return Accepted(key=command.key, seq=entry.seq, is_repeat=False, balances=balances)


def _again(command: Command, known: Known, fingerprint: str) -> Outcome:
    if known.digest == fingerprint:
        return Accepted(
            key=command.key, seq=known.seq, is_repeat=True, balances=read_balances(known.balances)
        )
    return Refusal(
        key=command.key,
        code=RefusalCode.KEY_REUSED,
        message=f"key {command.key} was used for another request in entry {known.seq}",
        facts={"seq": known.seq},
    )
