"""PUE of many sites at once: the same as one by one, in as many statements as for one."""

from dataclasses import replace
from datetime import datetime

import pytest
from sqlalchemy import Connection, Engine, event, update
from telemetry_builders import a_batch, a_meter, add_site, at, energy

from collectors import store
from collectors.kpi import Interval, SiteEnergy
from collectors.store_site import ROLES, add_period, load_meters, of_category
from collectors.upkeep import RawUpkeep, keep_up
from suanwang.clock import VirtualClock, to_epoch_ms
from suanwang.db.engine import reading, writing
from suanwang.db.tables import site
from suanwang.ids import SiteId
from suanwang.model.meter import Meter, MeterRole, PueCategory
from suanwang.model.reading import Reading

HOUR = 3_600
HOURS = 44
ZONES = {"kolkata": "Asia/Kolkata", "berlin": "Europe/Berlin", "late": "Asia/Shanghai"}


def meters(site_id: str) -> list[Meter]:
    """Return a facility meter and two IT meters."""
    roles = (MeterRole.FACILITY, MeterRole.IT, MeterRole.IT)
    return [
        a_meter(f"{site_id}-{number}", role, site_id=site_id, poll_s=60)
        for number, role in enumerate(roles)
    ]


def told(site_id: str, first_h: int, last_h: float) -> list[Reading]:
    """Return registers every five minutes, each meter with a load of its own."""
    moments = range(first_h * HOUR, round(last_h * HOUR) + 1, 300)
    return [
        energy(
            one.id, second, (30_000 if one.role is MeterRole.FACILITY else 11_000) * second / HOUR
        )
        for one in meters(site_id)
        for second in moments
    ]


def add(connection: Connection, site_id: str, first_h: int = 0, last_h: float = HOURS) -> None:
    add_site(connection, site_id)
    connection.execute(
        update(site)
        .where(site.c.id == site_id)
        .values(timezone=ZONES.get(site_id, "Asia/Shanghai"))
    )
    store.register_meters(connection, meters(site_id))
    batch = a_batch(
        f"b-{site_id}", told(site_id, first_h, last_h), sent_s=HOURS * HOUR, site_id=site_id
    )
    store.ingest(connection, batch, site_id, at(HOURS * HOUR))


@pytest.fixture
def network(engine: Engine) -> list[str]:
    """Sites of three time zones, one that began later, one that is silent, one with two ways."""
    with writing(engine) as connection:
        for site_id in ("kolkata", "berlin"):
            add(connection, site_id)
        add(connection, "late", first_h=20)
        add(connection, "gone", last_h=30.4)
        add_site(connection, "empty")
        add(connection, "two-ways")
        ups = replace(
            a_meter("ups", MeterRole.IT, site_id="two-ways", poll_s=60), category=PueCategory.PUE1
        )
        store.register_meters(connection, [ups])
    clock = VirtualClock(at((HOURS + 1) * HOUR))
    RawUpkeep(engine, clock).run()
    keep_up(engine, clock)
    with writing(engine) as connection:
        # An hour in the middle changes and is not summed up again yet.
        batch = a_batch(
            "more", [energy("berlin-1", 10 * HOUR + 7, 110_022)], sent_s=HOURS * HOUR,
            site_id="berlin",
        )  # fmt: skip
        store.ingest(connection, batch, "more", at(HOURS * HOUR))
    return ["kolkata", "berlin", "late", "gone", "empty", "two-ways", "unknown"]


def test_all_sites_at_once_are_each_site_by_itself(engine: Engine, network: list[str]) -> None:
    now = at((HOURS + 1) * HOUR)
    for low_h, high_h in ((0, 44), (0.4, 43.7), (16, 40), (3.1, 3.2), (9, 12), (30.3, 30.9)):
        asked = store.AskedPue(start=at(low_h * HOUR), end=at(high_h * HOUR), now=now)
        with reading(engine) as connection:
            together = store.pues(connection, network, asked)
            for site_id in network:
                single = store.pue(connection, site_id, asked.start, asked.end, now)
                assert together[SiteId(site_id)] == single
                if single.value is not None:
                    energies = _slow(connection, site_id, single.start, single.end)
                    assert round(single.facility_wh * 1_000) == energies.facility_mwh
                    assert round(single.it_wh * 1_000) == energies.it_mwh
        assert "PUE1 and PUE3" in together[SiteId("two-ways")].withheld
        assert "no IT meter" in together[SiteId("empty")].withheld
        assert "no IT meter" in together[SiteId("unknown")].withheld


def _slow(connection: Connection, site_id: str, start: datetime, end: datetime) -> SiteEnergy:
    """Return the sums out of windows and raw readings alone."""
    taken = of_category(load_meters(connection, site_id, ROLES), PueCategory.PUE3)
    total = SiteEnergy()
    period = Interval(to_epoch_ms(start), to_epoch_ms(end))
    add_period(connection, taken, total, period)
    return total


def test_the_number_of_statements_does_not_grow_with_the_number_of_sites(engine: Engine) -> None:
    names = [f"s{number}" for number in range(6)]
    with writing(engine) as connection:
        for site_id in names:
            add(connection, site_id)
    clock = VirtualClock(at((HOURS + 1) * HOUR))
    RawUpkeep(engine, clock).run()
    keep_up(engine, clock)
    statements = 0

    def count(*_: object) -> None:
        nonlocal statements
        statements += 1

    event.listen(engine, "before_cursor_execute", count)
    # From the middle of a window to the middle of another, so that raw readings are needed too.
    asked = store.AskedPue(start=at(1_000), end=at(43.3 * HOUR), now=at(45 * HOUR))
    used = []
    for taken in (names[:1], names):
        statements = 0
        with reading(engine) as connection:
            figures = store.pues(connection, taken, asked)
        for figure in figures.values():
            assert figure.value == pytest.approx(30 / 22, abs=1e-6)
        used.append(statements)
    assert used[0] == used[1] < 40
