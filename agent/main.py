"""The agent's process: makes its parts from the settings and runs until a signal.

SIGTERM ends the agent, never the site's jobs: the next agent reads the spool, asks the executor,
and goes on where this one stopped.
"""

import argparse
import asyncio
import fcntl
import hashlib
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from agent.batches import BatchLimits
from agent.book import AttemptBook
from agent.channel import CentreChannel
from agent.executors.fake import FakeExecutor
from agent.executors.port import Executor
from agent.executors.ray_jobs import RayJobsConfig, RayJobsExecutor
from agent.packages import PackageStore
from agent.process import allow_files, settle_later, settle_memory
from agent.record import Rules
from agent.runner import Runner
from agent.service import Agent, Parts
from agent.site_file import SiteFile
from agent.source_keeper import SourceKeeper, connections_of
from agent.spool import Spool, SpoolLimits
from collectors.config import build_in, parse_sources, places_of
from collectors.remote_write.writer import RemoteWriter, writer_of
from collectors.specs.base import Workshop
from suanwang.clock import Clock, SystemClock
from suanwang.errors import BadInput, Conflict, SuanwangError
from suanwang.ids import RandomIds
from suanwang.log import configure
from suanwang.settings import AgentSettings, ExecutorSettings, Loaded, Settings, load

log = logging.getLogger(__name__)

LOCK_NAME: Final = "agent.lock"
MEMORY_NAME: Final = "executor.json"
PACKAGES_NAME: Final = "packages"
SOURCES_NAME: Final = "sources"


def build_executor(settings: ExecutorSettings, folder: Path, clock: Clock) -> Executor:
    """Return the executor that the settings name; it keeps what it learns in ``folder``."""
    if settings.kind == "fake":
        return FakeExecutor(clock)
    config = RayJobsConfig(
        address=settings.address,
        token=settings.token.get_secret_value(),
        memory_file=folder / MEMORY_NAME,
    )
    return RayJobsExecutor(config, clock)


def build_agent(
    settings: AgentSettings,
    clock: Clock,
    remote: RemoteWriter | None = None,
    file: SiteFile | None = None,
) -> Agent:
    """Return an agent made from its settings; raise BadInput that names what is missing.

    ``remote`` copies its readings to a time series database; ``file`` is read anew when it changes.
    """
    token = settings.token.get_secret_value()
    if not token:
        raise BadInput(
            "agent.token is empty",
            next_step="make one with POST /v1/sites/<site>/token and put it into the settings, or"
            " into SUANWANG_AGENT__TOKEN",
        )
    folder = settings.spool_dir
    specs = parse_sources(settings.sources)
    workshop = Workshop(clock, folder / SOURCES_NAME)
    sources = build_in(workshop, specs)
    allow_files(connections_of(specs))
    batches = BatchLimits(
        bytes_max=settings.spool_mib_max * 1024**2, age_s=settings.spool_days * 86_400.0
    )
    spool = Spool(folder, clock, SpoolLimits(batches=batches))
    channel = CentreChannel(settings.centre_url, token, clock)
    executor = build_executor(settings.executor, folder, clock)
    book = AttemptBook(spool, clock)
    packages = PackageStore(folder / PACKAGES_NAME, channel)
    return Agent(
        Parts(
            executor=executor,
            spool=spool,
            book=book,
            runner=Runner(executor, book, packages, clock, Rules()),
            channel=channel,
            sources=sources,
            places=places_of(specs),
            metrics_port=settings.metrics_port or None,
            remote=remote,
            site_id=settings.site_id,
            keeper=SourceKeeper(file, specs, workshop) if file else None,
            watch_s=settings.watch_s,
            clock=clock,
            ids=RandomIds(clock),
            seed=int.from_bytes(hashlib.sha256(settings.site_id.encode()).digest()[:4]),
        )
    )


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; raise Conflict where another agent has it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / LOCK_NAME).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as failure:
            raise Conflict(
                f"another agent uses {folder}",
                next_step="stop it, or give this one an agent.spool_dir of its own",
            ) from failure
        yield


def run_agent(loaded: Loaded, config: Path | None = None) -> None:
    """Run until SIGTERM or SIGINT; raise BadInput or Conflict where it cannot start."""
    clock, settings = SystemClock(), loaded.settings
    remote = build_remote(settings, clock)
    with _only_one(settings.agent.spool_dir):
        asyncio.run(_run(settings.agent, clock, remote, SiteFile(loaded, config)))


def build_remote(settings: Settings, clock: Clock) -> RemoteWriter | None:
    """Return what copies readings to a time series database, where the agent is to do that."""
    remote = writer_of(settings.remote_write, "agent", clock)
    if remote is not None and not settings.agent.site_id:
        raise BadInput(
            "remote_write.sender is agent, but agent.site_id is empty",
            next_step="set agent.site_id: it is the label of every series",
        )
    return remote


async def _run(
    settings: AgentSettings, clock: Clock, remote: RemoteWriter | None, file: SiteFile
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    log.info(
        "agent starts",
        extra={
            "site": settings.site_id,
            "centre": settings.centre_url,
            "executor": settings.executor.kind,
            "sources": len(settings.sources),
        },
    )
    agent = build_agent(settings, clock, remote, file)
    loop.add_signal_handler(signal.SIGHUP, agent.reread)
    settle_memory()
    settling = settle_later(loop)
    if remote is not None:
        remote.start()
    try:
        await agent.run(stop)
    finally:
        for each in settling:
            each.cancel()
        if remote is not None:
            await asyncio.to_thread(remote.stop)
    log.info("agent ends; jobs run on", extra={"site": settings.site_id})


def main(arguments: list[str] | None = None) -> int:
    """Run an agent from a settings file; return the exit code of a refusal, or 0."""
    parser = argparse.ArgumentParser(prog="python -m agent", description=__doc__)
    parser.add_argument("--config", type=Path, help="settings file instead of ./suanwang.yaml")
    asked = parser.parse_args(arguments)
    try:
        loaded = load({}, config=asked.config)
        configure(loaded.settings.log.level, loaded.settings.log.style)
        run_agent(loaded, asked.config)
    except SuanwangError as failure:
        sys.stderr.write(f"{failure.message}\n")
        if failure.next_step:
            sys.stderr.write(f"  {failure.next_step}\n")
        return failure.exit_code
    return 0
