"""The main ways through REST v1, on both databases."""

import hashlib
from datetime import timedelta
from typing import Final

import pytest
from api_client import Json, World, site_body

from scheduler.cycle import run_cycle
from suanwang.clock import VirtualClock
from suanwang.model.batch import gathered
from suanwang.model.reading import Reading, SourceReport
from suanwang.wire.batch import TelemetryUpload, encode

FOUR_HOURS: Final = {"units": "4", "max_minutes": "60"}
"""Four cores for an hour: 48 fen at most."""


@pytest.fixture
def open_world(world: World) -> World:
    """A centre whose site is up, and whose enterprise has a voucher and cash."""
    world.register()
    world.fund(amount_fen=10_000)
    return world


def grant(world: World, lot_id: str = "lot-1", **changes: Json) -> Json:
    """Grant 100 yuan that pay half of a price."""
    body = {
        "lot_id": lot_id,
        "tenant_id": "haiyun",
        "programme": "qingdao-2026",
        "amount_fen": 10_000,
        "ratio_num": 1,
        "ratio_den": 2,
        "expires_at": "2027-01-01T00:00:00+08:00",
    }
    headers = {"Idempotency-Key": f"issue:{lot_id}"}
    return world.client.post("/v1/vouchers", world.admin, body | changes, headers=headers)


