"""What earlier awards took of each cap, and which contracts and invoices were used."""

from dataclasses import dataclass, field
from datetime import date
from typing import Final

from voucher.programmes.application import Application, period_label, text_fact
from voucher.programmes.findings import Cut, Finding
from voucher.programmes.predicate import failures, unknown
from voucher.programmes.programme import Programme
from voucher.programmes.schema import Cap, CapScope, Counts
from voucher.programmes.sentences import Code, Use
from voucher.programmes.values import not_seen

CLAIMED: Final = Counts.CLAIMED
REDEEMED: Final = Counts.REDEEMED
_GROUP: Final = "applicant.group"


@dataclass(frozen=True, slots=True)
class CapKey:
    """Whose use of which cap, in which period, of which measure."""

    cap_id: str
    holder: str
    period: str
    measure: Counts


@dataclass(frozen=True, slots=True)
class SpendKey:
    """A contract or an invoice that was claimed."""

    fact: str
    number: str


@dataclass(slots=True)
class Usage:
    """Amounts in fen by cap, and used spend. ``decide`` works on a copy and hands it back."""

    taken: dict[CapKey, int] = field(default_factory=dict)
    spent: set[SpendKey] = field(default_factory=set)

    def copy(self) -> "Usage":
        """Return a copy that can be written without touching this one."""
        return Usage(taken=dict(self.taken), spent=set(self.spent))

    def add(self, key: CapKey, amount_fen: int) -> None:
        """Take (or, below zero, give back) a part of a cap."""
        self.taken[key] = self.taken.get(key, 0) + amount_fen


@dataclass(frozen=True, slots=True, kw_only=True)
class CapView:
    """The caps that hold for one application at one moment, or why that cannot be said."""

    caps: tuple[Cap, ...]
    findings: tuple[Finding, ...]


def caps_of(programme: Programme, application: Application, measure: Counts) -> CapView:
    """Return the caps that hold for an applicant; an unknown fact never frees it from one."""
    policy = programme.policy
    if policy.caps is None:
        return CapView(caps=(), findings=(not_seen(policy, "caps"),))
    caps: list[Cap] = []
    findings: list[Finding] = []
    for cap in policy.caps:
        if cap.counts not in (measure, Counts.BOTH):
            continue
        path = f"caps.{cap.id}"
        failed = failures(cap.when, application.facts, programme.known, f"{path}.when")
        if any(one.code is Code.PREDICATE_FAILED for one in failed):
            continue
        freed = failures(cap.unless, application.facts, programme.known, f"{path}.unless")
        if cap.unless and not freed:
            continue
        findings.extend(failed)
        findings.extend(_gaps(programme, cap, application))
        caps.append(cap)
    return CapView(caps=tuple(caps), findings=tuple(findings))


def _gaps(programme: Programme, cap: Cap, application: Application) -> list[Finding]:
    """Return what keeps a cap from being applied; a pool's gaps show when the pool is used."""
    if cap.scope is CapScope.POOL:
        return []
    path = f"caps.{cap.id}"
    found = []
    if cap.amount_fen is None:
        found.append(not_seen(programme.policy, f"{path}.amount_fen"))
    if cap.period is None:
        found.append(not_seen(programme.policy, f"{path}.period"))
    if cap.scope is CapScope.GROUP and text_fact(application.facts, _GROUP) is None:
        found.append(unknown(_GROUP, Use.GROUP, programme.known, path))
    return found


def cap_key(
    cap: Cap, application: Application, day: date, measure: Counts, contract: str = ""
) -> CapKey:
    """Return whose use of ``cap`` an application adds to; the cap's period must be known."""
    assert cap.period is not None, f"cap {cap.id} has no period; caps_of refuses it"
    match cap.scope:
        case CapScope.CONTRACT:
            holder = contract
        case CapScope.AWARD:
            holder = application.id
        case CapScope.APPLICANT:
            holder = application.applicant_id
        case CapScope.GROUP:
            holder = text_fact(application.facts, _GROUP) or application.applicant_id
        case CapScope.POOL:
            holder = ""
    return CapKey(cap.id, holder, period_label(cap.period, day), measure)


def left_fen(cap: Cap, key: CapKey, usage: Usage) -> int:
    """Return what a cap still allows, never below zero."""
    assert cap.amount_fen is not None, f"cap {cap.id} has no amount; caps_of refuses it"
    return max(0, cap.amount_fen - usage.taken.get(key, 0))


def cut_to(cap: Cap, amount_fen: int, left: int) -> Cut | None:
    """Return the cut that a cap makes, or None where the amount fits."""
    if amount_fen <= left:
        return None
    return Cut(code=Code.ABOVE_CAP, path=f"caps.{cap.id}", from_fen=amount_fen, to_fen=left)
