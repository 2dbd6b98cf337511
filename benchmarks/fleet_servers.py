"""Devices on loopback for the fleet of the ``collectors`` benchmark; run as a process of its own.

Each server listens on all addresses of one port, so that every target has an address of its own in
127.0.0.0/8, as devices have. Prints a line when it listens.
"""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

GPUS: Final = 8
_NAMES: Final = (
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
    "DCGM_FI_DEV_POWER_USAGE",
    "DCGM_FI_DEV_GPU_UTIL",
    "DCGM_FI_DEV_FB_USED",
    "DCGM_FI_DEV_GPU_TEMP",
    "DCGM_FI_DEV_XID_ERRORS",
    *(f"DCGM_FI_DEV_OTHER_{n}" for n in range(14)),
)
EXPANDING: Final = 2
"""Of so many BMCs one can expand: its number, the last byte of its address, is a multiple of it."""
_CHASSIS: Final = "/redfish/v1/Chassis/1"
_ENVIRONMENT: Final = f"{_CHASSIS}/EnvironmentMetrics"
_THERMAL: Final = f"{_CHASSIS}/ThermalSubsystem"
_ROOT: Final[Mapping[str, object]] = {"Chassis": {"@odata.id": "/redfish/v1/Chassis"}}
TREE: Final[Mapping[str, Mapping[str, object]]] = {
    "/redfish/v1/": _ROOT,
    "/redfish/v1/Chassis": {"Members": [{"@odata.id": _CHASSIS}]},
    _CHASSIS: {
        "Id": "1",
        "Status": {"State": "Enabled", "Health": "OK"},
        "EnvironmentMetrics": {"@odata.id": _ENVIRONMENT},
        "ThermalSubsystem": {"@odata.id": _THERMAL},
    },
    _ENVIRONMENT: {"PowerWatts": {"Reading": 6021.5}, "EnergykWh": {"Reading": 1234.567}},
    _THERMAL: {"ThermalMetrics": {"@odata.id": f"{_THERMAL}/ThermalMetrics"}},
    f"{_THERMAL}/ThermalMetrics": {"TemperatureSummaryCelsius": {"Intake": {"Reading": 23.5}}},
}
"""A BMC that answers one resource a request."""


def _whole(path: str) -> dict[str, object]:
    return {"@odata.id": path, **TREE[path]}


EXPANDED: Final[Mapping[str, Mapping[str, object]]] = {
    **TREE,
    "/redfish/v1/": {
        **_ROOT,
        "ProtocolFeaturesSupported": {
            "ExpandQuery": {"NoLinks": True, "Levels": True, "MaxLevels": 2}
        },
    },
    f"{_CHASSIS}?$expand=.($levels=2)": {
        **_whole(_CHASSIS),
        "EnvironmentMetrics": _whole(_ENVIRONMENT),
        "ThermalSubsystem": {
            **_whole(_THERMAL),
            "ThermalMetrics": _whole(f"{_THERMAL}/ThermalMetrics"),
        },
    },
}
"""A BMC that can hand out a chassis with what is below it."""


def dcgm_text() -> str:
    """Return what an exporter on a machine of eight GPUs says: 160 samples."""
    return "".join(
        f'{name}{{gpu="{gpu}",UUID="GPU-{gpu}",modelName="NVIDIA H200",Hostname="n1"}} {n + gpu}\n'
        for n, name in enumerate(_NAMES)
        for gpu in range(GPUS)
    )


_NOTHING: Final = b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"


class _Http(asyncio.Protocol):
    """Answers GETs from a table, made before, and keeps the connection."""

    def __init__(self, tables: Sequence[Mapping[bytes, bytes]]) -> None:
        self._tables = tables
        self._answers = tables[0]
        self._transport: asyncio.Transport | None = None
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        own, _ = transport.get_extra_info("sockname")
        self._answers = self._tables[int(own.rpartition(".")[2]) % EXPANDING == 0]

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        *requests, self._rest = (self._rest + data).split(b"\r\n\r\n")
        for request in requests:
            answer = self._answers.get(request.split(b" ", 2)[1], _NOTHING)
            assert self._transport is not None
            self._transport.write(answer)


def _answers(tree: Mapping[str, object]) -> dict[bytes, bytes]:
    bodies = {"/metrics": dcgm_text()} | {path: json.dumps(each) for path, each in tree.items()}
    return {
        path.encode(): f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        for path, body in bodies.items()
    }


async def _serve_http(port: int) -> None:
    tables = (_answers(TREE), _answers(EXPANDED))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Http(tables), "0.0.0.0", port, backlog=4_096)  # noqa: S104 - loopback needs all its addresses
    print("listening", flush=True)
    await server.serve_forever()


async def _serve_modbus(port: int) -> None:
    registers = SimData(3_000, values=1, count=300, datatype=DataType.REGISTERS)
    server = ModbusTcpServer(SimDevice(id=1, simdata=[registers]), address=("0.0.0.0", port))  # noqa: S104 - likewise
    print("listening", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    _serve = {"http": _serve_http, "modbus": _serve_modbus}[sys.argv[1]]
    asyncio.run(_serve(int(sys.argv[2])))
