"""What an auditor should look at, pure. A flag is a question, never a verdict.

Fractions are whole numbers in millionths (ppm), energy is milliwatt-hours.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from suanwang.units import yuan_text
from voucher.reports.report import CHINA

POWER_SHARE_MIN: Final = 10
"""IT of a site that drew less than one tenth of what the billed units take did not run them."""
USE_PPM_MIN: Final = 20_000
"""Busy for less than 2 % of the time that was billed."""
SPLIT_DAYS: Final = 30
SPLIT_COUNT: Final = 2
NIGHT_BEGINS_H: Final = 22
NIGHT_ENDS_H: Final = 8
NIGHT_RUNS_MIN: Final = 5
NIGHT_SPREAD_MAX: Final = 100
"""Runs are alike when the longest is at most one hundredth longer than the shortest."""


class FlagCode(StrEnum):
    """What is suspected."""

    NO_POWER = "no-power"
    NO_USE = "no-use"
    NOT_METERED = "not-metered"
    RELATED_PARTY = "related-party"
    INVOICE_TWICE = "invoice-twice"
    SPLIT_CONTRACT = "split-contract"
    NIGHT_ONLY = "night-only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A suspicion with its ground in words and its figures."""

    code: FlagCode
    message: str
    facts: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledRun:
    """A run that was paid, beside what was measured; None where nothing was.

    ``busy_mwh`` is what its units draw when busy over the billed time, ``site_it_mwh`` what the IT
    meters of its site counted meanwhile, ``use_ppm`` how busy its kind of unit was.
    """

    attempt_id: str
    tenant_id: str
    started_at: datetime
    ended_at: datetime
    units: int
    paid_fen: int
    busy_mwh: int
    site_it_mwh: int | None = None
    use_ppm: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """Who it is: its group and its legal representative, empty where not known."""

    id: str
    name: str
    group: str = ""
    representative: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceUse:
    """An invoice's line, and what it was handed in for."""

    number: str
    line: int
    used_for: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """A contract between a customer and a provider."""

    number: str
    customer_id: str
    provider_id: str
    amount_fen: int
    signed_on: date


def idle_runs(runs: Iterable[BilledRun]) -> tuple[Flag, ...]:
    """Flag billed time without power or utilisation (wash use), and runs that nobody measured."""
    return tuple(flag for run in runs for flag in _idle(run))


def _idle(run: BilledRun) -> Sequence[Flag]:
    if not run.paid_fen:
        return ()
    flags = []
    if run.site_it_mwh is None and run.use_ppm is None:
        flags.append(
            Flag(
                code=FlagCode.NOT_METERED,
                message=f"{run.attempt_id}: neither power nor utilisation was measured",
                facts={"attempt_id": run.attempt_id},
            )
        )
    if run.site_it_mwh is not None and run.site_it_mwh * POWER_SHARE_MIN < run.busy_mwh:
        flags.append(
            Flag(
                code=FlagCode.NO_POWER,
                message=f"{run.attempt_id}: {run.units} busy units take {run.busy_mwh} mWh, all "
                f"IT of the site took {run.site_it_mwh} mWh",
                facts={
                    "attempt_id": run.attempt_id,
                    "busy_mwh": run.busy_mwh,
                    "site_it_mwh": run.site_it_mwh,
                },
            )
        )
    if run.use_ppm is not None and run.use_ppm < USE_PPM_MIN:
        flags.append(
            Flag(
                code=FlagCode.NO_USE,
                message=f"{run.attempt_id}: units were busy for {run.use_ppm} ppm of the time",
                facts={"attempt_id": run.attempt_id, "use_ppm": run.use_ppm},
            )
        )
    return flags


def related(customer: Organisation, provider: Organisation) -> tuple[Flag, ...]:
    """Flag a customer and a provider that are one, of one group, or led by one person."""
    reason = ""
    if customer.id == provider.id:
        reason = "are the same organisation"
    elif customer.group and customer.group == provider.group:
        reason = f"belong to the group {customer.group}"
    elif customer.representative and customer.representative == provider.representative:
        reason = "have the same legal representative"
    if not reason:
        return ()
    return (
        Flag(
            code=FlagCode.RELATED_PARTY,
            message=f"{customer.name} and {provider.name} {reason}",
            facts={"customer": customer.id, "provider": provider.id},
        ),
    )


