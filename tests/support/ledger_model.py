"""What the ledger should do, written again without postings, keys, batches or shares."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from hypothesis import HealthCheck, Phase, settings
from ledger_builders import LATER, a_mix

from suanwang.model.voucher import Lot
from suanwang.units import share_fen
from voucher.funding import Mix
from voucher.store_funders import FunderStand, Payable

TENANTS: Final = ("t1", "t2")
LOTS: Final = ("a", "b", "c", "d")
FUNDERS: Final = ("city", "district")
MIXES: Final[Sequence[Callable[[int], Mix]]] = (
    lambda amount: a_mix(city=amount - amount // 3, district=amount // 3),
    lambda amount: a_mix(city=amount),
    lambda amount: a_mix(district=amount - amount // 7, province=amount // 7),
    lambda amount: a_mix(platform=amount),
)


HOLDS: Final = tuple(f"h{number}" for number in range(24))
SETTINGS: Final = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
"""Without shrinking, which takes minutes on a database: a history has thirty steps at most."""
RATIOS: Final = ((1, 1), (1, 2), (1, 5), (3, 10))


class ModelLot:
    """A lot as a few numbers, and as a row of fen, each with the funder whose it is."""

    def __init__(
        self, tenant: str, amount: int, ratio: tuple[int, int], ends: datetime, mix: Mix
    ) -> None:
        self.tenant, self.issued, self.left = tenant, amount, amount
        self.ratio, self.ends = ratio, ends
        self.held = self.spent = self.expired = self.recalled = 0
        self.debt = self.returned = 0
        self.is_reused = len(mix) > 1
        # Fen by fen: one of the first funder's whenever it is behind its proportion.
        self.owners: list[str] = []
        (first, most), *others = mix
        for number in range(1, amount + 1):
            is_behind = self.owners.count(first) * amount < most * number
            self.owners.append(first if is_behind or not others else others[0][0])

    def is_behind(self) -> bool:
        """Whether something comes back to the funders at the next occasion."""
        return self.is_reused and self.returned < self.expired + self.recalled - self.debt

    def parts(self) -> dict[str, Counter[str]]:
        """Count what became of each funder's fen, from the first to the last of the lot."""
        begins, parts = 0, dict[str, Counter[str]]()
        for what in ("spent", "held", "left", "recalled", "expired"):
            amount = getattr(self, what)
            parts[what] = Counter(self.owners[begins : begins + amount])
            begins += amount
        return parts

    def to_return(self) -> dict[str, int]:
        """Count what comes back to each funder: the last fen that have not come back yet."""
        if not self.is_reused:
            return {}
        wanted = self.expired + self.recalled - self.debt
        back = self.owners[self.issued - wanted : self.issued - self.returned]
        self.returned = wanted
        return Counter(back)

    def usable(self, now: datetime) -> int:
        """Return what can be held or taken back."""
        return 0 if now >= self.ends else self.left

    def take_back(self, amount: int, now: datetime) -> None:
        """Money comes home, or is expired at once."""
        if now >= self.ends:
            self.expired += amount
        else:
            self.left += amount


class ModelClaim:
    """A claim as a few numbers."""

    def __init__(self, amount: int) -> None:
        self.kept, self.due, self.paid, self.returned = amount, 0, 0, 0


