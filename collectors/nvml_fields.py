"""What can be read of one GPU by NVML, and how often it is worth its price.

Measured on an H200: power and energy 3 to 4 ms a call, utilisation and volatile ECC 2 ms, most
others below 0.1 ms; power by field values 0.01 to 0.08 ms, so that is tried first. PCIe throughput
takes 21 ms and is left out.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import pynvml

MJ_PER_WH: Final = 3_600_000

Handle = Any  # an opaque pointer of the C library
Values = Mapping[str, float]
_Reader = Callable[[Handle], Values]

ABSENT: Final = frozenset(
    {
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_NO_PERMISSION,
        pynvml.NVML_ERROR_NOT_FOUND,
        pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
    }
)
"""What NVML says where a field is not there, while the card itself is well."""

_GPU_SCOPE: Final = 0
_POWER_FIELDS: Final = {
    pynvml.NVML_FI_DEV_POWER_INSTANT: "power_w",
    pynvml.NVML_FI_DEV_POWER_AVERAGE: "power_average_w",
}
_MEMBERS: Final = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
"""Which member of a field's value holds the number, by the value's type."""

_THROTTLES: Final = {
    "throttle_power_ratio": pynvml.nvmlClocksEventReasonSwPowerCap
    | pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown,
    "throttle_thermal_ratio": pynvml.nvmlClocksEventReasonSwThermalSlowdown
    | pynvml.nvmlClocksEventReasonHwThermalSlowdown,
    "throttle_hardware_ratio": pynvml.nvmlClocksEventReasonHwSlowdown,
}
_CORRECTED: Final = pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED
_UNCORRECTED: Final = pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED
_VOLATILE: Final = pynvml.NVML_VOLATILE_ECC
_AGGREGATE: Final = pynvml.NVML_AGGREGATE_ECC
_ECC: Final = {
    "ecc_corrected_volatile_errors": (_CORRECTED, _VOLATILE),
    "ecc_uncorrected_volatile_errors": (_UNCORRECTED, _VOLATILE),
    "ecc_corrected_aggregate_errors": (_CORRECTED, _AGGREGATE),
    "ecc_uncorrected_aggregate_errors": (_UNCORRECTED, _AGGREGATE),
}


def _energy(gpu: Handle) -> Values:
    return {"energy_wh": pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu) / MJ_PER_WH}


def _power(gpu: Handle) -> Values:
    """Return power now and its average; of an older driver or card what it calls its usage."""
    found: dict[str, float] = {}
    try:
        fields = [(field, _GPU_SCOPE) for field in _POWER_FIELDS]
        for answer in pynvml.nvmlDeviceGetFieldValues(gpu, fields):
            if answer.nvmlReturn == pynvml.NVML_SUCCESS and answer.valueType < len(_MEMBERS):
                milliwatts = getattr(answer.value, _MEMBERS[answer.valueType])
                found[_POWER_FIELDS[answer.fieldId]] = milliwatts / 1000
    except pynvml.NVMLError as failure:
        if failure.value not in ABSENT:
            raise
    if "power_w" not in found:
        found["power_w"] = pynvml.nvmlDeviceGetPowerUsage(gpu) / 1000
    return found


def _use(gpu: Handle) -> Values:
    return {"utilisation_ratio": pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100}


def memory(gpu: Handle) -> Values:
    """Return the memory of a GPU, or of an instance."""
    found = pynvml.nvmlDeviceGetMemoryInfo(gpu)
    return {"memory_used_bytes": float(found.used), "memory_total_bytes": float(found.total)}


def _temperature(gpu: Handle) -> Values:
    celsius = pynvml.nvmlDeviceGetTemperature(gpu, pynvml.NVML_TEMPERATURE_GPU)
    return {"temperature_c": float(celsius)}


def _throttles(gpu: Handle) -> Values:
    try:
        mask = pynvml.nvmlDeviceGetCurrentClocksEventReasons(gpu)
    except pynvml.NVMLError_FunctionNotFound:
        mask = pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu)  # its name until driver 535
    return {metric: float(bool(mask & bits)) for metric, bits in _THROTTLES.items()}


def _remapped(gpu: Handle) -> Values:
    corrected, uncorrected, is_pending, is_failed = pynvml.nvmlDeviceGetRemappedRows(gpu)
    return {
        "remapped_rows_corrected": float(corrected),
        "remapped_rows_uncorrected": float(uncorrected),
        "remap_pending_ratio": float(is_pending),
        "remap_failed_ratio": float(is_failed),
    }


def _limit(gpu: Handle) -> Values:
    return {"power_limit_w": pynvml.nvmlDeviceGetEnforcedPowerLimit(gpu) / 1000}


def _mig(gpu: Handle) -> Values:
    return {"mig_ratio": float(pynvml.nvmlDeviceGetMigMode(gpu)[0])}


def _ecc(metric: str, kind: int, counter: int) -> _Reader:
    return lambda gpu: {metric: float(pynvml.nvmlDeviceGetTotalEccErrors(gpu, kind, counter))}


_EACH_POLL: Final[tuple[_Reader, ...]] = (
    *(_energy, _power, _use, memory, _temperature, _throttles),
)
_SELDOM: Final[tuple[_Reader, ...]] = (
    *(_remapped, _limit, _mig),
    *(_ecc(metric, *kinds) for metric, kinds in _ECC.items()),
)

METRICS: Final = (
    *("energy_wh", *_POWER_FIELDS.values(), "utilisation_ratio"),
    *("memory_used_bytes", "memory_total_bytes", "temperature_c", *_THROTTLES),
    *("remapped_rows_corrected", "remapped_rows_uncorrected", "remap_pending_ratio"),
    *("remap_failed_ratio", "power_limit_w", "mig_ratio", *_ECC),
    *("gpu_processes", "gpu_memory_used_bytes", "xid_error", "health_ratio"),
)
"""What a GPU, its instances and its processes may tell."""


def gpu_values(gpu: Handle, *, with_seldom: bool) -> dict[str, float]:
    """Return the fields that this card and driver have."""
    readers = (*_EACH_POLL, *_SELDOM) if with_seldom else _EACH_POLL
    found: dict[str, float] = {}
    for read in readers:
        found |= present(read, gpu)
    return found


def present(read: _Reader, gpu: Handle) -> Values:
    """Return what a reader gives, or nothing where card or driver do not have it."""
    try:
        return read(gpu)
    except pynvml.NVMLError as failure:
        if failure.value not in ABSENT:
            raise
        return {}


def processes(gpu: Handle) -> dict[int, float] | None:
    """Return the memory in bytes by process id; None where the driver does not tell them."""
    try:
        found = pynvml.nvmlDeviceGetComputeRunningProcesses(gpu)
    except pynvml.NVMLError as failure:
        if failure.value not in ABSENT:
            raise
        return None
    used: dict[int, float] = {}
    for each in found:
        # One process stands there once for each instance that it uses.
        used[each.pid] = used.get(each.pid, 0.0) + float(each.usedGpuMemory or 0)
    return used


def instances(gpu: Handle) -> Iterator[Handle]:
    """Return the instances (MIG) into which a GPU is cut."""
    try:
        if not pynvml.nvmlDeviceGetMigMode(gpu)[0]:
            return
        places = pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu)
    except pynvml.NVMLError as failure:
        if failure.value not in ABSENT:
            raise
        return
    for place in range(places):
        try:
            yield pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, place)
        except pynvml.NVMLError as failure:
            if failure.value not in ABSENT:
                raise


def text(read: Callable[[Handle], str | bytes], gpu: Handle) -> str:
    """Return a word about a GPU, or an empty text where it has none."""
    try:
        found = read(gpu)
    except pynvml.NVMLError as failure:
        if failure.value not in ABSENT:
            raise
        return ""
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else found
