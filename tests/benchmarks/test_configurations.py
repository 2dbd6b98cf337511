"""One configuration for each elastic job: classes lose nothing against a row for every job."""

from pathlib import Path
from random import Random

import numpy as np
import pytest

from benchmarks import configurations
from benchmarks.configurations import NOWHERE, WAIT_COST, Job, Table, by_classes, by_jobs
from benchmarks.frame import Options
from optimizer.arrays import Ints

COUNTS = np.array([12.0, 6.0])
"""GPUs of two kinds."""


def _table(seed: int) -> Table:
    """Three models that gain ever less from 1, 2 or 4 GPUs of two kinds; one lacks the second."""
    random = Random(seed)
    gpus = np.array([1, 2, 4, 1, 2, 4])
    gain = np.array([random.uniform(0.5, 1.0) for _ in range(3)])
    speed = np.array([[random.uniform(1.0, 9.0) for _ in range(2)] for _ in range(3)])
    rate = speed[:, [0, 0, 0, 1, 1, 1]] * gpus[None, :] ** gain[:, None]
    rate[2, 3:] = 0.0
    return Table(kinds=("old", "new"), kind=np.array([0, 0, 0, 1, 1, 1]), gpus=gpus, rate=rate)


def _jobs(seed: int, count: int = 14) -> list[Job]:
    random = Random(seed)
    return [Job(random.randrange(3), random.choice((NOWHERE, 0, 1))) for _ in range(count)]


@pytest.mark.parametrize("seed", range(6))
def test_classes_cost_what_a_row_for_every_job_costs(seed: int) -> None:
    table, jobs = _table(seed), _jobs(seed)
    ours, theirs = by_classes(jobs, table, COUNTS), by_jobs(jobs, table, COUNTS)
    assert ours.cost == pytest.approx(theirs.cost, rel=3e-3)
    for found in (ours, theirs):
        assert found.bound <= found.cost + 1e-9
        assert _cost(found.chosen, jobs, table) == pytest.approx(found.cost)
        for kind, count in enumerate(COUNTS):
            taken = [at for at in found.chosen.tolist() if at != NOWHERE]
            assert sum(int(table.gpus[at]) for at in taken if table.kind[at] == kind) <= count


def _cost(chosen: Ints, jobs: list[Job], table: Table) -> float:
    """The price of what was dealt, from the throughputs alone."""
    total = 0.0
    for job, at in zip(jobs, chosen.tolist(), strict=True):
        if at == NOWHERE:
            total += WAIT_COST
            continue
        rates = table.rate[job.model]
        gain = rates[at] / rates[rates > 0].min()
        total += float((gain * (0.9 if job.at not in (NOWHERE, at) else 1.0)) ** -0.5)
    return total


def test_a_job_stays_where_moving_gains_less_than_it_costs() -> None:
    table = Table(
        kinds=("one",), kind=np.array([0, 0]), gpus=np.array([1, 1]), rate=np.array([[1.0, 1.05]])
    )
    assert by_classes([Job(0, at=0)], table, np.array([4.0])).chosen.tolist() == [0]
    assert by_classes([Job(0)], table, np.array([4.0])).chosen.tolist() == [1]


def test_whole_nodes_and_powers_of_two_are_read_at_the_batch_of_most_throughput(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = ["model,cluster,kind,placement,local_bsz,step_time,sync_time,num_nodes,num_replicas"]
    for cluster, placement, batch, step_s in (
        ("aws", "1.0", 8, 1.0),
        ("aws", "1.0", 16, 1.6),
        ("aws", "3.0", 8, 1.0),
        ("aws", "44.0", 8, 2.0),
        ("aws", "43.0", 8, 2.0),
        ("rtx", "88.0", 8, 2.0),
        ("dgx", "1.0", 8, 2.0),
        ("aws", "", 8, 2.0),
    ):
        rows.append(f"bert,{cluster},placements,{placement},{batch},{step_s},0.1,,")
    path = tmp_path / "profiles.csv"
    path.write_text("\n".join(rows))
    monkeypatch.setenv(configurations.PATH, str(path))
    table = configurations.read_table()
    assert table is not None
    read = {
        (table.kinds[kind], gpus): rate
        for kind, gpus, rate in zip(
            table.kind.tolist(), table.gpus.tolist(), table.rate[0].tolist(), strict=True
        )
    }
    assert read == {("aws", 1): 10.0, ("aws", 8): 32.0, ("rtx", 16): 64.0}


def test_without_the_table_nothing_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(configurations.PATH, "/nowhere.csv")
    assert list(configurations.run(Options(quick=True))) == []
    assert "set SIA_PROFILES" in capsys.readouterr().out
