"""The ledger's own audit: everything stored must follow from the journal, and the chain be whole.

The journal is read up to its end without holding anybody up; only for the last entries and the
balances is the end of the chain locked.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection

from suanwang.units import yuan_text
from voucher import store_anchors
from voucher.book import (
    CLAIM_PARTS,
    LOT_PARTS,
    NEVER_ABOVE_ZERO,
    UNGUARDED,
    Book,
    Period,
    kind_of,
)
from voucher.chain import (
    GENESIS,
    Entry,
    Posting,
    algorithm_of,
    genesis,
    genesis_before,
    is_link,
    link,
)
from voucher.chain_parts import following
from voucher.check_funders import FundersAudit
from voucher.commands import CLAIM_KIND, KINDS, Issue, canonical, canonical_balances, digest
from voucher.funding import pair
from voucher.store_audit import (
    Stored,
    StoredHold,
    StoredLot,
    StoredPeriod,
    stand,
    stored_balances,
    stored_entries,
    stored_holds,
    stored_lots,
    stored_periods,
    stored_receipts,
)
from voucher.store_book import Head

FINDINGS_MAX: Final = 50
"""Findings that are told in words; more are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerCheck:
    """What the audit found. Sound means: not one finding. Amounts are in fen, over all tenants.

    ``sum_fen`` is the sum of all accounts, which must be 0. For the lots ``issued_fen`` must be
    ``available + held + spent + expired + recalled``; expiry counts here when it is booked.
    For claims ``issued_fen`` is ``kept + redeemed + expired + recalled``. ``owed_fen`` is what
    tenants owe from clawbacks, ``due_fen`` what programmes owe to payees and claimants.
    """

    entries: int
    postings: int
    accounts: int
    lots: int
    holds_open: int
    sum_fen: int
    issued_fen: int
    available_fen: int
    held_fen: int
    spent_fen: int
    expired_fen: int
    cash_fen: int
    cash_held_fen: int
    payable_fen: int
    recalled_fen: int
    claimed_fen: int
    redeemed_fen: int
    pooled_fen: int
    due_fen: int
    owed_fen: int
    head_seq: int
    head_chain: str
    findings: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing at all is wrong."""
        return not self.findings


def check(connection: Connection) -> LedgerCheck:
    """Read the whole ledger and return what is wrong with it, and its totals."""
    end = stand(connection, is_locked=False)
    start = genesis_before(end.chain) if is_link(end.chain) else GENESIS
    audit = _audit_until(connection, Head(0, start), end)
    head = stand(connection, is_locked=True)
    audit.follow(stored_entries(connection, audit.head.seq, None))
    balances = stored_balances(connection)
    lots = tuple(stored_lots(connection))
    audit.compare_head(head)
    audit.compare_balances(balances)
    audit.compare_lots(lots, balances)
    audit.funders.compare((lot.terms for lot in lots), balances)
    programmes = {lot.terms.id: lot.terms.programme for lot in lots}
    states = audit.compare_holds(stored_holds(connection), balances, programmes)
    audit.compare_periods(stored_periods(connection))
    audit.compare_receipts(stored_receipts(connection))
    totals: Counter[str] = Counter()
    for name, amount in balances.items():
        totals[kind_of(name)] += amount
    return LedgerCheck(
        entries=audit.entries,
        postings=audit.postings,
        accounts=len(balances),
        lots=len(lots),
        holds_open=states["open"],
        sum_fen=sum(balances.values()),
        issued_fen=sum(lot.issued_fen for lot in lots),
        available_fen=totals["lot"],
        held_fen=totals["held"],
        spent_fen=totals["spent"],
        expired_fen=totals["expired"],
        cash_fen=totals["cash"],
        cash_held_fen=totals["cash_held"],
        payable_fen=totals["payable"],
        recalled_fen=totals["recalled"],
        claimed_fen=totals["claim"],
        redeemed_fen=totals["redeemed"],
        pooled_fen=totals["pool"],
        due_fen=totals["owed"] + totals["claim_due"],
        owed_fen=-totals["receivable"],
        head_seq=head.seq,
        head_chain=head.chain,
        findings=(*audit.told(), *store_anchors.faults(connection)),
    )


def check_chain(connection: Connection) -> Head:
    """Follow the chain alone, to the end that was told; raise ValueError at the first broken link.

    A connection that only reads (``suanwang.db.engine.reading``) gets processes side by side.
    """
    end = stand(connection, is_locked=False)
    begin = Head(0, genesis(algorithm_of(end.chain)))
    with following(connection, begin, end, is_shared=True, with_digests=False) as chain:
        chain.finish(end)
    return end


def _audit_until(connection: Connection, begin: Head, end: Head) -> "_Audit":
    """Read the entries up to an end, while other processes follow the chain where they can."""
    with following(connection, begin, end, is_shared=False, with_digests=True) as chain:
        audit = _Audit(head=begin, is_followed=chain.is_elsewhere)
        audit.follow(stored_entries(connection, 0, end.seq))
        try:
            if audit.is_followed:
                chain.finish(end)
        except ValueError:
            # Everything is read once more, in order, to say what is wrong.
            audit = _Audit(head=begin)
            audit.follow(stored_entries(connection, 0, end.seq))
    audit.is_followed = False
    return audit


@dataclass(slots=True)
class _Audit:
    """What the journal comes to; ``is_followed`` says that its links are followed elsewhere."""

    head: Head = field(default_factory=lambda: Head(0, GENESIS))
    is_followed: bool = False
    entries: int = 0
    postings: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    issued: dict[str, str] = field(default_factory=dict)
    paid: Counter[str] = field(default_factory=Counter)
    given_back: Counter[str] = field(default_factory=Counter)
    periods: list[StoredPeriod] = field(default_factory=list)
    receipts: dict[str, int] = field(default_factory=dict)
    book: Book = field(default_factory=Book)
    signs: dict[str, int] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    funders: FundersAudit = field(init=False)

    def __post_init__(self) -> None:
        self.funders = FundersAudit(self.findings)

    def follow(self, entries: Iterable[Stored]) -> None:
        """Follow the chain and add the postings up."""
        for stored in entries:
            self._follow_link(stored)
            self._follow_money(stored.entry)
            self._follow_kind(stored.entry)
            self.entries += 1

    def _follow_link(self, stored: Stored) -> None:
        entry, stored_digest, chain = stored
        if entry.seq != self.head.seq + 1:
            self.findings.append(f"entries {self.head.seq + 1} to {entry.seq - 1} are missing")
        if self.is_followed:
            self.head = Head(entry.seq, chain)
            return
        if digest(entry.body) != stored_digest:
            self.findings.append(f"entry {entry.seq}: its request does not match its digest")
        if link(self.head.chain, entry) != chain:
            self.findings.append(f"entry {entry.seq}: the chain breaks here")
        # A broken link is told once: the walk goes on from what is stored.
        self.head = Head(entry.seq, chain if is_link(chain) else GENESIS)

    def _follow_money(self, entry: Entry) -> None:
        try:
            postings = entry.postings
        except ValueError:
            self.findings.append(f"entry {entry.seq}: its postings cannot be read")
            return
        touched = self.book.move(postings)
        self.postings += len(postings)
        told = self._totals() if entry.kind == "close-period" else touched
        if canonical_balances(told) != entry.balances:
            self.findings.append(f"entry {entry.seq}: its balances do not follow from its postings")
        for name, amount in touched.items():
            sign = self.signs.get(name)
            if sign is None:
                sign = self.signs[name] = _sign_of(kind_of(name))
            if sign * amount < 0:
                self.findings.append(f"entry {entry.seq}: account {name} comes to {amount} fen")
        self._follow_payments(entry, postings)
        self.funders.follow(entry, postings, self.book.balances)

    def _follow_payments(self, entry: Entry, postings: Sequence[Posting]) -> None:
        is_capture, is_refund = entry.kind == "capture", entry.kind == "refund"
        for source, target, amount in postings:
            if amount <= 0:
                self.findings.append(f"entry {entry.seq}: {amount} fen moved")
            if is_refund:
                self.given_back[source] += amount
            elif is_capture and kind_of(target) in _PAID_KINDS:
                self.paid[target] += amount

    def _totals(self) -> dict[str, int]:
        totals: Counter[str] = Counter()
        for name, amount in self.book.balances.items():
            totals[kind_of(name)] += amount
        return {kind: total for kind, total in totals.items() if total}

    def _follow_kind(self, entry: Entry) -> None:
        self.kinds[entry.kind] += 1
        if entry.kind in (KINDS[Issue], CLAIM_KIND):
            self.issued[json.loads(entry.body)["lot_id"]] = entry.body
        elif entry.kind in _WITH_RECEIPT:
            self.receipts[json.loads(entry.body)["receipt"]] = entry.seq
        elif entry.kind == "close-period":
            closed = json.loads(entry.body)
            period = Period(closed["period_id"], datetime.fromisoformat(closed["ends_at"]))
            self.periods.append(StoredPeriod(period, entry.seq))
        elif entry.late_for != self._late_for(entry):
            self.findings.append(f"entry {entry.seq}: it names {entry.late_for!r} as its period")

    def _late_for(self, entry: Entry) -> str:
        if entry.kind != "capture" or not self.periods:
            return ""
        used_until = json.loads(entry.body)["used_until"]
        if used_until is None:
            return ""
        until = datetime.fromisoformat(used_until)
        closed = (one.period for one in self.periods)
        return next((period.id for period in closed if until <= period.ends_at), "")

    def compare_head(self, head: Head) -> None:
        """Compare the end of the chain with the newest entry: nothing may be cut off."""
        if head != self.head:
            self.findings.append(
                f"the chain should end with entry {head.seq} ({head.chain[:12]}…), "
                f"the journal ends with {self.head.seq} ({self.head.chain[:12]}…)"
            )

    def compare_balances(self, balances: Mapping[str, int]) -> None:
        """Every stored balance must be the sum of its postings, and all together zero."""
        for name in sorted(balances.keys() | self.book.balances.keys()):
            stored, booked = balances.get(name, 0), self.book.balances.get(name, 0)
            if stored != booked:
                self.findings.append(
                    f"account {name} has {yuan_text(stored)} yuan, "
                    f"its postings add up to {yuan_text(booked)}"
                )
        total = sum(balances.values())
        if total:
            self.findings.append(f"all accounts add up to {yuan_text(total)} yuan, not to 0")

    def compare_lots(self, lots: Iterable[StoredLot], balances: Mapping[str, int]) -> None:
        """Every lot must be as it was granted, and its parts add up to the grant."""
        missing = set(self.issued)
        for lot in lots:
            name = lot.terms.id
            missing.discard(name)
            kinds = CLAIM_PARTS if lot.terms.is_claim else LOT_PARTS
            parts = [balances.get(f"{kind}:{name}", 0) for kind in kinds]
            if sum(parts) != lot.issued_fen:
                added = " + ".join(yuan_text(part) for part in parts)
                self.findings.append(
                    f"lot {name}: {yuan_text(lot.issued_fen)} yuan were granted, "
                    f"{' + '.join(kinds).replace('lot', 'left')} is {added}"
                )
            if _grant(lot) != self.issued.get(name):
                self.findings.append(f"lot {name}: its terms are not those of its grant")
        self.findings.extend(f"lot {name}: granted, but not stored" for name in sorted(missing))

    def compare_holds(
        self,
        holds: Iterable[StoredHold],
        balances: Mapping[str, int],
        programmes: Mapping[str, str],
    ) -> Counter[str]:
        """Open holds must be what is held, what they paid the journal's; return the states."""
        held: Counter[str] = Counter()
        paid: Counter[str] = Counter()
        given_back: Counter[str] = Counter()
        states: Counter[str] = Counter()
        paid_from = defaultdict[tuple[str | None, str | None], list[int]](lambda: [0, 0])
        for state, tenant_id, payee, slices in holds:
            states[state] += 1
            for lot, amount, captured, refunded in slices:
                if state == "open":
                    held[f"held:{lot}" if lot else f"cash_held:{tenant_id}"] += amount
                sums = paid_from[payee, lot]
                sums[0] += captured
                sums[1] += refunded
        for (payee, lot), (captured, refunded) in paid_from.items():
            for name in _paid_names(payee, lot, programmes):
                paid[name] += captured
                given_back[name] += refunded
        booked = Counter({n: fen for n, fen in balances.items() if kind_of(n) in _HELD_KINDS})
        self._compare(held, booked, "stand on")
        self._compare(paid, self.paid, "were paid to")
        self._compare(given_back, self.given_back, "were given back from")
        for kind, state in (("capture", "captured"), ("release", "released")):
            if self.kinds[kind] != states[state]:
                self.findings.append(
                    f"{states[state]} holds are {state}, the journal has {self.kinds[kind]}"
                )
        return states

    def _compare(self, holds: Counter[str], booked: Counter[str], what: str) -> None:
        for name in sorted(holds.keys() | booked.keys()):
            if holds[name] != booked[name]:
                self.findings.append(
                    f"account {name} has {yuan_text(booked[name])} yuan, "
                    f"the holds say {yuan_text(holds[name])} {what} it"
                )

    def compare_periods(self, periods: Iterable[StoredPeriod]) -> None:
        """The closed periods must be those of the journal."""
        for stored in {*periods} ^ {*self.periods}:
            self.findings.append(
                f"period {stored.period.id}: table and journal differ about entry {stored.seq}"
            )

    def compare_receipts(self, receipts: Mapping[str, int]) -> None:
        """The bank's receipts must be those that the journal names."""
        for receipt in sorted({*receipts.items()} ^ {*self.receipts.items()}):
            self.findings.append(
                f"receipt {receipt[0]}: table and journal differ about entry {receipt[1]}"
            )

    def told(self) -> tuple[str, ...]:
        """Return the findings, shortened if there are very many."""
        more = len(self.findings) - FINDINGS_MAX
        if more <= 0:
            return tuple(self.findings)
        return (*self.findings[:FINDINGS_MAX], f"and {more} more")


