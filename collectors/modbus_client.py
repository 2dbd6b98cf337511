"""The one place that touches pymodbus' client, whose API changes between minor versions."""

from dataclasses import dataclass
from typing import Final, Literal

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException

from collectors.sources.port import SourceError

EXCEPTIONS: Final = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge",
    6: "device busy",
    7: "negative acknowledge",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target failed to respond",
}


@dataclass(frozen=True, slots=True)
class Identification:
    """What a device calls itself; empty where it says nothing."""

    vendor: str = ""
    product: str = ""


class ModbusFailure(SourceError):
    """A Modbus request failed; ``exception_code`` is the device's word, 0 if it was silent."""

    def __init__(
        self, message: str, *, target: str, exception_code: int = 0, next_step: str = ""
    ) -> None:
        super().__init__(message, next_step=next_step, target=target, exception_code=exception_code)
        self.exception_code = exception_code


class ModbusClient:
    """Reads registers of one unit behind one TCP address; connects when it has to.

    ``timeout_s`` is for connecting and for each single request. After a silence or a broken
    connection the socket is dropped, so that a late answer is never taken for the next one.
    """

    def __init__(self, host: str, port: int, *, unit: int, timeout_s: float) -> None:
        self._host = host
        self._port = port
        self._unit = unit
        self._timeout_s = timeout_s
        self._client: AsyncModbusTcpClient | None = None

    @property
    def target(self) -> str:
        """What is read, for messages."""
        return f"{self._host}:{self._port} unit {self._unit}"

    async def read(
        self, address: int, count: int, function: Literal["holding", "input"]
    ) -> tuple[int, ...]:
        """Return ``count`` registers from ``address`` on; raise ModbusFailure."""
        client = await self._connected()
        try:
            if function == "holding":
                answer = await client.read_holding_registers(
                    address, count=count, device_id=self._unit
                )
            else:
                answer = await client.read_input_registers(
                    address, count=count, device_id=self._unit
                )
        except (ModbusException, OSError) as failure:
            self.close()
            raise ModbusFailure(
                f"{self.target} did not answer for {function} registers {address} to "
                f"{address + count - 1} within {self._timeout_s:g} s",
                target=self.target,
            ) from failure
        except BaseException:
            self.close()  # cancelled in the middle: an answer may still be on its way
            raise
        if answer.isError():
            code = answer.exception_code
            raise ModbusFailure(
                f"{self.target} refused {function} registers {address} to {address + count - 1}: "
                f"{EXCEPTIONS.get(code, 'unknown exception')} (exception {code})",
                exception_code=code,
                target=self.target,
            )
        if len(answer.registers) != count:
            raise ModbusFailure(
                f"{self.target} sent {len(answer.registers)} registers instead of {count}",
                target=self.target,
            )
        return tuple(answer.registers)

    async def identify(self) -> Identification:
        """Return what the device calls itself; most meters do not know the question."""
        client = await self._connected()
        try:
            answer = await client.read_device_information(device_id=self._unit)
        except (ModbusException, OSError):
            self.close()
            return Identification()
        except BaseException:
            self.close()
            raise
        if answer.isError():
            return Identification()
        words = {
            number: bytes(raw).decode("utf-8", errors="replace")
            for number, raw in getattr(answer, "information", {}).items()
            if isinstance(raw, bytes)
        }
        return Identification(words.get(0, ""), words.get(1, ""))

    async def _connected(self) -> AsyncModbusTcpClient:
        if self._client and self._client.connected:
            return self._client
        self.close()
        client = AsyncModbusTcpClient(
            self._host,
            port=self._port,
            timeout=self._timeout_s,
            retries=0,
            reconnect_delay=0,
            reconnect_delay_max=0,
        )
        self._client = client
        try:
            is_connected = await client.connect()
        except BaseException:
            self.close()
            raise
        if not is_connected:
            self.close()
            raise ModbusFailure(
                f"{self.target} takes no connection within {self._timeout_s:g} s",
                next_step="check address, cable and whether another master holds the line",
                target=self.target,
            )
        return client

    def close(self) -> None:
        """Drop the connection."""
        client, self._client = self._client, None
        if client:
            client.close()
