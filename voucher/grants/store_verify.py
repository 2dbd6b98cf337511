"""Whether every policy still is what applications and awards were made under."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, Row, select

from suanwang.db.tables import grant_application, grant_programme
from suanwang.errors import BadInput
from voucher.grants.store_programmes import read_programme
from voucher.programmes.frozen import frozen_digests

_APPLICATION = grant_application
SHOWN_MAX = 1_000
"""Awards named with one fault; there may be more."""


class FaultKind(StrEnum):
    """What is wrong with a policy."""

    MISSING = "missing"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFault:
    """A policy that is gone or changed: ``where`` it lies, both digests, the awards under it.

    ``found_digest`` is empty for one that is gone or cannot be read any more.
    """

    kind: FaultKind
    programme_id: str
    version: int
    where: str
    used_digest: str
    found_digest: str
    awards: tuple[str, ...]

    @property
    def message(self) -> str:
        """The fault in one sentence."""
        return (
            f"{self.programme_id} v{self.version} is {self.kind.value} in {self.where}: used with "
            f"digest {self.used_digest}, found with {self.found_digest or 'none'}; "
            f"awards: {', '.join(self.awards) or 'none'}"
        )


def faults(connection: Connection) -> tuple[PolicyFault, ...]:
    """Return every policy in force that is not what was used, by id and version.

    Three things must agree: the digest that applications carry, the digest that was stored when
    the policy was adopted, and that of the stored file as it is read now. A shipped version must
    be the one that was published.
    """
    rows = connection.execute(select(grant_programme)).all()
    found = {(row.id, row.version): _found(row) for row in rows}
    used = connection.execute(
        select(
            _APPLICATION.c.programme_id,
            _APPLICATION.c.programme_version,
            _APPLICATION.c.programme_digest,
        ).distinct()
    )
    wanted = {(row.programme_id, row.programme_version, row.programme_digest) for row in used}
    wanted |= {(row.id, row.version, row.digest) for row in rows}
    faulty = [
        _fault(connection, (name, version), digest, found.get((name, version)), "the database")
        for name, version, digest in sorted(wanted)
        if found.get((name, version)) != digest
    ]
    return (*faulty, *_unlike_published(connection, found))


def _unlike_published(
    connection: Connection, found: dict[tuple[str, int], str]
) -> Iterator[PolicyFault]:
    for policy, published in frozen_digests().items():
        if found.get(policy, published) != published:
            yield _fault(connection, policy, published, found[policy], "the shipped files")


def _found(row: Row[tuple[object, ...]]) -> str:
    """Return the digest of a stored file as it reads now; empty where it does not."""
    try:
        programme = read_programme(row.policy, f"{row.id} v{row.version}")
    except BadInput:
        return ""
    is_own = (programme.policy.id, programme.policy.version) == (row.id, row.version)
    return programme.digest if is_own else ""


def _fault(
    connection: Connection, policy: tuple[str, int], used: str, found: str | None, where: str
) -> PolicyFault:
    return PolicyFault(
        kind=FaultKind.MISSING if found is None else FaultKind.CHANGED,
        programme_id=policy[0],
        version=policy[1],
        where=where,
        used_digest=used,
        found_digest=found or "",
        awards=_awards(connection, policy),
    )


def _awards(connection: Connection, policy: tuple[str, int]) -> tuple[str, ...]:
    rows = connection.execute(
        select(_APPLICATION.c.id)
        .where(
            _APPLICATION.c.programme_id == policy[0],
            _APPLICATION.c.programme_version == policy[1],
            _APPLICATION.c.award_fen > 0,
        )
        .order_by(_APPLICATION.c.id)
        .limit(SHOWN_MAX)
    )
    return tuple(row.id for row in rows)
