"""Whatever people do in whatever order: caps hold, money adds up, and every step left its row."""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import pairwise
from tempfile import TemporaryDirectory

from grant_builders import OTHER_CODE, WAN, Office, a_draft, a_spend, an_organisation
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from suanwang.clock import VirtualClock
from suanwang.db.engine import open_engine
from suanwang.db.tables import metadata
from suanwang.errors import SuanwangError
from suanwang.ids import SeededIds
from suanwang.model.tenant import Role
from voucher import ledger
from voucher import store as voucher_store
from voucher.commands import Appropriate
from voucher.grants import payout, service, store, store_audit, sweep
from voucher.grants.case import LIVING, Action, State
from voucher.grants.records import Record
from voucher.grants.service import Verdict
from voucher.grants.steps import Till
from voucher.grants.store_programmes import load_usage
from voucher.programmes.usage import SpendKey
from voucher.store_audit import stored_balances
from voucher.writer import DirectWriter

POOL_FEN = 30 * WAN
FIRM_FEN = 20 * WAN
CODES = {"haiyun": None, "lanxin": OTHER_CODE}
people = st.sampled_from(["zhang", "li", "wang"])
places = st.integers(0, 5)
modes = st.sampled_from(["deduct", "claim_then_redeem", "reimburse"])
amounts = st.integers(1, 150).map(lambda number: number * WAN)
numbers = st.integers(1, 4)


_KEPT = (State.GRANTED, State.CLAWBACK)


