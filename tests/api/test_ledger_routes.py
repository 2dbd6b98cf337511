"""Refunds, repaid debts and closed periods over HTTP, and whether all books agree."""

import json
from typing import Any, Final

import pytest
from api_client import Json, World
from typer.testing import CliRunner

from cli import funds as funds_commands
from cli import ledger as ledger_commands
from cli import vouchers as voucher_commands
from scheduler.cycle import run_cycle
from suanwang.clock import VirtualClock
from suanwang.errors import BadInput
from suanwang.model.tenant import Role
from voucher import ledger
from voucher.commands import Clawback

FOUR_HOURS: Final = {"units": "4", "max_minutes": "60"}
"""Four cores for an hour: 48 fen at most."""
MONTH: Final = {"first": "2026-10-01", "last": "2026-10-31", "tenant_id": "haiyun"}


@pytest.fixture
def token(world: World) -> str:
    """The token of the site of a centre whose enterprise has a half-paying voucher and cash."""
    return funded(world)


def funded(world: World) -> str:
    """Give the enterprise 100 yuan of cash and a lot of 100 that pays half; return a token."""
    world.register()
    world.fund(amount_fen=10_000)
    lot = {
        "lot_id": "lot-1",
        "tenant_id": "haiyun",
        "programme": "qingdao-2026",
        "amount_fen": 10_000,
        "ratio_num": 1,
        "ratio_den": 2,
        "expires_at": "2027-01-01T00:00:00+08:00",
        "key": "issue-lot-1",
    }
    assert world.client.post("/v1/vouchers", world.admin, lot).status_code == 201
    token = world.token()
    world.hello(token)
    return token


def tell(world: World, token: str, attempt_id: str, seq: int, state: str, **facts: Json) -> None:
    """Report a state of an attempt, which must be taken."""
    at = world.clock.now().isoformat()
    report = {"attempt_id": attempt_id, "seq": seq, "at": at, "state": state} | facts
    answer = world.client.post("/agent/v1/reports", token, {"reports": [report]})
    assert answer.json()["accepted"] == 1, answer.text


def start(world: World, token: str, name: str) -> str:
    """Submit a job and let its attempt run; return the attempt."""
    job = world.submit(submission_id=name, metadata=FOUR_HOURS)
    assert job.status_code == 201, job.text
    run_cycle(world.engine, world.writer, world.client.context.scheduling)
    orders = world.client.get("/agent/v1/orders", token).json()["orders"]
    world.client.post("/agent/v1/orders/ack", token, {"ids": [order["id"] for order in orders]})
    attempt_id: str = orders[-1]["attempt_id"]
    tell(world, token, attempt_id, 1, "running", started_at=world.clock.now().isoformat())
    return attempt_id


def run(world: World, token: str, clock: VirtualClock, name: str, seconds: int = 1_800) -> str:
    """Play a job that runs for half an hour, 24 fen, and succeeds; return its attempt."""
    started_at = clock.now().isoformat()
    attempt_id = start(world, token, name)
    clock.advance(seconds)
    finish(world, token, attempt_id, started_at, clock.now().isoformat())
    return attempt_id


def finish(world: World, token: str, attempt_id: str, started_at: str, ended_at: str) -> None:
    """Report that an attempt has succeeded."""
    tell(
        world, token, attempt_id, 2, "succeeded", started_at=started_at, ended_at=ended_at,
        window_source="supervisor", exit_code=0,
    )  # fmt: skip


def post(world: World, path: str, **body: Json) -> Json:
    """Return the admin's answer from a route of the ledger."""
    return world.client.post(f"/v1/ledger/{path}", world.admin, body)


def purse(world: World) -> tuple[int, int, int]:
    """Return left and spent of the lot, and free cash, in fen."""
    answer = world.client.get("/v1/vouchers", world.enterprise).json()
    (lot,) = answer["items"]
    return lot["available_fen"], lot["spent_fen"], answer["cash_fen"]["haiyun"]


def is_sound(world: World) -> bool:
    """Return whether the ledger proves its books."""
    found: bool = world.client.get("/v1/ledger/check", world.admin).json()["is_sound"]
    return found


def test_a_refund_goes_back_to_the_lot_and_the_cash_that_paid(
    world: World, token: str, clock: VirtualClock
) -> None:
    attempt_id = run(world, token, clock, "train-1")
    assert purse(world) == (9_988, 12, 9_988)
    asked = {"attempt_id": attempt_id, "amount_fen": 10, "reason": "stood still", "key": "r1"}
    first = post(world, "refunds", **asked)
    assert (first.status_code, first.json()["is_repeat"]) == (201, False)
    assert purse(world) == (9_993, 7, 9_993)
    assert post(world, "refunds", **asked).json() == first.json() | {"is_repeat": True}
    assert purse(world) == (9_993, 7, 9_993)
    other = post(world, "refunds", **asked | {"amount_fen": 11})
    assert (other.status_code, other.json()["facts"]["ledger_code"]) == (409, "key-reused")
    account = world.client.get("/v1/jobs/train-1", world.enterprise).json()["account"]
    assert (account["voucher_fen"], account["cash_fen"]) == (7, 7)
    assert is_sound(world)


