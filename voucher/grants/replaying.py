"""Stored applications as a list to try policies on: what was asked, and what was granted."""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from voucher.grants import store, store_programmes
from voucher.programmes.applicants import application_out


@dataclass(frozen=True, slots=True, kw_only=True)
class Applicants:
    """A page of a list; ``next`` is after which id the following page begins, or None."""

    applications: tuple[dict[str, object], ...]
    next: str | None


def applicants(
    connection: Connection, programme_id: str, *, after: str, limit: int, now: datetime
) -> Applicants:
    """Return those applications on which an award was decided, refusals among them.

    Facts are as the review left them, and only those that the policy knows; names and codes of
    papers stay behind. Who was withdrawn, returned or rejected by people is not in the list: no
    policy would have decided about it.
    """
    found = store.page(
        connection, store.Filter(programme_id=programme_id), after=after, limit=limit
    )
    listed = []
    for one in found:
        if one.award is None:
            continue
        known = store_programmes.find_programme(
            connection, one.programme_id, one.programme_version
        ).known
        asked = one.application(store.other_programmes(connection, one), now)
        listed.append(application_out(replace(asked, granted_fen=one.award.amount_fen), known))
    return Applicants(
        applications=tuple(listed), next=found[-1].id if len(found) == limit else None
    )
