"""Many at once: a pool is never granted twice, and one invoice is handed in once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from grant_builders import WAN, Office, a_draft, a_spend
from sqlalchemy import Engine

from suanwang.clock import VirtualClock
from suanwang.db.engine import reading
from suanwang.errors import Refused
from suanwang.ids import SeededIds
from voucher.grants import service, store, store_audit, sweep
from voucher.grants.case import Action, State
from voucher.grants.service import Verdict
from voucher.grants.steps import Till
from voucher.grants.store_programmes import load_usage
from voucher.turn import Turn
from voucher.writer import DirectWriter

WRITERS = 8


class Racing:
    """An office whose people act at the same moment, each in a transaction of its own."""

    def __init__(self, engine: Engine, clock: VirtualClock, ids: SeededIds) -> None:
        self.engine = engine
        self.writer = DirectWriter(engine, clock)
        with self.writer.turn() as turn:
            self.office = Office(turn, clock, ids)

    def till(self, turn: Turn, till: Till) -> Till:
        """Return somebody's till in another turn."""
        return replace(till, connection=turn.connection, turn=turn)


@pytest.fixture
def racing(engine: Engine, clock: VirtualClock, ids: SeededIds) -> Racing:
    return Racing(engine, clock, ids)


def test_awards_made_at_the_same_moment_stay_within_the_pool(racing: Racing) -> None:
    office = racing.office
    with racing.writer.turn() as turn:
        office.turn = turn
        office.adopt(
            caps=[{"id": "pool", "scope": "pool", "period": "year", "amount_fen": 90 * WAN}]
        )
        names = [
            office.to_city(a_draft(f"r{n}", a_spend(contract_no=f"H{n}", invoice_no=f"I{n}"))).id
            for n in range(WRITERS)
        ]
        city = office.city()

    def approve(name: str) -> None:
        with racing.writer.turn() as turn:
            till = racing.till(turn, city)
            service.review(till, name, Verdict(action=Action.APPROVE, reason="属实"))

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(approve, names))
    with reading(racing.engine) as connection:
        found = store.page(connection, store.Filter())
        assert sum(one.case.award_fen for one in found) == 90 * WAN
        assert set(load_usage(connection, "plain").taken.values()) == {90 * WAN}
        states = [one.state for one in found]
        assert (states.count(State.PUBLICITY), states.count(State.REJECTED)) == (5, 3)


def test_one_invoice_is_handed_in_once_however_many_try(racing: Racing) -> None:
    office = racing.office
    with racing.writer.turn() as turn:
        office.turn = turn
        office.adopt()
        names = [office.file(a_draft(f"r{n}")).id for n in range(WRITERS)]
        firm = office.firm()

    def submit(name: str) -> bool:
        try:
            with racing.writer.turn() as turn:
                service.submit(racing.till(turn, firm), name)
        except Refused:
            return False
        return True

    with ThreadPoolExecutor(WRITERS) as pool:
        assert sorted(pool.map(submit, names)) == [False] * (WRITERS - 1) + [True]


def test_centres_that_sweep_at_the_same_moment_do_each_thing_once(racing: Racing) -> None:
    office = racing.office
    with racing.writer.turn() as turn:
        office.turn = turn
        office.adopt()
        names = [
            office.to_publicity(
                a_draft(f"r{n}", a_spend(amount_fen=WAN, contract_no=f"H{n}", invoice_no=f"I{n}"))
            ).id
            for n in range(WRITERS)
        ]
    office.clock.sleep(7 * 86_400)

    def one_sweep(_: int) -> int:
        done = 0
        with reading(racing.engine) as connection:
            due = sweep.due_now(connection, office.clock.now())
        for name in due:
            with racing.writer.turn() as turn:
                done += sweep.do_due(turn, name, office.clock.now())
        return done

    with ThreadPoolExecutor(WRITERS) as pool:
        assert sum(pool.map(one_sweep, range(WRITERS))) == len(names)
    with reading(racing.engine) as connection:
        for name in names:
            acts = [row.action for row in store_audit.events(connection, name)]
            assert acts.count("end-publicity") == 1
