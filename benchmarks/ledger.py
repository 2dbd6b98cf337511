"""The ledger's rates, durable and chained, on both databases, and what verifying it takes.

Holds and payments over two hundred tenants in batches of a thousand (``spread``) and the same on
one tenant alone (``hot``) take turns on one ledger, so that neither has the fresher tables. Their
ratio is the hot rate by the spread one: above 1, one busy account is faster than many. The commands
are made before the clock runs. Then: holds one by one from 64 threads through the group writer;
following the chain, and the whole check, inside; and the stand-alone verifier on an export, in a
process of its own.

Figures are medians, with the smallest and the largest beside them. Beside the time of the clock
stands that of the processors (``cpu``), which other programs on the machine do not change as much:
this process's own and, of what verifies, that of the processes it starts, without PostgreSQL's.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from statistics import median
from subprocess import DEVNULL
from tempfile import TemporaryDirectory
from time import process_time
from typing import Final, NamedTuple, TypeVar

from sqlalchemy import Engine, insert

from benchmarks.frame import Figure, Options
from suanwang.clock import SystemClock
from suanwang.db.engine import open_engine, reading
from suanwang.db.tables import metadata, tenant
from suanwang.ids import LotId
from suanwang.model.voucher import HoldSlice
from voucher import verifier
from voucher.check import check, check_chain
from voucher.export import export_lines
from voucher.guard import check_durability
from voucher.ledger import Accepted, Capture, Command, Deposit, Issue, OpenHold, apply
from voucher.store_audit import stand
from voucher.tenure import Candidate
from voucher.writer import DirectWriter, GroupWriter

T = TypeVar("T")

BATCH: Final = 1_000
TENANTS: Final = 200
CALLERS: Final = 64
MILLION: Final = 1_000_000
_START: Final = datetime(2026, 10, 14, tzinfo=UTC)
_CLOCK: Final = SystemClock()
_TOOL: Final = Candidate(name="benchmark")
_FILL: Final = 20_000
_VERIFIER: Final = verifier.__file__
_SUPPORT: Final = Path(__file__).parents[1] / "tests" / "support"


class _Sizes(NamedTuple):
    """Entries of a round, rounds that count, holds of a round, and entries that are verified."""

    entries: int
    rounds: int
    holds: int
    verified: int


class _Took(NamedTuple):
    """Entries a second, and this process's own time for each."""

    rate: float
    cpu_us: float


_FULL: Final = _Sizes(20_000, 5, 10_000, MILLION)
_QUICK: Final = _Sizes(4_000, 2, 2_000, 30_000)


def run(options: Options) -> Iterator[Figure]:
    """Measure both databases; ``quick`` takes a tenth of the entries and scales to a million."""
    sizes = _QUICK if options.quick else _FULL
    for backend, url in _databases():
        with _ledger(url) as engine, TemporaryDirectory() as folder:
            yield from _book(backend, engine, sizes)
            yield from _one_by_one(backend, engine, sizes)
            _fill(engine, sizes.verified)
            yield from _verify(backend, engine, Path(folder) / "journal.jsonl")


def _book(backend: str, engine: Engine, sizes: _Sizes) -> Iterator[Figure]:
    """Book in batches: spread and hot in turn, after a round that is not counted."""
    spread: list[_Took] = []
    hot: list[_Took] = []
    for number in range(sizes.rounds + 1):
        spread.append(_rate(engine, _pairs(f"s{number}-", sizes.entries, TENANTS)))
        hot.append(_rate(engine, _pairs(f"h{number}-", sizes.entries, 1)))
    del spread[0], hot[0]
    rates = [took.rate for took in spread]
    ratios = [one.rate / other.rate for one, other in zip(hot, spread, strict=True)]
    on: dict[str, str | int] = {"backend": backend, "batch": BATCH}
    yield _median("ledger.entries_per_s", rates, "1/s", **on)
    yield _median("ledger.hot_entries_per_s", [took.rate for took in hot], "1/s", **on)
    yield _median("ledger.hot_account_ratio", ratios, "", backend=backend)
    yield _median("ledger.entry_cpu_us", [took.cpu_us for took in spread], "us", **on)
    yield _median("ledger.hot_entry_cpu_us", [took.cpu_us for took in hot], "us", **on)


def _median(name: str, values: Sequence[float], unit: str, **on: str | int) -> Figure:
    spread = {"min": float(f"{min(values):.4g}"), "max": float(f"{max(values):.4g}")}
    return Figure(name, median(values), unit, **on, rounds=len(values), **spread)


