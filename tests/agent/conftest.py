"""Fixtures of the agent's tests: one real Ray cluster for all of them."""

from collections.abc import Iterator

import pytest
from agent_ray import running_cluster

from agent import fence
from agent.ray_cluster import RayCluster


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[RayCluster]:
    """A real Ray cluster with 4 CPUs and 2 logical GPUs; at the end nothing of it is left."""
    with running_cluster("agent-tests", "127.0.0.61") as cluster:
        marker, folder = cluster.marker, cluster.folder
        yield cluster
    assert fence.scan(marker).is_clean
    assert not folder.exists()
