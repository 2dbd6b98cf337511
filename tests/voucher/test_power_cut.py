"""A power cut at any moment loses nothing that was acknowledged, and leaves nothing half done."""

from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
from ledger_builders import a_capture, a_deposit, a_hold, accept, add_tenants
from power_cut import Disk, open_on_disk, set_pragma

from suanwang.db.engine import open_engine
from suanwang.db.tables import metadata
from voucher import store

BATCHES = 10
SEED = 20261014
SHARES = (0.0, 0.5, 0.95)
"""Of the sectors that were not synced, how many reach the disk all the same."""


class Cut(NamedTuple):
    """The files after a power cut, and the newest entry that had been acknowledged by then."""

    told: int
    files: dict[str, bytes]


class CuttingDisk(Disk):
    """Keeps what a power cut would leave at the commits, and at every fourth write."""

    def __init__(self, random: Random, share: float) -> None:
        super().__init__()
        self.random, self.share = random, share
        self.told = 0
        self.cuts: list[Cut] = []
        self.watches = False

    def wrote(self) -> None:
        if self.watches and self.random.random() < 0.25:
            self.cut()

    def cut(self) -> None:
        self.cuts.append(Cut(self.told, self.after_cut(self.random, self.share)))


def cuts_of(folder: Path, share: float, synchronous: str) -> list[Cut]:
    """Book batches and return what power cuts in between would leave."""
    disk = CuttingDisk(Random(SEED), share)
    engine = open_on_disk(folder / "ledger.db", disk)
    metadata.create_all(engine)
    with engine.begin() as connection:
        add_tenants(connection, "t1")
    set_pragma(engine, f"synchronous={synchronous}")
    disk.watches = True
    for number in range(BATCHES):
        deposits = [a_deposit(3, key=f"d{number}-{copy}") for copy in range(number * 3)]
        hold = f"h{number}"
        outcomes = accept(engine, *deposits, a_deposit(3, key=hold), a_hold(hold, (None, 3)))
        disk.told = outcomes[-1].seq
        disk.cut()
        disk.told = accept(engine, a_capture(hold, 2))[-1].seq
        disk.cut()
    engine.dispose()
    return disk.cuts


def entries_after(cut: Cut, folder: Path) -> int:
    """Start again on what the cut left; return how many entries the ledger has, which is sound."""
    folder.mkdir()
    for name, content in cut.files.items():
        (folder / Path(name).name).write_bytes(content)
    engine = open_engine(f"sqlite:///{folder / 'ledger.db'}")
    try:
        with engine.begin() as connection:
            report = store.check(connection)
            assert report.is_sound, report.findings
            return report.entries
    finally:
        engine.dispose()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("share", SHARES)
def test_what_was_acknowledged_survives_every_power_cut(tmp_path: Path, share: float) -> None:
    cuts = cuts_of(tmp_path, share, "FULL")
    assert len(cuts) > 2 * BATCHES
    for number, cut in enumerate(cuts):
        assert entries_after(cut, tmp_path / str(number)) >= cut.told


def test_the_simulation_finds_what_a_weaker_setting_loses(tmp_path: Path) -> None:
    cuts = cuts_of(tmp_path, 0.0, "NORMAL")
    kept = [entries_after(cut, tmp_path / str(number)) for number, cut in enumerate(cuts)]
    assert any(entries < cut.told for entries, cut in zip(kept, cuts, strict=True))
