"""Decisions a second, end to end: submit, queue, plan, hold, attempt, order, decision stored.

One process with the real writer and scheduler on both databases; ``step`` says which part of the
way is timed: ``submit`` (checked against every site and the tenant's money, one transaction each,
without HTTP), ``cycle`` (from the queue to everything stored), ``all`` both together.
``jobs=alike`` are of twenty kinds, as queues usually are; of ``jobs=unlike`` no two are the same.
``per_cpu_s`` is for a second of this process's processor time, without PostgreSQL's own: what other
users of the machine do not change.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import process_time
from typing import Final

from sqlalchemy import Engine, insert

from benchmarks.frame import Figure, Options
from benchmarks.submit import databases
from scheduler import agents, registry, service
from scheduler.context import Context, make_context
from scheduler.cycle import run_cycle
from suanwang.clock import SystemClock
from suanwang.db import schema
from suanwang.db.engine import open_engine, writing
from suanwang.db.tables import tenant as tenant_table
from suanwang.ids import PoolId, RandomIds, SiteId, TenantId
from suanwang.model.job import Wishes
from suanwang.model.site import CoolingKind, DataClass, Pool, Site
from suanwang.wire.agent import Hello
from voucher import commands
from voucher.writer import GroupWriter

SITES: Final = 6
TENANTS: Final = 8
KINDS: Final = 20
JOBS: Final = 4_000
_QUICK: Final = 400
_CLOCK: Final = SystemClock()


@dataclass(frozen=True, slots=True)
class _Centre:
    engine: Engine
    writer: GroupWriter
    context: Context


def run(options: Options) -> Iterator[Figure]:
    """Yield the figures of each database; ``quick`` decides a tenth of the jobs."""
    count = _QUICK if options.quick else JOBS
    for backend, url in databases():
        with _centre(url) as centre:
            for kind in ("alike", "unlike"):
                yield from _measure(centre, count, kind, backend)


def _measure(centre: _Centre, count: int, kind: str, backend: str) -> Iterator[Figure]:
    labels = {"backend": backend, "jobs": kind}
    _submit(centre, 20, kind, "warm")
    _decide(centre, 20)
    began, began_cpu_s = _CLOCK.monotonic(), process_time()
    _submit(centre, count, kind, "job")
    submitted, submitted_cpu_s = _CLOCK.monotonic(), process_time()
    cycles = _decide(centre, count)
    ended, ended_cpu_s = _CLOCK.monotonic(), process_time()
    steps = {
        "submit": (submitted - began, submitted_cpu_s - began_cpu_s),
        "cycle": (ended - submitted, ended_cpu_s - submitted_cpu_s),
        "all": (ended - began, ended_cpu_s - began_cpu_s),
    }
    for step, (wall_s, cpu_s) in steps.items():
        yield Figure("decisions.per_s", count / wall_s, "1/s", step=step, **labels)
        yield Figure("decisions.per_cpu_s", count / cpu_s, "1/s", step=step, **labels)
    yield Figure("decisions.per_cycle", count / cycles, "", **labels)


def _submit(centre: _Centre, count: int, kind: str, name: str) -> None:
    for at in range(count):
        seconds = 600 + 60 * (at % KINDS) if kind == "alike" else 600 + at
        new = service.NewJob(
            tenant_id=TenantId(f"t{at % TENANTS}"),
            submission_id=f"{name}-{kind}-{at}",
            entrypoint="python train.py",
            wishes=Wishes(units=1 + at % 2, accelerators=frozenset({"cpu"}), run_s_max=seconds),
        )
        with writing(centre.engine) as connection:
            service.submit(connection, new, centre.context)


def _decide(centre: _Centre, count: int) -> int:
    """Run cycles until so many jobs have started; return how many it took."""
    started = cycles = 0
    while started < count:
        for at in range(SITES):
            _greet(centre, f"site-{at}")
        report = run_cycle(centre.engine, centre.writer, centre.context)
        if not report.started:
            raise AssertionError(f"nothing starts: {report.skipped}, {report.waiting} wait")
        started += len(report.started)
        cycles += 1
    return cycles


@contextmanager
def _centre(url: str) -> Iterator[_Centre]:
    engine = open_engine(url)
    schema.upgrade(engine)
    writer = GroupWriter(engine, _CLOCK)
    writer.start()
    centre = _Centre(engine, writer, make_context(_CLOCK, RandomIds(_CLOCK)))
    _furnish(centre)
    try:
        yield centre
    finally:
        writer.stop()
        engine.dispose()


def _furnish(centre: _Centre) -> None:
    """Six sites with more units than all jobs take, and tenants with enough cash."""
    now = _CLOCK.now()
    with writing(centre.engine) as connection:
        for at in range(SITES):
            registry.register_site(connection, _site(at), (), {"qingdao": 5.0 + at}, now)
        for at in range(TENANTS):
            row = {"id": f"t{at}", "name": f"t{at}", "uscc": "", "created_at": now}
            connection.execute(insert(tenant_table).values(**row))
    for at in range(TENANTS):
        deposit = commands.Deposit(key=f"cash-{at}", tenant_id=f"t{at}", amount_fen=10**12)
        centre.writer.submit(deposit).result()


def _site(at: int) -> Site:
    name = SiteId(f"site-{at}")
    pool = Pool(
        id=PoolId(f"{name}-cpu"),
        site_id=name,
        accelerator="cpu",
        units=5_000,
        units_per_node=100,
        power_w_idle=2.0,
        power_w_busy=8.0,
        price_uyuan_per_unit_hour=120_000 + 1_000 * at,
    )
    return Site(
        id=name,
        name=name,
        operator="benchmark",
        region="CN-SD",
        timezone="Asia/Shanghai",
        cooling=CoolingKind.MODERN_WSE_WARMWATER,
        climate="qingdao",
        it_design_w=1_000_000,
        background_it_w=1_000,
        contract_w=2_000_000,
        tariff_id="cn-sd-tou-2026",
        voltage="1-10kV",
        carbon_region="CN-SD",
        pue_limit=1.3,
        accepts=frozenset(DataClass),
        pools=(pool,),
    )


def _greet(centre: _Centre, site_id: str) -> None:
    now = _CLOCK.now()
    greeting = Hello.model_validate(
        {"agent_version": "1", "clock": now, "executor_state": "up", "running": ()}
    )
    centre.writer.write(lambda turn: agents.hello(turn, SiteId(site_id), greeting, now))
