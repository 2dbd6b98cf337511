"""Large tables lie in parts by time on PostgreSQL: made ahead, healed, and looked into alone."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, Select, select, text
from sqlalchemy.exc import DBAPIError
from telemetry_builders import SITE, add_site

from collectors import store_chunks
from collectors.store_newest import is_newest_window
from suanwang import chunk
from suanwang.clock import to_epoch_ms
from suanwang.db import partitions, samples, schema
from suanwang.db.engine import open_engine, reading, writing
from suanwang.db.partitions import CHUNKS, PARTED, WINDOWS, Grain, Made
from suanwang.db.tables import energy_window, metadata, meter, sample_chunk, series
from suanwang.db.triggers import role_statements

NOW = datetime(2026, 11, 21, 15, 30, tzinfo=UTC)
pytestmark = pytest.mark.postgresql


@pytest.mark.parametrize(
    ("parted", "moment", "start", "after", "name"),
    [
        (WINDOWS, datetime(2026, 12, 31, 23, 59, 59, 999_999, UTC), (2026, 12, 1), (2027, 1, 1),
         "energy_window_202612"),
        (WINDOWS, datetime(2027, 1, 1, tzinfo=UTC), (2027, 1, 1), (2027, 2, 1),
         "energy_window_202701"),
        (WINDOWS, datetime(2028, 2, 29, 12, tzinfo=UTC), (2028, 2, 1), (2028, 3, 1),
         "energy_window_202802"),
        (CHUNKS, datetime(2026, 2, 28, 23, tzinfo=UTC), (2026, 2, 28), (2026, 3, 1),
         "sample_chunk_20260228"),
    ],
)  # fmt: skip
def test_borders_are_those_of_the_calendar_in_utc(
    parted: partitions.Parted,
    moment: datetime,
    start: tuple[int, int, int],
    after: tuple[int, int, int],
    name: str,
) -> None:
    begins = datetime(*start, tzinfo=UTC)
    assert parted.start(moment) == begins
    assert parted.after(begins) == datetime(*after, tzinfo=UTC)
    assert parted.name(begins) == name
    assert parted.start_of_name(name) == begins
    assert partitions.is_part(name)


@pytest.mark.parametrize("name", ["energy_window", "energy_windows_202601", "energy_day", "sample"])
def test_other_tables_are_no_parts(name: str) -> None:
    assert not partitions.is_part(name)


def test_parts_reach_from_the_oldest_late_reading_to_ahead() -> None:
    assert [f"{start:%Y-%m}" for start in WINDOWS.wanted(NOW)] == [
        "2026-10", "2026-11", "2026-12", "2027-01",
    ]  # fmt: skip
    days = CHUNKS.wanted(NOW)
    assert days[0] <= NOW - timedelta(days=35) < CHUNKS.after(days[0])
    assert days[-1] == datetime(2026, 11, 28, tzinfo=UTC)
    assert len(days) == 35 + 1 + 7


@pytest.fixture
def centre(postgres_engine: Engine) -> Engine:
    """A database with a site, a meter and a series, and no parts but the default ones."""
    fill(postgres_engine)
    return postgres_engine


def fill(engine: Engine) -> None:
    """Write a site, a meter and a series."""
    with writing(engine) as connection:
        add_site(connection)
        connection.execute(
            meter.insert().values(
                id="m1", site_id=SITE, name="m", role="it", category="PUE1", carrier="electricity",
                rated_w=1_000, resolution_wh=1.0, modulus_wh=0, poll_s=60.0,
            )
        )  # fmt: skip
        connection.execute(
            series.insert().values(
                id=1, site_id=SITE, subject="meter:m1", metric="energy_wh", labels={}
            )
        )


def add_window(connection: Connection, start: datetime, revision: int = 0) -> None:
    """Write a window."""
    connection.execute(
        energy_window.insert().values(
            meter_id="m1", start_at=start, revision=revision, energy_mwh=1, covered_ms=900_000,
            interpolated_ms=0, estimated_ms=0, quality="measured", source="register",
            state="final", reason="", updated_at=start,
        )
    )  # fmt: skip


def add_chunk(connection: Connection, start: datetime) -> None:
    """Write an hour of samples."""
    at_ms = to_epoch_ms(start)
    body = chunk.encode(chunk.columns([at_ms], [5.0], ["measured"]))
    connection.execute(
        sample_chunk.insert().values(
            series_id=1, start_ms=at_ms, first_ms=at_ms, last_ms=at_ms, samples=1, body=body
        )
    )


def where(engine: Engine, table: str) -> list[str]:
    """Return in which part each row of a table lies, in order of time."""
    column = {each.table: each.column for each in PARTED}[table]
    with reading(engine) as connection:
        found = connection.scalars(
            text(f"SELECT tableoid::regclass::text FROM {table} ORDER BY {column}")  # noqa: S608
        )
        return list(found)


def test_parts_are_made_once_whoever_begins(centre: Engine) -> None:
    with ThreadPoolExecutor(4) as centres:
        made = list(centres.map(lambda _: partitions.make_ahead(centre, NOW), range(4)))
    assert sum(each.parts for each in made) == 4 + 43
    assert partitions.make_ahead(centre, NOW) == Made()
    assert partitions.make_ahead(centre, NOW + timedelta(days=10)) == Made(parts=11)
    with reading(centre) as connection:
        found = partitions.facts(connection, NOW)
    assert [(each.table, each.parts, each.ahead, each.strays) for each in found] == [
        ("energy_window", 5, 3, 0),
        ("sample_chunk", 53, 17, 0),
    ]


def test_rows_lie_in_the_month_of_their_start(centre: Engine) -> None:
    partitions.make_ahead(centre, NOW)
    borders = [
        datetime(2026, 10, 31, 23, 45, tzinfo=UTC),
        datetime(2026, 11, 1, tzinfo=UTC),
        datetime(2026, 11, 30, 23, 45, tzinfo=UTC),
        datetime(2026, 12, 1, tzinfo=UTC),
    ]
    with writing(centre) as connection:
        for start in borders:
            add_window(connection, start)
        add_chunk(connection, datetime(2026, 11, 20, 23, tzinfo=UTC))
        add_chunk(connection, datetime(2026, 11, 21, tzinfo=UTC))
    assert where(centre, "energy_window") == [
        "energy_window_202610", "energy_window_202611", "energy_window_202611",
        "energy_window_202612",
    ]  # fmt: skip
    assert where(centre, "sample_chunk") == ["sample_chunk_20261120", "sample_chunk_20261121"]


def test_rows_without_a_part_are_seen_and_the_upkeep_gives_them_theirs(
    centre: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    partitions.make_ahead(centre, NOW)
    months = [datetime(2024, 2, 29, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC),
              datetime(2026, 8, 31, tzinfo=UTC)]  # fmt: skip
    with writing(centre) as connection:
        for start in months:
            add_window(connection, start)
    assert set(where(centre, "energy_window")) == {"energy_window_default"}
    with reading(centre) as connection:
        assert [each.strays for each in partitions.facts(connection, NOW)] == [3, 0]
    assert partitions.make_ahead(centre, NOW) == Made(parts=2, moved=3)
    assert "rows of a time without a part" in caplog.text
    assert where(centre, "energy_window") == [
        "energy_window_202402", "energy_window_202402", "energy_window_202608",
    ]  # fmt: skip
    with reading(centre) as connection:
        assert [each.strays for each in partitions.facts(connection, NOW)] == [0, 0]


def test_a_change_gives_up_while_others_use_the_table_and_is_done_later(
    centre: Engine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "LOCK_TIMEOUT", "100ms")
    with writing(centre) as connection:
        connection.execute(text("LOCK TABLE energy_window IN SHARE MODE"))
        assert partitions.make_ahead(centre, NOW).parts == 43
    assert "others use the table" in caplog.text
    assert partitions.make_ahead(centre, NOW) == Made(parts=4)


def test_a_part_keeps_what_the_table_promises(centre: Engine) -> None:
    partitions.make_ahead(centre, NOW)
    with writing(centre) as connection:
        add_window(connection, NOW)
    with pytest.raises(DBAPIError, match="duplicate key"), writing(centre) as connection:
        add_window(connection, NOW)
    with pytest.raises(DBAPIError, match="foreign key"), writing(centre) as connection:
        connection.execute(text("DELETE FROM meter"))
    assert schema_difference(centre) == ""


def schema_difference(engine: Engine) -> str:
    """Return the difference between the declared tables and those of a database with parts."""
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num TEXT PRIMARY KEY)"))
        connection.execute(
            text("INSERT INTO alembic_version VALUES (:head)"), {"head": schema.head()}
        )
    return schema.difference(engine)


def lines(connection: Connection, query: Select[object]) -> str:
    """Return the plan of a query as text."""
    compiled = query.compile(connection, compile_kwargs={"literal_binds": True})
    return "\n".join(connection.scalars(text(f"EXPLAIN {compiled}")))


def test_a_question_about_a_month_looks_into_that_month_alone(centre: Engine) -> None:
    partitions.make_ahead(centre, NOW)
    low, high = datetime(2026, 11, 3, tzinfo=UTC), datetime(2026, 11, 4, tzinfo=UTC)
    query = select(energy_window.c.energy_mwh).where(
        energy_window.c.start_at >= low,
        energy_window.c.start_at < high,
        is_newest_window(low, high),
    )
    with reading(centre) as connection:
        plan = lines(connection, query)
    assert "energy_window_202611" in plan
    for other in ("202610", "202612", "default"):
        assert f"energy_window_{other}" not in plan


def test_samples_of_a_day_are_looked_for_in_that_day_alone(centre: Engine) -> None:
    partitions.make_ahead(centre, NOW)
    low = to_epoch_ms(datetime(2026, 11, 3, 5, tzinfo=UTC))
    query = select(sample_chunk.c.body).where(
        sample_chunk.c.series_id == 1,
        sample_chunk.c.start_ms >= samples.hour_of(low),
        sample_chunk.c.start_ms <= low + 3_600_000,
    )
    with reading(centre) as connection:
        plan = lines(connection, query)
    assert "sample_chunk_20261103" in plan
    assert "sample_chunk_20261102" not in plan
    assert "default" not in plan


@pytest.fixture
def guest(postgres_url: str) -> Iterator[Engine]:
    """An upgraded database, opened by a role with the rights that are printed for it."""
    owner = open_engine(postgres_url)
    schema.upgrade(owner)
    partitions.make_ahead(owner, NOW)
    with writing(owner) as connection:
        connection.execute(text("CREATE ROLE guest_of_parts LOGIN"))
        for statement in role_statements("guest_of_parts", tuple(metadata.tables)):
            connection.execute(text(statement))
    engine = open_engine(owner.url.set(username="guest_of_parts"))
    yield engine
    engine.dispose()
    with writing(owner) as connection:
        connection.execute(text("DROP OWNED BY guest_of_parts"))
        connection.execute(text("DROP ROLE guest_of_parts"))
    owner.dispose()


def test_who_does_not_own_the_tables_says_so_and_goes_on(
    guest: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    assert partitions.make_ahead(guest, NOW) == Made()
    assert not caplog.text
    later = NOW + timedelta(days=90)
    assert partitions.make_ahead(guest, later) == Made()
    assert "schema partitions URL" in caplog.text
    fill(guest)
    with writing(guest) as connection:
        add_window(connection, later)
        add_chunk(connection, NOW - timedelta(days=30))
        add_chunk(connection, NOW)
        assert [each.strays for each in partitions.facts(connection, later)] == [1, 0]
        # It forgets row by row; of a register the last reading stays.
        assert store_chunks.prune(connection, later - timedelta(days=35)) == 1
        assert store_chunks.drop_days(connection, later - timedelta(days=35)) == 0


def test_the_owner_makes_parts_by_a_command(
    postgres_engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    url = postgres_engine.url.render_as_string(hide_password=False)
    assert schema.main(["partitions", url]) == 0
    assert "parts made, 0 rows moved" in capsys.readouterr().out
    with reading(postgres_engine) as connection:
        assert all(each.ahead >= 2 for each in partitions.facts(connection, NOW))


def test_sqlite_has_plain_tables(sqlite_engine: Engine) -> None:
    assert partitions.make_ahead(sqlite_engine, NOW) == Made()
    with reading(sqlite_engine) as connection:
        assert partitions.facts(connection, NOW) == ()
    assert {each.grain for each in PARTED} == {Grain.DAY, Grain.MONTH}
