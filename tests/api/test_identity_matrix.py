"""Who may call what: a row for each route; a route without a row fails."""

import re
from typing import Final

import pytest
from api_client import World, site_body
from api_routes import SOCKET, routes

from suanwang.model.tenant import Role

PEOPLE: Final = frozenset({"enterprise", "researcher", "operator", "admin"})
TENANTS: Final = frozenset({"enterprise", "researcher", "admin"})
KEYS: Final = frozenset({"enterprise", "admin"})
OPERATORS: Final = frozenset({"operator", "admin"})
ADMIN: Final = frozenset({"admin"})
AGENT: Final = frozenset({"agent"})
REVIEWERS: Final = frozenset({"reviewer-district", "reviewer-city", "admin"})
GRANT_READERS: Final = REVIEWERS | {"enterprise"}
GRANT_FILERS: Final = frozenset({"enterprise", "admin"})
GRANT_PAYERS: Final = frozenset({"reviewer-city", "admin"})
EVERY_KEY: Final = PEOPLE | REVIEWERS | AGENT
PUBLIC: Final = EVERY_KEY | {"none"}

MATRIX: Final[dict[tuple[str, str], frozenset[str]]] = {
    ("GET", "/v1/whoami"): EVERY_KEY,
    ("POST", "/v1/tenants"): ADMIN,
    ("GET", "/v1/tenants"): ADMIN,
    ("POST", "/v1/tenants/{tenant_id}/keys"): KEYS,
    ("GET", "/v1/tenants/{tenant_id}/keys"): KEYS,
    ("DELETE", "/v1/tenants/{tenant_id}/keys/{key_id}"): KEYS,
    ("GET", "/v1/sites"): PEOPLE,
    ("POST", "/v1/sites"): OPERATORS,
    ("GET", "/v1/sites/{site_id}"): PEOPLE,
    ("POST", "/v1/sites/{site_id}/token"): OPERATORS,
    ("POST", "/v1/sites/{site_id}/open"): OPERATORS,
    ("POST", "/v1/sites/{site_id}/close"): OPERATORS,
    ("POST", "/v1/sites/{site_id}/declare-dead"): OPERATORS,
    ("GET", "/v1/sites/{site_id}/pue"): PEOPLE,
    ("GET", "/v1/pue"): PEOPLE,
    ("GET", "/v1/sites/{site_id}/pue/hours"): PEOPLE,
    ("GET", "/v1/sites/{site_id}/pue/explain"): PEOPLE,
    ("GET", "/v1/sites/{site_id}/pue/check"): OPERATORS,
    ("GET", "/v1/sites/{site_id}/bill"): OPERATORS,
    ("GET", "/v1/sites/{site_id}/energy-plan"): OPERATORS,
    ("GET", "/v1/sites/{site_id}/facility-model"): PEOPLE,
    ("POST", "/v1/sites/{site_id}/facility-model"): OPERATORS,
    ("POST", "/v1/sites/{site_id}/bill"): OPERATORS,
    ("GET", "/v1/sites/{site_id}/bill/table"): OPERATORS,
    ("GET", "/v1/sites/{site_id}/meters"): OPERATORS,
    ("GET", "/v1/sites/{site_id}/meters/tree"): OPERATORS,
    ("POST", "/v1/sites/{site_id}/meters/{meter_id}/episodes"): OPERATORS,
    ("GET", "/v1/sites/{site_id}/sources"): OPERATORS,
    ("GET", "/v1/sites/{site_id}/inventory"): OPERATORS,
    ("POST", "/v1/sites/{site_id}/inventory/import"): OPERATORS,
    ("GET", "/v1/sites/{site_id}/inventory/export"): OPERATORS,
    ("GET", "/v1/sites/{site_id}/inventory/history"): OPERATORS,
    ("GET", "/v1/sites/{site_id}/inventory/history/{revision}"): OPERATORS,
    ("GET", "/v1/sites/{site_id}/inventory/{kind}"): OPERATORS,
    ("GET", "/v1/sites/{site_id}/inventory/{kind}/{thing_id}"): OPERATORS,
    ("GET", "/v1/sites/{site_id}/inventory/{kind}/{thing_id}/history"): OPERATORS,
    ("PUT", "/v1/sites/{site_id}/inventory/{kind}/{thing_id}"): OPERATORS,
    ("DELETE", "/v1/sites/{site_id}/inventory/{kind}/{thing_id}"): OPERATORS,
    ("GET", "/v1/sites/{site_id}/series"): OPERATORS,
    ("GET", "/v1/sites/{site_id}/samples"): OPERATORS,
    ("GET", "/v1/sites/{site_id}/kpis"): PEOPLE,
    ("GET", "/v1/sites/{site_id}/kpis/days"): PEOPLE,
    ("GET", "/v1/sites/{site_id}/kpis/forecast"): PEOPLE,
    ("GET", "/v1/sites/{site_id}/kpis/pue-change"): PEOPLE,
    ("GET", "/v1/kpis"): PEOPLE,
    ("GET", "/v1/alerts"): OPERATORS,
    ("GET", "/v1/alerts/{alert_id}"): OPERATORS,
    ("POST", "/v1/alerts/{alert_id}/ack"): OPERATORS,
    ("GET", "/v1/alert-rules"): OPERATORS,
    ("GET", "/v1/alert-channels"): ADMIN,
    ("POST", "/v1/alert-channels/{name}/test"): ADMIN,
    ("GET", "/v1/alert-messages"): ADMIN,
    ("POST", "/v1/alert-messages/{message_id}/retry"): ADMIN,
    ("GET", "/v1/silences"): OPERATORS,
    ("POST", "/v1/silences"): OPERATORS,
    ("POST", "/v1/silences/{silence_id}/end"): OPERATORS,
    ("POST", "/v1/energy-certificates"): OPERATORS,
    ("GET", "/v1/energy-certificates"): OPERATORS,
    ("POST", "/v1/sites/{site_id}/energy-certificates"): OPERATORS,
    ("POST", "/v1/job-batches"): TENANTS,
    ("GET", "/v1/job-batches/{batch_id}"): TENANTS,
    ("POST", "/v1/job-batches/{batch_id}/stop"): TENANTS,
    ("POST", "/v1/jobs"): TENANTS,
    ("GET", "/v1/jobs"): TENANTS,
    ("GET", "/v1/jobs/{submission_id}"): TENANTS,
    ("DELETE", "/v1/jobs/{submission_id}"): TENANTS,
    ("GET", "/v1/jobs/{submission_id}/explain"): TENANTS,
    ("GET", "/v1/jobs/{submission_id}/conflict"): TENANTS,
    ("GET", "/v1/jobs/{submission_id}/changes"): TENANTS,
    ("GET", "/v1/jobs/{submission_id}/events"): TENANTS,
    ("GET", "/v1/jobs/{submission_id}/logs"): TENANTS,
    ("POST", "/v1/jobs/{submission_id}/stop"): TENANTS,
    ("POST", "/v1/jobs/{submission_id}/extensions"): TENANTS,
    ("POST", "/v1/quotes"): TENANTS,
    ("GET", "/v1/prices"): TENANTS,
    ("GET", "/v1/vouchers"): TENANTS,
    ("POST", "/v1/vouchers"): ADMIN,
    ("POST", "/v1/cash"): ADMIN,
    ("GET", "/v1/planner/runs"): ADMIN,
    ("GET", "/v1/planner/problem"): ADMIN,
    ("GET", "/v1/ledger/check"): ADMIN,
    ("GET", "/v1/ledger/writer"): ADMIN,
    ("GET", "/v1/ledger/entries"): TENANTS,
    ("GET", "/v1/ledger/export"): ADMIN,
    ("POST", "/v1/ledger/refunds"): ADMIN,
    ("POST", "/v1/ledger/repayments"): ADMIN,
    ("GET", "/v1/ledger/debts"): TENANTS,
    ("POST", "/v1/ledger/appropriations"): ADMIN,
    ("GET", "/v1/ledger/pools"): ADMIN,
    ("POST", "/v1/ledger/payments"): ADMIN,
    ("GET", "/v1/ledger/payables"): ADMIN,
    ("POST", "/v1/ledger/periods"): ADMIN,
    ("GET", "/v1/ledger/periods"): ADMIN,
    ("GET", "/v1/reports/statement"): TENANTS,
    ("GET", "/v1/reports/settlement"): OPERATORS,
    ("GET", "/v1/reports/programme"): ADMIN,
    ("POST", "/v1/reports/evidence"): TENANTS,
    ("GET", "/v1/reports/evidence"): TENANTS,
    ("GET", "/v1/reports/signing-key"): EVERY_KEY,
    ("POST", "/v1/registry"): GRANT_PAYERS,
    ("GET", "/v1/registry"): REVIEWERS,
    ("GET", "/v1/registry/history"): REVIEWERS,
    ("GET", "/v1/registry/path"): REVIEWERS,
    ("POST", "/v1/registry/import"): GRANT_PAYERS,
    ("GET", "/v1/programmes"): GRANT_READERS,
    ("GET", "/v1/programmes/verify"): GRANT_PAYERS,
    ("GET", "/v1/reservations"): PEOPLE,
    ("PUT", "/v1/reservations/{reservation_id}"): OPERATORS,
    ("POST", "/v1/reservations/{reservation_id}/end"): OPERATORS,
    ("GET", "/v1/reviews/export"): REVIEWERS,
    ("POST", "/v1/reviews/import"): REVIEWERS,
    ("GET", "/v1/evidence/export"): GRANT_READERS,
    ("GET", "/v1/programmes/{programme_id}/applicants"): GRANT_PAYERS,
    ("POST", "/v1/programmes"): ADMIN,
    ("GET", "/v1/programmes/{programme_id}/template"): GRANT_READERS,
    ("POST", "/v1/programmes/{programme_id}/decide"): GRANT_PAYERS,
    ("POST", "/v1/applications"): GRANT_FILERS,
    ("GET", "/v1/applications"): GRANT_READERS,
    ("POST", "/v1/applications/import"): GRANT_FILERS,
    ("GET", "/v1/applications/export"): GRANT_READERS,
    ("GET", "/v1/applications/{application_id}"): GRANT_READERS,
    ("PUT", "/v1/applications/{application_id}"): GRANT_FILERS,
    ("POST", "/v1/applications/{application_id}/evidence"): GRANT_READERS,
    ("GET", "/v1/applications/{application_id}/evidence/{seq}"): GRANT_READERS,
    ("GET", "/v1/applications/{application_id}/check"): GRANT_READERS,
    ("POST", "/v1/applications/{application_id}/submit"): GRANT_FILERS,
    ("POST", "/v1/applications/{application_id}/withdraw"): GRANT_FILERS,
    ("POST", "/v1/applications/{application_id}/review"): REVIEWERS,
    ("POST", "/v1/applications/{application_id}/issue"): GRANT_PAYERS,
    ("POST", "/v1/applications/{application_id}/redeem"): GRANT_FILERS,
    ("POST", "/v1/applications/{application_id}/settle"): GRANT_PAYERS,
    ("POST", "/v1/applications/{application_id}/close"): GRANT_PAYERS,
    ("POST", "/v1/applications/{application_id}/clawback"): REVIEWERS,
    ("POST", "/v1/applications/{application_id}/clawback/decide"): GRANT_PAYERS,
    ("GET", "/v1/applications/{application_id}/events"): GRANT_READERS,
    ("GET", "/v1/messages"): GRANT_READERS,
    ("POST", "/v1/messages/read"): GRANT_FILERS,
    ("GET", "/api/version"): PUBLIC,
    ("GET", "/api/packages/{protocol}/{name}"): TENANTS,
    ("PUT", "/api/packages/{protocol}/{name}"): TENANTS,
    ("POST", "/api/jobs/"): TENANTS,
    ("GET", "/api/jobs/"): TENANTS,
    ("GET", "/api/jobs/{submission_id}"): TENANTS,
    ("DELETE", "/api/jobs/{submission_id}"): TENANTS,
    ("POST", "/api/jobs/{submission_id}/stop"): TENANTS,
    ("GET", "/api/jobs/{submission_id}/logs"): TENANTS,
    (SOCKET, "/api/jobs/{submission_id}/logs/tail"): TENANTS,
    ("GET", "/status"): PUBLIC,
    ("GET", "/status/jobs"): TENANTS,
    ("GET", "/healthz"): PUBLIC,
    ("GET", "/readyz"): PUBLIC,
    ("GET", "/metrics"): ADMIN | {"none"},
    ("POST", "/agent/v1/hello"): AGENT,
    ("POST", "/agent/v1/telemetry"): AGENT,
    ("GET", "/agent/v1/orders"): AGENT,
    ("POST", "/agent/v1/orders/ack"): AGENT,
    ("POST", "/agent/v1/reports"): AGENT,
    ("POST", "/agent/v1/logs"): AGENT,
    ("GET", "/agent/v1/packages/{sha256}"): AGENT,
}
ALWAYS_401: Final = frozenset({("GET", "/status/jobs")})
"""A browser asks for another key after 401 only, so this page never answers 403."""


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    assert sorted(MATRIX) == sorted(routes())


