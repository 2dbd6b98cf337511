"""What the resources of Redfish say, as our metrics. Pure: a document in, numbers out.

A field that is null, missing or not a number is left out, since firmware fills in what it likes.
"""

from collections.abc import Callable, Mapping
from typing import Final

from collectors.json_values import at_pointer, number

Values = Mapping[str, float]
Reader = Callable[[object], Values]

_HEALTH: Final = {"OK": 1.0, "Warning": 0.5, "Critical": 0.0}
_WH_PER_KWH: Final = 1_000.0
_WH_PER_J: Final = 1 / 3_600
POINTER_DEPTH_MAX: Final = 4
"""How deep an expanded resource is searched: we ask for two levels."""


def _pick(document: object, *rows: tuple[str, str, float]) -> dict[str, float]:
    """Return metric by pointer and scale; of rows with one metric the first that is there."""
    found: dict[str, float] = {}
    for metric, pointer, scale in rows:
        value = number(at_pointer(document, pointer))
        if value is not None and metric not in found:
            # The scaled decimal as it was meant: 1234.567 kWh are 1234567 Wh, not 1234567.0000001.
            found[metric] = round(value * scale, 6)
    return found


def environment(document: object) -> Values:
    """Return what EnvironmentMetrics, or the Metrics of a power distributor, say."""
    return _pick(
        document,
        ("power_w", "/PowerWatts/Reading", 1.0),
        ("energy_wh", "/EnergykWh/Reading", _WH_PER_KWH),
        ("energy_wh", "/EnergyJoules/Reading", _WH_PER_J),
        ("temperature_c", "/TemperatureCelsius/Reading", 1.0),
        ("humidity_ratio", "/HumidityPercent/Reading", 0.01),
    )


def power(document: object) -> Values:
    """Return what the older Power resource says."""
    return _pick(
        document,
        ("power_w", "/PowerControl/0/PowerConsumedWatts", 1.0),
        ("power_average_w", "/PowerControl/0/PowerMetrics/AverageConsumedWatts", 1.0),
        ("power_limit_w", "/PowerControl/0/PowerLimit/LimitInWatts", 1.0),
    )


def supply(document: object) -> Values:
    """Return what the Metrics of a power supply say about its input."""
    return _pick(
        document,
        ("power_w", "/InputPowerWatts/Reading", 1.0),
        ("energy_wh", "/EnergykWh/Reading", _WH_PER_KWH),
    )


def thermal_metrics(document: object) -> Values:
    """Return the air's temperatures that ThermalMetrics sums up."""
    summary = "/TemperatureSummaryCelsius"
    return _pick(
        document,
        ("inlet_temperature_c", f"{summary}/Intake/Reading", 1.0),
        ("exhaust_temperature_c", f"{summary}/Exhaust/Reading", 1.0),
    )


_PLACES: Final = {"Intake": "inlet_temperature_c", "Exhaust": "exhaust_temperature_c"}


def thermal(document: object) -> Values:
    """Return the air's temperatures among those of the older Thermal resource."""
    sensors = at_pointer(document, "/Temperatures")
    found: dict[str, float] = {}
    for sensor in sensors if isinstance(sensors, list) else ():
        place = at_pointer(sensor, "/PhysicalContext")
        metric = _PLACES.get(place) if isinstance(place, str) else None
        value = number(at_pointer(sensor, "/ReadingCelsius"))
        if metric and value is not None and is_enabled(sensor):
            found.setdefault(metric, value)
    return found


def health(document: object) -> Values:
    """Return the health of a resource and of what is in it: 1, with a warning 0.5, critical 0."""
    for pointer in ("/Status/HealthRollup", "/Status/Health"):
        word = at_pointer(document, pointer)
        if isinstance(word, str) and word in _HEALTH:
            return {"health_ratio": _HEALTH[word]}
    return {}


_SENSORS: Final = {
    "Power": ("power_w", 1.0),
    "EnergykWh": ("energy_wh", _WH_PER_KWH),
    "EnergyWh": ("energy_wh", 1.0),
    "EnergyJoules": ("energy_wh", _WH_PER_J),
    "Temperature": ("temperature_c", 1.0),
    "Humidity": ("humidity_ratio", 0.01),
    "Voltage": ("voltage_v", 1.0),
    "Current": ("current_a", 1.0),
    "Frequency": ("frequency_hz", 1.0),
}


def sensor(document: object) -> Values:
    """Return what one Sensor says, where its kind is one that we know and it is in use."""
    kind = at_pointer(document, "/ReadingType")
    if not isinstance(kind, str) or kind not in _SENSORS or not is_enabled(document):
        return {}
    metric, scale = _SENSORS[kind]
    return _pick(document, (metric, "/Reading", scale))


def is_enabled(document: object) -> bool:
    """Whether a part is in use, or does not say."""
    return at_pointer(document, "/Status/State") in (None, "Enabled")


def link(document: object, name: str) -> str:
    """Return the path that a property links to, or an empty text."""
    return path_of(at_pointer(document, f"/{name}"))


def path_of(document: object) -> str:
    """Return the path of a resource or of a reference to one, or an empty text."""
    path = at_pointer(document, "/@odata.id")
    is_path = isinstance(path, str) and path.startswith("/redfish/") and "?" not in path
    return str(path) if is_path else ""


def members(document: object) -> tuple[object, ...]:
    """Return the members of a collection, whole or as references."""
    found = at_pointer(document, "/Members")
    return tuple(found) if isinstance(found, list) else ()


READERS: Final[Mapping[str, Reader]] = {
    "environment": environment,
    "power": power,
    "supply": supply,
    "thermal_metrics": thermal_metrics,
    "thermal": thermal,
    "health": health,
    "sensor": sensor,
}
"""Every reader by its name, under which a plan on disk names it."""


def name_of(reader: Reader) -> str:
    """Return the name of a reader; raise KeyError for one that is none of ours."""
    for name, each in READERS.items():
        if each is reader:
            return name
    raise KeyError(reader)


def pointer_to(document: object, path: str) -> str | None:
    """Return the JSON pointer to the resource of a path inside an expanded one, None without it.

    Only properties are followed, no arrays: their order may change from answer to answer. A bare
    reference is not the resource.
    """
    if path_of(document) == path:
        return "" if isinstance(document, dict) and len(document) > 1 else None
    return _pointer_below(document, path, "", POINTER_DEPTH_MAX)


def _pointer_below(document: object, path: str, pointer: str, depth: int) -> str | None:
    if not isinstance(document, dict) or not depth:
        return None
    for name, value in document.items():
        if not isinstance(value, dict) or not isinstance(name, str) or set(name) & {"/", "~"}:
            continue
        here = f"{pointer}/{name}"
        if value.get("@odata.id") == path:
            return here if len(value) > 1 else None
        if (below := _pointer_below(value, path, here, depth - 1)) is not None:
            return below
    return None


METRICS: Final = (
    *("power_w", "energy_wh", "temperature_c", "humidity_ratio", "power_average_w"),
    *("power_limit_w", "inlet_temperature_c", "exhaust_temperature_c", "health_ratio"),
    *("voltage_v", "current_a", "frequency_hz"),
)
"""What a Redfish source may tell without rules of the operator's own."""
