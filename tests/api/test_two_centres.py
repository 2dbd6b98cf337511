"""Two centres on one PostgreSQL: one writes the ledger, the other passes on, and takes over."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from api_client import site_body
from api_server import PATIENCE_S
from postgres_server import PostgresServer
from prometheus_client.parser import text_string_to_metric_families

from api.forwarding import HOP_HEADER
from api.server import ADDRESS_FILE
from suanwang.clock import SystemClock

pytestmark = [pytest.mark.postgresql, pytest.mark.timeout(240)]

LEASE_S = 2.0
START_S = 60.0
TAKE_OVER_S = 60.0
DEPOSITS = 60
CLOCK = SystemClock()


@dataclass
class Process:
    """A centre as a process of its own."""

    running: subprocess.Popen[bytes]
    url: str
    folder: Path

    def call(
        self, method: str, path: str, key: str, body: object = None, **headers: str
    ) -> httpx.Response:
        sent = {"Authorization": f"Bearer {key}"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        return httpx.request(method, self.url + path, json=body, headers=sent, timeout=30)


@contextmanager
def centre(folder: Path, database: str) -> Iterator[Process]:
    """Run a centre in a folder of its own until the block ends, unless it is killed before."""
    folder.mkdir()
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("SUANWANG_")
    }
    running = subprocess.Popen(
        [sys.executable, "-m", "api", "--port", "0", "--state-dir", str(folder)],
        env=environment
        | {
            "XDG_CONFIG_HOME": str(folder),
            "SUANWANG_SERVER__DATABASE_URL": database,
            "SUANWANG_SERVER__LEASE_S": str(LEASE_S),
            "SUANWANG_LOG__LEVEL": "warning",
            # Only what wakes the scheduler makes it plan.
            "SUANWANG_SCHEDULER__CYCLE_S": "3600",
        },
        cwd=folder,
    )
    try:
        file = folder / ADDRESS_FILE
        until(lambda: file.is_file() and bool(file.read_text().strip()), START_S)
        yield Process(running, file.read_text().strip(), folder)
    finally:
        running.kill()
        running.wait(20)


def until(is_so: Callable[[], bool], limit_s: float) -> None:
    end = CLOCK.monotonic() + limit_s
    while not is_so():
        assert CLOCK.monotonic() < end, "it took too long"
        CLOCK.sleep(0.1)


@dataclass
class Pair:
    """The process that writes, the one that does not, and the admin's key."""

    writer: Process
    other: Process
    admin: str

    def deposit(self, at: Process, key: str, tenant: str = "t1") -> httpx.Response:
        body = {"tenant_id": tenant, "amount_fen": 100}
        return at.call("POST", "/v1/cash", self.admin, body, Idempotency_Key=key)

    def until_deposited(self, at: Process, key: str) -> httpx.Response:
        """Send the same again, as the answer says, until it is booked."""
        end = CLOCK.monotonic() + TAKE_OVER_S
        while True:
            answer = self.deposit(at, key)
            if answer.status_code == 201:
                return answer
            assert answer.status_code == 503, answer.text
            assert answer.headers["content-type"] == "application/problem+json"
            assert int(answer.headers["Retry-After"]) >= 1
            assert "send the same request again" in answer.json()["next_step"]
            assert CLOCK.monotonic() < end, answer.text
            CLOCK.sleep(0.2)

    def cash_fen(self, at: Process) -> int:
        found: int = at.call("GET", "/v1/vouchers", self.admin).json()["cash_fen"]["t1"]
        return found

    def who(self, at: Process) -> dict[str, object]:
        found: dict[str, object] = at.call("GET", "/v1/ledger/writer", self.admin).json()
        return found

    def is_sound(self, at: Process) -> bool:
        return bool(at.call("GET", "/v1/ledger/check", self.admin).json()["is_sound"])


