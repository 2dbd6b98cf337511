"""Ray's own words about two nodes, its actors and placement groups, read into who uses what."""

from agent.executors.port import NodeUse, Used
from agent.executors.ray_nodes import read_nodes
from agent.nodes import reports_of
from suanwang.wire.agent import UseReport

HEAD, WORKER = "140c6dd74c29105740ef", "83ee6fdb268627e16531"
DRIVERS = {"02000000": "train-a1"}


def a_node(
    node_id: str, ip: str, total: dict[str, float], state: str = "ALIVE"
) -> dict[str, object]:
    """A row of Ray's list of nodes."""
    return {
        "node_id": node_id,
        "node_ip": ip,
        "node_name": ip,
        "state": state,
        "resources_total": {"memory": 2e10, f"node:{ip}": 1.0} | total,
    }


def an_actor(node_id: str, job_id: str, **changes: object) -> dict[str, object]:
    """A row of Ray's list of actors."""
    row: dict[str, object] = {
        "state": "ALIVE",
        "job_id": job_id,
        "name": "",
        "node_id": node_id,
        "placement_group_id": None,
        "required_resources": {"GPU": 1.0},
    }
    return row | changes


NODES = [
    a_node(WORKER, "10.0.0.2", {"CPU": 4.0, "GPU": 4.0, "accelerator_type:H20": 1.0}),
    a_node(HEAD, "10.0.0.1", {"CPU": 4.0, "GPU": 2.0}),
    a_node("dead", "10.0.0.3", {"CPU": 4.0}, "DEAD"),
]


def test_a_run_is_found_by_its_supervisor_its_actors_and_its_groups() -> None:
    actors = [
        an_actor(
            HEAD,
            "01000000",
            name="_ray_internal_job_actor_train-a1",
            required_resources={"GPU": 2.0},
        ),
        an_actor(WORKER, "02000000"),
        an_actor(WORKER, "02000000", required_resources={"GPU": 0.5, "CPU": 1.0}),
        an_actor(WORKER, "02000000", placement_group_id="78425c", state="ALIVE"),
        an_actor("", "02000000", state="PENDING_CREATION"),
        an_actor(HEAD, "03000000", required_resources={"CPU": 1.0}),
    ]
    groups: list[dict[str, object]] = [
        {
            "state": "CREATED",
            "creator_job_id": "02000000",
            "bundles": [
                {"node_id": HEAD, "unit_resources": {"CPU": 1.0}},
                {"node_id": WORKER, "unit_resources": {"CPU": 1.0}},
            ],
        },
        {"state": "REMOVED", "creator_job_id": "02000000", "bundles": []},
    ]
    assert read_nodes(NODES, actors, groups, DRIVERS) == (
        NodeUse(
            name="10.0.0.1/140c6dd74c29",
            address="10.0.0.1",
            cpus=4.0,
            gpus=2.0,
            used={"": Used(cpus=1.0), "train-a1": Used(cpus=1.0, gpus=2.0)},
        ),
        NodeUse(
            name="10.0.0.2/83ee6fdb2686",
            address="10.0.0.2",
            kind="h20",
            cpus=4.0,
            gpus=4.0,
            used={"train-a1": Used(cpus=2.0, gpus=1.5)},
        ),
    )


def test_the_centre_hears_of_attempts_and_of_others_as_one() -> None:
    node = NodeUse(
        name="n", cpus=8, used={"train-a1": Used(cpus=2), "x": Used(cpus=1), "": Used(gpus=1)}
    )
    (report,) = reports_of([node], {"train-a1": "job-1-a1"})
    assert report.used == (
        UseReport(attempt_id="", cpus=1, gpus=1),
        UseReport(attempt_id="job-1-a1", cpus=2, gpus=0),
    )
