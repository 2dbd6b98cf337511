"""One UDP socket for all SNMP devices of a process: 20,000 devices do not take 20,000 sockets.

An answer belongs to whoever waits for its id, and only if it came from the address that was asked.
Everything else is dropped; what is wrong with an answer is kept, to be said if no good one comes.
"""

import asyncio
import contextlib
import secrets
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from collectors.snmp.ber import BerError
from collectors.snmp.pdu import (
    ID_MAX,
    VERSION_2C,
    VERSION_3,
    Answer,
    community_and_answer,
    version_of,
)
from collectors.snmp.usm import Letter, Reported, SecurityError, letter_of

BUFFER_BYTES: Final = 4_194_304
"""Asked of the system for each direction, so that the answers of a second find room."""
DATAGRAM_BYTES_MAX: Final = 65_535
DATAGRAMS_AT_ONCE: Final = 64
NOISE_MAX: Final = 1_024


@dataclass(frozen=True, slots=True)
class Address:
    """Where a device listens, in numbers."""

    host: str
    port: int
    family: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Who waits for an answer, and what makes one of a message; it raises where it is no good."""

    address: Address
    future: asyncio.Future[Answer]
    read: Callable[[Answer | Letter], Answer]


class SnmpPort:
    """Sends requests and hands each answer to whoever waits for it."""

    def __init__(self) -> None:
        self._sockets: dict[int, socket.socket] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[int, Waiting] = {}
        self._asked: Counter[tuple[str, int]] = Counter()
        self._noise: dict[tuple[str, int], str] = {}
        self._users = 0
        self._next_id = secrets.randbelow(ID_MAX)

    def enter(self) -> None:
        """Count a client in."""
        self._users += 1

    def leave(self) -> None:
        """Count a client out; the sockets are closed after the last."""
        self._users -= 1
        if self._users <= 0:
            self.close()

    def close(self) -> None:
        """Close the sockets; they are opened again when somebody asks."""
        for each in self._sockets.values():
            if self._loop and not self._loop.is_closed():
                self._loop.remove_reader(each.fileno())
            each.close()
        self._sockets.clear()

    def new_id(self) -> int:
        """Return an id that nobody waits for."""
        while True:
            self._next_id = self._next_id % ID_MAX + 1
            if self._next_id not in self._waiting:
                return self._next_id

    def noise_from(self, address: Address) -> str:
        """Return what was wrong with the last answer of an address, and forget it."""
        return self._noise.pop((address.host, address.port), "")

    async def ask(
        self,
        message: bytes,
        id_: int,
        address: Address,
        read: Callable[[Answer | Letter], Answer],
        timeout_s: float,
    ) -> Answer:
        """Return the answer to one message; raise Reported, TimeoutError or OSError."""
        loop = asyncio.get_running_loop()
        sender = self._socket(address.family, loop)
        future: asyncio.Future[Answer] = loop.create_future()
        source = (address.host, address.port)
        self._waiting[id_] = Waiting(address, future, read)
        self._asked[source] += 1
        timer = loop.call_later(timeout_s, _give_up, future)
        try:
            # A full buffer loses the message, as any router on the way may: asking again helps.
            with contextlib.suppress(BlockingIOError):
                sender.sendto(message, source)
            return await future
        finally:
            timer.cancel()
            self._waiting.pop(id_, None)
            self._asked[source] -= 1
            if not self._asked[source]:
                del self._asked[source]

    def _socket(self, family: int, loop: asyncio.AbstractEventLoop) -> socket.socket:
        if loop is not self._loop:
            self.close()
            self._loop = loop
        if family not in self._sockets:
            opened = socket.socket(family, socket.SOCK_DGRAM)
            opened.setblocking(False)
            for direction in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                opened.setsockopt(socket.SOL_SOCKET, direction, BUFFER_BYTES)
            opened.bind(("", 0))
            self._sockets[family] = opened
            loop.add_reader(opened.fileno(), self._drain, opened)
        return self._sockets[family]

    def _drain(self, opened: socket.socket) -> None:
        """Take what has come, up to a limit, so that other work of the loop gets its turn."""
        for _ in range(DATAGRAMS_AT_ONCE):
            try:
                data, source = opened.recvfrom(DATAGRAM_BYTES_MAX)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # an ICMP error of some earlier message; its sender will time out
            self._take(data, source[:2])

    def _take(self, data: bytes, source: tuple[str, int]) -> None:
        if source not in self._asked:
            return
        try:
            id_, message = _opened(data)
            waiting = self._waiting.get(id_)
            if waiting is None or (waiting.address.host, waiting.address.port) != source:
                raise BerError("an answer to something that was not asked")
            _deliver(waiting, message)
        except (BerError, SecurityError) as failure:
            if len(self._noise) >= NOISE_MAX:
                self._noise.clear()
            self._noise[source] = str(failure)


def _deliver(waiting: Waiting, message: Answer | Letter) -> None:
    try:
        found = waiting.read(message)
    except Reported as report:
        if not waiting.future.done():
            waiting.future.set_exception(report)
        return
    if not waiting.future.done():
        waiting.future.set_result(found)


def _opened(data: bytes) -> tuple[int, Answer | Letter]:
    version, at, end = version_of(data)
    if version == VERSION_2C:
        _, found = community_and_answer(data, at, end)
        return found.request_id, found
    if version == VERSION_3:
        letter = letter_of(data, at, end)
        return letter.message_id, letter
    raise BerError(f"SNMP version {version} was not asked")


def _give_up(future: asyncio.Future[Answer]) -> None:
    if not future.done():
        future.set_exception(TimeoutError())
