"""A tenant's entries as text that beancount accepts, for auditors who check with their own tools.

Every posting of the journal becomes two legs of equal amount, so a transaction balances by itself;
tolerances are switched off, and closing balances are asserted with a tolerance of zero.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Final

from voucher.reports.csv import plain_yuan
from voucher.reports.lines import Heading, LedgerLine
from voucher.reports.report import CHINA, Period

OPENING: Final = "Equity:Opening"
_ROOTS: Final[Mapping[str, str]] = {
    "lot": "Assets:Voucher:Free",
    "held": "Assets:Voucher:Held",
    "cash": "Assets:Cash:Free",
    "cash_held": "Assets:Cash:Held",
    "spent": "Expenses:Compute:Voucher",
    "payable": "Expenses:Compute:Cash",
    "expired": "Expenses:Expired",
    "recalled": "Expenses:Recalled",
    "claim": "Assets:Claim:Kept",
    "claim_due": "Assets:Claim:Due",
    "redeemed": "Income:Claim:Redeemed",
    "receivable": "Liabilities:Programme",
    "reclaim": "Expenses:Reclaimed",
    "budget": "Income:Programme",
    "pool": "Income:Pool",
    "reused": "Income:Reused",
    "due": "Equity:Programme:Due",
    "owed": "Equity:Programme:Owed",
    "paid": "Equity:Programme:Paid",
    "bank": "Equity:Bank",
}
_ELSEWHERE: Final = "Equity:Elsewhere"
_STAYS: Final = ("Assets:", "Liabilities:")
"""Accounts whose balance is carried from one period to the next."""
_ALLOWED: Final = re.compile(r"[A-Z0-9][A-Za-z0-9-]*(?<!-[0-9a-f]{8})")
_NOT_ALLOWED: Final = re.compile(r"[^A-Za-z0-9-]")


def beancount_text(
    heading: Heading, opening: Mapping[str, int], lines: Iterable[LedgerLine]
) -> Iterator[str]:
    """Yield the file; ``opening`` is fen by account before the period."""
    period, about = heading.period, heading.about
    yield f"; {about.name} {about.uscc}\n; {period.first} - {period.last}\n"
    yield f"; chain {heading.chain.seq} {heading.chain.link}\n"
    yield f'option "title" "{_quoted(about.id)}"\noption "operating_currency" "CNY"\n'
    yield 'option "inferred_tolerance_default" "*:0"\noption "tolerance_multiplier" "0"\n\n'
    balances: dict[str, int] = {}
    opened: set[str] = {OPENING}
    yield f"{period.first} open {OPENING} CNY\n"
    yield from _opening(period, opening, balances, opened)
    for line in lines:
        yield from _transaction(line, balances, opened)
    yield "\n"
    after = period.last + timedelta(days=1)
    for name, amount in sorted(balances.items()):
        if name.startswith(_STAYS):
            yield f"{after} balance {name}  {plain_yuan(amount)} ~ 0.00 CNY\n"


def account_name(account: str) -> str:
    """Return beancount's name of an account; equal names mean equal accounts.

    An id that beancount could not have as it is is written with a part of its digest behind it.
    """
    kind, _, owner = account.partition(":")
    root = _ROOTS.get(kind, f"{_ELSEWHERE}:{kind.capitalize()}")
    if _ALLOWED.fullmatch(owner):
        return f"{root}:{owner}"
    digest = hashlib.sha256(account.encode()).hexdigest()[:8]
    plain = _NOT_ALLOWED.sub("-", owner).strip("-")
    return f"{root}:{plain[:1].upper()}{plain[1:]}-{digest}" if plain else f"{root}:X-{digest}"


def _opening(
    period: Period, opening: Mapping[str, int], balances: dict[str, int], opened: set[str]
) -> Iterator[str]:
    carried = {
        name: amount
        for account, amount in sorted(opening.items())
        if amount and (name := account_name(account)).startswith(_STAYS)
    }
    for name in carried:
        opened.add(name)
        yield f"{period.first} open {name} CNY\n"
    if not carried:
        return
    yield f'\n{period.first} * "opening balance"\n'
    for name, amount in carried.items():
        balances[name] = amount
        yield f"  {name}  {plain_yuan(amount)} CNY\n"
    yield f"  {OPENING}  {plain_yuan(-sum(carried.values()))} CNY\n"


def _transaction(line: LedgerLine, balances: dict[str, int], opened: set[str]) -> Iterator[str]:
    day = line.at.astimezone(CHINA).date()
    legs: list[str] = []
    for posting in line.postings:
        for account, amount in (
            (posting.source, -posting.amount_fen),
            (posting.target, posting.amount_fen),
        ):
            name = account_name(account)
            if name not in opened:
                opened.add(name)
                yield f"{day} open {name} CNY\n"
            balances[name] = balances.get(name, 0) + amount
            legs.append(f"  {name}  {plain_yuan(amount)} CNY\n")
    if not legs:
        return
    payee = line.payee or line.kind
    yield f'\n{day} * "{_quoted(payee)}" "{_quoted(line.submission_id or line.kind)}"\n'
    yield f'  entry: "{line.seq}"\n  key: "{_quoted(line.key)}"\n  link: "{line.link}"\n'
    yield "".join(legs)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
