"""A site's energy schedule for readers."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import Field

from api.schemas.common import Out
from scheduler.energy_inputs import EnergyInput, Standing
from suanwang.model.energy_plan import EnergySlot, SiteEnergy


class EnergySlotOut(Out):
    """One slot: powers in W; ``awake`` counts the nodes that should be on, by pool."""

    start: datetime
    end: datetime
    facility_w: float
    grid_w: float
    draw_w: float = Field(description="the highest power from the grid within the slot")
    solar_w: float
    charge_w: float
    discharge_w: float
    soc_wh: float = Field(description="the battery's charge at the end of the slot")
    over_w: float = Field(description="above a power that was promised to the grid")
    awake: dict[str, int]


class EnergyInputOut(Out):
    """What one input of the schedule is worth, and what stands behind it."""

    name: str
    standing: Standing
    note: str


class EnergyPlanOut(Out):
    """What the newest plan advises a site to do; nothing is switched by it."""

    site_id: str
    made_at: datetime
    it_wh: float
    facility_wh: float
    grid_wh: float
    saved_wh: float = Field(description="facility energy that sleeping nodes do not burn")
    pue: float | None
    pue_awake: float | None = Field(description="if every node were on; it may well be lower")
    wakes: int
    peak_w: float
    peak_before_w: float
    short_wh: float
    inputs: list[EnergyInputOut] = Field(description="what of it was measured, and what was not")
    slots: list[EnergySlotOut]


def energy_plan_out(
    plan: SiteEnergy, made_at: datetime, inputs: Sequence[EnergyInput]
) -> EnergyPlanOut:
    """Return a schedule as the API gives it."""
    return EnergyPlanOut(
        site_id=plan.site_id,
        made_at=made_at,
        it_wh=plan.it_wh,
        facility_wh=plan.facility_wh,
        grid_wh=plan.grid_wh,
        saved_wh=plan.saved_wh,
        pue=plan.pue,
        pue_awake=plan.pue_awake,
        wakes=plan.wakes,
        peak_w=plan.peak_w,
        peak_before_w=plan.peak_before_w,
        short_wh=plan.short_wh,
        inputs=[
            EnergyInputOut(name=one.name, standing=one.standing, note=one.note) for one in inputs
        ],
        slots=[_slot(slot) for slot in plan.slots],
    )


def _slot(slot: EnergySlot) -> EnergySlotOut:
    return EnergySlotOut(
        start=slot.start,
        end=slot.end,
        facility_w=slot.facility_w,
        grid_w=slot.grid_w,
        draw_w=slot.draw_w,
        solar_w=slot.solar_w,
        charge_w=slot.charge_w,
        discharge_w=slot.discharge_w,
        soc_wh=slot.soc_wh,
        over_w=slot.over_w,
        awake={str(pool_id): nodes for pool_id, nodes in slot.awake.items()},
    )
