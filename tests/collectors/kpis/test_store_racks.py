"""Figures that rest on the inventory: rack rates, density, and partial PUE of zones."""

from dataclasses import replace
from datetime import timedelta

import pytest
from inventory_builders import a_workbook, hall, set_design, take_in
from sqlalchemy import Connection, Engine
from telemetry_builders import SITE, START, add_site, at, constant_load, send

from collectors import store_kpis
from collectors.kpis.figure import Kpi, KpiFigure
from collectors.kpis.tables import load_tables
from collectors.store_zones import zones_of
from suanwang.db.engine import writing
from suanwang.db.tables import site
from suanwang.energy.catalogue import load_catalogue

HOUR = 3_600
HEAD = ["id", "name", "role", "rated_w", "measures", "object_id", "parent_id"]
ZONED = {
    "rooms": [["id", "name", "zone"], ["r1", "Hall 1", ""], ["r2", "Hall 2", "east"]],
    "racks": [["id", "name", "rated_w", "room_id"], ["k", "A-01", "9000", "r2"]],
    "meters": [
        HEAD,
        ["grid", "Grid", "facility", "50000", "site", "", ""],
        ["it-1", "IT 1", "it", "20000", "room", "r1", "grid"],
        ["it-2", "PDU", "it", "20000", "rack", "k", "grid"],
        ["crac-1", "CRAC of hall 1", "cooling", "9000", "room", "r1", "grid"],
        ["fan-1", "a fan of it", "other", "9000", "room", "r1", "crac-1"],
        ["chiller", "Chiller", "cooling", "9000", "plant", "", "grid"],
    ],
}


def prepare(
    connection: Connection, content: bytes, category: str = "PUE3", **loads_w: float
) -> store_kpis.Asked:
    add_site(connection)
    set_design(connection, SITE, 100_000)
    connection.execute(site.update().values(pue_category=category))
    assert take_in(connection, SITE, content, START).plan.faults == ()
    moments = [float(second) for second in range(0, HOUR + 1, 60)]
    readings = [
        reading
        for name, watts in loads_w.items()
        for reading in constant_load(name.replace("_", "-"), watts, moments, 1e6)
    ]
    send(connection, "b", readings, HOUR)
    return store_kpis.Asked(
        facts=store_kpis.site_facts(connection, SITE),
        start=at(0),
        end=at(HOUR),
        now=at(HOUR) + timedelta(seconds=1),
        tables=load_tables(),
        catalogue=load_catalogue(),
    )


def figures(connection: Connection, asked: store_kpis.Asked) -> dict[Kpi, list[KpiFigure]]:
    found: dict[Kpi, list[KpiFigure]] = {}
    for one in store_kpis.site_figures(connection, asked):
        found.setdefault(one.kpi, []).append(one)
    return found


def test_rack_rates_and_density_come_from_the_racks_that_stand(engine: Engine) -> None:
    with writing(engine) as connection:
        asked = prepare(connection, hall(), "PUE2", m_main=13_000, m_r1=10_000, m_k1=9_000)
        found = figures(connection, asked)
        installed = found[Kpi.RACK_INSTALLED][0]
        # k1 is in use, k2 delivered, k3 planned
        assert (installed.value, dict(installed.parts)) == (
            0.5,
            {"racks_in_use": 1, "racks_deliverable": 2},
        )
        assert found[Kpi.RACK_CONTRACTED][0].value == 0.08
        assert found[Kpi.RACK_CONTRACTED][0].basis == "contracted IT power / design IT power"
        density = found[Kpi.POWER_DENSITY][0]
        assert density.value == pytest.approx(found[Kpi.RACK_POWER][0].parts["power_w"] / 1_000)
        assert density.basis == "drawn IT power / racks in use"
        edit = a_workbook(racks=[["id", "delivery"], ["k2", "in_use"]])
        take_in(connection, SITE, edit, START)
        facts = store_kpis.site_facts(connection, SITE)
        asked = store_kpis.Asked(
            facts=facts, start=asked.start, end=asked.end, now=asked.now, tables=asked.tables,
            catalogue=asked.catalogue,
        )  # fmt: skip
        found = figures(connection, asked)
        assert found[Kpi.RACK_INSTALLED][0].value == 1.0
        assert found[Kpi.RACK_CONTRACTED][0].value is None
        assert "1 of 2 racks in use" in found[Kpi.RACK_CONTRACTED][0].withheld


