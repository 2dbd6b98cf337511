"""``suanwang planner``: what the centre's planner did, and the problem that it sees."""

import json
from pathlib import Path
from typing import Annotated

import typer

from cli.certificate import certificate_lines
from cli.connection import ApiKey, Url, connect
from cli.output import AsJson, clock_time, emit_json, line, number

app = typer.Typer(no_args_is_help=True, help="The centre's planner: its runs, its problem.")


@app.command("runs")
def runs(
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many of the newest.")] = 5,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show the newest planning runs with what they proved."""
    with connect(url, api_key) as client:
        answer = client.get("/v1/planner/runs", limit=limit)
    if as_json:
        emit_json(answer)
        return
    for run in answer["items"]:
        took_s = run["build_s"] + run["solve_s"]
        line(
            f"{clock_time(run['made_at'])} {run['id']}: {run['planner']} plan by {run['solver']}, "
            f"jobs {run['jobs']}, starts {run['starts']}; {number(took_s, 3, 's')}"
        )
        for text in certificate_lines(run["certificate"]):
            line(f"  {text}")


@app.command("problem")
def problem(
    file: Annotated[Path, typer.Argument(help="Where to write it.")],
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Write the problem that the planner sees now, without names of others, for a bug report.

    Solve it anywhere with `suanwang plan --problem FILE`.
    """
    with connect(url, api_key) as client:
        found = client.get("/v1/planner/problem")
    file.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    jobs, pools = len(found["problem"]["jobs"]), len(found["problem"]["pools"])
    line(f"{file}: {jobs} jobs, {pools} pools; names of jobs, tenants, lots and data replaced")