@contextmanager
def two_centres(folder: Path, database: str) -> Iterator[Pair]:
    """Run two centres of which the first writes, and register a tenant at the second."""
    with centre(folder / "first", database) as first, centre(folder / "second", database) as second:
        made = Pair(first, second, (first.folder / "admin.key").read_text().strip())
        tenant = {"id": "t1", "name": "Tenant"}
        assert second.call("POST", "/v1/tenants", made.admin, tenant).status_code == 201
        yield made


@pytest.fixture(scope="module")
def calm_pair(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer
) -> Iterator[Pair]:
    """Two centres that nobody hurts, for several tests."""
    database = postgres_server.create("two_centres")
    with two_centres(tmp_path_factory.mktemp("calm"), database) as made:
        yield made
    postgres_server.drop("two_centres")


@pytest.fixture
def pair(tmp_path: Path, postgres_url: str) -> Iterator[Pair]:
    """Two centres to be killed, stopped and ended."""
    with two_centres(tmp_path, postgres_url) as made:
        yield made


def sample(process: Process, name: str, **labels: str) -> float:
    text = httpx.get(f"{process.url}/metrics", timeout=PATIENCE_S).text
    return sum(
        one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
        if one.name == name and labels.items() <= one.labels.items()
    )


def test_what_needs_the_ledger_is_passed_on_to_who_writes_it(calm_pair: Pair) -> None:
    first = calm_pair.deposit(calm_pair.other, "d1")
    assert (first.status_code, first.json()["is_repeat"]) == (201, False)
    assert first.json()["balances_fen"]["cash:t1"] == 100
    again = calm_pair.deposit(calm_pair.writer, "d1")
    assert again.json() == first.json() | {"is_repeat": True}
    refused = calm_pair.other.call(
        "POST",
        "/v1/ledger/periods",
        calm_pair.admin,
        {"period_id": "later", "ends_at": "2999-01-01T00:00:00Z", "key": "p"},
    )
    assert (refused.status_code, refused.json()["facts"]["ledger_code"]) == (409, "period-runs")
    assert calm_pair.deposit(calm_pair.other, "d2", tenant="nobody").status_code == 404
    assert calm_pair.other.call("POST", "/v1/cash", "wrong", {}).status_code == 401
    assert calm_pair.other.call("POST", "/v1/cash", calm_pair.admin, {}).status_code == 422

    assert (
        calm_pair.who(calm_pair.writer)["is_here"],
        calm_pair.who(calm_pair.other)["is_here"],
    ) == (True, False)
    assert calm_pair.who(calm_pair.other)["url"] == calm_pair.writer.url
    assert sample(calm_pair.writer, "suanwang_ledger_is_writer") == 1
    assert sample(calm_pair.other, "suanwang_ledger_is_writer") == 0
    assert sample(calm_pair.other, "suanwang_requests_passed_on_total", outcome="answered") >= 4
    assert sample(calm_pair.writer, "suanwang_ledger_group_items_count") >= 2


def test_a_request_is_passed_on_only_once(calm_pair: Pair) -> None:
    body = {"tenant_id": "t1", "amount_fen": 100}
    hopped = {"Idempotency_Key": "hop", HOP_HEADER.replace("-", "_"): "1"}
    answer = calm_pair.other.call("POST", "/v1/cash", calm_pair.admin, body, **hopped)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert (
        calm_pair.writer.call("POST", "/v1/cash", calm_pair.admin, body, **hopped).status_code
        == 201
    )


def test_an_agent_may_speak_to_either_of_them(calm_pair: Pair) -> None:
    site = calm_pair.other.call("POST", "/v1/sites", calm_pair.admin, site_body())
    assert site.status_code == 201
    assert (
        calm_pair.writer.call("POST", "/v1/sites", calm_pair.admin, site_body()).status_code == 200
    )
    token = calm_pair.other.call("POST", "/v1/sites/east/token", calm_pair.admin).json()["secret"]
    greeting = {
        "agent_version": "1",
        "clock": CLOCK.now().isoformat(),
        "executor_state": "up",
        "running": [],
    }
    for process in (calm_pair.other, calm_pair.writer):
        assert process.call("POST", "/agent/v1/hello", token, greeting).status_code == 200
        orders = process.call("GET", "/agent/v1/orders?wait_s=0.5", token)
        assert orders.json() == {"orders": []}
        upload: dict[str, object] = {"reports": []}
        assert process.call("POST", "/agent/v1/reports", token, upload).status_code == 200


