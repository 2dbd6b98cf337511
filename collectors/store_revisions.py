"""Rows that are never changed silently: once final, each change is a row of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Table, select, update

from collectors import quality

REASON_CHANGED: Final = "windows were revised"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """When and why a row is written; until a day after its end it is provisional."""

    end_at: datetime
    reason: str
    now: datetime


def revise(
    connection: Connection,
    table: Table,
    key: Mapping[str, object],
    sums: Mapping[str, int],
    change: Change,
    **more: object,
) -> bool:
    """Write sums where they differ from the newest revision under a key; return whether they did.

    Nothing at all is not written as a first revision.
    """
    newest = [*(table.c[name] == value for name, value in key.items()), table.c.is_newest]
    old = connection.execute(select(table).where(*newest)).first()
    if old is None and not any(sums.values()):
        return False
    if old is not None and all(getattr(old, name) == value for name, value in sums.items()):
        return False
    grows = old is not None and change.now - change.end_at < quality.FINAL_AFTER
    revision = 0 if old is None else old.revision + (not grows)
    row: dict[str, object] = {
        **sums,
        **more,
        "end_at": change.end_at,
        "state": quality.window_state(change.end_at, revision, change.now).value,
        "reason": change.reason or (REASON_CHANGED if revision else ""),
        "updated_at": change.now,
    }
    if grows:
        connection.execute(update(table).where(*newest).values(**row))
        return True
    connection.execute(update(table).where(*newest).values(is_newest=False))
    connection.execute(table.insert().values(**key, revision=revision, is_newest=True, **row))
    return True
