"""The ledger against a model of a few dictionaries, over random histories."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from ledger_builders import (
    START,
    a_capture,
    a_clawback,
    a_close,
    a_deposit,
    a_hold,
    a_refund,
    a_release,
    a_repayment,
    add_tenants,
    an_expiry,
    an_issue,
    book,
    more_for,
)
from postgres_server import PostgresServer
from sqlalchemy import Engine

from suanwang.db.engine import open_engine
from suanwang.db.tables import metadata
from suanwang.units import share_fen
from voucher import store
from voucher.export import export_lines
from voucher.ledger import Accepted, Command, Outcome
from voucher.tender import Share, cash_needed_fen
from voucher.verifier import Verifier

TENANTS: Final = ("t1", "t2")
LOTS: Final = ("a", "b", "c", "d")
HOLDS: Final = tuple(f"h{number}" for number in range(24))
SETTINGS: Final = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
"""Without shrinking, which takes minutes on a database: a history has thirty steps at most."""
RATIOS: Final = ((1, 1), (1, 2), (1, 5), (3, 10))


class ModelLot:
    """A lot as a few numbers."""

    def __init__(self, tenant: str, amount: int, ratio: tuple[int, int], ends: datetime) -> None:
        self.tenant, self.issued, self.left = tenant, amount, amount
        self.ratio, self.ends = ratio, ends
        self.held = self.spent = self.expired = self.recalled = 0

    def usable(self, now: datetime) -> int:
        """Return what can be held or taken back."""
        return 0 if now >= self.ends else self.left

    def take_back(self, amount: int, now: datetime) -> None:
        """Money comes home, or is expired at once."""
        if now >= self.ends:
            self.expired += amount
        else:
            self.left += amount


class Model:
    """What the ledger should do, written again without postings, keys or batches."""

    def __init__(self) -> None:
        self.cash = dict.fromkeys(TENANTS, 0)
        self.lots: dict[str, ModelLot] = {}
        self.holds: dict[str, tuple[str, dict[str, int], int]] = {}
        self.ended: set[str] = set()
        self.paid: dict[str, tuple[str, dict[str, int], int]] = {}
        self.debts = dict.fromkeys(TENANTS, 0)
        self.periods: list[datetime] = []

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
            lot.take_back(part - paid[name], now)
        self.cash[tenant] += cash - left
        self.paid[hold] = (tenant, paid, left)


class LedgerMachine(RuleBasedStateMachine):
    """Commands at random moments, some of them repeated; the model decides what must happen."""

    engine: Engine

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.now = START
        self.number = 0
        self.past: list[tuple[Command, Accepted]] = []
        self.late: dict[str, str] = {}
        self.open()

    def open(self) -> None:
        """Start over with an empty ledger."""
        metadata.drop_all(self.engine)
        metadata.create_all(self.engine)
        with self.engine.begin() as connection:
            add_tenants(connection, *TENANTS)

    def run(self, command: Command, expected: bool) -> Outcome:
        """Apply one command, which must be accepted or refused as expected."""
        (outcome,) = book(self.engine, command, now=self.now)
        assert isinstance(outcome, Accepted) == expected, outcome
        if isinstance(outcome, Accepted):
            self.past.append((command, outcome))
        return outcome

    def key(self) -> str:
        """Return a key that was never used."""
        self.number += 1
        return f"k{self.number}"

    @initialize(
        amounts=st.lists(st.integers(50, 500), min_size=len(LOTS), max_size=len(LOTS)),
        ratios=st.lists(st.sampled_from(RATIOS), min_size=len(LOTS), max_size=len(LOTS)),
        lasts_s=st.lists(st.integers(100, 900), min_size=len(LOTS), max_size=len(LOTS)),
    )
    def begin_with_money(
        self, amounts: list[int], ratios: list[tuple[int, int]], lasts_s: list[int]
    ) -> None:
        for number, name in enumerate(LOTS[:-1]):
            tenant = TENANTS[number == 0]
            self.issue(name, tenant, amounts[number], ratios[number], lasts_s[number])
        for tenant in TENANTS:
            self.deposit(tenant, 2_000)

    @rule(seconds=st.integers(0, 300))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(tenant=st.sampled_from(TENANTS), amount=st.integers(-1, 500))
    def deposit(self, tenant: str, amount: int) -> None:
        self.run(a_deposit(amount, tenant, self.key()), amount > 0)
        if amount > 0:
            self.model.cash[tenant] += amount

    @rule(
        name=st.sampled_from(LOTS),
        tenant=st.sampled_from(TENANTS),
        amount=st.integers(0, 500),
        ratio=st.sampled_from(RATIOS),
        lasts_s=st.integers(0, 1_000),
    )
    def issue(
        self, name: str, tenant: str, amount: int, ratio: tuple[int, int], lasts_s: int
    ) -> None:
        ends = self.now + timedelta(seconds=lasts_s)
        command = an_issue(
            name,
            amount,
            key=self.key(),
            tenant_id=tenant,
            ratio_num=ratio[0],
            ratio_den=ratio[1],
            expires_at=ends,
        )
        is_good = amount > 0 and lasts_s > 0 and name not in self.model.lots
        self.run(command, is_good)
        if is_good:
            self.model.lots[name] = ModelLot(tenant, amount, ratio, ends)

    @rule(
        hold=st.sampled_from(HOLDS),
        tenant=st.sampled_from(TENANTS),
        slices=st.dictionaries(st.sampled_from(LOTS), st.integers(0, 200), max_size=2),
        cash=st.integers(0, 300),
    )
    def open_hold(self, hold: str, tenant: str, slices: dict[str, int], cash: int) -> None:
        model = self.model
        total = sum(slices.values()) + cash
        is_good = hold not in model.holds and hold not in model.ended
        is_good = is_good and all(
            name in model.lots
            and model.lots[name].tenant == tenant
            and self.now < model.lots[name].ends
            and part <= model.lots[name].left
            and part <= share_fen(total, *model.lots[name].ratio)
            for name, part in slices.items()
        )
        reserve = 0
        if is_good:
            shares = [Share(part, *model.lots[name].ratio) for name, part in slices.items()]
            reserve = max(cash, cash_needed_fen(shares))
            is_good = reserve <= model.cash[tenant]
        command = a_hold(hold, *slices.items(), (None, cash), tenant_id=tenant, key=self.key())
        self.run(command, is_good)
        if is_good:
            model.cash[tenant] -= reserve
            model.holds[hold] = (tenant, slices, reserve)
            for name, part in slices.items():
                model.lots[name].left -= part
                model.lots[name].held += part

    @rule(
        tenant=st.sampled_from(TENANTS),
        tenths=st.lists(st.integers(1, 10), min_size=len(LOTS), max_size=len(LOTS)),
        cash=st.integers(0, 400),
    )
    def open_sensible_hold(self, tenant: str, tenths: list[int], cash: int) -> None:
        free = [name for name in HOLDS if name not in self.model.ended | self.model.holds.keys()]
        lots = [
            (name, lot, part)
            for (name, lot), part in zip(self.model.lots.items(), tenths, strict=False)
            if lot.tenant == tenant and self.now < lot.ends
        ]
        price = cash + sum(lot.left * part // 10 for _, lot, part in lots)
        slices = {
            name: min(lot.left * part // 10, share_fen(price // 2, *lot.ratio))
            for name, lot, part in lots
        }
        if free:
            self.open_hold(free[0], tenant, slices, price - sum(slices.values()))

    @rule(choice=st.integers(0, 100))
    def the_end_of_a_lot_comes_and_is_booked(self, choice: int) -> None:
        names = sorted(name for name, lot in self.model.lots.items() if lot.left or lot.held)
        if names:
            name = names[choice % len(names)]
            self.now = max(self.now, self.model.lots[name].ends)
            self.expire(name)

    @rule(choice=st.integers(0, 100), thousandths=st.integers(0, 1_000))
    def pay_an_open_hold(self, choice: int, thousandths: int) -> None:
        names = sorted(self.model.holds)
        if names:
            _, slices, cash = self.model.holds[names[choice % len(names)]]
            held = sum(slices.values()) + cash
            self.capture(names[choice % len(names)], held * thousandths // 1_000)

    @rule(
        hold=st.sampled_from(HOLDS),
        amount=st.integers(0, 400),
        used_s=st.none() | st.integers(0, 400),
    )
    def capture(self, hold: str, amount: int, used_s: int | None = None) -> None:
        _, slices, cash = self.model.holds.get(hold, ("", {}, 0))
        is_good = hold in self.model.holds and amount <= sum(slices.values()) + cash
        used = None if used_s is None else self.now - timedelta(seconds=used_s)
        outcome = self.run(a_capture(hold, amount, self.key(), used), is_good)
        if is_good:
            self.model.close(hold, amount, self.now)
            ends = [end for end in self.model.periods if used is not None and used <= end]
            self.late[outcome.key] = f"until {ends[0].isoformat()}" if ends else ""

    @rule(hold=st.sampled_from(HOLDS))
    def release(self, hold: str) -> None:
        is_good = hold in self.model.holds
        self.run(a_release(hold, self.key()), is_good)
        if is_good:
            self.model.close(hold, 0, self.now)
            del self.model.paid[hold]

    @rule(
        choice=st.integers(0, 100),
        more=st.dictionaries(st.sampled_from(LOTS), st.integers(0, 60), max_size=2),
        cash=st.integers(0, 120),
    )
    def extend_a_hold(self, choice: int, more: dict[str, int], cash: int) -> None:
        model = self.model
        if not model.holds:
            return
        hold = sorted(model.holds)[choice % len(model.holds)]
        tenant, slices, held_cash = model.holds[hold]
        grown = {**slices, **{name: slices.get(name, 0) + part for name, part in more.items()}}
        total = sum(grown.values()) + held_cash + cash
        is_good = all(
            name in model.lots
            and model.lots[name].tenant == tenant
            and self.now < model.lots[name].ends
            and part <= model.lots[name].left
            for name, part in more.items()
        ) and all(part <= share_fen(total, *model.lots[name].ratio) for name, part in grown.items())
        needed = held_cash + cash
        if is_good:
            shares = [Share(part, *model.lots[name].ratio) for name, part in grown.items()]
            needed = max(needed, cash_needed_fen(shares))
            is_good = needed - held_cash <= model.cash[tenant]
        self.run(more_for(hold, *more.items(), (None, cash), key=self.key()), is_good)
        if is_good:
            model.cash[tenant] -= needed - held_cash
            model.holds[hold] = (tenant, grown, needed)
            for name, part in more.items():
                model.lots[name].left -= part
                model.lots[name].held += part

    @rule(choice=st.integers(0, 100), amount=st.integers(-1, 120))
    def refund(self, choice: int, amount: int) -> None:
        names = sorted(self.model.paid)
        if not names:
            return
        hold = names[choice % len(names)]
        tenant, lots, cash = self.model.paid[hold]
        is_good = 0 < amount <= sum(lots.values()) + cash
        if is_good:
            kept, keeps_cash = self.model.unwound(hold, amount)
            backs = {name: lots[name] - kept[name] for name in lots}
            is_good = all(back <= self.model.lots[name].spent for name, back in backs.items())
        self.run(a_refund(hold, amount, self.key()), is_good)
        if is_good:
            assert keeps_cash <= cash
            self.model.cash[tenant] += cash - keeps_cash
            self.model.paid[hold] = (tenant, kept, keeps_cash)
            for name, back in backs.items():
                self.model.lots[name].spent -= back
                self.model.lots[name].take_back(back, self.now)

    @rule(name=st.sampled_from(LOTS), amount=st.integers(0, 200))
    def claw_back(self, name: str, amount: int) -> None:
        lot = self.model.lots.get(name)
        is_good = lot is not None and 0 < amount <= lot.usable(self.now) + lot.spent
        self.run(a_clawback(name, amount, self.key()), is_good)
        if lot is not None and is_good:
            unused = min(amount, lot.usable(self.now))
            lot.left -= unused
            lot.spent -= amount - unused
            lot.recalled += amount
            self.model.debts[lot.tenant] += amount - unused

    @rule(tenant=st.sampled_from(TENANTS), amount=st.integers(0, 150))
    def repay(self, tenant: str, amount: int) -> None:
        is_good = 0 < amount <= self.model.debts[tenant]
        self.run(a_repayment(amount, tenant, self.key()), is_good)
        if is_good:
            self.model.debts[tenant] -= amount

    @rule(ago_s=st.integers(-50, 300))
    def close_a_period(self, ago_s: int) -> None:
        ends = self.now - timedelta(seconds=ago_s)
        periods = self.model.periods
        is_good = ago_s >= 0 and (not periods or ends > periods[-1])
        self.run(a_close(f"until {ends.isoformat()}", ends, self.key()), is_good)
        if is_good:
            periods.append(ends)

    @rule(name=st.sampled_from(LOTS))
    def expire(self, name: str) -> None:
        lot = self.model.lots.get(name)
        is_good = lot is not None and self.now >= lot.ends
        self.run(an_expiry(name, self.key()), is_good)
        if lot is not None and is_good:
            lot.expired += lot.left
            lot.left = 0

    @rule(choice=st.integers(0, 10**6))
    def send_again(self, choice: int) -> None:
        if not self.past:
            return
        command, first = self.past[choice % len(self.past)]
        (again,) = book(self.engine, command, now=self.now)
        assert isinstance(again, Accepted)
        assert again.is_repeat
        assert (again.seq, again.balances) == (first.seq, first.balances)

    @invariant()
    def the_ledger_is_as_the_model_says(self) -> None:
        with self.engine.begin() as connection:
            lots = {lot.id: lot for lot in store.lots(connection, now=self.now)}
            cash = {tenant: store.cash_fen(connection, tenant) for tenant in TENANTS}
            holds = {hold.id: hold.amount_fen for hold in store.open_holds(connection)}
            due = store.due_lots(connection, self.now)
            debts = {tenant: store.debt_fen(connection, tenant) for tenant in TENANTS}
            entries = [one for tenant in TENANTS for one in store.entries(connection, tenant)]
            report = store.check(connection)
            verifier = Verifier()
            assert verifier.verify(line.encode() for line in export_lines(connection))
        assert report.is_sound, report.findings
        assert {one.key: one.late_for for one in entries if one.kind == "capture"} == self.late
        assert debts == self.model.debts
        assert set(due) == {
            name for name, lot in self.model.lots.items() if self.now >= lot.ends and lot.left
        }
        assert report.entries == len(self.past)
        assert cash == self.model.cash
        assert holds == {
            name: sum(slices.values()) + part
            for name, (_, slices, part) in self.model.holds.items()
        }
        assert lots.keys() == self.model.lots.keys()
        for name, lot in self.model.lots.items():
            seen, is_over = lots[name], self.now >= lot.ends  # type: ignore[index]  # LotId is text
            assert seen.available_fen == (0 if is_over else lot.left)
            assert seen.expired_fen == lot.expired + (lot.left if is_over else 0)
            assert (seen.held_fen, seen.spent_fen) == (lot.held, lot.spent)
            assert seen.recalled_fen == lot.recalled


@contextmanager
def machine_on(url: str) -> Iterator[type[LedgerMachine]]:
    """Give the machine a database."""
    database = open_engine(url)

    class Machine(LedgerMachine):
        engine = database

    yield Machine
    database.dispose()


@pytest.mark.timeout(300)
def test_random_histories_on_sqlite_match_the_model() -> None:
    with (
        TemporaryDirectory() as folder,
        machine_on(f"sqlite:///{Path(folder) / 'l.db'}") as machine,
    ):
        run_state_machine_as_test(
            machine,
            settings=settings(SETTINGS, max_examples=60, stateful_step_count=30),
        )


@pytest.mark.postgresql
@pytest.mark.timeout(300)
def test_random_histories_on_postgresql_match_the_model(postgres_server: PostgresServer) -> None:
    with machine_on(postgres_server.create("ledger_model")) as machine:
        run_state_machine_as_test(
            machine,
            settings=settings(SETTINGS, max_examples=10, stateful_step_count=25),
        )
    postgres_server.drop("ledger_model")
