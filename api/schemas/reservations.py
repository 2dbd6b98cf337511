"""Reservations on the wire."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from api.schemas.common import In, Name, Out

Holder = Annotated[str, Field(min_length=1, max_length=128)]
Holders = Annotated[tuple[Holder, ...], Field(max_length=100)]


class ReservationIn(In):
    """Units of a pool for the jobs of tenants, and for jobs by submission id."""

    pool_id: Name
    units: int = Field(ge=1, le=1_000_000)
    from_at: AwareDatetime
    until_at: AwareDatetime
    tenants: Holders = ()
    jobs: Holders = ()
    reason: str = Field(default="", max_length=500)


class ReservationOut(Out):
    """A reservation; ``ended_by`` names who ended it early."""

    id: str
    pool_id: str
    units: int
    from_at: AwareDatetime
    until_at: AwareDatetime
    tenants: list[str]
    jobs: list[str]
    reason: str
    actor: str
    made_at: AwareDatetime
    ended_by: str


class ReservationList(Out):
    """Reservations, the next to begin first."""

    items: list[ReservationOut]
