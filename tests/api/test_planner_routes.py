"""The planner over HTTP: runs with certificates, and the problem without names."""

from api_client import World

from optimizer.dump import load
from optimizer.planner import plan
from scheduler.cycle import run_cycle


def _queued(world: World) -> None:
    """A site whose agent calls, and a job of an enterprise with cash."""
    world.register()
    world.fund(amount_fen=10_000)
    world.hello(world.token())
    made = world.submit(submission_id="secret-job", metadata={"units": "4", "max_minutes": "60"})
    assert made.status_code == 201, made.text


def test_the_problem_is_told_without_names_and_can_be_solved_again(world: World) -> None:
    _queued(world)
    answer = world.client.get("/v1/planner/problem", world.admin)
    assert answer.status_code == 200
    assert "haiyun" not in answer.text
    assert "secret-job" not in answer.text
    problem = load(answer.text)
    (job,) = problem.jobs
    assert (job.id, job.tenant_id, job.units) == ("job-000001", "tenant-000001", 4)
    assert len(plan(problem).starts) == 1


def test_runs_tell_what_they_proved(world: World) -> None:
    _queued(world)
    assert world.client.get("/v1/planner/runs", world.admin).json() == {"items": []}
    run_cycle(world.engine, world.writer, world.client.context.scheduling)
    (run,) = world.client.get("/v1/planner/runs", world.admin).json()["items"]
    assert (run["jobs"], run["starts"], run["planner"]) == (1, 1, "optimal")
    certificate = run["certificate"]
    assert (certificate["proof"], certificate["faults"]) == ("bound", 0)
    assert certificate["bound_by"].startswith("prices of HiGHS")