def test_a_refund_above_what_was_paid_states_both_amounts(
    world: World, token: str, clock: VirtualClock
) -> None:
    attempt_id = run(world, token, clock, "train-1")
    asked = {"hold_id": f"hold:{attempt_id}", "amount_fen": 25, "reason": "too much", "key": "r1"}
    answer = post(world, "refunds", **asked)
    assert answer.status_code == 402
    assert "0.24" in answer.json()["detail"]
    assert "0.25" in answer.json()["detail"]
    facts = answer.json()["facts"]
    assert (facts["paid_fen"], facts["wanted_fen"]) == (24, 25)
    assert post(world, "refunds", **asked | {"amount_fen": 24}).status_code == 201
    assert purse(world) == (10_000, 0, 10_000)


def test_a_refund_of_what_has_not_paid_is_refused(world: World, token: str) -> None:
    asked = {"amount_fen": 1, "reason": "none", "key": "r1"}
    running = start(world, token, "train-1")
    assert post(world, "refunds", attempt_id=running, **asked).status_code == 409
    assert post(world, "refunds", attempt_id="absent", **asked).status_code == 404
    assert post(world, "refunds", hold_id="absent", **asked).status_code == 404
    assert post(world, "refunds", **asked).status_code == 422
    both = {"attempt_id": running, "hold_id": f"hold:{running}"}
    assert post(world, "refunds", **both, **asked).status_code == 422
    keyless = {"attempt_id": running, "amount_fen": 1, "reason": "none"}
    assert post(world, "refunds", **keyless).status_code == 422


def test_a_debt_is_repaid_once_and_never_above_it(
    world: World, token: str, clock: VirtualClock
) -> None:
    run(world, token, clock, "train-1")
    taken = Clawback(key="c1", lot_id="lot-1", amount_fen=9_998, reason="not eligible")
    with world.writer.turn() as turn:
        ledger.apply(turn, [taken], clock.now())
    of = {"tenant_id": "haiyun", "lot_id": "lot-1", "receipt": "YH-1"}
    (debt,) = world.client.get("/v1/ledger/debts", world.enterprise).json()["items"]
    assert (debt["lot_id"], debt["open_fen"]) == ("lot-1", 10)
    above = post(world, "repayments", **of, amount_fen=11, key="b1")
    assert above.status_code == 402
    assert (above.json()["facts"]["owed_fen"], above.json()["facts"]["wanted_fen"]) == (10, 11)
    for is_repeat in (False, True):
        paid = post(world, "repayments", **of, amount_fen=10, key="b1")
        assert (paid.status_code, paid.json()["is_repeat"]) == (201, is_repeat)
    assert world.client.get("/v1/ledger/check", world.admin).json()["owed_fen"] == 0
    assert world.client.get("/v1/ledger/debts", world.enterprise).json()["items"] == []
    assert post(world, "repayments", **of, amount_fen=10, key="b2").status_code == 402
    nobody = post(world, "repayments", **of | {"tenant_id": "nobody"}, amount_fen=10, key="b2")
    assert nobody.status_code == 404


def test_a_pool_is_filled_granted_from_and_paid_out_once(
    world: World, token: str, clock: VirtualClock
) -> None:
    given = {"programme": "qd", "funder": "city", "amount_fen": 500, "document": "财预1"}
    for is_repeat in (False, True):
        filled = post(world, "appropriations", **given, key="a1")
        assert (filled.status_code, filled.json()["is_repeat"]) == (201, is_repeat)
    short = post(world, "appropriations", **given, is_withdrawal=True, key="a1")
    assert short.status_code == 409
    lot = {
        "lot_id": "lot-2", "tenant_id": "haiyun", "programme": "qd", "amount_fen": 600,
        "ratio_num": 1, "ratio_den": 1, "expires_at": "2027-01-01T00:00:00Z", "key": "i1",
        "funders": [
            {"funder": "city", "amount_fen": 501},
            {"funder": "district", "amount_fen": 99},
        ],
    }  # fmt: skip
    beyond = world.client.post("/v1/vouchers", world.admin, json=lot)
    assert (beyond.status_code, beyond.json()["facts"]["available_fen"]) == (402, 500)
    lot["funders"] = [
        {"funder": "city", "amount_fen": 500},
        {"funder": "district", "amount_fen": 100},
    ]
    assert world.client.post("/v1/vouchers", world.admin, json=lot).status_code == 201
    pools = world.client.get("/v1/ledger/pools?programme=qd", world.admin).json()["items"]
    shown = {one["funder"]: (one["has_pool"], one["pool_fen"], one["granted_fen"]) for one in pools}
    assert shown == {"city": (True, 0, 500), "district": (False, 0, 100)}

    run(world, token, clock, "train-1")
    owed = world.client.get("/v1/ledger/payables", world.admin).json()["items"]
    (first,) = [one for one in owed if one["programme"] == "qd"]
    assert first["kind"] == "voucher"
    asked = {name: first[name] for name in ("payee", "programme")} | {"receipt": "YH-7"}
    above = post(world, "payments", **asked, amount_fen=first["open_fen"] + 1, key="p1")
    assert (above.status_code, above.json()["facts"]["due_fen"]) == (402, first["open_fen"])
    paid = post(world, "payments", **asked, amount_fen=first["open_fen"], key="p1")
    assert paid.status_code == 201
    again = post(world, "payments", **asked, amount_fen=1, key="p2")
    assert again.status_code == 409
    back = {**asked, "receipt": "YH-8", "amount_fen": 1, "is_return": True}
    assert post(world, "payments", **back, key="p3").status_code == 201
    assert is_sound(world)


