"""Energy of processors by the counters of RAPL, where the kernel lets them be read.

A counter holds micro-joules and wraps after minutes under load, so what is told is our own sum
since the first poll. The kernel shows the files to root alone; where they cannot be read, there
are none.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from collectors.json_values import plain_number

POWERCAP: Final = Path("/sys/class/powercap")
_UJ_PER_WH: Final = 3_600_000_000
_W_MAX: Final = 2_000.0
"""No package draws more: a jump beyond was a counter that was lost, and is not counted."""


@dataclass(frozen=True, slots=True)
class _Seen:
    microjoules: int
    at_s: float
    total_uj: int


class Rapl:
    """Sums the energy of the packages (``intel-rapl:0`` …), not of the domains inside them."""

    def __init__(self, root: Path = POWERCAP) -> None:
        self._root = root
        self._seen: dict[str, _Seen] = {}

    def energy_wh(self, now_s: float) -> dict[str, float]:
        """Return the energy since the first call by package, Wh; ``now_s`` never runs back."""
        found: dict[str, float] = {}
        for zone in sorted(self._root.glob("intel-rapl:*")):
            if zone.name.count(":") != 1:
                continue  # a domain inside a package, such as intel-rapl:0:1
            counts, wraps_at = _number(zone / "energy_uj"), _number(zone / "max_energy_range_uj")
            if counts is None or not wraps_at:
                continue
            total = self._advance(zone.name, counts, wraps_at, now_s)
            name = _text(zone / "name") or zone.name
            # Two sockets are package-0 and package-1; psys is the whole board.
            found[name] = total / _UJ_PER_WH
        return found

    def _advance(self, zone: str, counts: int, wraps_at: int, now_s: float) -> int:
        before = self._seen.get(zone)
        if before is None:
            total = 0
        else:
            gone = (counts - before.microjoules) % wraps_at
            is_possible = gone <= _W_MAX * 1e6 * max(now_s - before.at_s, 1.0)
            total = before.total_uj + (gone if is_possible else 0)
        self._seen[zone] = _Seen(counts, now_s, total)
        return total


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""  # the kernel keeps it from us: there is no such counter then


def _number(file: Path) -> int | None:
    value = plain_number(_text(file))
    return None if value is None or value < 0 else int(value)
