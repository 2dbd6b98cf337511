"""Pure part of reading an SNMP device: which objects a profile means here, and what they say.

Tables are walked once in a while to find their rows; in between their objects are asked for by
name, which costs a fraction of a walk.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final

from collectors.profiles.base import NAME, UNIT, split_key
from collectors.profiles.snmp import SnmpPoint, SnmpProfile
from collectors.snmp.ber import Missing, Value
from suanwang.model.reading import Reading

DECIMALS_MAX: Final = 9


class Nonsense(ValueError):
    """What the device says cannot be, or a required point is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One object that is read in every poll, and what becomes of it."""

    key: str
    part: str
    metric: str
    point: SnmpPoint
    oid: str
    signed_oid: str = ""
    factor: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is read from one device in every poll."""

    slots: tuple[Slot, ...]
    oids: tuple[str, ...]
    groups: tuple[tuple[Slot, ...], ...] = field(init=False)
    """The slots by key: found out once, since a plan is used for many polls."""

    def __post_init__(self) -> None:
        """Group the slots."""
        object.__setattr__(self, "groups", _by_key(self.slots))


def with_unit(text: str, unit: int) -> str:
    """Return a text with the unit's number in it."""
    return text.replace(f"{{{UNIT}}}", str(unit))


def columns(profile: SnmpProfile, unit: int) -> tuple[str, ...]:
    """Return the columns that must be walked to find the rows of all tables, each once."""
    wanted: dict[str, None] = {}
    for point in profile.points.values():
        if point.index:
            for oid in (point.oid, point.decimals, *point.when):
                if oid:
                    wanted[with_unit(oid, unit)] = None
    return tuple(wanted)


def single_conditions(profile: SnmpProfile, unit: int) -> tuple[str, ...]:
    """Return the single objects on which points without a table depend."""
    wanted: dict[str, None] = {}
    for point in profile.points.values():
        if not point.index:
            for oid in (point.decimals, *point.when):
                if oid:
                    wanted[with_unit(oid, unit)] = None
    return tuple(wanted)


def plan_for(
    profile: SnmpProfile,
    unit: int,
    tables: Mapping[str, Mapping[str, Value]],
    singles: Mapping[str, Value],
) -> Plan:
    """Return what to read of a device that has these rows; raise Nonsense."""
    slots: list[Slot] = []
    for key, point in profile.points.items():
        if point.index:
            found = list(_rows(key, point, unit, tables))
        else:
            found = list(_single(key, point, unit, singles))
        if point.required and not found:
            raise Nonsense(f"has nothing for {key} at {with_unit(point.oid, unit)}")
        slots += found
    oids = {oid: None for slot in slots for oid in (slot.oid, slot.signed_oid) if oid}
    return Plan(slots=tuple(slots), oids=tuple(oids))


def _single(key: str, point: SnmpPoint, unit: int, singles: Mapping[str, Value]) -> Iterator[Slot]:
    if any(singles.get(with_unit(oid, unit)) != wanted for oid, wanted in point.when.items()):
        return
    digits = singles.get(with_unit(point.decimals, unit)) if point.decimals else 0
    yield _slot(key, point, unit, "", {}, digits)


def _rows(
    key: str, point: SnmpPoint, unit: int, tables: Mapping[str, Mapping[str, Value]]
) -> Iterator[Slot]:
    column = with_unit(point.oid, unit)
    pattern = _pattern(with_unit(point.index, unit))
    for oid in tables.get(column, {}):
        row = oid[len(column) :]
        match = pattern.fullmatch(row[1:])
        if match is None or not _meets(point, unit, row, tables):
            continue
        digits: Value = 0
        if point.decimals:
            decimals = with_unit(point.decimals, unit)
            digits = tables.get(decimals, {}).get(decimals + row)
        yield _slot(key, point, unit, row, match.groupdict(), digits)


