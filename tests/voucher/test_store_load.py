"""How busy units were comes from the telemetry record, with its coverage and its quality."""

import pytest
from sqlalchemy import Engine
from telemetry_builders import SITE, START, add_site, at, send

from collectors.upkeep import RawUpkeep
from suanwang.clock import VirtualClock
from suanwang.db.engine import reading, writing
from suanwang.model.reading import Quality, Reading
from voucher.reports.flags import Load
from voucher.store_load import load, metric_of

MINUTE, HOUR = 60, 3_600


def busy(minute: int, value: float, quality: Quality = Quality.MEASURED) -> Reading:
    """A reading of one unit."""
    return Reading(
        subject="gpu:1",
        metric="utilisation_ratio",
        value=value,
        at=at(minute * MINUTE),
        quality=quality,
    )


@pytest.fixture
def centre(engine: Engine) -> Engine:
    """An hour: busy in the first quarter, idle in the second, nothing read in the others."""
    readings = [busy(minute, 0.5) for minute in range(15)]
    readings += [busy(minute, 0.0) for minute in range(15, 29)]
    readings.append(busy(29, 0.0, Quality.ESTIMATED))
    with writing(engine) as connection:
        add_site(connection)
        send(connection, "b1", readings, HOUR)
    return engine


def measured(engine: Engine, metric: str = "utilisation_ratio") -> Load | None:
    """Return the load of the hour."""
    with reading(engine) as connection:
        return load(connection, SITE, metric, START, at(HOUR))


def test_a_load_says_its_quarters_its_coverage_and_its_worst_quality(centre: Engine) -> None:
    expected = Load(
        mean_ppm=250_000,
        low_ppm=0,
        high_ppm=500_000,
        coverage_ppm=500_000,
        quality="estimated",
    )
    assert measured(centre) == expected
    RawUpkeep(centre, VirtualClock(at(30 * 24 * HOUR))).run()
    assert measured(centre) == expected


def test_a_load_that_nobody_read_is_none(centre: Engine) -> None:
    assert measured(centre, "cpu_ratio") is None


def test_the_metric_follows_from_the_kind_of_unit() -> None:
    assert (metric_of("cpu"), metric_of("a100")) == ("cpu_ratio", "utilisation_ratio")
