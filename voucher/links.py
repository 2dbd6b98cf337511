"""Follows the chain through a part of the journal, over the rows of the database's own driver.

That takes half the time of SQLAlchemy's rows, and a process that imports only this begins at once:
``python -m voucher.links`` reads an ``Order`` as a line of JSON and answers with another, the link
that the part reaches (``{"link": …}``) or what is wrong with it (``{"broken": …}``).
"""

import json
import sqlite3
import sys
from collections.abc import Generator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from voucher.chain import link_bytes, microseconds

if TYPE_CHECKING:
    from psycopg import Connection as Postgres

PAGE: Final = 500
"""Rows read at once: few enough to stay near the processor."""
_TEXTS: Final = "key, kind, tenant_id, body, balances, moves, late_for"
_SELECT: Final = f"SELECT seq, at, chain, digest, {_TEXTS} FROM journal"  # noqa: S608 - ours
_BODY: Final = 3


class Part(NamedTuple):
    """The entries above ``after`` and up to ``until``, and the link that is said to be before."""

    after: int
    until: int
    former: str


class Source(NamedTuple):
    """Where the journal is: a file of SQLite, or settings of PostgreSQL and a snapshot."""

    backend: Literal["sqlite", "postgresql"]
    address: str
    snapshot: str = ""


class Order(NamedTuple):
    """What another process is to follow."""

    source: Source
    part: Part
    with_digests: bool


def follow(driver: "sqlite3.Connection | Postgres[Any]", part: Part, *, with_digests: bool) -> str:
    """Return the link of a part's last entry; raise ValueError at the first that does not follow.

    ``with_digests`` also compares each request with its digest, which no link covers.
    """
    former, seq = bytes.fromhex(part.former), part.after
    newest: datetime | str | None = None
    at_us = 0
    with closing(stored_rows(driver, part.after, part.until)) as rows:
        for number, at, chain, digest, *texts in rows:
            seq += 1
            if at != newest:
                newest, at_us = at, _microseconds(at)
            former = link_bytes(former, number, at_us, texts)
            if number != seq or former.hex() != chain:
                raise ValueError(f"the chain breaks at entry {seq}")
            if with_digests and sha256(texts[_BODY].encode()).hexdigest() != digest:
                raise ValueError(f"entry {seq}: its request does not match its digest")
    if seq != part.until:
        raise ValueError(f"the chain breaks at entry {seq + 1}")
    return former.hex()


def stored_rows(
    driver: "sqlite3.Connection | Postgres[Any]", after: int, until: int
) -> Generator[Sequence[Any]]:
    """Yield number, moment, link, digest and the seven texts of entries above a number, in order.

    They come in pages, so any number of entries takes little memory.
    """
    if isinstance(driver, sqlite3.Connection):
        query = f"{_SELECT} WHERE seq > ? AND seq <= ? ORDER BY seq"
        with closing(driver.execute(query, (after, until))) as lite:
            while page := lite.fetchmany(PAGE):
                yield from page
    else:
        # A cursor of the server's, since one of the driver's would take all rows at once.
        query = f"{_SELECT} WHERE seq > %s AND seq <= %s ORDER BY seq"
        with driver.cursor(f"journal after {after}") as cursor:
            cursor.execute(query, (after, until), binary=True)
            while page := cursor.fetchmany(PAGE):
                yield from page


def _microseconds(at: datetime | str) -> int:
    """Return a moment as a driver gives it, as whole microseconds since 1970."""
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    return microseconds(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment)


def main() -> None:
    """Follow the part that is ordered on the standard input."""
    source, part, with_digests = json.loads(sys.stdin.readline())
    with closing(_open(Source(*source))) as driver:
        try:
            answer = {"link": follow(driver, Part(*part), with_digests=with_digests)}
        except ValueError as broken:
            answer = {"broken": str(broken)}
    sys.stdout.write(json.dumps(answer) + "\n")


def _open(source: Source) -> "sqlite3.Connection | Postgres[Any]":
    if source.backend == "sqlite":
        return sqlite3.connect(f"{Path(source.address).as_uri()}?mode=ro", uri=True)
    # Here, since a process for SQLite would load it for nothing.
    from psycopg import IsolationLevel, connect, sql

    driver = connect(source.address)
    driver.isolation_level = IsolationLevel.REPEATABLE_READ
    driver.read_only = True
    driver.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(source.snapshot)))
    return driver


if __name__ == "__main__":
    main()
