"""The ledger's own audit: everything stored must follow from the journal, and the chain be whole.

The journal is read up to its end without holding anybody up; only for the last entries and the
balances is the end of the chain locked.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from typing import Final

from sqlalchemy import Connection

from suanwang.units import yuan_text
from voucher.book import UNGUARDED, Book, Draft, kind_of
from voucher.chain import GENESIS, link
from voucher.commands import canonical, digest
from voucher.store_audit import (
    SliceSum,
    Stored,
    StoredLot,
    count_postings,
    hold_states,
    slice_sums,
    stand,
    stored_balances,
    stored_entries,
    stored_lots,
)
from voucher.store_book import Head

FINDINGS_MAX: Final = 50
"""Findings that are told in words; more are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerCheck:
    """What the audit found. Sound means: not one finding. Amounts are in fen, over all tenants.

    ``sum_fen`` is the sum of all accounts, which must be 0. For the lots ``issued_fen`` must be
    ``available + held + spent + expired``; expiry counts here when it is booked.
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
    head_seq: int
    head_chain: str
    findings: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing at all is wrong."""
        return not self.findings


def check(connection: Connection) -> LedgerCheck:
    """Read the whole ledger and return what is wrong with it, and its totals."""
    audit = _Audit()
    audit.follow(stored_entries(connection, 0, stand(connection, is_locked=False).seq))
    head = stand(connection, is_locked=True)
    audit.follow(stored_entries(connection, audit.head.seq, None))
    balances = stored_balances(connection)
    lots = tuple(stored_lots(connection))
    states = hold_states(connection)
    audit.compare_head(head)
    audit.compare_count(count_postings(connection))
    audit.compare_balances(balances)
    audit.compare_lots(lots, balances)
    audit.compare_holds(slice_sums(connection), states, balances)
    totals: Counter[str] = Counter()
    for name, amount in balances.items():
        totals[kind_of(name)] += amount
    return LedgerCheck(
        entries=audit.entries,
        postings=audit.postings,
        accounts=len(balances),
        lots=len(lots),
        holds_open=states.get("open", 0),
        sum_fen=sum(balances.values()),
        issued_fen=sum(lot.issued_fen for lot in lots),
        available_fen=totals["lot"],
        held_fen=totals["held"],
        spent_fen=totals["spent"],
        expired_fen=totals["expired"],
        cash_fen=totals["cash"],
        cash_held_fen=totals["cash_held"],
        payable_fen=totals["payable"],
        head_seq=head.seq,
        head_chain=head.chain,
        findings=audit.told(),
    )


def check_chain(connection: Connection) -> Head:
    """Follow the chain alone and return its end; raise ValueError at the first broken link."""
    former, seq = GENESIS, 0
    for stored in stored_entries(connection, 0, None):
        if stored.entry.seq != seq + 1 or link(former, stored.entry) != stored.chain:
            raise ValueError(f"the chain breaks at entry {seq + 1}")
        former, seq = stored.chain, stored.entry.seq
    return Head(seq, former)


