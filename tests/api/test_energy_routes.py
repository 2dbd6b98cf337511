"""PUE over periods, what stands behind it, the check of the record, and meters' episodes."""

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from api_client import World

from api.schemas.energy import PueHourList
from collectors import store
from collectors.upkeep import keep_up
from suanwang.clock import VirtualClock
from suanwang.db.engine import writing
from suanwang.ids import SiteId
from suanwang.model.batch import TelemetryBatch, gathered
from suanwang.model.reading import Reading

BEGAN: Final = datetime(2026, 11, 18, tzinfo=UTC)
PATH: Final = "/v1/sites/east"


def constant(meter: str, watts: float, hours: int, since: datetime) -> list[Reading]:
    """Return a register every minute under a constant load."""
    return [
        Reading(
            subject=f"meter:east-{meter}",
            metric="energy_wh",
            value=1_000 + watts * minute / 60,
            at=since + timedelta(minutes=minute),
        )
        for minute in range(hours * 60 + 1)
    ]


@pytest.fixture
def metered(world: World) -> World:
    """Two days of a site at PUE 1.25, told two hours after, without 02:00 to 02:30 of IT."""
    world.register()
    since = world.clock.now() - timedelta(hours=50)
    since = since.replace(minute=0, second=0, microsecond=0)
    readings = [*constant("it", 40_000, 48, since), *constant("facility", 50_000, 48, since)]
    hole = (since + timedelta(hours=2), since + timedelta(hours=2.5))
    told = [r for r in readings if not (hole[0] < r.at < hole[1] and r.subject.endswith("it"))]
    with writing(world.engine) as connection:
        batch = TelemetryBatch(
            id="b1",
            site_id=SiteId("east"),
            sent_at=world.clock.now(),
            readings=gathered(told),
        )
        store.ingest(connection, batch, "digest", world.clock.now())
    keep_up(world.engine, world.clock)
    return world


def test_a_figure_is_explained_by_its_meters_and_the_record_proves_itself(metered: World) -> None:
    client = metered.client
    figure = client.get(f"{PATH}/pue?hours=72", metered.operator).json()
    assert figure["value"] == pytest.approx(1.25, abs=1e-9)
    explained = client.get(f"{PATH}/pue/explain?hours=72", metered.researcher).json()
    assert explained["figure"] == figure
    assert explained["formula"] == "pue-1"
    facility, it = explained["meters"]
    assert facility["energy_wh"] == pytest.approx(50_000 * 48)
    assert (it["quality"], it["sources"]) == ("interpolated", {"register": 192})
    checked = client.get(f"{PATH}/pue/check?hours=72", metered.operator).json()
    assert checked["differences"] == []
    assert checked["windows"] >= 96


def test_a_record_that_was_changed_behind_its_back_is_found(metered: World) -> None:
    with writing(metered.engine) as connection:
        connection.exec_driver_sql(
            "UPDATE energy_window SET energy_mwh = energy_mwh + 1 WHERE meter_id = 'east-it'"
        )
    answer = metered.client.get(f"{PATH}/pue/check?hours=72", metered.operator).json()
    assert {one["meter_id"] for one in answer["differences"]} == {"east-it"}


def test_days_of_a_period_are_those_of_the_site(metered: World) -> None:
    """A day of Shanghai begins at 16:00 UTC the day before."""
    day = (metered.clock.now() - timedelta(days=1)).astimezone(ZoneInfo("Asia/Shanghai")).date()
    figure = metered.client.get(f"{PATH}/pue?period={day}", metered.operator).json()
    start = datetime.fromisoformat(figure["start"]).astimezone(UTC)
    assert (start.hour, start.minute) == (16, 0)


def test_hours_are_told_one_by_one_and_add_up_to_the_figure(metered: World) -> None:
    path = f"{PATH}/pue/hours"
    got = metered.client.get(f"{path}?hours=72", metered.researcher)
    assert got.status_code == 200, got.text
    answer = got.json()
    hours = answer["items"]
    assert PueHourList.model_validate(answer).model_dump(mode="json") == answer
    assert (answer["category"], answer["formula"], answer["hours"]) == ("PUE3", "pue-1", 72)
    assert len(hours) == 48
    assert {round(hour["value"], 9) for hour in hours} == {1.25}
    assert {hour["state"] for hour in hours} == {"final", "provisional"}
    figure = metered.client.get(f"{PATH}/pue?hours=72", metered.operator).json()
    assert sum(hour["it_wh"] for hour in hours) == pytest.approx(figure["it_wh"])
    # The hour that runs is not over, and one that the period touches counts.
    one = metered.client.get(f"{path}?hours=1", metered.operator).json()
    assert (one["hours"], one["items"]) == (1, [])
    assert metered.client.get(f"{path}?period=last-367d", metered.operator).status_code == 422
    ahead = metered.client.get(f"{path}?period=2099", metered.operator).json()
    assert (ahead["hours"], ahead["items"]) == (0, [])
    assert metered.client.get("/v1/sites/nowhere/pue/hours", metered.operator).status_code == 404


def test_all_sites_are_told_at_once_each_in_its_own_time_zone(metered: World) -> None:
    metered.register("west", "dc-west", timezone="Europe/Berlin")
    answer = metered.client.get("/v1/pue?hours=72", metered.researcher).json()["items"]
    assert [figure["site_id"] for figure in answer] == ["east", "west"]
    assert answer[0] == metered.client.get(f"{PATH}/pue?hours=72", metered.operator).json()
    assert answer[1]["value"] is None
    day = (metered.clock.now() - timedelta(days=1)).date()
    starts = [
        datetime.fromisoformat(figure["start"])
        for figure in metered.client.get(f"/v1/pue?period={day}", metered.operator).json()["items"]
    ]
    assert starts[1] - starts[0] == timedelta(hours=6)


@pytest.mark.parametrize("text", ["yesterday", "2026-13", "last-0h", "2026-11-02..2026-11-01"])
def test_what_is_no_period_is_answered_with_examples(metered: World, text: str) -> None:
    answer = metered.client.get(f"{PATH}/pue?period={text}", metered.operator)
    assert answer.status_code == 422
    assert "2026-W47" in answer.text


def test_an_episode_is_recorded_once_and_listed(metered: World) -> None:
    assert isinstance(metered.clock, VirtualClock)
    at = (metered.clock.now() - timedelta(hours=1)).isoformat()
    body = {"from_at": at, "final_wh": 5e6, "initial_wh": 0, "factor_num": 40, "reason": "new CTs"}
    path = f"{PATH}/meters/east-it/episodes"
    first = metered.client.post(path, metered.operator, body)
    again = metered.client.post(path, metered.operator, body)
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert first.json() == {"meter_id": "east-it", "seq": 2}
    listed = metered.client.get(f"{PATH}/meters", metered.operator).json()["items"]
    episodes = next(one for one in listed if one["id"] == "east-it")["episodes"]
    assert [one["factor_num"] for one in episodes] == [1, 40]
    assert metered.client.post(path, metered.other_operator, body).status_code == 404
    foreign = f"{PATH}/meters/west-it/episodes"
    assert metered.client.post(foreign, metered.operator, body).status_code == 404
