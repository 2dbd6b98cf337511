"""What may be asked of the ledger: six commands, each with the caller's own key.

The key makes a retry harmless: the same key with the same body gets the first answer again. The
body is everything but the key, written as canonical JSON; its SHA-256 is what is compared.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from suanwang.model.voucher import HoldSlice

TEXT_LENGTH_MAX: Final = 200
"""Characters of a key, an id or a name."""
AMOUNT_FEN_MAX: Final = 10**15
"""Ten trillion yuan in one command; more is a mistake of the caller."""
DEFAULT_PAYEE: Final = "platform"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """Grant a lot of ``amount_fen`` to a tenant; it pays at most ``ratio_num / ratio_den``."""

    key: str
    lot_id: str
    tenant_id: str
    programme: str
    amount_fen: int
    expires_at: datetime
    ratio_num: int = 1
    ratio_den: int = 1
    rank: int = 0
    sites: frozenset[str] = frozenset()
    accelerators: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposit:
    """Add ``amount_fen`` of the tenant's own money."""

    key: str
    tenant_id: str
    amount_fen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenHold:
    """Set money aside for an attempt: slices of lots, then at most one of cash (lot None).

    With two or more lots that pay only a part, up to one fen less than a fen for each lot is added
    to the cash slice, so that every later amount can be paid without breaking a lot's ratio.
    """

    key: str
    hold_id: str
    tenant_id: str
    attempt_id: str
    slices: tuple[HoldSlice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """Pay ``amount_fen`` from a hold and let the rest go; this ends the hold.

    Each lot pays at most its slice and its ratio of the amount, in drawing order; cash pays the
    remainder. ``payee`` is who has earned the money.
    """

    key: str
    hold_id: str
    amount_fen: int
    payee: str = DEFAULT_PAYEE


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Let a hold go whole; this ends it."""

    key: str
    hold_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Expire:
    """Book what is left of a lot as expired; refused before its last moment."""

    key: str
    lot_id: str


Command = Issue | Deposit | OpenHold | Capture | Release | Expire

KINDS: Final[dict[type[Command], str]] = {
    Issue: "issue",
    Deposit: "deposit",
    OpenHold: "open-hold",
    Capture: "capture",
    Release: "release",
    Expire: "expire",
}

_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical(document: object) -> str:
    """Return the one way to write a document of texts, whole numbers, lists and maps as JSON."""
    return _ENCODER.encode(document)


def read_balances(text: str) -> dict[str, int]:
    """Return the balances that an entry keeps as canonical JSON, in fen by account."""
    balances: dict[str, int] = json.loads(text)
    return balances


def body(command: Command) -> str:
    """Return everything but the key as canonical JSON: what a retry must repeat to the letter."""
    return canonical({"kind": KINDS[type(command)], **_fields(command)})


def digest(text: str) -> str:
    """Return the SHA-256 of a body, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def texts(command: Command) -> Iterator[str]:
    """Yield every text that the command carries."""
    yield command.key
    match command:
        case Issue():
            yield from (command.lot_id, command.tenant_id, command.programme)
            yield from (*command.sites, *command.accelerators)
        case Deposit():
            yield command.tenant_id
        case OpenHold():
            yield from (command.hold_id, command.tenant_id, command.attempt_id)
            yield from (part.lot_id for part in command.slices if part.lot_id is not None)
        case Capture():
            yield from (command.hold_id, command.payee)
        case Release():
            yield command.hold_id
        case Expire():
            yield command.lot_id


def _fields(command: Command) -> dict[str, object]:
    match command:
        case Issue():
            return _issue_fields(command)
        case Deposit():
            return {"tenant_id": command.tenant_id, "amount_fen": command.amount_fen}
        case OpenHold():
            return {
                "hold_id": command.hold_id,
                "tenant_id": command.tenant_id,
                "attempt_id": command.attempt_id,
                "slices": [[part.lot_id, part.amount_fen] for part in command.slices],
            }
        case Capture():
            return {
                "hold_id": command.hold_id,
                "amount_fen": command.amount_fen,
                "payee": command.payee,
            }
        case Release():
            return {"hold_id": command.hold_id}
        case Expire():
            return {"lot_id": command.lot_id}


def _issue_fields(command: Issue) -> dict[str, object]:
    return {
        "lot_id": command.lot_id,
        "tenant_id": command.tenant_id,
        "programme": command.programme,
        "amount_fen": command.amount_fen,
        "ratio_num": command.ratio_num,
        "ratio_den": command.ratio_den,
        "expires_at": command.expires_at.astimezone(UTC).isoformat(timespec="microseconds"),
        "rank": command.rank,
        "sites": sorted(command.sites),
        "accelerators": sorted(command.accelerators),
    }