def call(world: World, token: str, path: str, body: Json) -> Json:
    """Make a call of the agent that must succeed."""
    answer = world.client.post(f"/agent/v1{path}", token, body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def report(world: World, attempt_id: str, seq: int, state: str, **facts: Json) -> Json:
    """Return a report's body."""
    at = world.clock.now().isoformat()
    return {"reports": [{"attempt_id": attempt_id, "seq": seq, "at": at, "state": state} | facts]}


def _submit_with_package(world: World, token: str) -> Json:
    """Submit a job with a working directory and place it; return the order that its site gets."""
    client, package, name = world.client, b"PK-working-dir", "_ray_pkg_0123.zip"
    path = f"/api/packages/gcs/{name}"
    assert client.get(path, world.researcher).status_code == 404
    assert client.call("PUT", path, world.researcher, content=package).status_code == 200
    assert client.get(path, world.enterprise).status_code == 200
    assert client.get(path, world.other).status_code == 404
    wakes = world.wakes
    job = world.submit(
        submission_id="train-1", metadata=FOUR_HOURS, runtime_env={"working_dir": f"gcs://{name}"}
    )
    assert (job.status_code, job.json()["state"]) == (201, "queued")
    assert world.wakes == wakes + 1
    run_cycle(world.engine, world.writer, client.context.scheduling)
    (order,) = client.get("/agent/v1/orders", token).json()["orders"]
    digest = order["packages"][f"gcs://{name}"]
    assert digest == hashlib.sha256(package).hexdigest()
    assert client.get(f"/agent/v1/packages/{digest}", token).content == package
    return order


def _run_half_an_hour(world: World, token: str, attempt: str, clock: VirtualClock) -> None:
    """Play a run of 30 minutes that prints one line and succeeds; each report comes twice."""
    window = {"started_at": clock.now().isoformat()}
    call(world, token, "/reports", report(world, attempt, 1, "running", **window))
    assert world.client.get("/v1/jobs/train-1", world.enterprise).json()["state"] == "running"
    written = {"attempt_id": attempt, "offset": 0, "text": "épochs 一\n"}
    assert call(world, token, "/logs", written)["next_offset"] == 9
    clock.advance(1_800)
    window["ended_at"] = clock.now().isoformat()
    ended = report(
        world, attempt, 2, "succeeded", window_source="supervisor", exit_code=0, **window
    )
    assert call(world, token, "/reports", ended)["accepted"] == 1
    assert call(world, token, "/reports", ended)["duplicates"] == 1


def test_a_job_goes_from_quote_to_bill(open_world: World, clock: VirtualClock) -> None:
    world, client = open_world, open_world.client
    token = world.token()
    world.hello(token)
    assert grant(world).status_code == 201
    (row,) = client.post("/v1/quotes", world.enterprise, {"metadata": FOUR_HOURS}).json()["rows"]
    # Four cores for an hour at 0.12 yuan are 0.48; the three seconds of grace round it up.
    assert (row["pool_id"], row["price_fen"]) == ("east-cpu", 49)
    assert row["voucher_fen"] + row["cash_fen"] == row["price_fen"]

    order = _submit_with_package(world, token)
    assert order["entrypoint"] == "python train.py"
    assert call(world, token, "/orders/ack", {"ids": [order["id"]]})["accepted"] == 1
    assert client.get("/agent/v1/orders", token).json()["orders"] == []
    _run_half_an_hour(world, token, order["attempt_id"], clock)

    detail = client.get("/v1/jobs/train-1", world.enterprise).json()
    assert (detail["state"], detail["site_id"], detail["attempt_count"]) == ("succeeded", "east", 1)
    account = detail["account"]
    assert account["unit_seconds"] == 4 * 1_800
    assert (account["price_fen"], account["voucher_fen"], account["cash_fen"]) == (24, 12, 12)
    logs = client.get("/v1/jobs/train-1/logs", world.enterprise, params={"offset": 7}).json()
    assert logs == {"text": "一\n", "next_offset": 9, "is_final": True}
    explained = client.get("/v1/jobs/train-1/explain", world.enterprise).json()
    assert [row["pool_id"] for row in explained["verdicts"]] == ["east-cpu"]
    kinds = [
        e["kind"] for e in client.get("/v1/jobs/train-1/events", world.enterprise).json()["items"]
    ]
    assert kinds[0] == "submitted"
    purse = client.get("/v1/vouchers", world.enterprise).json()
    assert purse["items"][0]["spent_fen"] == 12
    assert purse["cash_fen"] == {"haiyun": 10_000 - 12}
    check = client.get("/v1/ledger/check", world.admin).json()
    assert (check["is_sound"], check["sum_fen"], check["holds_open"]) == (True, 0, 0)
    entries = client.get("/v1/ledger/entries", world.enterprise).json()["items"]
    assert [entry["kind"] for entry in entries] == ["deposit", "issue", "open-hold", "capture"]
    assert client.get("/v1/ledger/entries", world.other).json()["items"] == []


def test_the_same_submit_twice_is_one_job(open_world: World) -> None:
    first = open_world.submit(submission_id="once")
    assert open_world.submit(submission_id="once").json() == first.json()
    other = open_world.submit(submission_id="once", entrypoint="another")
    assert other.status_code == 409
    assert "already exists" in other.json()["detail"]
    foreign = open_world.submit(open_world.other, submission_id="once")
    assert foreign.status_code == 409


def test_jobs_are_listed_newest_first_page_by_page(open_world: World, clock: VirtualClock) -> None:
    for number in range(5):
        clock.advance(1)
        assert open_world.submit(submission_id=f"job-{number}").status_code == 201
    seen, before, pages = [], None, 0
    while True:
        params = {"limit": 2} | ({"before": before} if before else {})
        page = open_world.client.get("/v1/jobs", open_world.researcher, params=params).json()
        seen += [job["submission_id"] for job in page["items"]]
        before, pages = page["next"], pages + 1
        if before is None:
            break
    assert seen == [f"job-{number}" for number in reversed(range(5))]
    assert pages == 3
    params = {"state": "running"}
    assert open_world.client.get("/v1/jobs", open_world.admin, params=params).json()["items"] == []


def test_environment_variables_are_shown_to_their_tenant_only(open_world: World) -> None:
    environment = {"env_vars": {"TOKEN": "s3cret"}, "pip": ["numpy"]}
    open_world.submit(submission_id="secret", runtime_env=environment)
    hidden = {"env_vars": {"TOKEN": "<redacted>"}, "pip": ["numpy"]}
    client = open_world.client
    assert client.get("/v1/jobs/secret", open_world.enterprise).json()["runtime_env"] == hidden
    assert client.get("/api/jobs/secret", open_world.admin).json()["runtime_env"] == hidden
    assert (
        client.get("/api/jobs/secret", open_world.researcher).json()["runtime_env"] == environment
    )
    browser = {"User-Agent": "Mozilla/5.0"}
    shown = client.get("/api/jobs/secret", open_world.researcher, headers=browser).json()
    assert shown["runtime_env"] == hidden


def test_money_is_booked_once_under_one_key(world: World) -> None:
    body = {"tenant_id": "haiyun", "amount_fen": 500}
    headers = {"Idempotency-Key": "bank-17"}
    first = world.client.post("/v1/cash", world.admin, body, headers=headers)
    again = world.client.post("/v1/cash", world.admin, body, headers=headers)
    assert (first.json()["is_repeat"], again.json()["is_repeat"]) == (False, True)
    assert first.json()["seq"] == again.json()["seq"]
    other = world.client.post("/v1/cash", world.admin, body | {"amount_fen": 501}, headers=headers)
    assert (other.status_code, other.json()["facts"]["ledger_code"]) == (409, "key-reused")
    assert world.client.post("/v1/cash", world.admin, body).status_code == 422
    both = world.client.post("/v1/cash", world.admin, body | {"key": "x"}, headers=headers)
    assert both.status_code == 422
    nobody = body | {"tenant_id": "nobody", "key": "y"}
    assert world.client.post("/v1/cash", world.admin, nobody).status_code == 404
    assert world.client.get("/v1/vouchers", world.enterprise).json()["cash_fen"] == {"haiyun": 500}


def test_a_lot_keeps_to_its_rules(world: World) -> None:
    assert grant(world).json()["is_repeat"] is False
    assert grant(world).json()["is_repeat"] is True
    assert grant(world, amount_fen=1).status_code == 409
    assert grant(world, "lot-2", ratio_num=3).status_code == 422
    assert grant(world, "lot-3", expires_at="2020-01-01T00:00:00Z").status_code in (402, 422)
    (lot,) = world.client.get("/v1/vouchers", world.enterprise).json()["items"]
    assert (lot["id"], lot["available_fen"], lot["ratio_den"]) == ("lot-1", 10_000, 2)


def test_a_refused_job_states_both_amounts(open_world: World) -> None:
    open_world.hello(open_world.token())
    answer = open_world.submit(metadata={"units": "8", "max_minutes": "44000"})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["title"]) == (
        402, "refused", "Payment Required",
    )  # fmt: skip
    assert "100.00" in problem["detail"]


