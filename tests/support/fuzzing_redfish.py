"""Damaged BMCs for the fuzzer: the whole look-through and poll, not only single documents.

A case is a JSON object of documents by path. What is not in it, the BMC does not know.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, cast

from redfish_parts import OLD_SERVER, RACK_PDU, ROOT, SERVER, SUPPLIES, Tree

from collectors.json_values import parse_json
from collectors.redfish_client import RedfishClient, RedfishFailure
from collectors.redfish_memory import Known, PlanMemory
from collectors.redfish_plan import Read, Shape
from collectors.redfish_readings import READERS
from collectors.sources.port import Pace
from collectors.sources.redfish import RedfishSource, Wants
from suanwang.clock import VirtualClock

_AT: Final = datetime(2026, 11, 20, tzinfo=UTC)
_PACE: Final = Pace(name="bmc", interval_s=60.0, timeout_s=55.0)
_GROUPS: Final = frozenset({"power", "temperature", "health", "sensors"})
_KEY: Final = "a BMC"


class _Bmc:
    """A client without a wire: hands out the documents of one case."""

    url = "https://bmc"

    def __init__(self, documents: Mapping[str, object]) -> None:
        self._documents = documents

    def hold(self) -> None:
        """Count nobody."""

    async def get(self, path: str, *, is_kept: bool = True) -> object:
        """Return a document; an expanded one is what stands under its whole path."""
        assert is_kept in (True, False)
        if path not in self._documents:
            raise RedfishFailure(f"{path} is not known", url=self.url, http_status=404)
        return self._documents[path]

    async def release(self) -> None:
        """Nothing is open."""


def look_through(raw: bytes) -> Iterator[float]:
    """Look through a BMC and poll it twice, as a probe and the agent do."""
    documents = parse_json(raw)
    if not isinstance(documents, dict):
        raise ValueError("a case is an object")
    source = RedfishSource(
        VirtualClock(_AT),
        cast("RedfishClient", _Bmc(documents)),
        Wants(host="h", groups=_GROUPS),
        _PACE,
    )
    for _ in range(2):
        for reading in asyncio.run(_collected(source)):
            assert reading.subject.partition(":")[2]
            assert reading.at.tzinfo is not None
            yield reading.value


async def _collected(source: RedfishSource) -> Any:
    return await source.collect()


def remember(raw: bytes) -> Iterator[float]:
    """Read what was kept of a BMC; anything damaged is passed over, and never raised."""
    with TemporaryDirectory() as folder:
        memory = PlanMemory(Path(folder))
        memory.save(_KEY, Known(reads=_READS, at=_AT))
        (file,) = Path(folder).iterdir()
        file.write_bytes(raw)
        known = memory.load(_KEY)
    if known is not None:
        assert known.reads
        assert all(read.path.startswith("/redfish/") and read.subject for read in known.reads)
        assert known.at.tzinfo is not None
    yield 0.0


_READS: Final = (
    Read(
        path=f"{ROOT}/Chassis/1?$expand=.($levels=2)",
        subject="host:h",
        take=READERS["environment"],
        inside="/EnvironmentMetrics",
    ),
    Read(path=f"{ROOT}/Chassis/1/Power", subject="host:h", take=READERS["power"]),
    Read(
        path=f"{ROOT}/Chassis/1/Sensors",
        subject="sensor:h",
        take=READERS["sensor"],
        shape=Shape.MEMBERS,
    ),
)


def _documents(tree: Tree) -> bytes:
    """Return a tree as a case, with its root where a client asks for it."""
    documents: dict[str, object] = {
        ROOT + (path or "/"): {"@odata.id": ROOT + path, **document}
        for path, document in tree.items()
    }
    return json.dumps(documents).encode()


def _expanding() -> bytes:
    documents = json.loads(_documents(SERVER))
    chassis = dict(documents[f"{ROOT}/Chassis/1"])
    for name in ("EnvironmentMetrics", "ThermalSubsystem"):
        chassis[name] = documents[chassis[name]["@odata.id"]]
    metrics = chassis["ThermalSubsystem"]["ThermalMetrics"]["@odata.id"]
    chassis["ThermalSubsystem"] = {
        **chassis["ThermalSubsystem"],
        "ThermalMetrics": documents[metrics],
    }
    documents[f"{ROOT}/Chassis/1?$expand=.($levels=2)"] = chassis
    sensors = documents[f"{ROOT}/Chassis/1/Sensors"]
    members = [documents[each["@odata.id"]] for each in sensors["Members"]]
    documents[f"{ROOT}/Chassis/1/Sensors?$expand=.($levels=1)"] = {"Members": members}
    return json.dumps(documents).encode()


def trees() -> tuple[bytes, ...]:
    """Return whole BMCs: of today, expanding, older, with supplies only, and a rack PDU."""
    return (
        _documents(SERVER),
        _expanding(),
        _documents(OLD_SERVER),
        _documents(SUPPLIES),
        _documents(RACK_PDU),
    )


def kept() -> tuple[bytes, ...]:
    """Return what is kept of a BMC, as it lies on disk."""
    with TemporaryDirectory() as folder:
        PlanMemory(Path(folder)).save(_KEY, Known(reads=_READS, at=_AT))
        (file,) = Path(folder).iterdir()
        return (file.read_bytes(),)
