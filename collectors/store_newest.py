"""Conditions on windows that several queries share."""

from datetime import datetime

from sqlalchemy import BindParameter, ColumnElement, bindparam, select

from suanwang.db.tables import energy_window
from suanwang.model.meter import WindowState


def is_newest_window(start: datetime, end: datetime) -> ColumnElement[bool]:
    """Return the condition that a window of a period has no later revision.

    The period stands in it once more, since the database does not see by itself that a later
    revision lies in the same month, and would look into all of them.
    """
    newer, window = energy_window.alias("newer"), energy_window.c
    return (
        ~select(newer.c.revision)
        .where(
            newer.c.meter_id == window.meter_id,
            newer.c.start_at == window.start_at,
            newer.c.revision > window.revision,
            newer.c.start_at >= start,
            newer.c.start_at < end,
        )
        .exists()
    )


def is_provisional() -> ColumnElement[bool]:
    """Return the condition that a window is provisional, written so that its index is used."""
    word: BindParameter[str] = bindparam(None, WindowState.PROVISIONAL.value, literal_execute=True)
    return energy_window.c.state == word
