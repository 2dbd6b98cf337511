"""The report of ``suanwang plan --problem``: the plan of a dumped problem."""

from collections import Counter
from dataclasses import asdict, dataclass

from cli.certificate import certificate_lines
from cli.output import Json, line, table, yuan
from optimizer.problem import Problem
from suanwang.model.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpedReport:
    """A problem from a file, and its plan."""

    problem: Problem
    plan: Plan


def print_dumped(report: DumpedReport, *, limit_rows: int) -> None:
    """Print the plan as tables: what starts where, and why the rest does not."""
    problem, plan = report.problem, report.plan
    placed = (*plan.starts, *plan.later)
    line(
        f"{len(problem.jobs)} jobs, {len(problem.sites)} sites, {len(problem.pools)} pools, "
        f"{len(problem.slots)} slots from {problem.origin.isoformat(timespec='minutes')}"
    )
    line(
        f"{len(placed)} placed, {len(plan.rejections)} refused; {plan.planner} plan by "
        f"{plan.solver}; built in {plan.build_s:.2f} s, solved in {plan.solve_s:.2f} s"
    )
    for text in certificate_lines(asdict(plan.certificate)):
        line(text)
    if plan.note:
        line(plan.note)
    line()
    shown = placed[: limit_rows or None]
    table(
        ("job", "pool", "units", "start", "price CNY", "voucher CNY", "cash CNY"),
        [
            (
                one.job_id,
                one.pool_id,
                str(one.units),
                one.start.isoformat(timespec="minutes"),
                yuan(one.price_fen_max),
                yuan(sum(one.lots.values())),
                yuan(one.cash_fen),
            )
            for one in shown
        ],
        title="Placed jobs",
    )
    if len(placed) > len(shown):
        line(f"… and {len(placed) - len(shown)} more; --limit-rows 0 shows all")
    line()
    reasons = Counter(str(one.reason) for one in plan.rejections)
    table(
        ("reason", "jobs"),
        [(reason, str(count)) for reason, count in reasons.most_common()],
        title="Refused jobs",
    )


def dumped_document(report: DumpedReport) -> Json:
    """Return the whole plan as JSON."""
    return asdict(report.plan)
