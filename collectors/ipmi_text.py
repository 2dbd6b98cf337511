"""Reads what ipmitool prints. Pure: text in, numbers out; a line that is not whole is none."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from collectors.json_values import plain_number

UNITS: Final = {
    "Watts": "power_w",
    "degrees C": "temperature_c",
    "Volts": "voltage_v",
    "Amps": "current_a",
    "RPM": "fan_rpm",
}
"""Our metric for the units of sensors; others are not read."""

_DCMI: Final = (
    ("power_w", "Instantaneous power reading"),
    ("power_average_w", "Average power reading over sample period"),
)
_WATTS: Final = r"[ \t]*:[ \t]*(\d{1,9})[ \t]+Watts[ \t]*$"
_STATE: Final = re.compile(r"^[ \t]*Power reading state is[ \t]*:[ \t]*activated[ \t]*$", re.M)


class Sensor(NamedTuple):
    """One sensor of the BMC's repository, with its value in the unit of ``metric``."""

    name: str
    metric: str
    value: float


def sensors(text: str) -> Iterator[Sensor]:
    """Return the sensors of ``sdr list full`` in CSV that have a value and a unit we know.

    A name may hold commas, so the columns are counted from the right. ``ns`` and ``na`` say that
    a sensor is not scanned: its value, if one is printed, is an old one.
    """
    for line in text.splitlines():
        parts = line.rsplit(",", 3)
        if len(parts) != 4:
            continue
        name, value, unit, status = (part.strip() for part in parts)
        number = plain_number(value)
        if name and number is not None and unit in UNITS and status not in ("ns", "na", ""):
            yield Sensor(name, UNITS[unit], number)


def dcmi_power(text: str) -> dict[str, float]:
    """Return power by metric from ``dcmi power reading``; nothing where measuring is off."""
    if not _STATE.search(text):
        return {}
    found = {}
    for metric, words in _DCMI:
        match = re.search(rf"^[ \t]*{words}{_WATTS}", text, re.M)
        if match:
            found[metric] = float(match.group(1))
    return found
