"""Jobs that really ran, and the files of evidence packs."""

import io
import zipfile
from pathlib import Path
from typing import Final

from api_client import Json, World

from scheduler.cycle import run_cycle
from suanwang.clock import VirtualClock

FOUR_HOURS: Final = {"units": "4", "max_minutes": "60"}


def run_a_job(world: World, clock: VirtualClock, name: str = "train-1") -> None:
    """Submit, place, run for half an hour and end a job of four cores: 24 fen."""
    token = world.token()
    world.hello(token)
    assert world.submit(submission_id=name, metadata=FOUR_HOURS).status_code == 201
    run_cycle(world.engine, world.writer, world.client.context.scheduling)
    (order,) = world.client.get("/agent/v1/orders", token).json()["orders"]
    start = clock.now().isoformat()
    _report(world, token, order, 1, state="running", started_at=start)
    clock.advance(1_800)
    end = clock.now().isoformat()
    _report(
        world, token, order, 2, state="succeeded", started_at=start, ended_at=end,
        window_source="supervisor", exit_code=0,
    )  # fmt: skip


def _report(world: World, token: str, order: Json, seq: int, **facts: Json) -> None:
    told = {"attempt_id": order["attempt_id"], "seq": seq, "at": world.clock.now().isoformat()}
    answer = world.client.post("/agent/v1/reports", token, {"reports": [told | facts]})
    assert answer.status_code == 200, answer.text


def members(content: bytes) -> dict[str, bytes]:
    """Return the files of a pack."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path: Path, files: dict[str, bytes]) -> Path:
    """Write a pack."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path
