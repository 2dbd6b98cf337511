"""The host source reads this machine, and RAPL from files as the kernel shows them."""

from pathlib import Path

import pytest

from collectors.config import build_source
from collectors.rapl import Rapl
from collectors.sources.host import HostSource
from collectors.sources.port import Pace, SourceError
from collectors.specs.host import HostSpec
from suanwang.clock import SystemClock
from suanwang.model.reading import Quality


async def test_the_host_tells_cores_memory_load_network_and_disk() -> None:
    clock = SystemClock()
    source = build_source(HostSpec(host="h1"), clock)
    first = {(r.subject, r.metric): r for r in await source.collect()}
    sum(range(3_000_000))  # some ticks of work, so that the counters have moved on
    second = {(r.subject, r.metric): r for r in await source.collect()}
    await source.close()
    assert ("host:h1", "cpu_ratio") not in first, "a share needs two polls"
    ratio = second["host:h1", "cpu_ratio"]
    assert 0 <= ratio.value <= 1
    assert ratio.quality is Quality.DERIVED
    assert first["host:h1", "cpu_cores"].value >= 1
    used = first["host:h1", "memory_used_bytes"].value
    assert 0 < used < first["host:h1", "memory_total_bytes"].value
    assert first["disk:h1:/", "disk_used_bytes"].value > 0
    assert {"load_1m", "net_sent_bytes_total", "net_received_bytes_total"} <= {
        metric for subject, metric in first if subject == "host:h1"
    }


async def test_a_path_that_is_not_there_is_a_source_error() -> None:
    source = build_source(HostSpec(host="h1", disk_paths=("/no/such/path",)), SystemClock())
    with pytest.raises(SourceError, match="host h1 cannot be read"):
        await source.collect()


WRAP = 262_143_328_850


def a_zone(root: Path, zone: str, name: str, energy_uj: object) -> Path:
    """Write a zone of RAPL as the kernel shows it; return the file of its counter."""
    folder = root / zone
    folder.mkdir(exist_ok=True)
    (folder / "name").write_text(f"{name}\n", encoding="utf-8")
    (folder / "max_energy_range_uj").write_text(f"{WRAP}\n", encoding="utf-8")
    file = folder / "energy_uj"
    file.write_text(f"{energy_uj}\n", encoding="utf-8")
    return file


def test_the_energy_of_packages_is_summed_over_wraps(tmp_path: Path) -> None:
    first = a_zone(tmp_path, "intel-rapl:0", "package-0", WRAP - 1_800_000_000)
    a_zone(tmp_path, "intel-rapl:0:0", "dram", 7)
    a_zone(tmp_path, "intel-rapl:1", "package-1", 5)
    rapl = Rapl(tmp_path)
    assert rapl.energy_wh(0) == {"package-0": 0, "package-1": 0}
    first.write_text("1800000000\n", encoding="utf-8")
    assert rapl.energy_wh(15) == {"package-0": 1, "package-1": 0}


def test_a_counter_that_was_lost_adds_nothing(tmp_path: Path) -> None:
    file = a_zone(tmp_path, "intel-rapl:0", "package-0", WRAP // 2)
    rapl = Rapl(tmp_path)
    rapl.energy_wh(0)
    file.write_text("0", encoding="utf-8")
    assert rapl.energy_wh(15) == {"package-0": 0}, "131 kJ in 15 s would be 8.7 kW"
    file.write_text("3600000000", encoding="utf-8")
    assert rapl.energy_wh(30) == {"package-0": 1}


@pytest.mark.parametrize("said", ["", "x", "-5", "1e999", "\N{SNOWMAN}"])
def test_what_is_no_counter_is_none(tmp_path: Path, said: str) -> None:
    a_zone(tmp_path, "intel-rapl:0", "package-0", said)
    assert Rapl(tmp_path).energy_wh(0) == {}
    assert Rapl(tmp_path / "nowhere").energy_wh(0) == {}


async def test_the_host_tells_the_energy_of_its_packages(tmp_path: Path) -> None:
    a_zone(tmp_path, "intel-rapl:0", "package-0", 1)
    pace = Pace(name="host", interval_s=15, timeout_s=5)
    source = HostSource(SystemClock(), pace, host="h1", disk_paths=(), powercap=tmp_path)
    found = {(each.subject, each.metric): each.value for each in await source.collect()}
    await source.close()
    assert found["cpu:h1:package-0", "energy_wh"] == 0
