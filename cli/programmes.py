"""``suanwang voucher policy``: voucher programmes in words, tried out, compared and verified."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.connection import ApiKey, Url, connect
from cli.output import AsJson, emit_json, line, table, yuan
from cli.wording import Lang
from suanwang.errors import BadInput, Conflict
from voucher.wording import Language, texts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voucher.programmes.application import Application
    from voucher.programmes.award import Award
    from voucher.programmes.rounds import PoolUse
    from voucher.programmes.schema import Policy
    from voucher.programmes.simulate import Fate, Simulation

REASONS_SHOWN = 3
"""So many reasons of an application are shown in the table; --json has all."""

PolicyName = Annotated[str, typer.Argument(help="A policy file, or the id of a shipped policy.")]
ListPath = Annotated[
    Path, typer.Option("--applicants", help="Applications: a .csv, .yaml or .json file.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Fill a value that is empty, such as caps.pool.amount_yuan=1000000; repeatable.",
    ),
]

policy_app = typer.Typer(
    no_args_is_help=True, help="Voucher programmes as data: explain, simulate, replay."
)


@policy_app.command("list")
def list_policies(as_json: AsJson = False) -> None:
    """List the shipped policies and what of each nobody could read."""
    from voucher.programmes.files import shipped, shipped_ids
    from voucher.programmes.values import gaps

    policies = [shipped(name) for name in shipped_ids()]
    if as_json:
        emit_json(
            [
                {"id": one.id, "version": one.version, "name": one.name.model_dump(),
                 "region": one.region, "gaps": list(gaps(one))}
                for one in policies
            ]
        )  # fmt: skip
        return
    table(
        ("policy", "version", "name", "mode", "empty values"),
        [
            (one.id, str(one.version), one.name.zh, one.benefit.mode or "–", str(len(gaps(one))))
            for one in policies
        ],
    )


@policy_app.command("check")
def check(policy: PolicyName, as_json: AsJson = False) -> None:
    """Check a policy and explain it in words, with what is empty and what is assumed."""
    from voucher.programmes.files import load
    from voucher.programmes.report import policy_json
    from voucher.programmes.words import in_words

    found = load(policy)
    if as_json:
        emit_json(policy_json(found))
        return
    for section in in_words(found):
        line(f"{section.title}:")
        for text in section.lines:
            line(f"  {text}")


@policy_app.command("verify")
def verify(url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Ask the centre whether every policy still is what awards were made under (city, admin)."""
    with connect(url, api_key) as client:
        answer = client.get("/v1/programmes/verify")
    if as_json:
        emit_json(answer)
    elif answer["is_sound"]:
        line("sound: every policy is what awards were made under")
    for one in () if as_json else answer["items"]:
        line(f"{one['programme']} v{one['version']} is {one['kind']} in {one['where']}")
        line(f"  used with digest {one['used_digest']}")
        line(f"  found with digest {one['found_digest'] or '–'}")
        line(f"  awards: {', '.join(one['awards']) or 'none'}")
    if not answer["is_sound"]:
        raise Conflict(
            f"{len(answer['items'])} policies are not what awards were made under",
            next_step="stop granting under them, keep a copy of the database, look at what changed",
        )


@policy_app.command("show")
def show(policy: PolicyName, as_json: AsJson = False) -> None:
    """Print a policy's file, to be the start of a version of your own."""
    from voucher.programmes.files import load, text_of
    from voucher.programmes.values import tree_of

    if as_json:
        emit_json(tree_of(load(policy)))
    else:
        typer.echo(text_of(policy), nl=False)


