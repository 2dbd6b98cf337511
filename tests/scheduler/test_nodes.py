"""What agents say of their nodes, and what that means for the gangs that start."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scheduler_builders import CHEAP, Centre, a_centre, a_new_job, a_pool, a_site, an_attempt
from sqlalchemy import Engine

from scheduler import store_nodes
from scheduler.nodes import SiteNode, free_by_node
from suanwang.clock import VirtualClock
from suanwang.db.engine import reading
from suanwang.ids import AttemptId, PoolId, SeededIds
from suanwang.model.attempt import Attempt
from suanwang.model.job import JobState
from suanwang.model.plan import ReasonCode
from suanwang.wire.agent import NodeReport, UseReport

CORES = a_pool("near", units=8)
GPUS = a_pool("near", units=8, id=PoolId("near-h20"), accelerator="h20")


def a_node(name: str, cores: int = 4, gpus: int = 0, kind: str = "", **used: float) -> SiteNode:
    """A node whose cores are used by attempts."""
    return SiteNode(
        name=name,
        kind=kind,
        cpu_milli=cores * 1_000,
        gpu_milli=gpus * 1_000,
        used={one: (round(cores * 1_000), 0) for one, cores in used.items()},
    )


def others(name: str, cores: int) -> SiteNode:
    """A node whose cores are used by no attempt of ours."""
    return replace(a_node(name), used={"": (cores * 1_000, 0)})


def attempts(**units: int) -> list[Attempt]:
    """Attempts by name, with what each holds."""
    return [replace(an_attempt(), id=AttemptId(name), units=held) for name, held in units.items()]


@pytest.mark.parametrize(
    ("nodes", "running", "free"),
    [
        pytest.param([a_node("a"), a_node("b")], {}, (4, 4), id="idle"),
        pytest.param([a_node("a", x=3), a_node("b")], {"x": 3}, (1, 4), id="seated"),
        pytest.param([a_node("a", x=2, y=1), a_node("b", y=1)], {"x": 2, "y": 2}, (1, 3), id="two"),
        pytest.param(
            [a_node("a", x=0.5), a_node("b")], {"x": 1}, (3, 4), id="a part is held whole"
        ),
        pytest.param([a_node("a", x=4), a_node("b")], {"x": 1}, (3, 4), id="never more than held"),
        pytest.param([a_node("a", x=1), a_node("b")], {"x": 3}, (1, 4), id="rest where it sits"),
        pytest.param(
            [a_node("a", x=1), a_node("b")], {"x": 1, "new": 3}, (2, 2), id="rest anywhere"
        ),
        pytest.param([a_node("a", gone=3), a_node("b")], {}, (4, 4), id="an ended one is gone"),
        pytest.param([others("a", 3), a_node("b")], {}, (1, 4), id="used by others"),
        pytest.param([a_node("a")], {}, (), id="a node is missing"),
        pytest.param([], {}, (), id="nothing is known"),
    ],
)
def test_free_units_by_node(
    nodes: list[SiteNode], running: dict[str, int], free: tuple[int, ...]
) -> None:
    assert free_by_node(CORES, [CORES], nodes, attempts(**running)) == free


def test_nodes_of_two_kinds_are_told_apart_by_their_accelerators() -> None:
    other = replace(GPUS, id=PoolId("near-910b"), accelerator="ascend910b")
    nodes = [
        a_node("a", gpus=8, kind="H-20"),
        a_node("b", gpus=8, kind="ascend910b"),
        a_node("c"),
    ]
    assert free_by_node(GPUS, [CORES, GPUS, other], nodes, []) == (8,)
    assert free_by_node(CORES, [CORES, GPUS, other], nodes, []) == (4, 4, 4)
    unnamed = [replace(node, kind="") for node in nodes]
    assert free_by_node(GPUS, [CORES, GPUS, other], unnamed, []) == ()
    assert free_by_node(GPUS, [CORES, GPUS], unnamed, []) == (8, 8)


@given(
    cores=st.lists(st.integers(1, 8), min_size=1, max_size=5),
    held=st.lists(st.integers(1, 6), max_size=5),
    seats=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(1, 4_000))),
)
def test_no_node_has_more_free_than_it_has_and_no_unit_is_free_twice(
    cores: list[int], held: list[int], seats: list[tuple[int, int, int]]
) -> None:
    used: dict[int, dict[str, tuple[int, int]]] = {at: {} for at in range(len(cores))}
    for node, attempt, milli in seats:
        if node < len(cores):
            used[node][f"x{attempt}"] = (milli, 0)
    nodes = [
        SiteNode(name=f"n{at}", cpu_milli=count * 1_000, used=used[at])
        for at, count in enumerate(cores)
    ]
    pool = replace(CORES, units=sum(cores))
    running = attempts(**{f"x{at}": units for at, units in enumerate(held)})
    free = free_by_node(pool, [pool], nodes, running)
    assert all(0 <= one <= count for one, count in zip(free, cores, strict=True))
    assert sum(free) <= max(0, sum(cores) - sum(held))


@pytest.fixture
def centre(engine: Engine, clock: VirtualClock, ids: SeededIds) -> Centre:
    """A pool of two nodes of four cores, with two jobs of two cores that run."""
    made = a_centre(engine, clock, ids)
    made.register(a_site(CHEAP, CORES_OF_CHEAP))
    made.add_tenant(cash_fen=100_000)
    for name in ("one", "two"):
        made.submit(a_new_job(name, units=2))
    made.cycle()
    for name in ("one", "two"):
        made.tell(id_of(made, name), 1, "running", started_at=made.clock.now())
    return made


CORES_OF_CHEAP = a_pool(CHEAP, units=8)


def id_of(centre: Centre, submission_id: str) -> str:
    """Id of a job's newest attempt."""
    return str(centre.attempts(submission_id)[-1].id)


