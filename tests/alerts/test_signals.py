"""Each signal reads what is in the record, on both databases."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from alert_builders import Watch
from sqlalchemy import Engine, insert
from telemetry_builders import (
    SITE,
    START,
    a_batch,
    a_meter,
    at,
    constant_load,
    energy,
    power,
    send,
)

from alerts.model import AlertState
from alerts.readers import READERS
from alerts.rules import shipped
from alerts.signals import SIGNALS
from collectors import store, store_sources
from collectors.upkeep import RawUpkeep, keep_up
from suanwang.clock import VirtualClock
from suanwang.db import partitions
from suanwang.db.engine import writing
from suanwang.db.tables import energy_window, feed, meter, rack, remote_copy, site
from suanwang.ids import SeededIds
from suanwang.model.meter import MeterRole
from suanwang.model.reading import Reading, SourceListing

HOUR, DAY = 3_600, 86_400


@pytest.fixture
def watch(engine: Engine, clock: VirtualClock, ids: SeededIds) -> Watch:
    return Watch(engine, clock, ids)


def take(watch: Watch, name: str, readings: Sequence[Reading]) -> None:
    """Take readings in now."""
    with writing(watch.engine) as connection:
        send(connection, name, readings, (watch.clock.now() - START).total_seconds())


def reading(subject: str, metric: str, value: float, seconds: float) -> Reading:
    return Reading(subject=subject, metric=metric, value=value, at=at(seconds))


def a_window(meter_id: str) -> dict[str, object]:
    """Return a window of the record."""
    return {
        "meter_id": meter_id, "start_at": START, "revision": 0, "energy_mwh": 1,
        "covered_ms": 900_000, "interpolated_ms": 0, "estimated_ms": 0, "quality": "measured",
        "source": "register", "state": "final", "reason": "", "updated_at": START,
    }  # fmt: skip


def meters(watch: Watch, *ids: tuple[str, MeterRole]) -> None:
    with writing(watch.engine) as connection:
        store.register_meters(connection, [a_meter(name, role, poll_s=60.0) for name, role in ids])


def test_every_signal_has_a_reader() -> None:
    assert set(READERS) == set(SIGNALS)


def test_all_is_well_where_nothing_is_known(watch: Watch) -> None:
    report = watch.look()
    assert report.signals == len(list(watch.rules))
    assert watch.alerts() == []


def test_a_source_that_is_down_for_five_minutes_is_lost(watch: Watch) -> None:
    watch.source("pdu-7", is_up=True)
    for _ in range(24):
        watch.look()
        watch.source("pdu-7", is_up=False, error="no answer")
    assert watch.firing() == [("target-lost", "source:pdu-7")]
    (one,) = watch.alerts()
    assert one.words == "no answer"
    watch.source("pdu-7", is_up=True)
    watch.look()
    watch.look()
    assert watch.firing() == []
    assert watch.alerts(AlertState.RESOLVED)


@pytest.mark.parametrize(
    ("interval_s", "minutes"),
    [
        pytest.param(1.0, 5, id="a quick one: the floor of five minutes"),
        pytest.param(60.0, 5, id="a minute"),
        pytest.param(600.0, 50, id="a slow one: five of its polls"),
    ],
)
def test_a_source_is_lost_after_five_of_its_own_polls(
    watch: Watch, interval_s: float, minutes: int
) -> None:
    watch.source("pdu-7", is_up=True, interval_s=interval_s)
    for _ in range(minutes):
        watch.look(60)
        watch.source("pdu-7", is_up=False, interval_s=interval_s)
    assert watch.firing() == []
    watch.look(60)
    assert watch.firing() == [("target-lost", "source:pdu-7")]
    (one,) = watch.alerts(AlertState.FIRING)
    assert one.threshold == minutes * 60


def test_a_slow_source_is_silent_by_its_own_pace_only(watch: Watch) -> None:
    watch.source("weather", is_up=True, interval_s=600.0)
    watch.source("pdu-7", is_up=True, interval_s=15.0)
    watch.look(1_200)
    watch.look(130)
    assert watch.firing() == [("source-silent", "source:pdu-7")]
    watch.look(1_900)
    watch.look(130)
    assert watch.firing() == [
        ("source-silent", "source:pdu-7"),
        ("source-silent", "source:weather"),
    ]


def test_a_source_that_its_agent_does_not_poll_any_more_is_not_alarmed(watch: Watch) -> None:
    for name in ("pdu-7", "pdu-8", "pdu-9"):
        watch.source(name, is_up=name != "pdu-7", error="no answer")
    watch.look(901)
    watch.look(130)
    assert watch.firing() == [
        ("source-silent", "source:pdu-7"),
        ("source-silent", "source:pdu-8"),
        ("source-silent", "source:pdu-9"),
        ("target-lost", "source:pdu-7"),
    ]
    with writing(watch.engine) as connection:
        listing = SourceListing(at=watch.clock.now(), sources={"pdu-9"})
        store_sources.take_listing(connection, SITE, listing)
    watch.look()
    watch.look()
    assert watch.firing() == [("source-silent", "source:pdu-9")]


def test_a_source_that_says_nothing_is_silent_not_lost(watch: Watch) -> None:
    watch.source("pdu-7", is_up=True)
    for _ in range(10):
        watch.look(120)
    assert watch.firing() == [("source-silent", "source:pdu-7")]


def test_of_a_site_whose_agent_is_silent_its_sources_are_not_judged(watch: Watch) -> None:
    watch.source("pdu-7", is_up=True)
    watch.look()
    watch.is_agent_alive = False
    for _ in range(60):
        watch.look(60)
    assert watch.firing() == [("agent-silent", "site")]
    watch.is_agent_alive = True
    watch.source("pdu-7", is_up=True)
    watch.look()
    assert watch.firing() == []


@pytest.mark.postgresql
def test_missing_parts_and_rows_without_one_are_told_until_the_upkeep_has_made_them(
    postgres_engine: Engine, clock: VirtualClock, ids: SeededIds
) -> None:
    watch = Watch(postgres_engine, clock, ids, rules=shipped())
    with writing(postgres_engine) as connection:
        store.register_meters(connection, [a_meter("m1")])
        connection.execute(insert(energy_window).values(a_window("m1")))
    watch.look()
    assert watch.firing() == []
    for _ in range(9):
        watch.look(900)
    assert watch.firing() == [
        ("partition-missing", "table:energy_window"),
        ("partition-missing", "table:sample_chunk"),
        ("partition-strays", "table:energy_window"),
    ]
    partitions.make_ahead(postgres_engine, clock.now())
    watch.look(900)
    assert watch.firing() == []


def test_a_copy_that_falls_behind_is_told_while_its_process_lives(watch: Watch) -> None:
    def moved(behind_s: float) -> None:
        now = watch.clock.now()
        row = {"from_at": now - timedelta(seconds=behind_s), "moved_at": now}
        with writing(watch.engine) as connection:
            connection.execute(remote_copy.delete())
            connection.execute(remote_copy.insert().values(name="centre", site_id=SITE, **row))

    watch.clock.advance(2 * HOUR)
    for behind_s, expected in ((120, []), (HOUR + 60, [("copy-behind", "copy:centre")])):
        for _ in range(6):
            moved(behind_s)
            watch.look()
        assert watch.firing() == expected
    for _ in range(3):
        watch.look(301)
    assert watch.firing() == [], "a process that was taken away"


def test_a_database_without_parts_lacks_none(
    sqlite_engine: Engine, clock: VirtualClock, ids: SeededIds
) -> None:
    watch = Watch(sqlite_engine, clock, ids, rules=shipped())
    for _ in range(10):
        watch.look(900)
    assert watch.alerts() == []


def test_a_clock_that_is_wrong(watch: Watch) -> None:
    for sent_s, expected in ((100.0, [("clock-skew", "site")]), (5.0, [])):
        watch.clock.advance(60)
        now_s = (watch.clock.now() - START).total_seconds()
        with writing(watch.engine) as connection:
            batch = a_batch(f"b{now_s}", [], sent_s=now_s - sent_s)
            store.ingest(connection, batch, "digest", watch.clock.now())
        watch.look(1)
        assert watch.firing() == expected


def test_resets_and_rollovers_of_registers(watch: Watch) -> None:
    with writing(watch.engine) as connection:
        store.register_meters(
            connection, [a_meter("m1"), a_meter("m2", modulus_wh=10_000), a_meter("m3")]
        )
    watch.clock.advance(120)
    take(
        watch,
        "b",
        [
            energy("m1", 0, 5_000), energy("m1", 60, 10),
            energy("m2", 0, 9_990), energy("m2", 60, 10),
            energy("m3", 0, 10), energy("m3", 60, 20),
        ],
    )  # fmt: skip
    watch.look()
    assert watch.firing() == [("meter-reset", "meter:m1"), ("meter-rollover", "meter:m2")]
    watch.look(HOUR)
    assert watch.firing() == []


def furnish(watch: Watch) -> None:
    """Put two racks on feeds of 10 and 8 kW, and a meter at each and at the first feed."""
    feeds = (("A", "A", 10_000), ("B", "B", 8_000), ("C", "shared", None))
    racks = (("r1", "A", "B", 12_000), ("r2", "A", None, 12_000), ("r3", "C", None, 5_000))
    meters_of = (("rack", "r1"), ("rack", "r2"), ("rack", "r3"), ("feed", "A"), ("feed", "C"))
    with writing(watch.engine) as connection:
        for name, side, rated_w in feeds:
            connection.execute(
                feed.insert().values(site_id=SITE, id=name, name=name, side=side, rated_w=rated_w)
            )
        for name, first, second, rated_w in racks:
            connection.execute(
                rack.insert().values(
                    site_id=SITE, id=name, name=name, rated_w=rated_w, position="", height_u=42,
                    cooling="air", delivery="in_use", feed_a_id=first, feed_b_id=second,
                )
            )  # fmt: skip
        store.register_meters(connection, [a_meter(f"m-{name}") for _, name in meters_of])
        store.register_meters(connection, [a_meter("m-r1-outlets")])
        for kind, name in meters_of:
            measures = meter.update().where(meter.c.id == f"m-{name}")
            connection.execute(measures.values(measures=kind, object_id=name))
        connection.execute(
            meter.update()
            .where(meter.c.id == "m-r1-outlets")
            .values(measures="rack", object_id="r1", parent_id="m-r1")
        )


def test_racks_and_feeds_near_what_they_may_carry(watch: Watch) -> None:
    furnish(watch)
    loads = {"m-r1": 6_800, "m-r1-outlets": 6_700, "m-r2": 6_800, "m-r3": 4_700, "m-A": 9_500}
    for step in range(12):
        watch.clock.advance(15)
        now_s = (watch.clock.now() - START).total_seconds()
        told = [power(name, now_s, watts) for name, watts in loads.items()]
        take(watch, f"b{step}", [*told, power("m-C", now_s, 90_000)])
        watch.look(0)
    assert watch.firing() == [
        ("feed-load-critical", "feed:A"),
        ("feed-load-critical", "rack:r3"),
        ("feed-load-high", "feed:A"),
        ("feed-load-high", "rack:r1"),
        ("feed-load-high", "rack:r3"),
    ], "the weaker feed counts, an outlet counts once, what is not rated is not judged"
    told_of = {(one.rule_id, one.subject) for one in watch.alerts() if one.told_at}
    assert ("feed-load-high", "feed:A") not in told_of, "the critical one says it already"
    watch.look(600)
    assert len(watch.firing()) == 5, "an old power says nothing"


def test_an_xid_is_an_alarm_for_an_hour_also_when_it_was_packed(watch: Watch) -> None:
    watch.clock.advance(3_000)
    take(watch, "b", [reading("gpu:1", "xid_error", 79.0, 2_990)])
    watch.look()
    assert watch.firing() == [("gpu-xid", "gpu:1")]
    assert "XID 79" in watch.alerts()[0].words
    watch.clock.advance(1_800)
    RawUpkeep(watch.engine, watch.clock).run()
    watch.look()
    assert watch.firing() == [("gpu-xid", "gpu:1")]
    watch.look(1_900)
    assert watch.firing() == []


def test_only_the_rise_of_an_error_counter_is_an_edge(watch: Watch) -> None:
    metric = "ecc_uncorrected_volatile_errors"
    for step, (value, expected) in enumerate(
        [(7.0, []), (7.0, []), (9.0, [("gpu-ecc", "gpu:1")]), (0.0, [("gpu-ecc", "gpu:1")])]
    ):
        watch.clock.advance(60)
        now_s = (watch.clock.now() - START).total_seconds()
        take(watch, f"b{step}", [reading("gpu:1", metric, value, now_s)])
        watch.look(1)
        assert watch.firing() == expected, step
        watch.restart()
    assert watch.alerts()[0].value == 2
    watch.look(HOUR)
    assert watch.firing() == []


def test_warm_and_hot_air(watch: Watch) -> None:
    for step in range(14):
        watch.clock.advance(15)
        now_s = (watch.clock.now() - START).total_seconds()
        take(
            watch,
            f"b{step}",
            [
                reading("host:a", "inlet_temperature_c", 28.0, now_s),
                reading("host:b", "inlet_temperature_c", 35.0, now_s),
                reading("host:c", "inlet_temperature_c", 22.0, now_s),
            ],
        )
        watch.look(0)
    assert watch.firing() == [
        ("inlet-hot", "host:b"),
        ("inlet-warm", "host:a"),
        ("inlet-warm", "host:b"),
    ]


def fill(
    watch: Watch, loads: dict[str, float], hours: int, *, begin_h: int = 0, skip: str = ""
) -> None:
    """Let meters count under constant loads, and bring the record up to date."""
    first_wh = dict.fromkeys(loads, 1000000.0 * begin_h)
    minutes = range(begin_h * HOUR, (begin_h + hours) * HOUR + 1, 300)
    readings: list[Reading] = []
    for name, watts in loads.items():
        seconds = list(minutes) if name != skip else list(minutes)[:24]
        shifted = [second - begin_h * HOUR for second in seconds]
        told = constant_load(name, watts, shifted, first_wh[name])
        readings += [
            Reading(subject=one.subject, metric=one.metric, value=one.value, at=at(second))
            for one, second in zip(told, seconds, strict=True)
        ]
    behind_s = (begin_h + hours) * HOUR - (watch.clock.now() - START).total_seconds()
    watch.clock.advance(max(0.0, behind_s))
    for low in range(0, len(readings), 5_000):
        take(watch, f"fill{begin_h}-{low}", readings[low : low + 5_000])
    watch.clock.advance(120)
    keep_up(watch.engine, watch.clock)


PAIR = (("m-fac", MeterRole.FACILITY), ("m-it", MeterRole.IT))


def test_pue_over_its_limit_for_a_day(watch: Watch) -> None:
    meters(watch, *PAIR)
    fill(watch, {"m-fac": 140_000.0, "m-it": 100_000.0}, 26)
    watch.look()
    assert watch.firing() == []
    watch.look(HOUR)
    firing = {rule for rule, _ in watch.firing()}
    assert "pue-high-24h" in firing
    assert not firing & {"pue-high-30d", "pue-high-365d"}, "a month is not known yet"
    one = next(one for one in watch.alerts() if one.rule_id == "pue-high-24h")
    assert one.value == pytest.approx(1.4)
    assert one.threshold == 1.3


def test_a_site_of_a_wider_limit_is_not_over_it(watch: Watch) -> None:
    meters(watch, *PAIR)
    with writing(watch.engine) as connection:
        connection.execute(site.update().values(pue_limit=1.5))
    fill(watch, {"m-fac": 140_000.0, "m-it": 100_000.0}, 26)
    for _ in range(3):
        watch.look(1_900)
    assert not [rule for rule, _ in watch.firing() if rule.startswith("pue")]


def test_meters_that_are_mapped_the_wrong_way_round(watch: Watch) -> None:
    meters(watch, *PAIR)
    fill(watch, {"m-fac": 90_000.0, "m-it": 100_000.0}, 3)
    watch.look()
    watch.look(300)
    assert ("pue-impossible", "site") in watch.firing()


def test_a_meter_that_falls_silent_lowers_the_coverage(watch: Watch) -> None:
    meters(watch, *PAIR)
    fill(watch, {"m-fac": 130_000.0, "m-it": 100_000.0}, 26, skip="m-it")
    watch.look()
    (one,) = (one for one in watch.alerts() if one.rule_id == "coverage-low")
    assert one.state is AlertState.FIRING
    assert one.value is not None
    assert one.value < 0.1


def test_a_meter_and_those_behind_it_must_agree(watch: Watch) -> None:
    meters(watch, ("up", MeterRole.IT), ("a", MeterRole.OTHER), ("b", MeterRole.OTHER))
    with writing(watch.engine) as connection:
        connection.execute(meter.update().where(meter.c.id.in_(["a", "b"])).values(parent_id="up"))
    fill(watch, {"up": 100_000.0, "a": 50_000.0, "b": 49_000.0}, 8)
    watch.look()
    assert watch.firing() == []
    fill(watch, {"up": 100_000.0, "a": 50_000.0, "b": 30_000.0}, 16, begin_h=8)
    watch.look(900)
    assert ("meter-balance", "meter:up") in watch.firing()


def test_a_pue_that_rises_while_energy_falls_is_explained(watch: Watch) -> None:
    """The same plant, with 24 kW that no load changes, carries less IT: nobody need act on that."""
    meters(watch, *PAIR)
    with writing(watch.engine) as connection:
        connection.execute(site.update().values(it_design_w=200_000))
    fill(watch, {"m-fac": 128_000.0, "m-it": 100_000.0}, 96)
    fill(watch, {"m-fac": 68_000.0, "m-it": 50_000.0}, 25, begin_h=96)
    for _ in range(4):
        watch.look(1_900)
    (one,) = (one for one in watch.alerts() if one.rule_id == "pue-high-24h")
    assert one.value is not None
    assert one.value > 1.3
    assert one.state is AlertState.EXPLAINED, one.words
    assert "although the facility drew" in one.words
    assert one.told_at is None


def test_a_pue_that_rises_with_the_energy_is_an_alarm(watch: Watch) -> None:
    meters(watch, *PAIR)
    with writing(watch.engine) as connection:
        connection.execute(site.update().values(it_design_w=200_000))
    fill(watch, {"m-fac": 128_000.0, "m-it": 100_000.0}, 96)
    fill(watch, {"m-fac": 140_000.0, "m-it": 100_000.0}, 25, begin_h=96)
    for _ in range(4):
        watch.look(1_900)
    assert ("pue-high-24h", "site") in watch.firing()


def test_signals_are_read_no_more_often_than_they_change(watch: Watch) -> None:
    first = watch.look()
    second = watch.look()
    assert second.signals < first.signals
    assert watch.look(int(timedelta(hours=1).total_seconds())).signals == first.signals


def test_a_broken_signal_hides_no_other(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    readers = dict(READERS) | {"feed_load_ratio": broken}
    monkeypatch.setattr("alerts.evaluation.READERS", readers)
    watch.source("pdu-7", is_up=True)
    for _ in range(24):
        watch.source("pdu-7", is_up=False)
        watch.clock.advance(15)
        with writing(watch.engine) as connection:
            connection.execute(site.update().values(agent_seen_at=watch.clock.now()))
        assert watch.evaluator.run().failed == ("feed_load_ratio",)
    assert watch.firing() == [("target-lost", "source:pdu-7")]
    assert watch.alerts()[0].site_id == SITE
