"""Decisions a second, end to end: submit, queue, plan, hold, attempt, order, decision stored.

The real writer and scheduler on both databases; ``step`` says which part of the way is timed:
``submit`` (checked against all sites and the money, a transaction for each, without HTTP),
``batch`` (the same in batches of 500), ``cycle`` (from the queue to everything stored), ``all``
(one process submits in batches, another runs cycles, until the last job has its start order).
``jobs=alike`` are of twenty kinds, as queues usually are; of ``jobs=unlike`` no two are the same.
``per_cpu_s`` is for a second of our processes' processor time, without PostgreSQL's own: what other
users of the machine do not change.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from time import process_time
from typing import Final

from sqlalchemy import Engine, insert

from benchmarks.frame import Figure, Options
from benchmarks.submit import databases
from scheduler import agents, registry, service
from scheduler.admission import NewJob
from scheduler.batches import BatchAsked, submit_batch
from scheduler.context import Context, make_context
from scheduler.cycle import run_cycle
from suanwang.clock import SystemClock
from suanwang.db import schema
from suanwang.db.engine import open_engine, writing
from suanwang.db.tables import tenant as tenant_table
from suanwang.ids import BatchId, PoolId, RandomIds, SiteId, TenantId
from suanwang.model.job import Wishes
from suanwang.model.site import CoolingKind, DataClass, Pool, Site
from suanwang.wire.agent import Hello
from voucher import commands
from voucher.writer import GroupWriter

SITES: Final = 6
TENANTS: Final = 8
KINDS: Final = 20
BATCH: Final = 500
SINGLE_SHARE: Final = 10
"""Of so many jobs one is submitted alone as well: it takes as long as fifty in a batch."""
GREET_EVERY_S: Final = 5.0
IDLE_S: Final = 0.1
"""Pause where nothing waits: that of the scheduler's own loop."""
JOBS: Final = 4_000
_QUICK: Final = 1_000
_CLOCK: Final = SystemClock()


@dataclass(frozen=True, slots=True)
class _Centre:
    url: str
    engine: Engine
    writer: GroupWriter
    context: Context


def run(options: Options) -> Iterator[Figure]:
    """Yield the figures of each database; ``quick`` decides a quarter of the jobs."""
    count = _QUICK if options.quick else JOBS
    for backend, url in databases():
        with _centre(url) as centre:
            for kind in ("alike", "unlike"):
                yield from _measure(centre, count, kind, backend)


def _measure(centre: _Centre, count: int, kind: str, backend: str) -> Iterator[Figure]:
    labels = {"backend": backend, "jobs": kind}
    _submit(centre, range(20), kind, "warm")
    _decide(centre, 20)
    single, half = count // SINGLE_SHARE, count // 2
    yield from _told(
        "submit", single, _timed(lambda: _submit(centre, range(single), kind, "one")), labels
    )
    _decide(centre, single)
    yield from _told(
        "batch", half, _timed(lambda: _submit_batches(centre, half, kind, "cycle")), labels
    )
    cycles: list[int] = []
    yield from _told("cycle", half, _timed(lambda: cycles.append(_decide(centre, half))), labels)
    yield Figure("decisions.per_cycle", half / cycles[0], "", **labels)
    yield from _told("all", count, _sustained(centre, count, kind), labels)


@dataclass(frozen=True, slots=True)
class _Took:
    wall_s: float
    cpu_s: float


def _timed(act: Callable[[], None]) -> _Took:
    began, began_cpu_s = _CLOCK.monotonic(), process_time()
    act()
    return _Took(_CLOCK.monotonic() - began, process_time() - began_cpu_s)


def _told(step: str, count: int, took: _Took, labels: Mapping[str, str]) -> Iterator[Figure]:
    yield Figure("decisions.per_s", count / took.wall_s, "1/s", step=step, **labels)
    yield Figure("decisions.per_cpu_s", count / took.cpu_s, "1/s", step=step, **labels)


def _sustained(centre: _Centre, count: int, kind: str) -> _Took:
    """Decide while another process submits; from its first batch to the last start order."""
    spawned = get_context("spawn")
    ours, its = spawned.Pipe()
    child = spawned.Process(target=_submitter, args=(its, centre.url, count, kind))
    child.start()
    ours.recv()  # It is ready.

    def decide() -> None:
        ours.send("go")
        _decide(centre, count)

    took = _timed(decide)
    its_cpu_s: float = ours.recv()
    child.join()
    return _Took(took.wall_s, took.cpu_s + its_cpu_s)


def _submitter(pipe: Connection, url: str, count: int, kind: str) -> None:
    """Submit batches as soon as told to; answer with the processor time that it took."""
    engine = open_engine(url)
    centre = _Centre(
        url, engine, GroupWriter(engine, _CLOCK), make_context(_CLOCK, RandomIds(_CLOCK))
    )
    pipe.send("ready")
    pipe.recv()
    took = _timed(lambda: _submit_batches(centre, count, kind, "all"))
    pipe.send(took.cpu_s)
    engine.dispose()


def _new(at: int, kind: str, name: str, tenant: int) -> NewJob:
    seconds = 600 + 60 * (at % KINDS) if kind == "alike" else 600 + at
    return NewJob(
        tenant_id=TenantId(f"t{tenant % TENANTS}"),
        submission_id=f"{name}-{kind}-{at}",
        entrypoint="python train.py",
        wishes=Wishes(units=1 + at % 2, accelerators=frozenset({"cpu"}), run_s_max=seconds),
    )


def _submit(centre: _Centre, places: range, kind: str, name: str) -> None:
    for at in places:
        with writing(centre.engine) as connection:
            service.submit(connection, _new(at, kind, name, at), centre.context)


def _submit_batches(centre: _Centre, count: int, kind: str, name: str) -> None:
    for number, first in enumerate(range(0, count, BATCH)):
        some = range(first, min(count, first + BATCH))
        asked = BatchAsked(
            id=BatchId(f"{name}-{kind}-{number}"),
            tenant_id=TenantId(f"t{number % TENANTS}"),
            request_key=f"{name}-{kind}-{number}",
            digest="",
            jobs=[_new(at, kind, name, number) for at in some],
        )
        with writing(centre.engine) as connection:
            submit_batch(connection, asked, centre.context)


def _decide(centre: _Centre, count: int) -> int:
    """Run cycles until so many jobs have started; return how many it took."""
    started = cycles = 0
    greeted_at = -GREET_EVERY_S
    while started < count:
        if _CLOCK.monotonic() - greeted_at >= GREET_EVERY_S:
            greeted_at = _CLOCK.monotonic()
            for at in range(SITES):
                _greet(centre, f"site-{at}")
        report = run_cycle(centre.engine, centre.writer, centre.context)
        if not report.queued:
            _CLOCK.sleep(IDLE_S)
            continue
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
    centre = _Centre(url, engine, writer, make_context(_CLOCK, RandomIds(_CLOCK)))
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
        units=10_000,
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
