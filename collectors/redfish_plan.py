"""Finds out which few resources of a BMC hold the numbers that are wanted.

Where a BMC can expand, the numbers of a chassis come in one answer instead of one for each of its
resources; it is tried once whether that holds them all, and takes the BMC no longer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Protocol

from collectors import redfish_readings as rf
from collectors.json_values import at_pointer, number
from collectors.sources.port import SourceError
from suanwang.clock import Clock

ROOT: Final = "/redfish/v1/"
RESOURCES_MAX: Final = 500
"""Most chassis and power distributors that are looked for behind one address."""
PAGES_MAX: Final = 50
"""Most pages of one collection."""
LEVELS: Final = 2
"""How far a chassis is expanded: to its thermal subsystem, and to the metrics of that."""
EXPAND_S_FREE: Final = 0.5
EXPAND_SHARE_MAX: Final = 1.25
"""An expanded answer may take half a second, or so much of the time of what it stands for."""
GROUPS: Final = ("power", "temperature", "health", "sensors")
"""What may be read of a resource."""


class Shape(StrEnum):
    """How the numbers of a read belong together."""

    ONE = "one"
    """A resource with numbers of the subject; the first to tell a metric counts."""
    SUMMED = "summed"
    """One of several parts whose numbers are added up; where one is missing there is no sum."""
    MEMBERS = "members"
    """A collection with its members in it; each member is a subject of its own."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A chassis, a power distributor or a system, and the subject that its readings get."""

    path: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One resource that a poll asks for, and what makes numbers of it.

    ``inside`` is where the numbers are in an expanded answer: a JSON pointer, empty for all of it.
    """

    path: str
    subject: str
    take: rf.Reader
    shape: Shape = Shape.ONE
    inside: str = ""

    def values(self, document: object) -> rf.Values:
        """Return what the answer to the path says."""
        return self.take(at_pointer(document, self.inside) if self.inside else document)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A resource as it was while looking through the tree, and how long it took."""

    document: object
    took_s: float


class Reads(Protocol):
    """What the planner needs of a client."""

    async def get(self, path: str) -> object:
        """Return a resource."""