def test_a_job_that_is_handed_in_at_the_standby_wakes_the_one_that_schedules(
    calm_pair: Pair,
) -> None:
    admin, writer, other = calm_pair.admin, calm_pair.writer, calm_pair.other
    body = site_body()
    assert other.call("POST", "/v1/sites", admin, body).status_code in (200, 201)
    token = other.call("POST", "/v1/sites/east/token", admin).json()["secret"]
    cash = {"tenant_id": "t1", "amount_fen": 1_000_000}
    assert writer.call("POST", "/v1/cash", admin, cash, Idempotency_Key="c").status_code == 201
    made = writer.call("POST", "/v1/tenants/t1/keys", admin, {"role": "enterprise"})
    key = made.json()["secret"]
    greeting = {"agent_version": "1", "clock": CLOCK.now().isoformat(), "executor_state": "up"}
    assert writer.call("POST", "/agent/v1/hello", token, greeting).status_code == 200
    job = {
        "entrypoint": "x", "submission_id": "j1", "metadata": {"units": "1", "max_minutes": "5"},
    }  # fmt: skip
    assert other.call("POST", "/v1/jobs", key, job).status_code == 201
    # The next cycle would be an hour away.
    until(lambda: writer.call("GET", "/v1/jobs/j1", key).json()["state"] == "placed", 30)


def test_when_the_writer_is_killed_the_other_takes_over_and_nothing_is_paid_twice(
    pair: Pair,
) -> None:
    half = threading.Event()

    def send(number: int) -> bool:
        if number == DEPOSITS // 2:
            half.set()
        return bool(pair.until_deposited(pair.other, f"d{number}").json()["is_repeat"])

    with ThreadPoolExecutor(8) as callers:
        sent = [callers.submit(send, number) for number in range(DEPOSITS)]
        assert half.wait(60)
        pair.writer.running.kill()
        for one in sent:
            one.result(TAKE_OVER_S)
    assert pair.cash_fen(pair.other) == DEPOSITS * 100
    again = [pair.deposit(pair.other, f"d{number}").json() for number in range(DEPOSITS)]
    assert all(one["is_repeat"] for one in again)
    assert pair.cash_fen(pair.other) == DEPOSITS * 100
    assert pair.who(pair.other)["is_here"] is True
    assert pair.who(pair.other)["epoch"] == 2
    assert pair.is_sound(pair.other)


def test_a_writer_that_stood_still_passes_on_when_it_wakes_and_one_that_ends_leaves_at_once(
    pair: Pair,
) -> None:
    pair.writer.running.send_signal(signal.SIGSTOP)
    try:
        assert pair.until_deposited(pair.other, "d1").status_code == 201
        assert pair.who(pair.other)["is_here"] is True
    finally:
        pair.writer.running.send_signal(signal.SIGCONT)
    assert pair.until_deposited(pair.writer, "d1").json()["is_repeat"] is True
    assert pair.until_deposited(pair.writer, "d2").json()["is_repeat"] is False
    until(lambda: pair.who(pair.writer)["is_here"] is False, 30)
    assert pair.who(pair.writer)["url"] == pair.other.url
    assert pair.cash_fen(pair.writer) == 200
    assert pair.is_sound(pair.writer)

    pair.other.running.send_signal(signal.SIGTERM)
    assert pair.other.running.wait(30) == 0
    assert pair.until_deposited(pair.writer, "d1").json()["is_repeat"] is True
    assert pair.who(pair.writer)["is_here"] is True