def test_each_identity_reaches_its_routes_and_no_other(small_world: World) -> None:
    small_world.register()
    keys = {
        "none": "",
        "enterprise": small_world.enterprise,
        "researcher": small_world.researcher,
        "operator": small_world.operator,
        "reviewer-district": small_world.key("dc-west", Role.REVIEWER_DISTRICT),
        "reviewer-city": small_world.key("platform", Role.REVIEWER_CITY),
        "admin": small_world.admin,
        "agent": small_world.token(),
    }
    wrong = []
    for (method, path), allowed in MATRIX.items():
        if method == SOCKET:
            continue
        address = re.sub(r"\{[a-z0-9_]+\}", "absent", path)
        for name, key in keys.items():
            body: dict[str, str] | None = {} if method in ("POST", "PUT") else None
            status = small_world.client.call(method, address, key, json=body).status_code
            refusal = 401 if name == "none" or (method, path) in ALWAYS_401 else 403
            is_right = status not in (401, 403) if name in allowed else status == refusal
            if not is_right or status >= 500:
                wrong.append((method, path, name, status))
    assert wrong == []


@pytest.mark.parametrize("key", ["swk_unknown", "x", "swk_" + "é" * 5])
def test_an_unknown_key_is_refused(small_world: World, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}".encode()}
    answer = small_world.client.get("/v1/whoami", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_revoked_key_is_refused_at_once(small_world: World) -> None:
    client = small_world.client
    made = client.post("/v1/tenants/haiyun/keys", small_world.enterprise, {"role": "researcher"})
    secret, key_id = made.json()["secret"], made.json()["id"]
    assert client.get("/v1/whoami", secret).status_code == 200
    path = f"/v1/tenants/haiyun/keys/{key_id}"
    for _ in range(2):
        assert client.call("DELETE", path, small_world.enterprise).status_code == 204
    assert client.get("/v1/whoami", secret).status_code == 401
    listed = client.get("/v1/tenants/haiyun/keys", small_world.enterprise).json()["items"]
    assert [key["revoked_at"] is not None for key in listed if key["id"] == key_id] == [True]
    assert secret not in str(listed)


@pytest.mark.parametrize("role", ["operator", "reviewer-district", "reviewer-city", "admin"])
def test_an_enterprise_cannot_grant_more_than_it_has(small_world: World, role: str) -> None:
    answer = small_world.client.post(
        "/v1/tenants/haiyun/keys", small_world.enterprise, {"role": role}
    )
    assert answer.status_code == 403


def test_nobody_gives_out_agent_keys_for_a_tenant(small_world: World) -> None:
    answer = small_world.client.post(
        "/v1/tenants/haiyun/keys", small_world.admin, {"role": "agent"}
    )
    assert answer.status_code == 422


def test_a_new_site_token_ends_the_old_one(small_world: World) -> None:
    small_world.register()
    first = small_world.token()
    second = small_world.token()
    assert small_world.client.get("/agent/v1/orders", first).status_code == 401
    assert small_world.client.get("/agent/v1/orders", second).status_code == 200


def test_a_foreign_job_does_not_exist(world: World) -> None:
    world.register()
    world.hello(world.token())
    world.fund()
    name = world.submit(submission_id="mine").json()["submission_id"]
    for method, path in [row for row in MATRIX if "{submission_id}" in row[1]]:
        if method == SOCKET:
            continue
        address = path.replace("{submission_id}", name)
        body = {"by_s": 60, "key": "k"} if path.endswith("/extensions") else None
        answer = world.client.call(method, address, world.other, json=body)
        assert answer.status_code == 404, address
        shown = world.client.call(method, address, world.researcher).status_code
        assert shown != 404 or method == "DELETE", address
        if method == "DELETE":
            assert world.submit(submission_id=name).status_code == 201
    assert world.client.get("/v1/jobs", world.other).json()["items"] == []
    assert world.client.get("/api/jobs/", world.other).json() == []


def test_a_foreign_tenant_does_not_exist(small_world: World) -> None:
    client = small_world.client
    assert client.get("/v1/tenants/haiyun/keys", small_world.other).status_code == 404
    body = {"role": "researcher"}
    assert client.post("/v1/tenants/haiyun/keys", small_world.other, body).status_code == 404
    assert small_world.client.get("/v1/vouchers", small_world.other).json()["cash_fen"] == {
        "lanxin": 0
    }


def test_an_operator_manages_its_own_sites_only(world: World) -> None:
    world.register("east", "dc-east")
    client = world.client
    for path in ("token", "open", "close"):
        assert client.post(f"/v1/sites/east/{path}", world.other_operator).status_code == 404
        assert client.post(f"/v1/sites/east/{path}", world.operator).status_code in (200, 201)
    assert client.get("/v1/sites/east/sources", world.other_operator).status_code == 404
    assert client.get("/v1/sites/east/sources", world.operator).status_code == 200


def test_an_operator_takes_over_neither_a_site_nor_a_pool_nor_a_meter(world: World) -> None:
    world.register("east", "dc-east")
    stolen_site = site_body("east", "dc-west")
    assert world.client.post("/v1/sites", world.other_operator, stolen_site).status_code == 409
    stolen_pool = site_body("west", "dc-west") | {"pools": site_body("east")["pools"]}
    assert world.client.post("/v1/sites", world.other_operator, stolen_pool).status_code == 409
    stolen_meter = site_body("west", "dc-west") | {"meters": site_body("east")["meters"]}
    assert world.client.post("/v1/sites", world.other_operator, stolen_meter).status_code == 409
    foreign_name = site_body("west", "dc-east")
    assert world.client.post("/v1/sites", world.other_operator, foreign_name).status_code == 422


def test_an_agent_cannot_touch_another_site(world: World) -> None:
    world.register("east")
    world.register("west", "dc-west")
    token = world.token("west")
    body = {"attempt_id": "job_x-a1", "offset": 0, "text": "x"}
    assert world.client.post("/agent/v1/logs", token, body).status_code == 404
    whole = world.client.get("/v1/whoami", token).json()
    assert (whole["role"], whole["site_id"]) == (Role.AGENT.value, "west")