class Planner:
    """Looks through a BMC's tree once; raises what the client raises, and SourceError."""

    def __init__(self, client: Reads, groups: frozenset[str], clock: Clock) -> None:
        self._client = client
        self._groups = groups
        self._clock = clock
        self._expands = False
        self._levels = 0
        self._seen: dict[str, _Seen] = {}

    async def plan(self, host: str, resources: Sequence[Resource]) -> tuple[Read, ...]:
        """Return the reads for the resources; without any for all that are found."""
        root = await self._get(ROOT)
        self._expands = _can_expand(root)
        self._levels = _levels(root)
        found = tuple(resources) or await self._found(root, host)
        reads = [read for resource in found for read in await self._resource(resource)]
        if not reads:
            raise SourceError(
                f"none of {len(found)} resources has {' or '.join(sorted(self._groups))}",
                next_step="name resources with their paths, or rules of your own",
            )
        return tuple(reads)

    async def _get(self, path: str) -> object:
        """Return a resource, each asked for once."""
        if path not in self._seen:
            began_s = self._clock.monotonic()
            document = await self._client.get(path)
            self._seen[path] = _Seen(document, self._clock.monotonic() - began_s)
        return self._seen[path].document

    async def _found(self, root: object, host: str) -> tuple[Resource, ...]:
        chassis = await self._paths(rf.link(root, "Chassis"))
        equipment = rf.link(root, "PowerEquipment")
        pdus: list[str] = []
        if equipment:
            document = await self._get(equipment)
            pdus = await self._paths(rf.link(document, "RackPDUs"))
        if len(chassis) + len(pdus) > RESOURCES_MAX:
            raise SourceError(
                f"{len(chassis) + len(pdus)} chassis and PDUs are more than {RESOURCES_MAX}",
                next_step="name those that matter in resources",
            )
        return (
            *(Resource(path, f"pdu:{host}:{_id(path)}") for path in pdus),
            *(
                Resource(
                    path, f"host:{host}" if len(chassis) == 1 else f"chassis:{host}:{_id(path)}"
                )
                for path in chassis
            ),
        )

    async def _paths(self, collection: str) -> list[str]:
        """Return the paths of a collection's members over all its pages; of no path, none."""
        paths: list[str] = []
        page, pages = collection, 0
        while page:
            pages += 1
            if pages > PAGES_MAX:
                raise SourceError(f"{collection} has more than {PAGES_MAX} pages")
            document = await self._get(page)
            paths += [path for path in map(rf.path_of, rf.members(document)) if path]
            following = at_pointer(document, "/Members@odata.nextLink")
            page = following if isinstance(following, str) and following.startswith("/") else ""
        return paths

    async def _resource(self, resource: Resource) -> list[Read]:
        document = await self._get(resource.path)
        reads: list[Read] = []
        if "power" in self._groups:
            reads += await self._power(resource, document)
        if "temperature" in self._groups:
            reads += await self._temperature(resource, document)
        if "health" in self._groups and rf.health(document):
            reads.append(Read(path=resource.path, subject=resource.subject, take=rf.health))
        reads = await self._joined(resource, reads)
        if "sensors" in self._groups:
            reads += await self._sensors(resource, document)
        return reads

    async def _joined(self, resource: Resource, reads: list[Read]) -> list[Read]:
        """Return the reads with those in one that an expanded answer holds, if that saves any."""
        separate = {read.path for read in reads if read.shape is Shape.ONE}
        if not self._levels or len(separate) < 2:
            return reads
        path = f"{resource.path}?$expand=.($levels={self._levels})"
        try:
            whole = await self._get(path)
        except SourceError:
            return reads  # it says that it can, and cannot: many do
        joined = [self._inside(read, path, whole) for read in reads]
        held = {read.path for read, now in zip(reads, joined, strict=True) if now is not read}
        took_s = sum(self._seen[each].took_s for each in held)
        is_slow = self._seen[path].took_s > max(EXPAND_S_FREE, EXPAND_SHARE_MAX * took_s)
        return reads if len(held) < 2 or is_slow else joined

    def _inside(self, read: Read, path: str, whole: object) -> Read:
        """Return a read that takes its numbers from an expanded answer, if they are all in it."""
        pointer = rf.pointer_to(whole, read.path) if read.shape is Shape.ONE else None
        if pointer is None:
            return read
        found = replace(read, path=path, inside=pointer)
        has_all = found.values(whole).keys() >= read.values(self._seen[read.path].document).keys()
        return found if has_all else read

    async def _power(self, resource: Resource, document: object) -> list[Read]:
        """Return as few reads as give power and energy, the modern resources first."""
        reads: list[Read] = []
        known: set[str] = set()
        candidates = (
            (rf.link(document, "EnvironmentMetrics"), rf.environment),
            (rf.link(document, "Metrics"), rf.environment),
            (rf.link(document, "Power"), rf.power),
        )
        for path, take in candidates:
            if not path or {"power_w", "energy_wh"} <= known:
                continue
            values = take(await self._get(path))
            if values.keys() - known:
                reads.append(Read(path=path, subject=resource.subject, take=take))
                known |= values.keys()
        if "power_w" not in known:
            reads += await self._supplies(resource, rf.link(document, "PowerSubsystem"))
        return reads

    async def _supplies(self, resource: Resource, subsystem: str) -> list[Read]:
        if not subsystem:
            return []
        supplies = rf.link(await self._get(subsystem), "PowerSupplies")
        reads: list[Read] = []
        for path in await self._paths(supplies):
            supply = await self._get(path)
            metrics = rf.link(supply, "Metrics")
            if metrics and rf.is_enabled(supply):
                reads.append(
                    Read(
                        path=metrics,
                        subject=resource.subject,
                        take=rf.supply,
                        shape=Shape.SUMMED,
                    )
                )
        return reads

    async def _temperature(self, resource: Resource, document: object) -> list[Read]:
        subsystem = rf.link(document, "ThermalSubsystem")
        modern = ""
        if subsystem:
            modern = rf.link(await self._get(subsystem), "ThermalMetrics")
        candidates = (
            (modern, rf.thermal_metrics),
            (rf.link(document, "Thermal"), rf.thermal),
        )
        for path, take in candidates:
            if path and take(await self._get(path)):
                return [Read(path=path, subject=resource.subject, take=take)]
        return []

    async def _sensors(self, resource: Resource, document: object) -> list[Read]:
        collection = rf.link(document, "Sensors")
        if not collection:
            return []
        subject = f"sensor:{resource.subject.partition(':')[2]}"
        if self._expands and (path := await self._whole(collection)):
            return [Read(path=path, subject=subject, take=rf.sensor, shape=Shape.MEMBERS)]
        return [
            Read(path=path, subject=f"{subject}:{_id(path)}", take=rf.sensor)
            for path in await self._paths(collection)
            if rf.sensor(await self._get(path))
        ]

    async def _whole(self, collection: str) -> str:
        """Return the path of a collection with its sensors in it; '' where it gives none."""
        path = f"{collection}?$expand=.($levels=1)"
        try:
            whole = await self._get(path)
        except SourceError:
            return ""  # it says that it can, and cannot
        is_one_page = not at_pointer(whole, "/Members@odata.nextLink")
        return path if is_one_page and any(map(rf.sensor, rf.members(whole))) else ""


def _can_expand(root: object) -> bool:
    offered = at_pointer(root, "/ProtocolFeaturesSupported/ExpandQuery")
    return isinstance(offered, dict) and any(
        offered.get(name) is True for name in ("NoLinks", "ExpandAll")
    )


def _levels(root: object) -> int:
    """Return how many levels of what is below a resource can be had in one answer."""
    offered = at_pointer(root, "/ProtocolFeaturesSupported/ExpandQuery")
    if not isinstance(offered, dict) or offered.get("NoLinks") is not True:
        return 0
    deepest = number(offered.get("MaxLevels", LEVELS))
    if offered.get("Levels") is False or deepest is None:
        return 1
    return int(max(1, min(LEVELS, deepest)))


def _id(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
