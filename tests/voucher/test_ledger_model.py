"""The ledger against a model of a few dictionaries, over random histories."""

from collections.abc import Iterator
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
from ledger_builders import START, a_deposit, a_hold, a_release, add_tenants, an_expiry, an_issue
from postgres_server import PostgresServer
from sqlalchemy import Engine

from suanwang.db.engine import open_engine
from suanwang.db.tables import metadata
from suanwang.units import share_fen
from voucher import store
from voucher.ledger import Accepted, Capture, Command, Outcome, apply
from voucher.tender import Share, cash_needed_fen

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
        self.held = self.spent = self.expired = 0


class Model:
    """What the ledger should do, written again without postings, keys or batches."""

    def __init__(self) -> None:
        self.cash = dict.fromkeys(TENANTS, 0)
        self.lots: dict[str, ModelLot] = {}
        self.holds: dict[str, tuple[str, dict[str, int], int]] = {}
        self.ended: set[str] = set()

    def close(self, hold: str, amount: int, now: datetime) -> None:
        """Pay lots in drawing order, then cash, and give back the rest."""
        tenant, slices, cash = self.holds.pop(hold)
        self.ended.add(hold)
        left = amount
        for name in sorted(slices, key=lambda name: (self.lots[name].ends, name)):
            lot, part = self.lots[name], slices[name]
            paid = min(part, share_fen(amount, *lot.ratio), left)
            left -= paid
            lot.held -= part
            lot.spent += paid
            if now >= lot.ends:
                lot.expired += part - paid
            else:
                lot.left += part - paid
        self.cash[tenant] += cash - left


class LedgerMachine(RuleBasedStateMachine):
    """Commands at random moments, some of them repeated; the model decides what must happen."""

    engine: Engine

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.now = START
        self.number = 0
        self.past: list[tuple[Command, Accepted]] = []
        self.open()

    def open(self) -> None:
        """Start over with an empty ledger."""
        metadata.drop_all(self.engine)
        metadata.create_all(self.engine)
        with self.engine.begin() as connection:
            add_tenants(connection, *TENANTS)

    def run(self, command: Command, expected: bool) -> Outcome:
        """Apply one command, which must be accepted or refused as expected."""
        with self.engine.begin() as connection:
            (outcome,) = apply(connection, [command], self.now)
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

    @rule(hold=st.sampled_from(HOLDS), amount=st.integers(0, 400))
    def capture(self, hold: str, amount: int) -> None:
        _, slices, cash = self.model.holds.get(hold, ("", {}, 0))
        is_good = hold in self.model.holds and amount <= sum(slices.values()) + cash
        self.run(Capture(key=self.key(), hold_id=hold, amount_fen=amount), is_good)
        if is_good:
            self.model.close(hold, amount, self.now)

    @rule(hold=st.sampled_from(HOLDS))
    def release(self, hold: str) -> None:
        is_good = hold in self.model.holds
        self.run(a_release(hold, self.key()), is_good)
        if is_good:
            self.model.close(hold, 0, self.now)

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
        with self.engine.begin() as connection:
            (again,) = apply(connection, [command], self.now)
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
            report = store.check(connection)
        assert report.is_sound, report.findings
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
