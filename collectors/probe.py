"""Finds out which profiles fit a device: each is tried, and judged by what it reads."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from collectors.modbus_client import Identification
from collectors.profiles.base import Device, split_key
from collectors.profiles.modbus import ENERGY, ModbusProfile
from collectors.profiles.profile import load_profile, profile_names
from collectors.profiles.snmp import SnmpIdentity, SnmpProfile
from collectors.snmp.ber import Value
from collectors.snmp.client import SnmpReader
from collectors.sources.modbus import MeterPoint, ModbusSource, RegisterReader
from collectors.sources.port import Pace, SourceError
from collectors.sources.snmp import SnmpSource
from suanwang.clock import Clock
from suanwang.model.reading import Reading

SYS_DESCR: Final = "1.3.6.1.2.1.1.1.0"
SYS_OBJECT_ID: Final = "1.3.6.1.2.1.1.2.0"
DEVICE_ID: Final = "DEVICE"
"""Stands in the shown subjects and settings for the id that the operator will give."""

READS_SCORE: Final = 50
KNOWN_SCORE: Final = 30
OPTIONAL_SCORE: Final = 20
"""What a score of 100 is made of: all that is required is read, the device is known by what it says
of itself or by its ranges, and the share of the optional points that are answered."""

_PACE: Final = Pace(name="probe", interval_s=60.0, timeout_s=60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How well one profile fits; ``is_known`` is None where nothing is said of identity."""

    profile: str
    title: str
    mark: str
    score: int
    is_known: bool | None
    readings: tuple[Reading, ...] = ()
    lacking: tuple[str, ...] = ()
    problem: str = ""
    registration: dict[str, float] = field(default_factory=dict)

    @property
    def fits(self) -> bool:
        """Whether everything required was read, and nothing speaks against it."""
        return not self.problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratios:
    """Unit and transformer ratios to read with."""

    unit: int = 1
    ct: float = 1.0
    pt: float = 1.0


async def probe_snmp(
    reader: SnmpReader, clock: Clock, ratios: Ratios, names: Sequence[str] = ()
) -> AsyncIterator[Fit]:
    """Yield how each SNMP profile fits; raise SnmpFailure where the device does not answer."""
    said = await reader.get((SYS_OBJECT_ID, SYS_DESCR))
    for name in names or profile_names():
        profile = load_profile(name)
        if isinstance(profile, SnmpProfile):
            source = SnmpSource(
                clock, reader, profile, _PACE, device_id=DEVICE_ID, unit=ratios.unit
            )
            yield await _try(profile, source, is_known_by_snmp(profile.identify, said), ratios)


async def probe_modbus(
    reader: RegisterReader, clock: Clock, ratios: Ratios, names: Sequence[str] = ()
) -> AsyncIterator[Fit]:
    """Yield how each Modbus profile fits; raise ModbusFailure where nothing answers at all."""
    said = await reader.identify()
    point = MeterPoint(device_id=DEVICE_ID, ct=ratios.ct, pt=ratios.pt)
    for name in names or profile_names():
        profile = load_profile(name)
        if isinstance(profile, ModbusProfile):
            source = ModbusSource(clock, reader, profile, point, _PACE)
            yield await _try(profile, source, _is_named(profile, said), ratios)


def is_known_by_snmp(identity: SnmpIdentity, said: Mapping[str, Value]) -> bool | None:
    """Return whether a device is one of a profile's by what it says; None if it cannot be known."""
    if not (identity.sys_object_id or identity.sys_descr):
        return None
    object_id, description = said.get(SYS_OBJECT_ID), said.get(SYS_DESCR)
    by_id = isinstance(object_id, str) and any(
        object_id == wanted or object_id.startswith(f"{wanted}.")
        for wanted in identity.sys_object_id
    )
    by_words = bool(
        identity.sys_descr
        and isinstance(description, bytes)
        and re.search(identity.sys_descr, description.decode("utf-8", errors="replace"))
    )
    return by_id or by_words


