"""Tables by family: those of a module, and the families in the order of their foreign keys."""

from types import ModuleType
from typing import Final

from sqlalchemy import Table

from suanwang.db.tables import (
    alerts,
    evidence,
    grants,
    identity,
    inventory,
    jobs,
    kpis,
    ledger,
    parties,
    registry,
    telemetry,
)

_MODULES: Final = (
    registry,
    identity,
    inventory,
    telemetry,
    jobs,
    ledger,
    evidence,
    grants,
    parties,
    kpis,
    alerts,
)


def families() -> dict[str, frozenset[str]]:
    """Return the names of each family's tables; none points at a table of a later family."""
    return {module.__name__.rpartition(".")[2]: _tables_of(module) for module in _MODULES}


def _tables_of(module: ModuleType) -> frozenset[str]:
    return frozenset(each.name for each in vars(module).values() if isinstance(each, Table))
