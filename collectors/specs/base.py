"""What the settings of every kind of source have in common, and what building one may use."""

import asyncio
import socket
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ClassVar, Final, Self, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field

from collectors.lanes import Place
from collectors.sources.port import Pace, Source
from suanwang.clock import Clock

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:/-]{1,200}$")]
Factor = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Port = Annotated[int, Field(ge=1, le=65_535)]
Metric = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,99}$")]


def this_host() -> str:
    """Return the name of this machine."""
    return socket.gethostname()


Thing = TypeVar("Thing")


FROM_FILES: Final = ("ca ", "modbus profile ", "snmp profile ")
"""How the keys of things begin that are made from files."""


class Workshop:
    """What the sources of one agent share: the clock, gates, things made once, and a folder.

    ``folder`` is where sources keep what must outlive the agent's process.
    """

    def __init__(self, clock: Clock, folder: Path | None = None) -> None:
        self.clock = clock
        self.folder = folder
        self._gates: dict[str, asyncio.Semaphore] = {}
        self._things: dict[str, object] = {}

    def gate(self, address: str, at_most: int) -> asyncio.Semaphore:
        """Return the gate of an address, the same for all who ask: the first one's limit holds."""
        return self._gates.setdefault(address, asyncio.Semaphore(at_most))

    def shared(self, key: str, make: Callable[[], Thing]) -> Thing:
        """Return the thing of this key, made by the first who asks; a key stands for one type."""
        if key not in self._things:
            self._things[key] = make()
        return cast("Thing", self._things[key])

    def forget_files(self) -> None:
        """Let go of what was read from files, so that what is built from now on reads them anew.

        Gates, sockets and sessions stay: sources old and new share them.
        """
        for key in [key for key in self._things if key.startswith(FROM_FILES)]:
            del self._things[key]


class Part(BaseModel):
    """Settings that refuse keys they do not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Spec(Part):
    """Settings of one source. A subclass has a ``kind`` of its own and stands in the registry."""

    parts: ClassVar[tuple[type[BaseModel], ...]] = ()
    """Models of the settings inside; their keys are known too when a key is not."""

    aliases: ClassVar[tuple[str, ...]] = ()
    """Other words for keys."""

    kind: str
    name: Name
    interval_s: Seconds = 15.0
    timeout_s: Seconds = 5.0

    @abstractmethod
    def build(self, workshop: Workshop) -> Source:
        """Return a source that is ready to be polled; nothing is opened yet. Raises BadInput."""

    def for_a_look(self, folder: Path) -> Self:
        """Return settings that leave no trace: what is to be kept goes into ``folder``."""
        return self

    @classmethod
    def models(cls) -> tuple[type[BaseModel], ...]:
        """Return every model whose keys an operator may write for this kind."""
        return (cls, *cls.parts)

    @property
    def place(self) -> Place:
        """Return where it is polled: its protocol, and its address where that has a limit."""
        return Place(self.kind)

    @property
    def pace(self) -> Pace:
        """Return name, interval and timeout for the source."""
        return Pace(name=self.name, interval_s=self.interval_s, timeout_s=self.timeout_s)
