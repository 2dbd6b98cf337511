"""Sites, pools and links in the database."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from scheduler.rows import Row
from scheduler.store import insert_if_new
from suanwang.db.tables import link as link_table
from suanwang.db.tables import pool as pool_table
from suanwang.db.tables import site as site_table
from suanwang.energy.schema_site import TermsFile
from suanwang.ids import PoolId, SiteId
from suanwang.model.meter import PueCategory
from suanwang.model.site import CoolingKind, DataClass, DemandBasis, Pool, Site, SiteClass, SplitKey
from suanwang.model.site_terms import EnergyTerms

_SITE_COLUMNS = tuple(
    name for name in Site.__slots__ if name not in ("accepts", "data_homes", "pools")
)


def upsert_site(connection: Connection, site: Site, now: datetime) -> None:
    """Write a site's own row; a new one is open."""
    row: dict[str, object] = {name: getattr(site, name) for name in _SITE_COLUMNS}
    row["cooling"] = site.cooling.value
    row["accepts"] = sorted(member.value for member in site.accepts)
    row["data_homes"] = sorted(site.data_homes)
    row["site_class"] = None if site.site_class is None else site.site_class.value
    row["pue_category"] = None if site.pue_category is None else site.pue_category.value
    row["ppue_split"] = site.ppue_split.value
    row["demand_basis"] = None if site.demand_basis is None else site.demand_basis.value
    if not insert_if_new(connection, site_table, row | {"is_open": True, "registered_at": now}):
        connection.execute(update(site_table).where(site_table.c.id == site.id).values(**row))


def set_energy_terms(connection: Connection, site_id: SiteId, terms: TermsFile | None) -> None:
    """Write what of a site's energy may be planned; None: nothing was registered."""
    document = None if terms is None else terms.model_dump(mode="json", exclude_unset=True)
    connection.execute(
        update(site_table).where(site_table.c.id == site_id).values(energy_terms=document)
    )


def terms_of(row: Row) -> EnergyTerms | None:
    """Return the registered terms of a site's row; None where there are none."""
    document = row["energy_terms"]
    return None if document is None else TermsFile.model_validate(document).build()


def upsert_pool(connection: Connection, pool: Pool) -> None:
    """Write a pool."""
    row = {name: getattr(pool, name) for name in Pool.__slots__}
    if not insert_if_new(connection, pool_table, row):
        connection.execute(update(pool_table).where(pool_table.c.id == pool.id).values(**row))


def empty_other_pools(connection: Connection, site_id: SiteId, kept: Iterable[PoolId]) -> None:
    """Take the units out of a site's pools that it no longer names; their history stays."""
    connection.execute(
        update(pool_table)
        .where(pool_table.c.site_id == site_id, pool_table.c.id.not_in(list(kept)))
        .values(units=0, drained_units=0)
    )


def owners_of_pools(connection: Connection, ids: Iterable[PoolId]) -> dict[PoolId, SiteId]:
    """Return the site of each of these pools that is there."""
    query = select(pool_table.c.id, pool_table.c.site_id).where(pool_table.c.id.in_(list(ids)))
    return {PoolId(row.id): SiteId(row.site_id) for row in connection.execute(query)}


def replace_links(connection: Connection, site_id: SiteId, rtt_ms: Mapping[str, float]) -> None:
    """Write the latency from each origin to a site, instead of what was there."""
    connection.execute(delete(link_table).where(link_table.c.site_id == site_id))
    rows = [
        {"origin": origin, "site_id": site_id, "rtt_ms": value} for origin, value in rtt_ms.items()
    ]
    if rows:
        connection.execute(insert(link_table), rows)


def rtt_ms(connection: Connection) -> dict[tuple[str, SiteId], float]:
    """Return the round-trip time of every (origin, site)."""
    rows = connection.execute(select(link_table))
    return {(row.origin, SiteId(row.site_id)): float(row.rtt_ms) for row in rows}


def site_rows(connection: Connection, site_id: SiteId | None = None) -> tuple[Row, ...]:
    """Return the rows of all sites (or of one) in the order of their ids."""
    query = select(site_table).order_by(site_table.c.id)
    if site_id is not None:
        query = query.where(site_table.c.id == site_id)
    return tuple(dict(row) for row in connection.execute(query).mappings())


def pools_by_site(connection: Connection) -> dict[SiteId, tuple[Pool, ...]]:
    """Return the pools that have units, by site, in the order of their ids."""
    query = select(pool_table).where(pool_table.c.units > 0).order_by(pool_table.c.id)
    pools: dict[SiteId, tuple[Pool, ...]] = {}
    for row in connection.execute(query).mappings():
        pool = Pool(**{name: row[name] for name in Pool.__slots__})
        pools[pool.site_id] = (*pools.get(pool.site_id, ()), pool)
    return pools


def site_of(row: Row, pools: tuple[Pool, ...]) -> Site:
    """Return the site of a row."""
    fields = {name: row[name] for name in _SITE_COLUMNS}
    fields["cooling"] = CoolingKind(row["cooling"])
    category = row["pue_category"]
    fields["pue_category"] = None if category is None else PueCategory(category)
    site_class = row["site_class"]
    fields["site_class"] = None if site_class is None else SiteClass(site_class)
    fields["ppue_split"] = SplitKey(row["ppue_split"] or SplitKey.HEAT)
    basis = row["demand_basis"]
    fields["demand_basis"] = None if basis is None else DemandBasis(basis)
    site = Site(
        **fields,
        accepts=frozenset(DataClass(value) for value in row["accepts"]),
        data_homes=frozenset(row["data_homes"]),
    )
    return replace(site, pools=pools)


def pool_by_id(connection: Connection, pool_id: PoolId, *, lock: bool = False) -> Pool | None:
    """Return a pool as it stands now, or None; with ``lock`` it stays so in this transaction."""
    query = select(pool_table).where(pool_table.c.id == pool_id)
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    return None if row is None else Pool(**{name: row[name] for name in Pool.__slots__})


def pools_locked(connection: Connection, pool_ids: Iterable[PoolId]) -> tuple[Pool, ...]:
    """Return pools as they stand now, in the order of their ids; they stay so until the commit."""
    query = select(pool_table).where(pool_table.c.id.in_(list(pool_ids))).order_by(pool_table.c.id)
    rows = connection.execute(query.with_for_update()).mappings()
    return tuple(Pool(**{name: row[name] for name in Pool.__slots__}) for row in rows)


def set_open(connection: Connection, site_id: SiteId, is_open: bool) -> bool:
    """Let a site take new jobs, or not; return False for an unknown site."""
    result = connection.execute(
        update(site_table).where(site_table.c.id == site_id).values(is_open=is_open)
    )
    return result.rowcount == 1


def note_agent(
    connection: Connection, site_id: SiteId, now: datetime, words: Mapping[str, str] | None = None
) -> bool:
    """Note a call of a site's agent, and what it says of itself; return False for no such site."""
    result = connection.execute(
        update(site_table)
        .where(site_table.c.id == site_id)
        .values(agent_seen_at=now, **(words or {}))
    )
    return result.rowcount == 1
