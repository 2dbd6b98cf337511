"""From a meter's register over Modbus into the record and out as a PUE."""

import pytest
from sqlalchemy import Engine
from telemetry_builders import SITE, START, a_meter, add_site, at, send

from collectors import store
from collectors.config import build_source, parse_source
from collectors.profiles.modbus import ModbusProfile
from collectors.profiles.profile import load_profile_of
from simulator.devices.modbus_meter import MeterServer
from suanwang.clock import VirtualClock
from suanwang.db.engine import writing
from suanwang.model.meter import MeterRole
from suanwang.model.reading import Quality, Reading


async def test_a_minute_of_two_real_meters_is_a_pue(engine: Engine, clock: VirtualClock) -> None:
    """IT 2 kW then 4 kW, facility 1.25 times that, polled every 2 s for a minute."""
    profile = load_profile_of(ModbusProfile, "reference_meter")
    it = MeterServer(profile, "127.0.0.1", 0, clock=clock, first_wh=1_234_567)
    facility = MeterServer(profile, "127.0.0.1", 0, clock=clock, first_wh=2_345_678)
    readings: list[Reading] = []
    async with it, facility:
        sources = [
            build_source(
                parse_source(
                    {
                        "kind": "modbus",
                        "name": name,
                        "meter_id": name,
                        "profile": "reference_meter",
                        "host": "127.0.0.1",
                        "port": server.port,
                    }
                ),
                clock,
            )
            for name, server in (("m-it", it), ("m-fac", facility))
        ]
        for poll in range(31):
            watts = 2_000 if poll < 15 else 4_000
            it.set_power_w(watts)
            facility.set_power_w(1.25 * watts)
            for source in sources:
                readings += await source.collect()
            clock.advance(2)
        for source in sources:
            await source.close()
    with writing(engine) as connection:
        add_site(connection)
        store.register_meters(
            connection,
            [
                a_meter("m-it", MeterRole.IT, poll_s=2),
                a_meter("m-fac", MeterRole.FACILITY, poll_s=2),
            ],
        )
        taken = send(connection, "b1", readings, 60)
        figure = store.pue(connection, SITE, START, at(60), at(60))
        power = store.site_power(connection, SITE)
    assert taken.refused == ()
    # Half a minute at 2 kW and half at 4 kW is 50 Wh, to the meters' thousandth of a watt-hour.
    assert figure.it_wh == pytest.approx(50, abs=0.002)
    assert figure.value == pytest.approx(1.25, abs=1e-4)
    assert (figure.quality, figure.coverage_it, figure.is_interim) == (Quality.MEASURED, 1.0, True)
    assert [fact.value for fact in power] == [4_000, 5_000]
