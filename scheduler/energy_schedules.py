"""A plan's energy schedules, kept in the database for processes that do not plan."""

from datetime import timedelta
from functools import partial
from typing import Final

from sqlalchemy import Engine

from scheduler import store_energy_plans
from scheduler.energy_inputs import energy_inputs
from scheduler.store_energy_plans import StoredSchedule
from suanwang.db.engine import reading
from suanwang.model.network import ComputeNetwork
from suanwang.model.plan import Plan
from voucher import tenure
from voucher.turn import Turn
from voucher.writer import Writer

KEPT_EVERY: Final = timedelta(seconds=30)
"""Schedules of later plans are kept no sooner: they are advice, and most plans repeat them."""


def schedules_of(plan: Plan, network: ComputeNetwork) -> tuple[StoredSchedule, ...]:
    """Return the schedules of a plan with what they rest on."""
    states = {state.site.id: state for state in network.sites}
    return tuple(
        StoredSchedule(
            made_at=network.at,
            schedule=one,
            inputs=energy_inputs(states[one.site_id], network.at),
        )
        for one in plan.energy
    )


def keep_schedules(
    engine: Engine, writer: Writer, epoch: int, plan: Plan, network: ComputeNetwork
) -> None:
    """Write a plan's schedules in place of the last ones, where those are no longer young."""
    with reading(engine) as connection:
        last = store_energy_plans.newest_at(connection)
    if last is None and not plan.energy:
        return
    if last is None or network.at - last >= KEPT_EVERY:
        writer.write(partial(_keep, epoch, schedules_of(plan, network)))


def _keep(epoch: int, schedules: tuple[StoredSchedule, ...], turn: Turn) -> None:
    tenure.require(turn, epoch)
    store_energy_plans.save(turn.connection, schedules)
