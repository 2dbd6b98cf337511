"""Rows of programmes in force, and what awards have taken of their caps. Never commits."""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final

from sqlalchemy import Connection, delete, select, update

from suanwang.db.tables import grant_programme, grant_spent, grant_usage
from suanwang.document import parse_document
from suanwang.errors import BadInput, NotFound
from voucher.programmes.frozen import frozen_digests
from voucher.programmes.programme import Programme
from voucher.programmes.schema import Counts
from voucher.programmes.usage import CapKey, SpendKey, Usage
from voucher.programmes.values import check_unchanged, read_policy

POLICY_LENGTH_MAX: Final = 200_000
"""Characters of a policy file."""


@lru_cache(maxsize=256)
def read_programme(text: str, name: str) -> Programme:
    """Return the programme in a policy file; raise BadInput with line and key."""
    if len(text) > POLICY_LENGTH_MAX:
        raise BadInput(f"{name} has {len(text)} characters, at most {POLICY_LENGTH_MAX}")
    return Programme.of(read_policy(parse_document(text, name)))


def adopt(connection: Connection, text: str, name: str, person: str, now: datetime) -> Programme:
    """Put a policy in force and return it; the same file again changes nothing.

    Raises Conflict for a version that is in force, or was shipped, with another content, BadInput
    for a bad file.
    """
    programme = read_programme(text, name)
    policy = programme.policy
    rows = connection.execute(
        select(grant_programme).where(grant_programme.c.id == policy.id)
    ).all()
    check_unchanged(policy, frozen_digests())
    check_unchanged(policy, {(row.id, row.version): row.digest for row in rows})
    if policy.version not in {row.version for row in rows}:
        connection.execute(
            grant_programme.insert().values(
                id=policy.id,
                version=policy.version,
                digest=programme.digest,
                policy=text,
                adopted_by=person,
                adopted_at=now,
            )
        )
    return programme


def find_programme(
    connection: Connection, programme_id: str, version: int | None = None
) -> Programme:
    """Return a programme in force, by default its newest version; raise NotFound."""
    chosen = select(grant_programme).where(grant_programme.c.id == programme_id)
    if version is not None:
        chosen = chosen.where(grant_programme.c.version == version)
    row = connection.execute(chosen.order_by(grant_programme.c.version.desc())).first()
    if row is None:
        raise NotFound(
            f"no programme {programme_id!r} is in force",
            next_step="an admin adopts a policy: suanwang voucher apply adopt FILE",
        )
    return read_programme(row.policy, f"{row.id} v{row.version}")


def programmes(connection: Connection) -> tuple[Programme, ...]:
    """Return every version of every programme in force, by id and version."""
    rows = connection.execute(
        select(grant_programme).order_by(grant_programme.c.id, grant_programme.c.version)
    )
    return tuple(read_programme(row.policy, f"{row.id} v{row.version}") for row in rows)


def lock_all(connection: Connection) -> None:
    """Let one hand-in at a time search for what was claimed elsewhere, under any programme."""
    connection.execute(
        select(grant_programme.c.id)
        .order_by(grant_programme.c.id, grant_programme.c.version)
        .with_for_update()
    ).all()


def load_usage(connection: Connection, programme_id: str) -> Usage:
    """Return what was taken of a programme's caps, and keep others from taking until the end.

    Versions of a programme share their caps: who decides holds the rows of all of them.
    """
    connection.execute(
        select(grant_programme.c.id)
        .where(grant_programme.c.id == programme_id)
        .order_by(grant_programme.c.version)
        .with_for_update()
    ).all()
    taken = connection.execute(
        select(grant_usage).where(grant_usage.c.programme_id == programme_id)
    )
    spent = connection.execute(
        select(grant_spent).where(grant_spent.c.programme_id == programme_id)
    )
    return Usage(
        taken={
            CapKey(row.cap_id, row.holder, row.period, Counts(row.measure)): row.amount_fen
            for row in taken
        },
        spent={SpendKey(row.fact, row.number) for row in spent},
    )


def save_usage(
    connection: Connection,
    programme_id: str,
    before: Usage,
    after: Usage,
    owners: Mapping[SpendKey, str],
) -> None:
    """Write what changed between two usages, in one order; ``owners`` are who spends what."""
    for key in sorted(after.taken, key=lambda one: (one.cap_id, one.holder, one.period)):
        amount = after.taken[key]
        if amount == before.taken.get(key):
            continue
        names = {
            "programme_id": programme_id,
            "cap_id": key.cap_id,
            "holder": key.holder,
            "period": key.period,
            "measure": key.measure.value,
        }
        if key in before.taken:
            where = [grant_usage.c[name] == value for name, value in names.items()]
            connection.execute(update(grant_usage).where(*where).values(amount_fen=amount))
        else:
            connection.execute(grant_usage.insert().values(**names, amount_fen=amount))
    for spend in sorted(before.spent - after.spent, key=lambda one: (one.fact, one.number)):
        connection.execute(
            delete(grant_spent).where(
                grant_spent.c.programme_id == programme_id,
                grant_spent.c.fact == spend.fact,
                grant_spent.c.number == spend.number,
            )
        )
    for spend in sorted(after.spent - before.spent, key=lambda one: (one.fact, one.number)):
        connection.execute(
            grant_spent.insert().values(
                programme_id=programme_id,
                fact=spend.fact,
                number=spend.number,
                application_id=owners[spend],
            )
        )
