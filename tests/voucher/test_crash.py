"""Whatever moment a writer is killed at, what it was told is booked stays booked."""

import subprocess
import sys
from pathlib import Path
from random import Random

import ledger_crash_writer
import pytest
from ledger_builders import add_tenants
from sqlalchemy import Engine

from suanwang.db.engine import reading
from voucher import store

ROUNDS = 5


@pytest.mark.timeout(180)
def test_acknowledged_entries_survive_a_killed_writer(engine: Engine) -> None:
    with engine.begin() as connection:
        add_tenants(connection, "t1")
    random = Random(20261014)
    entries = 0
    for turn in range(ROUNDS):
        told_seq, told_key = killed_after(random.randint(3, 25), engine, turn)
        with engine.begin() as connection:
            report = store.check(connection)
        assert report.is_sound, report.findings
        assert report.entries >= told_seq > entries
        with reading(engine) as connection:
            (entry,) = store.entries(connection, "t1", told_seq - 1, 1)
        assert entry.key == told_key
        # A batch is booked whole or not at all: three entries for each hold, no hold open.
        assert report.entries % 3 == 0
        assert report.holds_open == 0
        entries = report.entries


def killed_after(acknowledged: int, engine: Engine, turn: int) -> tuple[int, str]:
    """Let a writer run, kill it after so many answers, and return the last that it gave."""
    script = Path(ledger_crash_writer.__file__)
    url = engine.url.render_as_string(hide_password=False).replace("+psycopg", "")
    writer = subprocess.Popen(
        [sys.executable, str(script), url, str(turn)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    lines = [writer.stdout.readline() for _ in range(acknowledged)]
    writer.kill()
    lines += [line for line in writer.stdout.read().splitlines(keepends=True) if line[-1] == "\n"]
    writer.wait()
    writer.stdout.close()
    seq, key = lines[-1].split()
    return int(seq), key
