"""One HTTP client for all sources of a process, which keeps a connection to each device.

Most devices are polled once a minute. A client with the usual patience would have closed the
connection by then, and a new one costs more than the poll itself, above all with TLS.
"""

from typing import Final

import aiohttp

IDLE_S: Final = 150.0
"""How long an unused connection is kept: longer than two polls of a minute are apart."""


class HttpPort:
    """A client that is opened by the first who asks and closed when the last has left.

    It has no limit of its own: how many requests a device gets at a time is for its sources to say.
    """

    def __init__(self) -> None:
        self._users = 0
        self._session: aiohttp.ClientSession | None = None

    def enter(self) -> None:
        """Count a user in."""
        self._users += 1

    async def leave(self) -> None:
        """Count a user out; connections are closed after the last."""
        self._users -= 1
        session = self._session
        if self._users <= 0 and session is not None:
            self._session = None
            await session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """Return the client; ask for it inside the loop in which it is used."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S),
                # No cookie of a device may take the place of the credential that we send.
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session