@policy_app.command("applicants")
def applicants(
    programme: Annotated[str, typer.Argument(help="Id of a programme in force.")],
    output: Annotated[Path, typer.Option("--out", "-o", help="A .json file to write.")],
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Write the applications on which the centre decided, to simulate and replay (city, admin)."""
    import json

    found: list[object] = []
    after: str | None = ""
    with connect(url, api_key) as client:
        while after is not None:
            page = client.get(f"/v1/programmes/{programme}/applicants", after=after)
            found += page["applications"]
            after = page["next"]
    document = {"applications": found}
    try:
        output.write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")
    except OSError as failure:
        raise BadInput(f"cannot write {output}: {failure.strerror or failure}") from failure
    line(f"{len(found)} applications in {output}")


@policy_app.command("simulate")
def simulate(
    policy: PolicyName,
    applicants: ListPath,
    settings: Settings = None,
    lang: Lang = Language.ENGLISH,
    as_json: AsJson = False,
) -> None:
    """Run a list of applicants through a policy: pool use, cuts and refusals; books nothing."""
    from voucher.programmes.files import load
    from voucher.programmes.report import simulation_json
    from voucher.programmes.simulate import simulate as run

    chosen = _filled([load(policy)], settings)[0]
    result = run(chosen, _read(applicants, [chosen]))
    if as_json:
        emit_json(simulation_json(result))
    else:
        _print_simulation(result, lang)


@policy_app.command("replay")
def replay(
    old: PolicyName,
    new: PolicyName,
    applicants: ListPath,
    settings: Settings = None,
    lang: Lang = Language.ENGLISH,
    as_json: AsJson = False,
) -> None:
    """Run the same applicants under two policies and show who wins and who loses."""
    from voucher.programmes.files import load
    from voucher.programmes.report import replay_json
    from voucher.programmes.simulate import replay as run

    policies = _filled([load(old), load(new)], settings)
    result = run(policies[0], policies[1], _read(applicants, policies))
    if as_json:
        emit_json(replay_json(result))
        return
    _print_fates(result.fates, lang)
    for word, side in (("old", result.old), ("new", result.new)):
        granted = yuan(side.granted_fen)
        line(f"{word}: {side.policy_id} v{side.version} ({side.digest[:12]}…) grants {granted} CNY")
        for pool in side.pools:
            line(f"  {_pool_text(pool)}")
        for code, count in side.refusals:
            line(f"  refused for {code}: {count}")
    known = [fate for fate in result.fates if fate.granted_fen is not None]
    if known:
        in_fact = sum(fate.granted_fen or 0 for fate in known)
        unlike = sum(1 for fate in known if fate.granted_fen != fate.before_fen)
        line(f"in fact {yuan(in_fact)} CNY were granted; the old policy differs for {unlike}")
    for change in ("wins", "loses", "same"):
        line(f"{change}: {sum(1 for fate in result.fates if fate.change == change)}")


def _filled(policies: "list[Policy]", settings: list[str] | None) -> "list[Policy]":
    """Fill each policy with the settings that are empty in it; one that fits none is an error."""
    from voucher.programmes.values import fill, parse_settings, unfilled_path

    values = parse_settings(settings or [])
    for path in values:
        if all(unfilled_path(one, path) is None for one in policies):
            fill(policies[-1], {path: values[path]})  # Raises, and names what is empty.
    return [_own(one, values) for one in policies]


def _own(policy: "Policy", values: "Mapping[str, object]") -> "Policy":
    from voucher.programmes.values import fill, unfilled_path

    own = {path: value for path, value in values.items() if unfilled_path(policy, path)}
    return fill(policy, own) if own else policy


def _read(path: Path, policies: "Sequence[Policy]") -> "tuple[Application, ...]":
    from voucher.programmes.applicants import read_applications

    known = {name: fact for one in policies for name, fact in one.known_facts.items()}
    return read_applications(path, known)


def _print_simulation(result: "Simulation", lang: Language) -> None:
    title = f"{result.policy_id} v{result.version}, digest {result.digest[:12]}…"
    table(
        ("application", "applicant", "entitled", "granted", "cut by", "why not"),
        [
            (
                row.award.application_id,
                row.applicant_id,
                yuan(row.award.entitled_fen),
                yuan(row.award.amount_fen),
                "; ".join(texts(row.award.cuts, lang)) or "–",
                _why(row.award, lang),
            )
            for row in result.rows
        ],
        title=title,
    )
    line(f"granted {yuan(result.granted_fen)} CNY of {yuan(result.entitled_fen)} CNY before limits")
    for pool in result.pools:
        line(_pool_text(pool))
    for share in result.funders:
        line(f"funder {share.name} ({share.funder_id}) pays {yuan(share.amount_fen)} CNY")
    findings = {text for row in result.rows for text in texts(row.funding_findings, lang)}
    for message in sorted(findings):
        line(f"not split among funders: {message}")
    for code, count in result.refusals:
        line(f"refused for {code}: {count}")


def _why(award: "Award", lang: Language) -> str:
    messages = [f"[{one.code}] {one.text(lang)}" for one in award.reasons]
    more = len(messages) - REASONS_SHOWN
    rest = [f"and {more} more"] if more > 0 else []
    return "; ".join([*messages[:REASONS_SHOWN], *rest]) or "–"


def _pool_text(pool: "PoolUse") -> str:
    amount = "not seen" if pool.amount_fen is None else f"{yuan(pool.amount_fen)} CNY"
    used = yuan(pool.before_fen + pool.granted_fen)
    claimed = yuan(pool.claimed_fen)
    return f"{pool.cap_id} ({pool.period}): {used} CNY used of {amount}, claimed {claimed} CNY"


def _print_fates(fates: "Sequence[Fate]", lang: Language) -> None:
    table(
        ("application", "applicant", "in fact", "old", "new", "change", "cut by", "why"),
        [
            (
                fate.application_id,
                fate.applicant_id,
                "–" if fate.granted_fen is None else yuan(fate.granted_fen),
                yuan(fate.before_fen),
                yuan(fate.after_fen),
                yuan(fate.change_fen),
                "; ".join(texts(fate.cuts, lang)) or "–",
                "; ".join(texts(fate.reasons[:REASONS_SHOWN], lang)) or "–",
            )
            for fate in fates
        ],
    )
