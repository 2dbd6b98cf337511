"""The part of the audit that follows whose money it is: every fen of every funder, to its end.

Three things are proved of the journal alone. A lot is granted out of the pools or budgets of its
funders, each with its part. What a lot gives back goes to its funders in the parts that follow from
the amount. And what programmes owe is what their vouchers paid, no more and no less.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from suanwang.units import yuan_text
from voucher.book import LotTerms, kind_of
from voucher.chain import Entry, Posting
from voucher.funding import Mix, between, from_the_end, pair, read_mix, unpaired

_PAID_AND_OWED = ("spent", "owed")
_EARNING = frozenset({"capture", "refund"})
_GRANTING = frozenset({"issue", "claim"})
_OF_LOTS = frozenset({"spent", "redeemed", "claim_due"})
_COLUMNS = {
    "due": "due",
    "spent": "used",
    "redeemed": "used",
    "reclaim": "used",
    "owed": "open",
    "claim_due": "open",
    "paid": "open",
}


@dataclass(frozen=True, slots=True)
class _Lot:
    programme: str
    mix: Mix


@dataclass(slots=True)
class FundersAudit:
    """Follows the journal entry by entry; ``findings`` is the audit's own list."""

    findings: list[str]
    lots: dict[str, _Lot] = field(default_factory=dict)
    pools: set[str] = field(default_factory=set)
    returned: dict[str, Counter[str]] = field(default_factory=dict)

    def follow(
        self, entry: Entry, postings: Sequence[Posting], balances: Mapping[str, int]
    ) -> None:
        """Check one entry; ``balances`` are those after it."""
        if entry.kind in _EARNING:
            self._follow_earned(entry, postings)
            return
        if entry.kind in _GRANTING:
            self._follow_grant(entry, postings)
        if "reused:" in entry.moves:
            self._follow_return(entry, postings, balances)
        if "pool:" in entry.moves:
            names = [name for one in postings for name in (one.source, one.target)]
            self.pools.update(name for name in names if name.startswith("pool:"))

    def _follow_earned(self, entry: Entry, postings: Sequence[Posting]) -> None:
        """What vouchers pay is what their programmes owe from now on."""
        changes = [(target, amount) for _, target, amount in postings]
        changes += [(source, -amount) for source, _, amount in postings]
        spent: dict[str, int] = {}
        owed: dict[str, int] = {}
        for name, change in changes:
            if name.startswith(_PAID_AND_OWED):
                kind, _, owner = name.partition(":")
                if kind == "spent":
                    lot = self.lots.get(owner)
                    programme = lot.programme if lot else owner
                    spent[programme] = spent.get(programme, 0) + change
                elif kind == "owed":
                    programme = unpaired(owner)[0]
                    owed[programme] = owed.get(programme, 0) + change
        if spent != owed and Counter(spent) != Counter(owed):
            self.findings.append(
                f"entry {entry.seq}: vouchers pay {_told(spent)}, programmes owe {_told(owed)}"
            )

    def _follow_grant(self, entry: Entry, postings: Sequence[Posting]) -> None:
        try:
            body = json.loads(entry.body)
            programme, lot_id = str(body["programme"]), str(body["lot_id"])
            mix = read_mix(json.dumps(body["funders"]))
            amount = int(body["amount_fen"])
        except (ValueError, KeyError, TypeError):
            self.findings.append(f"entry {entry.seq}: its request is no grant")
            return
        self.lots[lot_id] = _Lot(programme, mix)
        given = {}
        for one in mix:
            owner = pair(programme, one.funder)
            given["pool:" + owner if "pool:" + owner in self.pools else "budget:" + owner] = one
        target = f"{'claim' if entry.kind == 'claim' else 'lot'}:{lot_id}"
        wanted = [Posting(name, target, one.amount_fen) for name, one in given.items()]
        if list(postings) != wanted or sum(one.amount_fen for one in mix) != amount:
            self.findings.append(f"entry {entry.seq}: lot {lot_id} is not given by its funders")

    def _follow_return(
        self, entry: Entry, postings: Sequence[Posting], balances: Mapping[str, int]
    ) -> None:
        lots = {one.source.partition(":")[2] for one in postings if kind_of(one.source) == "reused"}
        for lot_id in lots & self.lots.keys():
            lot = self.lots[lot_id]
            returned = self.returned.setdefault(lot_id, Counter())
            for one in postings:
                if one.source == f"reused:{lot_id}":
                    returned[unpaired(one.target.partition(":")[2])[1]] += one.amount_fen
            total = -balances.get(f"reused:{lot_id}", 0)
            names = (f"{kind}:{lot_id}" for kind in ("expired", "recalled", "receivable"))
            parts = dict(zip((one.funder for one in lot.mix), from_the_end(total, lot.mix),
                             strict=True))  # fmt: skip
            if total != sum(balances.get(name, 0) for name in names) or any(
                returned[funder] != parts.get(funder) for funder in {*returned, *parts}
            ):
                self.findings.append(
                    f"entry {entry.seq}: lot {lot_id} gives back {yuan_text(total)} yuan in "
                    f"parts {_told(returned)}, its funders' are {_told(parts)}"
                )

    def compare(self, lots: Iterable[LotTerms], balances: Mapping[str, int]) -> None:
        """Compare what programmes owe and what funders gave with what became of it."""
        known = {lot.id: lot for lot in lots}
        self._compare_debts(known, balances)
        self._compare_funders(known, balances)

    def _compare_debts(self, lots: Mapping[str, LotTerms], balances: Mapping[str, int]) -> None:
        """Used and not given back = owed + paid: nothing is due that no voucher or claim used."""
        sums = {column: Counter[str]() for column in ("due", "used", "open")}
        for name, amount in balances.items():
            kind, _, owner = name.partition(":")
            if kind not in _COLUMNS:
                continue
            if kind == "owed":
                owner = unpaired(owner)[0]
            elif kind in _OF_LOTS and owner in lots:
                owner = lots[owner].programme
            sums[_COLUMNS[kind]][owner] += -amount if kind == "due" else amount
        due, used, payable = sums.values()
        for programme in sorted({*due, *used, *payable}):
            if not due[programme] == used[programme] == payable[programme]:
                self.findings.append(
                    f"programme {programme}: {yuan_text(due[programme])} yuan became due, "
                    f"{yuan_text(used[programme])} were used, "
                    f"{yuan_text(payable[programme])} are owed or paid"
                )

    def _compare_funders(self, lots: Mapping[str, LotTerms], balances: Mapping[str, int]) -> None:
        """Appropriated = in the pool + granted - given back, for each funder of each programme."""
        out: Counter[str] = Counter()
        for lot_id, lot in lots.items():
            returned = -balances.get(f"reused:{lot_id}", 0)
            mix = lot.mix
            whole = sum(one.amount_fen for one in mix)
            for one, kept in zip(mix, between(0, whole - returned, mix), strict=True):
                out[pair(lot.programme, one.funder)] += kept
        owners = {
            name.partition(":")[2] for name in balances if kind_of(name) in ("budget", "pool")
        }
        for owner in sorted({*out, *owners}):
            given = -balances.get(f"budget:{owner}", 0)
            there = balances.get(f"pool:{owner}", 0)
            if given != there + out[owner]:
                programme, funder = unpaired(owner)
                self.findings.append(
                    f"funder {funder} of {programme} gave {yuan_text(given)} yuan: "
                    f"{yuan_text(there)} in its pool + {yuan_text(out[owner])} in lots"
                )


def _told(amounts: Mapping[str, int]) -> str:
    shown = (f"{name} {yuan_text(amount)}" for name, amount in sorted(amounts.items()) if amount)
    return ", ".join(shown) or "nothing"