_HELD_KINDS: Final = frozenset({"held", "cash_held"})
_PAID_KINDS: Final = frozenset({"spent", "payable", "owed"})
_WITH_RECEIPT: Final = frozenset({"repay", "pay-claim", "pay-out", "pay-back"})


def _sign_of(kind: str) -> int:
    """Return 1 for accounts that never go below zero, -1 for those never above it, or 0."""
    if kind in NEVER_ABOVE_ZERO:
        return -1
    return 0 if kind in UNGUARDED else 1


def _paid_names(
    payee: str | None, lot_id: str | None, programmes: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the accounts that a slice of a hold pays into."""
    if lot_id is None:
        return (f"payable:{payee}",)
    return f"spent:{lot_id}", f"owed:{pair(programmes.get(lot_id, ''), str(payee))}"


def _grant(lot: StoredLot) -> str:
    """Return the request that would have granted this lot as it is stored."""
    terms = lot.terms
    return canonical(
        {
            "kind": CLAIM_KIND if terms.is_claim else KINDS[Issue],
            "lot_id": terms.id,
            "tenant_id": terms.tenant_id,
            "programme": terms.programme,
            "amount_fen": lot.issued_fen,
            "ratio_num": terms.ratio_num,
            "ratio_den": terms.ratio_den,
            "expires_at": terms.expires_at.astimezone(UTC).isoformat(timespec="microseconds"),
            "grace_s": lot.grace_s,
            "rank": terms.rank,
            "sites": sorted(lot.sites),
            "accelerators": sorted(lot.accelerators),
            "funders": terms.mix,
            "is_reused": terms.is_reused,
        }
    )