def _verify(backend: str, engine: Engine, path: Path) -> Iterator[Figure]:
    """Follow the chain, check everything, and let the stand-alone verifier read an export."""
    with reading(engine) as connection:
        took_s, cpu_s, head = _timed(partial(check_chain, connection))
        yield from _million(backend, "chain", head.seq, took_s, cpu_s)
        took_s, cpu_s, checked = _timed(partial(check, connection))
        if not checked.is_sound:
            raise AssertionError(f"the check found {checked.findings}")
        yield from _million(backend, "check", checked.entries, took_s, cpu_s)
        with path.open("w", encoding="utf-8") as export, closing(export_lines(connection)) as lines:
            export.writelines(lines)
    # The code and the file are ours.
    verify = partial(subprocess.run, [sys.executable, _VERIFIER, path], check=True, stdout=DEVNULL)
    took_s, cpu_s, _ = _timed(verify)
    yield from _million(backend, "verifier", head.seq, took_s, cpu_s)


def _timed(work: Callable[[], T]) -> tuple[float, float, T]:
    """Return seconds of the clock, of the processors, and what the work returned."""
    before, before_cpu = _CLOCK.monotonic(), _cpu_s()
    done = work()
    return _CLOCK.monotonic() - before, _cpu_s() - before_cpu, done


def _cpu_s() -> float:
    """Return what this process and those that it started and that have ended took."""
    used = (getrusage(RUSAGE_SELF), getrusage(RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def _million(backend: str, by: str, verified: int, took_s: float, cpu_s: float) -> Iterator[Figure]:
    for name, measured_s in (("verify_1m_s", took_s), ("verify_1m_cpu_s", cpu_s)):
        scaled_s = measured_s * MILLION / verified
        yield Figure(f"ledger.{name}", scaled_s, "s", backend=backend, by=by, measured_on=verified)


def _fill(engine: Engine, wanted: int) -> None:
    """Book until the ledger has as many entries as are verified."""
    with reading(engine) as connection:
        there = stand(connection, is_locked=False).seq
    for first in range(there, wanted, _FILL):
        _rate(engine, _pairs(f"f{first}-", min(_FILL, wanted - first), TENANTS))


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


def _rate(engine: Engine, batches: Sequence[Sequence[Command]]) -> _Took:
    writer = DirectWriter(engine, _CLOCK, _TOOL)
    before, before_cpu = _CLOCK.monotonic(), process_time()
    for batch in batches:
        with writer.turn() as turn:
            outcomes = apply(turn, batch, _START)
        if not all(isinstance(outcome, Accepted) for outcome in outcomes):
            raise AssertionError("a command of the benchmark was refused")
    entries = sum(map(len, batches))
    cpu_us = (process_time() - before_cpu) * 1_000_000 / entries
    return _Took(entries / (_CLOCK.monotonic() - before), cpu_us)


def _one_by_one(backend: str, engine: Engine, sizes: _Sizes) -> Iterator[Figure]:
    """Ask for holds from many threads, each for its next one when the last was answered."""
    rates: list[float] = []
    slowest_ms: list[float] = []
    for number in range(sizes.rounds):
        latencies, elapsed_s = _ask(engine, f"w{number}-", sizes.holds // CALLERS)
        rates.append(len(latencies) / elapsed_s)
        slowest_ms.append(sorted(latencies)[len(latencies) * 99 // 100] * 1_000)
    yield _median("ledger.holds_per_s", rates, "1/s", backend=backend, callers=CALLERS)
    yield _median("ledger.hold_p99_ms", slowest_ms, "ms", backend=backend, callers=CALLERS)


def _ask(engine: Engine, name: str, holds: int) -> tuple[list[float], float]:
    """Return the latency of each hold, and how long all took, in seconds."""
    writer = GroupWriter(engine, _CLOCK, _TOOL)
    writer.start()

    def ask(caller: int) -> list[float]:
        latencies = []
        for number in range(holds):
            asked = _CLOCK.monotonic()
            writer.submit(_hold(f"{name}{caller}-{number}", caller % TENANTS)).result()
            latencies.append(_CLOCK.monotonic() - asked)
        return latencies

    before = _CLOCK.monotonic()
    with ThreadPoolExecutor(CALLERS) as callers:
        latencies = [latency for many in callers.map(ask, range(CALLERS)) for latency in many]
    elapsed_s = _CLOCK.monotonic() - before
    writer.stop()
    return latencies, elapsed_s


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
