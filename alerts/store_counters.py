"""Error counters of devices: an edge is seen once, however often one looks or restarts.

A counter that is seen for the first time is where it is: only what it rises by from then on counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, or_, update

from alerts.store_signals import FRESH, newest_of
from collectors.store_samples import insert_new
from suanwang.clock import to_epoch_ms
from suanwang.db.tables import alert_counter, sample, series

CODES: Final = ("xid_last",)
"""Metrics that hold the last code: another code that is not 0 counts as one."""
COUNTERS: Final = (
    *CODES,
    "ecc_uncorrected_volatile_errors",
    "remapped_rows_uncorrected",
    "remap_failed_ratio",
)
"""Metrics that grow when something goes wrong for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A counter that is not where it was; ``former`` is None where it is new."""

    series_id: int
    metric: str
    at_ms: int
    value: float
    former: float | None

    @property
    def rise(self) -> float:
        """By how much it rose; 0 where it is new, or began again at 0."""
        if self.former is None:
            return 0.0
        if self.metric in CODES:
            return 1.0 if self.value and self.value != self.former else 0.0
        return max(0.0, self.value - self.former)


def moved(connection: Connection, now: datetime) -> tuple[Moved, ...]:
    """Return the counters that moved since they were seen last."""
    known = alert_counter.c
    query = (
        newest_of(COUNTERS, to_epoch_ms(now - FRESH))
        .add_columns(sample.c.value, sample.c.at_ms, known.value.label("former"))
        .outerjoin(alert_counter, known.series_id == series.c.id)
        .where(or_(known.series_id.is_(None), known.value != sample.c.value))
    )
    return tuple(
        Moved(
            series_id=row.id,
            metric=row.metric,
            at_ms=row.at_ms,
            value=row.value,
            former=row.former,
        )
        for row in connection.execute(query)
    )


def note(connection: Connection, found: Sequence[Moved], now: datetime) -> None:
    """Write down where counters are now."""
    fresh = [one for one in found if one.former is None]
    risen = [one for one in found if one.rise > 0]
    others = [one for one in found if one.former is not None and one.rise <= 0]
    if fresh:
        rows = [
            {"series_id": one.series_id, "value": one.value, "at_ms": one.at_ms, "rise": 0.0}
            for one in fresh
        ]
        connection.execute(insert_new(connection, alert_counter), rows)
    changed = update(alert_counter).where(alert_counter.c.series_id == bindparam("number"))
    for group, extra in ((risen, {"rise": bindparam("up"), "rose_at": now}), (others, {})):
        if group:
            connection.execute(
                changed.values(value=bindparam("seen"), at_ms=bindparam("seen_ms"), **extra),
                [
                    {"number": one.series_id, "seen": one.value, "seen_ms": one.at_ms}
                    | ({"up": one.rise} if extra else {})
                    for one in group
                ],
            )
