"""Taking batches in: once each, first value wins, and what cannot be taken is told."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, func, select
from telemetry_builders import (
    SITE,
    START,
    a_batch,
    a_meter,
    add_site,
    at,
    energy,
    send,
    stored_windows,
)

from collectors import store
from suanwang.db.engine import writing
from suanwang.db.tables import sample, telemetry_batch
from suanwang.errors import Conflict
from suanwang.model.meter import MeterRole
from suanwang.model.reading import Quality, Reading, SourceReport


def prepare(engine: Engine) -> None:
    """Make a site with one meter, and another site with one of its own."""
    with writing(engine) as connection:
        add_site(connection)
        add_site(connection, "other")
        store.register_meters(
            connection, [a_meter("m-it", MeterRole.IT), a_meter("m-other", site_id="other")]
        )


def gpu(seconds: float, value: float, metric: str = "power_w") -> Reading:
    """Return a reading of a GPU."""
    return Reading(subject="gpu:GPU-1", metric=metric, value=value, at=at(seconds))


def report(seconds: float, *, is_up: bool = True, source: str = "nvml") -> SourceReport:
    """Return a source's word about itself."""
    error = "" if is_up else "no driver"
    return SourceReport(
        source=source, is_up=is_up, duration_s=0.1, at=at(seconds), readings=3, error=error
    )


def test_the_same_batch_is_taken_once_however_often_it_arrives(engine: Engine) -> None:
    prepare(engine)
    with writing(engine) as connection:
        first = send(connection, "b1", [gpu(0, 400), energy("m-it", 0, 5)], 1)
    with writing(engine) as connection:
        again = send(connection, "b1", [gpu(0, 400), energy("m-it", 0, 5)], 90)
        samples = connection.scalar(select(func.count()).select_from(sample))
    assert (first.accepted, first.duplicates, first.is_repeat) == (2, 0, False)
    assert (again.accepted, again.duplicates, again.is_repeat) == (0, 2, True)
    assert samples == 2


def test_a_used_batch_id_with_another_content_is_a_conflict(engine: Engine) -> None:
    prepare(engine)
    with writing(engine) as connection:
        send(connection, "b1", [gpu(0, 400)], 1)
        with pytest.raises(Conflict, match="another content"):
            store.ingest(connection, a_batch("b1", [gpu(1, 1)]), "other digest", at(2))
        batch = a_batch("b1", [gpu(0, 400)], site_id="other")
        with pytest.raises(Conflict, match="another content"):
            store.ingest(connection, batch, "digest of b1", at(2))


def test_the_first_value_of_a_moment_stays(engine: Engine) -> None:
    prepare(engine)
    with writing(engine) as connection:
        taken = send(connection, "b1", [gpu(0, 400), gpu(0, 500), gpu(15, 410)], 15)
        more = send(connection, "b2", [gpu(0, 600), gpu(30, 420)], 30)
        newest = store.latest(connection, SITE)["gpu:GPU-1", "power_w"]
        values = connection.scalars(select(sample.c.value).order_by(sample.c.at_ms)).all()
    assert (taken.accepted, taken.duplicates) == (2, 1)
    assert (more.accepted, more.duplicates) == (1, 1)
    assert list(values) == [400, 410, 420]
    assert (newest.value, newest.at, newest.quality) == (420, at(30), Quality.MEASURED)


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        pytest.param(energy("m-it", 161, 5), "61 s ahead", id="a clock more than a minute ahead"),
        pytest.param(energy("m-it", -36 * 86_400, 5), "older than 35 days", id="too old"),
        pytest.param(energy("m-it", 0, -1), "not a register's value", id="below zero"),
        pytest.param(energy("m-it", 0, 1e13), "not a register's value", id="too large"),
        pytest.param(energy("m-no", 0, 5), "no such meter", id="unknown meter"),
        pytest.param(energy("m-no/outlet-1", 0, 5), "no such meter", id="part of an unknown meter"),
        pytest.param(energy("m-other", 0, 5), "no such meter", id="another site's"),
        pytest.param(gpu(0, float("nan")), "not a number", id="not a number"),
    ],
)
def test_a_reading_that_cannot_be_taken_is_told_and_leaves_the_others_alone(
    sqlite_engine: Engine, reading: Reading, words: str
) -> None:
    prepare(sqlite_engine)
    with writing(sqlite_engine) as connection:
        taken = send(connection, "b1", [gpu(0, 400), reading], 100)
    assert (taken.accepted, taken.duplicates) == (1, 0)
    assert len(taken.refused) == 1
    assert words in taken.refused[0]


