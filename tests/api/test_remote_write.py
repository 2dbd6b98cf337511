"""The centre copies what it takes in to a time series database, and says how that does."""

import json
import re
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
from api_client import ApiClient, World, site_body
from api_server import PATIENCE_S
from centre_process import address, process
from checkout import ROOT
from prometheus_client.parser import text_string_to_metric_families
from tsdb_parts import PROGRAMS, database

from api.app import create_app
from api.status_page import StatusPages
from collectors.remote_write.request import Dropped
from collectors.remote_write.writer import writer_of
from suanwang.clock import SystemClock, VirtualClock, to_epoch_ms
from suanwang.model.batch import gathered
from suanwang.model.reading import Reading
from suanwang.settings import RemoteWriteSettings
from suanwang.wire.batch import TelemetryUpload, encode

METRIC_ROW = re.compile(r"^\| `(suanwang_remote_[a-z_]+)` \| (\w+) \| ([^|]+) \|", re.MULTILINE)


def batch(id_: str, now: datetime, *meters: str) -> bytes:
    """Return a batch with one power of each meter."""
    at = now - timedelta(seconds=10)
    readings = gathered(
        Reading(subject=f"meter:{meter}", metric="power_w", value=41.5, at=at) for meter in meters
    )
    return encode(TelemetryUpload(id=id_, made_at=now, readings=readings))


@pytest.fixture
def copying(small_world: World, clock: VirtualClock) -> Iterator[World]:
    """A centre that copies to a database that is not there; nothing is sent."""
    remote = writer_of(RemoteWriteSettings(url="http://db.example:1/w?k=s3cret"), "centre", clock)
    former = small_world.client
    context = replace(former.context, remote=remote, pages=StatusPages(clock, remote))
    small_world.client = ApiClient(create_app(context))
    yield small_world
    small_world.client.close()
    small_world.client = former


def test_what_is_admitted_is_copied_once(copying: World) -> None:
    copying.register()
    token = copying.token()
    remote = copying.client.context.remote
    assert remote is not None
    body = batch("b1", copying.clock.now(), "east-it", "east-facility", "unknown")
    for _ in range(2):
        receipt = copying.client.post("/agent/v1/telemetry", token, content=body)
        assert receipt.status_code == 200
    assert (remote.state.queued, remote.state.series) == (2, 2)


def test_metrics_and_status_tell_of_the_copy_and_keep_its_address(copying: World) -> None:
    copying.register()
    body = batch("b1", copying.clock.now(), "east-it")
    copying.client.post("/agent/v1/telemetry", copying.token(), content=body)
    text = copying.client.get("/metrics").text
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    listed = {
        name: (kind, set(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels in METRIC_ROW.findall(page)
    }
    found = {}
    for family in text_string_to_metric_families(text):
        if family.name.startswith("suanwang_remote_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found[name] = (family.type, set(family.samples[0].labels))
    assert found == listed
    assert "suanwang_remote_queue_samples 1.0" in text
    assert all(f'reason="{reason}"' in text and f"`{reason}`" in page for reason in Dropped)
    status = copying.client.get("/status").text
    assert "0 sent · 1 wait · 0 dropped" in status
    assert "db.example" not in status + text
    assert "s3cret" not in status + text


@pytest.mark.prometheus
@pytest.mark.skipif(
    PROGRAMS["victoria-metrics"] is None, reason="victoria-metrics is not installed"
)
def test_a_centre_copies_what_agents_send(tmp_path: Path) -> None:
    with database("victoria-metrics", tmp_path / "db") as found:
        settings = {"remote_write": {"url": found.write_url, "external_labels": {"city": "qd"}}}
        (tmp_path / "suanwang.yaml").write_text(json.dumps(settings))
        with process(tmp_path, "--no-scheduler") as running:
            url = address(tmp_path, running)
            admin = {"Authorization": f"Bearer {(tmp_path / 'admin.key').read_text().strip()}"}
            httpx.post(
                f"{url}/v1/sites", json=site_body(), headers=admin, timeout=PATIENCE_S
            ).raise_for_status()
            token = httpx.post(
                f"{url}/v1/sites/east/token", headers=admin, timeout=PATIENCE_S
            ).json()["secret"]
            now = SystemClock().now()
            agent = {"Authorization": f"Bearer {token}"}
            body = batch("b1", now, "east-it")
            answer = httpx.post(
                f"{url}/agent/v1/telemetry", content=body, headers=agent, timeout=PATIENCE_S
            )
            assert answer.json()["accepted"] == 1
            # What waits is sent before the end.
            running.send_signal(signal.SIGTERM)
            _, log = running.communicate(timeout=30)
            assert running.returncode == 0, log
        at_ms = to_epoch_ms(now - timedelta(seconds=10))
        rows = found.raw('suanwang_power_w{city="qd"}', now.timestamp() - 60, now.timestamp())
    assert rows == {"meter:east-it": [(at_ms, 41.5)]}
