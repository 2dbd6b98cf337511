"""Trying a policy on a list of applicants, and replaying the list under a changed policy."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from voucher.programmes.application import Application
from voucher.programmes.award import Award
from voucher.programmes.findings import Cut, Finding
from voucher.programmes.programme import Programme
from voucher.programmes.rounds import PoolUse, decide
from voucher.programmes.schema import Policy
from voucher.programmes.sentences import Code
from voucher.programmes.share import FunderShare, split
from voucher.programmes.values import gaps


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One application's result, with who pays it (or why that cannot be said)."""

    award: Award
    applicant_id: str
    shares: tuple[FunderShare, ...]
    funding_findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """What a policy would do with a list: rows in their turn, pools, funders, refusals by code."""

    policy_id: str
    version: int
    digest: str
    rows: tuple[Row, ...]
    pools: tuple[PoolUse, ...]
    funders: tuple[FunderShare, ...]
    refusals: tuple[tuple[Code, int], ...]
    gaps: tuple[str, ...]

    @property
    def granted_fen(self) -> int:
        """Sum of all awards."""
        return sum(row.award.amount_fen for row in self.rows)

    @property
    def entitled_fen(self) -> int:
        """Sum before caps and pools, of applications that were not refused outright."""
        return sum(row.award.entitled_fen for row in self.rows)


def simulate(policy: Policy, applications: Sequence[Application]) -> Simulation:
    """Return what ``policy`` would grant; books nothing."""
    programme = Programme.of(policy)
    decision = decide(programme, applications)
    by_id = {one.id: one for one in applications}
    rows = tuple(_row(programme, by_id[award.application_id], award) for award in decision.awards)
    codes = Counter(
        code
        for row in rows
        if row.award.is_refused
        for code in {finding.code for finding in row.award.reasons}
    )
    return Simulation(
        policy_id=policy.id,
        version=policy.version,
        digest=programme.digest,
        rows=rows,
        pools=decision.pools,
        funders=_totals(rows),
        refusals=tuple(sorted(codes.items())),
        gaps=gaps(policy),
    )


def _row(programme: Programme, application: Application, award: Award) -> Row:
    funding = split(programme, application, award.amount_fen) if award.amount_fen else None
    return Row(
        award=award,
        applicant_id=application.applicant_id,
        shares=funding.shares if funding else (),
        funding_findings=funding.findings if funding else (),
    )


def _totals(rows: Sequence[Row]) -> tuple[FunderShare, ...]:
    totals: dict[tuple[str, str], int] = {}
    for share in (share for row in rows for share in row.shares):
        key = (share.funder_id, share.name)
        totals[key] = totals.get(key, 0) + share.amount_fen
    return tuple(
        FunderShare(funder_id=funder_id, name=name, amount_fen=amount)
        for (funder_id, name), amount in totals.items()
    )


class Change(StrEnum):
    """How an application fares under the new policy."""

    WINS = "wins"
    LOSES = "loses"
    SAME = "same"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """One application under two policies; ``reasons`` and ``cuts`` are those of the new policy.

    ``granted_fen`` is what it was granted in fact, where the list says so.
    """

    application_id: str
    applicant_id: str
    before_fen: int
    after_fen: int
    reasons: tuple[Finding, ...]
    cuts: tuple[Cut, ...] = ()
    granted_fen: int | None = None

    @property
    def change_fen(self) -> int:
        """What the new policy gives more (below zero: less)."""
        return self.after_fen - self.before_fen

    @property
    def change(self) -> Change:
        """Wins, loses or the same."""
        if self.change_fen == 0:
            return Change.SAME
        return Change.WINS if self.change_fen > 0 else Change.LOSES


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The same list under the old and the new policy; greatest losses first."""

    old: Simulation
    new: Simulation
    fates: tuple[Fate, ...]


def replay(old: Policy, new: Policy, applications: Sequence[Application]) -> Replay:
    """Return who would win and who would lose if ``new`` had been in force instead of ``old``."""
    first, second = simulate(old, applications), simulate(new, applications)
    after = {row.award.application_id: row.award for row in second.rows}
    granted = {one.id: one.granted_fen for one in applications}
    fates = [
        Fate(
            application_id=row.award.application_id,
            applicant_id=row.applicant_id,
            before_fen=row.award.amount_fen,
            after_fen=after[row.award.application_id].amount_fen,
            reasons=after[row.award.application_id].reasons,
            cuts=after[row.award.application_id].cuts,
            granted_fen=granted[row.award.application_id],
        )
        for row in first.rows
    ]
    fates.sort(key=lambda fate: (fate.change_fen, fate.application_id))
    return Replay(old=first, new=second, fates=tuple(fates))
