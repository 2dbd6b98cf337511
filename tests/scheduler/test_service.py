"""Submit, look, list, delete, register: what a store must do on both databases."""

from dataclasses import replace

import pytest
from scheduler_builders import (
    CHEAP,
    NEAR,
    START,
    TENANT,
    Centre,
    a_centre,
    a_job,
    a_new_job,
    a_pool,
    a_site,
    an_attempt,
)
from sqlalchemy import Engine

from scheduler import explain, quotes, registry, service, store
from scheduler.rows import attempt_of, attempt_row, job_of, job_row
from scheduler.snapshot import take_snapshot
from suanwang.clock import VirtualClock
from suanwang.db.engine import reading, writing
from suanwang.errors import BadInput, Conflict, NotFound
from suanwang.ids import PoolId, SeededIds, TenantId
from suanwang.model.attempt import AttemptState, FailureKind
from suanwang.model.job import Job, JobState, Wishes
from suanwang.model.plan import ReasonCode
from suanwang.model.site import DataClass


@pytest.fixture
def centre(engine: Engine, clock: VirtualClock, ids: SeededIds) -> Centre:
    """Two sites and cash."""
    made = a_centre(engine, clock, ids)
    made.register(a_site(NEAR, a_pool(NEAR, yuan=12)), a_site(CHEAP, a_pool(CHEAP, yuan=6)))
    made.add_tenant(cash_fen=100_000)
    return made


def test_an_equal_submit_is_the_same_job(centre: Centre) -> None:
    first = centre.submit()
    centre.clock.advance(5)
    assert centre.submit() == first
    assert centre.story() == ["submitted"]


def test_the_same_id_for_something_else_is_a_conflict(centre: Centre) -> None:
    centre.submit()
    with pytest.raises(Conflict, match="already exists"):
        centre.submit(a_new_job(units=2))
    centre.add_tenant("t2", cash_fen=100)
    with pytest.raises(Conflict, match="already exists"):
        centre.submit(replace(a_new_job(), tenant_id=TenantId("t2")))


@pytest.mark.parametrize("name", ["a/b", "", "x" * 129, "a b", "作业"])
def test_ids_that_ray_cannot_take_are_refused(centre: Centre, name: str) -> None:
    with pytest.raises(BadInput):
        centre.submit(a_new_job(name))


def test_an_empty_entrypoint_is_refused(centre: Centre) -> None:
    with pytest.raises(BadInput, match="entrypoint"):
        centre.submit(replace(a_new_job(), entrypoint="  "))


def test_a_job_of_another_tenant_is_not_there(centre: Centre) -> None:
    centre.submit()
    with reading(centre.engine) as connection:
        with pytest.raises(NotFound):
            service.find_job(connection, TenantId("t2"), "train")
        assert service.find_job(connection, None, "train").tenant_id == TENANT


def test_lists_are_paged_newest_first(centre: Centre) -> None:
    for number in range(5):
        centre.submit(a_new_job(f"job{number}"))
        if number % 2:
            centre.clock.advance(1)
    with reading(centre.engine) as connection:
        seen: list[str] = []
        before = None
        while page := service.list_jobs(connection, tenant_id=TENANT, before=before, limit=2):
            seen += [job.submission_id for job in page]
            before = page[-1].submission_id
        none = service.list_jobs(connection, state=JobState.RUNNING)
    assert sorted(seen) == [f"job{number}" for number in range(5)]
    assert seen[0] == "job4"
    assert none == ()


def test_only_ended_jobs_are_deleted_and_their_money_stays(centre: Centre) -> None:
    centre.submit()
    centre.cycle()
    with writing(centre.engine) as connection, pytest.raises(Conflict, match="placed"):
        service.delete_job(connection, TENANT, "train")
    centre.tell(centre.attempts()[0].id, 1, "succeeded", started_at=START)
    with writing(centre.engine) as connection:
        service.delete_job(connection, TENANT, "train")
    with pytest.raises(NotFound):
        centre.job()


def test_a_writer_that_read_an_older_version_is_told(centre: Centre) -> None:
    job = centre.submit()
    with writing(centre.engine) as connection:
        store.update_job(connection, replace(job, message="first"))
    with writing(centre.engine) as connection, pytest.raises(Conflict):
        store.update_job(connection, replace(job, message="second"))
    assert centre.job().message == "first"


