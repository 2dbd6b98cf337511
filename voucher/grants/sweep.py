"""Doing what time alone does: one application at a time, in the caller's transaction."""

import logging
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection

from suanwang.errors import SuanwangError
from voucher import store as voucher_store
from voucher.grants import store, store_due
from voucher.grants.case import CLOCK, Action, DueKind, Event, State
from voucher.grants.records import Record
from voucher.grants.service import require_evidence
from voucher.grants.steps import Desk, free_lots, take, till_of
from voucher.turn import Turn
from voucher.wording import Words

_LOG = logging.getLogger(__name__)

_WORDS = {
    DueKind.PUBLICITY: Words(
        en="the publicity days are over, and no objection was upheld",
        zh="公示期已满，无异议成立",
    ),
    DueKind.REVIEW: Words(
        en="the days for this step of the review are over", zh="本环节的办理期限已过"
    ),
}


def do_due(turn: Turn, application_id: str, now: datetime) -> bool:
    """Do what is due for an application; return whether anything was.

    What cannot be done, such as the end of a publicity whose papers are not on file, becomes
    overdue: it is shown to the reviewers with its reason, and not tried again.
    """
    connection = turn.connection
    record = store.find(connection, application_id, for_update=True)
    due = record.case.due
    if due is None or due.kind is DueKind.OVERDUE or due.at > now:
        return False
    desk = till_of(turn, Desk(connection=connection, actor=CLOCK, now=now))
    try:
        with connection.begin_nested():
            _do(desk, record, due.kind)
    except SuanwangError as failure:
        _LOG.warning("overdue: %s", failure.message, extra={"application": record.id})
        _take_overdue(desk, record, _words(failure))
    return True


def _do(desk: Desk, record: Record, kind: DueKind) -> None:
    match kind:
        case DueKind.PUBLICITY:
            require_evidence(desk, record)
            event = Event(action=Action.END_PUBLICITY, actor=CLOCK, reason=_WORDS[kind].en)
            take(desk, record, event, {})
        case DueKind.WARNING | DueKind.END:
            left, ends_at = _left_fen(desk, record), record.case.ends_at
            is_over = ends_at is not None and desk.now >= ends_at
            # After a time without a centre the end may be there before its warning.
            action = Action.END if is_over or kind is DueKind.END else Action.WARN
            event = Event(action=action, actor=CLOCK, amount_fen=left)
            take(desk, record, event, {"left_fen": left, "lots": list(record.lots)})
        case _:
            _take_overdue(desk, record, _WORDS[DueKind.REVIEW])


def _take_overdue(desk: Desk, record: Record, why: Words) -> None:
    event = Event(action=Action.OVERDUE, actor=CLOCK, reason=why.en, reason_zh=why.zh)
    take(desk, record, event, {})


def _words(failure: SuanwangError) -> Words:
    """Return why a step could not be done; missing papers are what applicants can mend."""
    missing = failure.facts.get("missing")
    zh = f"缺少材料：{'、'.join(map(str, missing))}" if isinstance(missing, list) else ""
    return Words(en=failure.message, zh=zh)


def _left_fen(desk: Desk, record: Record) -> int:
    """Return what is not used of an application's lots, or not redeemed of its claim."""
    if record.state is not State.ISSUED:
        return record.case.award_fen - record.case.redeemed_fen
    lots = (voucher_store.find_lot(desk.connection, one, desk.now) for one in record.lots)
    return sum(lot.available_fen + lot.expired_fen for lot in lots)


def free_ended(turn: Turn, lot_ids: Collection[str], now: datetime) -> None:
    """Let the caps go of what came back of the awards of these lots."""
    free_lots(Desk(connection=turn.connection, actor=CLOCK, now=now), lot_ids)


def due_now(connection: Connection, now: datetime) -> tuple[str, ...]:
    """Return the applications for which something is due, the longest due first."""
    return store_due.due_ids(connection, now)
