"""Shares of unlike GPUs by classes are those of every job for itself; rounds deal whole GPUs."""

from random import Random

import numpy as np
import pytest

from benchmarks.frame import Options
from benchmarks.heterogeneous import KINDS, Kind, by_classes, by_jobs, deal, run


def _jobs(seed: int) -> list[Kind]:
    random = Random(seed)
    kinds = [
        Kind(random.choice((1, 1, 2, 4)), tuple(random.uniform(0.5, 9.0) for _ in KINDS))
        for _ in range(4)
    ]
    return [random.choice(kinds) for _ in range(30)]


@pytest.mark.parametrize("seed", range(8))
def test_classes_lose_nothing_and_share_no_less_throughput(seed: int) -> None:
    jobs, counts = _jobs(seed), np.array([8.0, 6.0, 4.0])
    ours, theirs = by_classes(jobs, counts), by_jobs(jobs, counts)
    assert ours.fair == pytest.approx(theirs.fair, rel=1e-6)
    assert ours.fair == pytest.approx(ours.bound, rel=1e-6)
    gpus = np.array([job.gpus for job in jobs], dtype=np.float64)
    for shares in (ours, theirs):
        assert (shares.of_job.sum(axis=1) <= 1 + 1e-6).all()
        assert (gpus @ shares.of_job <= counts + 1e-6).all()
    rate = np.array([job.rate for job in jobs])
    normal = rate / (rate @ (counts / counts.sum()))[:, None] * gpus[:, None]
    assert (ours.of_job * normal).sum() >= (theirs.of_job * normal).sum() * (1 - 1e-6)


def test_a_round_deals_no_gpu_twice_and_who_waited_comes_first() -> None:
    jobs, counts = _jobs(3), np.array([8.0, 6.0, 4.0])
    shares = by_classes(jobs, counts).of_job
    had = np.zeros(shares.shape)
    where = deal(jobs, shares, had, counts)
    for g, count in enumerate(counts):
        assert sum(job.gpus for job, at in zip(jobs, where, strict=True) if at == g) <= count
    waited = int(np.flatnonzero(where < 0)[0])
    had[where >= 0] += 5.0
    assert deal(jobs, shares, had, counts)[waited] >= 0


def test_without_the_table_nothing_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GAVEL_THROUGHPUTS", "/nowhere.json")
    monkeypatch.setenv("SIA_PROFILES", "/nowhere.csv")
    assert list(run(Options(quick=True))) == []
    said = capsys.readouterr().out
    assert "set GAVEL_THROUGHPUTS" in said
    assert "set SIA_PROFILES" in said
