"""Limits of the yearly PUE by the class of a site: policy, each with its day and its source."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from suanwang.errors import BadInput
from suanwang.model.site import SiteClass


@dataclass(frozen=True, slots=True, kw_only=True)
class PueLimit:
    """What a policy asks of sites of some classes from a day on; ``mark`` is how far to trust it.

    A later limit with the same ``id`` takes the place of an earlier one.
    """

    id: str
    classes: frozenset[SiteClass]
    at_most: float
    since: date
    scope: str
    source: str
    mark: str


def limits_of(limits: Sequence[PueLimit], site_class: SiteClass, day: date) -> tuple[PueLimit, ...]:
    """Return what is in force for a class on a day, the strictest first."""
    newest: dict[str, PueLimit] = {}
    for one in sorted(limits, key=lambda each: each.since):
        if site_class in one.classes and one.since <= day:
            newest[one.id] = one
    return tuple(sorted(newest.values(), key=lambda each: (each.at_most, each.id)))


def limit_of(limits: Sequence[PueLimit], site_class: SiteClass, day: date) -> PueLimit:
    """Return the strictest limit of a class on a day; raise BadInput before the first."""
    found = limits_of(limits, site_class, day)
    if not found:
        raise BadInput(
            f"no limit of PUE is in force for sites of the class {site_class} on {day.isoformat()}",
            next_step="give the site a pue_limit of its own",
        )
    return found[0]
