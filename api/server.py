"""The centre as one process: database, first key, ledger's writer, scheduler, HTTP, and its end."""

import fcntl
import gc
import ipaddress
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI
from sqlalchemy import Engine

from alerts.delivery import DeliveryLoop, Surroundings
from alerts.evaluation import Evaluator
from alerts.loop import AlertLoop
from alerts.setup import make_channels, make_policy
from api.app import create_app
from api.context import ApiContext
from api.identity import ensure_admin
from api.ledger_metrics import LedgerMetrics
from api.status_page import StatusPages
from api.store import DATABASE_AWAY
from collectors.remote_write.writer import RemoteWriter, writer_of
from collectors.store_copy import CopyRecord
from collectors.upkeep import UpkeepLoop
from scheduler.context import make_context
from scheduler.loop import SchedulerLoop
from suanwang.clock import Clock, SystemClock
from suanwang.db import partitions, schema
from suanwang.db.engine import open_engine, reading, writing
from suanwang.db.signals import Listener
from suanwang.errors import BadInput, Unavailable
from suanwang.ids import IdSource, RandomIds
from suanwang.settings import ServerSettings, Settings
from voucher import ledger
from voucher.grants import store_verify
from voucher.guard import check_durability
from voucher.tenure import Candidate
from voucher.writer import GroupWriter

logger = logging.getLogger(__name__)

DATABASE_WAIT_S: Final = 120.0
"""How long a start waits for a database that does not answer yet."""
DATABASE_RETRY_S: Final = 1.0
GRACEFUL_S: Final = 3
"""Open requests get this long at the end; polls and websockets that only wait are cut then."""
KEEP_ALIVE_S: Final = 75
WEBSOCKET_PING_S: Final = 15.0
"""Proxies in between drop a websocket that is silent for long; a queue may be."""
HEAD_BYTES_MAX: Final = 64 * 1024
ADDRESS_FILE: Final = "server.address"
"""File in the state folder with the address of the running server, for those who chose port 0."""


