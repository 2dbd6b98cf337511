"""A day of a data centre with a known truth, and what its meters tell of it.

The truth is the power of every rack in every second. Meters count it with the steps of their
registers; polls are jittered, lost, cut off, doubled, told late or stamped by a wrong clock. A seed
makes each day anew.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from suanwang.model.reading import Reading

DAY_S: Final = 86_400
SPARE_S: Final = 3_600
"""Polls go on for an hour after the day, so that its last window has an end."""
BEGAN: Final = datetime(2026, 6, 1, tzinfo=UTC)
FACILITY: Final = "facility"
_J_PER_WH: Final = 3_600

Series = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meters:
    """How the meters of a day count and how they are polled.

    ``swap_at_s`` replaces every tenth rack's meter by one that starts at zero; ``ratio_at_s`` puts
    every tenth behind transformers of 1:5 that its register does not know of; ``reset_at_s`` sets
    every tenth register to zero, and ``modulus_wh`` lets all of them wrap.
    """

    resolution_wh: float = 1.0
    poll_s: float = 15.0
    jitter_s: float = 0.5
    loss: float = 0.01
    modulus_wh: int = 0
    swap_at_s: int | None = None
    ratio_at_s: int | None = None
    reset_at_s: int | None = None
    clock_behind_s: float = 0.0
    has_registers: bool = True
    has_power: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """The site is cut off from the centre; what it measured comes late, in any order, or never."""

    start_s: int
    end_s: int
    is_kept: bool


class Truth:
    """Power of each rack and of the whole site in every second, W."""

    def __init__(self, racks: int, seed: int, *, bursts: bool = False) -> None:
        rng = np.random.default_rng(seed)
        seconds = np.arange(DAY_S + SPARE_S, dtype=np.float64)
        base = rng.uniform(3_000, 9_000, size=racks)
        phase = rng.uniform(0, DAY_S, size=racks)
        self.racks: list[Series] = []
        for rack in range(racks):
            swing = 1 + 0.15 * np.sin(2 * np.pi * (seconds + phase[rack]) / DAY_S)
            noise = np.repeat(rng.normal(1, 0.05, size=len(seconds) // 60 + 1), 60)[: len(seconds)]
            load = base[rack] * swing * np.clip(noise, 0.7, 1.3)
            if bursts:
                load = load * np.where(seconds % 61 < 30.5, 1.25, 0.75)
            self.racks.append(load)
        it = np.sum(self.racks, axis=0)
        outdoor = 22 + 6 * np.sin(2 * np.pi * (seconds - 6 * 3_600) / DAY_S)
        cooling = it * (0.18 + 0.006 * (outdoor - 16))
        self.facility: Series = it * 1.06 + cooling + 0.02 * base.sum()
        self.it = it

    def pue(self, start_s: int, end_s: int) -> float:
        """Return the true PUE of a stretch of seconds."""
        return float(self.facility[start_s:end_s].sum() / self.it[start_s:end_s].sum())


def meter_name(rack: int) -> str:
    """Return the id of a rack's meter."""
    return f"rack-{rack:03d}"


def is_special(rack: int) -> bool:
    """Whether a rack's meter is one of those that are swapped, reset or put behind a ratio."""
    return rack % 10 == 0


def register(load: Series, meters: Meters, *, is_odd: bool) -> Series:
    """Return what a meter's register shows at the end of every second, Wh."""
    energy = np.concatenate(([0.0], np.cumsum(load)))[:-1] / _J_PER_WH
    shown = energy + 50_000.0
    if is_odd and meters.ratio_at_s is not None:
        seam = meters.ratio_at_s
        shown[seam:] = shown[seam] + (energy[seam:] - energy[seam]) / 5
    for at in (meters.swap_at_s, meters.reset_at_s):
        if is_odd and at is not None:
            shown[at:] = shown[at:] - shown[at]
    counts = np.floor(shown / meters.resolution_wh) * meters.resolution_wh
    return counts % meters.modulus_wh if meters.modulus_wh else counts


def readings(
    truth: Truth, meters: Meters, seed: int, outages: Sequence[Outage] = ()
) -> Iterator[list[Reading]]:
    """Yield what reaches the centre, ten minutes at a time; what is told late comes at the end."""
    rng = np.random.default_rng(seed + 1)
    late: list[Reading] = []
    parts: list[list[Reading]] = [[] for _ in range((DAY_S + SPARE_S) // 600)]
    loads = [(meter_name(rack), load, is_special(rack)) for rack, load in enumerate(truth.racks)]
    loads.append((FACILITY, truth.facility, False))
    for name, load, is_odd in loads:
        shown = register(load, meters, is_odd=is_odd)
        for second in _polls(meters, rng):
            outage = next((one for one in outages if one.start_s <= second < one.end_s), None)
            if outage is not None and not outage.is_kept:
                continue
            told = parts[int(second) // 600] if outage is None else late
            told += _told(name, load, shown, second, meters)
    yield from parts
    order = rng.permutation(len(late))
    for low in range(0, len(late), 5_000):
        yield [late[index] for index in order[low : low + 5_000]]


def _polls(meters: Meters, rng: np.random.Generator) -> Iterator[float]:
    phase = rng.uniform(0, meters.poll_s)
    count = int((DAY_S + SPARE_S - 1 - phase) // meters.poll_s)
    jitter = rng.uniform(-meters.jitter_s, meters.jitter_s, size=count)
    kept = rng.uniform(size=count) >= meters.loss
    for number in range(count):
        second = phase + number * meters.poll_s + jitter[number]
        if kept[number] and second >= 0:
            yield float(second)


def _told(
    name: str, load: Series, shown: Series, second: float, meters: Meters
) -> Iterator[Reading]:
    whole = int(second)
    behind = meters.clock_behind_s if name != FACILITY else 0.0
    at = BEGAN + timedelta(seconds=whole - behind)
    subject = f"meter:{name}"
    if meters.has_registers or name == FACILITY:
        yield Reading(subject=subject, metric="energy_wh", value=float(shown[whole]), at=at)
    if meters.has_power:
        yield Reading(subject=subject, metric="power_w", value=float(load[whole]), at=at)
