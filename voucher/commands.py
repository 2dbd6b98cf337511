"""What may be asked of the ledger: commands, each with the caller's own key.

The key makes a retry harmless: the same key with the same body gets the first answer again. The
body is everything but the key, written as canonical JSON; its SHA-256 is what is compared.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring as _quoted
from typing import Final

from suanwang.model.voucher import HoldSlice
from voucher.funding import PLATFORM, FunderPart, Mix

TEXT_LENGTH_MAX: Final = 200
"""Characters of a key, an id or a name."""
AMOUNT_FEN_MAX: Final = 10**15
"""Ten trillion yuan in one command; more is a mistake of the caller."""
DEFAULT_PAYEE: Final = "platform"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """Grant a lot of ``amount_fen`` to a tenant; it pays at most ``ratio_num / ratio_den``.

    ``grace_s``: so many seconds beyond its end a job may run that it pays for.
    ``funders`` says whose money it is, in fen; without it, all is the platform's. A claim is money
    of a programme that is kept for a tenant until it proves that it paid: it pays for no jobs, it
    is redeemed. Where a lot ``is_reused``, what it did not pay can be granted again.
    """

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
    grace_s: int = 0
    funders: Mix = ()
    is_claim: bool = False
    is_reused: bool = False

    @property
    def mix(self) -> Mix:
        """Whose money it is, in fen by funder."""
        return self.funders or (FunderPart(PLATFORM, self.amount_fen),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Appropriate:
    """A funder puts ``amount_fen`` into a programme's pool; ``document`` is what says so.

    From then on lots with money of this funder can only be granted out of its pool.
    """

    key: str
    programme: str
    funder: str
    amount_fen: int
    document: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw:
    """A funder takes ``amount_fen`` that was not granted out of its pool again."""

    key: str
    programme: str
    funder: str
    amount_fen: int
    document: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Redeem:
    """Make ``amount_fen`` of a claim due to its tenant, who has proved that it paid."""

    key: str
    lot_id: str
    amount_fen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PayClaim:
    """The treasury has paid ``amount_fen`` that is due on a claim; ``receipt`` is the bank's."""

    key: str
    lot_id: str
    amount_fen: int
    receipt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndClaim:
    """End a claim: what was never redeemed goes back, and what is due and unpaid is not due.

    With ``keeps_due`` what is due stays due.
    """

    key: str
    lot_id: str
    reason: str
    keeps_due: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PayOut:
    """A payee was paid ``amount_fen`` of what it has earned, under the bank's ``receipt``.

    ``programme`` is whose vouchers it earned it with; None: cash of tenants.
    """

    key: str
    payee: str
    programme: str | None
    amount_fen: int
    receipt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PayBack:
    """A payee has paid ``amount_fen`` of what it was paid back, so that it can be refunded."""

    key: str
    payee: str
    programme: str | None
    amount_fen: int
    receipt: str


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
    remainder. ``payee`` is who has earned the money. ``used_until`` is when the use ended that is
    paid: where its period is closed already, the entry says so.
    """

    key: str
    hold_id: str
    amount_fen: int
    payee: str = DEFAULT_PAYEE
    used_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendHold:
    """Set more money aside on an open hold: what each lot, and then cash, adds to its slice."""

    key: str
    hold_id: str
    slices: tuple[HoldSlice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """Give back ``amount_fen`` of what a hold has paid, to the slices that paid it.

    Afterwards each lot carries what it would have carried of the smaller amount; nobody pays more
    than before, so a fen of rounding stays with the lots.
    """

    key: str
    hold_id: str
    amount_fen: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Clawback:
    """Take ``amount_fen`` of a lot back: first what is left of it, then what it has paid.

    What it has paid becomes a debt of its tenant to the programme.
    """

    key: str
    lot_id: str
    amount_fen: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Repay:
    """A tenant pays ``amount_fen`` of its debt from the clawback of a lot, never more than it owes.

    ``receipt`` is the bank's.
    """

    key: str
    tenant_id: str
    lot_id: str
    amount_fen: int
    receipt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosePeriod:
    """Freeze the totals of the period that ended at ``ends_at``, with the end of the chain."""

    key: str
    period_id: str
    ends_at: datetime


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


Funds = Appropriate | Withdraw
Payment = PayOut | PayBack
OfLot = Redeem | PayClaim | EndClaim | Clawback | Repay | Expire
"""What is done to one lot, with all its accounts."""
Plain = Deposit | Refund | Release | ClosePeriod | Funds | Payment | OfLot
"""Commands of texts, whole numbers and moments."""
Command = Issue | OpenHold | ExtendHold | Capture | Plain

KINDS: Final[dict[type[Command], str]] = {
    Issue: "issue",
    Deposit: "deposit",
    OpenHold: "open-hold",
    Capture: "capture",
    Release: "release",
    Expire: "expire",
    ExtendHold: "extend-hold",
    Refund: "refund",
    Clawback: "clawback",
    Repay: "repay",
    ClosePeriod: "close-period",
    Appropriate: "appropriate",
    Withdraw: "withdraw",
    Redeem: "redeem",
    PayClaim: "pay-claim",
    EndClaim: "end-claim",
    PayOut: "pay-out",
    PayBack: "pay-back",
}
CLAIM_KIND: Final = "claim"
"""Kind of the entry that grants a claim, not a voucher."""

_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def kind_of_entry(command: Command) -> str:
    """Return the kind of the entry that a command becomes."""
    if isinstance(command, Issue) and command.is_claim:
        return CLAIM_KIND
    return KINDS[type(command)]


def canonical(document: object) -> str:
    """Return the one way to write a document of texts, whole numbers, lists and maps as JSON."""
    return _ENCODER.encode(document)


def canonical_balances(balances: Mapping[str, int]) -> str:
    """Return the same as ``canonical``, faster: entries touch the same accounts again and again."""
    names, text = _told(tuple(balances))
    return text % tuple([balances[name] for name in names])


@lru_cache(maxsize=16_384)
def _told(accounts: tuple[str, ...]) -> tuple[list[str], str]:
    """Return accounts in the order in which they are told, and the text that wants their fen."""
    names = sorted(accounts)
    labels = [_quoted(name).replace("%", "%%") for name in names]
    return names, f"{{{','.join([f'{label}:%d' for label in labels])}}}"


def read_balances(text: str) -> dict[str, int]:
    """Return the balances that an entry keeps as canonical JSON, in fen by account."""
    balances: dict[str, int] = json.loads(text)
    return balances


def body(command: Command) -> str:
    """Return everything but the key as canonical JSON: what a retry must repeat to the letter.

    Holds and payments are nearly all that a ledger has; they are written out here, which takes a
    fifth of the time. A property test compares them with ``canonical``.
    """
    match command:
        case OpenHold():
            return (
                f'{{"attempt_id":{_quoted(command.attempt_id)},'
                f'"hold_id":{_quoted(command.hold_id)},"kind":"open-hold",'
                f'"slices":{_slices(command.slices)},"tenant_id":{_quoted(command.tenant_id)}}}'
            )
        case Capture():
            until = command.used_until
            return (
                f'{{"amount_fen":{command.amount_fen},"hold_id":{_quoted(command.hold_id)},'
                f'"kind":"capture","payee":{_quoted(command.payee)},'
                f'"used_until":{"null" if until is None else _quoted(str(_moment(until)))}}}'
            )
        case _:
            return plain_body(command)


def plain_body(command: Command) -> str:
    """Return the same as ``body``, of any command, the slow way."""
    return canonical({"kind": kind_of_entry(command), **_fields(command)})


def _slices(slices: Sequence[HoldSlice]) -> str:
    lots = [
        f"[{'null' if part.lot_id is None else _quoted(part.lot_id)},{part.amount_fen}]"
        for part in slices
    ]
    return f"[{','.join(lots)}]"


def digest(text: str) -> str:
    """Return the SHA-256 of a body, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def texts(command: Command) -> Iterator[str]:
    """Yield every text that the command carries."""
    match command:
        case OpenHold() | ExtendHold():
            yield from (command.key, command.hold_id)
            if isinstance(command, OpenHold):
                yield from (command.tenant_id, command.attempt_id)
            yield from (part.lot_id for part in command.slices if part.lot_id is not None)
        case Capture():
            yield from (command.key, command.hold_id, command.payee)
        case Issue():
            yield from (command.key, command.lot_id, command.tenant_id, command.programme)
            yield from (*command.sites, *command.accelerators)
            yield from (part.funder for part in command.funders)
        case _:
            values = (getattr(command, one.name) for one in fields(command))
            yield from (value for value in values if isinstance(value, str))


