"""What the demo prints at its end: where each job ran and why, what it used, and who paid."""

from cli.demo_run import DemoResult
from cli.energy import pue_table
from cli.output import Json, line, number, table, yuan
from cli.vouchers import lot_table
from cli.world import story
from suanwang.scenario.world import World


def report(world: World, result: DemoResult) -> None:
    """Print the whole report."""
    _placements(world, result)
    _refusals(world, result)
    _accounts(result)
    line()
    pue_table(result.pue, title="PUE, from the energy registers of the emulated meters")
    line()
    _books(result)


def as_document(result: DemoResult) -> Json:
    """Return the result as a JSON document."""
    return {
        "quote": result.quote,
        "jobs": result.jobs,
        "refused": {done.job.id: done.output for done in result.submitted if done.exit_code != 0},
        "explanations": result.explanations,
        "pue": result.pue,
        "lots": result.lots,
        "cash_fen": result.cash_fen,
        "ledger": result.ledger,
    }


def _placements(world: World, result: DemoResult) -> None:
    rows = []
    for job in story(world).jobs:
        found = result.jobs.get(job.id)
        if found is None:
            continue
        verdicts = result.explanations[job.id]["verdicts"]
        elsewhere = [row for row in verdicts if row["site_id"] != found["site_id"]]
        why_not = "; ".join(
            f"{row['site_id']}: {row['message'] or row['reason']}" for row in elsewhere
        )
        rows.append((job.id, job.title, found["site_id"] or "–", found["state"], why_not))
    line()
    table(
        ("job", "what it is", "ran at", "ended", "why not elsewhere"),
        rows,
        title="Where the jobs ran",
    )


def _refusals(world: World, result: DemoResult) -> None:
    for done in result.submitted:
        if done.exit_code != 0:
            line()
            line(f"Refused: {done.job.id}, {done.job.title}")
            reason = [text for text in done.output.splitlines() if "402" in text or "CNY" in text]
            line("  " + (reason[-1].strip() if reason else done.output.strip()[-300:]))


def _accounts(result: DemoResult) -> None:
    rows = []
    for name, job in result.jobs.items():
        account = job.get("account")
        if not account:
            continue
        rows.append(
            (
                name,
                account["site_id"],
                number(account["unit_seconds"], 3),
                number(account["energy_wh"], 3),
                number(account["carbon_g"], 3),
                yuan(account["price_fen"]),
                yuan(account["voucher_fen"]),
                yuan(account["cash_fen"]),
                account["quality"],
            )
        )
    line()
    table(
        ("job", "site", "core-seconds", "Wh", "g CO2", "CNY", "voucher", "cash", "energy is"),
        rows,
        title="What they used and who paid",
    )


def _books(result: DemoResult) -> None:
    lot_table(result.lots, title="The voucher")
    for lot in result.lots:
        names = ("left", "held", "spent", "expired", "recalled")
        parts = [lot[f"{'available' if name == 'left' else name}_fen"] for name in names]
        sign = "=" if sum(parts) == lot["issued_fen"] else "≠"
        sums = (f"{name} {yuan(part)}" for name, part in zip(names, parts, strict=True))
        line(f"  {lot['id']}: granted {yuan(lot['issued_fen'])} {sign} " + " + ".join(sums))
    verdict = "sound" if result.ledger["is_sound"] else "NOT SOUND"
    findings = result.ledger.get("findings") or ["postings sum to zero, the chain is whole"]
    line(f"  the ledger is {verdict}: " + "; ".join(findings))
