"""BMCs for tests of IPMI: OpenIPMI's simulator with two sensors, and pyghmi's server with DCMI."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SIMULATOR: Final = shutil.which("ipmi_sim")
TOOL: Final = shutil.which("ipmitool")

_LAN = """name "bmc"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 {port}
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcdef
  endlan
  user 2 true "reader" "secret" user 10 none md2 md5 straight
"""
_DCMI = """
import sys
from pyghmi.ipmi import bmc

class Server(bmc.Bmc):
    def get_power_state(self):
        return "on"

    def handle_raw_request(self, request, session):
        if (request["netfn"], request["command"]) == (0x2C, 2):
            numbers = b"".join(n.to_bytes(2, "little") for n in (612, 200, 900, 587))
            session.send_ipmi_response(data=b"\\xdc" + numbers + bytes(8) + b"\\x40")
        else:
            super().handle_raw_request(request, session)

Server({"reader": "secret"}, port=int(sys.argv[1]), address="::ffff:127.0.0.1").listen(600)
"""


def free_udp_port() -> int:
    """Return a UDP port that nobody uses now."""
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _record(number: int, kind: int, unit: int, name: str, multiplier: int) -> str:
    """Return the command that adds a full sensor record (IPMI 2.0, table 43-1)."""
    body = bytes((0x20, 0, number, 7, 1, 0x7F, 0x68, kind, 1)) + bytes(7)
    body += bytes((unit, 0, 0, multiplier)) + bytes(5) + bytes(4)
    body += bytes((0xFF, 0)) + bytes(11) + bytes((0xC0 | len(name),)) + name.encode()
    record = bytes((number, 0, 0x51, 1, len(body))) + body
    return "main_sdr_add 0x20 " + " ".join(f"{byte:#04x}" for byte in record)


def _emulation() -> str:
    lines = ["mc_setbmc 0x20", "mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02"]
    quiet = " ".join(["0" * 15] * 4)
    rows = ((1, 1, 1, "Inlet Temp", 1, 24), (2, 11, 6, "Pwr, all", 4, 120))
    for number, kind, unit, name, multiplier, raw in rows:
        lines += [
            f"sensor_add 0x20 0 {number} {kind} 1",
            f"sensor_set_value 0x20 0 {number} {raw} 0",
            f"sensor_set_event_support 0x20 0 {number} enable scanning per-state {quiet}",
            _record(number, kind, unit, name, multiplier),
        ]
    return "\n".join([*lines, "mc_enable 0x20", ""])


@contextmanager
def ipmi_sim(folder: Path) -> Iterator[int]:
    """Run OpenIPMI's simulator with an inlet of 24 degrees and 480 W; yield its UDP port."""
    port = free_udp_port()
    (folder / "lan.conf").write_text(_LAN.format(port=port), encoding="utf-8")
    (folder / "bmc.emu").write_text(_emulation(), encoding="utf-8")
    (folder / "state").mkdir()
    assert SIMULATOR is not None
    files = ("-c", str(folder / "lan.conf"), "-f", str(folder / "bmc.emu"))
    with _running([SIMULATOR, *files, "-s", str(folder / "state"), "-n"], port):
        yield port


@contextmanager
def dcmi_bmc() -> Iterator[int]:
    """Run a BMC that measures 612 W by DCMI and has no sensors; yield its UDP port."""
    port = free_udp_port()
    with _running([sys.executable, "-W", "ignore", "-c", _DCMI, str(port)], port):
        yield port


@contextmanager
def _running(command: Sequence[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await_pong(port, process)
        yield
    finally:
        process.kill()
        process.wait(timeout=10)


def _await_pong(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the BMC answers a question about its authentication (IPMI 2.0, 22.13)."""
    question = bytes.fromhex("0600ff07000000000000000000092018c88100388e04b5")
    for _ in range(200):
        assert process.poll() is None, "the BMC ended before it answered"
        with socket.socket(type=socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.1)
            try:
                probe.connect(("127.0.0.1", port))
                probe.send(question)
                probe.recv(1024)
            except ConnectionRefusedError:
                try:
                    process.wait(timeout=0.05)
                except subprocess.TimeoutExpired:
                    continue
            except TimeoutError:
                continue
            else:
                return
    raise AssertionError(f"no BMC answers on port {port}")
