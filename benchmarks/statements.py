"""A statement of 100,000 lines: seconds from the journal to the finished workbook, and memory.

The journal is filled through the ledger with holds and payments of one enterprise. The statement is
then made in a process of its own, so that its peak memory is nobody else's.
"""

import resource
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from sqlalchemy import insert

from benchmarks.frame import Figure, Options
from suanwang.clock import SystemClock
from suanwang.db.engine import open_engine, reading
from suanwang.db.tables import metadata, tenant
from suanwang.ids import LotId, TenantId
from suanwang.model.voucher import HoldSlice
from voucher import store_reports
from voucher.ledger import Accepted, Capture, Command, Deposit, Issue, OpenHold, apply
from voucher.reports import lines
from voucher.reports.report import CHINA, Party, Period
from voucher.reports.xlsx import write_xlsx
from voucher.writer import DirectWriter

TENANT: Final = TenantId("t1")
BATCH: Final = 1_000
LINES: Final = 100_000
_CLOCK: Final = SystemClock()
_KIB: Final = 1_024


def run(options: Options) -> Iterator[Figure]:
    """Measure; ``quick`` takes a tenth of the lines."""
    wanted = LINES // 10 if options.quick else LINES
    with TemporaryDirectory() as folder:
        _fill(Path(folder), wanted)
        # The code and the folder are ours.
        answer = subprocess.run(
            [sys.executable, "-m", __name__, folder], check=True, capture_output=True, text=True
        )
    took_s, peak_mb, written = answer.stdout.split()
    scaled_s = float(took_s) * LINES / int(written)
    yield Figure("statements.lines_100k_s", scaled_s, "s", measured_on=int(written))
    yield Figure("statements.peak_mb", float(peak_mb), "MB", measured_on=int(written))


def _fill(folder: Path, wanted: int) -> None:
    """Book a grant, a deposit, and as many holds and payments as there must be lines."""
    engine = open_engine(f"sqlite:///{folder / 'ledger.db'}")
    metadata.create_all(engine)
    writer = DirectWriter(engine, _CLOCK)
    now = _CLOCK.now()
    money: list[Command] = [
        Issue(
            key="issue",
            lot_id="l1",
            tenant_id=TENANT,
            programme="benchmark",
            amount_fen=10**12,
            ratio_den=5,
            expires_at=now.replace(year=now.year + 1),
        ),
        Deposit(key="deposit", tenant_id=TENANT, amount_fen=10**12),
    ]
    with writer.turn() as turn:
        row = {"id": TENANT, "name": "基准企业", "uscc": "", "created_at": now}
        turn.connection.execute(insert(tenant).values(row))
        apply(turn, money, now)
    for first in range(0, wanted // 2, BATCH):
        for commands in _pairs(range(first, min(first + BATCH, wanted // 2))):
            with writer.turn() as turn:
                outcomes = apply(turn, commands, now)
            if not all(isinstance(outcome, Accepted) for outcome in outcomes):
                raise AssertionError("a command of the benchmark was refused")
    engine.dispose()


def _pairs(numbers: range) -> tuple[list[Command], list[Command]]:
    """Return holds, and their payments."""
    holds: list[Command] = [
        OpenHold(
            key=f"o{number}",
            hold_id=f"hold-{number}",
            tenant_id=TENANT,
            attempt_id=f"job-{number}-a1",
            slices=(
                HoldSlice(lot_id=LotId("l1"), amount_fen=2_000),
                HoldSlice(lot_id=None, amount_fen=8_000),
            ),
        )
        for number in numbers
    ]
    payments: list[Command] = [
        Capture(key=f"c{number}", hold_id=f"hold-{number}", amount_fen=7_333, payee="laoshan")
        for number in numbers
    ]
    return holds, payments


def main(folder: Path) -> None:
    """Write the statement, and print its seconds, the peak in MB and its lines."""
    engine = open_engine(f"sqlite:///{folder / 'ledger.db'}")
    today = _CLOCK.now().astimezone(CHINA).date()
    period = Period(first=date(today.year - 1, 1, 1), last=date(today.year, 12, 31))
    before = _CLOCK.monotonic()
    with reading(engine) as connection:
        heading = lines.Heading(
            about=store_reports.party(connection, TENANT),
            issuer=Party(id="platform", name="平台"),
            period=period,
            made_at=_CLOCK.now(),
            chain=store_reports.chain_at(connection, period.end),
        )
        opening = store_reports.balances_before(connection, TENANT, period.start)
        entries = store_reports.statement_lines(connection, TENANT, period)
        lots = store_reports.lots_of(connection, tenant_id=TENANT)
        report = lines.statement(heading, opening, entries, lots)
        written = write_xlsx(report, folder / "statement.xlsx")
    took_s = _CLOCK.monotonic() - before
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB
    print(took_s, peak_mb, written)
    engine.dispose()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
