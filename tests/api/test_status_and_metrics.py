"""The pages that need no key say nothing about anybody in particular."""

import base64
import re

import pytest
from api_client import World
from prometheus_client.parser import text_string_to_metric_families

from alerts.model import Severity
from api.status_page import STATE_WORDS
from suanwang.clock import VirtualClock
from suanwang.model.job import JobState


@pytest.fixture
def busy(world: World) -> World:
    """A centre with a site, money and a job in the queue."""
    world.register(name="<b>Site & East</b>")
    world.hello(world.token())
    world.fund()
    assert world.submit(submission_id="secret-job").status_code == 201
    return world


def test_the_status_page_shows_the_network_and_nobodys_jobs(busy: World) -> None:
    answer = busy.client.get("/status")
    assert answer.status_code == 200
    assert "&lt;b&gt;Site &amp; East&lt;/b&gt;" in answer.text
    assert "算力一张网" in answer.text
    assert "east-cpu" in answer.text
    for word in ("secret-job", "haiyun", "<script", "http://", "https://", " src=", "onclick"):
        assert word not in answer.text


def test_the_status_page_may_load_and_run_nothing(busy: World) -> None:
    policy = busy.client.get("/status").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "frame-ancestors 'none'" in policy


def test_the_status_page_is_made_anew_after_some_seconds(busy: World, clock: VirtualClock) -> None:
    first = busy.client.get("/status").text
    assert busy.client.post("/v1/sites/east/close", busy.admin).status_code == 200
    assert busy.client.get("/status").text == first
    clock.advance(4)
    assert "closed 关闭" in busy.client.get("/status").text


def test_a_browser_gives_its_key_as_a_password(busy: World) -> None:
    asked = busy.client.get("/status/jobs")
    assert asked.status_code == 401
    assert asked.headers["www-authenticate"].startswith("Basic ")
    for key, sees in ((busy.enterprise, True), (busy.other, False)):
        password = base64.b64encode(f"me:{key}".encode()).decode()
        page = busy.client.get("/status/jobs", headers={"Authorization": f"Basic {password}"})
        assert page.status_code == 200
        assert ("secret-job" in page.text) is sees


@pytest.mark.parametrize("header", ["Basic", "Basic !!", "Basic //79", "Digest x", "Bearer", "x"])
def test_a_broken_credential_is_no_credential(busy: World, header: str) -> None:
    assert busy.client.get("/status/jobs", headers={"Authorization": header}).status_code == 401


def test_metrics_parse_and_name_a_tenant_to_the_admin_only(busy: World) -> None:
    anonymous = busy.client.get("/metrics").text
    assert "haiyun" not in anonymous
    families = {family.name: family for family in text_string_to_metric_families(anonymous)}
    cash = families["suanwang_cash_fen"].samples
    assert [(sample.labels, sample.value) for sample in cash] == [({}, 100_000.0)]
    by_tenant = busy.client.get("/metrics", busy.admin).text
    assert re.search(r'^suanwang_cash_fen\{tenant="haiyun"\} 100000\.0$', by_tenant, re.MULTILINE)
    assert busy.client.get("/metrics", busy.enterprise).status_code == 403


def test_requests_are_counted_by_route_not_by_id(busy: World) -> None:
    for number in range(3):
        busy.client.get(f"/v1/jobs/job-{number}", busy.enterprise)
        busy.client.get(f"/nowhere/{number}")
    text = busy.client.get("/metrics").text
    route = 'route="/v1/jobs/{submission_id}"'
    assert f'suanwang_http_requests_total{{method="GET",{route},status="404"}} 3.0' in text
    assert 'suanwang_http_requests_total{method="any",route="unmatched",status="404"} 3.0' in text
    assert "job-1" not in text


def test_every_state_and_severity_has_a_chinese_word() -> None:
    words = {*map(str, JobState), *map(str, Severity)}
    assert words == set(STATE_WORDS)