def test_a_reading_up_to_a_minute_ahead_is_taken(sqlite_engine: Engine) -> None:
    prepare(sqlite_engine)
    with writing(sqlite_engine) as connection:
        taken = send(connection, "b1", [energy("m-it", 160, 5)], 100)
    assert (taken.accepted, taken.refused) == (1, ())


def test_clock_skew_is_told(sqlite_engine: Engine) -> None:
    prepare(sqlite_engine)
    with writing(sqlite_engine) as connection:
        batch = a_batch("b1", [], sent_s=45)
        taken = store.ingest(connection, batch, "d", at(0))
    assert taken.clock_skew_s == 45


def test_each_source_keeps_its_newest_word_and_when_it_was_last_up(engine: Engine) -> None:
    prepare(engine)
    batches = [
        [report(0), report(10), report(20, is_up=False)],
        [report(5, is_up=False)],
        [report(30, is_up=False), report(30, source="host")],
    ]
    with writing(engine) as connection:
        for number, reports in enumerate(batches):
            store.ingest(connection, a_batch(f"b{number}", [], reports=reports), "d", at(30))
        host, nvml = store.source_states(connection, SITE)
        assert store.source_states(connection, "other") == ()
    assert (host.source, host.is_up, host.up_at) == ("host", True, at(30))
    assert (nvml.is_up, nvml.error, nvml.polled_at, nvml.up_at) == (
        False,
        "no driver",
        at(30),
        at(10),
    )


def test_meters_are_registered_again_with_what_changed_but_never_at_another_site(
    engine: Engine,
) -> None:
    prepare(engine)
    with writing(engine) as connection:
        store.register_meters(connection, [a_meter("m-it", MeterRole.FACILITY)])
        send(connection, "b1", [energy("m-it", 0, 0), energy("m-it", 900, 10)], 900)
        figure = store.energy_wh(connection, SITE, MeterRole.FACILITY, START, at(900))
        with pytest.raises(Conflict, match="belongs to another site"):
            store.register_meters(connection, [a_meter("m-other", site_id=SITE)])
    assert figure.wh == 10


def test_pruning_forgets_old_batches(engine: Engine) -> None:
    prepare(engine)
    with writing(engine) as connection:
        send(connection, "b1", [gpu(0, 400)], 1)
        send(connection, "b2", [gpu(90_000, 400)], 90_000)
        gone = store.prune(connection, START + timedelta(hours=1))
        left = connection.scalars(select(telemetry_batch.c.id)).all()
    assert (gone, list(left)) == (1, ["b2"])


def test_a_part_of_a_meter_is_kept_as_samples_and_makes_no_energy_of_the_whole(
    engine: Engine,
) -> None:
    prepare(engine)
    with writing(engine) as connection:
        store.register_meters(connection, [a_meter("m-it/outlet-2", MeterRole.OTHER)])
    for second, outlet_wh in ((0, 1_000), (900, 9_000)):
        batch = [
            energy("m-it", second, 5 + second / 9),
            energy("m-it/outlet-1", second, outlet_wh),
            energy("m-it/outlet-2", second, outlet_wh / 100),
        ]
        with writing(engine) as connection:
            receipt = send(connection, f"b{second}", batch, second + 1)
        assert (receipt.accepted, receipt.refused) == (3, ())
    with writing(engine) as connection:
        whole = sum(window.energy_mwh for window in stored_windows(connection, "m-it").values())
        own = stored_windows(connection, "m-it/outlet-2")
        part = stored_windows(connection, "m-it/outlet-1")
    assert whole == 100_000
    assert sum(window.energy_mwh for window in own.values()) == 80_000
    assert part == {}