def repeated_invoices(uses: Iterable[InvoiceUse]) -> tuple[Flag, ...]:
    """Flag each invoice line that was handed in for more than one thing, or twice for one."""
    by_line: dict[tuple[str, int], list[str]] = defaultdict(list)
    for use in uses:
        by_line[use.number, use.line].append(use.used_for)
    return tuple(
        Flag(
            code=FlagCode.INVOICE_TWICE,
            message=f"invoice {number} line {line} was handed in {len(used_for)} times: for "
            f"{', '.join(dict.fromkeys(used_for))}",
            facts={"invoice": number, "line": line, "times": len(used_for)},
        )
        for (number, line), used_for in sorted(by_line.items())
        if len(used_for) > 1
    )


def split_contracts(contracts: Iterable[Contract], limit_fen: int) -> tuple[Flag, ...]:
    """Flag contracts of one pair within thirty days, each under a limit that they pass together."""
    by_pair: dict[tuple[str, str], list[Contract]] = defaultdict(list)
    for contract in contracts:
        if contract.amount_fen < limit_fen:
            by_pair[contract.customer_id, contract.provider_id].append(contract)
    return tuple(
        flag
        for _, small in sorted(by_pair.items())
        for flag in _split(sorted(small, key=lambda one: (one.signed_on, one.number)), limit_fen)
    )


def _split(contracts: Sequence[Contract], limit_fen: int) -> Iterable[Flag]:
    first = 0
    while first < len(contracts):
        until = contracts[first].signed_on + timedelta(days=SPLIT_DAYS)
        near = [one for one in contracts[first:] if one.signed_on <= until]
        together = sum(one.amount_fen for one in near)
        if len(near) < SPLIT_COUNT or together < limit_fen:
            first += 1
            continue
        numbers = ", ".join(one.number for one in near)
        yield Flag(
            code=FlagCode.SPLIT_CONTRACT,
            message=f"contracts {numbers} are each under {yuan_text(limit_fen)} yuan and together "
            f"{yuan_text(together)}",
            facts={"contracts": numbers, "together_fen": together, "limit_fen": limit_fen},
        )
        first += len(near)


def night_only(runs: Iterable[BilledRun]) -> tuple[Flag, ...]:
    """Flag an enterprise whose runs are all at night, all of one size, and all equally long."""
    by_tenant: dict[str, list[BilledRun]] = defaultdict(list)
    for run in runs:
        if run.paid_fen:
            by_tenant[run.tenant_id].append(run)
    return tuple(
        Flag(
            code=FlagCode.NIGHT_ONLY,
            message=f"all {len(own)} paid runs of {tenant_id} are at night, of {own[0].units} "
            "units and equally long",
            facts={"tenant_id": tenant_id, "runs": len(own), "units": own[0].units},
        )
        for tenant_id, own in sorted(by_tenant.items())
        if len(own) >= NIGHT_RUNS_MIN and _is_alike(own) and all(map(_is_at_night, own))
    )


def _is_alike(runs: Sequence[BilledRun]) -> bool:
    lengths = [run.ended_at - run.started_at for run in runs]
    is_even = (max(lengths) - min(lengths)) * NIGHT_SPREAD_MAX <= min(lengths)
    return is_even and len({run.units for run in runs}) == 1


def _is_at_night(run: BilledRun) -> bool:
    start, end = (moment.astimezone(CHINA) for moment in (run.started_at, run.ended_at))
    evening = start.replace(hour=NIGHT_BEGINS_H, minute=0, second=0, microsecond=0)
    if start < evening:
        evening -= timedelta(days=1)
    length = timedelta(hours=24 - NIGHT_BEGINS_H + NIGHT_ENDS_H)
    return evening <= start and end <= evening + length
