"""Version 3: users, keys and sealed messages (RFC 3412, 3414, 3826, 7860)."""

import hashlib
import hmac
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final

from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from collectors.snmp.ber import (
    OCTETS,
    SEQUENCE,
    BerError,
    element,
    expect,
    integer,
    integer_element,
    octets,
)
from collectors.snmp.pdu import REPORT, VERSION_3, Answer, answer

PASSWORD_CHARS_MIN: Final = 8
TIME_WINDOW_S: Final = 150
ENGINE_ID_BYTES_MAX: Final = 32
_MESSAGE_BYTES_MAX: Final = 65_507
_USM: Final = 3
_AUTH, _PRIV, _REPORTABLE = 1, 2, 4
_STRETCHED_BYTES: Final = 1_048_576


class Auth(StrEnum):
    """How messages are signed."""

    MD5 = "md5"
    SHA1 = "sha1"
    SHA224 = "sha224"
    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"


class Priv(StrEnum):
    """How messages are sealed; longer keys than 128 bits are stretched as net-snmp does."""

    AES128 = "aes128"
    AES192 = "aes192"
    AES256 = "aes256"


NOT_IN_TIME: Final = "1.3.6.1.6.3.15.1.1.2.0"
UNKNOWN_ENGINE: Final = "1.3.6.1.6.3.15.1.1.4.0"
REPORTS: Final = {
    "1.3.6.1.6.3.15.1.1.1.0": "the device does not take this level of security",
    NOT_IN_TIME: "the device's clock and ours do not agree",
    "1.3.6.1.6.3.15.1.1.3.0": "the device does not know the user",
    UNKNOWN_ENGINE: "the device has another engine id",
    "1.3.6.1.6.3.15.1.1.5.0": "wrong password or kind of signature",
    "1.3.6.1.6.3.15.1.1.6.0": "wrong password or kind of encryption",
}
"""What a device reports instead of an answer."""

_SIGNATURE_BYTES: Final = {
    Auth.MD5: 12, Auth.SHA1: 12, Auth.SHA224: 16, Auth.SHA256: 24, Auth.SHA384: 32, Auth.SHA512: 48,
}  # fmt: skip
_KEY_BYTES: Final = {Priv.AES128: 16, Priv.AES192: 24, Priv.AES256: 32}


class SecurityError(ValueError):
    """A message is not from whom it should be, or the device refuses ours."""


class Reported(Exception):
    """The device sent a report instead of an answer; ``oid`` says which."""

    def __init__(self, oid: str) -> None:
        super().__init__(REPORTS.get(oid, f"the device reported {oid}"))
        self.oid = oid


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user of a device; passwords are never shown."""

    name: str
    auth: Auth | None = None
    auth_password: str = field(default="", repr=False)
    priv: Priv | None = None
    priv_password: str = field(default="", repr=False)
    context: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A device's identity, how often it started, and its clock in seconds at our moment."""

    id: bytes
    boots: int
    time_s: int
    seen_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """A user's keys at one device."""

    sign: bytes = field(repr=False)
    seal: bytes = field(repr=False)


def keys_for(user: User, engine_id: bytes) -> Keys:
    """Return a user's keys at a device. Dear: some milliseconds for each new password."""
    if user.auth is None:
        return Keys(sign=b"", seal=b"")
    sign = _localised(user.auth, user.auth_password, engine_id)
    if user.priv is None:
        return Keys(sign=sign, seal=b"")
    seal = _localised(user.auth, user.priv_password, engine_id)
    while len(seal) < _KEY_BYTES[user.priv]:
        seal += hashlib.new(user.auth.value, seal, usedforsecurity=False).digest()
    return Keys(sign=sign, seal=seal[: _KEY_BYTES[user.priv]])


def _localised(auth: Auth, password: str, engine_id: bytes) -> bytes:
    master = _stretched(auth, password)
    return hashlib.new(auth.value, master + engine_id + master, usedforsecurity=False).digest()


@lru_cache(maxsize=256)
def _stretched(auth: Auth, password: str) -> bytes:
    """Return the key of a password before it is tied to a device: many devices share one."""
    raw = password.encode()
    times = _STRETCHED_BYTES // len(raw) + 1
    return hashlib.new(auth.value, (raw * times)[:_STRETCHED_BYTES], usedforsecurity=False).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What goes around a request: ids, the device's engine, our user and keys, and a salt."""

    message_id: int
    engine: Engine
    user: User
    keys: Keys
    now_s: float
    salt: int = 0


