"""The inventory over HTTP."""

import io
from typing import Any

from api_client import World
from inventory_builders import HALL, a_workbook, hall
from openpyxl import load_workbook

from suanwang.clock import VirtualClock

BASE = "/v1/sites/east/inventory"


def send(world: World, content: bytes, key: str = "", **asked: Any) -> Any:
    answer = world.client.call(
        "POST", f"{BASE}/import", key or world.operator, content=content,
        params={"reason": "survey", **asked},
    )  # fmt: skip
    return answer


def test_a_workbook_goes_in_and_comes_out_the_same(world: World) -> None:
    world.register()
    trial = send(world, hall(), dry_run=True)
    assert trial.status_code == 200, trial.text
    assert (trial.json()["is_written"], trial.json()["added"]) == (False, 14)
    done = send(world, hall()).json()
    assert (done["is_written"], done["added"], done["fault_count"]) == (True, 14, 0)
    # The two meters of the registration are not in the file, and stay.
    assert [one["id"] for one in done["absent"]] == ["east-facility", "east-it"]
    out = world.client.get(f"{BASE}/export", world.operator)
    assert out.headers["content-disposition"] == 'attachment; filename="east-inventory.xlsx"'
    assert load_workbook(io.BytesIO(out.content))["racks"]["A2"].value == "k1"
    again = send(world, out.content).json()
    assert (again["unchanged"], again["changes"], again["absent"]) == (16, [], [])
    csv = world.client.get(f"{BASE}/export?format=csv&kind=racks", world.operator).content
    assert send(world, csv, kind="racks").json()["unchanged"] == 3
    assert world.client.get(f"{BASE}/export?format=csv", world.operator).status_code == 422


def test_the_site_is_counted_and_unchanged_is_304(small_world: World) -> None:
    world = small_world
    world.register()
    send(world, hall())
    answer = world.client.get(BASE, world.operator)
    found = answer.json()
    assert found["counts"]["racks"] == 3
    assert found["racks"] == {"in_use": 1, "delivered": 1, "planned": 1}
    assert (found["racks_rated_w"], found["standard_racks"]) == (20_000, 8.0)
    same = {"If-None-Match": answer.headers["ETag"]}
    assert world.client.get(BASE, world.operator, headers=same).status_code == 304
    page = world.client.get(f"{BASE}/racks?limit=2", world.operator)
    assert [one["id"] for one in page.json()["items"]] == ["k1", "k2"]
    rest = world.client.get(f"{BASE}/racks?limit=2&after={page.json()['next']}", world.operator)
    assert ([one["id"] for one in rest.json()["items"]], rest.json()["next"]) == (["k3"], None)
    same = {"If-None-Match": page.headers["ETag"]}
    assert world.client.get(f"{BASE}/racks", world.operator, headers=same).status_code == 304


def test_an_edit_is_done_to_the_revision_that_was_seen(world: World) -> None:
    world.register()
    send(world, hall())
    path = f"{BASE}/racks/k2"
    seen = world.client.get(path, world.operator)
    tag = {"If-Match": seen.headers["ETag"]}
    body = {"values": {"delivery": "in_use", "contracted_w": 9_000}, "reason": "handed over"}
    first = world.client.call("PUT", path, world.operator, json=body, headers=tag)
    assert first.status_code == 200, first.text
    assert first.json()["changes"][0]["differences"] == [
        {"field": "contracted_w", "before": None, "after": 9_000},
        {"field": "delivery", "before": "delivered", "after": "in_use"},
    ]
    late = world.client.call("PUT", path, world.operator, json=body, headers=tag)
    assert (late.status_code, late.json()["code"]) == (412, "stale")
    odd = world.client.call("PUT", path, world.operator, json=body, headers={"If-Match": "x"})
    assert odd.status_code == 422
    bad = {"values": {"delivery": "gone", "rated_w": True}, "reason": "x"}
    refused = world.client.call("PUT", path, world.operator, json=bad)
    assert refused.status_code == 422
    assert [one["field"] for one in refused.json()["facts"]["faults"]] == ["rated_w", "delivery"]
    used = world.client.call("DELETE", f"{BASE}/racks/k1?reason=x", world.operator)
    assert (used.status_code, "names it" in used.json()["detail"]) == (422, True)
    gone = world.client.call("DELETE", f"{BASE}/racks/k3?reason=scrapped", world.operator)
    assert gone.json()["removed"] == 1
    assert world.client.get(f"{BASE}/racks/k3", world.operator).status_code == 404
    life = world.client.get(f"{BASE}/racks/k3/history", world.operator).json()["items"]
    assert [one["reason"] for one in life] == ["scrapped", "survey"]


