"""A world: everything that a plan or a demo starts from, as the product's own objects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from suanwang.energy.bill import DemandTerms
from suanwang.errors import NotFound
from suanwang.ids import SiteId
from suanwang.model.job import Job
from suanwang.model.meter import Meter
from suanwang.model.site import DataClass, Site
from suanwang.model.site_terms import EnergyTerms
from suanwang.model.tenant import Tenant
from suanwang.model.voucher import Lot

ANYWHERE: Final = "*"
"""The origin that stands for every other one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where users are; coordinates are approximate."""

    id: str
    name: str
    lat: float
    lon: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A data set, its home and how far it may travel."""

    id: str
    site_id: SiteId
    data_class: DataClass
    terabytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldTenant:
    """A tenant with its money at the start."""

    tenant: Tenant
    kind: str
    cash_fen: int
    lots: tuple[Lot, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldEvent:
    """Something that happens at a site during the day; ``facts`` are its numbers by key."""

    at: datetime
    kind: str
    site_id: SiteId
    facts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoExpectation:
    """What a reader of the demo will see: the site, or a refusal; ``why`` is one phrase."""

    site_id: SiteId | None
    is_refused: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoJob:
    """A job for the stock ``ray job submit``: its metadata carries the wishes as text."""

    id: str
    title: str
    entrypoint: str
    metadata: Mapping[str, str]
    expect: DemoExpectation


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """Jobs for a real run, and the working directory that travels with each (text by file name)."""

    files: Mapping[str, str]
    jobs: tuple[DemoJob, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A parsed world.

    ``rtt_ms`` maps (origin, site) for every named origin, and ``*`` where a row names any other.
    ``jobs`` are single jobs in the order of arrival: ``job_class`` maps each one's id to its class.
    ``energy`` is what may be planned of each site's energy.
    """

    id: str
    title: str
    timezone: str
    start: datetime
    slot_lengths_s: tuple[int, ...]
    origins: tuple[Origin, ...]
    sites: tuple[Site, ...]
    demand_terms: Mapping[SiteId, DemandTerms]
    meters: tuple[Meter, ...]
    rtt_ms: Mapping[tuple[str, SiteId], float]
    datasets: tuple[Dataset, ...]
    tenants: tuple[WorldTenant, ...]
    jobs: tuple[Job, ...]
    job_class: Mapping[str, str]
    events: tuple[WorldEvent, ...]
    demo: Demo | None
    energy: Mapping[SiteId, EnergyTerms] = field(default_factory=dict)

    @property
    def end(self) -> datetime:
        """End of the planned time."""
        return self.start + timedelta(seconds=sum(self.slot_lengths_s))

    @property
    def lots(self) -> tuple[Lot, ...]:
        """All voucher lots."""
        return tuple(lot for tenant in self.tenants for lot in tenant.lots)

    @property
    def cash_fen(self) -> dict[str, int]:
        """Free cash by tenant."""
        return {one.tenant.id: one.cash_fen for one in self.tenants}

    def site(self, site_id: str) -> Site:
        """Return a site; raise NotFound for an unknown one."""
        for site in self.sites:
            if site.id == site_id:
                return site
        raise NotFound(f"world {self.id} has no site {site_id!r}", site=site_id)

    def meters_of(self, site_id: str) -> tuple[Meter, ...]:
        """Return the meters of a site."""
        return tuple(meter for meter in self.meters if meter.site_id == site_id)

    def links_of(self, site_id: str) -> dict[str, float]:
        """Return round-trip times to a site by origin, in ms."""
        return {origin: rtt for (origin, site), rtt in self.rtt_ms.items() if site == site_id}
