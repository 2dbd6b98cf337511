"""How a client speaks to one device: with a community (version 2c), or as a user (version 3)."""

import secrets
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

from collectors.snmp.pdu import (
    REPORT,
    REQUEST_ID_BYTES,
    Answer,
    Request,
    message_2c,
    request_pdu,
)
from collectors.snmp.usm import (
    NOT_IN_TIME,
    TIME_WINDOW_S,
    UNKNOWN_ENGINE,
    Engine,
    Envelope,
    Keys,
    Letter,
    Reported,
    SecurityError,
    User,
    is_good_answer,
    is_signed,
    keys_for,
    open_letter,
    seal,
)

_NOBODY: Final = User(name="")
_NO_ENGINE: Final = Engine(id=b"", boots=0, time_s=0, seen_s=0.0)
_NO_KEYS: Final = Keys(sign=b"", seal=b"")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: which kind of request, for which objects, and how many rows at once."""

    kind: Request
    oids: tuple[str, ...]
    repetitions: int = 0


class Voice(Protocol):
    """Turns questions into messages and messages into answers; one for each device."""

    def speak(self, question: Question, id_: int, now_s: float) -> bytes:
        """Return the message to be sent."""

    def hear(self, message: Answer | Letter) -> Answer:
        """Return the answer in a message; raise BerError or SecurityError where it is none."""

    def introduction(self) -> "Introduction | None":
        """Return how the device is met first; None where it need not be, or is known by now."""

    def can_mend(self, report: Reported) -> bool:
        """Whether asking again may help after a report, since what it said was taken in."""


class Introduction(Protocol):
    """How a device is asked who it is, before anything else can be asked."""

    def greet(self, id_: int, now_s: float) -> bytes:
        """Return the message that asks a device who it is."""

    def meet(self, message: Answer | Letter, now_s: float) -> Answer:
        """Take what the device says of itself."""


class CommunityVoice:
    """Version 2c."""

    def __init__(self, community: str) -> None:
        self._community = community.encode()

    def speak(self, question: Question, id_: int, now_s: float) -> bytes:
        """Return the message; all but its id is made once for all devices of a kind."""
        del now_s
        before, behind = _mould(self._community, question)
        return before + id_.to_bytes(REQUEST_ID_BYTES, "big") + behind

    def hear(self, message: Answer | Letter) -> Answer:
        """Return the answer."""
        if isinstance(message, Letter) or message.tag == REPORT:
            raise SecurityError("an answer of another version than was asked")
        return message

    def introduction(self) -> None:
        """Nobody must be met."""
        return

    def can_mend(self, report: Reported) -> bool:
        """There are no reports."""
        del report
        return False


@lru_cache(maxsize=4_096)
def _mould(community: bytes, question: Question) -> tuple[bytes, bytes]:
    """Return what stands before and behind the id of a request."""
    mark = 0x7F000000
    pdu = request_pdu(question.kind, mark, question.oids, repetitions=question.repetitions)
    message = message_2c(community, pdu)
    header_bytes = 2 if pdu[1] < 0x80 else 2 + (pdu[1] & 0x7F)
    at = len(message) - len(pdu) + header_bytes + 2
    assert int.from_bytes(message[at : at + REQUEST_ID_BYTES], "big") == mark
    return message[:at], message[at + REQUEST_ID_BYTES :]


class UserVoice:
    """Version 3. Keys are derived once for each device, since that costs milliseconds."""

    def __init__(self, user: User) -> None:
        self._user = user
        self._engine: Engine | None = None
        self._keys = _NO_KEYS
        self._salt = secrets.randbits(63)
        self._now_s = 0.0

    def speak(self, question: Question, id_: int, now_s: float) -> bytes:
        """Return the message, signed and sealed."""
        assert self._engine is not None
        self._salt += 1
        self._now_s = now_s
        envelope = Envelope(
            message_id=id_,
            engine=self._engine,
            user=self._user,
            keys=self._keys,
            now_s=now_s,
            salt=self._salt % 2**64,
        )
        return seal(
            envelope,
            request_pdu(question.kind, id_, question.oids, repetitions=question.repetitions),
        )

    def hear(self, message: Answer | Letter) -> Answer:
        """Return the answer if it is guarded as our request was; raise Reported for a report."""
        if not isinstance(message, Letter) or self._engine is None:
            raise SecurityError("an answer of another version than was asked")
        signed = is_signed(message, self._user, self._keys)
        if self._keys.sign and message.flags & 1 and not signed:
            raise SecurityError("an answer with a wrong signature")
        found = open_letter(message, self._keys)
        if found.tag == REPORT:
            self._learn(message, found, is_signed=signed)
        if not is_good_answer(message, found, self._keys, self._engine):
            raise SecurityError("an answer less guarded than the request")
        late_s = self._now_s - self._engine.seen_s + self._engine.time_s - message.time_s
        if signed and (message.boots < self._engine.boots or late_s > TIME_WINDOW_S):
            raise SecurityError("an answer from the past")
        return found

    def _learn(self, letter: Letter, found: Answer, *, is_signed: bool) -> None:
        """Take the device's clock from a signed report, forget a device that became another."""
        oid = found.pairs[0][0] if found.pairs else ""
        if oid == NOT_IN_TIME and is_signed:
            self._engine = Engine(
                id=letter.engine_id, boots=letter.boots, time_s=letter.time_s, seen_s=self._now_s
            )
        if oid == UNKNOWN_ENGINE:
            self._engine = None
        raise Reported(oid)

    def introduction(self) -> Introduction | None:
        """Meet the device where its engine is not known yet."""
        return self if self._engine is None else None

    def greet(self, id_: int, now_s: float) -> bytes:
        """Return the message that asks for the engine."""
        envelope = Envelope(
            message_id=id_, engine=_NO_ENGINE, user=_NOBODY, keys=_NO_KEYS, now_s=now_s
        )
        return seal(envelope, request_pdu(Request.GET, id_, ()))

    def meet(self, message: Answer | Letter, now_s: float) -> Answer:
        """Take the engine from the report, and make the keys for it."""
        if not isinstance(message, Letter) or not message.engine_id:
            raise SecurityError("no engine id in the device's report")
        found = open_letter(message, _NO_KEYS)
        if found.tag != REPORT:
            raise SecurityError("an answer where a report was due")
        self._keys = keys_for(self._user, message.engine_id)
        self._engine = Engine(
            id=message.engine_id, boots=message.boots, time_s=message.time_s, seen_s=now_s
        )
        return found

    def can_mend(self, report: Reported) -> bool:
        """Whether the report told the device's clock or engine."""
        return report.oid in (NOT_IN_TIME, UNKNOWN_ENGINE)
