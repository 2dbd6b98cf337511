"""A device on SNMP, read by its profile."""

from collections.abc import Sequence
from typing import Final

from collectors.phases import share_of
from collectors.profiles.snmp import SnmpProfile
from collectors.snmp.ber import Value
from collectors.snmp.client import SnmpFailure, SnmpReader
from collectors.sources.derive import derived_readings
from collectors.sources.port import Pace
from collectors.sources.snmp_plan import (
    Nonsense,
    Plan,
    columns,
    lost_rows,
    measured,
    plan_for,
    single_conditions,
)
from suanwang.clock import Clock
from suanwang.model.reading import Reading

WALK_AGAIN_S: Final = 900.0
"""Tables are walked again after so many seconds, to find rows that are new: on average, since each
device has its own share of half to one and a half of it, lest all are walked at once again."""


class SnmpSource:
    """One device; subjects and metrics are the profile's.

    A required point that is missing or garbage takes the source down, another one is left out. A
    row that went away makes the next poll walk the tables again.
    """

    def __init__(
        self,
        clock: Clock,
        reader: SnmpReader,
        profile: SnmpProfile,
        pace: Pace,
        *,
        device_id: str,
        unit: int = 1,
    ) -> None:
        self.name = pace.name
        self.interval_s = pace.interval_s
        self.timeout_s = pace.timeout_s
        self._clock = clock
        self._reader = reader
        self._profile = profile
        self._device_id = device_id
        self._unit = unit
        self._plan: Plan | None = None
        self._walked_at = 0.0
        self._walk_again_s = WALK_AGAIN_S * (0.5 + share_of(pace.name, 0))

    async def collect(self) -> Sequence[Reading]:
        """Return the device's quantities at the moment at which the last one was answered."""
        try:
            plan = await self._current_plan()
            values = await self._reader.get(plan.oids)
            if lost_rows(plan, values):
                self._plan = None
            readings = measured(plan, values, self._profile, self._device_id, self._clock.now())
        except Nonsense as failure:
            self._plan = None
            target = self._reader.target
            raise SnmpFailure(
                f"{target} {failure}",
                next_step=f"see what fits: suanwang collect probe snmp://{target}",
                target=target,
            ) from failure
        device = self._profile.subject(self._device_id)
        return (*readings.values(), *derived_readings(self._profile.derived, readings, device))

    async def close(self) -> None:
        """Let go of the device."""
        self._reader.close()

    async def _current_plan(self) -> Plan:
        now_s = self._clock.monotonic()
        if self._plan is None or now_s - self._walked_at >= self._walk_again_s:
            tables = {
                column: await self._reader.walk(column)
                for column in columns(self._profile, self._unit)
            }
            wanted = single_conditions(self._profile, self._unit)
            singles: dict[str, Value] = dict(await self._reader.get(wanted)) if wanted else {}
            self._plan = plan_for(self._profile, self._unit, tables, singles)
            self._walked_at = now_s
        return self._plan
