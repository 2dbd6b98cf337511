"""A site with raw samples, for tests of what reads them."""

from datetime import timedelta
from typing import Final

from api_client import World

from collectors import store
from collectors.upkeep import RawUpkeep
from suanwang.db.engine import writing
from suanwang.ids import SiteId
from suanwang.model.batch import TelemetryBatch, gathered
from suanwang.model.reading import Reading

LAST_N: Final = 179
"""The greatest value of each series: they count down to 0."""


def told(world: World) -> None:
    """Three hours of two series of a GPU, of which two hours are packed."""
    world.register()
    now = world.clock.now()
    last = now.replace(minute=0, second=0, microsecond=0) - timedelta(minutes=30)
    readings = tuple(
        Reading(subject="gpu:1", metric=metric, value=float(n), at=last - timedelta(minutes=n))
        for n in range(180)
        for metric in ("power_w", "temperature_c")
    )
    with writing(world.engine) as connection:
        batch = TelemetryBatch(
            id="b1", site_id=SiteId("east"), sent_at=now, readings=gathered(readings)
        )
        store.ingest(connection, batch, "digest", now)
    assert RawUpkeep(world.engine, world.clock).run().samples > 0
