"""The centre as a process: first start, later starts, signals, refusals."""

import signal
import threading
from pathlib import Path

import httpx
import pytest
from api_server import PATIENCE_S
from centre_process import START_S, address, process

from api.server import check_host, listen, wait_for_database
from suanwang.clock import SystemClock, VirtualClock
from suanwang.db.engine import open_engine
from suanwang.errors import BadInput, Unavailable
from suanwang.settings import ServerSettings

pytestmark = pytest.mark.timeout(300)
"""Two starts of a whole centre take over a minute on a machine that others use as well."""


def test_it_starts_serves_ends_and_starts_again_with_the_same_key(tmp_path: Path) -> None:
    for _ in range(2):
        with process(tmp_path) as running:
            url = address(tmp_path, running)
            key_file = tmp_path / "admin.key"
            assert key_file.stat().st_mode & 0o777 == 0o600
            headers = {"Authorization": f"Bearer {key_file.read_text().strip()}"}
            me = httpx.get(f"{url}/v1/whoami", headers=headers, timeout=PATIENCE_S).json()
            assert me["role"] == "admin"
            assert httpx.get(f"{url}/readyz", timeout=PATIENCE_S).status_code == 200
            running.send_signal(signal.SIGTERM)
            _, log = running.communicate(timeout=60)
            assert running.returncode == 0, log
            assert "stopped" in log
            assert key_file.read_text().strip() not in log
            assert "Traceback" not in log


def test_sigterm_does_not_wait_for_those_who_only_wait(tmp_path: Path) -> None:
    with process(tmp_path, "--no-scheduler") as running:
        url = address(tmp_path, running)
        admin = {"Authorization": f"Bearer {(tmp_path / 'admin.key').read_text().strip()}"}
        from api_client import site_body

        assert (
            httpx.post(
                f"{url}/v1/sites", json=site_body(), headers=admin, timeout=PATIENCE_S
            ).status_code
            == 201
        )
        token = httpx.post(f"{url}/v1/sites/east/token", headers=admin, timeout=PATIENCE_S).json()[
            "secret"
        ]

        def poll() -> None:
            try:
                httpx.get(
                    f"{url}/agent/v1/orders?wait_s=60",
                    headers={"Authorization": f"Bearer {token}"},
                    timeout=70,
                )
            except httpx.HTTPError:
                return

        waiting = threading.Thread(target=poll)
        waiting.start()
        SystemClock().sleep(1.0)
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=60)
        waiting.join(20)
        assert not waiting.is_alive()


def test_a_taken_port_is_a_clear_refusal(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with process(tmp_path, "--port", str(port)) as running:
            _, words = running.communicate(timeout=START_S)
    assert running.returncode == 3
    assert f"cannot listen on 127.0.0.1:{port}" in words
    assert "Traceback" not in words


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "centre.example"])  # noqa: S104 - refused here
def test_an_address_that_others_reach_needs_leave(host: str) -> None:
    with pytest.raises(BadInput, match="other machines"):
        check_host(ServerSettings(host=host))
    check_host(ServerSettings(host=host, allow_public=True))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_loopback_needs_no_leave(host: str) -> None:
    check_host(ServerSettings(host=host))


def test_a_start_waits_for_the_database_and_then_gives_up_in_words(clock: VirtualClock) -> None:
    engine = open_engine("postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(Unavailable, match="did not answer for 5 s"):
        wait_for_database(engine, clock, wait_s=5)
    assert clock.monotonic() == 5
    engine.dispose()


def test_a_centre_that_was_killed_writes_as_soon_as_it_starts_again(tmp_path: Path) -> None:
    """On SQLite no other process can hold the ledger, so nobody waits for the dead one's lease."""
    codes = []
    for body in ({"id": "t1", "name": "one"}, None):
        with process(tmp_path, "--no-scheduler") as running:
            url = address(tmp_path, running)
            admin = {"Authorization": f"Bearer {(tmp_path / 'admin.key').read_text().strip()}"}
            if body is not None:
                httpx.post(
                    f"{url}/v1/tenants", json=body, headers=admin, timeout=PATIENCE_S
                ).raise_for_status()
            cash = {"tenant_id": "t1", "amount_fen": 100, "key": "d1"}
            codes.append(
                httpx.post(
                    f"{url}/v1/cash", json=cash, headers=admin, timeout=PATIENCE_S
                ).status_code
            )
    assert codes == [201, 201]
