"""Raw series over the API: listed by pages, read whole or in steps, and only by their operator."""

from api_client import World
from series_builders import told


def test_series_are_listed_by_pages_and_read_in_steps(world: World) -> None:
    told(world)
    path = "/v1/sites/east/series"
    first = world.client.get(f"{path}?limit=1", world.operator).json()
    rest = world.client.get(f"{path}?after={first['next']}", world.operator).json()
    assert {one["metric"] for one in (*first["items"], *rest["items"])} == {
        "power_w",
        "temperature_c",
    }
    assert rest["next"] is None
    assert world.client.get(f"{path}?subject=gpu:2", world.operator).json()["items"] == []
    number = first["items"][0]["id"]
    samples = f"/v1/sites/east/samples?series={number}"
    every = world.client.get(samples, world.operator).json()["items"]
    assert [point["last"] for point in every] == [float(n) for n in reversed(range(180))]
    hours = world.client.get(f"{samples}&step_s=3600", world.operator).json()["items"]
    assert sum(point["samples"] for point in hours) == 180
    whole = [point for point in hours if point["samples"] == 60]
    for point in whole:
        assert point["mean"] == (point["min"] + point["max"]) / 2
        assert (point["last"], point["max"]) == (point["min"], point["min"] + 59)
    assert len(whole) == 2


def test_a_series_of_another_site_or_an_empty_period_is_refused(world: World) -> None:
    told(world)
    path = "/v1/sites/east/samples"
    assert world.client.get(f"{path}?series=999", world.operator).status_code == 404
    turned = f"{path}?series=1&start=2026-01-02T00:00:00Z&end=2026-01-01T00:00:00Z"
    assert world.client.get(turned, world.operator).status_code == 422
    assert world.client.get("/v1/sites/west/series", world.operator).status_code == 404
