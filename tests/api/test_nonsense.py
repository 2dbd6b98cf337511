"""Whatever is sent, by whomever: an answer below 500, and nothing breaks."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import pytest
from api_client import Json, World, site_body
from api_routes import SOCKET, routes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from suanwang.clock import VirtualClock
from suanwang.ids import SeededIds
from suanwang.settings import ServerSettings, Settings

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(
        ["east", "haiyun", "swk_x", "9" * 40, "../..", "'; drop table job; --", "\x00", "1e999"]
    )
)
nonsense = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
words |= st.sampled_from(["east", "haiyun", "job", "%00", "..", "a" * 300])
HTTP_ROUTES = [route for route in routes() if route[0] != SOCKET]

SEEDS: dict[str, Json] = {
    "/v1/sites": site_body(),
    "/v1/jobs": {"entrypoint": "x", "metadata": {"units": "1"}, "runtime_env": {}},
    "/api/jobs/": {"entrypoint": "x", "metadata": {"units": "1"}, "entrypoint_num_cpus": 1},
    "/v1/job-batches": {"jobs": [{"entrypoint": "x", "array": "0-3"}], "key": "k"},
    "/v1/quotes": {"metadata": {"units": "1", "max_minutes": "5", "deadline": "x"}},
    "/v1/cash": {"tenant_id": "haiyun", "amount_fen": 5, "key": "k"},
    "/v1/ledger/refunds": {"attempt_id": "a", "amount_fen": 5, "reason": "r", "key": "k"},
    "/v1/ledger/repayments": {
        "tenant_id": "haiyun", "lot_id": "l", "amount_fen": 5, "receipt": "r", "key": "k",
    },
    "/v1/ledger/appropriations": {
        "programme": "p", "funder": "f", "amount_fen": 5, "document": "d", "key": "k",
    },
    "/v1/ledger/payments": {"payee": "east", "amount_fen": 5, "receipt": "r", "key": "k"},
    "/v1/ledger/periods": {"period_id": "p", "ends_at": "2026-01-01T00:00:00Z", "key": "k"},
    "/v1/silences": {"site": "east", "until_at": "2026-10-15T00:00:00Z", "reason": "r"},
    "/v1/alerts/{alert_id}/ack": {"note": "n"},
    "/v1/tenants": {"id": "x", "name": "x", "uscc": ""},
    "/v1/vouchers": {
        "lot_id": "l", "tenant_id": "haiyun", "programme": "p", "amount_fen": 5, "ratio_num": 1,
        "ratio_den": 2, "expires_at": "2027-01-01T00:00:00Z", "key": "k",
    },
    "/agent/v1/hello": {
        "agent_version": "1", "clock": "2026-10-14T00:00:00Z", "executor_state": "up",
    },
    "/agent/v1/reports": {"reports": [{
        "attempt_id": "a", "seq": 1, "at": "2026-10-14T00:00:00Z", "state": "running",
    }]},
    "/agent/v1/logs": {"attempt_id": "a", "offset": 0, "text": "x"},
    "/agent/v1/orders/ack": {"ids": ["x"]},
}  # fmt: skip
"""A sound body of each route that takes one, as the ground from which nonsense is made."""


@st.composite
def spoilt(draw: st.DrawFn, body: Json) -> Json:
    """Return a sound body with one or two of its values, at any depth, replaced or added."""
    for _ in range(draw(st.integers(1, 2))):
        if not isinstance(body, dict) or draw(st.integers(0, 9)) == 0:
            return draw(nonsense)
        key = draw(st.sampled_from(sorted(body) or ["x"]) | st.text(max_size=5))
        inner = body.get(key)
        if isinstance(inner, list) and inner and draw(st.booleans()):
            body = body | {key: [draw(spoilt(inner[0])), *inner[1:]]}
        else:
            body = body | {key: draw(nonsense)}
    return body


@contextmanager
def centre(engine: Engine) -> Iterator[tuple[World, dict[str, str]]]:
    """A centre with a site, for many calls."""
    clock = VirtualClock(datetime(2026, 10, 14, tzinfo=UTC))
    with TemporaryDirectory() as folder:
        chosen = Settings(server=ServerSettings(state_dir=Path(folder)))
        world = World(engine, clock, SeededIds(clock, 1), chosen)
        world.register()
        world.fund()
        keys = {
            "/agent": world.token(),
            "/api": world.enterprise,
            "/v1": world.admin,
        }
        yield world, keys
        world.client.close()


def test_nonsense_never_breaks_a_route(engine: Engine) -> None:
    with centre(engine) as (world, keys):

        @settings(
            max_examples=300,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
            database=None,
        )
        @given(data=st.data())
        def send(data: st.DataObject) -> None:
            method, path = data.draw(st.sampled_from(HTTP_ROUTES), "route")
            address = re.sub(
                r"\{[a-z0-9_]+\}", lambda _: quote(data.draw(words, "word"), safe="") or "x", path
            )
            body = None
            if method in ("POST", "PUT"):
                seed = SEEDS.get(path, {"x": 1})
                body = data.draw(spoilt(seed), "body")
            params = data.draw(
                st.dictionaries(
                    st.sampled_from(["limit", "before", "after", "offset", "state", "hours"]),
                    words | st.integers(-5, 10**20).map(str),
                    max_size=2,
                ),
                "params",
            )
            key = next((key for start, key in keys.items() if path.startswith(start)), "")
            content = json.dumps(body).encode()
            headers = {"content-type": "application/json"}
            answer = world.client.call(
                method, address, key, content=content, headers=headers, params=params
            )
            assert answer.status_code < 500, (answer.status_code, answer.text)
            if answer.status_code >= 400 and not address.startswith(("/api", "/status")):
                assert answer.headers["content-type"] == "application/problem+json"

        send()
        check = world.client.get("/v1/ledger/check", world.admin).json()
        assert check["is_sound"], check


RAW = [
    b"", b"null", b"[]", b'"x"', b"{", b"\xff\xfe", b"1e999", b'{"a":' * 2_000, b"[" * 100_000,
    b'{"entrypoint": "x", "entrypoint": 1}', b"NaN", b'{"entrypoint": "\\ud800"}',
]  # fmt: skip


@pytest.mark.parametrize("content", RAW, ids=range(len(RAW)))
def test_raw_bytes_never_break_a_route(small_world: World, content: bytes) -> None:
    small_world.register()
    headers = {"content-type": "application/json"}
    agent = small_world.token()
    for method, path in HTTP_ROUTES:
        if method not in ("POST", "PUT"):
            continue
        key = agent if path.startswith("/agent") else small_world.admin
        address = re.sub(r"\{[a-z0-9_]+\}", "x", path)
        answer = small_world.client.call(method, address, key, content=content, headers=headers)
        assert answer.status_code < 500, (path, answer.text)
