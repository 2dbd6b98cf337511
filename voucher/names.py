"""What a batch talks about, so that the state it can meet is read in a few statements. Pure."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from voucher.book import BANK, CLAIM_PARTS, LOT_PARTS, Book, LotTerms, terms_of
from voucher.commands import (
    Appropriate,
    Capture,
    ClosePeriod,
    Command,
    Deposit,
    ExtendHold,
    Issue,
    OfLot,
    OpenHold,
    PayBack,
    PayClaim,
    Payment,
    PayOut,
    Plain,
    Refund,
    Release,
    Repay,
    Withdraw,
)
from voucher.funding import pair

Kinds = tuple[str, ...]

_PARTS_OF_A_HOLD: Final[Kinds] = ("lot", "held")
_PARTS_AT_AN_END: Final[Kinds] = ("lot", "held", "spent", "expired")


@dataclass(slots=True)
class Names:
    """What a batch talks about; ``used_from`` is the earliest use that is paid in it.

    ``settled`` are lots with which something rare is done, for which all their accounts are
    needed. ``drawn`` are the lots that a batch adds to holds, ``ended`` holds from which money goes
    on or back, and ``payees`` those who ask to be paid from them.
    """

    tenants: set[str] = field(default_factory=set)
    lots: set[str] = field(default_factory=set)
    issued: dict[str, LotTerms] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)
    holds: set[str] = field(default_factory=set)
    attempts: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    drawn: dict[str, list[str]] = field(default_factory=dict)
    payees: dict[str, list[str]] = field(default_factory=dict)
    accounts: set[str] = field(default_factory=set)
    receipts: set[str] = field(default_factory=set)
    used_from: datetime | None = None
    closes: bool = False

    def add(self, command: Command) -> None:
        """Note everything that the command names."""
        match command:
            case OpenHold():
                self.tenants.add(command.tenant_id)
                self.attempts.add(command.attempt_id)
                self._add_slices(command)
            case Capture():
                self.holds.add(command.hold_id)
                self.ended.add(command.hold_id)
                self.payees.setdefault(command.hold_id, []).append(command.payee)
                self._note_use(command.used_until)
            case ExtendHold():
                self._add_slices(command)
            case Issue():
                self._add_grant(command)
            case _:
                self._add_plain(command)

    def _add_slices(self, command: OpenHold | ExtendHold) -> None:
        self.holds.add(command.hold_id)
        lots = [part.lot_id for part in command.slices if part.lot_id]
        self.lots.update(lots)
        self.drawn.setdefault(command.hold_id, []).extend(lots)

    def _note_use(self, used_until: datetime | None) -> None:
        if used_until is not None:
            self.used_from = min(self.used_from or used_until, used_until)

    def _add_grant(self, command: Issue) -> None:
        self.tenants.add(command.tenant_id)
        self.lots.add(command.lot_id)
        self.issued.setdefault(command.lot_id, terms_of(command))
        for part in command.mix:
            self._add_funder(command.programme, part.funder)

    def _add_funder(self, programme: str, funder: str) -> None:
        owner = pair(programme, funder)
        self.accounts.update((f"budget:{owner}", f"pool:{owner}"))

    def _add_plain(self, command: Plain) -> None:
        match command:
            case Release() | Refund():
                self.holds.add(command.hold_id)
                self.ended.add(command.hold_id)
            case Deposit():
                self.tenants.add(command.tenant_id)
                self.accounts.add(BANK)
            case ClosePeriod():
                self.closes = True
            case Appropriate() | Withdraw():
                self._add_funder(command.programme, command.funder)
            case PayOut() | PayBack():
                self._add_payment(command)
            case _:
                self._add_of_lot(command)

    def _add_payment(self, command: Payment) -> None:
        self.receipts.add(command.receipt)
        if command.programme is None:
            self.accounts.update((BANK, f"payable:{command.payee}"))
        else:
            owner = pair(command.programme, command.payee)
            self.accounts.update((f"owed:{owner}", f"paid:{command.programme}"))

    def _add_of_lot(self, command: OfLot) -> None:
        self.lots.add(command.lot_id)
        self.settled.add(command.lot_id)
        if isinstance(command, Repay):
            self.tenants.add(command.tenant_id)
            self.accounts.add(BANK)
        if isinstance(command, Repay | PayClaim):
            self.receipts.add(command.receipt)

    def all_accounts(self, book: Book) -> set[str]:
        """Return the accounts that these commands can touch, given the holds and lots they name.

        Just these, since each is read: a batch over many tenants would take longer than one over
        few. One that was forgotten would be made a second time, which the database refuses.
        """
        terms = {**self.issued, **book.lots}
        accounts = set(self.accounts)
        for tenant_id in self.tenants:
            accounts.update((f"cash:{tenant_id}", f"cash_held:{tenant_id}"))
        closing = self._add_ended(accounts, book, terms)
        whole = self.settled | self.issued.keys()
        for lot_id in self.lots & terms.keys():
            kinds = _PARTS_AT_AN_END if lot_id in closing else _PARTS_OF_A_HOLD
            if lot_id in whole:
                kinds = CLAIM_PARTS if terms[lot_id].is_claim else LOT_PARTS
            accounts.update([f"{kind}:{lot_id}" for kind in kinds])
        for lot_id in self.settled & terms.keys():
            accounts.update(_all_of(terms[lot_id]))
        return accounts

    def _add_ended(self, accounts: set[str], book: Book, terms: dict[str, LotTerms]) -> set[str]:
        """Add what payees earn, and return the lots of the holds that end or give back."""
        closing: set[str] = set()
        payees: set[str] = set()
        earned: set[tuple[str, str]] = set()
        for hold_id in self.ended:
            hold = book.holds.get(hold_id)
            lots = list(self.drawn.get(hold_id, ()))
            paid = self.payees.get(hold_id, ())
            if hold is not None:
                lots += [part.lot_id for part in hold.slices if part.lot_id is not None]
                paid = paid if hold.payee is None else (*paid, hold.payee)
            closing.update(lots)
            payees.update(paid)
            earned.update([(lot_id, payee) for payee in paid for lot_id in lots])
        accounts.update([f"payable:{payee}" for payee in payees])
        known = [(terms[lot_id].programme, payee) for lot_id, payee in earned if lot_id in terms]
        for programme, payee in set(known):
            accounts.update((f"due:{programme}", f"owed:{pair(programme, payee)}"))
        return closing


def _all_of(lot: LotTerms) -> list[str]:
    names = [f"{kind}:{lot.id}" for kind in ("claim_due", "receivable", "reused")]
    names += [f"{kind}:{lot.programme}" for kind in ("due", "paid", "reclaim")]
    for part in lot.mix:
        owner = pair(lot.programme, part.funder)
        names += [f"budget:{owner}", f"pool:{owner}"]
    return names
