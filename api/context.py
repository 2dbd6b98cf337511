"""What every handler needs, made once for each application and found through the request."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Protocol

from fastapi import Depends
from sqlalchemy import Connection, Engine
from starlette.requests import HTTPConnection

from api.http_metrics import HttpMetrics
from suanwang.clock import Clock
from suanwang.db.engine import reading, writing
from suanwang.energy.catalogue import EnergyCatalogue, load_catalogue
from suanwang.ids import IdSource

RAY_VERSION: Final = "2.60.0"
"""The version of the Jobs API that the gateway speaks, told to Ray's clients."""


class ApiSettings(Protocol):
    """What the API reads from the process's settings."""

    @property
    def state_dir(self) -> Path:
        """Folder of the admin key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiContext:
    """The application's surroundings. ``wake`` tells the scheduler that there is something to do."""

    engine: Engine
    clock: Clock
    ids: IdSource
    settings: ApiSettings
    wake: Callable[[], None]
    catalogue: EnergyCatalogue = field(default_factory=load_catalogue)
    http: HttpMetrics = field(default_factory=HttpMetrics)

    def reading(self) -> AbstractContextManager[Connection]:
        """Open the one transaction of a handler that only reads."""
        return reading(self.engine)

    def writing(self) -> AbstractContextManager[Connection]:
        """Open the one transaction of a handler that may write."""
        return writing(self.engine)

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        """Open a transaction that may write, and wake the scheduler once it is committed."""
        with writing(self.engine) as connection:
            yield connection
        self.wake()


def context_of(connection: HTTPConnection) -> ApiContext:
    """Return the context of the application that serves this request or socket."""
    context = connection.app.state.context
    assert isinstance(context, ApiContext)
    return context


Context = Annotated[ApiContext, Depends(context_of)]
