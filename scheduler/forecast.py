"""What a plan means for each site: load, energy, carbon, PUE and the electricity bill.

All of it is modelled: typical weather, nameplate powers, runs as long as they may be.
The bill is reckoned on the tariff's own metering windows, with the true facility curve.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from suanwang.energy.bill import Bill, DemandBasis, DemandTerms, EnergyUse, bill_of
from suanwang.energy.carbon import CarbonFactor
from suanwang.energy.catalogue import EnergyCatalogue
from suanwang.ids import SiteId
from suanwang.model.job import Job
from suanwang.model.network import ComputeNetwork, SiteState
from suanwang.model.plan import Placement
from suanwang.units import MS_PER_HOUR

NO_DEMAND = DemandTerms(basis=DemandBasis.NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A placed job as a piece of load."""

    placement: Placement
    extra_w: float
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteForecast:
    """A site over the horizon. ``idle_bill`` is the bill without any of the plan's jobs."""

    site_id: SiteId
    name: str
    jobs: int
    unit_hours: float
    unit_hours_installed: float
    it_wh: float
    facility_wh: float
    peak_w: float
    contract_w: int
    carbon: CarbonFactor
    bill: Bill
    idle_bill: Bill

    @property
    def pue(self) -> float | None:
        """Facility over IT energy; None without IT energy."""
        return self.facility_wh / self.it_wh if self.it_wh > 0 else None

    @property
    def carbon_g(self) -> float:
        """Location-based CO2 of the facility energy, in grams."""
        return self.facility_wh / 1_000 * self.carbon.g_per_kwh


def forecast(
    network: ComputeNetwork,
    placements: Iterable[Placement],
    jobs: Sequence[Job],
    catalogue: EnergyCatalogue,
    demand_terms: Mapping[SiteId, DemandTerms],
    end: datetime,
) -> tuple[SiteForecast, ...]:
    """Return the forecast of every site from ``network.at`` to ``end``; runs are cut at the end."""
    wishes = {job.id: job.wanted for job in jobs}
    runs: dict[SiteId, list[Run]] = defaultdict(list)
    for placement in placements:
        pool = network.pool(placement.pool_id).pool
        runs[placement.site_id].append(
            Run(
                placement=placement,
                extra_w=placement.units * max(0.0, pool.power_w_busy - pool.power_w_idle),
                end=placement.start
                + timedelta(seconds=wishes[placement.job_id].run_s_at(placement.units)),
            )
        )
    return tuple(
        _site(
            state,
            runs[state.site.id],
            catalogue,
            demand_terms.get(state.site.id, NO_DEMAND),
            (network.at, end),
        )
        for state in network.sites
    )


def _site(
    state: SiteState,
    runs: list[Run],
    catalogue: EnergyCatalogue,
    terms: DemandTerms,
    period: tuple[datetime, datetime],
) -> SiteForecast:
    site, (start, end) = state.site, period
    tariff = catalogue.tariff_versions(site.tariff_id)
    windows = _windows(start, end, timedelta(minutes=tariff.at(start).demand.window_minutes))
    base_w = state.it_power_w.value
    it_w = [base_w + sum(run.extra_w * _share(run, window) for run in runs) for window in windows]
    uses = _uses(state, catalogue, windows, it_w)
    idle_uses = _uses(state, catalogue, windows, [base_w] * len(windows))
    hours = (end - start) / timedelta(hours=1)
    return SiteForecast(
        site_id=site.id,
        name=site.name,
        jobs=len(runs),
        unit_hours=sum(_unit_hours(run, period) for run in runs),
        unit_hours_installed=hours * sum(pool.pool.units for pool in state.pools),
        it_wh=sum(w * _hours(window) for w, window in zip(it_w, windows, strict=True)),
        facility_wh=sum(use.energy_wh for use in uses),
        peak_w=max(use.demand_w() for use in uses),
        contract_w=site.contract_w,
        carbon=catalogue.carbon.factor(site.carbon_region, start.year),
        bill=bill_of(tariff, site.voltage, terms, uses),
        idle_bill=bill_of(tariff, site.voltage, terms, idle_uses),
    )


def _uses(
    state: SiteState,
    catalogue: EnergyCatalogue,
    windows: Sequence[tuple[datetime, datetime]],
    it_w: Sequence[float],
) -> list[EnergyUse]:
    """Return facility energy by window; the rounding to Wh carries over, so totals telescope."""
    site, facility = state.site, catalogue.facility_of(state.site)
    climate = catalogue.climate(site.climate)
    uses: list[EnergyUse] = []
    exact_wh, given_wh = 0.0, 0
    for window, load_w in zip(windows, it_w, strict=True):
        middle = window[0] + (window[1] - window[0]) / 2
        exact_wh += facility.facility_w(
            load_w, climate.wet_bulb_at(middle, site.timezone)
        ) * _hours(window)
        energy_wh = round(exact_wh) - given_wh
        given_wh += energy_wh
        uses.append(EnergyUse(start=window[0], end=window[1], energy_wh=energy_wh))
    return uses


def _windows(
    start: datetime, end: datetime, length: timedelta
) -> tuple[tuple[datetime, datetime], ...]:
    windows: list[tuple[datetime, datetime]] = []
    here = start
    while here < end:
        windows.append((here, min(here + length, end)))
        here += length
    return tuple(windows)


def _share(run: Run, window: tuple[datetime, datetime]) -> float:
    """Return the part of a window in which the job runs."""
    overlap = min(run.end, window[1]) - max(run.placement.start, window[0])
    return max(0.0, overlap / (window[1] - window[0]))


def _unit_hours(run: Run, period: tuple[datetime, datetime]) -> float:
    overlap = min(run.end, period[1]) - max(run.placement.start, period[0])
    milliseconds = max(timedelta(0), overlap) // timedelta(milliseconds=1)
    return run.placement.units * milliseconds / MS_PER_HOUR


def _hours(window: tuple[datetime, datetime]) -> float:
    return (window[1] - window[0]) / timedelta(hours=1)