def test_a_closed_period_has_its_head_and_late_use_names_it(
    world: World, token: str, clock: VirtualClock
) -> None:
    started_at = clock.now().isoformat()
    attempt_id = start(world, token, "train-1")
    clock.advance(1_800)
    ended_at = clock.now().isoformat()
    clock.advance(60)
    closed = {"period_id": "2026-10", "ends_at": clock.now().isoformat(), "key": "close-1"}
    first = post(world, "periods", **closed)
    assert (first.status_code, first.json()["is_repeat"]) == (201, False)
    assert post(world, "periods", **closed).json() == first.json() | {"is_repeat": True}
    finish(world, token, attempt_id, started_at, ended_at)

    (period,) = world.client.get("/v1/ledger/periods", world.admin).json()["items"]
    assert (period["id"], period["seq"]) == ("2026-10", first.json()["seq"])
    assert (period["totals_fen"]["lot"], period["totals_fen"]["held"]) == (9_976, 24)
    lines = world.client.get("/v1/ledger/export", world.admin).text.splitlines()
    assert json.loads(lines[period["seq"]])["chain"] == period["chain"]
    entries = world.client.get("/v1/ledger/entries", world.enterprise).json()["items"]
    late = {entry["kind"]: entry["late_for"] for entry in entries}
    assert (late["open-hold"], late["capture"]) == ("", "2026-10")
    assert is_sound(world)


def test_periods_are_closed_in_order_once_and_after_their_end(
    world: World, clock: VirtualClock
) -> None:
    now, before = clock.now().isoformat(), "2026-09-01T00:00:00+08:00"
    assert post(world, "periods", period_id="a", ends_at=now, key="1").status_code == 201
    wrong = {
        "period-exists": {"period_id": "a", "ends_at": now},
        "period-order": {"period_id": "b", "ends_at": before},
        "period-runs": {"period_id": "b", "ends_at": "2027-01-01T00:00:00+08:00"},
    }
    for code, body in wrong.items():
        answer = post(world, "periods", key="2", **body)
        assert (answer.status_code, answer.json()["facts"]["ledger_code"]) == (409, code)
    for edge in ("0001-01-01T00:00:00+08:00", "9999-12-31T23:59:59-08:00", "2026-10-01T00:00:00"):
        assert post(world, "periods", period_id="b", ends_at=edge, key="2").status_code == 422


def test_statement_journal_and_bills_of_jobs_agree(small_world: World, clock: VirtualClock) -> None:
    world, token = small_world, funded(small_world)
    run(world, token, clock, "train-1")
    attempt_id = run(world, token, clock, "train-2", seconds=600)
    post(world, "refunds", attempt_id=attempt_id, amount_fen=3, reason="slow", key="r1")

    report = world.client.get("/v1/reports/statement", world.admin, params=MONTH).json()
    names = ("train-1", "train-2")
    accounts = [
        world.client.get(f"/v1/jobs/{name}", world.enterprise).json()["account"] for name in names
    ]
    paid = {"spent": 0, "payable": 0}
    for entry in world.client.get("/v1/ledger/entries", world.admin).json()["items"]:
        for posting in entry["postings"]:
            for side, sign in (("target", 1), ("source", -1)):
                kind = posting[side].partition(":")[0]
                if kind in paid:
                    paid[kind] += sign * posting["amount_fen"]
    totals = report["totals"]
    assert totals["paid_fen"] == 24 + 8 - 3
    assert paid["spent"] == sum(account["voucher_fen"] for account in accounts)
    assert paid["payable"] == sum(account["cash_fen"] for account in accounts)
    assert (totals["voucher_paid_fen"], totals["cash_paid_fen"]) == tuple(paid.values())
    left, spent, cash = purse(world)
    closing = report["closing"]
    assert (closing["closing_voucher_fen"], closing["closing_cash_fen"]) == (left, cash)
    assert (spent, is_sound(world)) == (paid["spent"], True)


