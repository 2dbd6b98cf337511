"""Many jobs in one request: all or none, once for each key, on both databases."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from scheduler_builders import CHEAP, NEAR, Centre, a_centre, a_new_job, a_pool, a_site
from sqlalchemy import Connection, Engine, event, func, select

from scheduler import batches, store, store_batches
from scheduler.admission import NewJob, admit
from suanwang.clock import VirtualClock
from suanwang.db.engine import reading, writing
from suanwang.db.tables import job as job_table
from suanwang.db.tables import job_batch, job_event
from suanwang.errors import BadInput, Conflict, Refused, SuanwangError
from suanwang.ids import BatchId, SeededIds, TenantId
from suanwang.model.job import Job, JobState, Predecessor
from suanwang.model.job_batch import JobBatch
from suanwang.model.plan import ReasonCode


@pytest.fixture
def centre(engine: Engine, clock: VirtualClock, ids: SeededIds) -> Centre:
    """Two sites and cash."""
    made = a_centre(engine, clock, ids)
    made.register(a_site(NEAR, a_pool(NEAR, yuan=12)), a_site(CHEAP, a_pool(CHEAP, yuan=6)))
    made.add_tenant(cash_fen=100_000)
    return made


def many(count: int, **wishes: object) -> list[NewJob]:
    """Jobs that are alike."""
    return [a_new_job(f"part-{at}", **wishes) for at in range(count)]  # type: ignore[arg-type]


def asked(
    jobs: Sequence[NewJob | SuanwangError], key: str = "k1", digest: str = "d", name: str = "b1"
) -> batches.BatchAsked:
    """A batch of tenant t1 on its way in."""
    return batches.BatchAsked(
        id=BatchId(name), tenant_id=TenantId("t1"), request_key=key, digest=digest, jobs=jobs
    )


def send(centre: Centre, batch: batches.BatchAsked) -> tuple[JobBatch, bool]:
    """Submit a batch in a transaction of its own."""
    with writing(centre.engine) as connection:
        return batches.submit_batch(connection, batch, centre.context)


def counts(centre: Centre) -> tuple[int, int, int]:
    """Rows of batches, jobs and events."""
    with reading(centre.engine) as connection:
        tables = (job_batch, job_table, job_event)
        found = [
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in tables
        ]
    return found[0], found[1], found[2]


def told(error: SuanwangError) -> list[dict[str, object]]:
    """What a refused batch says about its jobs."""
    items = error.facts["items"]
    assert isinstance(items, list)
    return items


def test_a_batch_is_taken_in_as_a_whole_and_in_its_order(centre: Centre) -> None:
    batch, is_repeat = send(centre, asked(many(30)))
    assert (batch.jobs, is_repeat) == (30, False)
    with reading(centre.engine) as connection:
        names = store_batches.names(connection, batch.id)
        queue = store.queued_jobs(connection, 100)
    assert list(names) == [f"part-{at}" for at in range(30)]
    assert [job.submission_id for job in queue] == list(names)
    assert {job.batch_id for job in queue} == {"b1"}
    assert centre.story("part-7") == ["submitted"]


def test_the_same_request_again_is_the_same_batch(centre: Centre) -> None:
    first, _ = send(centre, asked(many(3)))
    again, is_repeat = send(centre, asked(many(3), name="b2"))
    assert (again, is_repeat) == (first, True)
    assert counts(centre) == (1, 3, 3)


def test_a_key_is_used_for_one_request(centre: Centre) -> None:
    send(centre, asked(many(3)))
    with pytest.raises(Conflict, match="key was used for batch b1"):
        send(centre, asked(many(4), digest="other", name="b2"))


def test_keys_of_two_tenants_are_two_keys(centre: Centre) -> None:
    send(centre, asked(many(1)))
    centre.add_tenant("t2", cash_fen=100_000)
    other = replace(a_new_job("theirs"), tenant_id=TenantId("t2"))
    _, is_repeat = send(centre, replace(asked([other], name="b2"), tenant_id=TenantId("t2")))
    assert not is_repeat


def test_one_bad_job_keeps_all_out_and_is_named(centre: Centre) -> None:
    jobs = many(5)
    jobs[3] = replace(jobs[3], entrypoint=" ")
    with pytest.raises(BadInput, match="1 of 5 jobs cannot be taken, so none was") as refused:
        send(centre, asked(jobs))
    (item,) = told(refused.value)
    assert (item["index"], item["submission_id"], item["code"]) == (3, "part-3", "bad-input")
    assert counts(centre) == (0, 0, 0)
    assert send(centre, asked(many(5)))[1] is False, "the key is free for the next try"


def test_a_job_that_no_site_can_ever_run_keeps_all_out(centre: Centre) -> None:
    jobs = [*many(2), a_new_job("dear", run_s_max=360_000, units=8), a_new_job("wide", units=99)]
    with pytest.raises(Refused) as refused:
        send(centre, asked(jobs))
    named = {item["submission_id"] for item in told(refused.value)}
    assert named == {"dear", "wide"}
    assert counts(centre) == (0, 0, 0)


@pytest.mark.parametrize(
    ("names", "bad"),
    [
        pytest.param(["x", "y", "x"], {2}, id="twice in the batch"),
        pytest.param(["x", "taken", "y"], {1}, id="in use by an equal job"),
    ],
)
def test_an_id_that_is_in_use_keeps_all_out(
    centre: Centre, names: list[str], bad: set[int]
) -> None:
    centre.submit(a_new_job("taken"))
    with pytest.raises(Conflict) as refused:
        send(centre, asked([a_new_job(name) for name in names]))
    assert {item["index"] for item in told(refused.value)} == bad
    assert counts(centre)[:2] == (0, 1)


def test_only_so_many_jobs_are_named(centre: Centre) -> None:
    jobs = [replace(one, entrypoint="") for one in many(batches.TOLD_MAX + 20)]
    with pytest.raises(BadInput) as refused:
        send(centre, asked(jobs))
    assert refused.value.facts["failed"] == batches.TOLD_MAX + 20
    assert len(told(refused.value)) == batches.TOLD_MAX


def test_a_job_may_come_after_one_of_its_batch(centre: Centre) -> None:
    later = a_new_job("later", after=(Predecessor("part-0"),))
    send(centre, asked([*many(1), later]))
    with pytest.raises(BadInput, match="part-9"):
        send(centre, asked([a_new_job("x", after=(Predecessor("part-9"),))], key="k2", name="b2"))


def test_a_crash_in_between_leaves_nothing_and_the_next_try_is_the_first(centre: Centre) -> None:
    class PowerCut(Exception):
        pass

    def cut(_c: object, _u: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO job_event"):
            raise PowerCut

    event.listen(centre.engine, "before_cursor_execute", cut)
    with pytest.raises(PowerCut):
        send(centre, asked(many(10)))
    event.remove(centre.engine, "before_cursor_execute", cut)
    assert counts(centre) == (0, 0, 0)
    assert send(centre, asked(many(10)))[1] is False
    assert counts(centre) == (1, 10, 10)


def test_the_same_batch_from_many_threads_is_taken_in_once(centre: Centre) -> None:
    gate = threading.Barrier(4)

    def race(at: int) -> bool:
        gate.wait(30)
        return send(centre, asked(many(20), name=f"b{at}"))[1]

    with ThreadPoolExecutor(4) as pool:
        repeats = sorted(pool.map(race, range(4)))
    assert repeats == [False, True, True, True]
    assert counts(centre) == (1, 20, 20)


def test_jobs_that_two_transactions_bring_at_once_are_there_once(centre: Centre) -> None:
    gate = threading.Barrier(2)

    def race(order: int) -> list[Job | SuanwangError]:
        gate.wait(30)
        with writing(centre.engine) as connection:
            return admit(connection, many(20)[::order], centre.context)

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(race, (1, -1))
    ids = {job.submission_id: job.id for job in one if isinstance(job, Job)}
    assert ids == {job.submission_id: job.id for job in other if isinstance(job, Job)}
    assert counts(centre) == (0, 20, 20)


def test_a_batch_takes_few_statements(centre: Centre) -> None:
    seen: list[str] = []

    def note(_c: Connection, _u: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(centre.engine, "before_cursor_execute", note)
    send(centre, asked(many(400)))
    event.remove(centre.engine, "before_cursor_execute", note)
    assert len(seen) < 30, seen


def test_where_money_is_short_a_part_starts_and_the_rest_waits(centre: Centre) -> None:
    """Each job can cost 1.00 yuan at the cheap site, eight fit there; there is money for five."""
    centre.add_tenant("t2", cash_fen=500)
    tenant, here = TenantId("t2"), frozenset({"cheap"})
    jobs = [replace(one, tenant_id=tenant) for one in many(8, sites=here)]
    send(centre, replace(asked(jobs), tenant_id=TenantId("t2")))
    centre.cycle()
    with reading(centre.engine) as connection:
        states = store_batches.states(connection, BatchId("b1"))
        waiting = store.queued_jobs(connection, 100)
    assert states == {JobState.PLACED: 5, JobState.QUEUED: 3}
    assert {job.reason for job in waiting} == {ReasonCode.VOUCHER}


def test_a_batch_is_stopped_as_a_whole(centre: Centre) -> None:
    batch, _ = send(centre, asked(many(4)))
    with reading(centre.engine) as connection:
        left = store_batches.unfinished(connection, batch.id)
    with centre.writer.turn() as turn:
        assert batches.stop_some(turn, left, centre.clock.now()) == 4
    with centre.writer.turn() as turn:
        assert batches.stop_some(turn, left, centre.clock.now()) == 0
    with reading(centre.engine) as connection:
        assert store_batches.states(connection, batch.id) == {JobState.STOPPED: 4}
        assert store_batches.unfinished(connection, batch.id) == ()
