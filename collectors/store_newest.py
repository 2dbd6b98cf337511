"""Conditions on windows that several queries share."""

from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, and_, bindparam, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from suanwang.db.tables import energy_window
from suanwang.model.meter import WindowState


class _Pruning(GenericFunction[bool]):
    """A condition that only says in which parts of a table to look; SQLite has no parts.

    There it is always true: with the condition itself SQLite would look through the whole period
    for each window, instead of into the window's own key.
    """

    inherit_cache = True


@compiles(_Pruning)
def _as_it_stands(element: _Pruning, compiler: Any, **more: Any) -> str:
    return str(compiler.process(element.clauses, **more))


@compiles(_Pruning, "sqlite")
def _always(element: _Pruning, compiler: Any, **more: Any) -> str:
    return "1"


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
            _Pruning(and_(newer.c.start_at >= start, newer.c.start_at < end)),
        )
        .exists()
    )


def is_provisional() -> ColumnElement[bool]:
    """Return the condition that a window is provisional, written so that its index is used."""
    word: BindParameter[str] = bindparam(None, WindowState.PROVISIONAL.value, literal_execute=True)
    return energy_window.c.state == word