def test_jobs_and_attempts_survive_the_trip_into_rows() -> None:
    job = a_job(
        wishes=Wishes(
            units=3,
            accelerators=frozenset({"h20", "a"}),
            latency_ms_max=3.5,
            data_class=DataClass.GOVERNMENT,
            deadline=START,
            cash_fen_max=5,
        ),
        runtime_env={"env_vars": {"A": "b"}},
        metadata={"k": "v"},
        entrypoint_num_cpus=1.5,
        reason=ReasonCode.CAPACITY,
        version=4,
    )
    attempt = an_attempt(AttemptState.FAILED, failure=FailureKind.USER, exit_code=3)
    assert job_of(job_row(job)) == job
    assert attempt_of(attempt_row(attempt)) == attempt


def test_a_quote_has_a_row_for_every_pool_and_holds_nothing(centre: Centre) -> None:
    wishes = a_new_job(origin="qingdao", latency_ms_max=10.0).wishes
    with reading(centre.engine) as connection:
        rows = quotes.quote(connection, wishes, TENANT, centre.context)
    assert [(row.site_id, row.reason) for row in rows] == [
        (NEAR, ReasonCode.PLACED),
        (CHEAP, ReasonCode.LATENCY),
    ]
    assert rows[0].price_fen == 200


def test_a_driver_that_asks_for_gpus_never_goes_to_cores(centre: Centre) -> None:
    gpus = a_pool(NEAR, id=PoolId("near-h20"), accelerator="h20", yuan=30)
    centre.register(a_site(NEAR, a_pool(NEAR, yuan=1), gpus))
    new = replace(a_new_job(accelerators=frozenset()), entrypoint_num_gpus=1.0)
    centre.submit(new)
    centre.cycle()
    assert centre.job().pool_id == "near-h20"


def test_before_the_first_cycle_an_explanation_says_so(centre: Centre) -> None:
    job: Job = centre.submit()
    with reading(centre.engine) as connection:
        assert "no planning cycle" in explain.explain(connection, job).message


def test_a_registration_may_come_again_and_change(centre: Centre) -> None:
    centre.register(a_site(CHEAP, a_pool(CHEAP, units=2)))
    with reading(centre.engine) as connection:
        network = take_snapshot(connection, centre.clock.now())
        assert [one.site.id for one in registry.sites(connection)] == [CHEAP, NEAR]
    assert network.pool(PoolId("cheap-cpu")).units_free == 2
    assert network.rtt_ms["qingdao", NEAR] == 5.0


def test_a_pool_that_is_no_longer_named_has_no_units(centre: Centre) -> None:
    centre.register(a_site(CHEAP, a_pool(CHEAP, id=PoolId("cheap-new"))))
    with reading(centre.engine) as connection:
        (pool,) = registry.find_site(connection, CHEAP).site.pools
    assert pool.id == "cheap-new"


def test_another_sites_pool_cannot_be_taken(centre: Centre) -> None:
    with pytest.raises(Conflict, match="belongs to site near"):
        centre.register(a_site(CHEAP, a_pool(CHEAP, id=PoolId("near-cpu"))))


def test_unknown_energy_facts_are_refused_at_registration(centre: Centre) -> None:
    with pytest.raises(BadInput, match="tariff"):
        centre.register(a_site(CHEAP, tariff_id="nowhere"))


@pytest.mark.parametrize(
    "site",
    [
        pytest.param(a_site(CHEAP, a_pool(NEAR)), id="a pool of another site"),
        pytest.param(a_site(CHEAP, a_pool(CHEAP), a_pool(CHEAP)), id="a pool twice"),
    ],
)
def test_a_registration_that_contradicts_itself_is_refused(centre: Centre, site: object) -> None:
    with pytest.raises(BadInput):
        centre.register(site)  # type: ignore[arg-type]  # a table of sites


def test_a_site_is_reachable_while_agent_and_executor_answer(centre: Centre) -> None:
    def reachable() -> bool:
        with reading(centre.engine) as connection:
            network = take_snapshot(connection, centre.clock.now())
        return {one.site.id: one.is_reachable for one in network.sites}[CHEAP]

    assert reachable()
    centre.greet(CHEAP, state="unreachable")
    assert not reachable()
    centre.greet(CHEAP, state="degraded")
    assert reachable()
    centre.clock.advance(31)
    assert not reachable()


def test_what_live_attempts_use_is_not_free_and_comes_back_by_its_lease(centre: Centre) -> None:
    centre.submit(a_new_job(units=3))
    centre.cycle()
    with reading(centre.engine) as connection:
        state = take_snapshot(connection, centre.clock.now()).pool(PoolId("cheap-cpu"))
    assert state.units_free == 5
    ((until, units),) = state.busy_until
    assert (units, until) == (3, centre.attempts()[0].lease_expires_at)
