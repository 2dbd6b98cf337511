"""The report of ``suanwang plan``: a plan as tables for people or JSON for programs."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from cli.certificate import certificate_lines
from cli.output import NOTHING, Json, line, number, table, yuan
from cli.plan_energy import energy_document, print_energy
from optimizer.rules import REASON_RANK
from scheduler.forecast import SiteForecast
from suanwang.energy.bill import Bill
from suanwang.model.job import Job
from suanwang.model.plan import Placement, Plan, ReasonCode, Rejection
from suanwang.scenario.world import World

GRAMS_PER_TONNE = 1_000_000
WH_PER_KWH = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReport:
    """Everything that is printed; ``total_s`` is the time from reading the file to here."""

    world: World
    plan: Plan
    sites: tuple[SiteForecast, ...]
    slots: int
    total_s: float

    @property
    def placed(self) -> tuple[Placement, ...]:
        """All placements, in the order of their start."""
        both = self.plan.starts + self.plan.later
        return tuple(sorted(both, key=lambda one: (one.start, one.job_id)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRow:
    """The jobs of one class together."""

    job_class: str
    tenant: str
    jobs: int
    placed: int
    unit_hours: float
    sites: dict[str, int]
    price_fen: int
    voucher_fen: int
    cash_fen: int
    wait_h: float
    energy_wh: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalRow:
    """Jobs of one class that are refused for one reason; ``message`` is the first one's."""

    job_class: str
    reason: str
    count: int
    is_final: bool
    message: str


def class_rows(report: PlanReport) -> list[ClassRow]:
    """Return a row for each job class, in the order of the world."""
    placed: dict[str, list[Placement]] = defaultdict(list)
    for placement in report.placed:
        placed[report.world.job_class[placement.job_id]].append(placement)
    members: dict[str, list[Job]] = defaultdict(list)
    for job in report.world.jobs:
        members[report.world.job_class[job.id]].append(job)
    order = list(dict.fromkeys(report.world.job_class.values()))
    return [_class_row(name, members[name], placed[name]) for name in order]


def _class_row(name: str, jobs: list[Job], placed: list[Placement]) -> ClassRow:
    by_id = {job.id: job for job in jobs}
    waits_h = [_wait_h(by_id[one.job_id], one) for one in placed]
    return ClassRow(
        job_class=name,
        tenant=jobs[0].tenant_id,
        jobs=len(jobs),
        placed=len(placed),
        unit_hours=sum(one.units * by_id[one.job_id].wishes.run_s_at(one.units) for one in placed)
        / 3_600,
        sites=dict(Counter(str(one.site_id) for one in placed).most_common()),
        price_fen=sum(one.price_fen_max for one in placed),
        voucher_fen=sum(sum(one.lots.values()) for one in placed),
        cash_fen=sum(one.cash_fen for one in placed),
        wait_h=sum(waits_h) / len(waits_h) if waits_h else 0.0,
        energy_wh=sum(one.energy_wh for one in placed),
    )


def _wait_h(job: Job, placement: Placement) -> float:
    return (placement.start - job.submitted_at).total_seconds() / 3_600


def refusal_rows(report: PlanReport) -> list[RefusalRow]:
    """Return the refusals by class and reason, the most frequent first."""
    grouped: dict[tuple[str, str], list[Rejection]] = defaultdict(list)
    for rejection in report.plan.rejections:
        key = (report.world.job_class[rejection.job_id], str(rejection.reason))
        grouped[key].append(rejection)
    rows = [
        RefusalRow(
            job_class=job_class,
            reason=reason,
            count=len(group),
            is_final=all(one.is_final for one in group),
            message=group[0].message,
        )
        for (job_class, reason), group in grouped.items()
    ]
    return sorted(rows, key=lambda row: (-row.count, row.job_class, row.reason))


