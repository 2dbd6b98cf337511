"""Every kind of error leaves as problem+json, and as plain text on Ray's paths."""

from collections.abc import Callable

import pytest
from api_client import ApiClient, Json, World, site_body
from sqlalchemy.exc import OperationalError

from api import store
from api.limits import JSON_BYTES_MAX, body_limit
from api.store import DATABASE_AWAY
from suanwang.errors import (
    BadInput,
    Conflict,
    Forbidden,
    InvalidTransition,
    NotFound,
    Refused,
    SuanwangError,
    Unauthorised,
    Unavailable,
)

Provoke = Callable[[World], Json]
JSON_TYPE = {"content-type": "application/json"}


def problem(answer: Json, status: int, code: str) -> Json:
    """Check that an answer is a whole problem of this status and code; return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == {"type", "title", "status", "detail", "code", "facts", "next_step"}
    assert (body["status"], body["code"]) == (status, code)
    assert body["type"].endswith(f"/{code}")
    assert body["detail"]
    return body


@pytest.mark.parametrize(
    ("provoke", "status", "code"),
    [
        pytest.param(lambda w: w.client.get("/v1/jobs"), 401, "unauthorised", id="no key"),
        pytest.param(
            lambda w: w.client.post("/v1/tenants", w.other, {"id": "a", "name": "b"}),
            403, "forbidden", id="a right is missing",
        ),
        pytest.param(
            lambda w: w.client.get("/v1/jobs/x", w.other), 404, "not-found", id="not there"
        ),
        pytest.param(lambda w: w.client.get("/v2"), 404, "no-such-route", id="no such route"),
        pytest.param(
            lambda w: w.client.call("PUT", "/v1/jobs"), 405, "method-not-allowed", id="no method"
        ),
        pytest.param(
            lambda w: w.client.post("/v1/tenants", w.admin, {"id": "haiyun", "name": "x"}),
            409, "conflict", id="another state",
        ),
        pytest.param(
            lambda w: w.client.call(
                "POST", "/v1/jobs", w.other, content=b"x" * (JSON_BYTES_MAX + 1)
            ),
            413, "body-too-large", id="too large",
        ),
        pytest.param(
            lambda w: w.client.post("/v1/jobs", w.other, {"entrypoint": "x", "y": 1}),
            422, "bad-input", id="an unknown field",
        ),
        pytest.param(
            lambda w: w.client.call(
                "POST", "/v1/jobs", w.other, content=b"{", headers=JSON_TYPE
            ),
            422, "bad-input", id="not JSON",
        ),
        pytest.param(
            lambda w: w.client.call("POST", "/v1/jobs", w.other, content=b"entrypoint=x"),
            422, "bad-input", id="not said to be JSON",
        ),
        pytest.param(
            lambda w: w.client.get("/v1/jobs", w.other, params={"limit": -1}),
            422, "bad-input", id="a number out of bounds",
        ),
        pytest.param(
            lambda w: w.client.post("/v1/jobs", w.other, {"entrypoint": "x\x00"}),
            422, "bad-input", id="a NUL character",
        ),
        pytest.param(
            lambda w: w.client.call(
                "POST", "/v1/jobs", w.other,
                content=b'{"entrypoint": "x", "runtime_env": {"a": "\\ud800"}}',
                headers=JSON_TYPE,
            ),
            422, "bad-input", id="half a character",
        ),
    ],
)  # fmt: skip
def test_each_error_is_a_problem(
    small_world: World, provoke: Provoke, status: int, code: str
) -> None:
    problem(provoke(small_world), status, code)


@pytest.mark.parametrize(
    "kind",
    [
        BadInput, NotFound, Conflict, InvalidTransition, Unauthorised, Forbidden, Refused,
        Unavailable, SuanwangError,
    ],
)  # fmt: skip
def test_every_domain_error_keeps_its_status_and_facts(
    client: ApiClient, monkeypatch: pytest.MonkeyPatch, kind: type[SuanwangError]
) -> None:
    def fail(_connection: object) -> None:
        raise kind("no: swk_0123456789abcdef", next_step="do this", have=1, want={"a": 2})

    monkeypatch.setattr(store, "ping", fail)
    body = problem(client.get("/readyz"), kind.status, kind.code)
    assert body["facts"] == {"have": 1, "want": {"a": 2}}
    assert (body["detail"], body["next_step"]) == ("no: [secret]", "do this")


def test_a_bug_says_nothing_of_its_inside(
    client: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_connection: object) -> None:
        raise ZeroDivisionError("the secret of the inside")

    monkeypatch.setattr(store, "ping", fail)
    answer = client.get("/readyz")
    problem(answer, 500, "internal")
    assert "inside" not in answer.text


def test_a_database_that_is_away_is_503(client: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert OperationalError in DATABASE_AWAY

    def fail(_connection: object) -> None:
        raise OperationalError("SELECT 1", {}, ConnectionRefusedError())

    monkeypatch.setattr(store, "ping", fail)
    problem(client.get("/readyz"), 503, "unavailable")
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/jobs/", 401),
        ("GET", "/api/nothing", 404),
        ("PUT", "/api/jobs/", 405),
        ("GET", "/api/jobs", 404),
    ],
)
def test_rays_paths_answer_in_plain_text(
    client: ApiClient, method: str, path: str, status: int
) -> None:
    answer = client.call(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/plain")
    assert "{" not in answer.text


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"entrypoint": "x", "submission_id": "a/b"}, "submission_id"),
        ({"entrypoint": "x", "submission_id": "a" * 129}, "submission_id"),
        ({"entrypoint": "x", "entrypoint_label_selector": {"a": "b"}}, "label_selector"),
        ({"entrypoint": "x", "metadata": {"units": "many"}}, "units"),
        ({"entrypoint": "x", "metadata": {"a": 1}}, "metadata"),
        ({"entrypoint": ""}, "entrypoint"),
        ({"entrypoint": "x", "runtime_env": {"working_dir": "gcs://none.zip"}}, "none.zip"),
    ],
)
def test_ray_is_told_clearly_what_is_wrong_with_a_submit(
    small_world: World, body: Json, words: str
) -> None:
    answer = small_world.client.post("/api/jobs/", small_world.enterprise, body)
    assert answer.status_code == 422
    assert words in answer.text


def test_a_package_has_a_plain_name_and_rays_protocol(small_world: World) -> None:
    for path in ("/api/packages/gcs/%2e%2e%2fetc", "/api/packages/s3/x.zip"):
        answer = small_world.client.call("PUT", path, small_world.enterprise, content=b"x")
        assert answer.status_code in (404, 422), path


def test_a_body_without_a_length_is_counted_too(small_world: World) -> None:
    from collections.abc import AsyncIterator

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1_000_000

    answer = small_world.client.call(
        "POST",
        "/v1/jobs",
        small_world.enterprise,
        content=endless(),  # type: ignore[arg-type] # httpx takes a stream
    )
    problem(answer, 413, "body-too-large")


def test_the_description_of_the_api_is_whole(client: ApiClient) -> None:
    described = client.get("/openapi.json").json()
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            assert operation["description"], (method, path)
            assert "HTTPValidationError" not in str(operation), (method, path)
    assert client.get("/docs").status_code == 404


def test_a_site_with_a_wrong_number_names_the_field(small_world: World) -> None:
    body = site_body() | {"it_design_w": -1}
    answer = small_world.client.post("/v1/sites", small_world.operator, body)
    assert problem(answer, 422, "bad-input")["detail"].startswith("body.it_design_w:")


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/api/packages/gcs/x.zip", 100 * 2**20),
        ("/agent/v1/telemetry", 32 * 2**20),
        ("/api/jobs/", 4 * 2**20),
        ("/v1/sites", 4 * 2**20),
    ],
)
def test_each_family_of_routes_has_its_limit(path: str, limit: int) -> None:
    assert body_limit(path) == limit


def test_a_package_over_rays_limit_is_refused_before_it_is_read(small_world: World) -> None:
    answer = small_world.client.call(
        "PUT",
        "/api/packages/gcs/x.zip",
        small_world.enterprise,
        content=b"x",
        headers={"Content-Length": str(100 * 2**20 + 1)},
    )
    assert answer.status_code == 413
    assert "104,857,600" in answer.text
