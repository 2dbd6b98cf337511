"""The command ``suanwang``: assembles the commands and turns every error into one clear line.

Exit codes: 0 done, 1 failed, 2 wrong use, 3 unavailable or no place for the job, 4 no or missing
rights, 5 conflict, 6 refused by a rule or a budget, 130 interrupted.
"""

import sys
from typing import Annotated

import typer

from cli import (
    agent,
    alerts,
    batches,
    bill,
    collect,
    demo,
    discover,
    doctor,
    energy,
    facility,
    grafana,
    inventory,
    jobs,
    kpis,
    local,
    plan,
    planner,
    prices,
    reservations,
    series,
    sites,
    vouchers,
)
from suanwang import __version__
from suanwang.errors import SuanwangError

app = typer.Typer(
    name="suanwang",
    help="Suanwang (算网): one compute network over data centres of different owners.",
    epilog=(
        "Start with `suanwang demo`, or `suanwang up` for a network on this machine. "
        "Exit codes: 0 done, 1 failed, 2 wrong use, 3 unavailable or no place for the job, "
        "4 no or missing rights, 5 conflict, 6 refused by a rule or a budget, 130 interrupted."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=True,
)


def _version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"suanwang {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Suanwang (算网): one compute network over data centres of different owners."""


app.command("demo")(demo.demo)
app.command("up")(local.up)
app.command("server", context_settings={"allow_extra_args": True})(local.server)
app.add_typer(agent.app, name="agent")
app.command("submit")(jobs.submit)
app.add_typer(batches.app, name="batch")
app.command("quote")(jobs.quote)
app.command("explain")(jobs.explain)
app.add_typer(jobs.app, name="jobs")
app.command("logs")(jobs.logs)
app.command("stop")(jobs.stop)
app.add_typer(sites.app, name="sites")
app.add_typer(reservations.app, name="reservations")
app.add_typer(series.app, name="series")
facility.attach(energy.app)
app.add_typer(energy.app, name="pue")
app.command("bill")(bill.bill)
app.add_typer(energy.meters_app, name="meters")
app.add_typer(inventory.app, name="inventory")
app.add_typer(discover.app, name="discover")
app.add_typer(kpis.app, name="kpi")
app.add_typer(alerts.app, name="alerts")
app.add_typer(vouchers.app, name="voucher")
app.add_typer(vouchers.tenants_app, name="tenants")
app.command("plan")(plan.plan)
app.command("prices")(prices.prices)
app.add_typer(planner.app, name="planner")
app.command("doctor")(doctor.doctor)
app.add_typer(doctor.config_app, name="config")
app.add_typer(collect.app, name="collect")
app.add_typer(grafana.app, name="grafana")


def main() -> None:
    """Run the command line; the process ends with the documented exit code."""
    try:
        app(standalone_mode=True)
    except SuanwangError as error:
        typer.echo(f"suanwang: {error.message}", err=True)
        if error.next_step:
            typer.echo(f"  → {error.next_step}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("suanwang: interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)


if __name__ == "__main__":
    main()
