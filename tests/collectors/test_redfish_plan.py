"""What a poll of a BMC asks for: as little as it can, found out once and remembered."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from redfish_parts import (
    METRICS,
    ROOT,
    SERVER,
    a_bmc,
    a_source,
    by_series,
    read,
    settings,
    write_tree,
)

from collectors.config import build_source, build_sources, parse_source, parse_sources
from collectors.redfish_memory import Known, PlanMemory
from collectors.sources.port import Source, SourceError
from suanwang.clock import SystemClock, VirtualClock


async def test_a_poll_asks_only_for_what_holds_numbers_and_changed_things_travel(
    tmp_path: Path,
) -> None:
    async with a_bmc(tmp_path, SERVER) as bmc:
        bmc.expands = False
        source = a_source(bmc.url)
        await source.collect()
        bmc.asked.clear()
        await source.collect()
        assert sorted(bmc.asked) == [
            (f"{ROOT}/Chassis/1", 304),
            (METRICS, 304),
            (f"{ROOT}/Chassis/1/ThermalMetrics", 304),
        ]
        tree = dict(SERVER)
        tree["/Chassis/1/EnvironmentMetrics"] = {"PowerWatts": {"Reading": 10}}
        write_tree(tmp_path, tree)
        assert (await read(source))["host:gpu-07", "power_w"] == 10


EXPANDED = f"{ROOT}/Chassis/1?$expand=.($levels=2)"
SERVER_SAYS = {
    ("host:gpu-07", "power_w"): 6021.5,
    ("host:gpu-07", "energy_wh"): 1_234_567,
    ("host:gpu-07", "inlet_temperature_c"): 23.5,
    ("host:gpu-07", "health_ratio"): 0.5,
}


async def test_a_bmc_that_expands_is_polled_by_one_request_whose_numbers_are_new(
    tmp_path: Path,
) -> None:
    async with a_bmc(tmp_path, SERVER) as bmc:
        source = a_source(bmc.url)
        assert by_series(await source.collect()) == SERVER_SAYS
        bmc.asked.clear()
        assert by_series(await source.collect()) == SERVER_SAYS
        assert bmc.asked == [(EXPANDED, 200)]
        tree = dict(SERVER)
        tree["/Chassis/1/EnvironmentMetrics"] = {"PowerWatts": {"Reading": 10}}
        write_tree(tmp_path, tree)
        assert (await read(source))["host:gpu-07", "power_w"] == 10


class Slow(VirtualClock):
    """A clock on which an expanded answer takes a minute."""

    async def pass_by(self, _: str) -> None:
        """Let the minute pass."""
        self.advance(60)


async def test_a_bmc_that_is_slow_at_expanding_is_asked_one_by_one(tmp_path: Path) -> None:
    async with a_bmc(tmp_path, SERVER) as bmc:
        clock = Slow(datetime(2026, 10, 14, tzinfo=UTC))
        bmc.takes = clock.pass_by
        source = build_source(parse_source(settings(bmc.url)), clock)
        await source.collect()
        bmc.asked.clear()
        assert await read(source) == SERVER_SAYS
        assert len(bmc.asked) == 3


async def test_an_expanded_answer_that_lost_a_part_makes_us_look_again(tmp_path: Path) -> None:
    async with a_bmc(tmp_path, SERVER) as bmc:
        source = a_source(bmc.url)
        await source.collect()
        tree = dict(SERVER)
        tree["/Chassis/1"] = {
            key: value for key, value in tree["/Chassis/1"].items() if key != "EnvironmentMetrics"
        }
        write_tree(tmp_path, tree)
        assert ("host:gpu-07", "power_w") not in by_series(await source.collect())
        assert (await read(source))["host:gpu-07", "power_w"] == 9999


def remembering(url: str, folder: Path) -> Source:
    """Return a source that keeps on disk what the BMC offers."""
    (source,) = build_sources(parse_sources([settings(url)]), SystemClock(), folder)
    return source


async def test_a_restart_does_not_look_through_the_bmc_again(tmp_path: Path) -> None:
    async with a_bmc(tmp_path / "tree", SERVER) as bmc:
        assert await read(remembering(bmc.url, tmp_path)) == SERVER_SAYS
        bmc.asked.clear()
        assert await read(remembering(bmc.url, tmp_path)) == SERVER_SAYS
        assert [path for path, _ in bmc.asked] == [EXPANDED]


async def test_what_was_known_and_is_wrong_is_forgotten(tmp_path: Path) -> None:
    async with a_bmc(tmp_path / "tree", SERVER) as bmc:
        await read(remembering(bmc.url, tmp_path))
        bmc.statuses = {f"{ROOT}/Chassis/1": 404}
        with pytest.raises(SourceError, match="does not know it"):
            await read(remembering(bmc.url, tmp_path))
        bmc.statuses = {}
        bmc.asked.clear()
        assert await read(remembering(bmc.url, tmp_path)) == SERVER_SAYS
        assert bmc.count("/Chassis/1/EnvironmentMetrics") == 1, "it was looked through anew"


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"version": 1, "key"', id="torn"),
        pytest.param(b'{"version": 1, "key": "x", "at": "x", "reads": [{}]}', id="of another"),
        pytest.param(b"[" * 100_000, id="nested"),
        pytest.param(b" " * 2_000_000, id="huge"),
    ],
)
async def test_a_damaged_memory_is_passed_over(tmp_path: Path, damage: bytes) -> None:
    async with a_bmc(tmp_path / "tree", SERVER) as bmc:
        await read(remembering(bmc.url, tmp_path))
        (file,) = (tmp_path / "redfish").iterdir()
        file.write_bytes(damage)
        assert await read(remembering(bmc.url, tmp_path)) == SERVER_SAYS
        assert file.read_bytes() != damage


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "redfish").write_text("a file in the way", encoding="utf-8")
    memory = PlanMemory(tmp_path / "redfish")
    memory.save("a", Known(reads=(), at=datetime(2026, 10, 14, tzinfo=UTC)))
    memory.forget("a")
    assert memory.load("a") is None
    assert "is not kept" in caplog.text
