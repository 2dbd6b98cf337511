"""Builders for tests of the scheduler: a small network, jobs, reports, and a centre on a clock."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Engine, insert, select

from scheduler import agents, extension, registry, service, store_extensions
from scheduler.context import Context, Limits
from scheduler.cycle import CycleReport, run_cycle
from scheduler.reconcile import ReconcileReport, reconcile
from suanwang.clock import VirtualClock
from suanwang.db.engine import reading, writing
from suanwang.db.tables import tenant as tenant_table
from suanwang.energy.catalogue import load_catalogue
from suanwang.ids import HoldId, JobId, PoolId, SeededIds, SiteId, TenantId, attempt_id
from suanwang.model.attempt import Attempt, AttemptState, Extension
from suanwang.model.job import Job, JobState, Wishes
from suanwang.model.meter import Meter
from suanwang.model.site import CoolingKind, DataClass, Pool, Site
from suanwang.model.voucher import Hold
from suanwang.wire.agent import AttemptReport, Hello, NodeReport, Order, Receipt
from voucher import commands, ledger
from voucher import store as money_store
from voucher.tenure import Candidate
from voucher.writer import DirectWriter

START: Final = datetime(2026, 10, 14, tzinfo=UTC)
TENANT: Final = TenantId("t1")
NEAR: Final = SiteId("near")
CHEAP: Final = SiteId("cheap")
YUAN: Final = 1_000_000
"""Micro-yuan in a yuan."""


def a_pool(site_id: str, units: int = 8, yuan: int = 10, **changes: object) -> Pool:
    """Cores at a site, named ``SITE-cpu``."""
    pool = Pool(
        id=PoolId(f"{site_id}-cpu"),
        site_id=SiteId(site_id),
        accelerator="cpu",
        units=units,
        units_per_node=4,
        power_w_idle=2.0,
        power_w_busy=10.0,
        price_uyuan_per_unit_hour=yuan * YUAN,
    )
    return replace(pool, **changes)  # type: ignore[arg-type]  # a builder takes any field


def a_site(site_id: str, *pools: Pool, **changes: object) -> Site:
    """A site in Shandong that takes all data."""
    site = Site(
        id=SiteId(site_id),
        name=site_id,
        operator="op",
        region="CN-SD",
        timezone="Asia/Shanghai",
        cooling=CoolingKind.MODERN_WSE_WARMWATER,
        climate="qingdao",
        it_design_w=100_000,
        background_it_w=10_000,
        contract_w=400_000,
        tariff_id="cn-sd-tou-2026",
        voltage="35kV",
        carbon_region="CN-SD",
        pue_limit=1.3,
        accepts=frozenset(DataClass),
        pools=pools or (a_pool(site_id),),
    )
    return replace(site, **changes)  # type: ignore[arg-type]  # a builder takes any field


def a_job(**changes: object) -> Job:
    """A queued job that wants one core for ten minutes."""
    job = Job(
        id=JobId("j1"),
        submission_id="train",
        tenant_id=TENANT,
        state=JobState.QUEUED,
        entrypoint="python train.py",
        wishes=Wishes(units=1, accelerators=frozenset({"cpu"}), run_s_max=600, stop_grace_s=0),
        submitted_at=START,
    )
    return replace(job, **changes)  # type: ignore[arg-type]  # a builder takes any field


def an_attempt(state: AttemptState = AttemptState.RUNNING, **changes: object) -> Attempt:
    """The first attempt of job j1, at the near site."""
    attempt = Attempt(
        id=attempt_id("j1", 1),
        job_id=JobId("j1"),
        number=1,
        site_id=NEAR,
        pool_id=PoolId("near-cpu"),
        units=1,
        state=state,
        executor_id="train-a1",
        hold_id=HoldId("hold:j1-a1"),
        price_uyuan_per_unit_hour=10 * YUAN,
        run_s_max=600,
        intent_at=START,
        epoch=1,
        lease_expires_at=START + timedelta(seconds=1_500),
    )
    return replace(attempt, **changes)  # type: ignore[arg-type]  # a builder takes any field


def a_new_job(submission_id: str = "train", units: int = 1, **wishes: object) -> service.NewJob:
    """A submit of tenant t1: cores for ten minutes."""
    wanted = Wishes(units=units, accelerators=frozenset({"cpu"}), run_s_max=600, stop_grace_s=0)
    return service.NewJob(
        tenant_id=TENANT,
        submission_id=submission_id,
        entrypoint="python train.py",
        wishes=replace(wanted, **wishes),  # type: ignore[arg-type]  # a builder takes any field
    )


def a_report(name: str, seq: int, state: str, at: datetime, **changes: object) -> AttemptReport:
    """A report on an attempt."""
    fields: dict[str, object] = {"attempt_id": name, "seq": seq, "state": state, "at": at}
    return AttemptReport.model_validate(fields | changes)


@dataclass
class Centre:
    """A centre on a virtual clock: what the API and the loop would do, as short calls."""

    engine: Engine
    clock: VirtualClock
    ids: SeededIds
    context: Context
    writer: DirectWriter

    def register(self, *sites: Site, meters: tuple[Meter, ...] = ()) -> None:
        """Register sites that are 5 ms from Qingdao when near and 40 ms when not."""
        for site in sites:
            links = {"qingdao": 5.0 if site.id == NEAR else 40.0}
            own = tuple(meter for meter in meters if meter.site_id == site.id)
            with writing(self.engine) as connection:
                registry.register_site(connection, site, own, links, self.clock.now())
            self.greet(site.id)

    def add_tenant(self, tenant_id: str = TENANT, cash_fen: int = 0) -> None:
        """Register a tenant, with some cash."""
        with writing(self.engine) as connection:
            known = connection.execute(
                select(tenant_table.c.id).where(tenant_table.c.id == tenant_id)
            ).first()
            if known is None:
                row = {"id": tenant_id, "name": tenant_id, "uscc": "", "created_at": START}
                connection.execute(insert(tenant_table).values(**row))
        if cash_fen:
            key = self.ids.new("cash")
            deposit = commands.Deposit(key=key, tenant_id=tenant_id, amount_fen=cash_fen)
            self.writer.submit(deposit).result()

    def issue(self, lot_id: str, amount_fen: int, num: int = 1, den: int = 1) -> None:
        """Give tenant t1 a lot for thirty days."""
        lot = commands.Issue(
            key=f"issue:{lot_id}",
            lot_id=lot_id,
            tenant_id=TENANT,
            programme="qingdao",
            amount_fen=amount_fen,
            expires_at=START + timedelta(days=30),
            ratio_num=num,
            ratio_den=den,
        )
        with self.writer.turn() as turn:
            (outcome,) = ledger.apply(turn, [lot], self.clock.now())
        assert isinstance(outcome, ledger.Accepted), outcome

    def submit(self, new: service.NewJob | None = None) -> Job:
        """Submit a job."""
        with writing(self.engine) as connection:
            return service.submit(connection, new or a_new_job(), self.context)

    def stop(self, submission_id: str = "train") -> bool:
        """Ask for a stop."""
        with self.writer.turn() as turn:
            return service.request_stop(turn, TENANT, submission_id, self.clock.now())

    def job(self, submission_id: str = "train") -> Job:
        """Return a job."""
        with reading(self.engine) as connection:
            return service.find_job(connection, TENANT, submission_id)

    def attempts(self, submission_id: str = "train") -> tuple[Attempt, ...]:
        """Return a job's attempts."""
        with reading(self.engine) as connection:
            job = service.find_job(connection, TENANT, submission_id)
            return service.attempts_of(connection, job.id)

    def story(self, submission_id: str = "train") -> list[str]:
        """Return the kinds of a job's events."""
        with reading(self.engine) as connection:
            job = service.find_job(connection, TENANT, submission_id)
            return [event.kind for event in service.job_events(connection, job.id)]

    def cycle(self, context: Context | None = None) -> CycleReport:
        """Run a cycle."""
        return run_cycle(self.engine, self.writer, context or self.context)

    def reconcile(self) -> ReconcileReport:
        """Run a reconcile."""
        return reconcile(self.engine, self.writer, self.context)

    def greet(
        self, site_id: str, *running: str, state: str = "up", nodes: Sequence[NodeReport] = ()
    ) -> tuple[str, ...]:
        """Let a site's agent say hello; return what the centre believes to run there."""
        greeting = Hello.model_validate(
            {
                "agent_version": "1",
                "clock": self.clock.now(),
                "executor_state": state,
                "running": running,
                "nodes": nodes,
            }
        )
        with self.writer.turn() as turn:
            return agents.hello(turn, SiteId(site_id), greeting, self.clock.now()).running

    def orders(self, site_id: str) -> tuple[Order, ...]:
        """Hand out a site's orders."""
        with writing(self.engine) as connection:
            return agents.orders(connection, SiteId(site_id))

    def acknowledge(self, site_id: str, *ids: str, late: tuple[str, ...] = ()) -> None:
        """Acknowledge orders."""
        with self.writer.turn() as turn:
            agents.acknowledge(turn, SiteId(site_id), ids, self.clock.now(), late)

    def extend(
        self, by_s: int, submission_id: str = "train", key: str = ""
    ) -> tuple[Extension, bool]:
        """Ask for more time by hand."""
        ask = extension.Ask(by_s=by_s, request_key=key or self.ids.new("extend"), asked_by="key_1")
        with self.writer.turn() as turn:
            return extension.extend_job(turn, TENANT, submission_id, ask, self.clock.now())

    def extensions(self, submission_id: str = "train") -> tuple[Extension, ...]:
        """Return a job's extensions."""
        with reading(self.engine) as connection:
            job = service.find_job(connection, TENANT, submission_id)
            return store_extensions.of_job(connection, job.id)

    def hold(self, submission_id: str = "train") -> Hold:
        """Return the hold of a job's newest attempt."""
        with reading(self.engine) as connection:
            return money_store.find_hold(connection, self.attempts(submission_id)[-1].hold_id)

    def report(self, site_id: str, *reports: AttemptReport) -> Receipt:
        """Send reports of a site's agent."""
        with self.writer.turn() as turn:
            return agents.take_reports(turn, SiteId(site_id), reports, self.clock.now())

    def tell(self, name: str, seq: int, state: str, **changes: object) -> Receipt:
        """Report on one attempt, from the site where it is."""
        with reading(self.engine) as connection:
            job_id = JobId(name.rpartition("-a")[0])
            sites = {one.id: one.site_id for one in service.attempts_of(connection, job_id)}
        report = a_report(name, seq, state, self.clock.now(), **changes)
        return self.report(sites[attempt_id(job_id, int(name.rpartition("-a")[2]))], report)


def a_centre(
    engine: Engine, clock: VirtualClock, ids: SeededIds, holder: str = "centre", **limits: object
) -> Centre:
    """A centre with tenant t1 and the real planner; ``holder`` is its name in the lease."""
    context = Context(
        clock=clock,
        ids=ids,
        catalogue=load_catalogue(),
        limits=Limits(**limits),  # type: ignore[arg-type]  # a builder takes any field
    )
    writer = DirectWriter(engine, clock, Candidate(name=holder))
    centre = Centre(engine=engine, clock=clock, ids=ids, context=context, writer=writer)
    centre.add_tenant()
    return centre
