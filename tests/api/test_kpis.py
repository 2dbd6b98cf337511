"""Figures, targets and certificates over HTTP and on the command line."""

from api_client import World, site_body

DAY = {"from_at": "2026-10-01T00:00:00+08:00", "until_at": "2026-11-01T00:00:00+08:00"}
MADE = {"made_from": "2026-01-01T00:00:00+08:00", "made_until": "2026-02-01T00:00:00+08:00"}


def test_a_site_tells_every_figure_and_why_it_has_none(small_world: World) -> None:
    world = small_world
    world.register()
    answer = world.client.get("/v1/sites/east/kpis", world.admin)
    assert answer.status_code == 200, answer.text
    items = {item["kpi"]: item for item in answer.json()["items"]}
    assert items["standard_racks"]["value"] > 0
    assert items["wue"]["value"] is None
    assert "water" in items["wue"]["withheld"]
    assert items["cue_market"]["formula"] == "cue-market-1"
    assert all(item["words"] for item in items.values())
    days = world.client.get("/v1/sites/east/kpis/days?kpi=wue", world.admin).json()
    assert (days["unit"], days["items"]) == ("L/kWh", [])
    assert world.client.get("/v1/sites/east/kpis/days?kpi=pue", world.admin).status_code == 422
    assert world.client.get("/v1/sites/nowhere/kpis", world.admin).status_code == 404
    forecast = world.client.get("/v1/sites/east/kpis/forecast", world.admin).json()
    assert forecast["value"] is None
    assert forecast["withheld"]


def test_the_network_stands_against_its_targets(small_world: World) -> None:
    world = small_world
    world.register()
    answer = world.client.get("/v1/kpis", world.admin)
    assert answer.status_code == 200, answer.text
    targets = {one["id"]: one for one in answer.json()["targets"]}
    racks = targets["racks-qingdao"]
    assert racks["gap"] == 65_000 - racks["value"]
    assert racks["is_met"] is False
    assert targets["pue-limit-east"]["is_met"] is None
    assert targets["pue-limit-east"]["why"]
    assert targets["intelligent-qingdao"]["source"]


def test_the_class_of_a_site_chooses_its_limit_and_stands_among_its_targets(world: World) -> None:
    """New 1.3, after a retrofit 1.4; its own limit goes before, and without both there is none."""
    new = world.register("east", site_class="new", pue_limit=None)
    retrofit = world.register("west", "dc-west", site_class="retrofit", pue_limit=None)
    own = world.register("north", "dc-north", site_class="hub_new", pue_limit=1.22)
    assert [one["pue_limit"] for one in (new, retrofit, own)] == [1.3, 1.4, 1.22]
    assert own["site_class"] == "hub_new"
    neither = site_body("south", "dc-south") | {"pue_limit": None}
    refused = world.client.post("/v1/sites", world.admin, neither)
    assert refused.status_code == 422
    assert "site_class" in refused.text
    targets = world.client.get("/v1/kpis", world.admin).json()["targets"]
    asked = {(one["site_id"], one["id"]): one["at_most"] for one in targets if one["site_id"]}
    assert asked == {
        ("east", "pue-limit-east"): 1.3,
        ("east", "pue-new"): 1.3,
        ("west", "pue-limit-west"): 1.4,
        ("west", "pue-retrofit"): 1.4,
        ("north", "pue-limit-north"): 1.22,
        ("north", "pue-hub-new-large"): 1.25,
        ("north", "pue-national-new-large"): 1.3,
        ("north", "pue-new"): 1.3,
        ("north", "ref-hub-new"): None,
    }
    # What was a class once, may be none later.
    assert world.register("east", pue_limit=1.5)["site_class"] is None


def test_certificates_are_registered_cancelled_and_never_used_twice(small_world: World) -> None:
    world = small_world
    world.register()
    ids = ["GEC-1", "GEC-2"]
    body = {"ids": ids, "origin": "CN-QH", "owner": "dc-east", **MADE}
    first = world.client.post("/v1/energy-certificates", world.admin, json=body)
    assert (first.status_code, first.json()["new"]) == (201, 2)
    use = {"ids": ids, "reason": "October", **DAY}
    path = "/v1/sites/east/energy-certificates"
    assert world.client.post(path, world.admin, json=use).json()["new"] == 2
    assert world.client.post(path, world.admin, json=use).json()["known"] == 2
    other = {**use, "until_at": "2026-12-01T00:00:00+08:00"}
    refused = world.client.post(path, world.admin, json=other)
    assert refused.status_code == 409
    assert "counts once" in refused.json()["detail"]
    listed = world.client.get("/v1/energy-certificates", world.admin).json()["items"]
    assert [(one["id"], one["site_id"]) for one in listed] == [("GEC-1", "east"), ("GEC-2", "east")]
    nobody = world.client.post(
        "/v1/energy-certificates", world.admin, json={**body, "owner": "", "ids": ["GEC-3"]}
    )
    assert nobody.status_code == 422
