"""Reading a world file: every id that it names must be there, and every mistake has its line."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from suanwang.document import Document, Key, complain, read_document, validate
from suanwang.energy.accelerators import HostOverhead, UnitPower
from suanwang.energy.catalogue import EnergyCatalogue, load_catalogue
from suanwang.energy.limits import limit_of
from suanwang.energy.schema_site import energy_terms
from suanwang.errors import BadInput, NotFound
from suanwang.ids import LotId, MeterId, PoolId, SiteId, TenantId
from suanwang.model.meter import Meter
from suanwang.model.site import Pool, Site
from suanwang.model.tenant import Tenant
from suanwang.model.voucher import Lot
from suanwang.scenario.jobs import class_jobs, demo_jobs
from suanwang.scenario.schema import (
    DemoFile,
    DemoJobFile,
    EventFile,
    PoolFile,
    SiteFile,
    TenantFile,
    WorldFile,
)
from suanwang.scenario.world import (
    ANYWHERE,
    Dataset,
    Demo,
    DemoExpectation,
    DemoJob,
    Origin,
    World,
    WorldEvent,
    WorldTenant,
)
from suanwang.units import FEN_PER_YUAN, UYUAN_PER_YUAN

W_PER_KW = 1_000
PERCENT = 100


def load_world(path: Path, catalogue: EnergyCatalogue | None = None) -> World:
    """Read a world; raise BadInput that names file, line and key of every mistake."""
    document = read_document(path)
    file = validate(document, WorldFile)
    energy = catalogue or load_catalogue()
    _check_names(document, file)
    sites = tuple(_site(document, energy, file, index) for index in range(len(file.sites)))
    jobs = class_jobs(file) + demo_jobs(document, file)
    world = World(
        id=file.id,
        title=file.title,
        timezone=file.timezone,
        start=file.day.start.astimezone(UTC),
        slot_lengths_s=_slot_lengths_s(document, file),
        origins=tuple(Origin(id=o.id, name=o.name, lat=o.lat, lon=o.lon) for o in file.origins),
        sites=sites,
        demand_terms={site.id: site.demand_terms for site in sites},
        meters=tuple(meter for site in file.sites for meter in _meters(site)),
        rtt_ms=_rtt_ms(file),
        datasets=tuple(
            Dataset(id=d.id, site_id=SiteId(d.at), data_class=d.data_class, terabytes=d.tb)
            for d in file.datasets
        ),
        tenants=tuple(_tenant(tenant) for tenant in file.tenants),
        jobs=tuple(sorted((one.job for one in jobs), key=lambda job: (job.submitted_at, job.id))),
        job_class={one.job.id: one.job_class for one in jobs},
        events=tuple(_event(event) for event in file.events),
        demo=None if file.demo is None else _demo(file.demo),
        energy={
            SiteId(site.id): energy_terms(
                site.sleep, site.battery, site.solar_kw_by_hour, site.promises
            )
            for site in file.sites
        },
    )
    _check_totals(document, file, world)
    return world


def _site(document: Document, energy: EnergyCatalogue, file: WorldFile, index: int) -> Site:
    source = file.sites[index]
    site = Site(
        id=SiteId(source.id),
        name=source.name,
        operator=source.operator,
        region=source.region,
        timezone=source.timezone or file.timezone,
        cooling=source.cooling,
        climate=source.climate,
        it_design_w=_watts(source.it_design_kw),
        background_it_w=_watts(source.background_it_kw),
        contract_w=_watts(source.contract_kw),
        tariff_id=source.tariff.id,
        voltage=source.tariff.voltage,
        carbon_region=source.carbon_region or source.region,
        pue_limit=_pue_limit(document, energy, file, index),
        site_class=source.site_class,
        pue_category=source.pue_category,
        demand_basis=source.tariff.demand_basis,
        transformer_kva=source.tariff.transformer_kva or 0,
        accepts=source.accepts,
        data_homes=source.data_homes,
        pools=tuple(
            _pool(document, energy, source, ("sites", index, "pools", place))
            for place in range(len(source.pools))
        ),
    )
    try:
        energy.check_site(site)
    except BadInput as failure:
        raise complain(document, ("sites", index), failure.message) from failure
    return site


def _pue_limit(document: Document, energy: EnergyCatalogue, file: WorldFile, index: int) -> float:
    source = file.sites[index]
    if source.pue_limit is not None:
        return source.pue_limit
    assert source.site_class is not None
    try:
        return limit_of(energy.pue_limits, source.site_class, file.day.start.date()).at_most
    except BadInput as failure:
        raise complain(document, ("sites", index, "site_class"), failure.message) from failure


def _pool(
    document: Document, energy: EnergyCatalogue, site: SiteFile, path: tuple[Key, ...]
) -> Pool:
    pool = site.pools[int(path[-1])]
    try:
        power, is_domestic = _unit_power(energy, pool)
    except NotFound as failure:
        message = f"{failure.message}; or give its power as {{idle_w: ..., busy_w: ...}}"
        raise complain(document, (*path, "accelerator"), message) from failure
    return Pool(
        id=PoolId(pool.id or f"{site.id}-{pool.accelerator}"),
        site_id=SiteId(site.id),
        accelerator=pool.accelerator,
        units=pool.units,
        units_per_node=pool.units_per_node,
        power_w_idle=power.idle_w,
        power_w_busy=power.busy_w,
        price_uyuan_per_unit_hour=int(pool.price_cny * UYUAN_PER_YUAN),
        is_domestic=is_domestic,
    )


def _unit_power(energy: EnergyCatalogue, pool: PoolFile) -> tuple[UnitPower, bool]:
    if pool.power is not None:
        power = UnitPower(idle_w=pool.power.idle_w, busy_w=pool.power.busy_w)
        return power, bool(pool.domestic)
    accelerator = energy.accelerator(pool.accelerator)
    host = None
    if pool.host is not None:
        host = HostOverhead(
            id="host",
            units=pool.units_per_node,
            idle_w=pool.host.idle_w,
            busy_w=pool.host.busy_w,
        )
    is_domestic = accelerator.is_domestic if pool.domestic is None else pool.domestic
    return accelerator.unit_power(host), is_domestic


def _meters(site: SiteFile) -> Iterator[Meter]:
    for meter in site.meters:
        yield Meter(
            id=MeterId(meter.id),
            site_id=SiteId(site.id),
            name=meter.name,
            role=meter.role,
            rated_w=meter.rated_w,
            resolution_wh=meter.resolution_wh,
            modulus_wh=meter.modulus_wh,
            poll_s=meter.poll_s,
            category=meter.category,
            carrier=meter.carrier,
        )


def _tenant(tenant: TenantFile) -> WorldTenant:
    lots = tuple(
        Lot(
            id=LotId(lot.id),
            tenant_id=TenantId(tenant.id),
            programme=lot.programme,
            issued_fen=_fen(lot.amount_cny),
            available_fen=_fen(lot.amount_cny),
            held_fen=0,
            spent_fen=0,
            expired_fen=0,
            ratio_num=lot.ratio_percent,
            ratio_den=PERCENT,
            expires_at=lot.expires.astimezone(UTC),
            rank=lot.rank,
            sites=frozenset(SiteId(site) for site in lot.sites),
            accelerators=frozenset(lot.accelerators),
        )
        for lot in tenant.lots
    )
    return WorldTenant(
        tenant=Tenant(id=TenantId(tenant.id), name=tenant.name, uscc=tenant.uscc),
        kind=tenant.kind,
        cash_fen=_fen(tenant.cash_cny),
        lots=lots,
    )


def _event(event: EventFile) -> WorldEvent:
    numbers = event.model_dump(exclude={"at", "kind", "site"}, exclude_none=True)
    return WorldEvent(
        at=event.at.astimezone(UTC), kind=event.kind, site_id=SiteId(event.site), facts=numbers
    )


def _demo(demo: DemoFile) -> Demo:
    return Demo(files=dict(demo.files), jobs=tuple(_demo_job(job) for job in demo.jobs))


def _demo_job(job: DemoJobFile) -> DemoJob:
    site = None if job.expect.site is None else SiteId(job.expect.site)
    return DemoJob(
        id=job.id,
        title=job.title,
        entrypoint=job.entrypoint,
        metadata=dict(job.metadata),
        expect=DemoExpectation(site_id=site, is_refused=job.expect.refused, why=job.expect.why),
    )


def _rtt_ms(file: WorldFile) -> dict[tuple[str, SiteId], float]:
    """Spread ``*`` over all sites; for each origin the row that names more wins, then the later."""
    best: dict[tuple[str, SiteId], tuple[int, float]] = {}
    origins = [ANYWHERE, *(origin.id for origin in file.origins)]
    for link in file.links:
        rank = 2 * (link.site != ANYWHERE) + (link.origin != ANYWHERE)
        for site in file.sites:
            for origin in origins:
                is_meant = link.origin in (ANYWHERE, origin) and link.site in (ANYWHERE, site.id)
                key = (origin, SiteId(site.id))
                if is_meant and rank >= best.get(key, (-1, 0.0))[0]:
                    best[key] = (rank, link.rtt_ms)
    return {key: rtt_ms for key, (_, rtt_ms) in sorted(best.items())}


def _slot_lengths_s(document: Document, file: WorldFile) -> tuple[int, ...]:
    minutes, step = file.day.hours * 60, file.day.slot_minutes
    if minutes % step:
        message = f"{step} minutes do not divide a day of {file.day.hours} hours"
        raise complain(document, ("day", "slot_minutes"), message)
    return (step * 60,) * (minutes // step)


def _check_names(document: Document, file: WorldFile) -> None:
    """Raise BadInput for an unknown zone, an id that appears twice, or one that is not there."""
    zones: list[tuple[tuple[Key, ...], str]] = [(("timezone",), file.timezone)]
    zones += [
        (("sites", i, "timezone"), s.timezone) for i, s in enumerate(file.sites) if s.timezone
    ]
    for path, zone in zones:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError) as failure:
            message = f"{zone!r} is not an IANA time zone"
            raise complain(document, path, message) from failure
    for key, names in _ids(file).items():
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise complain(document, (key,), f"id {twice[0]!r} appears twice")
    known = {key: set(names) for key, names in _ids(file).items()}
    for path, noun, name in _references(file):
        if name not in known[noun]:
            close = ", ".join(sorted(known[noun])) or "none"
            raise complain(document, path, f"{name!r} is not in {noun}; there are {close}")


def _ids(file: WorldFile) -> dict[str, list[str]]:
    pools = [pool.id or f"{s.id}-{pool.accelerator}" for s in file.sites for pool in s.pools]
    return {
        "origins": [origin.id for origin in file.origins],
        "sites": [site.id for site in file.sites],
        "pools": pools,
        "meters": [meter.id for site in file.sites for meter in site.meters],
        "datasets": [dataset.id for dataset in file.datasets],
        "tenants": [tenant.id for tenant in file.tenants],
        "lots": [lot.id for tenant in file.tenants for lot in tenant.lots],
        "job_classes": [job_class.id for job_class in file.job_classes],
        "demo": [] if file.demo is None else [job.id for job in file.demo.jobs],
    }


def _references(file: WorldFile) -> Iterator[tuple[tuple[Key, ...], str, str]]:
    """Yield (path, kind of thing, id) for every id that stands for something defined elsewhere."""
    for i, link in enumerate(file.links):
        yield from _named((("links", i, "site"), "sites", link.site))
        yield from _named((("links", i, "origin"), "origins", link.origin))
    for i, dataset in enumerate(file.datasets):
        yield ("datasets", i, "at"), "sites", dataset.at
    for i, site in enumerate(file.sites):
        for home in sorted(site.data_homes):
            yield ("sites", i, "data_homes"), "datasets", home
    for i, one in enumerate(file.job_classes):
        yield ("job_classes", i, "tenant"), "tenants", one.tenant
        yield ("job_classes", i, "origin"), "origins", one.origin
        yield from _optional(("job_classes", i, "dataset"), "datasets", one.dataset)
    for i, event in enumerate(file.events):
        yield ("events", i, "site"), "sites", event.site
    for i, job in enumerate(file.demo.jobs if file.demo else ()):
        yield from _optional(("demo", "jobs", i, "expect", "site"), "sites", job.expect.site)


def _named(
    reference: tuple[tuple[Key, ...], str, str],
) -> Iterable[tuple[tuple[Key, ...], str, str]]:
    return () if reference[2] == ANYWHERE else (reference,)


def _optional(
    path: tuple[Key, ...], noun: str, name: str | None
) -> Iterable[tuple[tuple[Key, ...], str, str]]:
    return () if name is None else ((path, noun, name),)


def _check_totals(document: Document, file: WorldFile, world: World) -> None:
    if file.expected is None:
        return
    units = sum(pool.units for site in world.sites for pool in site.pools)
    found = {"sites": len(world.sites), "accelerators": units, "jobs": len(world.jobs)}
    for key, count in found.items():
        stated = getattr(file.expected, key)
        if stated != count:
            message = f"the file states {stated}, but it adds up to {count}"
            raise complain(document, ("expected", key), message)


def _watts(kilowatts: Decimal) -> int:
    return int(kilowatts * W_PER_KW)


def _fen(yuan: Decimal) -> int:
    return int(yuan * FEN_PER_YUAN)
