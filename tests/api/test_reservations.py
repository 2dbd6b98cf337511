"""Reservations over HTTP: made by those who manage the pool, seen by their holders."""

from api_client import Json, World

from suanwang.model.tenant import Role

BODY: dict[str, Json] = {
    "pool_id": "east-cpu",
    "units": 2,
    "from_at": "2027-01-01T00:00:00Z",
    "until_at": "2027-01-02T00:00:00Z",
    "tenants": ["haiyun"],
    "reason": "a course",
}


def test_an_operator_reserves_once_and_its_holder_sees_it(small_world: World) -> None:
    small_world.register()
    body = BODY | {"pool_id": _pool(small_world)}
    first = small_world.client.call("PUT", "/v1/reservations/r", small_world.operator, json=body)
    assert first.status_code == 200, first.text
    again = small_world.client.call("PUT", "/v1/reservations/r", small_world.operator, json=body)
    assert again.json() == first.json()
    seen = small_world.client.get("/v1/reservations", small_world.enterprise).json()["items"]
    assert [one["id"] for one in seen] == ["r"]
    other = body | {"units": 1}
    clash = small_world.client.call("PUT", "/v1/reservations/r", small_world.operator, json=other)
    assert clash.status_code == 409


def test_a_pool_of_somebody_else_is_not_there(small_world: World) -> None:
    small_world.register()
    stranger = small_world.key("dc-west", Role.OPERATOR)
    body = BODY | {"pool_id": _pool(small_world)}
    answer = small_world.client.call("PUT", "/v1/reservations/r", stranger, json=body)
    assert answer.status_code == 404
    assert small_world.client.get("/v1/reservations", stranger).json() == {"items": []}


def test_an_ended_one_stays_on_record(small_world: World) -> None:
    small_world.register()
    body = BODY | {"pool_id": _pool(small_world)}
    small_world.client.call("PUT", "/v1/reservations/r", small_world.operator, json=body)
    ended = small_world.client.post("/v1/reservations/r/end", small_world.operator).json()
    assert ended["ended_by"] == ended["actor"]
    kept = small_world.client.get("/v1/reservations", small_world.operator, params={"past": True})
    assert [one["id"] for one in kept.json()["items"]] == ["r"]


def _pool(world: World) -> str:
    pools = world.client.get("/v1/sites/east", world.operator).json()["pools"]
    return str(pools[0]["id"])
