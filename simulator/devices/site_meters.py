"""The two power meters of a site on one machine, driven by the site's real load.

    python -m simulator.devices.site_meters --site near --it-port 15021 --facility-port 15022 \\
        --idle-w 2000 --busy-w-per-core 500 --cooling modern_wse_warmwater --it-design-w 8000 \\
        --wet-bulb-c 12 --pid-file near.pids

IT power is ``idle_w + busy_w_per_core x cores in use`` of the processes that belong to the site;
facility power is what the facility model makes of it at the given wet bulb. When both meters
answer, one line of JSON with their ports goes to standard output. The process ends on SIGTERM and
SIGINT, and when its parent is gone.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from collectors.profiles.modbus import ModbusProfile
from collectors.profiles.profile import load_profile_of
from simulator.devices.modbus_meter import MeterServer
from simulator.devices.process_load import ProcessLoad
from suanwang.clock import Clock, SystemClock
from suanwang.energy.catalogue import load_catalogue
from suanwang.model.site import CoolingKind

PROFILE: Final = "reference_meter"
_FIRST_IT_WH: Final = 1_234_567.0
_FIRST_FACILITY_WH: Final = 2_345_678.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteLoad:
    """Power of a site's IT: ``idle_w`` at rest, and more for each core in use."""

    idle_w: float
    busy_w_per_core: float

    def it_w(self, cores: float) -> float:
        """Return IT power, W, with so many cores in use."""
        return self.idle_w + self.busy_w_per_core * cores


class SiteMeters:
    """IT meter and facility meter; ``tick`` brings both to the site's present load."""

    def __init__(
        self,
        it: MeterServer,
        facility: MeterServer,
        load: SiteLoad,
        cores: Callable[[], float],
        facility_w: Callable[[float], float],
    ) -> None:
        self.it = it
        self.facility = facility
        self._load = load
        self._cores = cores
        self._facility_w = facility_w

    async def start(self) -> None:
        """Open both meters at the present load."""
        self.tick()
        await self.it.start()
        await self.facility.start()

    async def stop(self) -> None:
        """Close both meters."""
        await self.it.stop()
        await self.facility.stop()

    def tick(self) -> None:
        """Measure the load and set both powers."""
        it_w = self._load.it_w(self._cores())
        self.it.set_power_w(it_w)
        self.facility.set_power_w(self._facility_w(it_w))


async def run(
    meters: SiteMeters, clock: Clock, stop: asyncio.Event, *, tick_s: float, parent_pid: int
) -> None:
    """Keep both meters at the site's load until ``stop`` is set or the parent process is gone."""
    stopping = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set() and os.getppid() == parent_pid:
            pause = asyncio.create_task(clock.wait(tick_s))
            await asyncio.wait({pause, stopping}, return_when=asyncio.FIRST_COMPLETED)
            pause.cancel()
            meters.tick()
    finally:
        stopping.cancel()


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m simulator.devices.site_meters",
        description="Two power meters on Modbus TCP that follow the real load of a site.",
    )
    parser.add_argument("--site", required=True, help="name of the site, for the ready line")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--it-port", type=int, default=0, help="port of the IT meter, 0: any")
    parser.add_argument("--facility-port", type=int, default=0, help="port of the facility meter")
    parser.add_argument("--idle-w", type=float, required=True, help="IT power at rest, W")
    parser.add_argument("--busy-w-per-core", type=float, required=True, help="W for a core in use")
    parser.add_argument(
        "--cooling",
        type=CoolingKind,
        choices=list(CoolingKind),
        default=CoolingKind.MODERN_WSE_WARMWATER,
        help="cooling kind of the facility model",
    )
    parser.add_argument("--it-design-w", type=float, required=True, help="design IT power, W")
    parser.add_argument("--wet-bulb-c", type=float, default=15.0, help="wet bulb outside, °C")
    parser.add_argument("--pid-file", type=Path, help="file with the roots of the site's processes")
    parser.add_argument("--marker", default="", help="NAME=VALUE in the environment of processes")
    parser.add_argument("--profile", default=PROFILE, help="profile of both meters")
    parser.add_argument(
        "--tick-s", type=float, default=1.0, help="seconds between two measurements"
    )
    parser.add_argument("--parent-pid", type=int, default=os.getppid(), help="ends with this one")
    return parser.parse_args(arguments)


def build(options: argparse.Namespace, clock: Clock) -> SiteMeters:
    """Return the meters that the options describe."""
    profile = load_profile_of(ModbusProfile, options.profile)
    model = load_catalogue().facility(options.cooling, options.it_design_w)
    load = ProcessLoad(clock, pid_file=options.pid_file, marker=options.marker)
    load.cores()  # from here on the load is measured
    return SiteMeters(
        MeterServer(profile, options.host, options.it_port, clock=clock, first_wh=_FIRST_IT_WH),
        MeterServer(
            profile, options.host, options.facility_port, clock=clock, first_wh=_FIRST_FACILITY_WH
        ),
        SiteLoad(idle_w=options.idle_w, busy_w_per_core=options.busy_w_per_core),
        load.cores,
        lambda it_w: model.facility_w(it_w, options.wet_bulb_c),
    )


async def serve(options: argparse.Namespace) -> None:
    """Run the site's meters until a signal or the parent's end."""
    clock = SystemClock()
    meters = build(options, clock)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await meters.start()
    try:
        ready = {
            "site": options.site,
            "it_port": meters.it.port,
            "facility_port": meters.facility.port,
        }
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        await run(meters, clock, stop, tick_s=options.tick_s, parent_pid=options.parent_pid)
    finally:
        await meters.stop()


def main() -> None:
    """Run from the command line."""
    options = parse(sys.argv[1:])
    try:
        asyncio.run(serve(options))
    except OSError as failure:
        sys.exit(str(failure))


if __name__ == "__main__":
    main()
