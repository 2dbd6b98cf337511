"""Real Ray clusters for tests: each ends with its test session and leaves no process behind."""

import contextlib
from collections.abc import Iterator

from agent.ray_cluster import RayCluster, RayClusterConfig


@contextlib.contextmanager
def running_cluster(name: str, ip: str, *, cpus: int = 4, gpus: int = 2) -> Iterator[RayCluster]:
    """Run a cluster that is ready for jobs; its GPUs are logical."""
    with RayCluster(RayClusterConfig(name=name, ip=ip, cpus=cpus, gpus=gpus)) as cluster:
        yield cluster
