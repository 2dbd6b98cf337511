"""A job on real Ray that is extended once by its own wish, then stopped at its limit with grace."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.client import Client
from cli.network import LocalNetwork
from cli.processes import Supervisor, free_port_block
from cli.world import cores, load_demo, site_body
from suanwang.clock import SystemClock
from suanwang.units import charge_fen, hold_fen

pytestmark = [pytest.mark.e2e, pytest.mark.ray, pytest.mark.timeout(300)]

RUN_S, STEP_S, GRACE_S = 36, 30, 6
PRICE_UYUAN = 360_000_000
PROGRAM = """
import signal, time
def end(*_):
    print("told to end", flush=True)
    for number in range(100):
        time.sleep(1)
        print("still here", number, flush=True)
signal.signal(signal.SIGTERM, end)
print("working", flush=True)
while True:
    time.sleep(1)
"""
"""Hears the request to end and does not end: only the kill after the grace does it."""
TOLD = "\ntold to end\n"


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[tuple[Supervisor, Client, Client]]:
    """A centre with one real site at 0.10 yuan a core and second; clients of tenant and admin."""
    clock, world = SystemClock(), load_demo()
    site = world.site("laoshan")
    with Supervisor(clock, tmp_path / "logs", print) as supervisor:
        network = LocalNetwork(supervisor, tmp_path / "state")
        url = network.start_centre(port=free_port_block(1, 18_800))
        head = network.start_ray(site.id, ip="127.0.0.10", cpus=cores(site))
        with network.wait_for_centre(url) as admin:
            admin.post("/v1/tenants", {"id": "t", "name": "Tenant", "uscc": ""})
            admin.post("/v1/cash", {"tenant_id": "t", "amount_fen": 100_000}, key="cash")
            key = admin.post("/v1/tenants/t/keys", {"role": "enterprise"})["secret"]
            body = site_body(site, world)
            for pool in body["pools"]:
                pool["price_uyuan_per_unit_hour"] = PRICE_UYUAN
            admin.post("/v1/sites", body)
            token = admin.post(f"/v1/sites/{site.id}/token")["secret"]
            network.wait_for_ray([head])
            network.start_agent(site.id, url, token, head, [])
            network.wait_for_agents(admin, [site.id])
            with Client(url, key) as tenant:
                yield supervisor, tenant, admin


def submit(tenant: Client) -> None:
    """Submit a job of 36 s that wishes for 30 s more, once."""
    metadata = {
        "max_minutes": str(RUN_S / 60),
        "extend_minutes": str(STEP_S / 60),
        "extend_max_minutes": str(STEP_S / 60),
        "grace_s": str(GRACE_S),
    }
    entrypoint = f"python -c '{PROGRAM}'"
    body = {"entrypoint": entrypoint, "submission_id": "long", "metadata": metadata}
    tenant.post("/v1/jobs", body)


def look(tenant: Client) -> Any:
    """Return the job as its tenant sees it."""
    return tenant.get("/v1/jobs/long")


def test_a_wish_extends_a_real_run_once_and_its_stop_takes_the_grace(
    centre: tuple[Supervisor, Client, Client],
) -> None:
    supervisor, tenant, admin = centre
    submit(tenant)
    supervisor.wait_for(
        "the extension",
        lambda: any(one["confirmed_at"] for one in look(tenant)["extensions"]),
        120,
    )
    meter = look(tenant)["meter"]
    supervisor.wait_for("the end", lambda: look(tenant)["state"] in ("stopped", "failed"), 120)
    job = look(tenant)
    most_fen = hold_fen((RUN_S + STEP_S + GRACE_S) * 1_000, PRICE_UYUAN)
    assert (meter["run_s_max"], meter["run_s_confirmed"]) == (RUN_S + STEP_S, RUN_S + STEP_S)
    assert meter["held_fen"] == most_fen
    assert (job["state"], job["reason"]) == ("stopped", "time-limit")
    assert job["message"] == f"stopped after the {RUN_S + STEP_S} s that were paid for"
    story = [one["kind"] for one in tenant.get("/v1/jobs/long/events")["items"]]
    assert story.count("extended") == story.count("extension-confirmed") == 1
    assert story.count("time-short") == 1
    output = tenant.get("/v1/jobs/long/logs", offset=0)["text"]
    assert output.index("[suanwang: extended by 30 s as the job wished") < output.index(TOLD)
    assert output.index("s of the 66 s that are paid for are left") < output.index(TOLD)
    assert output.count("still here") >= GRACE_S - 2
    used_s, paid_fen = job["account"]["unit_seconds"], job["account"]["price_fen"]
    assert RUN_S + STEP_S + GRACE_S - 2 < used_s <= RUN_S + STEP_S + GRACE_S
    assert paid_fen == charge_fen(round(used_s * 1_000), PRICE_UYUAN) <= most_fen
    assert tenant.get("/v1/vouchers")["cash_fen"]["t"] == 100_000 - paid_fen
    assert admin.get("/v1/ledger/check")["is_sound"]
