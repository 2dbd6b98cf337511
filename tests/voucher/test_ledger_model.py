"""The ledger against a model of a few dictionaries, over random histories."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from ledger_builders import (
    LATER,
    START,
    a_capture,
    a_claim,
    a_claim_payment,
    a_claims_end,
    a_clawback,
    a_close,
    a_deposit,
    a_hold,
    a_mix,
    a_payback,
    a_payout,
    a_redemption,
    a_refund,
    a_release,
    a_repayment,
    a_withdrawal,
    add_tenants,
    an_appropriation,
    an_expiry,
    an_issue,
    book,
    more_for,
)
from ledger_model import (
    FUNDERS,
    HOLDS,
    LOTS,
    MIXES,
    RATIOS,
    SETTINGS,
    TENANTS,
    Model,
    ModelClaim,
    ModelLot,
    compare,
)
from postgres_server import PostgresServer
from sqlalchemy import Engine

from suanwang.db.engine import open_engine
from suanwang.db.tables import metadata
from suanwang.units import share_fen
from voucher import store, store_funders
from voucher.export import export_lines
from voucher.ledger import Accepted, Command, Outcome
from voucher.tender import Share, cash_needed_fen
from voucher.verifier import Verifier


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
        mix = MIXES[LOTS.index(name)](amount)
        command = an_issue(
            name,
            amount,
            key=self.key(),
            tenant_id=tenant,
            ratio_num=ratio[0],
            ratio_den=ratio[1],
            expires_at=ends,
            funders=mix,
            is_reused=len(mix) > 1,
        )
        is_good = all(part.amount_fen > 0 for part in mix) and lasts_s > 0
        is_good = is_good and name not in self.model.lots
        is_good = is_good and self.model.grant(mix)
        self.run(command, is_good)
        if is_good:
            self.model.lots[name] = ModelLot(tenant, amount, ratio, ends, mix)

    @rule(funder=st.sampled_from(FUNDERS), amount=st.integers(-1, 400))
    def appropriate(self, funder: str, amount: int) -> None:
        self.run(an_appropriation(amount, funder, self.key()), amount > 0)
        if amount > 0:
            self.model.pools[funder] = self.model.pools.get(funder, 0) + amount

    @rule(funder=st.sampled_from(FUNDERS), amount=st.integers(0, 200))
    def withdraw(self, funder: str, amount: int) -> None:
        is_good = 0 < amount <= self.model.pools.get(funder, 0)
        self.run(a_withdrawal(amount, funder, self.key()), is_good)
        if is_good:
            self.model.pools[funder] -= amount

    @rule(kind=st.sampled_from(["voucher", "cash"]), percent=st.integers(0, 120))
    def pay_out(self, kind: str, percent: int) -> None:
        open_fen = self.model.earned[kind]
        amount = open_fen * percent // 100
        programme = "qingdao-2024" if kind == "voucher" else None
        is_good = 0 < amount <= open_fen
        self.run(a_payout(amount, programme=programme, key=self.key()), is_good)
        if is_good:
            self.model.earned[kind] -= amount
            self.model.paid_out[kind] += amount

    @rule(amount=st.integers(0, 100))
    def pay_back(self, amount: int) -> None:
        claims_paid = self.model.claim.paid if self.model.claim else 0
        is_good = 0 < amount <= self.model.paid_out["voucher"] + claims_paid
        # What claims were paid is on the same account, so it may come back from a payee as well.
        self.run(a_payback(amount, key=self.key()), is_good)
        if is_good:
            self.model.earned["voucher"] += amount
            self.model.paid_out["voucher"] -= amount

    @rule(amount=st.integers(1, 300))
    def claim(self, amount: int) -> None:
        mix = a_mix(city=amount)
        is_good = self.model.claim is None and self.model.grant(mix)
        self.run(a_claim("claim", amount, key=self.key(), funders=mix, tenant_id="t1"), is_good)
        if is_good:
            self.model.claim = ModelClaim(amount)

    @rule(amount=st.integers(0, 200))
    def redeem(self, amount: int) -> None:
        claim = self.model.claim
        is_good = claim is not None and self.now < LATER and 0 < amount <= claim.kept
        self.run(a_redemption(amount, "claim", self.key()), is_good)
        if claim is not None and is_good:
            claim.kept -= amount
            claim.due += amount

    @rule(percent=st.integers(0, 120))
    def pay_the_claim(self, percent: int) -> None:
        claim = self.model.claim
        amount = claim.due * percent // 100 if claim else 1
        is_good = claim is not None and 0 < amount <= claim.due
        self.run(a_claim_payment(amount, "claim", self.key()), is_good)
        if claim is not None and is_good:
            claim.due -= amount
            claim.paid += amount

    @rule()
    def end_the_claim(self) -> None:
        claim = self.model.claim
        self.run(a_claims_end("claim", self.key()), claim is not None)
        if claim is not None:
            self.model.give_back({"city": claim.kept + claim.due})
            claim.returned += claim.kept + claim.due
            claim.kept = claim.due = 0

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
            is_good = is_good and sum(backs.values()) <= self.model.earned["voucher"]
            is_good = is_good and cash - keeps_cash <= self.model.earned["cash"]
        self.run(a_refund(hold, amount, self.key()), is_good)
        if is_good:
            assert keeps_cash <= cash
            self.model.cash[tenant] += cash - keeps_cash
            self.model.paid[hold] = (tenant, kept, keeps_cash)
            self.model.earned["cash"] -= cash - keeps_cash
            for name, back in backs.items():
                self.model.earned["voucher"] -= back
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
            lot.debt += amount - unused
            self.model.give_back(lot.to_return())

    @rule(name=st.sampled_from(LOTS), amount=st.integers(0, 150))
    def repay(self, name: str, amount: int) -> None:
        lot = self.model.lots.get(name)
        is_good = lot is not None and 0 < amount <= lot.debt
        tenant = lot.tenant if lot is not None else "t1"
        self.run(a_repayment(amount, name, tenant, self.key()), is_good)
        if lot is not None and is_good:
            lot.debt -= amount
            self.model.give_back(lot.to_return())

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
            self.model.give_back(lot.to_return())

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
            lots = store.lots(connection, now=self.now)
            cash = {tenant: store.cash_fen(connection, tenant) for tenant in TENANTS}
            holds = {hold.id: hold.amount_fen for hold in store.open_holds(connection)}
            due = store.due_lots(connection, self.now)
            debts = {tenant: store.debt_fen(connection, tenant) for tenant in TENANTS}
            entries = store.entries(connection, None, limit=1_000)
            funders = store_funders.funders(connection)
            owed = store_funders.payables(connection)
            report = store.check(connection)
            verifier = Verifier()
            assert verifier.verify(line.encode() for line in export_lines(connection))
        assert report.is_sound, report.findings
        assert {one.key: one.late_for for one in entries if one.kind == "capture"} == self.late
        assert debts == {
            tenant: sum(lot.debt for lot in self.model.lots.values() if lot.tenant == tenant)
            for tenant in TENANTS
        }
        assert set(due) == {
            name
            for name, lot in self.model.lots.items()
            if self.now >= lot.ends and (lot.left or lot.is_behind())
        } | self.model.claims_due(self.now)
        assert report.entries == len(self.past)
        assert cash == self.model.cash
        assert holds == {
            name: sum(slices.values()) + part
            for name, (_, slices, part) in self.model.holds.items()
        }
        compare(self.model, self.now, lots=lots, funders=funders, owed=owed)


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