def _meets(
    point: SnmpPoint, unit: int, row: str, tables: Mapping[str, Mapping[str, Value]]
) -> bool:
    for oid, wanted in point.when.items():
        column = with_unit(oid, unit)
        if tables.get(column, {}).get(column + row) != wanted:
            return False
    return True


def _slot(
    key: str, point: SnmpPoint, unit: int, row: str, names: Mapping[str, str], digits: Value
) -> Slot:
    if not isinstance(digits, int) or not 0 <= digits <= DECIMALS_MAX:
        raise Nonsense(f"says that {key} has {digits!r} digits behind the point")
    part, metric = split_key(key)
    known = {**names, UNIT: str(unit)}
    return Slot(
        key=key,
        part=NAME.sub(lambda name: known[name[1]], part),
        metric=metric,
        point=point,
        oid=with_unit(point.oid, unit) + row,
        signed_oid=with_unit(point.signed_oid, unit) + row if point.signed_oid else "",
        factor=point.scale / 10**digits,
    )


@lru_cache(maxsize=1_024)
def _pattern(index: str) -> re.Pattern[str]:
    """Return what matches an index; a name that is there twice must be the same number."""
    seen: set[str] = set()
    steps = []
    for step in index.split("."):
        name = NAME.fullmatch(step)
        if name is None:
            steps.append(step)
        elif name[1] in seen:
            steps.append(f"(?P={name[1]})")
        else:
            seen.add(name[1])
            steps.append(rf"(?P<{name[1]}>\d+)")
    return re.compile(r"\.".join(steps))


def lost_rows(plan: Plan, values: Mapping[str, Value]) -> bool:
    """Whether a row that was there when the tables were walked is there no more."""
    return any(
        isinstance(values.get(slot.oid, Missing.NO_INSTANCE), Missing)
        for slot in plan.slots
        if slot.point.index
    )


def measured(
    plan: Plan, values: Mapping[str, Value], profile: SnmpProfile, device_id: str, at: datetime
) -> dict[str, Reading]:
    """Return the readings by key and part; raise Nonsense where a required one is missing."""
    readings: dict[str, Reading] = {}
    for slots in plan.groups:
        values_of = _sum if slots[0].point.is_sum else _each
        for part, value in values_of(slots, values):
            key = slots[0].key
            readings[f"{part}/{key}" if part else key] = Reading(
                subject=profile.subject(device_id, part),
                metric=slots[0].metric,
                value=value,
                at=at,
            )
    return readings


def _by_key(slots: Iterable[Slot]) -> tuple[tuple[Slot, ...], ...]:
    groups: dict[str, list[Slot]] = {}
    for slot in slots:
        groups.setdefault(slot.key, []).append(slot)
    return tuple(map(tuple, groups.values()))


def _each(slots: tuple[Slot, ...], values: Mapping[str, Value]) -> Iterator[tuple[str, float]]:
    """Yield part and value of each slot that has one."""
    for slot in slots:
        try:
            value = _value(slot, values)
        except ValueError as failure:
            if slot.point.required:
                raise Nonsense(f"gave no good {slot.key} at {slot.oid}: {failure}") from failure
            continue
        if value is not None:
            yield slot.part, value


def _sum(slots: tuple[Slot, ...], values: Mapping[str, Value]) -> Iterator[tuple[str, float]]:
    """Yield part and sum of the slots of each part; nothing where one of all is missing."""
    found = list(_each(slots, values))
    if len(found) != len(slots):
        return
    sums: dict[str, float] = {}
    for part, value in found:
        sums[part] = sums.get(part, 0.0) + value
    yield from sums.items()


def _value(slot: Slot, values: Mapping[str, Value]) -> float | None:
    count = values.get(slot.oid, Missing.NO_INSTANCE)
    signed = values.get(slot.signed_oid) if slot.signed_oid else None
    if isinstance(signed, int) and (signed < 0 or isinstance(count, Missing)):
        count = signed
    if isinstance(count, Missing):
        raise ValueError(count.value)
    return slot.point.convert(slot.metric, count, slot.factor)
