"""Start-up guard: the ledger does not run on a database that may forget what it acknowledged.

With ``synchronous_commit=off`` a killed PostgreSQL lost 68 acknowledged entries while all sums
stayed right, so no later check would have found it.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection

from suanwang.errors import Unavailable
from voucher.store_settings import durability_settings

_TOO_WEAK: Final[Mapping[str, frozenset[str]]] = {
    "fsync": frozenset({"off"}),
    "synchronous_commit": frozenset({"off"}),
    "synchronous": frozenset({"off", "normal"}),
}


def check_durability(connection: Connection) -> None:
    """Raise Unavailable when a commit of this connection could be lost in a power cut."""
    faults = weak_settings(durability_settings(connection))
    if faults:
        raise Unavailable(
            f"the ledger does not start: {', '.join(faults)} may lose money that was acknowledged",
            next_step="set synchronous=FULL on SQLite, fsync=on and synchronous_commit=on on "
            "PostgreSQL, and start again",
        )


def weak_settings(settings: Mapping[str, str]) -> tuple[str, ...]:
    """Return those settings, as ``name=value``, with which a commit is not on disk."""
    return tuple(
        f"{name}={value}"
        for name, value in settings.items()
        if value in _TOO_WEAK.get(name, frozenset())
    )
