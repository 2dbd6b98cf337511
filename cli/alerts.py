"""``suanwang alerts``: what is wrong, who takes it on, who need not be told, and by which rules."""

import re
from datetime import timedelta
from typing import Annotated, Final

import typer

from cli.connection import ApiKey, Url, connect
from cli.output import NOTHING, AsJson, Json, Past, clock_time, emit_json, line, show_list, table
from suanwang.clock import SystemClock
from suanwang.errors import BadInput, Unavailable

AlertId = Annotated[str, typer.Argument(help="The alert's id (see `alerts list`).")]
_LENGTH: Final = re.compile(r"(\d{1,5})([mhd])")
SYSTEM_CLOCK: Final = SystemClock()
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}

app = typer.Typer(
    no_args_is_help=True, help="Alerts: list, acknowledge, silence, rules, and who is told."
)


@app.command("list")
def list_alerts(
    state: Annotated[
        str, typer.Option(help="live, firing, pending, explained, resolved or all.")
    ] = "live",
    site: Annotated[str, typer.Option(help="Of this site only.")] = "",
    rule: Annotated[str, typer.Option(help="Of this rule only.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="Most lines.")] = 100,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List alerts, the newest first."""
    asked: dict[str, Json] = {"state": state, "site": site, "rule": rule, "limit": limit}
    with connect(url, api_key) as client:
        answer = client.get("/v1/alerts", **{name: value for name, value in asked.items() if value})
    if as_json:
        emit_json(answer)
        return
    if not answer["items"]:
        line("no alerts")
        return
    table(
        ("id", "severity", "state", "since", "what", "taken by"),
        [
            (
                one["id"],
                one["severity"],
                _state(one),
                clock_time(one["fired_at"] or one["bad_at"]),
                one["summary"]["en"],
                one["acked_by"] or NOTHING,
            )
            for one in answer["items"]
        ],
    )
    if answer["next"]:
        line(f"there are more; raise --limit, which is {limit}")


def _state(one: Json) -> str:
    words = [one["state"]]
    if one["is_flapping"]:
        words.append("flapping")
    if one["silenced_until"]:
        words.append("silenced")
    return ", ".join(words)


@app.command("show")
def show(
    alert_id: AlertId, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Show an alert: what is known of it, its chart, its runbook and its history."""
    with connect(url, api_key) as client:
        one = client.get(f"/v1/alerts/{alert_id}")
    if as_json:
        emit_json(one)
        return
    line(f"{one['severity']}: {one['summary']['en']}")
    line(one["summary"]["zh"])
    if one["words"]:
        line(one["words"])
    for name, text in (
        ("rule", one["rule"]),
        ("state", _state(one)),
        ("bad since", clock_time(one["bad_at"])),
        ("fired", clock_time(one["fired_at"])),
        ("resolved", clock_time(one["resolved_at"])),
        ("taken by", f"{one['acked_by']} {one['ack_note']}".strip() or NOTHING),
        ("silenced until", clock_time(one["silenced_until"])),
        ("chart", one["chart"]),
        ("runbook", one["runbook"]),
    ):
        line(f"  {name:15}{text}")
    table(
        ("at", "event", "more"),
        [(clock_time(each["at"]), each["kind"], each["words"]) for each in one["events"]],
    )


@app.command("ack")
def acknowledge(
    alert_id: AlertId,
    note: Annotated[str, typer.Option(help="What you are doing about it.")] = "",
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Take an alert on: reminders of it end until it fires anew."""
    with connect(url, api_key) as client:
        one = client.post(f"/v1/alerts/{alert_id}/ack", {"note": note})
    if as_json:
        emit_json(one)
    else:
        line(f"{alert_id} is taken on by {one['acked_by']}")


def _length(text: str) -> timedelta:
    found = _LENGTH.fullmatch(text.strip())
    if found is None or not int(found[1]):
        raise BadInput(f"{text!r} is no length of time", next_step="such as 30m, 4h or 7d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


@app.command("silence")
def silence(
    reason: Annotated[str, typer.Option(help="Why, for those who wonder later.")],
    length: Annotated[str, typer.Option("--for", help="How long: 30m, 4h or 7d.")] = "4h",
    rule: Annotated[str, typer.Option(help="Rule, such as meter-*.")] = "*",
    site: Annotated[str, typer.Option(help="Site; an operator names its own.")] = "*",
    subject: Annotated[str, typer.Option(help="Subject, such as source:pdu-7.")] = "*",
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Keep alerts that match from being told for a while; they are shown all the same."""
    until = SYSTEM_CLOCK.now() + _length(length)
    body = {
        "rule": rule, "site": site, "subject": subject, "reason": reason,
        "until_at": until.isoformat(),
    }  # fmt: skip
    with connect(url, api_key) as client:
        one = client.post("/v1/silences", body)
    if as_json:
        emit_json(one)
    else:
        line(f"{one['id']} silences until {clock_time(one['until_at'])}")
        line(f"end it with `suanwang alerts unsilence {one['id']}`")


@app.command("silences")
def list_silences(
    past: Past = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List silences, the next to end first."""
    with connect(url, api_key) as client:
        answer = client.get("/v1/silences", past=str(past).lower())
    show_list(
        answer,
        as_json,
        {
            "id": "id",
            "rule": "rule",
            "site": "site",
            "subject": "subject",
            "until": lambda one: clock_time(one["until_at"]),
            "by": "actor",
            "why": "reason",
        },
    )


@app.command("unsilence")
def end_silence(
    silence_id: Annotated[str, typer.Argument(help="The silence's id.")],
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """End a silence now; what still fires is told within seconds."""
    with connect(url, api_key) as client:
        one = client.post(f"/v1/silences/{silence_id}/end")
    if as_json:
        emit_json(one)
    else:
        line(f"{silence_id} ended at {clock_time(one['until_at'])}")


@app.command("rules")
def rules(url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """List the rules that are in force at this centre."""
    with connect(url, api_key) as client:
        answer = client.get("/v1/alert-rules")
    show_list(
        answer,
        as_json,
        {
            "rule": "id",
            "severity": "severity",
            "signal": "signal",
            "bad": _bad,
            "for s": lambda one: f"{one['lasts_s']:g}",
            "clear for s": lambda one: f"{one['clear_lasts_s']:g}",
            "runbook": "runbook",
        },
    )


def _bad(one: Json) -> str:
    limits = [
        f"{sign} {one[name] if isinstance(one[name], str) else format(one[name], 'g')}"
        for sign, name in (("<", "below"), (">", "above"))
        if one[name] is not None
    ]
    return " or ".join(limits)


@app.command("check")
def check_rules(
    file: Annotated[str, typer.Argument(help="File with rules of your own.")],
) -> None:
    """Check a file of rules before the centre reads it; needs no centre."""
    from pathlib import Path

    from alerts.rules import load, shipped

    merged, known = load(Path(file)), shipped()
    for rule in merged:
        former = known.find(rule.id)
        word = "new" if former is None else "changed" if former != rule else ""
        if word:
            line(f"{word}: {rule.id}")
    for rule in known:
        if merged.find(rule.id) is None:
            line(f"switched off: {rule.id}")
    line(f"{len(merged.by_id)} rules are sound")


@app.command("test")
def try_channel(
    channel: Annotated[str, typer.Argument(help="Name of the channel in alerts.channels.")],
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Send a sample through a channel now, and say whether it arrived (the admin's key)."""
    with connect(url, api_key) as client:
        answer = client.post(f"/v1/alert-channels/{channel}/test")
    if as_json:
        emit_json(answer)
    elif answer["is_delivered"]:
        line(f"{channel} took the sample {answer['message_id']}")
    if not answer["is_delivered"]:
        raise Unavailable(
            f"channel {channel} did not take the sample: {answer['error']}",
            next_step="docs/alarms.md says what each kind of channel needs",
        )


@app.command("channels")
def list_channels(url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """List who is told, and how many messages wait or could not be delivered."""
    with connect(url, api_key) as client:
        answer = client.get("/v1/alert-channels")
    show_list(
        answer,
        as_json,
        {
            "channel": "name",
            "kind": "kind",
            "from": "at_least",
            "sites": lambda one: " ".join(one["sites"]) or "all",
            "rules": lambda one: " ".join(one["rules"]) or "all",
            "waiting": "waiting",
            "sent": "sent",
            "dead": "dead",
        },
    )


@app.command("messages")
def list_messages(
    state: Annotated[str | None, typer.Option(help="waiting, sent or dead.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Most lines.")] = 50,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List messages about alerts, the newest first."""
    asked: dict[str, Json] = {"limit": limit} | ({"state": state} if state else {})
    with connect(url, api_key) as client:
        answer = client.get("/v1/alert-messages", **asked)
    show_list(
        answer,
        as_json,
        {
            "id": "id",
            "channel": "channel",
            "state": "state",
            "made": lambda one: clock_time(one["made_at"]),
            "tries": "attempts",
            "about": lambda one: f"{one['group']}: {one['alerts']} {one['status']}",
            "why not": "error",
        },
    )


@app.command("retry")
def retry(
    message_id: Annotated[str, typer.Argument(help="Id of a dead message.")],
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Let a message that could not be delivered be tried again."""
    with connect(url, api_key) as client:
        one = client.post(f"/v1/alert-messages/{message_id}/retry")
    if as_json:
        emit_json(one)
    else:
        line(f"{message_id} is sent to {one['channel']} again")
