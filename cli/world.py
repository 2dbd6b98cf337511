"""The demo's world, and a site of it in the words of the API."""

from importlib.resources import as_file, files
from pathlib import Path

from cli.output import Json
from suanwang.errors import NotFound
from suanwang.model.site import Site
from suanwang.scenario.load import load_world
from suanwang.scenario.world import Demo, DemoJob, World


def packaged(name: str) -> Path:
    """Return the path of a packaged scenario; raise NotFound for an unknown one."""
    with as_file(files("scenarios").joinpath(name)) as path:
        if not path.is_file():
            raise NotFound(f"no scenario {name!r} is packaged")
        return path


def load_demo() -> World:
    """Return the world of the demo."""
    return load_world(packaged("demo.yaml"))


def story(world: World) -> Demo:
    """Return the world's real run; raise NotFound for a world that has none."""
    if world.demo is None:
        raise NotFound(f"world {world.id} has no part `demo` to run")
    return world.demo


def quoted_job(world: World) -> DemoJob:
    """Return the job whose quote is shown: the first that may run anywhere by price."""
    demo = story(world)
    return next((job for job in demo.jobs if job.expect.why == "price"), demo.jobs[0])


def cores(site: Site) -> int:
    """Return the units of a site's pools: its Ray cluster gets so many logical cores."""
    return sum(pool.units for pool in site.pools)


def site_body(site: Site, world: World) -> dict[str, Json]:
    """Return a site as the body that registers it."""
    return {
        "id": site.id, "name": site.name, "operator": site.operator, "region": site.region,
        "timezone": site.timezone, "cooling": site.cooling, "climate": site.climate,
        "it_design_w": site.it_design_w, "background_it_w": site.background_it_w,
        "contract_w": site.contract_w, "tariff_id": site.tariff_id, "voltage": site.voltage,
        "carbon_region": site.carbon_region, "pue_limit": site.pue_limit,
        "site_class": site.site_class, "pue_category": site.pue_category,
        "ppue_split": site.ppue_split,
        "demand_basis": site.demand_basis, "transformer_kva": site.transformer_kva,
        "accepts": sorted(site.accepts), "data_homes": sorted(site.data_homes),
        "pools": [
            {
                "id": pool.id, "accelerator": pool.accelerator, "units": pool.units,
                "units_per_node": pool.units_per_node, "power_w_idle": pool.power_w_idle,
                "power_w_busy": pool.power_w_busy, "is_domestic": pool.is_domestic,
                "price_uyuan_per_unit_hour": pool.price_uyuan_per_unit_hour,
            }
            for pool in site.pools
        ],
        "meters": [
            {
                "id": meter.id, "name": meter.name, "role": meter.role,
                "category": meter.category, "carrier": meter.carrier, "rated_w": meter.rated_w,
                "resolution_wh": meter.resolution_wh, "modulus_wh": meter.modulus_wh,
                "poll_s": meter.poll_s,
            }
            for meter in world.meters_of(site.id)
        ],
        "links": [
            {"origin": origin, "rtt_ms": rtt} for origin, rtt in world.links_of(site.id).items()
        ],
    }  # fmt: skip
