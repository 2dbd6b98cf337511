"""What exists: sites with their pools, meters and latencies, as their operators registered them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from collectors.store import register_meters
from scheduler import store_registry
from scheduler.rows import Row
from suanwang.energy.catalogue import EnergyCatalogue, load_catalogue
from suanwang.energy.schema_site import TermsFile
from suanwang.errors import BadInput, Conflict, NotFound
from suanwang.ids import SiteId
from suanwang.model.meter import Meter
from suanwang.model.site import Pool, Site
from suanwang.model.site_terms import EnergyTerms

RTT_MS_MAX: Final = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredSite:
    """A site, whether its operator takes jobs, and what its agent last said of itself.

    ``terms`` are what of its energy may be planned, where that is registered.
    """

    site: Site
    is_open: bool
    registered_at: datetime
    agent_seen_at: datetime | None = None
    agent_version: str = ""
    executor_state: str = ""
    executor_message: str = ""
    terms: EnergyTerms | None = None


def register_site(
    connection: Connection,
    site: Site,
    meters: Sequence[Meter],
    links: Mapping[str, float],
    now: datetime,
    catalogue: EnergyCatalogue | None = None,
) -> RegisteredSite:
    """Write a site with pools, meters and links (origin → round-trip ms); twice the same is once.

    A pool that is no longer named keeps its history and has no units. Raises BadInput for a part
    that names another site and for unknown energy facts, Conflict for another site's pool id.
    """
    _check(site, meters, links)
    (catalogue or load_catalogue()).check_site(site)
    pool_ids = [pool.id for pool in site.pools]
    for pool_id, owner in store_registry.owners_of_pools(connection, pool_ids).items():
        if owner != site.id:
            raise Conflict(f"pool {pool_id} belongs to site {owner}", pool_id=pool_id)
    store_registry.upsert_site(connection, site, now)
    for pool in site.pools:
        store_registry.upsert_pool(connection, pool)
    store_registry.empty_other_pools(connection, site.id, pool_ids)
    store_registry.replace_links(connection, site.id, links)
    register_meters(connection, meters)
    return find_site(connection, site.id)


def _check(site: Site, meters: Sequence[Meter], links: Mapping[str, float]) -> None:
    named = [(str(pool.id), pool.site_id) for pool in site.pools]
    named += [(str(meter.id), meter.site_id) for meter in meters]
    for part_id, site_id in named:
        if site_id != site.id:
            raise BadInput(f"{part_id} names site {site_id}, not {site.id}")
    if len(set(named)) != len(named):
        raise BadInput(f"site {site.id} uses an id of a pool or meter twice")
    for origin, rtt_ms in links.items():
        if not origin or not 0 <= rtt_ms < RTT_MS_MAX:
            raise BadInput(f"link from {origin!r} has a round trip of {rtt_ms} ms")


def sites(connection: Connection) -> tuple[RegisteredSite, ...]:
    """Return every site, in the order of their ids."""
    pools = store_registry.pools_by_site(connection)
    return tuple(
        _registered(row, pools.get(row["id"], ())) for row in store_registry.site_rows(connection)
    )


def find_site(connection: Connection, site_id: SiteId) -> RegisteredSite:
    """Return one site; raise NotFound."""
    rows = store_registry.site_rows(connection, site_id)
    if not rows:
        raise NotFound(f"there is no site {site_id}", site_id=site_id)
    pools = store_registry.pools_by_site(connection)
    return _registered(rows[0], pools.get(site_id, ()))


def zones(connection: Connection) -> dict[SiteId, str]:
    """Return the time zone of every site, in the order of their ids."""
    return {SiteId(row["id"]): row["timezone"] for row in store_registry.site_rows(connection)}


def set_energy_terms(connection: Connection, site_id: SiteId, terms: TermsFile | None) -> None:
    """Say what of a site's energy may be planned; None takes it back."""
    store_registry.set_energy_terms(connection, site_id, terms)


def set_open(connection: Connection, site_id: SiteId, is_open: bool) -> None:
    """Let a site take new jobs, or not; running ones go on. Raises NotFound."""
    if not store_registry.set_open(connection, site_id, is_open):
        raise NotFound(f"there is no site {site_id}", site_id=site_id)


def _registered(row: Row, pools: tuple[Pool, ...]) -> RegisteredSite:
    return RegisteredSite(
        site=store_registry.site_of(row, pools),
        is_open=row["is_open"],
        registered_at=row["registered_at"],
        agent_seen_at=row["agent_seen_at"],
        agent_version=row["agent_version"] or "",
        executor_state=row["executor_state"] or "",
        executor_message=row["executor_message"] or "",
        terms=store_registry.terms_of(row),
    )
