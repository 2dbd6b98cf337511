"""What an auditor should look at, pure: idle runs, invoices twice, split contracts, nights only.

Fractions are whole numbers in millionths (ppm), energy is milliwatt-hours. A figure that rests on
telemetry is only used where at least half of the time was read, and says how much and how well.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from voucher.flagging import Flag, FlagCode, flag
from voucher.reports.report import CHINA

POWER_SHARE_MIN: Final = 10
"""IT of a site that drew less than one tenth of what the billed units take did not run them."""
USE_PPM_MIN: Final = 20_000
"""Busy for less than 2 % of the time that was billed."""
COVERAGE_PPM_MIN: Final = 500_000
"""What was read for less than half of the time says nothing about the rest."""
SPLIT_COUNT: Final = 2
NIGHT_BEGINS_H: Final = 22
NIGHT_ENDS_H: Final = 8
NIGHT_RUNS_MIN: Final = 5
NIGHT_SPREAD_MAX: Final = 100
"""Runs are alike when the longest is at most one hundredth longer than the shortest."""
CONSTANT_PPM_MAX: Final = 100_000
"""A load is constant when its highest and lowest quarter hours differ by ten points at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metered:
    """Energy that meters counted over a run, for how much of its time, and how well."""

    energy_mwh: int
    coverage_ppm: int
    quality: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How busy a kind of unit was over a run: mean, lowest and highest of its parts."""

    mean_ppm: int
    low_ppm: int
    high_ppm: int
    coverage_ppm: int
    quality: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledRun:
    """A run that was paid, beside what was measured; None where nothing was.

    ``busy_mwh`` is what its units draw when busy over the billed time, ``site_it`` what the IT
    meters of its site counted meanwhile, ``load`` how busy its kind of unit was.
    """

    attempt_id: str
    tenant_id: str
    started_at: datetime
    ended_at: datetime
    units: int
    paid_fen: int
    busy_mwh: int
    site_id: str = ""
    accelerator: str = ""
    site_it: Metered | None = None
    load: Load | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceUse:
    """An invoice's line, and what it was handed in for: an application, or a job's pack.

    ``used_for`` names that, and is empty where somebody else's may not be named. Many jobs are on
    one invoice, as long as they are of one enterprise, one contract and one payee.
    """

    number: str
    line: int
    used_for: str
    tenant_id: str = ""
    is_application: bool = False
    payees: str = ""
    contract_no: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedContract:
    """A contract between a customer and a provider."""

    number: str
    customer_id: str
    provider_id: str
    amount_fen: int
    signed_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """From ``amount_fen`` on a contract is treated otherwise; ``source`` says who states that.

    Contracts signed within ``days`` of each other are looked at together.
    """

    amount_fen: int
    source: str
    days: int


def idle_runs(runs: Iterable[BilledRun]) -> tuple[Flag, ...]:
    """Flag billed time without power or utilisation (wash use), and runs that nobody measured."""
    return tuple(found for run in runs if run.paid_fen for found in _idle(run))


def _idle(run: BilledRun) -> Sequence[Flag]:
    metered, load = run.site_it, run.load
    is_metered = metered is not None and metered.coverage_ppm >= COVERAGE_PPM_MIN
    is_seen = load is not None and load.coverage_ppm >= COVERAGE_PPM_MIN
    if not is_metered and not is_seen:
        return [
            flag(
                FlagCode.NOT_METERED,
                attempt_id=run.attempt_id,
                it_coverage_ppm=metered.coverage_ppm if metered else 0,
                use_coverage_ppm=load.coverage_ppm if load else 0,
            )
        ]
    flags = []
    if metered and is_metered and metered.energy_mwh * POWER_SHARE_MIN < run.busy_mwh:
        flags.append(
            flag(
                FlagCode.NO_POWER,
                attempt_id=run.attempt_id,
                units=run.units,
                busy_mwh=run.busy_mwh,
                site_it_mwh=metered.energy_mwh,
                quality=metered.quality,
                coverage_ppm=metered.coverage_ppm,
            )
        )
    if load and is_seen and load.mean_ppm < USE_PPM_MIN:
        flags.append(
            flag(
                FlagCode.NO_USE,
                attempt_id=run.attempt_id,
                use_ppm=load.mean_ppm,
                quality=load.quality,
                coverage_ppm=load.coverage_ppm,
            )
        )
    return flags


def shared_invoices(uses: Iterable[InvoiceUse]) -> tuple[Flag, ...]:
    """Flag each invoice line that is for several enterprises, applications, contracts or payees."""
    by_line: dict[tuple[str, int], list[InvoiceUse]] = defaultdict(list)
    for use in uses:
        by_line[use.number, use.line].append(use)
    return tuple(
        flag(
            FlagCode.INVOICE_TWICE,
            invoice=number,
            line=line,
            times=len(found),
            uses_en=", ".join(dict.fromkeys(one.used_for or "another enterprise" for one in found)),
            uses_zh="、".join(dict.fromkeys(one.used_for or "其他企业" for one in found)),
        )
        for (number, line), found in sorted(by_line.items())
        if _is_shared(found)
    )


def _is_shared(uses: Sequence[InvoiceUse]) -> bool:
    packs = {(one.payees, one.contract_no) for one in uses if not one.is_application}
    applications = [one for one in uses if one.is_application]
    return max(len({one.tenant_id for one in uses}), len(packs), len(applications)) > 1


def repeated_invoices(uses: Iterable[InvoiceUse]) -> tuple[Flag, ...]:
    """Flag each invoice line that was handed in for more than one thing, or twice for one."""
    by_line: dict[tuple[str, int], list[str]] = defaultdict(list)
    for use in uses:
        by_line[use.number, use.line].append(use.used_for)
    return tuple(
        Flag(
            code=FlagCode.INVOICE_TWICE,
            facts={
                "invoice": number,
                "line": line,
                "times": len(used_for),
                "uses": ", ".join(dict.fromkeys(used_for)),
            },
        )
        for (number, line), used_for in sorted(by_line.items())
        if len(used_for) > 1
    )


def split_contracts(
    contracts: Iterable[SignedContract],
    limit: Limit,
    party_of: Mapping[str, str] | None = None,
    *,
    own: Callable[[SignedContract], bool] = lambda _: True,
) -> tuple[Flag, ...]:
    """Flag contracts of a pair signed close together, each under a limit that they reach together.

    ``party_of`` names for an organisation the group it stands for, so that contracts of related
    customers with related providers count as one pair. Only numbers of ``own`` ones are told.
    """
    parties = party_of or {}
    by_pair: dict[tuple[str, str], list[SignedContract]] = defaultdict(list)
    for contract in contracts:
        if contract.amount_fen < limit.amount_fen:
            customer = parties.get(contract.customer_id, contract.customer_id)
            provider = parties.get(contract.provider_id, contract.provider_id)
            by_pair[customer, provider].append(contract)
    return tuple(
        _split_flag(near, limit, own)
        for _, small in sorted(by_pair.items())
        for near in _windows(sorted(small, key=lambda one: (one.signed_on, one.number)), limit)
        if any(map(own, near))
    )


def _windows(
    contracts: Sequence[SignedContract], limit: Limit
) -> Iterable[Sequence[SignedContract]]:
    first = 0
    while first < len(contracts):
        until = contracts[first].signed_on + timedelta(days=limit.days)
        near = [one for one in contracts[first:] if one.signed_on <= until]
        together = sum(one.amount_fen for one in near)
        if len(near) < SPLIT_COUNT or together < limit.amount_fen:
            first += 1
            continue
        yield near
        first += len(near)


def _split_flag(
    near: Sequence[SignedContract], limit: Limit, own: Callable[[SignedContract], bool]
) -> Flag:
    told = [one.number for one in near if own(one)]
    return Flag(
        code=FlagCode.SPLIT_CONTRACT,
        facts={
            "contracts": ", ".join(told),
            "others": len(near) - len(told),
            "first": near[0].signed_on.isoformat(),
            "last": near[-1].signed_on.isoformat(),
            "together_fen": sum(one.amount_fen for one in near),
            "limit_fen": limit.amount_fen,
            "source": limit.source,
        },
    )


def at_night_only(runs: Iterable[BilledRun]) -> tuple[tuple[BilledRun, ...], ...]:
    """Return by enterprise the runs of those whose runs are all at night and all alike."""
    by_tenant: dict[str, list[BilledRun]] = defaultdict(list)
    for run in runs:
        if run.paid_fen:
            by_tenant[run.tenant_id].append(run)
    return tuple(
        tuple(own)
        for _, own in sorted(by_tenant.items())
        if len(own) >= NIGHT_RUNS_MIN and _is_alike(own) and all(map(_is_at_night, own))
    )


def night_only(runs: Iterable[BilledRun]) -> tuple[Flag, ...]:
    """Flag an enterprise whose runs are all at night, of one size and length, and constant.

    A load that was read for half of the time or more must be constant over all runs; runs whose
    load was not read are flagged with that said, since nothing speaks for them.
    """
    return tuple(
        _night_flag(own) for own in at_night_only(runs) if _spread_ppm(own) <= CONSTANT_PPM_MAX
    )


def _night_flag(own: Sequence[BilledRun]) -> Flag:
    loads = _loads(own)
    return Flag(
        code=FlagCode.NIGHT_ONLY,
        facts={
            "tenant_id": own[0].tenant_id,
            "runs": len(own),
            "units": own[0].units,
            "minutes": (own[0].ended_at - own[0].started_at) // timedelta(minutes=1),
            "measured_runs": len(loads),
            "low_ppm": min((load.low_ppm for load in loads), default="–"),
            "high_ppm": max((load.high_ppm for load in loads), default="–"),
        },
    )


def _loads(runs: Sequence[BilledRun]) -> list[Load]:
    return [run.load for run in runs if run.load and run.load.coverage_ppm >= COVERAGE_PPM_MIN]


def _spread_ppm(runs: Sequence[BilledRun]) -> int:
    loads = _loads(runs)
    if not loads:
        return 0
    return max(load.high_ppm for load in loads) - min(load.low_ppm for load in loads)


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