@dataclass(slots=True)
class _Audit:
    head: Head = field(default_factory=lambda: Head(0, GENESIS))
    entries: int = 0
    postings: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    issued: dict[str, str] = field(default_factory=dict)
    book: Book = field(default_factory=Book)
    findings: list[str] = field(default_factory=list)

    def follow(self, entries: Iterable[Stored]) -> None:
        """Follow the chain and add the postings up."""
        for stored in entries:
            self._follow_one(stored)

    def _follow_one(self, stored: Stored) -> None:
        entry = stored.entry
        if entry.seq != self.head.seq + 1:
            self.findings.append(f"entries {self.head.seq + 1} to {entry.seq - 1} are missing")
        if digest(entry.body) != stored.digest:
            self.findings.append(f"entry {entry.seq}: its request does not match its digest")
        if link(self.head.chain, entry) != stored.chain:
            self.findings.append(f"entry {entry.seq}: the chain breaks here")
        touched = self.book.fold(Draft(tenant_id=entry.tenant_id, postings=tuple(entry.postings)))
        if canonical(touched) != entry.balances:
            self.findings.append(f"entry {entry.seq}: its balances do not follow from its postings")
        for name, amount in touched.items():
            if amount < 0 and kind_of(name) not in UNGUARDED:
                self.findings.append(f"entry {entry.seq}: account {name} falls to {amount} fen")
        if entry.kind == "issue":
            self.issued[json.loads(entry.body)["lot_id"]] = entry.body
        self.kinds[entry.kind] += 1
        self.entries += 1
        self.postings += len(entry.postings)
        # A broken link is told once: the walk goes on from what is stored.
        is_link = len(stored.chain) == len(GENESIS) and stored.chain.startswith(GENESIS[:2])
        self.head = Head(entry.seq, stored.chain if is_link else GENESIS)

    def compare_head(self, head: Head) -> None:
        """Compare the end of the chain with the newest entry: nothing may be cut off."""
        if head != self.head:
            self.findings.append(
                f"the chain should end with entry {head.seq} ({head.chain[:12]}…), "
                f"the journal ends with {self.head.seq} ({self.head.chain[:12]}…)"
            )

    def compare_count(self, stored: int) -> None:
        """Every line must belong to an entry."""
        if stored != self.postings:
            self.findings.append(
                f"the journal's entries have {self.postings} postings, {stored} are stored"
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
            parts = [balances.get(f"{kind}:{name}", 0) for kind in _LOT_PARTS]
            if sum(parts) != lot.issued_fen:
                added = " + ".join(yuan_text(part) for part in parts)
                self.findings.append(
                    f"lot {name}: {yuan_text(lot.issued_fen)} yuan were granted, "
                    f"left + held + spent + expired is {added}"
                )
            if _grant(lot) != self.issued.get(name):
                self.findings.append(f"lot {name}: its terms are not those of its grant")
        self.findings.extend(f"lot {name}: granted, but not stored" for name in sorted(missing))

    def compare_holds(
        self, sums: Iterable[SliceSum], states: Mapping[str, int], balances: Mapping[str, int]
    ) -> None:
        """Open holds must be what is held, and captured slices what is spent."""
        expected: Counter[str] = Counter()
        for part in sums:
            lot = part.lot_id
            if part.state == "open":
                name = f"held:{lot}" if lot is not None else f"cash_held:{part.tenant_id}"
                expected[name] += part.amount_fen
            if lot is not None:
                expected[f"spent:{lot}"] += part.captured_fen
        for name in sorted(expected.keys() | balances.keys()):
            if kind_of(name) in _HELD_KINDS and balances.get(name, 0) != expected[name]:
                self.findings.append(
                    f"account {name} has {yuan_text(balances.get(name, 0))} yuan, "
                    f"the holds say {yuan_text(expected[name])}"
                )
        for kind, state in (("capture", "captured"), ("release", "released")):
            if self.kinds[kind] != states.get(state, 0):
                self.findings.append(
                    f"{states.get(state, 0)} holds are {state}, the journal has {self.kinds[kind]}"
                )

    def told(self) -> tuple[str, ...]:
        """Return the findings, shortened if there are very many."""
        more = len(self.findings) - FINDINGS_MAX
        if more <= 0:
            return tuple(self.findings)
        return (*self.findings[:FINDINGS_MAX], f"and {more} more")


_LOT_PARTS: Final = ("lot", "held", "spent", "expired")
_HELD_KINDS: Final = frozenset({"held", "cash_held", "spent"})


def _grant(lot: StoredLot) -> str:
    """Return the request that would have granted this lot as it is stored."""
    terms = lot.terms
    return canonical(
        {
            "kind": "issue",
            "lot_id": terms.id,
            "tenant_id": terms.tenant_id,
            "programme": lot.programme,
            "amount_fen": lot.issued_fen,
            "ratio_num": terms.ratio_num,
            "ratio_den": terms.ratio_den,
            "expires_at": terms.expires_at.astimezone(UTC).isoformat(timespec="microseconds"),
            "rank": terms.rank,
            "sites": sorted(lot.sites),
            "accelerators": sorted(lot.accelerators),
        }
    )
