"""``suanwang grafana``: dashboards as files, or straight into a Grafana."""

import json
from pathlib import Path
from typing import Annotated

import typer

from cli.output import AsJson, emit_json, line
from suanwang.errors import Unavailable

app = typer.Typer(no_args_is_help=True, help="Render the Grafana dashboards, or push them.")


def _boards() -> dict[str, dict[str, object]]:
    try:
        from dashboards.grafana import boards
    except ImportError as failure:
        raise Unavailable(
            f"the dashboards need a package that is not installed: {failure.name}",
            next_step="pip install 'suanwang[grafana]'",
        ) from failure
    return boards.build_all()


@app.command("render")
def render(
    output: Annotated[Path, typer.Option(help="Folder for the JSON files.")],
    as_json: AsJson = False,
) -> None:
    """Write each dashboard as a JSON file, for Grafana's import or its sidecar."""
    output.mkdir(parents=True, exist_ok=True)
    written = []
    for name, board in _boards().items():
        path = output / f"{name}.json"
        path.write_text(json.dumps(board, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        written.append(str(path))
    if as_json:
        emit_json({"written": written})
    else:
        for path_text in written:
            line(path_text)


@app.command("push")
def push(
    grafana_url: Annotated[str, typer.Option(envvar="GRAFANA_URL", help="Address of the Grafana.")],
    grafana_token: Annotated[
        str, typer.Option(envvar="GRAFANA_TOKEN", help="Token of a service account (Editor).")
    ],
    message: Annotated[str, typer.Option(help="Shown in the dashboard's history.")] = "suanwang",
    as_json: AsJson = False,
) -> None:
    """Push the dashboards through Grafana's HTTP API; a repeat replaces them."""
    boards = _boards()
    from dashboards.grafana import publish

    pushed = publish.publish(publish.GrafanaHttp(grafana_url, grafana_token), boards, message)
    if as_json:
        emit_json([{"uid": p.uid, "path": p.path, "version": p.version} for p in pushed])
        return
    for board in pushed:
        line(f"{board.uid}: version {board.version} at {grafana_url.rstrip('/')}{board.path}")