class Model:
    """What the ledger should do, written again without postings, keys or batches."""

    def __init__(self) -> None:
        self.cash = dict.fromkeys(TENANTS, 0)
        self.lots: dict[str, ModelLot] = {}
        self.holds: dict[str, tuple[str, dict[str, int], int]] = {}
        self.ended: set[str] = set()
        self.paid: dict[str, tuple[str, dict[str, int], int]] = {}
        self.periods: list[datetime] = []
        self.pools: dict[str, int] = {}
        self.earned = {"voucher": 0, "cash": 0}
        self.paid_out = {"voucher": 0, "cash": 0}
        self.claim: ModelClaim | None = None

    def grant(self, mix: Mix) -> bool:
        """Take the funders' parts out of their pools, if all have enough."""
        if any(part.amount_fen > self.pools.get(part.funder, 10**9) for part in mix):
            return False
        for part in mix:
            if part.funder in self.pools:
                self.pools[part.funder] -= part.amount_fen
        return True

    def give_back(self, parts: Mapping[str, int]) -> None:
        """Put what comes back into the pools of those that have one."""
        for funder, amount in parts.items():
            if funder in self.pools:
                self.pools[funder] += amount

    def claims_due(self, now: datetime) -> set[str]:
        """Return the claim, if it has ended with something left."""
        return {"claim"} if self.claim and self.claim.kept and now >= LATER else set()

    def drawn(self, names: Iterable[str]) -> list[str]:
        """Return lots in drawing order."""
        return sorted(names, key=lambda name: (self.lots[name].ends, name))

    def unwound(self, hold: str, amount: int) -> tuple[dict[str, int], int]:
        """Return what lots and cash would keep paying after a refund."""
        _, lots, cash = self.paid[hold]
        total = sum(lots.values()) + cash - amount
        kept, left = {}, total
        for name in self.drawn(lots):
            kept[name] = min(lots[name], share_fen(total, *self.lots[name].ratio), left)
            left -= kept[name]
        for name in self.drawn(lots):
            more = min(max(0, left - cash), lots[name] - kept[name])
            kept[name] += more
            left -= more
        return kept, left

    def close(self, hold: str, amount: int, now: datetime) -> None:
        """Pay lots in drawing order, then cash, and give back the rest."""
        tenant, slices, cash = self.holds.pop(hold)
        self.ended.add(hold)
        left, paid = amount, {}
        for name in self.drawn(slices):
            lot, part = self.lots[name], slices[name]
            paid[name] = min(part, share_fen(amount, *lot.ratio), left)
            left -= paid[name]
            lot.held -= part
            lot.spent += paid[name]
            self.earned["voucher"] += paid[name]
            lot.take_back(part - paid[name], now)
        self.earned["cash"] += left
        self.cash[tenant] += cash - left
        self.paid[hold] = (tenant, paid, left)


def every_fen_is_its_funders(model: Model, funders: tuple[FunderStand, ...]) -> None:
    """Compare where each funder's money is: counted fen by fen, and as the ledger says."""
    seen = {one.funder: one for one in funders}
    assert {name: one.pool_fen for name, one in seen.items() if one.has_pool} == (model.pools)
    parts = [lot.parts() for lot in model.lots.values()]
    claim = model.claim
    claimed = {
        "spent": claim.due + claim.paid if claim else 0,
        "left": claim.kept if claim else 0,
        "expired": claim.returned if claim else 0,
    }
    for name, one in seen.items():
        for what in ("spent", "held", "left", "recalled", "expired"):
            expected = sum(lot[what][name] for lot in parts)
            expected += claimed.get(what, 0) if name == "city" else 0
            assert getattr(one.parts, what) == expected, (name, what)
        out = one.parts.granted - one.returned_fen
        assert one.appropriated_fen == one.pool_fen + out


def what_was_earned_is_owed_or_paid(model: Model, owed: tuple[Payable, ...]) -> None:
    """Compare what payees and claimants are owed."""
    claim = model.claim
    expected = {
        ("voucher", "platform"): model.earned["voucher"],
        ("cash", "platform"): model.earned["cash"],
        ("claim", "claim"): claim.due if claim else 0,
    }
    assert {(str(one.kind), one.payee): one.open_fen for one in owed} == {
        name: fen for name, fen in expected.items() if fen
    }


def every_lot_is_as_modelled(model: Model, lots: Iterable[Lot], now: datetime) -> None:
    """Compare what is left of every lot, and what became of the rest."""
    seen = {str(lot.id): lot for lot in lots}
    assert seen.keys() == model.lots.keys()
    for name, lot in model.lots.items():
        one, is_over = seen[name], now >= lot.ends
        assert one.available_fen == (0 if is_over else lot.left)
        assert one.expired_fen == lot.expired + (lot.left if is_over else 0)
        assert (one.held_fen, one.spent_fen) == (lot.held, lot.spent)
        assert one.recalled_fen == lot.recalled


def compare(
    model: Model,
    now: datetime,
    *,
    lots: Iterable[Lot],
    funders: tuple[FunderStand, ...],
    owed: tuple[Payable, ...],
) -> None:
    """Compare what the ledger says with the model."""
    every_lot_is_as_modelled(model, lots, now)
    every_fen_is_its_funders(model, funders)
    what_was_earned_is_owed_or_paid(model, owed)
