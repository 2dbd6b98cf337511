"""Reads objects and tables of one SNMP device: retries, pieces, and what is missing told apart."""

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from collectors.snmp.ber import Missing, Value, oid_bytes
from collectors.snmp.pdu import ERRORS, OF_ONE_OBJECT, TOO_BIG, Answer, Request
from collectors.snmp.port import Address, SnmpPort
from collectors.snmp.usm import Letter, Reported
from collectors.snmp.voices import Introduction, Question, Voice
from collectors.sources.port import SourceError

OIDS_AT_ONCE: Final = 24
"""Objects in one request: an answer of this size still fits into a small datagram."""
ROWS_AT_ONCE: Final = 24
ROWS_MAX: Final = 20_000
"""Rows of one table; a device that goes on is broken."""
MENDINGS_MAX: Final = 2


class SnmpFailure(SourceError):
    """A device did not answer, refused, or answered nonsense."""


class SnmpReader(Protocol):
    """What hands out objects: a live device or a recording."""

    @property
    def target(self) -> str:
        """What is read, for messages."""

    async def get(self, oids: Sequence[str]) -> Mapping[str, Value]:
        """Return a value, or why there is none, for each object; raise SnmpFailure."""

    async def walk(self, oid: str) -> Mapping[str, Value]:
        """Return every object below one, in the device's order; raise SnmpFailure."""

    def close(self) -> None:
        """Let go of the device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long one try waits, in seconds, and how many there are: UDP loses messages."""

    timeout_s: float = 1.0
    tries: int = 3


class SnmpClient:
    """One device. Requests go one after the other; many agents drop what comes side by side."""

    def __init__(
        self, port: SnmpPort, host: str, udp_port: int, voice: Voice, patience: Patience
    ) -> None:
        self._port = port
        self._host = host
        self._udp_port = udp_port
        self._voice = voice
        self._patience = patience
        self._address: Address | None = None
        self._is_open = False

    @property
    def target(self) -> str:
        """What is read, for messages."""
        return f"{self._host}:{self._udp_port}"

    async def get(self, oids: Sequence[str]) -> Mapping[str, Value]:
        """Return a value, or why there is none, for each object; raise SnmpFailure."""
        found: dict[str, Value] = {}
        for at in range(0, len(oids), OIDS_AT_ONCE):
            await self._get(tuple(oids[at : at + OIDS_AT_ONCE]), found)
        return found

    async def _get(self, oids: tuple[str, ...], found: dict[str, Value]) -> None:
        """Ask for objects; halve what is too big, and leave out what the device fails to give."""
        while oids:
            answer = await self._ask(Question(Request.GET, oids))
            if answer.error == 0:
                if tuple(oid for oid, _ in answer.pairs) != oids:
                    raise self._failure("answered for other objects than were asked")
                found.update(
                    (oid, Missing.FAILED if value is None else value) for oid, value in answer.pairs
                )
                return
            if answer.error == TOO_BIG and len(oids) > 1:
                half = len(oids) // 2
                await self._get(oids[:half], found)
                oids = oids[half:]
                continue
            if answer.error not in OF_ONE_OBJECT:
                raise self._failure(f"refuses: {_word(answer.error)}")
            # Without a good index we cannot tell whose fault it is, and the first is taken.
            bad = min(max(answer.error_index, 1), len(oids)) - 1
            found[oids[bad]] = Missing.FAILED
            oids = oids[:bad] + oids[bad + 1 :]

    async def walk(self, oid: str) -> Mapping[str, Value]:
        """Return every object below one, in the device's order; raise SnmpFailure."""
        rows: dict[str, Value] = {}
        below, last = f"{oid}.", oid
        while True:
            answer = await self._ask(Question(Request.BULK, (last,), ROWS_AT_ONCE))
            if answer.error:
                raise self._failure(f"does not list {oid}: {_word(answer.error)}")
            if not answer.pairs:
                return rows
            for name, value in answer.pairs:
                if not name.startswith(below) or isinstance(value, Missing):
                    return rows
                if _order(name) <= _order(last):
                    raise self._failure(f"lists {name} after {last}: it would go on for ever")
                if len(rows) >= ROWS_MAX:
                    raise self._failure(f"has more than {ROWS_MAX} rows below {oid}")
                rows[name] = value
                last = name

    def close(self) -> None:
        """Let go of the shared socket."""
        if self._is_open:
            self._is_open = False
            self._port.leave()

    async def _ask(self, question: Question) -> Answer:
        if not self._is_open:
            self._is_open = True
            self._port.enter()
        address = self._address or await self._resolve()
        self._address = address
        for _ in range(MENDINGS_MAX):
            try:
                introduction = self._voice.introduction()
                if introduction is not None:
                    await self._try(address, introduction)
                return await self._try(address, question)
            except Reported as report:
                if not self._voice.can_mend(report):
                    raise self._failure(
                        f"refuses: {report}", next_step="check user, passwords and their kinds"
                    ) from report
        raise self._failure("says again and again that its clock or its engine id is another one")

    async def _try(self, address: Address, about: Question | Introduction) -> Answer:
        """Send one message until it is answered: a question, or one that asks who it is."""
        loop, voice = asyncio.get_running_loop(), self._voice
        id_ = self._port.new_id()
        sent_s = loop.time()
        self._port.noise_from(address)
        read: Callable[[Answer | Letter], Answer]
        if isinstance(about, Question):
            message, read = voice.speak(about, id_, sent_s), voice.hear
        else:
            message, read = about.greet(id_, sent_s), partial(about.meet, now_s=sent_s)
        for _ in range(self._patience.tries):
            try:
                return await self._port.ask(message, id_, address, read, self._patience.timeout_s)
            except TimeoutError:
                continue
            except OSError as failure:
                self._address = None
                raise self._failure(f"cannot be reached: {failure}") from failure
        self._address = None  # a name may point elsewhere by now
        noise = self._port.noise_from(address)
        if noise:
            raise self._failure(f"answered nonsense {self._patience.tries} times: {noise}")
        raise self._failure(
            f"did not answer {self._patience.tries} tries of {self._patience.timeout_s:g} s",
            next_step="check address, community or user, and whether the device lets us in",
        )

    async def _resolve(self) -> Address:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self._host, self._udp_port, type=socket.SOCK_DGRAM)
        except OSError as failure:
            raise self._failure(f"has no address: {failure}") from failure
        family, _, _, _, address = found[0]
        return Address(str(address[0]), int(address[1]), family)

    def _failure(self, text: str, *, next_step: str = "") -> SnmpFailure:
        return SnmpFailure(f"{self.target} {text}", next_step=next_step, target=self.target)


def _word(error: int) -> str:
    return ERRORS.get(error, f"error {error}")


def _order(oid: str) -> tuple[int, ...]:
    oid_bytes(oid)
    return tuple(map(int, oid.split(".")))
