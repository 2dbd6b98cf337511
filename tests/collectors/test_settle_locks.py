"""Settling beside a batch on PostgreSQL: neither waits for the other in a ring."""

import pytest
from sqlalchemy import Engine, text
from telemetry_builders import SITE, a_meter, add_site, at, constant_load, send

from collectors import store, store_windows
from collectors.store_settle import settle_due
from suanwang.db.engine import writing

DAY_S = 86_400


@pytest.mark.postgresql
def test_a_day_that_is_over_is_settled_only_where_no_batch_holds_its_meter(
    postgres_engine: Engine,
) -> None:
    engine, now = postgres_engine, at(1.5 * DAY_S)
    with writing(engine) as connection:
        add_site(connection)
        store.register_meters(connection, [a_meter(name) for name in ("m1", "m2")])
        for name in ("m1", "m2"):
            readings = constant_load(name, 60_000, range(0, 7_200, 600))
            send(connection, f"b-{name}", readings, 7_200)
    with writing(engine) as batch:
        store_windows.load_records(batch, SITE, ["m2"])
        with writing(engine) as settling:
            settling.execute(text("SET LOCAL lock_timeout = '2s'"))
            assert settle_due(settling, now).days == 1
        # What the batch does next: it would have waited for the state of its meter.
        batch.execute(text("SET LOCAL lock_timeout = '2s'"))
        batch.execute(text("UPDATE meter_state SET power_w = 1 WHERE meter_id = 'm2'"))
    with writing(engine) as settling:
        assert settle_due(settling, now).days == 1
        assert settle_due(settling, now).days == 0
