"""The ledger's rates, durable and chained, on both databases.

Holds and payments over two hundred tenants in batches of a thousand, the same on one tenant alone,
holds one by one from 64 threads through the group writer, and following the chain. Beside the time
of the clock stands this process's own (``cpu``), which other programs on the machine do not change.
"""

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Final

from sqlalchemy import Engine, insert

from benchmarks.frame import Figure, Options
from suanwang.clock import SystemClock
from suanwang.db.engine import open_engine
from suanwang.db.tables import metadata, tenant
from suanwang.ids import LotId
from suanwang.model.voucher import HoldSlice
from voucher.check import check_chain
from voucher.guard import check_durability
from voucher.ledger import Accepted, Capture, Command, Deposit, Issue, OpenHold, apply
from voucher.tenure import Candidate
from voucher.writer import DirectWriter, GroupWriter

BATCH: Final = 1_000
TENANTS: Final = 200
CALLERS: Final = 64
MILLION: Final = 1_000_000
_START: Final = datetime(2026, 10, 14, tzinfo=UTC)
_CLOCK: Final = SystemClock()
_TOOL: Final = Candidate(name="benchmark")
_SUPPORT: Final = Path(__file__).parents[1] / "tests" / "support"


def run(options: Options) -> Sequence[Figure]:
    """Measure both databases; ``quick`` takes a tenth of the entries."""
    figures: list[Figure] = []
    for backend, url in _databases():
        figures += _measure(backend, url, options.quick)
    return figures


def _measure(backend: str, url: str, quick: bool) -> Iterator[Figure]:
    entries, holds = (10_000, 2_000) if quick else (100_000, 20_000)
    with _ledger(url) as engine:
        before_cpu = process_time()
        spread = _rate(engine, _pairs("s", entries, TENANTS))
        entry_cpu_us = (process_time() - before_cpu) * 1_000_000 / entries
        hot = _rate(engine, _pairs("h", entries, 1))
        one_by_one, slowest_ms = _one_by_one(engine, holds)
        before, before_cpu = _CLOCK.monotonic(), process_time()
        with engine.connect() as connection:
            verified = check_chain(connection).seq
        verify_s, verify_cpu_s = _CLOCK.monotonic() - before, process_time() - before_cpu
    yield Figure("ledger.entries_per_s", spread, "1/s", backend=backend, batch=BATCH)
    yield Figure("ledger.hot_account_ratio", hot / spread, "", backend=backend)
    yield Figure("ledger.holds_per_s", one_by_one, "1/s", backend=backend, callers=CALLERS)
    yield Figure("ledger.hold_p99_ms", slowest_ms, "ms", backend=backend, callers=CALLERS)
    yield Figure("ledger.entry_cpu_us", entry_cpu_us, "us", backend=backend, batch=BATCH)
    for name, measured_s in (("verify_1m_s", verify_s), ("verify_1m_cpu_s", verify_cpu_s)):
        scaled_s = measured_s * MILLION / verified
        yield Figure(f"ledger.{name}", scaled_s, "s", backend=backend, measured_on=verified)


def _pairs(name: str, entries: int, tenants: int) -> list[list[Command]]:
    """Return batches in turn: a thousand holds, then their thousand payments."""
    batches: list[list[Command]] = []
    for first in range(0, entries // 2, BATCH):
        numbers = range(first, first + BATCH)
        batches.append([_hold(f"{name}{number}", number % tenants) for number in numbers])
        batches.append(
            [
                Capture(key=f"c{name}{number}", hold_id=f"{name}{number}", amount_fen=73)
                for number in numbers
            ]
        )
    return batches


def _hold(hold_id: str, owner: int) -> OpenHold:
    return OpenHold(
        key=f"o{hold_id}",
        hold_id=hold_id,
        tenant_id=f"t{owner}",
        attempt_id=f"{hold_id}-a1",
        slices=(
            HoldSlice(lot_id=LotId(f"l{owner}"), amount_fen=20),
            HoldSlice(lot_id=None, amount_fen=80),
        ),
    )


def _rate(engine: Engine, batches: Sequence[Sequence[Command]]) -> float:
    writer = DirectWriter(engine, _CLOCK, _TOOL)
    before = _CLOCK.monotonic()
    for batch in batches:
        with writer.turn() as turn:
            outcomes = apply(turn, batch, _START)
        if not all(isinstance(outcome, Accepted) for outcome in outcomes):
            raise AssertionError("a command of the benchmark was refused")
    return sum(map(len, batches)) / (_CLOCK.monotonic() - before)


def _one_by_one(engine: Engine, holds: int) -> tuple[float, float]:
    """Return holds a second and the 99th percentile of their latency in ms."""
    writer = GroupWriter(engine, _CLOCK, _TOOL)
    writer.start()

    def ask(caller: int) -> list[float]:
        latencies = []
        for number in range(holds // CALLERS):
            asked = _CLOCK.monotonic()
            writer.submit(_hold(f"w{caller}-{number}", caller % TENANTS)).result()
            latencies.append(_CLOCK.monotonic() - asked)
        return latencies

    before = _CLOCK.monotonic()
    with ThreadPoolExecutor(CALLERS) as callers:
        latencies = sorted(latency for many in callers.map(ask, range(CALLERS)) for latency in many)
    elapsed = _CLOCK.monotonic() - before
    writer.stop()
    return len(latencies) / elapsed, latencies[len(latencies) * 99 // 100] * 1_000


@contextmanager
def _ledger(url: str) -> Iterator[Engine]:
    """Open a ledger in which every tenant has a lot and cash."""
    engine = open_engine(url)
    metadata.create_all(engine)
    names = [f"t{number}" for number in range(TENANTS)]
    money: list[Command] = []
    for number, name in enumerate(names):
        money.append(
            Issue(
                key=f"issue{number}",
                lot_id=f"l{number}",
                tenant_id=name,
                programme="benchmark",
                amount_fen=10**12,
                ratio_den=5,
                expires_at=_START + timedelta(days=3_650),
            )
        )
        money.append(Deposit(key=f"deposit{number}", tenant_id=name, amount_fen=10**12))
    with DirectWriter(engine, _CLOCK, _TOOL).turn() as turn:
        check_durability(turn.connection)
        rows = [{"id": name, "name": name, "uscc": "", "created_at": _START} for name in names]
        turn.connection.execute(insert(tenant), rows)
        apply(turn, money, _START)
    yield engine
    engine.dispose()


def _databases() -> Iterator[tuple[str, str]]:
    """Yield a fresh SQLite file, then a PostgreSQL that is started for this, where one is found."""
    with TemporaryDirectory() as folder:
        yield "sqlite", f"sqlite:///{Path(folder) / 'ledger.db'}"
    sys.path.append(str(_SUPPORT))
    from postgres_server import ServerUnavailable, running_server

    try:
        with running_server() as server:
            yield "postgresql", server.create("ledger")
    except ServerUnavailable as missing:
        print(f"PostgreSQL left out: {missing}", file=sys.stderr)