def seal(envelope: Envelope, pdu: bytes) -> bytes:
    """Return a whole message of version 3, signed and sealed as far as the user has keys."""
    user, engine = envelope.user, envelope.engine
    scoped = element(
        SEQUENCE,
        element(OCTETS, engine.id) + element(OCTETS, user.context.encode()) + pdu,
    )
    time_s = engine.time_s + int(envelope.now_s - engine.seen_s)
    flags, salt = _REPORTABLE, b""
    if envelope.keys.sign:
        flags |= _AUTH
    if envelope.keys.seal:
        flags |= _PRIV
        salt = envelope.salt.to_bytes(8, "big")
        cipher = _cipher(envelope.keys.seal, engine.boots, time_s, salt).encryptor()
        scoped = element(OCTETS, cipher.update(scoped) + cipher.finalize())
    size = _SIGNATURE_BYTES[user.auth] if user.auth and envelope.keys.sign else 0
    head = integer_element(VERSION_3) + element(
        SEQUENCE,
        integer_element(envelope.message_id)
        + integer_element(_MESSAGE_BYTES_MAX)
        + element(OCTETS, bytes((flags,)))
        + integer_element(_USM),
    )
    before = (
        element(OCTETS, engine.id)
        + integer_element(engine.boots)
        + integer_element(time_s)
        + element(OCTETS, (user.name if engine.id else "").encode())
    )

    def whole(signature: bytes) -> bytes:
        security = element(SEQUENCE, before + element(OCTETS, signature) + element(OCTETS, salt))
        return element(SEQUENCE, head + element(OCTETS, security) + scoped)

    message = whole(bytes(size))
    if size and user.auth:
        return whole(hmac.digest(envelope.keys.sign, message, user.auth.value)[:size])
    return message


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message as it came, its security not yet checked."""

    data: bytes
    message_id: int
    flags: int
    engine_id: bytes
    boots: int
    time_s: int
    user: bytes
    signature_at: int
    signature: bytes
    salt: bytes
    body_at: int


def message_id_of(data: bytes, at: int, end: int) -> int:
    """Return the id of a message of version 3, from behind its version."""
    start, stop = expect(data, at, end, SEQUENCE)
    return integer(data, start, stop)[0]


def letter_of(data: bytes, at: int, end: int) -> Letter:
    """Return what is written on a message of version 3, from behind its version."""
    start, stop = expect(data, at, end, SEQUENCE)
    message_id, start = integer(data, start, stop)
    _, start = integer(data, start, stop)
    flags, start = octets(data, start, stop)
    model, _ = integer(data, start, stop)
    if len(flags) != 1 or model != _USM:
        raise BerError("not the user-based security model")
    inside, body_at = expect(data, stop, end, OCTETS)
    start, limit = expect(data, inside, body_at, SEQUENCE)
    engine_id, start = octets(data, start, limit)
    boots, start = integer(data, start, limit)
    time_s, start = integer(data, start, limit)
    user, start = octets(data, start, limit)
    signature_at, signature_end = expect(data, start, limit, OCTETS)
    salt, _ = octets(data, signature_end, limit)
    if not len(engine_id) <= ENGINE_ID_BYTES_MAX or boots < 0 or time_s < 0:
        raise BerError("an engine that SNMP does not have")
    return Letter(
        data=data,
        message_id=message_id,
        flags=flags[0],
        engine_id=engine_id,
        boots=boots,
        time_s=time_s,
        user=user,
        signature_at=signature_at,
        signature=data[signature_at:signature_end],
        salt=salt,
        body_at=body_at,
    )


def is_signed(letter: Letter, user: User, keys: Keys) -> bool:
    """Whether a message is signed by the user's key."""
    if not letter.flags & _AUTH or user.auth is None or not keys.sign:
        return False
    size = _SIGNATURE_BYTES[user.auth]
    if len(letter.signature) != size:
        return False
    at = letter.signature_at
    blank = letter.data[:at] + bytes(size) + letter.data[at + size :]
    wanted = hmac.digest(keys.sign, blank, user.auth.value)[:size]
    return hmac.compare_digest(wanted, letter.signature)


def open_letter(letter: Letter, keys: Keys) -> Answer:
    """Return the answer inside a message; raise BerError, also where it was sealed by another."""
    data, at = letter.data, letter.body_at
    end = len(data)
    if letter.flags & _PRIV:
        if not keys.seal or len(letter.salt) != 8:
            raise BerError("sealed for somebody else")
        sealed, _ = octets(data, at, end)
        cipher = _cipher(keys.seal, letter.boots, letter.time_s, letter.salt).decryptor()
        data, at = cipher.update(sealed) + cipher.finalize(), 0
        end = len(data)
    start, stop = expect(data, at, end, SEQUENCE)
    _, start = octets(data, start, stop)
    _, start = octets(data, start, stop)
    return answer(data, start, stop)


def is_good_answer(letter: Letter, found: Answer, keys: Keys, engine: Engine) -> bool:
    """Whether an answer is as well guarded as our request: never less signed or sealed."""
    wanted = (_AUTH if keys.sign else 0) | (_PRIV if keys.seal else 0)
    is_guarded = letter.flags & wanted == wanted and letter.engine_id == engine.id
    return found.tag != REPORT and is_guarded


def _cipher(key: bytes, boots: int, time_s: int, salt: bytes) -> Cipher[CFB]:
    start = boots.to_bytes(4, "big") + time_s.to_bytes(4, "big") + salt
    return Cipher(algorithms.AES(key), CFB(start))
