"""The curve of a site's PUE is that of its hours."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine
from telemetry_builders import SITE, START, a_meter, add_site, at, constant_load, send

from collectors import store
from collectors.store_hours import hours_of_pue
from collectors.upkeep import keep_up
from suanwang.clock import VirtualClock
from suanwang.db.engine import writing
from suanwang.model.meter import MeterRole, PueCategory


def test_hours_come_in_order_each_with_the_pue_of_its_known_part(engine: Engine) -> None:
    meters = [a_meter("m-it", MeterRole.IT), a_meter("m-fac", MeterRole.FACILITY)]
    moments = [float(second) for second in range(0, 2 * 3_600 + 1, 60)]
    readings = [
        *constant_load("m-it", 10_000, moments),
        *constant_load("m-fac", 13_000, [*moments, 3 * 3_600]),
    ]
    with writing(engine) as connection:
        add_site(connection)
        store.register_meters(connection, meters)
        send(connection, "b1", readings, 3 * 3_600)
    keep_up(engine, VirtualClock(at(4 * 3_600)))
    with writing(engine) as connection:
        end = START + timedelta(hours=5)
        hours = list(hours_of_pue(connection, SITE, PueCategory.PUE3, START, end))
        first = list(hours_of_pue(connection, SITE, PueCategory.PUE3, START, at(3_600)))
    assert [hour.start_at for hour in hours] == [at(0), at(3_600), at(7_200)]
    assert [hour.common_ms for hour in hours] == [3_600_000, 3_600_000, 0]
    assert [hour.value for hour in hours[:2]] == pytest.approx([1.3, 1.3], abs=1e-9)
    assert hours[2].value is None
    assert first == hours[:1]
