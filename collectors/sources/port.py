"""What a source of telemetry is: anything that can be polled for readings, a file a protocol."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from suanwang.errors import Unavailable
from suanwang.model.reading import Reading


class SourceError(Unavailable):
    """A source could not be read; the message names the object, the facts are for programs."""

    code = "source-down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Name of a source, the seconds between two polls, and the seconds that one may take."""

    name: str
    interval_s: float
    timeout_s: float


class Source(Protocol):
    """One thing that is polled. A source never raises anything but ``SourceError`` on purpose.

    ``name`` is unique at the site. ``interval_s`` is the time between two polls and ``timeout_s``
    the longest that one may take, both in seconds.
    """

    @property
    def name(self) -> str:
        """Return the name under which the source reports about itself."""

    @property
    def interval_s(self) -> float:
        """Return the seconds between two polls."""

    @property
    def timeout_s(self) -> float:
        """Return the seconds that one poll may take."""

    async def collect(self) -> Sequence[Reading]:
        """Return the present readings; raise SourceError where the source does not answer."""

    async def close(self) -> None:
        """Let go of connections and threads; may be called twice."""


class Discoverer(Protocol):
    """A source that has to look through its device before it can read it, which is dear.

    The poller lets only so many sources a second do that, so that a start does not flood them all.
    """

    @property
    def must_discover(self) -> bool:
        """Whether the next poll begins with looking through the device."""
