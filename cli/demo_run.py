"""What the demo does: brings up the sites, submits jobs by Ray's own command, gathers results."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cli.client import Client
from cli.network import LocalNetwork, RayHead
from cli.output import Json
from cli.processes import Supervisor
from cli.world import cores, site_body, story
from suanwang.clock import Clock
from suanwang.errors import SuanwangError
from suanwang.scenario.world import DemoJob, World, WorldTenant

FINAL_STATES: Final = ("succeeded", "failed", "stopped")
JOBS_LIMIT_S: Final = 300.0
READINGS_LIMIT_S: Final = 120.0
SUBMIT_LIMIT_S: Final = 180.0
FIRST_IP: Final = 2


@dataclass(slots=True)
class Submitted:
    """What Ray's command line said about one job."""

    job: DemoJob
    exit_code: int | None = None
    output: str = ""


@dataclass(slots=True)
class DemoResult:
    """All that the report needs, as the API answered it."""

    quote: list[Json] = field(default_factory=list)
    submitted: list[Submitted] = field(default_factory=list)
    jobs: dict[str, Json] = field(default_factory=dict)
    explanations: dict[str, Json] = field(default_factory=dict)
    pue: list[Json] = field(default_factory=list)
    lots: list[Json] = field(default_factory=list)
    cash_fen: dict[str, int] = field(default_factory=dict)
    ledger: Json = None
    refused: list[str] = field(default_factory=list)


class DemoRun:
    """The demo step by step; ``tell`` is called with each step's headline."""

    def __init__(
        self,
        world: World,
        supervisor: Supervisor,
        folder: Path,
        clock: Clock,
        tell: Callable[[str], None],
    ) -> None:
        self._world = world
        self._story = story(world)
        self._supervisor = supervisor
        self._folder = folder
        self._clock = clock
        self._tell = tell
        self._network = LocalNetwork(supervisor, folder)
        self._heads: dict[str, RayHead] = {}
        self.url = ""
        self.api_key = ""
        self.admin_key = ""
        self.folders: list[Path] = []

    def bring_up(self) -> None:
        """Start the centre, a Ray cluster, two meters and an agent a site; wait for all."""
        names = [site.id for site in self._world.sites]
        self._tell(f"starting the centre and a Ray cluster for each site: {', '.join(names)}")
        self.url = self._network.start_centre(port=0, cycle_s=1.0)
        sources = {}
        for number, site in enumerate(self._world.sites):
            ip = f"127.0.0.{FIRST_IP + number}"
            head = self._network.start_ray(site.id, ip=ip, cpus=cores(site))
            self._heads[site.id] = head
            self.folders.append(head.folder)
            meters = self._world.meters_of(site.id)
            sources[site.id] = self._network.start_meters(site, meters, head)
        with self._network.wait_for_centre(self.url) as admin:
            self.admin_key = admin.api_key
            self._tell(f"the centre answers at {self.url}; registering tenant, voucher and sites")
            tokens = self._furnish(admin)
            self._tell("waiting for Ray")
            self._network.wait_for_ray(list(self._heads.values()))
            self._tell("Ray is up; starting the agents")
            for name in names:
                head = self._heads[name]
                self._network.start_agent(name, self.url, tokens[name], head, sources[name])
            self._network.wait_for_agents(admin, names)
            self._tell("all sites are up; waiting for their first meter readings")
            self._supervisor.wait_for("a meter", lambda: self._has_power(admin), READINGS_LIMIT_S)

    def _furnish(self, admin: Client) -> Mapping[str, str]:
        for tenant in self._world.tenants:
            _furnish_tenant(admin, tenant)
        owner = self._world.tenants[0].tenant.id
        made = admin.post(f"/v1/tenants/{owner}/keys", {"role": "enterprise"})
        self.api_key = str(made["secret"])
        tokens: dict[str, str] = {}
        for site in self._world.sites:
            admin.post("/v1/sites", site_body(site, self._world))
            tokens[site.id] = str(admin.post(f"/v1/sites/{site.id}/token")["secret"])
        return tokens

    def _has_power(self, admin: Client) -> bool:
        sites = admin.get("/v1/sites")["items"]
        facts = [site[part] for site in sites for part in ("it_power_w", "facility_power_w")]
        return all(fact and fact["value"] > 0 and fact["at"] for fact in facts)

    def quote(self, result: DemoResult, job: DemoJob) -> None:
        """Ask what a job would mean at each site, before it is submitted."""
        with Client(self.url, self.api_key) as client:
            answer = client.post("/v1/quotes", {"metadata": dict(job.metadata)})
        result.quote = answer["rows"]

    def submit(self, result: DemoResult, follow: Callable[[str], None]) -> None:
        """Submit every job by ``ray job submit``; the last one's output is followed to its end."""
        folder = self._folder / "work"
        folder.mkdir()
        for name, text in self._story.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        *others, last = self._story.jobs
        running = [
            (Submitted(job=job), self._ray_submit(job, folder, wait=False)) for job in others
        ]
        for submitted, process in running:
            submitted.output, _ = process.communicate(timeout=SUBMIT_LIMIT_S)
            submitted.exit_code = process.returncode
            result.submitted.append(submitted)
            verdict = "accepted" if process.returncode == 0 else "refused"
            self._tell(f"ray job submit {submitted.job.id}: {verdict} ({submitted.job.title})")
        self._tell(f"ray job submit {last.id}, following its log ({last.title})")
        result.submitted.append(self._follow(last, folder, follow))

    def _follow(self, job: DemoJob, folder: Path, follow: Callable[[str], None]) -> Submitted:
        submitted = Submitted(job=job)
        process = self._ray_submit(job, folder, wait=True)
        assert process.stdout is not None
        for text in process.stdout:
            submitted.output += text
            follow(text.rstrip())
        submitted.exit_code = process.wait(SUBMIT_LIMIT_S)
        process.stdout.close()
        return submitted

    def _ray_submit(self, job: DemoJob, folder: Path, *, wait: bool) -> "subprocess.Popen[str]":
        """Start the stock client: nothing in it knows of us, our API key is its token."""
        env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RAY_", "SUANWANG_"))
        }
        env |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.api_key, "NO_COLOR": "1"}
        env[self._supervisor.marker_name] = self._supervisor.marker
        return subprocess.Popen(  # noqa: S603 - Ray's own client, no shell
            [
                *(str(Path(sys.executable).parent / "ray"), "job", "submit"),
                *("--address", self.url, "--submission-id", job.id),
                *("--working-dir", str(folder), "--metadata-json", json.dumps(job.metadata)),
                *(() if wait else ("--no-wait",)),
                *("--", *job.entrypoint.split()),
            ],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self, result: DemoResult) -> None:
        """Wait until every accepted job has ended and is paid; gather what the report shows."""
        accepted = [done.job.id for done in result.submitted if done.exit_code == 0]
        result.refused = [done.job.id for done in result.submitted if done.exit_code != 0]
        with Client(self.url, self.api_key) as client, Client(self.url, self.admin_key) as admin:
            self._wait_for_jobs(client, result, accepted)
            self._tell("all jobs have ended; reading meters and books")
            for name in accepted:
                result.explanations[name] = client.get(f"/v1/jobs/{name}/explain")
            result.pue = [
                admin.get(f"/v1/sites/{site.id}/pue", hours=1) for site in self._world.sites
            ]
            vouchers = client.get("/v1/vouchers")
            result.lots = vouchers["items"]
            result.cash_fen = vouchers.get("cash_fen", {})
            result.ledger = admin.get("/v1/ledger/check")

    def _wait_for_jobs(self, client: Client, result: DemoResult, names: list[str]) -> None:
        told: dict[str, str] = {}

        def all_final() -> bool:
            for name in names:
                job = client.get(f"/v1/jobs/{name}")
                result.jobs[name] = job
                words = f"{job['state']} at {job['site_id']}" if job["site_id"] else job["state"]
                if told.get(name) != words:
                    self._tell(f"{name}: {words}")
                    told[name] = words
            return all(result.jobs[name]["state"] in FINAL_STATES for name in names)

        self._supervisor.wait_for("the jobs", all_final, JOBS_LIMIT_S)