class AsAdmin:
    """The command line's client, on an application in this process."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __enter__(self) -> "AsAdmin":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def get(self, path: str, **query: str | None) -> Json:
        """Return the JSON answer to a GET."""
        asked = "&".join(f"{name}={value}" for name, value in query.items() if value)
        return self._world.client.get(f"{path}?{asked}", self._world.admin).json()

    def post(self, path: str, body: Json, *, key: str) -> Json:
        """Return the JSON answer to a POST; refusals come as the domain's error."""
        headers = {"Idempotency-Key": key}
        answer = self._world.client.post(path, self._world.admin, body, headers=headers)
        if answer.is_error:
            raise BadInput(answer.json()["detail"])
        return answer.json()


@pytest.fixture
def command(small_world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command of ``suanwang voucher`` as the admin; return what it prints."""
    for module in (ledger_commands, funds_commands):
        monkeypatch.setattr(module, "connect", lambda url, key: AsAdmin(small_world))

    def call(*arguments: str) -> str:
        done = CliRunner().invoke(voucher_commands.app, list(arguments), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    return call


def test_the_commands_book_and_show(small_world: World, clock: VirtualClock, command: Any) -> None:
    attempt_id = run(small_world, funded(small_world), clock, "train-1")
    refund = ("refund", attempt_id, "0.10", "--reason", "stood still", "--key", "r1")
    assert command(*refund) == f"0.10 CNY of attempt {attempt_id} given back\n"
    assert json.loads(command(*refund, "--json"))["is_repeat"] is True
    close = ("close-period", "2026-10", "--ends-at", clock.now().isoformat())
    assert command(*close).startswith("period 2026-10 is closed by entry ")
    assert json.loads(command(*close, "--json"))["is_repeat"] is True
    (period,) = json.loads(command("periods", "--json"))["items"]
    assert period["chain"] in command("periods")
    repaid = ("repay", "haiyun", "0.01", "--lot", "lot-1", "--receipt", "YH-1", "--key", "b1")
    with pytest.raises(BadInput, match=r"0\.01"):
        command(*repaid)
    with pytest.raises(BadInput):
        command("repay", "haiyun", "much", *repaid[3:])


def test_the_commands_fill_pools_and_pay_by_bank(
    small_world: World, clock: VirtualClock, command: Any
) -> None:
    run(small_world, funded(small_world), clock, "train-1")
    given = ("qd", "city", "8.00", "--document", "财预1", "--key")
    assert command("appropriate", *given, "a1") == "8.00 CNY into the pool of city for qd\n"
    assert json.loads(command("appropriate", *given, "a1", "--json"))["is_repeat"] is True
    assert "out of the pool" in command("appropriate", *given, "a2", "--withdraw")
    (pool,) = json.loads(command("pools", "qd", "--json"))["items"]
    assert (pool["has_pool"], pool["pool_fen"], pool["appropriated_fen"]) == (True, 0, 0)
    assert "qingdao-2026" in command("pools")
    items = json.loads(command("payables", "--json"))["items"]
    (owed,) = [one for one in items if one["kind"] == "voucher"]
    assert owed["payee"] in command("payables")
    paid = (owed["payee"], "0.12", "--receipt", "YH-1", "--key", "p1")
    with pytest.raises(BadInput, match="what did it earn it with"):
        command("pay", *paid)
    assert "receipt YH-1" in command("pay", *paid, "--programme", owed["programme"])
    assert json.loads(command("debts", "--json"))["items"] == []
    assert "owed" in command("debts")


def test_entries_name_the_key_that_caused_them_and_the_centres_own_nobody(
    world: World, token: str, clock: VirtualClock
) -> None:
    run(world, token, clock, "train-1")
    boss = world.client.get("/v1/whoami", world.admin).json()
    entries = world.client.get("/v1/ledger/entries", world.enterprise).json()["items"]
    by = {entry["kind"]: entry["by"] for entry in entries}
    who = {"person": boss["key_id"], "tenant_id": boss["tenant_id"], "role": "admin"}
    assert by == {"deposit": who, "issue": who, "open-hold": None, "capture": None}
    # A repeat with another key of the administrator books nothing and changes no name.
    second = world.key(boss["tenant_id"], Role.ADMIN)
    cash = {"tenant_id": "haiyun", "amount_fen": 5, "key": "cash-9"}
    for key in (world.admin, second):
        assert world.client.post("/v1/cash", key, cash).status_code == 201
    newest = world.client.get("/v1/ledger/entries", world.admin).json()["items"][-1]
    assert newest["by"] == who
