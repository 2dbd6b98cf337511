"""What every handler needs, made once for each application and found through the request."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Annotated, Final

from fastapi import Depends
from sqlalchemy import Connection, Engine
from starlette.requests import HTTPConnection

from alerts.channels.port import Channel
from alerts.evaluation import Policy
from alerts.metrics import AlertMetrics
from alerts.rules import shipped
from api.gathering import Gathering
from api.http_metrics import HttpMetrics
from api.intake_gate import IntakeGate
from api.ledger_metrics import LedgerMetrics
from api.status_page import StatusPages
from collectors.remote_write.writer import RemoteWriter
from collectors.series_book import SeriesBook
from scheduler.context import Context as SchedulingContext
from suanwang.clock import Clock, SystemClock
from suanwang.db.engine import reading, writing
from suanwang.energy.catalogue import EnergyCatalogue
from suanwang.errors import Unavailable
from suanwang.ids import IdSource
from suanwang.settings import Settings
from voucher.writer import Writer

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


def _nothing() -> None:
    """Stand in for waking a scheduler where none runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiContext:
    """The application's surroundings. ``wake`` tells the scheduler that there is work.

    ``remote`` copies samples to a time series database, where one is set.
    Who needs the ledger asks for ``api.booking.Books``, not for the writer.
    """

    engine: Engine
    clock: Clock
    ids: IdSource
    settings: Settings
    writer: Writer
    scheduling: SchedulingContext
    pages: StatusPages
    wake: Callable[[], None] = _nothing
    http: HttpMetrics = field(default_factory=HttpMetrics)
    ledger_metrics: LedgerMetrics = field(default_factory=LedgerMetrics)
    alerting: Policy = field(default_factory=lambda: Policy(rules=shipped()))
    channels: Mapping[str, Channel] = field(default_factory=dict)
    alert_metrics: AlertMetrics = field(default_factory=AlertMetrics)
    followers: Followers = field(default_factory=Followers)
    remote: RemoteWriter | None = None
    gate: IntakeGate = field(default_factory=lambda: IntakeGate(SystemClock()))
    series_book: SeriesBook = field(default_factory=SeriesBook)
    submits: Gathering = field(default_factory=Gathering)

    @property
    def catalogue(self) -> EnergyCatalogue:
        """Energy facts by id."""
        return self.scheduling.catalogue

    @property
    def is_writer(self) -> bool:
        """Whether this process writes the ledger."""
        return self.writer.elsewhere is None

    @property
    def units_waiting(self) -> int:
        """How many units of work wait for the ledger in this process."""
        return self.writer.waiting

    def reading(self) -> AbstractContextManager[Connection]:
        """Open the one transaction of a handler that only reads."""
        return reading(self.engine)

    def writing(self) -> AbstractContextManager[Connection]:
        """Open the one transaction of a handler that may write, but not move money."""
        return writing(self.engine)


def context_of(connection: HTTPConnection) -> ApiContext:
    """Return the context of the application that serves this request or socket."""
    context = connection.app.state.context
    assert isinstance(context, ApiContext)
    return context


Context = Annotated[ApiContext, Depends(context_of)]
