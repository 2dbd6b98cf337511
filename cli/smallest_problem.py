"""The smallest placement there is, to see that the solver works on this machine."""

from datetime import UTC, datetime

from optimizer.planner import plan
from optimizer.problem import JobSpec, PoolSpec, Problem, SiteSpec, slots_of
from suanwang.errors import Unavailable


def solve_smallest() -> str:
    """Place one job in one pool; return the solver's name, or raise Unavailable."""
    site = SiteSpec(
        id="site",
        price_uyuan_per_kwh=(500_000,),
        carbon_g_per_kwh=(500.0,),
        facility_w=(((0.0, 0.0), (1000.0, 1300.0)),),
        it_base_w=(0.0,),
        power_w_max=(2000.0,),
    )
    pool = PoolSpec(
        id="pool",
        site_id="site",
        accelerator="cpu",
        units=1,
        units_free=(1,),
        busy_extra_w=10.0,
        price_uyuan_per_unit_hour=1_000_000,
    )
    made = plan(
        Problem(
            origin=datetime(2026, 1, 1, tzinfo=UTC),
            slots=slots_of((3600.0,)),
            sites=(site,),
            pools=(pool,),
            jobs=(JobSpec(id="job", tenant_id="tenant", units=1, run_s=600.0),),
            cash_fen={"tenant": 1_000_000},
        )
    )
    if len(made.starts) != 1:
        raise Unavailable(f"the planner could not place one job in one pool: {made.note}")
    return f"{made.solver} ({made.planner})"
