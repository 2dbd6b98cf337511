"""What every channel can do: send a message, or say why it could not."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from alerts.message import AlertBody, MessageBody

SECRET_BYTES_MAX: Final = 10_000


class DeliveryFailed(Exception):
    """A message did not arrive; ``is_final`` where sending it again is in vain."""

    def __init__(self, why: str, *, is_final: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.is_final = is_final


class Channel(Protocol):
    """Somebody who is told; used by one thread at a time."""

    @property
    def name(self) -> str:
        """Its name in the settings."""

    @property
    def kind(self) -> str:
        """What it speaks."""

    @property
    def resend_s(self) -> float | None:
        """How often it must hear again of what fires, s; None where once is enough."""

    def send(self, message: MessageBody, now: datetime) -> None:
        """Deliver a message; raise DeliveryFailed."""

    def resend(self, alerts: Sequence[AlertBody], now: datetime) -> None:
        """Tell again of what fires; raise DeliveryFailed."""


def read_secret(path: Path) -> str:
    """Return the first line of a file; raise DeliveryFailed."""
    try:
        text = path.read_text(encoding="utf-8")[:SECRET_BYTES_MAX]
    except (OSError, UnicodeDecodeError) as failure:
        raise DeliveryFailed(f"{path} cannot be read: {failure}") from failure
    lines = text.splitlines()
    if not lines or not lines[0].strip():
        raise DeliveryFailed(f"{path} is empty")
    return lines[0].strip()