def elsewhere_rows(report: PlanReport) -> list[tuple[str, str, str]]:
    """Return (class, reason, sites with counts): why placed jobs are not at the other sites.

    A site counts once for a job, with the reason that came nearest to a place there.
    """
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for placement in report.placed:
        job_class = report.world.job_class[placement.job_id]
        for site, reason in _nearest_reasons(placement).items():
            counts[job_class, reason][site] += 1
    order = {name: place for place, name in enumerate(report.world.job_class.values())}
    return [
        (job_class, reason, _counted(sites))
        for (job_class, reason), sites in sorted(
            counts.items(), key=lambda item: (order[item[0][0]], item[0][1])
        )
    ]


def _nearest_reasons(placement: Placement) -> dict[str, str]:
    rank = {reason: place for place, reason in enumerate(REASON_RANK)}
    nearest: dict[str, ReasonCode] = {}
    for verdict in placement.verdicts:
        known = nearest.get(verdict.site_id)
        if known is None or rank.get(verdict.reason, 0) > rank.get(known, 0):
            nearest[verdict.site_id] = verdict.reason
    nearest.pop(placement.site_id, None)
    return {site: str(reason) for site, reason in nearest.items()}


def _counted(sites: Mapping[str, int]) -> str:
    ordered = sorted(sites.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{site} {count}" for site, count in ordered)


def print_report(report: PlanReport, *, limit_rows: int, show_jobs: bool) -> None:
    """Print the report as tables."""
    _print_head(report)
    _print_classes(report)
    _print_sites(report)
    print_energy(report.plan.energy)
    _print_elsewhere(report, limit_rows)
    _print_refusals(report, limit_rows)
    if show_jobs:
        _print_jobs(report, limit_rows)
    for text in _remarks(report):
        line(text)


def _print_head(report: PlanReport) -> None:
    world, plan = report.world, report.plan
    line(f"{world.title} ({world.id})")
    line(
        f"{len(world.jobs)} jobs, {len(world.sites)} sites, {report.slots} slots from "
        f"{_local(report, world.start)} to {_local(report, world.end)}"
    )
    line(
        f"{len(report.placed)} placed, {len(plan.rejections)} refused; {plan.planner} plan by "
        f"{plan.solver}; built in {plan.build_s:.2f} s, solved in {plan.solve_s:.2f} s, "
        f"all in {report.total_s:.2f} s"
    )
    for text in certificate_lines(asdict(plan.certificate)):
        line(text)
    if plan.note:
        line(plan.note)
    line()


def _print_classes(report: PlanReport) -> None:
    columns = ("class", "tenant", "placed", "unit-hours", "wait h", "price CNY", "voucher CNY",
               "cash CNY", "sites")  # fmt: skip
    rows = [
        (
            row.job_class,
            row.tenant,
            f"{row.placed}/{row.jobs}",
            number(row.unit_hours),
            number(row.wait_h),
            yuan(row.price_fen),
            yuan(row.voucher_fen),
            yuan(row.cash_fen),
            _counted(row.sites) or NOTHING,
        )
        for row in class_rows(report)
    ]
    table(columns, rows, title="Jobs by class (prices are the most that can be charged)")
    line()


def _print_sites(report: PlanReport) -> None:
    columns = ("site", "jobs", "use", "IT kWh", "facility kWh", "PUE", "CO2 t", "peak kW",
               "energy CNY", "demand CNY", "bill CNY", "of it idle")  # fmt: skip
    rows = [_site_cells(site) for site in report.sites]
    rows.append(_total_cells(report.sites))
    table(columns, rows, title="Sites: load and electricity bill of the horizon, jobs and all else")
    line()


def _site_cells(site: SiteForecast) -> tuple[str, ...]:
    return (
        str(site.site_id),
        str(site.jobs),
        f"{site.unit_hours / site.unit_hours_installed:.0%}",
        number(site.it_wh / WH_PER_KWH),
        number(site.facility_wh / WH_PER_KWH),
        number(site.pue, 3),
        number(site.carbon_g / GRAMS_PER_TONNE, 2),
        number(site.peak_w / WH_PER_KWH),
        yuan(site.bill.energy_fen),
        yuan(site.bill.demand_fen),
        yuan(site.bill.total_fen),
        yuan(site.idle_bill.total_fen),
    )


def _total_cells(sites: Sequence[SiteForecast]) -> tuple[str, ...]:
    total = _totals(sites)
    installed = sum(site.unit_hours_installed for site in sites)
    return (
        "all",
        str(sum(site.jobs for site in sites)),
        f"{sum(site.unit_hours for site in sites) / installed:.0%}",
        number(total["it_wh"] / WH_PER_KWH),
        number(total["facility_wh"] / WH_PER_KWH),
        number(total["pue"], 3),
        number(total["carbon_g"] / GRAMS_PER_TONNE, 2),
        "",
        yuan(total["energy_fen"]),
        yuan(total["demand_fen"]),
        yuan(total["bill_fen"]),
        yuan(total["idle_bill_fen"]),
    )


def _totals(sites: Sequence[SiteForecast]) -> dict[str, Json]:
    it_wh = sum(site.it_wh for site in sites)
    facility_wh = sum(site.facility_wh for site in sites)
    return {
        "unit_hours": sum(site.unit_hours for site in sites),
        "it_wh": it_wh,
        "facility_wh": facility_wh,
        "pue": facility_wh / it_wh if it_wh > 0 else None,
        "carbon_g": sum(site.carbon_g for site in sites),
        "energy_fen": sum(site.bill.energy_fen for site in sites),
        "demand_fen": sum(site.bill.demand_fen for site in sites),
        "bill_fen": sum(site.bill.total_fen for site in sites),
        "idle_bill_fen": sum(site.idle_bill.total_fen for site in sites),
    }


def _print_elsewhere(report: PlanReport, limit_rows: int) -> None:
    rows = [row for row in elsewhere_rows(report) if row[1] != ReasonCode.ACCELERATOR]
    shown = rows[: limit_rows or None]
    title = "Why placed jobs are not elsewhere (sites without the accelerator left out)"
    table(("class", "reason", "sites"), shown, title=title)
    _print_rest(len(rows) - len(shown))


def _print_refusals(report: PlanReport, limit_rows: int) -> None:
    rows = refusal_rows(report)
    if not rows:
        line("No job is refused.")
        line()
        return
    shown = rows[: limit_rows or None]
    table(
        ("class", "jobs", "reason", "for good", "the first one's words"),
        [
            (
                row.job_class,
                str(row.count),
                row.reason,
                "yes" if row.is_final else "no",
                row.message,
            )
            for row in shown
        ],
        title="Refused",
    )
    _print_rest(len(rows) - len(shown))


def _print_jobs(report: PlanReport, limit_rows: int) -> None:
    shown = report.placed[: limit_rows or None]
    table(
        ("job", "pool", "units", "start", "price CNY", "kWh", "CO2 kg"),
        [
            (
                str(one.job_id),
                str(one.pool_id),
                str(one.units),
                _local(report, one.start),
                yuan(one.price_fen_max),
                number(one.energy_wh / WH_PER_KWH, 2),
                number(one.carbon_g / 1_000, 2),
            )
            for one in shown
        ],
        title="Placed jobs",
    )
    _print_rest(len(report.placed) - len(shown))


def _print_rest(count: int) -> None:
    if count > 0:
        line(f"… and {count} more rows; --limit-rows 0 shows all")
    line()


def _remarks(report: PlanReport) -> list[str]:
    years = sorted({site.carbon.year for site in report.sites})
    remarks = [
        "Modelled, not measured: typical weather, nameplate power, runs at full length, estimated "
        f"tariff parts; CO2 by the location-based factors of {', '.join(map(str, years))}."
    ]
    stand_ins = sorted({site.bill.tariff_id for site in report.sites if site.bill.is_stand_in})
    if stand_ins:
        remarks.append(f"Not in effect on these days, used as a stand-in: {', '.join(stand_ins)}.")
    return remarks


def _local(report: PlanReport, moment: datetime) -> str:
    return f"{moment.astimezone(ZoneInfo(report.world.timezone)):%Y-%m-%d %H:%M}"


def report_document(report: PlanReport) -> Json:
    """Return the report as a JSON document; money in fen, energy in Wh, carbon in g, UTC times."""
    world, plan = report.world, report.plan
    return {
        "world": world.id,
        "start": world.start.isoformat(),
        "end": world.end.isoformat(),
        "slots": report.slots,
        "planner": str(plan.planner),
        "solver": plan.solver,
        "objective_yuan": plan.objective,
        "bound_yuan": plan.bound,
        "certificate": asdict(plan.certificate),
        "build_s": plan.build_s,
        "solve_s": plan.solve_s,
        "total_s": report.total_s,
        "note": plan.note,
        "jobs": len(world.jobs),
        "placed": len(report.placed),
        "refused": len(plan.rejections),
        "totals": _totals(report.sites),
        "sites": [_site_document(site) for site in report.sites],
        "energy": [energy_document(one) for one in plan.energy],
        "classes": [_class_document(row) for row in class_rows(report)],
        "elsewhere": [
            {"job_class": job_class, "reason": reason, "sites": sites}
            for job_class, reason, sites in elsewhere_rows(report)
        ],
        "placements": [_placement_document(one, report) for one in report.placed],
        "rejections": [_rejection_document(one, report) for one in plan.rejections],
        "remarks": _remarks(report),
    }


def _site_document(site: SiteForecast) -> Json:
    return {
        "id": site.site_id,
        "name": site.name,
        "jobs": site.jobs,
        "unit_hours": site.unit_hours,
        "unit_hours_installed": site.unit_hours_installed,
        "it_wh": site.it_wh,
        "facility_wh": site.facility_wh,
        "pue": site.pue,
        "peak_w": site.peak_w,
        "contract_w": site.contract_w,
        "carbon_g": site.carbon_g,
        "carbon_year": site.carbon.year,
        "bill": _bill_document(site.bill),
        "idle_bill": _bill_document(site.idle_bill),
    }


def _bill_document(bill: Bill) -> Json:
    return {
        "tariff_id": bill.tariff_id,
        "voltage": bill.voltage,
        "lines": [
            {
                "band": part.label,
                "energy_wh": part.energy_wh,
                "price_uyuan_per_kwh": part.price_uyuan_per_kwh,
                "amount_fen": part.amount_fen,
            }
            for part in bill.lines
        ],
        "energy_fen": bill.energy_fen,
        "demand_w": bill.demand_w,
        "demand_fen": bill.demand_fen,
        "total_fen": bill.total_fen,
        "is_stand_in": bill.is_stand_in,
    }


def _class_document(row: ClassRow) -> Json:
    return {
        "job_class": row.job_class,
        "tenant": row.tenant,
        "jobs": row.jobs,
        "placed": row.placed,
        "unit_hours": row.unit_hours,
        "sites": row.sites,
        "price_fen_max": row.price_fen,
        "voucher_fen": row.voucher_fen,
        "cash_fen": row.cash_fen,
        "wait_h": row.wait_h,
        "energy_wh": row.energy_wh,
    }


def _placement_document(one: Placement, report: PlanReport) -> Json:
    return {
        "job_id": one.job_id,
        "job_class": report.world.job_class[one.job_id],
        "site_id": one.site_id,
        "pool_id": one.pool_id,
        "units": one.units,
        "start": one.start.isoformat(),
        "price_fen_max": one.price_fen_max,
        "lots": dict(one.lots),
        "cash_fen": one.cash_fen,
        "energy_wh": one.energy_wh,
        "carbon_g": one.carbon_g,
        "latency_ms": one.latency_ms,
    }


def _rejection_document(one: Rejection, report: PlanReport) -> Json:
    return {
        "job_id": one.job_id,
        "job_class": report.world.job_class[one.job_id],
        "reason": str(one.reason),
        "is_final": one.is_final,
        "message": one.message,
        "facts": dict(one.facts),
    }
