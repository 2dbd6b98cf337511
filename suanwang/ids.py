"""Ids, from one place, so that a seed makes a whole run repeatable.

Random ids are time-ordered (milliseconds first), so primary keys stay nearly append-only. Ids that
must be the same on a retry are derived, never drawn.
"""

import hashlib
import re
import secrets
import threading
from random import Random
from typing import Final, NewType, Protocol

from suanwang.clock import Clock, to_epoch_ms

SiteId = NewType("SiteId", str)
PoolId = NewType("PoolId", str)
MeterId = NewType("MeterId", str)
TenantId = NewType("TenantId", str)
JobId = NewType("JobId", str)
AttemptId = NewType("AttemptId", str)
LotId = NewType("LotId", str)
HoldId = NewType("HoldId", str)
BatchId = NewType("BatchId", str)

SUBMISSION_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
"""What Ray accepts without harm: a slash or a longer id leaves a record that cannot be deleted."""

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"


class IdSource(Protocol):
    """Draws new ids."""

    def new(self, prefix: str) -> str:
        """Return ``prefix_`` and 22 characters that no other call returns."""


def _base32(number: int, digits: int) -> str:
    return "".join(_ALPHABET[(number >> (5 * place)) & 31] for place in reversed(range(digits)))


def _time_ordered(prefix: str, clock: Clock, bits: int) -> str:
    return f"{prefix}_{_base32(to_epoch_ms(clock.now()), 10)}{_base32(bits, 12)}"


class RandomIds:
    """Ids from the operating system's randomness, ordered by time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def new(self, prefix: str) -> str:
        """Return ``prefix_`` and 22 characters: 10 of time, 12 random."""
        return _time_ordered(prefix, self._clock, secrets.randbits(60))


class SeededIds:
    """Ids from a seed: equal runs draw equal ids."""

    def __init__(self, clock: Clock, seed: int) -> None:
        self._clock = clock
        self._random = Random(seed)  # noqa: S311 - repeatable on purpose; never used for secrets
        self._lock = threading.Lock()

    def new(self, prefix: str) -> str:
        """Return ``prefix_`` and 22 characters: 10 of time, 12 from the seed."""
        with self._lock:
            bits = self._random.getrandbits(60)
        return _time_ordered(prefix, self._clock, bits)


def attempt_id(job_id: str, number: int) -> AttemptId:
    """Return the id of a job's attempt; ``number`` counts from 1."""
    return AttemptId(f"{job_id}-a{number}")


def executor_id(submission_id: str, number: int) -> str:
    """Return the id under which an executor runs an attempt: the same call gives the same run.

    Long submission ids are shortened with a digest, since Ray refuses more than 128 characters.
    """
    name = f"{submission_id}-a{number}"
    if len(name) <= 128:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{submission_id[:100]}-{digest}-a{number}"


def new_secret(prefix: str) -> str:
    """Return a fresh secret of 256 bits with a readable prefix, for keys and tokens."""
    return f"{prefix}_{secrets.token_urlsafe(32)}"


def secret_hash(secret: str) -> str:
    """Return what is stored instead of a secret: SHA-256, enough for 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()
