"""kill -9 of the centre and of the agent while a job runs: it ends once and is billed once."""

from pathlib import Path
from typing import Any

import pytest

from cli.client import Client
from cli.network import LocalNetwork
from cli.processes import Child, Supervisor, free_port_block
from cli.world import cores, load_demo, site_body
from suanwang.clock import SystemClock
from suanwang.errors import Unavailable

pytestmark = [pytest.mark.e2e, pytest.mark.ray, pytest.mark.timeout(300)]

RUN_S = 14


def test_a_job_survives_the_death_of_centre_and_agent(tmp_path: Path) -> None:
    clock = SystemClock()
    world = load_demo()
    site = world.site("laoshan")
    marks = tmp_path / "marks"
    with Supervisor(clock, tmp_path / "logs", print) as supervisor:
        network = LocalNetwork(supervisor, tmp_path / "state")
        port = free_port_block(1, 18_700)
        url = network.start_centre(port=port)
        centre = child(supervisor, "centre")
        head = network.start_ray(site.id, ip="127.0.0.9", cpus=cores(site))
        with network.wait_for_centre(url) as admin:
            admin.post("/v1/tenants", {"id": "t", "name": "Tenant", "uscc": ""})
            admin.post("/v1/cash", {"tenant_id": "t", "amount_fen": 100_000}, key="cash")
            key = admin.post("/v1/tenants/t/keys", {"role": "enterprise"})["secret"]
            admin.post("/v1/sites", site_body(site, world))
            token = admin.post(f"/v1/sites/{site.id}/token")["secret"]
            network.wait_for_ray([head])
            agent = network.start_agent(site.id, url, token, head, [])
            network.wait_for_agents(admin, [site.id])
        with Client(url, key) as tenant:
            script = f"echo run >> {marks}; sleep {RUN_S}"
            body = {"entrypoint": script, "submission_id": "once", "metadata": {"max_minutes": "2"}}
            tenant.post("/v1/jobs", body)
            supervisor.wait_for("the job", lambda: state(tenant) == "running", 60)
            supervisor.kill(centre)
            clock.sleep(2)
            network.start_centre(port=port)
            supervisor.wait_for("the centre", lambda: state(tenant) != "", 60)
            supervisor.kill(agent)
            clock.sleep(1)
            network.start_agent(site.id, url, token, head, [])
            supervisor.wait_for("the end", lambda: state(tenant) in ("succeeded", "failed"), 120)
            job = tenant.get("/v1/jobs/once")
            entries = tenant.get("/v1/ledger/entries", limit=100)["items"]
        with Client(url, (tmp_path / "state" / "admin.key").read_text().strip()) as admin:
            assert admin.get("/v1/ledger/check")["is_sound"]
    assert job["state"] == "succeeded"
    assert len(job["attempts"]) == 1
    assert marks.read_text().split() == ["run"]
    assert [entry["kind"] for entry in entries].count("capture") == 1
    assert abs(job["account"]["unit_seconds"] - RUN_S) < 10


def child(supervisor: Supervisor, name: str) -> Child:
    return next(one for one in supervisor.children if one.name == name)


def state(client: Client) -> Any:
    try:
        return client.get("/v1/jobs/once")["state"]
    except Unavailable:
        return ""
