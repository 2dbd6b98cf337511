"""Builders for tests of the ledger: a tenant, commands with defaults, and one-line helpers."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Engine, insert, text

from suanwang.clock import VirtualClock
from suanwang.db.tables import tenant
from suanwang.db.triggers import APPEND_ONLY
from suanwang.ids import LotId
from suanwang.model.voucher import HoldSlice
from voucher.funding import FunderPart
from voucher.ledger import (
    Accepted,
    Appropriate,
    Capture,
    Clawback,
    ClosePeriod,
    Command,
    Deposit,
    EndClaim,
    Expire,
    ExtendHold,
    Issue,
    OpenHold,
    Outcome,
    PayBack,
    PayClaim,
    PayOut,
    Redeem,
    Refund,
    Refusal,
    RefusalCode,
    Release,
    Repay,
    Withdraw,
    apply,
)
from voucher.tenure import Candidate
from voucher.writer import DirectWriter

START: Final = datetime(2026, 10, 14, tzinfo=UTC)
LATER: Final = START + timedelta(days=30)
TOOL: Final = Candidate(name="tool")


def add_tenants(connection: Connection, *tenant_ids: str) -> None:
    """Register tenants."""
    rows = [
        {"id": tenant_id, "name": tenant_id, "uscc": "", "created_at": START}
        for tenant_id in tenant_ids
    ]
    connection.execute(insert(tenant), rows)


def an_issue(lot_id: str = "l1", amount_fen: int = 1_000, **changes: object) -> Issue:
    """A lot of 10.00 yuan for tenant t1 that pays in full for thirty days."""
    fields: dict[str, object] = {
        "key": f"issue:{lot_id}",
        "lot_id": lot_id,
        "tenant_id": "t1",
        "programme": "qingdao-2024",
        "amount_fen": amount_fen,
        "expires_at": LATER,
    }
    return Issue(**{**fields, **changes})  # type: ignore[arg-type]  # a builder takes any field


def a_deposit(amount_fen: int = 1_000, tenant_id: str = "t1", key: str = "") -> Deposit:
    """Ten yuan of cash for tenant t1."""
    return Deposit(
        key=key or f"deposit:{tenant_id}:{amount_fen}", tenant_id=tenant_id, amount_fen=amount_fen
    )


def a_hold(
    hold_id: str, *slices: tuple[str | None, int], tenant_id: str = "t1", key: str = ""
) -> OpenHold:
    """A hold over ``(lot, fen)`` slices, for an attempt of the hold's own name."""
    return OpenHold(
        key=key or f"hold:{hold_id}",
        hold_id=hold_id,
        tenant_id=tenant_id,
        attempt_id=f"{hold_id}-a1",
        slices=tuple(
            HoldSlice(lot_id=LotId(lot) if lot is not None else None, amount_fen=amount)
            for lot, amount in slices
        ),
    )


def more_for(hold_id: str, *slices: tuple[str | None, int], key: str = "") -> ExtendHold:
    """Add ``(lot, fen)`` slices to a hold."""
    return ExtendHold(
        key=key or f"extend:{hold_id}",
        hold_id=hold_id,
        slices=a_hold(hold_id, *slices).slices,
    )


def a_capture(
    hold_id: str, amount_fen: int, key: str = "", used_until: datetime | None = None
) -> Capture:
    """Pay from a hold and end it."""
    return Capture(
        key=key or f"capture:{hold_id}",
        hold_id=hold_id,
        amount_fen=amount_fen,
        used_until=used_until,
    )


def a_refund(hold_id: str, amount_fen: int, key: str = "") -> Refund:
    """Give back a part of what was paid."""
    key = key or f"refund:{hold_id}:{amount_fen}"
    return Refund(key=key, hold_id=hold_id, amount_fen=amount_fen, reason="not delivered")


def a_clawback(lot_id: str = "l1", amount_fen: int = 100, key: str = "") -> Clawback:
    """Take a part of a lot back."""
    key = key or f"clawback:{lot_id}:{amount_fen}"
    return Clawback(key=key, lot_id=lot_id, amount_fen=amount_fen, reason="moved away")


def a_repayment(amount_fen: int, lot_id: str = "l1", tenant_id: str = "t1", key: str = "") -> Repay:
    """Pay a debt from a clawback."""
    key = key or f"repay:{lot_id}:{amount_fen}"
    return Repay(
        key=key, tenant_id=tenant_id, lot_id=lot_id, amount_fen=amount_fen, receipt=f"R-{key}"
    )


def a_mix(**fen: int) -> tuple[FunderPart, ...]:
    """Whose money a lot is."""
    return tuple(FunderPart(funder, amount) for funder, amount in fen.items())


