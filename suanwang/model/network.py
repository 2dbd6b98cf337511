"""The compute network (算力一张网): what exists, what is free, and how old each fact is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from suanwang.energy.facility_fitted import FittedFacility
from suanwang.ids import PoolId, SiteId
from suanwang.model.reading import Quality
from suanwang.model.site import Pool, Site
from suanwang.model.site_terms import EnergyTerms

FRESH_FOR: Final = timedelta(seconds=60)
"""A fact is fresh this long after it was seen."""
USABLE_FOR: Final = timedelta(minutes=15)
"""After this, the last good value gives way to a conservative default."""


class Freshness(StrEnum):
    """Age of a fact: stale ones are shown with their age, lost ones are not used."""

    FRESH = "fresh"
    STALE = "stale"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A number with its age and its quality."""

    value: float
    at: datetime | None
    quality: Quality

    def freshness(self, now: datetime) -> Freshness:
        """Return whether the fact may still be used at ``now``."""
        if self.at is None or now - self.at > USABLE_FOR:
            return Freshness.LOST
        return Freshness.FRESH if now - self.at <= FRESH_FOR else Freshness.STALE


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolState:
    """A pool and how many of its units nothing of ours occupies.

    ``busy_until`` lists, for the units in use, when each is free again at the latest.
    ``nodes_free`` are the whole free units of each node, empty where they are not known.
    ``movable_units`` count as free here and are in use: of running jobs that are planned anew.
    """

    pool: Pool
    units_free: int
    busy_until: tuple[tuple[datetime, int], ...] = ()
    nodes_free: tuple[int, ...] = ()
    movable_units: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteState:
    """A site, its live facts, and whether jobs may be sent there now.

    ``it_power_w`` and ``facility_power_w`` are the newest meter readings; ``pue`` is the interim
    figure of the last day. ``agent_seen_at`` is the agent's last call. ``own_facility`` is the
    power curve fitted to the site's meters, where there is one. ``peak_w`` is the demand that the
    month is paid for anyway, None where that is not looked at, and ``peak_share`` how much of the
    month's rate a plan pays for a rise; ``drawn_w`` is the mean power so far in the running window
    of demand, None where no meter told it. ``charge_ratio`` is how full a battery is, where a
    source tells it. ``terms`` are what may be planned of its energy.
    """

    site: Site
    pools: tuple[PoolState, ...]
    it_power_w: Fact
    facility_power_w: Fact
    pue: Fact
    wet_bulb_c: Fact
    agent_seen_at: datetime | None
    is_reachable: bool
    is_open: bool = True
    own_facility: FittedFacility | None = None
    peak_w: float | None = None
    peak_share: float = 1.0
    drawn_w: float | None = None
    charge_ratio: Fact | None = None
    terms: EnergyTerms = field(default_factory=EnergyTerms)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeNetwork:
    """All sites as one picture at one moment; ``rtt_ms`` maps (origin, site) to round-trip time."""

    at: datetime
    sites: tuple[SiteState, ...]
    rtt_ms: Mapping[tuple[str, SiteId], float]

    def pool(self, pool_id: PoolId) -> PoolState:
        """Return the state of a pool; raise KeyError for an unknown one."""
        for site in self.sites:
            for state in site.pools:
                if state.pool.id == pool_id:
                    return state
        raise KeyError(pool_id)
