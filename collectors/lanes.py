"""How many polls run at the same time: of a protocol, and towards one address.

A poll takes a place at its address first, and then one of its protocol; who waits, waits in the
order of coming. So a device with fifty slow sources holds no more places of the protocol than its
address may have, and the others pass it by.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Generic, TypeVar

IN_FLIGHT: Final[Mapping[str, int]] = MappingProxyType(
    {
        "snmp": 4_096,
        "modbus": 2_048,
        "prometheus": 1_024,
        "redfish": 4_096,
        "ipmi": 32,
        "bacnet": 512,
    }
)
"""Polls of a protocol at the same time. A BMC may take 30 s for an answer, so thousands are usual;
ipmi runs a process for each. What is not named here has no limit."""
IN_FLIGHT_AT: Final[Mapping[str, int]] = MappingProxyType(
    {"snmp": 4, "modbus": 4, "prometheus": 4, "bmc": 2, "bacnet": 4}
)
"""Polls towards one address at the same time, by the kind of address. A BMC takes two at most,
whether they come by Redfish or by IPMI."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a source is polled: its protocol, and its address, such as ``bmc 10.0.0.8``.

    The first word of an address names the limit that holds for it. Empty is without limit.
    """

    protocol: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Polls at the same time, by protocol and by the first word of an address."""

    of_protocol: Mapping[str, int] = field(default_factory=lambda: IN_FLIGHT)
    of_address: Mapping[str, int] = field(default_factory=lambda: IN_FLIGHT_AT)


Poll = TypeVar("Poll")


class Lanes(Generic[Poll]):
    """Lets polls in; ``start`` is called for each when its turn comes, maybe within ``enter``."""

    def __init__(self, limits: Limits, start: Callable[[Poll], None]) -> None:
        self._limits = limits
        self._start = start
        self._used: Counter[str] = Counter()
        self._waiting: dict[str, deque[tuple[Poll, Place]]] = {}
        self.waiting = 0
        self.in_flight = 0

    def enter(self, poll: Poll, place: Place) -> None:
        """Start the poll now, or when there is a place."""
        self.waiting += 1
        if self._is_free(place.address, self._limit_at(place.address)):
            self._at_address(poll, place)
        else:
            self._waiting.setdefault(place.address, deque()).append((poll, place))

    def leave(self, place: Place) -> None:
        """Give a poll's places back, and start whom that lets in."""
        self.in_flight -= 1
        for key in (place.protocol, place.address):
            self._give_back(key)
        queue = self._waiting.get(place.protocol)
        if queue and self._is_free(place.protocol, self._limits.of_protocol.get(place.protocol)):
            self._begin(*self._first(place.protocol))
        queue = self._waiting.get(place.address)
        if queue and self._is_free(place.address, self._limit_at(place.address)):
            self._at_address(*self._first(place.address))

    def _at_address(self, poll: Poll, place: Place) -> None:
        self._take(place.address)
        if self._is_free(place.protocol, self._limits.of_protocol.get(place.protocol)):
            self._begin(poll, place)
        else:
            self._waiting.setdefault(place.protocol, deque()).append((poll, place))

    def _begin(self, poll: Poll, place: Place) -> None:
        self._take(place.protocol)
        self.waiting -= 1
        self.in_flight += 1
        self._start(poll)

    def _limit_at(self, address: str) -> int | None:
        return self._limits.of_address.get(address.partition(" ")[0])

    def _is_free(self, key: str, limit: int | None) -> bool:
        return not key or limit is None or self._used[key] < limit

    def _take(self, key: str) -> None:
        if key:
            self._used[key] += 1

    def _give_back(self, key: str) -> None:
        if not key:
            return
        self._used[key] -= 1
        if not self._used[key]:
            del self._used[key]

    def _first(self, key: str) -> tuple[Poll, Place]:
        queue = self._waiting[key]
        first = queue.popleft()
        if not queue:
            del self._waiting[key]
        return first