def an_appropriation(
    amount_fen: int = 1_000, funder: str = "city", key: str = "", programme: str = "qingdao-2024"
) -> Appropriate:
    """Ten yuan of the city for the pool."""
    return Appropriate(
        key=key or f"appropriate:{programme}:{funder}:{amount_fen}",
        programme=programme,
        funder=funder,
        amount_fen=amount_fen,
        document="财预2026-1",
    )


def a_withdrawal(amount_fen: int, funder: str = "city", key: str = "") -> Withdraw:
    """Take money out of the pool again."""
    return Withdraw(
        key=key or f"withdraw:{funder}:{amount_fen}",
        programme="qingdao-2024",
        funder=funder,
        amount_fen=amount_fen,
        document="财预2026-2",
    )


def a_claim(claim_id: str = "c1", amount_fen: int = 1_000, **changes: object) -> Issue:
    """A claim of 10.00 yuan for tenant t1, whose rest can be granted again."""
    return an_issue(claim_id, amount_fen, **{"is_claim": True, "is_reused": True, **changes})


def a_redemption(amount_fen: int, claim_id: str = "c1", key: str = "") -> Redeem:
    """Make a part of a claim due."""
    key = key or f"redeem:{claim_id}:{amount_fen}"
    return Redeem(key=key, lot_id=claim_id, amount_fen=amount_fen)


def a_claim_payment(
    amount_fen: int, claim_id: str = "c1", key: str = "", receipt: str = ""
) -> PayClaim:
    """The treasury pays what is due on a claim."""
    key = key or f"pay-claim:{claim_id}:{amount_fen}"
    return PayClaim(key=key, lot_id=claim_id, amount_fen=amount_fen, receipt=receipt or f"R-{key}")


def a_claims_end(claim_id: str = "c1", key: str = "") -> EndClaim:
    """End a claim."""
    return EndClaim(key=key or f"end:{claim_id}", lot_id=claim_id, reason="合同终止")


def a_payout(
    amount_fen: int,
    payee: str = "platform",
    programme: str | None = "qingdao-2024",
    key: str = "",
    receipt: str = "",
) -> PayOut:
    """A payee is paid what it earned."""
    key = key or f"pay-out:{payee}:{programme}:{amount_fen}"
    return PayOut(
        key=key,
        payee=payee,
        programme=programme,
        amount_fen=amount_fen,
        receipt=receipt or f"R-{key}",
    )


def a_payback(
    amount_fen: int, payee: str = "platform", programme: str | None = "qingdao-2024", key: str = ""
) -> PayBack:
    """A payee pays back what it was paid."""
    key = key or f"pay-back:{payee}:{programme}:{amount_fen}"
    return PayBack(
        key=key, payee=payee, programme=programme, amount_fen=amount_fen, receipt=f"R-{key}"
    )


def a_close(period_id: str, ends_at: datetime, key: str = "") -> ClosePeriod:
    """Close a period."""
    return ClosePeriod(key=key or f"close:{period_id}", period_id=period_id, ends_at=ends_at)


def a_release(hold_id: str, key: str = "") -> Release:
    """Let a hold go."""
    return Release(key=key or f"release:{hold_id}", hold_id=hold_id)


def an_expiry(lot_id: str = "l1", key: str = "") -> Expire:
    """Book what is left of a lot as expired."""
    return Expire(key=key or f"expire:{lot_id}", lot_id=lot_id)


def book(engine: Engine, *batch: Command, now: datetime = START) -> tuple[Outcome, ...]:
    """Apply a batch in a transaction of its own."""
    with writer_of(engine).turn() as turn:
        return apply(turn, batch, now)


def writer_of(engine: Engine) -> DirectWriter:
    """Return a writer; all that are made so are one and the same to the lease."""
    return DirectWriter(engine, VirtualClock(START), TOOL)


def accept(engine: Engine, *batch: Command, now: datetime = START) -> tuple[Accepted, ...]:
    """Apply a batch of which every command must be accepted."""
    outcomes = book(engine, *batch, now=now)
    return tuple(accepted(outcome) for outcome in outcomes)


def accepted(outcome: Outcome) -> Accepted:
    """Return the outcome, which must be an acceptance."""
    assert isinstance(outcome, Accepted), outcome
    return outcome


def refusal(outcomes: Sequence[Outcome], code: RefusalCode) -> Refusal:
    """Return the last outcome, which must be a refusal with this code."""
    last = outcomes[-1]
    assert isinstance(last, Refusal), last
    assert last.code is code, last
    return last


def drop_triggers(connection: Connection) -> None:
    """Take away what protects the journal, as somebody with full rights could."""
    if connection.dialect.name == "sqlite":
        names = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))
        for (name,) in names.all():
            connection.execute(text(f'DROP TRIGGER "{name}"'))
        return
    for table in APPEND_ONLY:
        connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
