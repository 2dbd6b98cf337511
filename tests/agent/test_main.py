"""The agent as a process: what it refuses, how it ends, and that a kill -9 costs nothing."""

import asyncio
import json
import logging
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from agent_builders import a_start
from agent_centre import SITE_TOKEN, Centre, running_centre
from tsdb_parts import PROGRAMS, database

from agent.main import main
from agent.ray_cluster import RayCluster
from suanwang.clock import SystemClock
from suanwang.model.reading import SourceReport


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """Undo what ``main`` does to the process's log."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
async def centre() -> AsyncIterator[Centre]:
    """A centre on loopback."""
    async with running_centre() as one:
        one.clock_now = SystemClock().now()
        yield one


def write_config(
    folder: Path,
    centre_url: str,
    remote: Mapping[str, str] | None = None,
    more: Sequence[Mapping[str, object]] = (),
    **executor: str,
) -> Path:
    """Write an agent's settings file."""
    path = folder / "agent.yaml"
    settings = {
        "centre_url": centre_url,
        "token": SITE_TOKEN,
        "site_id": "site-1",
        "spool_dir": str(folder / "spool"),
        "executor": executor or {"kind": "fake"},
        "sources": [{"kind": "host", "name": "host", "interval_s": 1}, *more],
    }
    path.write_text(json.dumps({"agent": settings, "remote_write": remote or {}}))
    return path


class AgentProcess:
    """A running ``python -m agent``."""

    def __init__(self, config: Path) -> None:
        self.log = config.with_suffix(".log")
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "agent", "--config", str(config)],
                stderr=output,
                cwd=config.parent,
            )

    def end(self, number: signal.Signals) -> int:
        """Signal it and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(20)


async def until(is_so: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait until something is so."""
    for _ in range(int(timeout_s / 0.05)):
        if is_so():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never became so")


def test_an_agent_without_a_token_says_where_to_get_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(json.dumps({"agent": {"spool_dir": str(tmp_path / "spool")}}))
    assert main(["--config", str(path)]) == 2
    assert "agent.token is empty" in capsys.readouterr().err


def test_a_source_of_an_unknown_kind_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "agent.yaml"
    agent = {"token": "swt_x", "spool_dir": str(tmp_path), "sources": [{"kind": "hots"}]}
    path.write_text(json.dumps({"agent": agent}))
    assert main(["--config", str(path)]) == 2
    assert "host" in capsys.readouterr().err


async def test_an_agent_sends_telemetry_ends_on_sigterm_and_logs_no_secret(
    tmp_path: Path, centre: Centre, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path, centre.url)
    agent = AgentProcess(config)
    try:
        await until(lambda: any(batch.readings for batch in centre.batches.values()))
        assert centre.hellos[0].executor_state == "up"
        assert await asyncio.to_thread(main, ["--config", str(config)]) == 5
        assert "another agent uses" in capsys.readouterr().err
    finally:
        code = await asyncio.to_thread(agent.end, signal.SIGTERM)
    assert code == 0
    text = agent.log.read_text()
    assert "agent ends; jobs run on" in text
    assert SITE_TOKEN not in text


@pytest.mark.prometheus
@pytest.mark.skipif(
    PROGRAMS["victoria-metrics"] is None, reason="victoria-metrics is not installed"
)
async def test_an_agent_copies_its_readings_to_a_database_while_the_centre_is_away(
    tmp_path: Path,
) -> None:
    with database("victoria-metrics", tmp_path / "db") as found:
        remote = {"url": found.write_url, "sender": "agent"}
        config = write_config(tmp_path, "http://127.0.0.1:9", remote)
        agent = AgentProcess(config)
        began = SystemClock().now().timestamp()
        try:
            selector = 'suanwang_cpu_ratio{site="site-1"}'
            await until(lambda: bool(found.raw(selector, began - 60, began + 600)))
        finally:
            code = await asyncio.to_thread(agent.end, signal.SIGTERM)
    assert code == 0, agent.log.read_text()


def test_an_agent_that_is_to_copy_must_know_its_site(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "agent.yaml"
    remote = {"url": "http://127.0.0.1:9/w", "sender": "agent"}
    agent = {"token": "swt_x", "spool_dir": str(tmp_path)}
    path.write_text(json.dumps({"agent": agent, "remote_write": remote}))
    assert main(["--config", str(path)]) == 2
    assert "agent.site_id is empty" in capsys.readouterr().err


async def test_sources_written_anew_are_polled_after_sighup_and_a_broken_file_is_told(
    tmp_path: Path, centre: Centre
) -> None:
    config = write_config(tmp_path, centre.url)
    agent = AgentProcess(config)
    try:
        await until(lambda: any(batch.readings for batch in centre.batches.values()))
        config.write_text("agent: [")
        agent.process.send_signal(signal.SIGHUP)
        await until(lambda: "the settings are not taken" in reported(centre, "agent"))
        write_config(tmp_path, centre.url, more=[{"kind": "host", "name": "b", "interval_s": 1}])
        agent.process.send_signal(signal.SIGHUP)
        await until(lambda: reported(centre, "agent") == "")
        await until(lambda: any(one.source == "b" for one in all_reports(centre)))
    finally:
        code = await asyncio.to_thread(agent.end, signal.SIGTERM)
    assert code == 0


def all_reports(centre: Centre) -> list[SourceReport]:
    """Return what sources said of themselves, in the order in which it came."""
    return [one for batch in centre.batches.values() for one in batch.reports]


def reported(centre: Centre, source: str) -> str:
    """Return the last word of a source about what is wrong."""
    return [one.error for one in all_reports(centre) if one.source == source][-1]


@pytest.mark.ray
async def test_an_agent_killed_in_mid_job_loses_nothing_and_runs_nothing_twice(
    tmp_path: Path, centre: Centre, ray_cluster: RayCluster
) -> None:
    config = write_config(
        tmp_path,
        centre.url,
        kind="ray_jobs",
        address=ray_cluster.address,
        token=ray_cluster.token,
    )
    lease = SystemClock().now().replace(year=2100)
    marks = tmp_path / "marks"
    entrypoint = f"echo begin; echo x >> {marks}; sleep 6; echo end"
    centre.orders.append(a_start(entrypoint, executor_id="killed-a1", lease_expires_at=lease))
    agent = AgentProcess(config)
    await until(marks.exists)
    assert await asyncio.to_thread(agent.end, signal.SIGKILL) == -signal.SIGKILL
    agent = AgentProcess(config)
    try:
        await until(lambda: centre.states("job_1-a1")[-1:] == ["succeeded"])
    finally:
        await asyncio.to_thread(agent.end, signal.SIGTERM)
    assert marks.read_text() == "x\n"
    output = centre.output_at_end["job_1-a1"].splitlines()
    assert (output.count("begin"), output.count("end")) == (1, 1)
    end = centre.reports[-1]
    assert end.started_at is not None
    assert end.ended_at is not None
    assert 5.9 <= (end.ended_at - end.started_at).total_seconds() <= 20.0
    assert ray_cluster.token not in agent.log.read_text()
