"""The reviewers' half of ``suanwang voucher apply``: programmes, verdicts, payment, demands."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from cli.connection import ApiKey, Url, connect_once
from cli.grants_shown import application_line, application_table, fact_pairs, facts
from cli.output import AsJson, emit_json, line
from cli.wording import Lang, refused_in
from suanwang.errors import BadInput
from voucher.wording import Language

ApplicationId = Annotated[str, typer.Argument(metavar="APPLICATION", help="Its id, app_….")]
Reason = Annotated[str, typer.Option(help="Why; the applicant reads it.")]
Facts = Annotated[
    list[str] | None,
    typer.Option("--fact", metavar="FACT=VALUE", help="What the review found out; repeatable."),
]
LineFacts = Annotated[
    list[str] | None,
    typer.Option("--line-fact", metavar="LINE:FACT=VALUE", help="The same of a line; repeatable."),
]


def attach(app: typer.Typer) -> None:
    """Add the commands to ``suanwang voucher apply``."""
    app.command("adopt")(adopt)
    app.command("approve")(approve)
    app.command("return")(return_application)
    app.command("reject")(reject)
    app.command("reopen")(reopen)
    app.command("decide")(decide)
    app.command("issue")(issue)
    app.command("settle")(settle)
    app.command("close")(close)
    app.command("clawback")(clawback)
    app.command("decide-clawback")(decide_clawback)


def adopt(
    policy: Annotated[str, typer.Argument(help="A policy file, or the id of a shipped policy.")],
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Put a programme in force; a version never changes."""
    path = Path(policy)
    if path.exists():
        try:
            body = {"policy": path.read_text(encoding="utf-8")}
        except (OSError, UnicodeDecodeError) as failure:
            raise BadInput(f"cannot read {path}: {failure}") from failure
    elif path.suffix:
        raise BadInput(f"cannot read {path}: no such file")
    else:
        body = {"shipped": policy}
    with connect_once(url, api_key) as client:
        answer = client.post("/v1/programmes", body)
    if as_json:
        emit_json(answer)
        return
    line(f"{answer['id']} v{answer['version']} is in force, digest {answer['digest']}")
    for empty in answer["empty"]:
        line(f"  {empty} is empty: what needs it is refused")


def approve(
    application: ApplicationId,
    reason: Reason = "",
    stage: Annotated[str, typer.Option(help="Refuse unless this stage is open.")] = "",
    fact: Facts = None,
    line_fact: LineFacts = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Approve the open stage; flags need a reason."""
    body = {
        "verdict": "approve",
        "reason": reason,
        "stage": stage,
        "facts": facts(fact or []),
        "line_facts": fact_pairs(line_fact or []),
    }
    _review(application, body, url, api_key, as_json=as_json)


def return_application(
    application: ApplicationId,
    reason: Reason,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Send an application back for correction."""
    _review(application, {"verdict": "return", "reason": reason}, url, api_key, as_json=as_json)


def reject(
    application: ApplicationId,
    reason: Reason,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Reject an application."""
    _review(application, {"verdict": "reject", "reason": reason}, url, api_key, as_json=as_json)


def reopen(
    application: ApplicationId,
    reason: Reason,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Take a rejection back; somebody else than who rejected."""
    _review(application, {"verdict": "reopen", "reason": reason}, url, api_key, as_json=as_json)


def _review(
    application: str,
    body: Mapping[str, object],
    url: str | None,
    api_key: str | None,
    *,
    as_json: bool,
) -> None:
    with connect_once(url, api_key) as client:
        answer = client.post(f"/v1/applications/{application}/review", body)
    application_line(answer, as_json=as_json)


def decide(
    programme: Annotated[str, typer.Argument(help="Id of the programme.")],
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Decide a round: all applications that wait, together."""
    with connect_once(url, api_key) as client:
        answer = client.post(f"/v1/programmes/{programme}/decide")
    if as_json:
        emit_json(answer)
    else:
        application_table(answer["items"])


def issue(
    application: ApplicationId,
    last_day: Annotated[
        str | None, typer.Option(help="Last day, such as 2027-03-31; where the policy has none.")
    ] = None,
    site: Annotated[list[str] | None, typer.Option(help="Pays only there; repeatable.")] = None,
    accelerator: Annotated[
        list[str] | None, typer.Option(help="Pays only for these; repeatable.")
    ] = None,
    rank: Annotated[int, typer.Option(min=0, help="Lower is drawn first.")] = 0,
    lang: Lang = Language.ENGLISH,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Issue an award into voucher lots (mode deduct)."""
    body = {
        "last_day": last_day,
        "sites": site or [],
        "accelerators": accelerator or [],
        "rank": rank,
    }
    with refused_in(lang), connect_once(url, api_key) as client:
        answer = client.post(f"/v1/applications/{application}/issue", body)
    application_line(answer, as_json=as_json)


def settle(
    application: ApplicationId,
    receipt: Annotated[str, typer.Option(help="Number of the bank's receipt.")],
    payment: Annotated[int | None, typer.Option(help="Which payment; needed if several.")] = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Note that the treasury paid an award or a redemption."""
    body = {"receipt": receipt, "payment": payment}
    with connect_once(url, api_key) as client:
        answer = client.post(f"/v1/applications/{application}/settle", body)
    application_line(answer, as_json=as_json)


def close(
    application: ApplicationId,
    reason: Reason,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """End a claim; what was never redeemed returns to the pool."""
    with connect_once(url, api_key) as client:
        answer = client.post(f"/v1/applications/{application}/close", {"reason": reason})
    application_line(answer, as_json=as_json)


def clawback(
    application: ApplicationId,
    trigger: Annotated[str, typer.Option(help="Trigger of the policy.")],
    reason: Reason,
    unserved: Annotated[int, typer.Option(min=0, help="Of the term, not served.")] = 1,
    term: Annotated[int, typer.Option(min=1, help="The term, in the same unit.")] = 1,
    lang: Lang = Language.ENGLISH,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Demand money back; somebody else decides."""
    body = {"trigger": trigger, "reason": reason, "unserved": unserved, "term": term}
    with refused_in(lang), connect_once(url, api_key) as client:
        answer = client.post(f"/v1/applications/{application}/clawback", body)
    application_line(answer, as_json=as_json)


def decide_clawback(
    application: ApplicationId,
    verdict: Annotated[str, typer.Argument(help="approve or refuse.")],
    reason: Reason = "",
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Approve a demand for money back, or refuse it."""
    body = {"verdict": verdict, "reason": reason}
    with connect_once(url, api_key) as client:
        answer = client.post(f"/v1/applications/{application}/clawback/decide", body)
    application_line(answer, as_json=as_json)
