"""``suanwang series``: the raw series of a site, listed, looked at and given out."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final, TextIO

import typer

from cli.client import Client
from cli.connection import ApiKey, Url, connect
from cli.output import AsJson, Json, clock_time, emit_json, line, note, table
from suanwang.errors import BadInput, NotFound

SiteName = Annotated[str, typer.Argument(help="The site's id.")]
Subject = Annotated[
    str, typer.Option(help="Only of this subject, such as meter:m1; meter:* for all that begin so.")
]
Metric = Annotated[str, typer.Option(help="Only of this metric, such as power_w.")]
First = Annotated[
    str,
    typer.Option(
        "--from", help="A day or a moment (2026-11-20, 2026-11-20T08:00+08:00), or -6h, -2d."
    ),
]
Last = Annotated[str, typer.Option("--to", help="The end, left out; now if not given.")]

PAGE: Final = 1_000
ROWS_MAX: Final = 48
"""Rows that a table of ``show`` has at most, where no step is asked for."""
STEPS_S: Final = (60, 300, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400)
BARS: Final = "▁▂▃▄▅▆▇█"
PIECE: Final = timedelta(hours=24)
"""How much ``export`` asks for at a time; less where that has too many points."""
PIECE_MIN: Final = timedelta(minutes=1)
COLUMNS: Final = ("at", "last", "mean", "min", "max", "samples")
_LENGTH: Final = re.compile(r"(\d{1,6})([smhd])")
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

app = typer.Typer(help="Raw series of a site: list, look at, give out.", no_args_is_help=True)


class Form(StrEnum):
    """How samples are given out."""

    CSV = "csv"
    JSONL = "jsonl"


class Value(StrEnum):
    """Which value of a step is drawn."""

    LAST = "last"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"


@app.command("list")
def list_series(
    site_id: SiteName,
    subject: Subject = "",
    metric: Metric = "",
    after: Annotated[int, typer.Option(min=0, help="Begin after the series with this id.")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="How many to list.")] = 200,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List raw series by their ids; the last line says how to go on."""
    with connect(url, api_key) as client:
        found, rest = _some_series(client, site_id, (subject, metric), after, limit)
    if as_json:
        emit_json({"items": found, "next": rest})
        return
    table(("id", "subject", "metric"), [(str(s["id"]), s["subject"], s["metric"]) for s in found])
    if not found:
        note("no series; `suanwang sites` shows which sources are up")
    if rest is not None:
        note(f"there are more: --after {rest}")


