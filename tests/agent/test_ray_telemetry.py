"""The Ray source against a real cluster."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.ray_cluster import RayCluster
from collectors.config import build_source, parse_source
from collectors.sources.port import Source, SourceError
from suanwang.clock import SystemClock
from suanwang.model.reading import Reading

pytestmark = pytest.mark.ray


async def test_a_cluster_tells_its_resources_and_nodes(
    ray_cluster: RayCluster, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(ray_cluster.token, encoding="utf-8")
    raw = {"kind": "ray", "name": "r", "url": ray_cluster.address, "cluster": "c1"}
    source = build_source(parse_source(raw | {"token_file": str(token)}), SystemClock())
    readings = await _known(source)
    await source.close()
    found = {(each.subject, each.metric): each.value for each in readings}
    assert found["ray:c1", "cpus_total"] == 4
    assert found["ray:c1", "gpus_total"] == 2
    assert found["ray:c1", "nodes_alive"] == 1
    assert found["ray:c1", "object_store_bytes_total"] > 0
    assert found["ray:c1", "schedulable_memory_bytes_total"] > 0
    (node,) = {subject for subject, _ in found if subject.startswith("raynode:c1:")}
    assert found[node, "cpus_total"] == 4


async def _known(source: Source) -> Sequence[Reading]:
    """Return the first poll of a cluster that knows its resources."""
    told = ""
    for _ in range(60):
        try:
            return await source.collect()
        except SourceError as failure:
            told = str(failure)
        await asyncio.sleep(0.5)
    raise AssertionError(told)


async def test_a_wrong_token_is_told(ray_cluster: RayCluster, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("wrong-token-wrong-token", encoding="utf-8")
    raw = {"kind": "ray", "name": "r", "url": ray_cluster.address, "cluster": "c1"}
    source = build_source(parse_source(raw | {"token_file": str(token)}), SystemClock())
    with pytest.raises(SourceError, match="refuses the token") as failure:
        await source.collect()
    await source.close()
    assert "wrong-token" not in f"{failure.value!r}{failure.value.facts}{vars(source)}"
