"""How applications are printed, and how facts are read from options."""

from collections.abc import Sequence

from cli.output import Json, clock_time, emit_json, line, table, yuan
from cli.wording import sentence
from suanwang.errors import BadInput
from voucher.wording import Language


def application_line(answer: Json, *, as_json: bool) -> None:
    """Print where an application stands after a step."""
    if as_json:
        emit_json(answer)
        return
    stage = f" at {answer['stage']}" if answer["stage"] else ""
    money = f", award {yuan(answer['award_fen'])} CNY" if answer["award_fen"] else ""
    line(f"{answer['id']}: {answer['state']}{stage}{money}")


def application_table(items: Sequence[Json]) -> None:
    """Print applications, a row each."""
    table(
        (
            "application",
            "ref",
            "applicant",
            "programme",
            "state",
            "stage",
            "award",
            "paid",
            "flags",
            "due",
        ),
        [
            (
                one["id"],
                one["ref"],
                one["applicant"]["name"],
                f"{one['programme']} v{one['version']}",
                one["state"],
                one["stage"] or "–",
                yuan(one["award_fen"]),
                yuan(one["settled_fen"]),
                str(len(one["flags"])),
                _due(one),
            )
            for one in items
        ],
    )


def _due(one: Json) -> str:
    return f"{one['due']} {clock_time(one['due_at'])}" if one["due"] else "–"


def application_page(one: Json, lang: Language) -> None:
    """Print one application in full."""
    application_line(one, as_json=False)
    applicant = one["applicant"]
    line(f"{applicant['name']} {applicant['code'] or applicant['sponsor_code']}, ref {one['ref']}")
    line(f"{one['programme']} v{one['version']}, policy digest {one['digest']}")
    if one["publicity_ends_at"]:
        line(f"public until {clock_time(one['publicity_ends_at'])}")
    if one["ends_at"]:
        line(f"ends at {clock_time(one['ends_at'])}")
    if one["due"]:
        line(f"due: {_due(one)}")
    _facts("", one["facts"])
    for part in one["lines"]:
        line(f"line {part['id']}: award {yuan(part['award_fen'])} CNY {part['tier']}".rstrip())
        _facts("  ", part["facts"])
    _about_award(one, lang)
    _about_later(one)


def _about_award(one: Json, lang: Language) -> None:
    told("flag", one["flags"], lang)
    told("cut", one["cuts"], lang)
    told("reason", one["reasons"], lang)
    for share in one["funding"]:
        line(f"funder {share['name']}: {yuan(share['amount_fen'])} CNY")


def told(word: str, items: Sequence[Json], lang: Language) -> None:
    """Print reasons, flags or cuts with their codes, a line each."""
    for one in items:
        line(f"{word} {one['code']}: {sentence(one, lang)}")


def _about_later(one: Json) -> None:
    for file in one["evidence"]:
        line(f"file {file['seq']} {file['kind']}: {file['file_name']}, {file['sha256']}")
    for payment in one["payments"]:
        state = f"paid, receipt {payment['receipt']}" if payment["settled_at"] else "due"
        line(f"payment {payment['seq']}: {yuan(payment['amount_fen'])} CNY, {state}")
    for demand in one["clawbacks"]:
        line(f"demand {demand['trigger']}: {yuan(demand['amount_fen'])} CNY, {demand['state']}")


def fact_pairs(options: Sequence[str]) -> dict[str, dict[str, str | int | bool]]:
    """Return facts by line from options such as ``1:line.is_domestic=yes``."""
    lines: dict[str, dict[str, str | int | bool]] = {}
    for option in options:
        line_id, colon, pair = option.partition(":")
        if not (line_id and colon):
            raise BadInput(f"{option!r} is not LINE:FACT=VALUE")
        lines.setdefault(line_id, {}).update(facts([pair]))
    return lines


def facts(pairs: Sequence[str]) -> dict[str, str | int | bool]:
    """Return facts from options such as ``applicant.is_dishonest=no``; the centre reads values."""
    found: dict[str, str | int | bool] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise BadInput(f"{pair!r} is not FACT=VALUE")
        found[name] = value
    return found


def _facts(indent: str, stated: Json) -> None:
    for name, value in stated.items():
        is_money = name.endswith("_fen")
        shown = f"{yuan(value)} CNY" if is_money else value
        line(f"{indent}{name} = {shown}")