def test_a_moment_of_the_past_is_read_as_it_was(small_world: World, clock: VirtualClock) -> None:
    world = small_world
    world.register()
    send(world, hall())
    before = clock.now().isoformat()
    clock.advance(3_600)
    send(world, a_workbook(racks=[["id", "name"], ["k1", "B-01"]]))
    path = f"{BASE}/racks/k1"
    then = world.client.get(path, world.operator, params={"at": before}).json()
    assert (then["values"]["name"], then["revision"]) == ("A-01", 2)
    assert world.client.get(path, world.operator).json()["values"]["name"] == "B-01"
    listed = world.client.get(f"{BASE}/racks", world.operator, params={"at": before}).json()
    assert [one["name"] for one in listed["items"]] == ["A-01", "A-02", "A-03"]
    old = world.client.get(f"{BASE}/export", world.operator, params={"at": before})
    assert load_workbook(io.BytesIO(old.content))["racks"]["B2"].value == "A-01"
    items = world.client.get(f"{BASE}/history", world.operator).json()["items"]
    assert [(one["revision"], one["origin"], one["reason"]) for one in items] == [
        (3, "import", "survey"),
        (2, "import", "survey"),
        (1, "registration", "the site was registered"),
    ]
    paged = world.client.get(f"{BASE}/history?before=3&limit=1", world.operator).json()
    assert ([one["revision"] for one in paged["items"]], paged["next"]) == ([2], 2)
    changed = world.client.get(f"{BASE}/history/3", world.operator).json()["items"]
    assert changed[0]["change"]["differences"] == [
        {"field": "name", "before": "A-01", "after": "B-01"}
    ]
    assert world.client.get(f"{BASE}/history/9", world.operator).status_code == 404


def test_an_episode_of_a_meter_is_in_its_history(small_world: World) -> None:
    world = small_world
    world.register()
    body = {
        "from_at": world.clock.now().isoformat(), "initial_wh": 0, "rated_w": 50_000,
        "reason": "burnt",
    }  # fmt: skip
    path = "/v1/sites/east/meters/east-it/episodes"
    assert world.client.post(path, world.operator, body).status_code == 201
    life = world.client.get(f"{BASE}/meters/east-it/history", world.operator).json()["items"]
    assert (life[0]["reason"], life[0]["change"]["differences"]) == (
        "burnt",
        [{"field": "rated_w", "before": 100_000, "after": 50_000}],
    )


def test_bad_rows_are_named_with_sheet_line_and_column(small_world: World) -> None:
    world = small_world
    world.register()
    racks = [HALL["racks"][0], ["k1", "A", "x", "", "", "", "", ""], ["k2", "B", "1", *[""] * 5]]
    answer = send(world, a_workbook(racks=racks)).json()
    assert (answer["added"], answer["faults"]) == (
        1,
        [
            {
                "sheet": "racks", "line": 2, "column": "rated_w", "id": "k1", "code": "field",
                "reason": "'x' is no whole number",
            }
        ],
    )  # fmt: skip
    strict = send(world, a_workbook(racks=[*racks, ["k3", "C", "1", *[""] * 5]]), is_strict=True)
    assert (strict.json()["is_written"], strict.json()["revision"]) == (False, 2)


def test_nobody_elses_site_is_seen_or_changed(small_world: World) -> None:
    world = small_world
    world.register()
    assert send(world, hall(), world.other_operator).status_code == 404
    assert send(world, hall(), world.enterprise).status_code == 403
    for path in (BASE, f"{BASE}/racks", f"{BASE}/history", f"{BASE}/export"):
        assert world.client.get(path, world.other_operator).status_code == 404
    assert world.client.get(f"{BASE}/walls", world.operator).status_code == 422
    assert world.client.get(f"{BASE}/racks/a%20b", world.operator).status_code == 404


def test_the_tree_of_meters_is_told_for_a_month_at_most(small_world: World) -> None:
    world = small_world
    world.register()
    send(world, hall())
    answer = world.client.get("/v1/sites/east/meters/tree", world.operator)
    assert answer.status_code == 200, answer.text
    assert [(one["id"], one["depth"]) for one in answer.json()["items"]] == [
        ("east-facility", 0), ("east-it", 0), ("m-main", 0), ("m-r1", 1), ("m-k1", 2),
    ]  # fmt: skip
    long = world.client.get("/v1/sites/east/meters/tree?hours=900", world.operator)
    assert (long.status_code, "35 days" in long.json()["detail"]) == (422, True)
    assert world.client.get("/v1/sites/east/meters/tree", world.other_operator).status_code == 404


def test_racks_and_things_are_metrics(small_world: World) -> None:
    world = small_world
    world.register()
    send(world, hall())
    text = world.client.get("/metrics").text
    assert 'suanwang_racks{delivery="in_use",site="east"} 1.0' in text
    assert 'suanwang_racks_rated_watts{delivery="planned",site="east"} 10000.0' in text
    assert 'suanwang_inventory_things{kind="meters",site="east"} 5.0' in text