def say(centre: Centre, first: dict[str, float], second: dict[str, float]) -> None:
    """Let the agent greet with two nodes of four cores, used by jobs."""
    nodes = [
        NodeReport(
            name=f"n{at}",
            cpus=4,
            gpus=0,
            used=tuple(
                UseReport(attempt_id=id_of(centre, job), cpus=cores, gpus=0)
                for job, cores in used.items()
            ),
        )
        for at, used in enumerate((first, second))
    ]
    centre.greet(CHEAP, id_of(centre, "one"), id_of(centre, "two"), nodes=nodes)


def test_a_gang_goes_where_a_node_has_room_for_it(centre: Centre) -> None:
    say(centre, {"one": 2, "two": 2}, {})
    centre.submit(a_new_job("gang", units=4))
    report = centre.cycle()
    assert report.plan is not None
    assert dict(report.plan.starts[0].nodes) == {"node-2": 4}
    assert centre.job("gang").state is JobState.PLACED


def test_a_gang_waits_where_its_units_are_on_two_nodes(centre: Centre) -> None:
    say(centre, {"one": 2}, {"two": 2})
    centre.submit(a_new_job("gang", units=4))
    centre.cycle()
    job = centre.job("gang")
    assert (job.state, job.reason) == (JobState.QUEUED, ReasonCode.LATER_IS_CHEAPER)


def test_an_agent_that_says_nothing_of_nodes_leaves_the_count_of_units(centre: Centre) -> None:
    say(centre, {"one": 2}, {"two": 2})
    centre.greet(CHEAP, id_of(centre, "one"))
    centre.submit(a_new_job("gang", units=4))
    centre.cycle()
    assert centre.job("gang").state is JobState.PLACED


def test_nodes_are_written_when_they_changed_and_only_then(centre: Centre) -> None:
    node = NodeReport(name="n\x000", address="10.0.0.1", cpus=4, gpus=0)
    for reported, is_news in (((node,), True), ((node,), False), ((), True), ((), False)):
        with centre.writer.turn() as turn:
            now = centre.clock.now()
            assert (
                store_nodes.note_nodes(turn.connection, CORES_OF_CHEAP.site_id, reported, now)
                is is_news
            )
    with reading(centre.engine) as connection:
        assert store_nodes.nodes_by_site(connection) == {}
