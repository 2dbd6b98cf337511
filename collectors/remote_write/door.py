"""Requests over HTTP."""

from types import TracebackType
from typing import Final, Self

import aiohttp

from collectors.remote_write.message import HEADERS
from collectors.remote_write.request import Answer
from collectors.remote_write.target import Target
from suanwang import __version__
from suanwang.errors import Unavailable

TEXT_BYTES_MAX: Final = 512
"""How much of the database's words is kept."""


class HttpDoor:
    """The database behind its address; use it as a context, in one loop."""

    def __init__(self, target: Target, timeout_s: float, connections: int) -> None:
        self._target = target
        self._timeout_s = timeout_s
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, ssl=self._target.trust()),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            headers={**HEADERS, "User-Agent": f"suanwang/{__version__}"},
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, body: bytes) -> Answer:
        """Return the answer; raise Unavailable where there is none."""
        assert self._session is not None
        try:
            # A redirect would be followed without the body, and may lead anywhere.
            async with self._session.post(
                self._target.url, data=body, headers=self._target.headers(), allow_redirects=False
            ) as answer:
                text = await answer.content.read(TEXT_BYTES_MAX)
                return Answer(
                    status=answer.status,
                    text=text.decode("utf-8", "replace").strip(),
                    retry_after=answer.headers.get("Retry-After", ""),
                )
        except (TimeoutError, aiohttp.ClientError, OSError) as failure:
            why = str(failure) or f"no answer in {self._timeout_s:g} s"
            raise Unavailable(f"{self._target.shown}: {why}") from failure