class Programme(RuleBasedStateMachine):
    """A programme with people who do anything at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.clock = VirtualClock(datetime(2026, 10, 14, tzinfo=UTC))
        self.engine = open_engine(f"sqlite:///{self.folder.name}/model.db")
        metadata.create_all(self.engine)
        self.opened = ExitStack()
        turn = self.opened.enter_context(DirectWriter(self.engine, self.clock).turn())
        self.connection = turn.connection
        self.office = Office(turn, self.clock, SeededIds(self.clock, 7))

    @initialize(mode=modes, is_round=st.booleans(), is_funded=st.booleans())
    def adopt(self, mode: str, is_round: bool, is_funded: bool) -> None:
        self.mode = mode
        if is_funded:
            given = Appropriate(
                key="a", programme="plain", funder="city", amount_fen=POOL_FEN, document="d"
            )
            ledger.apply(self.office.turn, [given], self.clock.now())
        self.office.adopt(
            benefit={"kind": "compute", "mode": mode, "beneficiary": "demander"},
            validity={"days_from_issue": 40, "redeem_within_days": 50},
            shortage={"rule": "prorata"} if is_round else {"rule": "fcfs", "last": "partial"},
            caps=[
                {"id": "firm", "scope": "applicant", "period": "life", "amount_fen": FIRM_FEN},
                {"id": "pool", "scope": "pool", "period": "life", "amount_fen": POOL_FEN},
            ],
        )

        self.file("haiyun", 50 * WAN, 1)
        self.file("lanxin", 120 * WAN, 2)

    def _try(self, act: Callable[[], object]) -> None:
        """Do something that may be refused; a refusal leaves nothing behind."""
        try:
            with self.connection.begin_nested():
                act()
        except SuanwangError:
            return

    def _records(self) -> tuple[Record, ...]:
        return store.page(self.connection, store.Filter())

    def _pick(self, place: int) -> str:
        records = self._records()
        return records[place % len(records)].id if records else "app_none"

    def _reviewer(self, place: int, person: str) -> Till:
        records = self._records()
        is_district = bool(records) and records[place % len(records)].case.stage == "district"
        return self.office.district(person) if is_district else self.office.city(person)

    @rule(tenant_id=st.sampled_from(sorted(CODES)), amount=amounts, number=numbers)
    def file(self, tenant_id: str, amount: int, number: int) -> None:
        code = CODES[tenant_id]
        identity = an_organisation(code, "蓝芯") if code else an_organisation()
        spend = a_spend(amount_fen=amount, contract_no=f"H{number}", invoice_no=f"I{number}")
        draft = a_draft(f"{len(self._records())}", spend, identity=identity)
        self._try(lambda: self.office.file(draft, tenant_id))

    @rule(place=places, is_owner=st.booleans())
    def submit(self, place: int, is_owner: bool) -> None:
        name = self._pick(place)
        tenant_id = self._owner(name) if is_owner else "lanxin"
        self._try(lambda: service.submit(self.office.firm(tenant_id), name))

    @rule(place=places, person=people)
    def approve(self, place: int, person: str) -> None:
        name, desk = self._pick(place), self._reviewer(place, person)
        self._try(lambda: self.office.attach(desk, name, "初审表"))
        self._try(lambda: self.office.approve(desk, name, "看过"))

    @rule(
        place=places,
        person=people,
        action=st.sampled_from([Action.RETURN, Action.REJECT, Action.REOPEN]),
    )
    def refuse(self, place: int, person: str, action: Action) -> None:
        name, desk = self._pick(place), self._reviewer(place, person)
        self._try(lambda: service.review(desk, name, Verdict(action=action, reason="不符")))

    @rule(place=places)
    def review_whole(self, place: int) -> None:
        """Do the whole review of one in its order, as most people do."""
        self.submit(place, True)
        for person in ("zhang", "li"):
            self.approve(place, person)
        self.decide("li")
        self.wait(7)
        self.approve(place, "wang")

    @rule(place=places, paid=amounts)
    def pay(self, place: int, paid: int) -> None:
        """Pay what was granted, in the way of the programme's mode."""
        self.issue(place, "wang")
        self.redeem(place, 1, paid)
        self.settle(place, "wang", 1)

    @rule(place=places)
    def withdraw(self, place: int) -> None:
        name = self._pick(place)
        self._try(lambda: service.withdraw(self.office.firm(self._owner(name)), name, ""))

    @rule(person=people)
    def decide(self, person: str) -> None:
        self._try(lambda: service.decide_round(self.office.city(person), "plain"))

    @rule(place=places, person=people)
    def issue(self, place: int, person: str) -> None:
        name = self._pick(place)
        self._try(lambda: payout.issue(self.office.city(person), name, payout.LotTerms()))

    @rule(place=places, number=numbers, paid=amounts)
    def redeem(self, place: int, number: int, paid: int) -> None:
        name = self._pick(place)
        claim = payout.Claim(ref=f"p{number}", line_facts={"1": {"line.paid_fen": paid}})
        self._try(lambda: payout.claim(self.office.firm(self._owner(name)), name, claim))

    @rule(place=places, person=people, number=numbers)
    def settle(self, place: int, person: str, number: int) -> None:
        name = self._pick(place)
        self._try(lambda: payout.settle(self.office.city(person), name, f"{name}-{number}", number))

    @rule(place=places, person=people)
    def close(self, place: int, person: str) -> None:
        name = self._pick(place)
        self._try(lambda: payout.close(self.office.city(person), name, "到期"))

    @rule(place=places, person=people)
    def demand(self, place: int, person: str) -> None:
        name = self._pick(place)
        demand = payout.Demand(trigger="fraud", reason="举报")
        self._try(lambda: payout.request_clawback(self.office.city(person), name, demand))

    @rule(place=places, person=people, is_approved=st.booleans())
    def decide_demand(self, place: int, person: str, is_approved: bool) -> None:
        name, desk = self._pick(place), self.office.city(person)
        self._try(
            lambda: payout.decide_clawback(desk, name, is_approved=is_approved, reason="已核")
        )

    @rule(days=st.integers(1, 40))
    def wait(self, days: int) -> None:
        self.clock.advance(days * 86_400)

    @rule()
    def sweep(self) -> None:
        """Let time do what it does; a second look finds nothing left to do."""
        now = self.clock.now()
        for name in sweep.due_now(self.connection, now):
            assert sweep.do_due(self.office.turn, name, now)
        assert sweep.due_now(self.connection, now) == ()

    def _owner(self, name: str) -> str:
        found = [one for one in self._records() if one.id == name]
        return found[0].case.tenant_id if found else "haiyun"

    @invariant()
    def caps_hold_and_are_what_awards_took(self) -> None:
        records = self._records()
        taken = load_usage(self.connection, "plain").taken
        total = sum(one.case.award_fen for one in records)
        assert total == sum(amount for key, amount in taken.items() if key.cap_id == "pool")
        assert total <= POOL_FEN
        for holder in {one.identity.key for one in records}:
            own = sum(one.case.award_fen for one in records if one.identity.key == holder)
            used = [amount for key, amount in taken.items() if key.holder == holder]
            assert own == sum(used) <= FIRM_FEN

    @invariant()
    def an_invoice_lives_once_and_is_spent_where_it_was_awarded(self) -> None:
        records = self._records()
        living = [str(line.facts["line.invoice_no"]) for one in records if one.state in LIVING
                  and one.state is not State.RETURNED for line in one.lines]  # fmt: skip
        assert len(living) == len(set(living))
        awarded = {SpendKey("line.invoice_no", str(line.facts["line.invoice_no"]))
                   for one in records if one.case.award_fen for line in one.lines}  # fmt: skip
        assert load_usage(self.connection, "plain").spent == awarded

    @invariant()
    def money_paid_is_money_granted(self) -> None:
        balances = stored_balances(self.connection)
        for one in self._records():
            case = one.case
            payments = store_audit.redemptions(self.connection, one.id)
            paid = sum(p.amount_fen for p in payments if p.settled_at is not None)
            assert paid == case.settled_fen <= case.award_fen
            lots = [voucher_store.find_lot(self.connection, lot, self.clock.now())
                    for lot in one.lots]  # fmt: skip
            if lots and one.state not in (State.CLAWBACK, State.RECLAIMED):
                issued = sum(lot.issued_fen for lot in lots)
                is_lot = self.mode == "deduct"
                ended = 0 if is_lot else sum(balances.get(f"expired:{lot.id}", 0) for lot in lots)
                assert issued - ended == case.award_fen or one.state is State.WITHDRAWN
                if self.mode == "claim_then_redeem":
                    assert sum(lot.spent_fen for lot in lots) == case.redeemed_fen
                if self.mode == "reimburse":
                    assert sum(lot.spent_fen for lot in lots) == case.settled_fen
            if one.funding and one.award is not None:
                assert sum(share.amount_fen for share in one.funding) == one.award.amount_fen

    @invariant()
    def the_ledger_says_the_same(self) -> None:
        check = voucher_store.check(self.connection)
        assert check.findings == ()
        records = self._records()
        balances = stored_balances(self.connection)
        assert balances.get("paid:plain", 0) == sum(one.case.settled_fen for one in records)
        if self.mode != "deduct":
            kept = [one for one in records if one.lots and one.state in _KEPT]
            assert check.claimed_fen == sum(
                one.case.award_fen - max(one.case.redeemed_fen, one.case.settled_fen)
                for one in kept
            )
            living = [one for one in records if one.state is not State.RECLAIMED]
            assert check.due_fen == sum(
                max(one.case.redeemed_fen - one.case.settled_fen, 0) for one in living
            )
        assert -balances.get("budget:plain/city", 0) <= POOL_FEN or self.mode == "deduct"

    @invariant()
    def the_audit_ends_where_the_application_stands(self) -> None:
        for one in self._records():
            event(f"{one.state.value}")
            rows = store_audit.events(self.connection, one.id)
            assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
            assert rows[-1].state_after == one.state.value
            pairs = pairwise(rows)
            assert all(first.state_after == then.state_before for first, then in pairs)
            made = {row.actor.person for row in rows if row.action in ("issue", "settle")}
            decided = [row.actor.person for row in rows if row.action == "decide"]
            assert not decided or decided[-1] not in made
            assert all(row.actor.role is Role.ENTERPRISE for row in rows if row.action == "submit")

    def teardown(self) -> None:
        self.opened.close()
        self.engine.dispose()
        self.folder.cleanup()


TestProgramme = Programme.TestCase
TestProgramme.settings = settings(
    max_examples=8,
    stateful_step_count=25,
    suppress_health_check=list(HealthCheck),
)
