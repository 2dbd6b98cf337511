"""Energy that accelerators burn while they do nothing.

From readings of a GPU: the time between two neighbouring ones is idle where it is unused at both
and drew no more on the way than an idle one may, so that a burst between two polls is not called
idle. Whether a process holds a context is told apart: it costs about 44 W on an H200, and ends with
the process. Where nobody reads GPUs, the record of attempts and the registered idle power give an
estimate.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from collectors.kpis.figure import WH_PER_KWH, Known, Kpi, KpiFigure, told, withheld
from suanwang.model.reading import Quality, worst

GAP_MS: Final = 5 * 60_000
"""Readings further apart say nothing about what lies between them."""
IDLE_W_MAX: Final = 200.0
"""Most that one idle accelerator draws: 177 W were seen on a module of two dies."""
BUSY_RATIO: Final = 0.01
"""A utilisation up to this is none: the counter has steps of a hundredth."""
_MS_PER_H: Final = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuMoment:
    """A GPU at one moment: register, utilisation, and its processes where they are read."""

    at_ms: int
    energy_wh: float
    utilisation: float
    processes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuIdle:
    """Energy of a GPU in Wh by what it did; ``unclear_wh``: idle, processes were not read."""

    empty_wh: float = 0.0
    waiting_wh: float = 0.0
    unclear_wh: float = 0.0
    busy_wh: float = 0.0
    known_ms: int = 0
    idle_ms: int = 0

    @property
    def idle_wh(self) -> float:
        """All energy of idle time."""
        return self.empty_wh + self.waiting_wh + self.unclear_wh


def gpu_idle(moments: Sequence[GpuMoment], idle_w_max: float = IDLE_W_MAX) -> GpuIdle:
    """Return what a GPU burnt busy and idle; moments are in order of time.

    A register that fell (the driver was loaded anew) makes its interval unknown.
    """
    wh = {"empty": 0.0, "waiting": 0.0, "unclear": 0.0, "busy": 0.0}
    known_ms = idle_ms = 0
    for first, last in itertools.pairwise(moments):
        length_ms = last.at_ms - first.at_ms
        energy_wh = last.energy_wh - first.energy_wh
        if not 0 < length_ms <= GAP_MS or energy_wh < 0:
            continue
        known_ms += length_ms
        is_unused = max(first.utilisation, last.utilisation) <= BUSY_RATIO
        if is_unused and energy_wh * _MS_PER_H <= idle_w_max * length_ms:
            idle_ms += length_ms
            wh[_idle_kind(first, last)] += energy_wh
        else:
            wh["busy"] += energy_wh
    return GpuIdle(
        empty_wh=wh["empty"],
        waiting_wh=wh["waiting"],
        unclear_wh=wh["unclear"],
        busy_wh=wh["busy"],
        known_ms=known_ms,
        idle_ms=idle_ms,
    )


def _idle_kind(first: GpuMoment, last: GpuMoment) -> str:
    if first.processes is None or last.processes is None:
        return "unclear"
    return "waiting" if first.processes and last.processes else "empty"


def idle_energy(known: Known, gpus: Sequence[GpuIdle]) -> KpiFigure:
    """Return the idle energy of all GPUs that were read; coverage is that of their time."""
    length_ms = (known.end - known.start).total_seconds() * 1000 * len(gpus)
    basis = "registers and utilisation of GPUs"
    if not gpus or not any(gpu.known_ms for gpu in gpus):
        return withheld(Kpi.IDLE_ENERGY, known, "no GPU was read in the period", basis=basis)
    here = Known(
        start=known.start,
        end=known.end,
        coverage=min(1.0, sum(gpu.known_ms for gpu in gpus) / length_ms),
        quality=known.quality,
    )
    return told(
        Kpi.IDLE_ENERGY,
        here,
        sum(gpu.idle_wh for gpu in gpus) / WH_PER_KWH,
        basis=basis,
        parts={
            "empty_kwh": sum(gpu.empty_wh for gpu in gpus) / WH_PER_KWH,
            "waiting_kwh": sum(gpu.waiting_wh for gpu in gpus) / WH_PER_KWH,
            "unclear_kwh": sum(gpu.unclear_wh for gpu in gpus) / WH_PER_KWH,
            "busy_kwh": sum(gpu.busy_wh for gpu in gpus) / WH_PER_KWH,
            "idle_hours": sum(gpu.idle_ms for gpu in gpus) / _MS_PER_H,
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolUse:
    """Units of a pool that are awake, unit-hours that attempts occupied, and idle power of one."""

    units_awake: int
    occupied_unit_h: float
    idle_w: float


def idle_energy_by_record(known: Known, pools: Sequence[PoolUse]) -> KpiFigure:
    """Return the idle energy by the record of attempts and the registered idle power."""
    hours = (known.end - known.start).total_seconds() / 3600
    here = Known(
        start=known.start,
        end=known.end,
        coverage=known.coverage,
        quality=worst(known.quality, Quality.ESTIMATED),
    )
    idle_h = [max(0.0, pool.units_awake * hours - pool.occupied_unit_h) for pool in pools]
    idle_wh = sum(pool.idle_w * unit_h for pool, unit_h in zip(pools, idle_h, strict=True))
    return told(
        Kpi.IDLE_ENERGY,
        here,
        idle_wh / WH_PER_KWH,
        basis="record of attempts x registered idle power",
        parts={
            "idle_unit_h": sum(idle_h),
            "occupied_unit_h": sum(pool.occupied_unit_h for pool in pools),
        },
    )
