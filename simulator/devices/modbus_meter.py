"""A power meter on Modbus TCP: a real server that answers by a meter's profile.

Its registers are computed at the moment of each request from a power that is set and a clock, so a
client sees a counter that never stands still between two polls.
"""

import asyncio
import socket
from enum import StrEnum
from typing import Final

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from collectors.profiles.modbus import ModbusProfile
from suanwang.clock import Clock

_VOLTAGE_V: Final = 230.0
_FREQUENCY_HZ: Final = 50.0
_PHASES: Final = 3


class Fault(StrEnum):
    """What can be wrong with a meter: it says that it is busy, or says nothing."""

    NONE = "none"
    BUSY = "busy"
    SILENT = "silent"


class MeterServer:
    """One meter. ``port`` 0 takes a free port, which ``port`` tells after ``start``.

    ``first_wh`` is what the register showed before. The register wraps where the profile says. Use
    ``start`` and ``stop``, or ``async with``.
    """

    def __init__(
        self,
        profile: ModbusProfile,
        host: str,
        port: int,
        *,
        clock: Clock,
        first_wh: float = 0.0,
        unit: int = 1,
    ) -> None:
        self._profile = profile
        self._host = host
        self._port = port
        self._clock = clock
        self._unit = unit
        self._power_w = 0.0
        self._energy_wh = first_wh
        self._counted_at = clock.monotonic()
        self._server: ModbusTcpServer | None = None
        self.fault = Fault.NONE
        self.requests = 0
        """How many were heard, answered or not."""
        self.shown: dict[str, float] = {}
        """What points show instead of what the meter counts, by key, in the metric's unit."""

    @property
    def port(self) -> int:
        """The port that the meter listens on."""
        return self._port

    @property
    def energy_wh(self) -> float:
        """What the meter has counted up to now, Wh, without any wrap."""
        self._count()
        return self._energy_wh

    @property
    def power_w(self) -> float:
        """The power that is set, W."""
        return self._power_w

    def set_power_w(self, power_w: float) -> None:
        """Count what flowed so far and go on at another power."""
        self._count()
        self._power_w = power_w

    def set_energy_wh(self, energy_wh: float) -> None:
        """Put the register to a value, as a reset or an exchange of the meter does."""
        self._count()
        self._energy_wh = energy_wh

    async def start(self) -> None:
        """Begin to listen; raises OSError where the port is taken."""
        if self._port == 0:
            self._port = _free_port(self._host)
        simdata = [
            SimData(spec.address, values=[0] * spec.words, datatype=DataType.REGISTERS)
            for spec in self._profile.points.values()
        ]
        simdata.sort(key=lambda each: each.address)
        device = SimDevice(id=self._unit, simdata=simdata, action=self._answer)
        self._server = ModbusTcpServer(device, address=(self._host, self._port))
        try:
            await self._server.serve_forever(background=True)
        except RuntimeError as failure:
            self._server = None
            raise OSError(f"meter cannot listen on {self._host}:{self._port}") from failure

    async def stop(self) -> None:
        """Drop every connection and stop listening; may be called twice."""
        server, self._server = self._server, None
        if server:
            await server.shutdown()  # type: ignore[no-untyped-call]  # pymodbus has no types here
            await asyncio.sleep(0)  # lets the transports say goodbye

    async def __aenter__(self) -> "MeterServer":
        """Start."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self.stop()

    def _count(self) -> None:
        now = self._clock.monotonic()
        self._energy_wh += self._power_w * (now - self._counted_at) / 3600
        self._counted_at = now

    async def _answer(
        self,
        function_code: int,
        start_address: int,
        address: int,
        count: int,
        current_registers: list[int],
        set_values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """Bring the registers up to date for a request; pymodbus calls this."""
        del function_code, address, count
        self.requests += 1
        if self.fault is Fault.SILENT:
            await asyncio.Event().wait()
        if self.fault is Fault.BUSY or set_values is not None:
            return ExcCodes.DEVICE_BUSY if set_values is None else ExcCodes.ILLEGAL_FUNCTION
        self._count()
        for metric, spec in self._profile.points.items():
            place = spec.address - start_address
            current_registers[place : place + spec.words] = self._words(metric)
        return None

    def _words(self, metric: str) -> tuple[int, ...]:
        spec = self._profile.points[metric]
        count = self._value(metric) / self._profile.factor(metric, 1.0, 1.0)
        if spec.type.startswith("float"):
            return self._profile.encode(metric, count)
        # A meter counts whole steps only; what it measures it shows to the nearest one.
        whole = int(count) if metric == "energy_wh" else round(count)
        if metric == "energy_wh":
            whole %= self._profile.modulus_counts(metric)
        return self._profile.encode(metric, whole)

    def _value(self, metric: str) -> float:
        """Return a quantity in the unit of its name; phases share the load equally."""
        if metric in self.shown:
            return self.shown[metric]
        if metric == "energy_wh":
            return self._energy_wh
        if metric == "power_w":
            return self._power_w
        if metric.startswith("power_l"):
            return self._power_w / _PHASES
        if metric.startswith("voltage_"):
            return _VOLTAGE_V
        if metric.startswith("current_"):
            return self._power_w / _PHASES / _VOLTAGE_V
        return _FREQUENCY_HZ if metric == "frequency_hz" else 0.0


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
