"""The signature of a webhook: who holds the secret can tell that a message is ours, and fresh.

The header is ``Suanwang-Signature: t=<seconds since 1970>,v1=<hex>``, where the second part is the
HMAC-SHA256 of ``<t>.<body>``. A receiver refuses what is older than the replay window, and knows a
repeat by the message's id.
"""

import hashlib
import hmac
import re
from datetime import datetime
from typing import Final

HEADER: Final = "Suanwang-Signature"
WINDOW_S: Final = 300
"""A receiver refuses signatures that are older, or further ahead."""
_FORM: Final = re.compile(r"t=(\d{1,12}),v1=([0-9a-f]{64})")


def sign(secret: bytes, body: bytes, now: datetime) -> str:
    """Return the header's value for a body that is sent now."""
    seconds = int(now.timestamp())
    return f"t={seconds},v1={_digest(secret, seconds, body)}"


def is_valid(secret: bytes, body: bytes, header: str, now: datetime) -> bool:
    """Return whether a header belongs to a body, and is fresh: what a receiver does."""
    found = _FORM.fullmatch(header)
    if found is None or abs(now.timestamp() - int(found[1])) > WINDOW_S:
        return False
    return hmac.compare_digest(_digest(secret, int(found[1]), body), found[2])


def _digest(secret: bytes, seconds: int, body: bytes) -> str:
    return hmac.new(secret, f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
