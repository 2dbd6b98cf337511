"""A reservation: units of a pool that only some may use for some time."""

from dataclasses import dataclass
from datetime import datetime

from suanwang.ids import PoolId


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """``units`` of a pool for the jobs of ``tenants``, and for ``jobs`` (by submission id).

    One that was ended early has its end then, and who ended it. It is never changed otherwise.
    """

    id: str
    pool_id: PoolId
    units: int
    from_at: datetime
    until_at: datetime
    tenants: tuple[str, ...]
    jobs: tuple[str, ...]
    reason: str
    actor: str
    made_at: datetime
    ended_by: str = ""
