"""The demand of a plan as a meter would take it, window by window: the check's own arithmetic."""

from collections.abc import Sequence

from optimizer.check_lines import Taken, facility_w
from optimizer.problem import PeakSpec, Problem, SiteSpec, Slot
from suanwang.model.energy_plan import SiteEnergy
from suanwang.units import SECONDS_PER_HOUR

_INSTANT_S = 1e-6


def demand_w(
    problem: Problem,
    site: SiteSpec,
    schedule: SiteEnergy,
    rest_w: Sequence[float],
    taken: Taken,
) -> float:
    """Return the largest mean draw over any window of the horizon, in W.

    ``rest_w`` is mean IT power by slot without our jobs. The last window counts as far as the
    horizon has it, the first with what was drawn in it before the plan begins.
    """
    peak = site.peak
    if peak is None:
        raise AssertionError(f"site {site.id} pays for no peak")
    drawn_ws, seconds = _sums(peak, problem.slots[-1].end_s)
    for t, slot in enumerate(problem.slots):
        told = schedule.slots[t]
        own_w = told.solar_w + told.discharge_w - told.charge_w
        for number, begin_s, end_s in _pieces(peak, slot):
            jobs_w = _jobs_w(taken, (site.id, t), begin_s, end_s)
            drawn_w = max(0.0, facility_w(site.facility_w[t], rest_w[t] + jobs_w) - own_w)
            drawn_ws[number] += drawn_w * (end_s - begin_s)
    return max(joules / long_s for joules, long_s in zip(drawn_ws, seconds, strict=True))


def _sums(peak: PeakSpec, end_s: float) -> tuple[list[float], list[float]]:
    """Watt-seconds of every window before the plan, and how long each is."""
    over_s = end_s + peak.elapsed_s
    count = max(1, int(-(-(over_s - _INSTANT_S) // peak.window_s)))
    drawn_ws = [0.0] * count
    drawn_ws[0] = peak.drawn_wh * SECONDS_PER_HOUR
    seconds = [peak.window_s] * count
    seconds[-1] = over_s - (count - 1) * peak.window_s
    return drawn_ws, seconds


def _pieces(peak: PeakSpec, slot: Slot) -> list[tuple[int, float, float]]:
    """Cut a slot at the edges of windows: the window's number, begin and end of each piece."""
    pieces = []
    begin_s = slot.start_s
    while begin_s < slot.end_s - _INSTANT_S:
        number = int((begin_s + peak.elapsed_s + _INSTANT_S) // peak.window_s)
        end_s = min(slot.end_s, (number + 1) * peak.window_s - peak.elapsed_s)
        pieces.append((number, begin_s, end_s))
        begin_s = end_s
    return pieces


def _jobs_w(taken: Taken, where: tuple[str, int], begin_s: float, end_s: float) -> float:
    """Mean IT power of our jobs in a piece of a slot."""
    watts = taken.high_w.get(where, 0.0)
    for run in taken.ends.get(where, ()):
        over_s = end_s - min(end_s, max(begin_s, run.at_s))
        watts -= run.watts * over_s / (end_s - begin_s)
    return watts