def test_a_site_is_registered_changed_closed_and_opened(world: World) -> None:
    client = world.client
    first = client.post("/v1/sites", world.operator, site_body())
    again = client.post("/v1/sites", world.operator, site_body() | {"name": "New name"})
    assert (first.status_code, again.status_code, again.json()["name"]) == (201, 200, "New name")
    assert again.json()["pools"][0]["units_free"] == 8
    assert client.post("/v1/sites/east/close", world.operator).json()["is_open"] is False
    assert client.post("/v1/sites/east/open", world.operator).json()["is_open"] is True
    assert client.get("/v1/sites/nowhere", world.enterprise).status_code == 404
    for change in ({"tariff_id": "none"}, {"climate": "moon"}, {"timezone": "Mars/Base"}):
        answer = client.post("/v1/sites", world.operator, site_body() | change)
        assert answer.status_code == 422, answer.text
        assert next(iter(change.values())) in answer.json()["detail"]


def test_telemetry_is_recorded_once_and_shown_with_its_age(
    world: World, clock: VirtualClock
) -> None:
    world.register()
    token = world.token()
    start = clock.now()
    for minute in range(0, 31, 5):
        clock.advance(300 if minute else 0)
        at = clock.now()
        readings = [
            Reading(subject=f"meter:east-{role}", metric=metric, value=value, at=at)
            for role, power in (("facility", 26_000.0), ("it", 20_000.0))
            for metric, value in (("power_w", power), ("energy_wh", 1_000 + power * minute / 60))
        ]
        reports = (
            SourceReport(source="meters", is_up=True, duration_s=0.1, at=at, readings=4),
            SourceReport(source="dcgm", is_up=False, duration_s=5.0, at=at, error="no\x00route"),
        )
        batch = encode(
            TelemetryUpload(
                id=f"b{minute}", made_at=at, readings=gathered(readings), reports=reports
            )
        )
        first = world.client.post("/agent/v1/telemetry", token, content=batch).json()
        assert first == {"accepted": 4, "duplicates": 0, "refused": []}, first
        again = world.client.post("/agent/v1/telemetry", token, content=batch).json()
        assert again["duplicates"] + again["accepted"] == 4
    site = world.client.get("/v1/sites/east", world.enterprise).json()
    assert site["facility_power_w"]["value"] == 26_000.0
    assert site["facility_power_w"]["freshness"] == "fresh"
    pue = world.client.get("/v1/sites/east/pue", world.enterprise, params={"hours": 1}).json()
    assert pue["value"] == pytest.approx(1.3, abs=0.001)
    assert pue["is_interim"] is True
    sources = world.client.get("/v1/sites/east/sources", world.operator).json()["items"]
    assert [(one["source"], one["is_up"]) for one in sources] == [("dcgm", False), ("meters", True)]
    assert clock.now() - start == timedelta(minutes=30)


def test_a_poll_for_orders_waits_and_ends_empty(world: World, clock: VirtualClock) -> None:
    world.register()
    token = world.token()
    before = clock.monotonic()
    answer = world.client.get("/agent/v1/orders", token, params={"wait_s": 5})
    assert answer.json() == {"orders": []}
    assert clock.monotonic() - before == pytest.approx(5, abs=0.01)


def test_a_stopped_job_in_the_queue_ends_without_a_bill(open_world: World) -> None:
    open_world.submit(submission_id="early")
    client = open_world.client
    assert client.post("/v1/jobs/early/stop", open_world.researcher).json() == {"stopped": True}
    job = client.get("/v1/jobs/early", open_world.researcher).json()
    assert (job["state"], job["account"]) == ("stopped", None)
    assert client.post("/v1/jobs/early/stop", open_world.researcher).json() == {"stopped": False}
    assert client.call("DELETE", "/v1/jobs/early", open_world.researcher).status_code == 204
    assert client.get("/v1/jobs/early", open_world.researcher).status_code == 404


def test_a_running_job_cannot_be_deleted(open_world: World) -> None:
    open_world.submit(submission_id="kept")
    client = open_world.client
    assert client.call("DELETE", "/v1/jobs/kept", open_world.researcher).status_code == 409


def test_a_tenant_is_registered_once(world: World) -> None:
    body = {"id": "beihai", "name": "北海", "uscc": ""}
    statuses = [world.client.post("/v1/tenants", world.admin, body).status_code for _ in range(2)]
    assert statuses == [201, 200]
    other = world.client.post("/v1/tenants", world.admin, body | {"name": "南海"})
    assert other.status_code == 409
    wrong = world.client.post("/v1/tenants", world.admin, body | {"uscc": "91370200MA0000000X"})
    assert wrong.status_code == 422
    page = world.client.get("/v1/tenants", world.admin, params={"limit": 2}).json()
    assert ([one["id"] for one in page["items"]], page["next"]) == (
        ["beihai", "dc-east"],
        "dc-east",
    )
