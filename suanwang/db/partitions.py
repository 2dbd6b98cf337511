"""Large tables in parts by time, on PostgreSQL; on SQLite they are plain tables.

A part holds a month or a day of UTC. Parts are made ahead, at the start of a centre and by its
upkeep. Rows of a time without a part go into the default part, so that nothing is ever refused; the
next upkeep makes the missing part and moves them there.

For an owner of the tables who lets another role run the centre: ``python -m suanwang.db.schema
partitions URL`` does the upkeep.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, Engine, MetaData, Table, text
from sqlalchemy.exc import OperationalError

from suanwang.clock import from_epoch_ms, to_epoch_ms
from suanwang.db.engine import writing

_LOG = logging.getLogger(__name__)

BACK: Final = timedelta(days=35)
"""Parts are made for the past too: readings may be so late."""
STRAYS_MAX: Final = 500
"""Most parts that one upkeep makes for rows in a default part."""
LOCK_TIMEOUT: Final = "5s"
"""A change of the parts gives up after this long, and is tried again: meanwhile others wait."""
_LOCK: Final = 0x5A_4E_57_50
_NOT_IN_TIME: Final = "55P03"


class Grain(StrEnum):
    """How long a part is."""

    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parted:
    """A table in parts: by which column, how long they are, and how many are made ahead."""

    table: str
    column: str
    grain: Grain
    ahead: int
    is_ms: bool = False

    @property
    def default(self) -> str:
        """The part for rows of a time that has none."""
        return f"{self.table}_default"

    def name(self, start: datetime) -> str:
        """Return the name of the part that begins then."""
        return f"{self.table}_{start:{_FORMS[self.grain]}}"

    def start(self, moment: datetime) -> datetime:
        """Return the start of the part in which a moment is."""
        day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return day if self.grain is Grain.DAY else day.replace(day=1)

    def after(self, start: datetime) -> datetime:
        """Return the start of the part after the one that begins then."""
        return self.start(start + timedelta(days=1 if self.grain is Grain.DAY else 31))

    def literal(self, moment: datetime) -> str:
        """Return a moment as it stands in the SQL of a border."""
        return str(to_epoch_ms(moment)) if self.is_ms else f"'{moment.isoformat()}'"

    def moment(self, value: "datetime | int") -> datetime:
        """Return a value of the column as a moment."""
        return from_epoch_ms(value) if isinstance(value, int) else value

    def wanted(self, now: datetime) -> list[datetime]:
        """Return the start of each part that should be there."""
        starts = [self.start(now - BACK)]
        while starts[-1] <= now:
            starts.append(self.after(starts[-1]))
        for _ in range(self.ahead - 1):
            starts.append(self.after(starts[-1]))
        return starts

    def start_of_name(self, name: str) -> datetime | None:
        """Return the start of the part with this name, or None for the default part."""
        digits = name.rpartition("_")[2]
        if not digits.isdecimal():
            return None
        return datetime.strptime(digits, _FORMS[self.grain]).replace(tzinfo=UTC)


_FORMS: Final = {Grain.DAY: "%Y%m%d", Grain.MONTH: "%Y%m"}

WINDOWS: Final = Parted(table="energy_window", column="start_at", grain=Grain.MONTH, ahead=2)
CHUNKS: Final = Parted(
    table="sample_chunk", column="start_ms", grain=Grain.DAY, ahead=7, is_ms=True
)
PARTED: Final = (WINDOWS, CHUNKS)

_PART: Final = re.compile(rf"({'|'.join(each.table for each in PARTED)})_([0-9]{{6,8}}|default)")


def is_part(name: str) -> bool:
    """Return whether a table is a part of another one."""
    return bool(_PART.fullmatch(name))


def default_statements(table: str, dialect: str) -> tuple[str, ...]:
    """Return the SQL that makes the default part of a table that is in parts."""
    if dialect != "postgresql":
        return ()
    return tuple(
        f"CREATE TABLE {each.default} PARTITION OF {each.table} DEFAULT"
        for each in PARTED
        if each.table == table
    )


def default_of_created(
    _metadata: MetaData, connection: Connection, tables: Sequence[Table] = (), **_options: object
) -> None:
    """Make the default parts of those tables that ``create_all`` has just made."""
    for table in tables:
        for statement in default_statements(table.name, connection.dialect.name):
            connection.execute(text(statement))


@dataclass(frozen=True, slots=True, kw_only=True)
class PartFacts:
    """How a table in parts does: its parts, how many lie ahead, and rows that have none.

    ``missing`` are parts that should be there by now, for the past and ahead.
    """

    table: str
    parts: int
    ahead: int
    strays: int
    missing: int


def facts(connection: Connection, now: datetime) -> tuple[PartFacts, ...]:
    """Return how each table in parts does; nothing on SQLite.

    Of rows without a part 10,000 are counted at most.
    """
    if connection.dialect.name != "postgresql":
        return ()
    return tuple(_facts(connection, each, now) for each in PARTED)


def _facts(connection: Connection, parted: Parted, now: datetime) -> PartFacts:
    starts = starts_of(connection, parted)
    strays = connection.scalar(
        text(f"SELECT count(*) FROM (SELECT 1 FROM {parted.default} LIMIT 10000) AS found")  # noqa: S608
    )
    return PartFacts(
        table=parted.table,
        parts=len(starts),
        ahead=sum(start > now for start in starts),
        strays=int(strays or 0),
        missing=len(set(parted.wanted(now)) - set(starts)),
    )


def starts_of(connection: Connection, parted: Parted) -> list[datetime]:
    """Return the start of each part that is there, in order of time."""
    names = connection.scalars(
        text(
            "SELECT part.relname FROM pg_inherits JOIN pg_class part ON part.oid = inhrelid"
            " WHERE inhparent = to_regclass(:table)"
        ),
        {"table": parted.table},
    )
    found = (parted.start_of_name(name) for name in names)
    return sorted(start for start in found if start is not None)


def may_change(connection: Connection, parted: Parted) -> bool:
    """Return whether our role may make and drop parts: whether it owns the table."""
    return bool(
        connection.scalar(
            text(
                "SELECT pg_has_role(current_user, relowner, 'USAGE') FROM pg_class"
                " WHERE oid = to_regclass(:table)"
            ),
            {"table": parted.table},
        )
    )


class Busy(Exception):
    """Others use a table for longer than a change of its parts waits; nothing was changed."""


@contextmanager
def changing(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that changes parts; raise Busy where others use the table for long."""
    try:
        with writing(engine) as connection:
            yield connection
    except OperationalError as failure:
        if getattr(failure.orig, "sqlstate", "") != _NOT_IN_TIME:
            raise
        raise Busy from failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What an upkeep did: parts made, and rows moved into them out of the default part."""

    parts: int = 0
    moved: int = 0


def make_ahead(engine: Engine, now: datetime) -> Made:
    """Make the parts that are missing; what could not be made now is told and left for later.

    Any number of processes may do so at once.
    """
    if engine.dialect.name != "postgresql":
        return Made()
    parts = moved = 0
    for parted in PARTED:
        try:
            for rows in _make_missing(engine, parted, now):
                parts, moved = parts + 1, moved + rows
        except Busy:
            _LOG.warning("a part is not made yet: others use the table", extra=_of(parted))
    if parts:
        _LOG.info("parts of tables made", extra={"parts": parts, "moved": moved})
    return Made(parts=parts, moved=moved)


def _make_missing(engine: Engine, parted: Parted, now: datetime) -> Iterator[int]:
    """Make parts one by one, each in a transaction; yield how many rows moved into each."""
    with writing(engine) as connection:
        there = set(starts_of(connection, parted))
        missing = [start for start in parted.wanted(now) if start not in there]
        stray = _stray(connection, parted)
        if (missing or stray) and not may_change(connection, parted):
            _LOG.error(
                "parts are missing, and this role does not own the table; as its owner run"
                " python -m suanwang.db.schema partitions URL",
                extra=_of(parted) | {"missing": len(missing)},
            )
            return
    for start in missing:
        yield from _make(engine, parted, start)
    for _ in range(STRAYS_MAX):
        with writing(engine) as connection:
            stray = _stray(connection, parted)
        if stray is None:
            return
        _LOG.warning("rows of a time without a part", extra=_of(parted) | {"of": stray.isoformat()})
        yield from _make(engine, parted, stray)


def _of(parted: Parted) -> dict[str, object]:
    return {"table": parted.table}


def _stray(connection: Connection, parted: Parted) -> datetime | None:
    """Return the start of the part that the oldest row in the default part belongs to."""
    oldest = connection.scalar(
        text(f"SELECT min({parted.column}) FROM {parted.default}")  # noqa: S608 - our own names
    )
    return None if oldest is None else parted.start(parted.moment(oldest))


def _make(engine: Engine, parted: Parted, start: datetime) -> Iterator[int]:
    """Make a part beside the table, move its rows there, and attach it: readers do not wait.

    Yields nothing where another process was first.
    """
    name, low, high = parted.name(start), *map(parted.literal, (start, parted.after(start)))
    own = f"{parted.column} >= {low} AND {parted.column} < {high}"
    with changing(engine) as connection:
        take_turn(connection)
        if connection.scalar(text("SELECT to_regclass(:name)"), {"name": name}) is not None:
            return
        # Nobody may add a row for the new part to the default part meanwhile.
        connection.execute(text(f"LOCK TABLE {parted.default} IN EXCLUSIVE MODE"))
        connection.execute(text(f"CREATE TABLE {name} (LIKE {parted.table} INCLUDING ALL)"))
        moved = connection.execute(
            text(
                f"WITH gone AS (DELETE FROM {parted.default} WHERE {own} RETURNING *)"  # noqa: S608
                f" INSERT INTO {name} SELECT * FROM gone"
            )
        ).rowcount
        connection.execute(
            text(
                f"ALTER TABLE {parted.table} ATTACH PARTITION {name}"
                f" FOR VALUES FROM ({low}) TO ({high})"
            )
        )
    yield moved


def take_turn(connection: Connection) -> None:
    """Let one process at a time change parts, and none hold up others for long."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))


def over_before(connection: Connection, parted: Parted, moment: datetime) -> list[datetime]:
    """Return the start of each part that ends at a moment or before."""
    return [start for start in starts_of(connection, parted) if parted.after(start) <= moment]


def lock_to_drop(connection: Connection, parted: Parted) -> None:
    """Wait until nobody uses the table, in the turn that was taken."""
    connection.execute(text(f"LOCK TABLE {parted.table} IN ACCESS EXCLUSIVE MODE"))


def drop(connection: Connection, parted: Parted, start: datetime) -> None:
    """Drop a part with its rows."""
    connection.execute(text(f"DROP TABLE {parted.name(start)}"))
