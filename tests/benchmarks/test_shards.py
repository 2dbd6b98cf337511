"""The benchmark of workers: who prices changes no bound."""

from benchmarks.frame import Options
from benchmarks.shards import sharding


def test_workers_lose_nothing_against_one_process() -> None:
    figures = list(sharding(Options(quick=True)))
    losses = {str(one.labels["crew"]): one.value for one in figures if one.figure.endswith("_loss")}
    assert losses == {"this process": 0.0, "2 processes": 0.0}
    assert {one.figure for one in figures} == {
        f"plan.shards_{name}"
        for name in ("hire_s", "hold_s", "step_ms", "cold_s", "own_cpu_s", "loss")
    }