def _is_named(profile: ModbusProfile, said: Identification) -> bool | None:
    """Return whether vendor and product are the profile's; None where the device says nothing."""
    wanted = profile.identify
    if not (said.vendor or said.product) or not (wanted.vendor or wanted.product):
        return None
    return bool(re.search(wanted.vendor, said.vendor, re.IGNORECASE)) and bool(
        re.search(wanted.product, said.product, re.IGNORECASE)
    )


async def _try(
    profile: SnmpProfile | ModbusProfile,
    source: SnmpSource | ModbusSource,
    is_known: bool | None,
    ratios: Ratios,
) -> Fit:
    try:
        readings = tuple(await source.collect())
    except SourceError as failure:
        return _fit(profile, is_known, problem=str(failure))
    strange = _out_of_range(profile, readings) if isinstance(profile, ModbusProfile) else ""
    if is_known is None and isinstance(profile, ModbusProfile) and profile.identify.ranges:
        is_known = not strange
    return _fit(profile, is_known, readings=readings, problem=strange, ratios=ratios)


def _out_of_range(profile: ModbusProfile, readings: Sequence[Reading]) -> str:
    values = {(reading.subject, reading.metric): reading.value for reading in readings}
    for key, (low, high) in profile.identify.ranges.items():
        part, metric = split_key(key)
        value = values.get((profile.subject(DEVICE_ID, part), metric))
        if value is None or not low <= value <= high:
            seen = "nothing" if value is None else f"{value:g}"
            return f"{key} reads {seen}, and should be within {low:g} and {high:g}"
    return ""


def _fit(
    profile: SnmpProfile | ModbusProfile,
    is_known: bool | None,
    *,
    readings: tuple[Reading, ...] = (),
    problem: str = "",
    ratios: Ratios | None = None,
) -> Fit:
    seen = {reading.metric for reading in readings}
    optional = [key for key, point in profile.points_of().items() if not point.required]
    lacking = tuple(key for key in optional if split_key(key)[1] not in seen)
    share = 1.0 - len(lacking) / len(optional) if optional else 1.0
    known = {True: 1.0, None: 0.5, False: 0.0}[is_known]
    reads = 0.0 if problem else 1.0
    score = KNOWN_SCORE * known * (1.0 if reads else 0.5) + reads * (
        READS_SCORE + OPTIONAL_SCORE * share
    )
    return Fit(
        profile=profile.name,
        title=profile.title,
        mark=profile.mark.value,
        score=round(score),
        is_known=is_known,
        readings=readings,
        lacking=lacking if not problem else (),
        problem=problem,
        registration=registration(profile, ratios) if ratios and not problem else {},
    )


def registration(profile: SnmpProfile | ModbusProfile, ratios: Ratios) -> dict[str, float]:
    """Return what the centre must know of a meter: rating, step and wrap of its register, Wh."""
    point = profile.points_of().get(ENERGY)
    if profile.device is not Device.METER or profile.rated_w is None or point is None:
        return {}
    if isinstance(profile, ModbusProfile):
        step, wrap = (
            profile.resolution_wh(ratios.ct, ratios.pt),
            profile.modulus_wh(ratios.ct, ratios.pt),
        )
        rated = profile.rated_w * ratios.ct * ratios.pt if _has_ratios(profile) else profile.rated_w
        return {"rated_w": rated, "resolution_wh": step, "modulus_wh": wrap}
    snmp = profile.points[ENERGY]
    digits = {} if snmp.decimals else {"modulus_wh": round(snmp.modulus_counts * snmp.scale)}
    return {
        "rated_w": profile.rated_w,
        "resolution_wh": snmp.scale * snmp.resolution,
        **digits,
    }


def _has_ratios(profile: ModbusProfile) -> bool:
    return profile.factor(ENERGY, 2.0, 3.0) != profile.factor(ENERGY, 1.0, 1.0)


def best_first(fits: Sequence[Fit]) -> list[Fit]:
    """Return fits by score; of equal ones that with the more readings first."""
    return sorted(fits, key=lambda fit: (not fit.fits, -fit.score, -len(fit.readings), fit.profile))