@app.command("show")
def show(
    site_id: SiteName,
    what: Annotated[str, typer.Argument(help="The id of a series, or a subject.")],
    metric: Annotated[str, typer.Argument(help="The metric, after a subject.")] = "",
    first: First = "-24h",
    last: Last = "",
    step: Annotated[str, typer.Option(help="Such as 15m or 1h; 0 for every sample.")] = "",
    value: Annotated[Value, typer.Option(help="What is drawn of each step.")] = Value.MEAN,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show a series in steps: last, mean, least and greatest value, and a line of bars."""
    start, end = _edges(first, last)
    step_s = _seconds(step, "--step") if step else _fitting_step_s(end - start)
    with connect(url, api_key) as client:
        series = _find(client, site_id, what, metric)
        points = client.get(
            f"/v1/sites/{site_id}/samples",
            series=series["id"],
            start=start.isoformat(),
            end=end.isoformat(),
            step_s=step_s,
        )["items"]
    if as_json:
        emit_json({"series": series, "step_s": step_s, "items": points})
        return
    _print(series, points, step_s, value)


@app.command("export")
def export(
    site_id: SiteName,
    what: Annotated[
        list[int] | None, typer.Argument(help="Ids of series; all that the filters find if none.")
    ] = None,
    subject: Subject = "",
    metric: Metric = "",
    first: First = "-24h",
    last: Last = "",
    step: Annotated[str, typer.Option(help="Such as 15m; 0 gives every sample.")] = "0",
    form: Annotated[Form, typer.Option("--format", help="csv, or jsonl.")] = Form.CSV,
    out: Annotated[Path | None, typer.Option(help="File to write; else standard output.")] = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Give out samples of series, one after another, as CSV or as a JSON document a line."""
    start, end = _edges(first, last)
    step_s = _seconds(step, "--step")
    with connect(url, api_key) as client:
        series = _chosen(client, site_id, what or [], (subject, metric))
        rows = (
            (one, point)
            for one in series
            for point in _points(client, site_id, one["id"], (start, end), step_s)
        )
        if out is None:
            count = _write(typer.get_text_stream("stdout"), rows, form, is_raw=not step_s)
        else:
            with out.open("w", encoding="utf-8", newline="") as file:
                count = _write(file, rows, form, is_raw=not step_s)
    note(f"{count} {'steps' if step_s else 'samples'} of {len(series)} series")


def _some_series(
    client: Client, site_id: str, filters: tuple[str, str], after: int, limit: int
) -> tuple[list[Json], int | None]:
    """Return series from an id on, and the id after which there are more, if any."""
    found: list[Json] = []
    rest: int | None = after
    while rest is not None and len(found) < limit:
        page = client.get(
            f"/v1/sites/{site_id}/series",
            subject=filters[0] or None,
            metric=filters[1] or None,
            after=rest,
            limit=min(PAGE, limit - len(found)),
        )
        found += page["items"]
        rest = page["next"]
    return found, rest


def _chosen(
    client: Client, site_id: str, ids: Sequence[int], filters: tuple[str, str]
) -> list[Json]:
    every, _ = _some_series(client, site_id, filters, 0, 10_000_000)
    if not ids:
        if not every:
            raise NotFound(f"site {site_id} has no such series", next_step=_LIST.format(site_id))
        return every
    by_id = {one["id"]: one for one in every}
    missing = [str(number) for number in ids if number not in by_id]
    if missing:
        raise NotFound(
            f"site {site_id} has no series {', '.join(missing)} of that subject and metric",
            next_step=_LIST.format(site_id),
        )
    return [by_id[number] for number in ids]


_LIST: Final = "`suanwang series list {}` lists them"


def _find(client: Client, site_id: str, what: str, metric: str) -> Json:
    """Return the series of an id, or the one of a subject and a metric."""
    if what.isdecimal() and not metric:
        found, _ = _some_series(client, site_id, ("", ""), max(0, int(what) - 1), 1)
        if found and found[0]["id"] == int(what):
            return found[0]
        raise NotFound(f"site {site_id} has no series {what}", next_step=_LIST.format(site_id))
    found, _ = _some_series(client, site_id, (what, metric), 0, PAGE)
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFound(
            f"site {site_id} has no series {what} {metric}".rstrip(),
            next_step=_LIST.format(site_id),
        )
    names = sorted({one["metric"] if not metric else one["subject"] for one in found})
    raise BadInput(
        f"{what} {metric}".rstrip() + f" are {len(found)} series",
        next_step=f"add one of {', '.join(names[:20])}",
    )


def _edges(first: str, last: str) -> tuple[datetime, datetime]:
    from suanwang.clock import SystemClock

    now = SystemClock().now()
    start = _moment(first, now, "--from")
    end = _moment(last, now, "--to") if last else now
    if start >= end:
        raise BadInput(f"--from {first} is not before --to {last or 'now'}")
    return start, end


def _moment(text: str, now: datetime, option: str) -> datetime:
    """Return a moment; a day and a moment without a zone are those of this machine's zone."""
    if text.startswith("-"):
        return now - timedelta(seconds=_seconds(text[1:], option))
    try:
        found = datetime.fromisoformat(text)
    except ValueError as failure:
        raise BadInput(
            f"{option} {text} is no moment",
            next_step="such as 2026-11-20, 2026-11-20T08:00+08:00, -6h or -2d",
        ) from failure
    return found.astimezone(UTC)


def _seconds(text: str, option: str) -> int:
    if text.isdecimal():
        return int(text)
    found = _LENGTH.fullmatch(text)
    if found is None:
        raise BadInput(f"{option} {text} is no length of time", next_step="such as 30s, 15m, 1h")
    return int(found[1]) * _UNIT_S[found[2]]


def _fitting_step_s(length: timedelta) -> int:
    """Return the shortest usual step of which no more than a table's rows are needed."""
    wanted_s = length.total_seconds() / ROWS_MAX
    return next((step_s for step_s in STEPS_S if step_s >= wanted_s), STEPS_S[-1])


def _print(series: Json, points: Sequence[Json], step_s: int, value: Value) -> None:
    line(f"{series['subject']} {series['metric']}  (series {series['id']})")
    if not points:
        note("no samples in this time; raw samples are kept for 35 days")
        return
    least, most = min(p["min"] for p in points), max(p["max"] for p in points)
    count = sum(p["samples"] for p in points)
    mean = sum(p["mean"] * p["samples"] for p in points) / count
    line(f"{count} samples, least {least:g}, mean {mean:g}, greatest {most:g}")
    line(bars([float(point[value.value]) for point in points]))
    table(
        ("from" if step_s else "at", "last", "mean", "least", "greatest", "samples"),
        [
            (
                clock_time(point["at"]),
                *(f"{point[name]:.10g}" for name in ("last", "mean", "min", "max")),
                str(point["samples"]),
            )
            for point in points
        ],
    )


def bars(values: Sequence[float], width: int = 96) -> str:
    """Return values as bars between their least and their greatest; many are drawn as means."""
    if len(values) > width:
        cuts = [round(n * len(values) / width) for n in range(width + 1)]
        values = [sum(values[low:high]) / (high - low) for low, high in pairwise(cuts)]
    low, span = min(values), max(values) - min(values)
    if not span:
        return BARS[0] * len(values)
    return "".join(BARS[round((value - low) / span * (len(BARS) - 1))] for value in values)


def _points(
    client: Client, site_id: str, series_id: int, period: tuple[datetime, datetime], step_s: int
) -> Iterator[Json]:
    """Yield the points of a series, asked for piece by piece at whole steps."""
    start, end = period
    piece = PIECE
    while start < end:
        until = min(end, _at_step(start + piece, step_s, start))
        try:
            answer = client.get(
                f"/v1/sites/{site_id}/samples",
                series=series_id,
                start=start.isoformat(),
                end=until.isoformat(),
                step_s=step_s,
            )
        except BadInput as refusal:
            if "fact_most" not in refusal.facts or piece <= PIECE_MIN:
                raise
            piece /= 2
            continue
        yield from answer["items"]
        start = until


def _at_step(moment: datetime, step_s: int, after: datetime) -> datetime:
    """Return the border of a step at or before a moment; the moment where that is too early."""
    if not step_s:
        return moment
    whole_s = moment.timestamp() // step_s * step_s
    border = datetime.fromtimestamp(whole_s, UTC)
    return border if border > after else moment


def _write(file: TextIO, rows: Iterator[tuple[Json, Json]], form: Form, *, is_raw: bool) -> int:
    """Write rows as they come; return how many. Of a raw sample there is one value."""
    import csv
    import json

    names = ("at", "value") if is_raw else COLUMNS
    writer = csv.writer(file, lineterminator="\n")
    if form is Form.CSV:
        writer.writerow(("subject", "metric", *names))
    count = 0
    for series, point in rows:
        values = (point["at"], point["last"]) if is_raw else [point[name] for name in COLUMNS]
        head = (series["subject"], series["metric"])
        if form is Form.CSV:
            writer.writerow((*head, *values))
        else:
            keys = ("subject", "metric", *names)
            document = dict(zip(keys, (*head, *values), strict=True))
            file.write(json.dumps(document, ensure_ascii=False) + "\n")
        count += 1
    return count
