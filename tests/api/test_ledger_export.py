"""The journal leaves the centre in a form that the stand-alone verifier takes."""

from pathlib import Path

import pytest
from api_client import World
from sqlalchemy import Engine

from api.server import prepare
from suanwang.clock import VirtualClock
from suanwang.db.engine import open_engine, reading
from suanwang.errors import Conflict
from suanwang.ids import SeededIds
from suanwang.settings import Settings
from voucher.export import export_lines
from voucher.verifier import Verifier


def test_the_export_is_sound_and_ends_with_the_newest_link(world: World) -> None:
    world.register()
    world.fund(amount_fen=10_000)
    answer = world.client.get("/v1/ledger/export", world.admin)
    assert answer.status_code == 200
    verifier = Verifier()
    assert verifier.verify(answer.content.splitlines(keepends=True)), verifier.findings
    assert verifier.entries == world.client.get("/v1/ledger/check", world.admin).json()["entries"]


def test_a_centre_that_began_with_sm3_stays_with_it(
    clock: VirtualClock, ids: SeededIds, tmp_path: Path
) -> None:
    engine: Engine = open_engine(f"sqlite:///{tmp_path / 'centre.db'}")
    first, other = (
        Settings.model_validate({"server": {"state_dir": tmp_path, "ledger_digest": digest}})
        for digest in ("sm3", "sha256")
    )
    prepare(engine, clock, ids, first)
    prepare(engine, clock, ids, first)
    with reading(engine) as connection:
        head, *_ = export_lines(connection)
    assert '"digest":"sm3"' in head
    with pytest.raises(Conflict, match="another digest"):
        prepare(engine, clock, ids, other)
    engine.dispose()
