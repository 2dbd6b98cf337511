"""A local Ray cluster: what it refuses, and that it leaves nothing behind."""

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from shutil import rmtree

import pytest

from agent import fence
from agent.ray_cluster import RayCluster, RayClusterConfig, find_base_port
from suanwang.errors import BadInput, Conflict


def test_an_address_that_ray_would_replace_is_refused() -> None:
    with pytest.raises(BadInput, match=r"127\.0\.0\.2"):
        RayCluster(RayClusterConfig(name="a", ip="127.0.0.1"))


def test_a_folder_too_deep_for_socket_names_is_refused() -> None:
    with pytest.raises(BadInput, match="characters"):
        RayCluster(RayClusterConfig(name="a", ip="127.0.0.2", folder=Path("/tmp/" + "x" * 50)))


def test_a_cluster_that_is_not_started_has_no_pid() -> None:
    cluster = RayCluster(RayClusterConfig(name="a", ip="127.0.0.2"))
    with pytest.raises(Conflict):
        _ = cluster.pid
    cluster.stop()


def test_a_block_with_a_port_in_use_is_passed_over() -> None:
    base = find_base_port("127.0.0.63")
    with socket.socket() as user:
        user.bind(("127.0.0.63", base + 4))
        user.listen()
        assert find_base_port("127.0.0.63") > base


def test_the_token_is_not_in_the_configurations_text() -> None:
    config = RayClusterConfig(name="a", ip="127.0.0.2")
    assert config.token not in repr(config)


def test_no_credential_of_ours_reaches_the_cluster() -> None:
    cluster = RayCluster(RayClusterConfig(name="a", ip="127.0.0.2", folder=Path("/tmp/swtest")))
    environment = cluster._environment(
        {"RAY_ADDRESS": "http://elsewhere", "SUANWANG_AGENT__TOKEN": "swt_secret", "HOME": "/root"}
    )
    assert "RAY_ADDRESS" not in environment
    assert "SUANWANG_AGENT__TOKEN" not in environment
    assert environment["HOME"] == "/root"


@pytest.mark.ray
def test_a_cluster_refuses_callers_without_its_token(ray_cluster: RayCluster) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401") as failure:
        urllib.request.urlopen(f"{ray_cluster.address}/api/version")  # noqa: S310 - loopback
    failure.value.close()


_PARENT = """
import json, sys, urllib.request
from agent.ray_cluster import RayCluster, RayClusterConfig
cluster = RayCluster(RayClusterConfig(name="orphan", ip="127.0.0.64", cpus=1))
cluster.start()
cluster.wait_ready()
urllib.request.urlopen(urllib.request.Request(
    cluster.address + "/api/jobs/",
    data=json.dumps({"entrypoint": "sleep 600"}).encode(),
    headers={"Authorization": "Bearer " + cluster.token},
))
print(cluster.marker, flush=True)
sys.stdin.read()
"""


@pytest.mark.ray
def test_a_cluster_and_its_jobs_end_with_the_process_that_started_it() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    marker = parent.stdout.readline().strip()
    assert len(fence.scan(marker).marked) > 5
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    deadline = time.monotonic() + 60
    while fence.scan(marker).marked:
        assert time.monotonic() < deadline, fence.scan(marker)
        time.sleep(0.25)  # noqa: TID251 - real processes need real time
    rmtree(marker.partition("@")[2])
