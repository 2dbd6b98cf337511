"""The newest energy schedule of each site in the database, for processes that do not plan."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from scheduler.energy_inputs import EnergyInput, Standing
from suanwang.db.tables import energy_plan as table
from suanwang.ids import PoolId, SiteId
from suanwang.model.energy_plan import EnergySlot, SiteEnergy

# ``Any`` stands for parsed JSON: the edge to the database.
Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSchedule:
    """A site's schedule, when its plan was made, and what it rests on."""

    made_at: datetime
    schedule: SiteEnergy
    inputs: tuple[EnergyInput, ...]


def newest_at(connection: Connection) -> datetime | None:
    """Return when the newest stored schedule was made; None where there is none."""
    found: datetime | None = connection.scalar(select(func.max(table.c.made_at)))
    return found


def save(connection: Connection, schedules: Sequence[StoredSchedule]) -> None:
    """Write the schedules of a plan in place of the last one's; sites without one have none."""
    sites = [one.schedule.site_id for one in schedules]
    connection.execute(delete(table).where(table.c.site_id.not_in(sites)))
    if not schedules:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    rows = [
        {
            "site_id": one.schedule.site_id,
            "made_at": one.made_at,
            "schedule": _document(one.schedule),
            "inputs": [asdict(each) | {"standing": each.standing.value} for each in one.inputs],
        }
        for one in schedules
    ]
    statement = dialect.insert(table)
    changed = {name: statement.excluded[name] for name in rows[0] if name != "site_id"}
    connection.execute(
        statement.on_conflict_do_update(index_elements=["site_id"], set_=changed), rows
    )


def find(connection: Connection, site_id: SiteId) -> StoredSchedule | None:
    """Return the newest schedule of a site; None where the newest plan had none."""
    row = connection.execute(select(table).where(table.c.site_id == site_id)).first()
    if row is None:
        return None
    return StoredSchedule(
        made_at=row.made_at,
        schedule=_schedule(row.schedule),
        inputs=tuple(
            EnergyInput(name=one["name"], standing=Standing(one["standing"]), note=one["note"])
            for one in row.inputs
        ),
    )


def _document(schedule: SiteEnergy) -> Document:
    document = {one.name: getattr(schedule, one.name) for one in fields(SiteEnergy)}
    document["slots"] = [
        {one.name: getattr(slot, one.name) for one in fields(EnergySlot)}
        | {"start": slot.start.isoformat(), "end": slot.end.isoformat(), "awake": dict(slot.awake)}
        for slot in schedule.slots
    ]
    return document


def _schedule(document: Mapping[str, Any]) -> SiteEnergy:
    return SiteEnergy(**{**document, "slots": tuple(_slot(one) for one in document["slots"])})


def _slot(document: Mapping[str, Any]) -> EnergySlot:
    moments = {name: datetime.fromisoformat(document[name]) for name in ("start", "end")}
    awake = {PoolId(pool_id): int(nodes) for pool_id, nodes in document["awake"].items()}
    return EnergySlot(**{**document, **moments, "awake": awake})