def moments(command: Command) -> Iterator[datetime]:
    """Yield every moment that the command carries."""
    match command:
        case Issue():
            yield command.expires_at
        case Capture() if command.used_until is not None:
            yield command.used_until
        case ClosePeriod():
            yield command.ends_at


def _fields(command: Command) -> dict[str, object]:
    match command:
        case Capture():
            return {
                "hold_id": command.hold_id,
                "amount_fen": command.amount_fen,
                "payee": command.payee,
                "used_until": _moment(command.used_until),
            }
        case OpenHold() | ExtendHold():
            return _hold_fields(command)
        case Issue():
            return _issue_fields(command)
        case ClosePeriod():
            return {"period_id": command.period_id, "ends_at": _moment(command.ends_at)}
        case _:
            names = (one.name for one in fields(command))
            return {name: getattr(command, name) for name in names if name != "key"}


def _hold_fields(command: OpenHold | ExtendHold) -> dict[str, object]:
    document: dict[str, object] = {
        "hold_id": command.hold_id,
        "slices": [[part.lot_id, part.amount_fen] for part in command.slices],
    }
    if isinstance(command, OpenHold):
        document["tenant_id"] = command.tenant_id
        document["attempt_id"] = command.attempt_id
    return document


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="microseconds")


def _issue_fields(command: Issue) -> dict[str, object]:
    return {
        "lot_id": command.lot_id,
        "tenant_id": command.tenant_id,
        "programme": command.programme,
        "amount_fen": command.amount_fen,
        "ratio_num": command.ratio_num,
        "ratio_den": command.ratio_den,
        "expires_at": _moment(command.expires_at),
        "grace_s": command.grace_s,
        "rank": command.rank,
        "sites": sorted(command.sites),
        "accelerators": sorted(command.accelerators),
        "funders": command.mix,
        "is_reused": command.is_reused,
    }
