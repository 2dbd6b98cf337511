"""The host source reads this machine."""

import pytest

from collectors.config import build_source
from collectors.sources.port import SourceError
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
