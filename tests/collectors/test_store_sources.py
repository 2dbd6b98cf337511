"""Sources come with their reports and go with their agent's list, in whatever order both arrive."""

import pytest
from sqlalchemy import Engine
from telemetry_builders import SITE, a_batch, add_site, at

from collectors import store
from suanwang.db.engine import reading, writing
from suanwang.model.reading import SourceListing, SourceReport
from suanwang.model.source import Standing, standing


def report(source: str, seconds: float, interval_s: float = 15.0) -> SourceReport:
    return SourceReport(
        source=source, is_up=True, duration_s=0.1, at=at(seconds), interval_s=interval_s
    )


def take(
    engine: Engine,
    name: str,
    *reports: SourceReport,
    listed: tuple[float, frozenset[str]] | None = None,
) -> None:
    listing = SourceListing(at=at(listed[0]), sources=listed[1]) if listed else None
    batch = a_batch(name, [], reports=reports, listing=listing)
    with writing(engine) as connection:
        store.ingest(connection, batch, "d", at(0))


def retired(engine: Engine) -> dict[str, float | None]:
    """Return of each source when it was retired, in seconds of the test."""
    with reading(engine) as connection:
        states = store.source_states(connection, SITE, with_retired=True)
    return {
        one.source: (one.retired_at - at(0)).total_seconds() if one.retired_at else None
        for one in states
    }


@pytest.fixture
def site(engine: Engine) -> Engine:
    with writing(engine) as connection:
        add_site(connection)
        add_site(connection, "other")
    return engine


def test_a_source_that_is_not_in_the_list_retires_and_is_shown_on_demand(site: Engine) -> None:
    take(site, "b1", report("stays", 10), report("goes", 10))
    other = a_batch("o1", [], site_id="other", reports=[report("goes", 10)])
    with writing(site) as connection:
        store.ingest(connection, other, "d", at(0))
    take(site, "b2", listed=(20, frozenset({"stays", "to come"})))
    assert retired(site) == {"stays": None, "goes": 20}
    with reading(site) as connection:
        assert [one.source for one in store.source_states(connection, SITE)] == ["stays"]
        assert [one.source for one in store.source_states(connection, "other")] == ["goes"]


def test_an_empty_list_retires_all(site: Engine) -> None:
    take(site, "b1", report("a", 10), report("b", 10))
    take(site, "b2", listed=(20, frozenset()))
    assert retired(site) == {"a": 20, "b": 20}


def test_a_retired_source_is_back_with_its_next_report_or_list(site: Engine) -> None:
    take(site, "b1", report("a", 10), report("b", 10))
    take(site, "b2", listed=(20, frozenset()))
    take(site, "b3", report("a", 30))
    assert retired(site) == {"a": None, "b": 20}
    take(site, "b4", listed=(40, frozenset({"a", "b"})))
    assert retired(site) == {"a": None, "b": None}


def test_what_comes_late_or_again_changes_nothing(site: Engine) -> None:
    take(site, "b1", report("a", 10))
    take(site, "b2", listed=(20, frozenset({"b"})))
    take(site, "b3", report("b", 25))
    take(site, "late report", report("a", 15))
    take(site, "old list", listed=(5, frozenset({"a"})))
    take(site, "b2", listed=(20, frozenset({"b"})))
    assert retired(site) == {"a": 20, "b": None}


def test_a_source_that_began_after_the_list_is_none_of_its_business(site: Engine) -> None:
    take(site, "b1", report("new", 30))
    take(site, "b2", listed=(20, frozenset({"old"})))
    assert retired(site) == {"new": None}


@pytest.mark.parametrize(
    ("interval_s", "age_s", "expected"),
    [
        pytest.param(15, 60, Standing.FRESH, id="a minute is fresh"),
        pytest.param(15, 61, Standing.STALE, id="more is stale"),
        pytest.param(15, 300, Standing.STALE, id="up to five minutes"),
        pytest.param(15, 301, Standing.LOST, id="then it is lost"),
        pytest.param(600, 1_200, Standing.FRESH, id="two slow polls"),
        pytest.param(600, 3_000, Standing.STALE, id="five slow polls"),
        pytest.param(600, 3_001, Standing.LOST, id="more than five"),
        pytest.param(0, 61, Standing.STALE, id="no interval is told"),
    ],
)
def test_a_source_stands_by_its_own_pace(
    interval_s: float, age_s: float, expected: Standing
) -> None:
    assert standing(interval_s, at(0), None, at(age_s)) is expected


def test_a_source_that_was_never_up_is_lost_and_a_retired_one_neither() -> None:
    assert standing(15, None, None, at(0)) is Standing.LOST
    assert standing(15, None, at(0), at(0)) is Standing.RETIRED
