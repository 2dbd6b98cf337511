"""The reference scenario's table: a day's bill, energy, PUE and CO2 by what the plan may use."""

from collections.abc import Iterator
from time import process_time
from typing import Final

from benchmarks.frame import Figure, Options
from benchmarks.scenario_day import Bill, bill_of_plan, day_of
from benchmarks.scenario_rows import NAMES, Row, homes_of, rows_of

PARTS: Final = ("october", "january", "july", "idle")
"""What ``--only`` may name; ``idle`` is the sensitivity to the idle power of a node."""
_MONTHS: Final = {"october": 10, "january": 1, "july": 7}
_OTHER_MONTHS: Final = (NAMES[0], NAMES[4], NAMES[6])
_IDLE_SHARES: Final = (0.6, 0.3)
_QUICK_S: Final = 60.0
_TIME_S: Final = 300.0
"""Most that one plan may take: a quiet machine needs some ten seconds, a busy one many more."""


def run(options: Options) -> Iterator[Figure]:
    """Yield the figures of the wanted parts; ``quick`` is October with little time a plan."""
    time_s = _QUICK_S if options.quick else _TIME_S
    for part, month in _MONTHS.items():
        if _is_wanted(options, part):
            names = NAMES if part == "october" else _OTHER_MONTHS
            yield from _table(names, part, month, time_s)
    if _is_wanted(options, "idle"):
        for share in _IDLE_SHARES:
            label = f"october, idle power x {share}"
            yield from _table(_OTHER_MONTHS, label, 10, time_s, idle_share=share)


def _is_wanted(options: Options, part: str) -> bool:
    if options.only:
        return part in options.only
    return part == "october" or not options.quick


def _table(
    names: tuple[str, ...], part: str, month: int, time_s: float, *, idle_share: float = 1.0
) -> Iterator[Figure]:
    day = day_of(month, idle_share=idle_share, time_limit_s=time_s)
    homes = homes_of(day.problem)
    first: Bill | None = None
    before_s = process_time()
    for row in rows_of(day, homes, names):
        bill = bill_of_plan(day, row.problem, row.plan)
        first = first or bill
        yield from _figures(part, row, bill, first)
        yield Figure("scenario.cpu_s", process_time() - before_s, "s", month=part, plan=row.name)
        before_s = process_time()


def _figures(part: str, row: Row, bill: Bill, first: Bill) -> Iterator[Figure]:
    labels = {"month": part, "plan": row.name}
    change = 100.0 * (bill.yuan / first.yuan - 1.0)
    yield Figure("scenario.bill_yuan", bill.yuan, "CNY", **labels)
    yield Figure("scenario.bill_change_pct", change, "%", **labels)
    yield Figure("scenario.demand_yuan", bill.demand_yuan, "CNY", **labels)
    yield Figure("scenario.energy_kwh", bill.kwh, "kWh", **labels)
    yield Figure("scenario.pue", bill.pue, "", **labels)
    yield Figure("scenario.carbon_t", bill.carbon_t, "t", **labels)
    if bill.wakes:
        yield Figure("scenario.wakes", bill.wakes, "", **labels)
    if row.plan.bound is not None:
        gap = (row.plan.objective - row.plan.bound) / max(1.0, abs(row.plan.objective))
        yield Figure("scenario.gap_pct", 100.0 * gap, "%", **labels)