def check_host(server: ServerSettings) -> None:
    """Raise BadInput for an address that others can reach, unless that is allowed expressly."""
    if server.allow_public or _is_loopback(server.host):
        return
    raise BadInput(
        f"host {server.host} can be reached from other machines, and this server speaks plain HTTP",
        next_step="put a TLS proxy in front and keep 127.0.0.1, or set server.allow_public",
        host=server.host,
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def wait_for_database(engine: Engine, clock: Clock, wait_s: float = DATABASE_WAIT_S) -> None:
    """Return once the database answers; raise Unavailable after ``wait_s``."""
    until = clock.monotonic() + wait_s
    while True:
        try:
            with reading(engine):
                return
        except DATABASE_AWAY as failure:
            if clock.monotonic() >= until:
                raise Unavailable(
                    f"the database did not answer for {wait_s:.0f} s: {failure}",
                    next_step="check server.database_url, and that the database runs",
                ) from failure
            logger.warning("waiting for the database", extra={"why": str(failure).split("\n")[0]})
            clock.sleep(DATABASE_RETRY_S)


def prepare(engine: Engine, clock: Clock, ids: IdSource, settings: Settings) -> None:
    """Bring the database to this version, refuse one that may forget, and make the first key."""
    wait_for_database(engine, clock)
    schema.upgrade(engine)
    partitions.make_ahead(engine, clock.now())
    with writing(engine) as connection:
        check_durability(connection)
        ledger.begin(connection, ledger.Algorithm(settings.server.ledger_digest))
        ensure_admin(connection, clock, ids, settings.server.state_dir)
        for fault in store_verify.faults(connection):
            logger.error("policy not as it was used: %s", fault.message)


def http_server(app: FastAPI) -> uvicorn.Server:
    """Return the HTTP server of an application; it takes its sockets when it runs."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            ws="websockets-sansio",
            ws_per_message_deflate=False,
            ws_ping_interval=WEBSOCKET_PING_S,
            ws_ping_timeout=WEBSOCKET_PING_S,
            h11_max_incomplete_event_size=HEAD_BYTES_MAX,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACEFUL_S,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
    )


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; raise Unavailable when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only on sockets that say TCP; else each answer waits 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as failure:
        listening.close()
        raise Unavailable(
            f"cannot listen on {host}:{port}: {failure.strerror}",
            next_step="choose another server.port (0 takes any free one)",
        ) from failure
    listening.listen(2_048)
    return listening


GC_THRESHOLDS: Final = (100_000, 20, 20)
"""How many new objects make the garbage collector look, by generation."""


def run_server(
    settings: Settings,
    *,
    with_scheduler: bool = True,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; ``on_ready`` is told the address once it listens.

    Raises BadInput for a public address that is not allowed, Unavailable when the database or the
    port cannot be had, Conflict for a database of a newer version.
    """
    check_host(settings.server)
    _settle_process()
    clock = SystemClock()
    ids = RandomIds(clock)
    settings.server.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    alerting = make_policy(settings)
    engine = open_engine(settings.server.database)
    scheduling = make_context(clock, ids, settings)
    metrics = LedgerMetrics()
    try:
        prepare(engine, clock, ids, settings)
        with ExitStack() as stack:
            listening = stack.enter_context(listen(settings.server.host, settings.server.port))
            stack.enter_context(_ending_by_signal())
            address = _address_of(listening)
            is_alone = stack.enter_context(_alone_on(engine))
            who = _candidate(settings.server, ids, address, is_alone=is_alone)
            writer = stack.enter_context(_writing(engine, clock, who, metrics))
            remote = stack.enter_context(_copying(engine, settings, clock))
            context = ApiContext(
                engine=engine,
                clock=clock,
                ids=ids,
                settings=settings,
                writer=writer,
                scheduling=scheduling,
                pages=StatusPages(clock, remote),
                ledger_metrics=metrics,
                remote=remote,
                alerting=alerting,
                channels=make_channels(settings),
            )
            if with_scheduler:
                loop = SchedulerLoop(engine, writer, clock, ids, context=scheduling)
                context = replace(
                    context,
                    wake=stack.enter_context(_scheduling(loop, UpkeepLoop(engine, clock), engine)),
                )
                stack.enter_context(_alerting(context))
            _announce(address, settings.server.state_dir)
            if on_ready is not None:
                on_ready(address)
            http_server(create_app(context)).run(sockets=[listening])
    finally:
        engine.dispose()
    logger.info("stopped")


def _candidate(server: ServerSettings, ids: IdSource, address: str, *, is_alone: bool) -> Candidate:
    return Candidate(
        name=ids.new("centre"),
        url=server.advertise_url or address,
        lease=timedelta(seconds=server.lease_s),
        is_alone=is_alone,
    )


def _settle_process() -> None:
    """Set what holds for the whole process."""
    os.umask(0o077)
    # A batch makes a hundred thousand short-lived objects: looking through them for rings every 700
    # took two fifths of the time of taking it in.
    gc.set_threshold(*GC_THRESHOLDS)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


def _address_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def _alone_on(engine: Engine) -> Iterator[bool]:
    """Yield whether no other centre lives on this database, as only SQLite's can know.

    The system lets go of the lock when its holder dies, so a centre that starts again after a
    crash writes at once.
    """
    database = engine.url.database
    if engine.dialect.name != "sqlite" or not database:
        yield False
        return
    with Path(f"{database}-writer").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


def _announce(address: str, state_dir: Path) -> None:
    """Write the address that is served where others can find it."""
    (state_dir / ADDRESS_FILE).write_text(address + "\n")
    logger.info("listening", extra={"address": address})


@contextmanager
def _writing(
    engine: Engine, clock: Clock, who: Candidate, metrics: LedgerMetrics
) -> Iterator[GroupWriter]:
    """Run the ledger's writer meanwhile; it outlives the scheduler and every request."""
    writer = GroupWriter(engine, clock, who, metrics)
    metrics.watch(writer)
    writer.start()
    try:
        yield writer
    finally:
        writer.stop()


@contextmanager
def _copying(engine: Engine, settings: Settings, clock: Clock) -> Iterator[RemoteWriter | None]:
    """Copy samples to a time series database meanwhile, where one is set."""
    store = CopyRecord(engine=engine, clock=clock, name=settings.remote_write.name)
    writer = writer_of(settings.remote_write, "centre", clock, store)
    if writer is None:
        yield None
        return
    writer.start()
    try:
        yield writer
    finally:
        writer.stop()


@contextmanager
def _scheduling(
    loop: SchedulerLoop, upkeep: UpkeepLoop, engine: Engine
) -> Iterator[Callable[[], None]]:
    """Run the scheduler's loop and the record's upkeep meanwhile; yields what wakes the first."""
    listener = Listener(engine, loop.wake)
    loop.start()
    upkeep.start()
    listener.start()
    try:
        yield loop.wake
    finally:
        listener.stop()
        upkeep.stop()
        loop.stop()


@contextmanager
def _alerting(context: ApiContext) -> Iterator[None]:
    """Look after alerts meanwhile, while this process is the ledger's writer."""

    def leads() -> bool:
        return context.writer.epoch is not None

    evaluator = Evaluator(
        context.engine, context.clock, context.ids, context.catalogue, context.alerting
    )
    loop = AlertLoop(
        evaluator,
        context.clock,
        context.alert_metrics,
        every_s=context.settings.alerts.every_s,
        leads=leads,
    )
    delivery = DeliveryLoop(
        context.channels,
        Surroundings(
            engine=context.engine,
            clock=context.clock,
            policy=context.alerting,
            metrics=context.alert_metrics,
            give_up=timedelta(seconds=context.settings.alerts.give_up_s),
            leads=leads,
        ),
    )
    loop.start()
    delivery.start()
    try:
        yield
    finally:
        delivery.stop()
        loop.stop()


@contextmanager
def _ending_by_signal() -> Iterator[None]:
    """Let SIGTERM and SIGINT end the HTTP server only, so that what follows it is still done.

    The server handles both itself and raises them again once it has ended.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    chosen = (signal.SIGTERM, signal.SIGINT)
    former = [signal.signal(number, lambda *_: None) for number in chosen]
    try:
        yield
    finally:
        for number, handler in zip(chosen, former, strict=True):
            signal.signal(number, handler)
