"""Figures out of the record, on both databases."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection, Engine, update
from telemetry_builders import (
    SITE,
    START,
    a_meter,
    add_site,
    at,
    constant_load,
    energy,
    send,
)

from collectors import store, store_forecast, store_green, store_kpi_days, store_kpis
from collectors.kpis.figure import Kpi, KpiFigure
from collectors.kpis.tables import load_tables
from collectors.store_green import Consumption, Entered, Instrument, InstrumentKind
from collectors.upkeep import keep_up
from suanwang.clock import VirtualClock
from suanwang.db.engine import writing
from suanwang.db.tables import pool, site
from suanwang.energy.catalogue import load_catalogue
from suanwang.errors import BadInput, Conflict, NotFound
from suanwang.ids import SiteId
from suanwang.model.meter import Carrier, Meter, MeterRole
from suanwang.model.reading import Quality, Reading

HOUR, DAY = 3_600, 86_400
IT = a_meter("m-it", MeterRole.IT, poll_s=60)
FACILITY = a_meter("m-fac", MeterRole.FACILITY, poll_s=60)
WATER = replace(a_meter("m-water", MeterRole.WATER, poll_s=60), carrier=Carrier.WATER)
HEAT = a_meter("m-heat", MeterRole.REUSE, poll_s=60)
YEAR = timedelta(days=365)


def asked(connection: Connection, until_s: float, hours: float = 24) -> store_kpis.Asked:
    end = at(until_s)
    return store_kpis.Asked(
        facts=store_kpis.site_facts(connection, SITE),
        start=end - timedelta(hours=hours),
        end=end,
        now=end,
        tables=load_tables(),
        catalogue=load_catalogue(),
    )


def prepare(connection: Connection, *meters: Meter, design_w: int = 40_000) -> None:
    add_site(connection)
    connection.execute(update(site).values(it_design_w=design_w))
    store.register_meters(connection, meters or (IT, FACILITY))
    connection.execute(
        pool.insert().values(
            id="p",
            site_id=SITE,
            accelerator="nvidia-h100-sxm",
            units=8,
            units_per_node=8,
            power_w_idle=200.0,
            power_w_busy=700.0,
            price_uyuan_per_unit_hour=1,
            is_domestic=False,
            drained_units=0,
        )
    )


def load(hours: float, step: int = 60, facility_w: float = 13_000) -> list[Reading]:
    moments = [float(second) for second in range(0, round(hours * HOUR) + 1, step)]
    return [
        *constant_load("m-it", 10_000, moments),
        *constant_load("m-fac", facility_w, moments, 5e6),
    ]


def by_kpi(connection: Connection, question: store_kpis.Asked) -> dict[Kpi, KpiFigure]:
    return {one.kpi: one for one in store_kpis.site_figures(connection, question)}


def litres(seconds: float, value: float) -> Reading:
    return Reading(subject="meter:m-water", metric="volume_l", value=value, at=at(seconds))


def test_every_figure_of_a_site_has_a_value_or_a_reason(engine: Engine) -> None:
    with writing(engine) as connection:
        prepare(connection)
        figures = by_kpi(connection, asked(connection, HOUR))
        expected = set(Kpi) - {Kpi.PPUE, Kpi.PUE_FORECAST}
        assert set(figures) == expected
        assert [one.kpi for one in figures.values() if one.value is None and not one.withheld] == []


def test_water_carbon_and_reuse_out_of_the_meters(engine: Engine) -> None:
    with writing(engine) as connection:
        prepare(connection, IT, FACILITY, WATER, HEAT)
        water = [litres(second, second / 100) for second in range(0, 2 * HOUR + 1, 60)]
        heat = constant_load("m-heat", 1_300, [float(s) for s in range(0, 2 * HOUR + 1, 60)])
        send(connection, "b", [*load(2), *water, *heat], 2 * HOUR)
        figures = by_kpi(connection, asked(connection, 2 * HOUR, hours=2))
    # 36 l an hour over 10 kW, and 13 kW at 619.1 g/kWh
    assert figures[Kpi.WUE].value == pytest.approx(3.6, rel=1e-9)
    assert figures[Kpi.CUE_LOCATION].value == pytest.approx(1.3 * 0.6191, rel=1e-9)
    assert figures[Kpi.CUE_MARKET].value == pytest.approx(1.3 * 0.6096, rel=1e-9)
    assert figures[Kpi.ERF].value == pytest.approx(0.1, rel=1e-9)
    assert figures[Kpi.ERE].value == pytest.approx(1.17, rel=1e-9)
    assert figures[Kpi.REF].value == 0.0
    assert figures[Kpi.RACK_POWER].value == pytest.approx(0.25, rel=1e-9)
    assert figures[Kpi.STANDARD_RACKS].value == 16
    assert "edge" in figures[Kpi.GB40879_GRADE].withheld
    assert figures[Kpi.WUE].coverage == 1.0
    assert figures[Kpi.CUE_LOCATION].is_interim


def test_a_silent_water_meter_takes_its_time_out_of_both_sums(engine: Engine) -> None:
    with writing(engine) as connection:
        prepare(connection, IT, FACILITY, WATER)
        # The water meter begins an hour late: that hour is in neither sum.
        water = [litres(second, second / 100) for second in range(HOUR, 3 * HOUR + 1, 60)]
        send(connection, "b", [*load(3), *water], 3 * HOUR)
        figure = by_kpi(connection, asked(connection, 3 * HOUR, hours=3))[Kpi.WUE]
    assert figure.value == pytest.approx(3.6, rel=1e-9)
    assert figure.start == at(HOUR)
    assert figure.parts["it_wh"] == pytest.approx(20_000)


def test_days_and_windows_give_the_same_energies(engine: Engine) -> None:
    with writing(engine) as connection:
        prepare(connection)
        send(connection, "b", load(50, step=300), 50 * HOUR)
        # 300-s readings of a meter polled each minute are gaps that the register bridges.
        question = asked(connection, 50 * HOUR, hours=50)
        before = by_kpi(connection, question)[Kpi.CUE_LOCATION]
    keep_up(engine, VirtualClock(at(50 * HOUR + 2 * HOUR)))
    with writing(engine) as connection:
        after = by_kpi(connection, question)[Kpi.CUE_LOCATION]
    assert after.parts == pytest.approx(before.parts)
    assert after.coverage == before.coverage == 1.0
    assert after.quality is Quality.INTERPOLATED


def certificates(count: int, owner: str = "op") -> list[Instrument]:
    return [
        Instrument(
            id=f"GEC-{number}",
            kind=InstrumentKind.CERTIFICATE,
            energy_wh=1_000_000,
            made_from=START - YEAR,
            made_until=START,
            origin="CN-QH",
            owner=owner,
        )
        for number in range(count)
    ]


def consumption(start_s: float = 0, end_s: float = 100 * HOUR) -> Consumption:
    return Consumption(
        site_id=SiteId(SITE), from_at=at(start_s), until_at=at(end_s), reason="October"
    )


def test_a_certificate_is_registered_and_cancelled_once(engine: Engine) -> None:
    names = ["GEC-0", "GEC-1"]
    with writing(engine) as connection:
        prepare(connection)
        first = store_green.register(connection, certificates(2), actor="k", now=START)
        again = store_green.register(connection, certificates(3), actor="k", now=START)
        assert first == Entered(new=2, known=0, energy_wh=2_000_000)
        assert (again.new, again.known) == (1, 2)
        used = store_green.cancel(connection, names, consumption(), actor="k", now=START)
        repeated = store_green.cancel(connection, names, consumption(), actor="k", now=START)
        assert (used.new, repeated.new, repeated.known) == (2, 0, 2)
        assert store_green.cancelled_wh(connection, SITE, at(0), at(100 * HOUR)) == 2e6
        # A part of the time takes its part of the certificates.
        assert store_green.cancelled_wh(connection, SITE, at(0), at(25 * HOUR)) == 5e5
        held = store_green.held(connection, "op")
        assert [(one.instrument.id, one.site_id) for one in held] == [
            ("GEC-0", SITE),
            ("GEC-1", SITE),
            ("GEC-2", ""),
        ]
        assert store_green.held(connection, "other") == []


def test_double_use_is_refused_whole(engine: Engine) -> None:
    with writing(engine) as connection:
        prepare(connection)
        store_green.register(connection, certificates(3), actor="k", now=START)
        store_green.cancel(connection, ["GEC-0"], consumption(), actor="k", now=START)
    other = consumption(100 * HOUR, 200 * HOUR)
    with pytest.raises(Conflict, match="GEC-0 was cancelled"), writing(engine) as connection:
        store_green.cancel(connection, ["GEC-0", "GEC-1"], other, actor="k", now=START)
    with writing(engine) as connection:
        assert store_green.cancelled_wh(connection, SITE, other.from_at, other.until_at) == 0


def test_what_cannot_be_a_certificate_is_refused(engine: Engine) -> None:
    good = certificates(1)[0]
    with writing(engine) as connection:
        prepare(connection)
        for bad in (
            replace(good, energy_wh=5),
            replace(good, kind=InstrumentKind.CONTRACT, energy_wh=0),
            replace(good, made_until=good.made_from),
        ):
            with pytest.raises(BadInput, match="GEC-0"):
                store_green.register(connection, [bad], actor="k", now=START)
        store_green.register(connection, [good], actor="k", now=START)
        with pytest.raises(Conflict, match="another content"):
            store_green.register(connection, [replace(good, owner="thief")], actor="k", now=START)
        foreign = replace(good, id="GEC-9", owner="thief")
        store_green.register(connection, [foreign], actor="k", now=START)
        for name in ("GEC-8", "GEC-9"):
            with pytest.raises(NotFound, match=name):
                store_green.cancel(connection, [name], consumption(), actor="k", now=START)
        for wrong in (consumption(0, 0), consumption(0, 367 * DAY)):
            with pytest.raises(BadInput, match="366"):
                store_green.cancel(connection, ["GEC-0"], wrong, actor="k", now=START)


def test_certificates_lower_the_market_book_alone(engine: Engine) -> None:
    with writing(engine) as connection:
        prepare(connection)
        send(connection, "b", load(2), 2 * HOUR)
        store_green.register(connection, certificates(1), actor="k", now=START)
        # 1 MWh over 100 h of which 2 h are asked for: 20 kWh of 26 kWh
        store_green.cancel(connection, ["GEC-0"], consumption(), actor="k", now=START)
        figures = by_kpi(connection, asked(connection, 2 * HOUR, hours=2))
    assert figures[Kpi.CUE_LOCATION].value == pytest.approx(1.3 * 0.6191, rel=1e-9)
    assert figures[Kpi.CUE_MARKET].value == pytest.approx(0.3 * 0.6096, rel=1e-9)
    assert figures[Kpi.REF].value == pytest.approx(20 / 26, rel=1e-9)


def gpu(second: int, wh: float, used: float, processes: int) -> list[Reading]:
    values = {"energy_wh": wh, "utilisation_ratio": used, "gpu_processes": float(processes)}
    return [
        Reading(subject="gpu:GPU-1", metric=name, value=value, at=at(second))
        for name, value in values.items()
    ]


def test_idle_energy_comes_from_gpus_where_they_are_read_and_else_from_the_record(
    engine: Engine,
) -> None:
    with writing(engine) as connection:
        prepare(connection)
        record = by_kpi(connection, asked(connection, HOUR, hours=1))[Kpi.IDLE_ENERGY]
        assert record.value == pytest.approx(1.6)  # 8 units of 200 W for an hour
        assert record.quality is Quality.ESTIMATED
        readings = [one for n in range(61) for one in gpu(60 * n, n * 124 / 60, 0.0, 1)]
        send(connection, "g", readings, HOUR)
        read = by_kpi(connection, asked(connection, HOUR, hours=1))[Kpi.IDLE_ENERGY]
    assert read.value == pytest.approx(0.124)
    assert read.parts["waiting_kwh"] == pytest.approx(0.124)
    assert read.basis == "registers and utilisation of GPUs"


def test_the_year_is_forecast_from_its_days(engine: Engine) -> None:
    with writing(engine) as connection:
        prepare(connection)
        readings = []
        for day in range(0, 21 * 24 + 1):
            readings += [
                energy("m-it", day * HOUR, day * 10_000),
                energy("m-fac", day * HOUR, day * 13_000),
            ]
        send(connection, "b", readings, 21 * DAY)
    keep_up(engine, VirtualClock(at(21 * DAY + 2 * HOUR)))
    with writing(engine) as connection:
        question = asked(connection, 21 * DAY + 2 * HOUR)
        figure = store_forecast.year_forecast(connection, question)
    assert figure.value is not None, figure.withheld
    assert 1.2 < figure.parts["low"] <= figure.value <= figure.parts["high"] < 1.4
    assert figure.parts["days_known"] == 20
    assert figure.quality is Quality.ESTIMATED


def test_a_change_of_pue_is_split_over_two_periods(engine: Engine) -> None:
    with writing(engine) as connection:
        prepare(connection)
        readings = []
        for n in range(121):
            readings += [
                energy("m-it", 60 * n, n * 10_000 / 60 if n < 60 else 10_000 + (n - 60) * 5e3 / 60),
                energy(
                    "m-fac", 60 * n, n * 13e3 / 60 if n < 60 else 13_000 + (n - 60) * 7.5e3 / 60
                ),
            ]
        send(connection, "b", readings, 2 * HOUR)
        change = store_forecast.pue_change(connection, asked(connection, 2 * HOUR, hours=1))
        assert change.before == pytest.approx(1.3)
        assert change.after == pytest.approx(1.5)
        assert change.is_misleading
        assert change.by_it + change.by_fixed + change.by_marginal == pytest.approx(0.2)
        with pytest.raises(BadInput, match="withheld"):
            store_forecast.pue_change(connection, asked(connection, 2 * HOUR, hours=24))


def test_days_are_kept_and_certificates_revise_them(engine: Engine) -> None:
    with writing(engine) as connection:
        prepare(connection)
        send(connection, "b", load(42, step=300), 42 * HOUR)
    keep_up(engine, VirtualClock(at(42 * HOUR)))
    # The site's day is that of Asia/Shanghai: it begins 16 h after the start of the tests.
    first, last = at(0), at(40 * HOUR)
    with writing(engine) as connection:
        (location,) = store_kpi_days.days(connection, SITE, Kpi.CUE_LOCATION, first, last)
        assert (location.start, location.revision) == (at(16 * HOUR), 0)
        assert location.value == pytest.approx(1.3 * 0.6191, rel=1e-6)
        assert location.denominator == 240_000_000
        assert store_kpi_days.days(connection, SITE, Kpi.WUE, first, last) == []
        store_green.register(connection, certificates(1), actor="k", now=at(65 * HOUR))
        used = consumption(16 * HOUR, 40 * HOUR)
        store_green.cancel(connection, ["GEC-0"], used, actor="k", now=at(65 * HOUR))
    keep_up(engine, VirtualClock(at(66 * HOUR)))
    with writing(engine) as connection:
        (market,) = store_kpi_days.days(connection, SITE, Kpi.CUE_MARKET, first, last)
        assert (market.value, market.revision) == (0.0, 1)
        assert market.reason == "certificates were cancelled"
        shown = {day.kpi: day.start for _, day in store_kpi_days.newest(connection)}
        assert shown[Kpi.CUE_MARKET] == at(40 * HOUR)
        (same,) = store_kpi_days.days(connection, SITE, Kpi.CUE_LOCATION, first, last)
        assert same.revision == 0
