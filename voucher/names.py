"""What a batch talks about, so that the state it can meet is read in a few statements. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

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


@dataclass(slots=True)
class Names:
    """What a batch talks about; ``used_from`` is the earliest use that is paid in it.

    ``settled`` are lots with which something rare is done, for which all their accounts are
    needed. ``drawn`` are the lots that a batch adds to holds, ``payees`` who is paid from them.
    """

    tenants: set[str] = field(default_factory=set)
    lots: set[str] = field(default_factory=set)
    issued: dict[str, LotTerms] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)
    holds: set[str] = field(default_factory=set)
    attempts: set[str] = field(default_factory=set)
    drawn: dict[str, set[str]] = field(default_factory=dict)
    payees: dict[str, str] = field(default_factory=dict)
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
                self.payees[command.hold_id] = command.payee
                self.accounts.add(f"payable:{command.payee}")
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
        self.drawn.setdefault(command.hold_id, set()).update(lots)

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
        """Return the accounts that these commands can touch, given the holds and lots they name."""
        terms = {**self.issued, **book.lots}
        accounts = set(self.accounts)
        for lot_id in self.lots:
            known = terms.get(lot_id)
            kinds = CLAIM_PARTS if known is not None and known.is_claim else LOT_PARTS
            accounts.update([f"{kind}:{lot_id}" for kind in kinds])
        for tenant_id in self.tenants:
            accounts.update((f"cash:{tenant_id}", f"cash_held:{tenant_id}"))
        for lot_id in self.settled & terms.keys():
            accounts.update(_all_of(terms[lot_id]))
        self._add_earned(accounts, book, terms)
        return accounts

    def _add_earned(self, accounts: set[str], book: Book, terms: dict[str, LotTerms]) -> None:
        """Add what payees earn: from holds that are there, and from those that the batch opens."""
        for hold_id in self.holds:
            hold = book.holds.get(hold_id)
            payee = self.payees.get(hold_id) or (hold and hold.payee)
            if not payee:
                continue
            lots = set(self.drawn.get(hold_id, ()))
            if hold is not None:
                lots.update(str(part.lot_id) for part in hold.slices)
            accounts.add(f"payable:{payee}")
            accounts.update(_earned(payee, lots & terms.keys(), terms))


def _earned(payee: str, lots: Iterable[str], terms: dict[str, LotTerms]) -> list[str]:
    programmes = {terms[lot_id].programme for lot_id in lots}
    return [
        name
        for programme in programmes
        for name in (f"due:{programme}", f"owed:{pair(programme, payee)}")
    ]


def _all_of(lot: LotTerms) -> list[str]:
    names = [f"{kind}:{lot.id}" for kind in ("claim_due", "receivable", "reused")]
    names += [f"{kind}:{lot.programme}" for kind in ("due", "paid", "reclaim")]
    for part in lot.mix:
        owner = pair(lot.programme, part.funder)
        names += [f"budget:{owner}", f"pool:{owner}"]
    return names
