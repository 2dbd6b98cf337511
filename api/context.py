"""What every handler needs, made once for each application and found through the request."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Annotated, Final

from fastapi import Depends
from sqlalchemy import Connection, Engine
from starlette.requests import HTTPConnection

from api.http_metrics import HttpMetrics
from api.status_page import StatusPages
from scheduler.context import Context as SchedulingContext
from suanwang.clock import Clock
from suanwang.db.engine import reading, writing
from suanwang.energy.catalogue import EnergyCatalogue
from suanwang.errors import Unavailable
from suanwang.ids import IdSource
from suanwang.settings import Settings

RAY_VERSION: Final = "2.60.0"
"""The version of the Jobs API that the gateway speaks, told to Ray's clients."""


FOLLOWERS_MAX: Final = 500
"""Websockets that follow output at once in one process; the next one is refused."""


class Followers:
    """Counts an application's open websockets."""

    def __init__(self, most: int = FOLLOWERS_MAX) -> None:
        self._most = most
        self.open = 0

    def __enter__(self) -> None:
        if self.open >= self._most:
            raise Unavailable(
                f"{self.open} clients follow jobs already, the limit is {self._most}",
                next_step="ask for the output without following",
            )
        self.open += 1

    def __exit__(self, *_: object) -> None:
        self.open -= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiContext:
    """The application's surroundings. ``wake`` tells the scheduler that there is work."""

    engine: Engine
    clock: Clock
    ids: IdSource
    settings: Settings
    wake: Callable[[], None]
    scheduling: SchedulingContext
    pages: StatusPages
    turn: AbstractContextManager[object]
    http: HttpMetrics = field(default_factory=HttpMetrics)
    followers: Followers = field(default_factory=Followers)

    @property
    def catalogue(self) -> EnergyCatalogue:
        """Energy facts by id."""
        return self.scheduling.catalogue

    def reading(self) -> AbstractContextManager[Connection]:
        """Open the one transaction of a handler that only reads."""
        return reading(self.engine)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open the one transaction of a handler that may write.

        SQLite has one writer at a time, and those who wait for it ask again at growing intervals,
        in no order, so that some starve. Hence handlers take turns before they ask.
        """
        with self.turn, writing(self.engine) as connection:
            yield connection

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        """Open a transaction that may write, and wake the scheduler once it is committed."""
        with self.writing() as connection:
            yield connection
        self.wake()


def turn_of(engine: Engine) -> AbstractContextManager[object]:
    """Return what orders the writers of this process: a lock on SQLite, nothing on PostgreSQL."""
    return threading.Lock() if engine.dialect.name == "sqlite" else nullcontext()


def context_of(connection: HTTPConnection) -> ApiContext:
    """Return the context of the application that serves this request or socket."""
    context = connection.app.state.context
    assert isinstance(context, ApiContext)
    return context


Context = Annotated[ApiContext, Depends(context_of)]
