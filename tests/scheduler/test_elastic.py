"""An elastic job starts at the width that the plan chose: hold, order and limit go by it."""

import pytest
from scheduler_builders import NEAR, TENANT, Centre, a_centre, a_pool, a_site
from sqlalchemy import Engine

from scheduler import service
from suanwang.clock import VirtualClock
from suanwang.errors import BadInput
from suanwang.ids import SeededIds
from suanwang.model.job import Width, Wishes
from suanwang.model.wishes import parse_wishes
from suanwang.wire.agent import StartOrder


@pytest.fixture
def centre(engine: Engine, clock: VirtualClock, ids: SeededIds) -> Centre:
    """One site with four cores at 12 yuan an hour; tenant t1 has 100 yuan of cash."""
    made = a_centre(engine, clock, ids)
    made.register(a_site(NEAR, a_pool(NEAR, units=4, yuan=12)))
    made.add_tenant(cash_fen=10_000)
    return made


def _wide(**changes: object) -> service.NewJob:
    """A job that asks for 16 cores and would also run on 4, for 25 minutes."""
    return service.NewJob(
        tenant_id=TENANT,
        submission_id="train",
        entrypoint="python train.py",
        wishes=Wishes(
            units=16,
            accelerators=frozenset({"cpu"}),
            run_s_max=600,
            stop_grace_s=0,
            widths=(Width(4, 1_500),),
        ),
        **changes,  # type: ignore[arg-type]  # a builder takes any field
    )


def test_a_job_starts_at_the_width_that_fits(centre: Centre) -> None:
    centre.submit(_wide(entrypoint_num_cpus=16.0))
    centre.cycle()
    (attempt,) = centre.attempts()
    assert (attempt.units, attempt.run_s_max) == (4, 1_500)
    assert centre.hold().amount_fen == 4 * 1_200 * 1_500 // 3_600
    (order,) = centre.orders(NEAR)
    assert isinstance(order, StartOrder)
    assert (order.units, order.entrypoint_num_cpus, order.run_s_max) == (4, 4.0, 1_500)


def test_a_driver_that_asks_for_its_own_number_keeps_it(centre: Centre) -> None:
    centre.submit(_wide(entrypoint_num_cpus=1.0))
    centre.cycle()
    (order,) = centre.orders(NEAR)
    assert isinstance(order, StartOrder)
    assert order.entrypoint_num_cpus == 1.0


def test_a_width_that_is_named_twice_is_refused() -> None:
    with pytest.raises(BadInput, match="names 4 units"):
        parse_wishes({"units": "4", "elastic": "4:60"})