def _furnish_tenant(admin: Client, rich: WorldTenant) -> None:
    tenant = rich.tenant
    admin.post("/v1/tenants", {"id": tenant.id, "name": tenant.name, "uscc": tenant.uscc})
    for lot in rich.lots:
        body = {
            "lot_id": lot.id,
            "tenant_id": tenant.id,
            "programme": lot.programme,
            "amount_fen": lot.issued_fen,
            "ratio_num": lot.ratio_num,
            "ratio_den": lot.ratio_den,
            "expires_at": lot.expires_at.isoformat(),
            "rank": lot.rank,
            "sites": sorted(lot.sites),
            "accelerators": sorted(lot.accelerators),
        }
        admin.post("/v1/vouchers", body, key=f"lot:{lot.id}")
    cash = {"tenant_id": tenant.id, "amount_fen": rich.cash_fen}
    admin.post("/v1/cash", cash, key=f"cash:{tenant.id}")


def broken_promises(world: World, result: DemoResult) -> list[str]:
    """Return what did not come out as the world's file says, in words."""
    broken = []
    for job in story(world).jobs:
        found = result.jobs.get(job.id)
        if job.expect.is_refused:
            if job.id not in result.refused:
                broken.append(f"{job.id} should have been refused")
            continue
        if found is None or found["state"] != "succeeded":
            state = found["state"] if found else "refused"
            broken.append(f"{job.id} should have succeeded; it {state}")
        elif found["site_id"] != job.expect.site_id:
            wanted = job.expect.site_id
            broken.append(f"{job.id} should have run at {wanted}, not {found['site_id']}")
    if not (result.ledger and result.ledger["is_sound"]):
        broken.append("the ledger is not sound")
    broken += [
        f"{figure['site_id']} has no PUE: {figure['withheld']}"
        for figure in result.pue
        if figure["value"] is None
    ]
    return broken


def require(broken: list[str]) -> None:
    """Raise SuanwangError when a promise is broken."""
    if broken:
        raise SuanwangError(
            "the demo did not come out as it should: " + "; ".join(broken),
            next_step="the logs were kept; please report this",
        )