def test_zones_share_the_plant_by_heat_and_add_up_to_the_site(engine: Engine) -> None:
    with writing(engine) as connection:
        asked = prepare(
            connection, a_workbook(**ZONED),
            grid=20_000, it_1=10_000, it_2=5_000, crac_1=2_000, fan_1=500, chiller=3_000,
        )  # fmt: skip
        found = figures(connection, asked)
    zones = {one.basis.split(";")[0]: one for one in found[Kpi.PPUE]}
    # 3 kW are shared, two thirds of them by the zone with two thirds of the IT energy; the fan is
    # behind the CRAC already.
    assert zones["zone r1"].value == pytest.approx(1.4, rel=1e-9)
    assert zones["zone east"].value == pytest.approx(1.2, rel=1e-9)
    assert zones["zone r1"].parts["own_wh"] == pytest.approx(2_000)
    weighted = sum((one.value or 0) * one.parts["it_wh"] for one in zones.values()) / 15_000
    assert found[Kpi.PUE][0].value == pytest.approx(weighted, rel=1e-9)


def test_zones_share_the_plant_by_their_own_cooling_meters_where_the_site_says_so(
    engine: Engine,
) -> None:
    meters = [
        *ZONED["meters"],
        ["crac-2", "CRAC of hall 2", "cooling", "9000", "room", "r2", "grid"],
    ]
    with writing(engine) as connection:
        asked = prepare(
            connection, a_workbook(**ZONED | {"meters": meters}),
            grid=22_000, it_1=10_000, it_2=5_000, crac_1=1_000, crac_2=2_000, fan_1=500,
            chiller=4_000,
        )  # fmt: skip
        connection.execute(site.update().values(ppue_split="cooling"))
        asked = replace(asked, facts=store_kpis.site_facts(connection, SITE))
        found = figures(connection, asked)
    zones = {one.basis.split(";")[0]: one for one in found[Kpi.PPUE]}
    # 4 kW are shared: a third by hall 1, two thirds by hall 2, whose coolers run twice as hard.
    assert zones["zone r1"].value == pytest.approx((10 + 1 + 4 / 3) / 10, rel=1e-9)
    assert zones["zone east"].value == pytest.approx((5 + 2 + 8 / 3) / 5, rel=1e-9)
    assert {one.formula for one in found[Kpi.PPUE]} == {"ppue-2/cooling"}


def test_a_zone_says_why_it_has_no_figure(engine: Engine) -> None:
    with writing(engine) as connection:
        asked = prepare(
            connection, a_workbook(**ZONED), grid=12_000, it_1=10_000, it_2=5_000, crac_1=2_000
        )
        more = figures(connection, asked)[Kpi.PPUE]
        assert [one.value for one in more] == [None, None]
        assert "5,000 Wh more than the facility's" in more[0].withheld
        meters = [HEAD, ["it-2", "IT", "it", "20000", "site", "", ""]]
        take_in(connection, SITE, a_workbook(meters=meters), START)
        lost = figures(connection, asked)[Kpi.PPUE]
        assert [one.basis for one in lost] == ["zone east", "zone r1"]
        assert "no room or rack of a zone: it-2" in lost[0].withheld


def test_a_site_without_rooms_has_no_zones(engine: Engine) -> None:
    with writing(engine) as connection:
        add_site(connection)
        assert zones_of(connection, SITE, []) is None
