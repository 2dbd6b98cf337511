"""The shell around ``lifecycle.advance``: writes what it decides, all in one turn at the ledger.

The caller has locked the job's row and read job and attempt after that. Every line of the job's
story is also a log line, so a job can be followed through the centre's log by its id.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from scheduler import billing, store, store_extensions, store_orders
from scheduler.billing import HoldRefused
from scheduler.events import (
    Bill,
    ConfirmExtension,
    Event,
    ExtendHold,
    Instruction,
    IssueOrder,
    Note,
    OpenHold,
    ReleaseHold,
    Requeue,
    Step,
    WithdrawOrders,
)
from scheduler.lifecycle import advance
from suanwang.errors import InvalidTransition
from suanwang.model.attempt import Attempt
from suanwang.model.job import Job
from voucher.turn import Turn

_LOG = logging.getLogger(__name__)
_HELD: Final = Note(kind="held", message="money is set aside")


def take(turn: Turn, job: Job, attempt: Attempt | None, event: Event) -> Step:
    """Advance and write: job, attempt, money, orders and story. Returns the step as written.

    Raises InvalidTransition, Conflict (the job was written in between) or billing.HoldRefused; the
    caller's unit of work must then end with it.
    """
    step = advance(job, attempt, event)
    written = step.job
    if step.job != job:
        written = store.update_job(turn.connection, step.job)
    if step.attempt is not None and step.attempt != attempt:
        store.save_attempt(turn.connection, step.attempt)
    done = step._replace(job=written)
    for instruction in step.instructions:
        _carry_out(turn, done, instruction, event.at)
    return done


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job with its newest attempt, and what happens to it."""

    job: Job
    attempt: Attempt | None
    event: Event


def take_many(
    turn: Turn, wanted: Sequence[Wanted], now: datetime
) -> list[HoldRefused | InvalidTransition | None]:
    """Do what ``take`` does for many jobs at once, in a few statements; return what failed.

    Money is asked for first, in one batch; a job whose hold is refused stays as it was, and so does
    one that the event cannot be true of. For events of the queue, which have no other instructions
    than holds, start orders and notes. Raises Conflict where a job was written in between.
    """
    failed: list[HoldRefused | InvalidTransition | None] = [None] * len(wanted)
    steps: dict[int, Step] = {}
    holds: dict[int, OpenHold] = {}
    for at, one in enumerate(wanted):
        try:
            steps[at] = advance(one.job, one.attempt, one.event)
        except InvalidTransition as failure:
            failed[at] = failure
            continue
        for told in steps[at].instructions:
            if isinstance(told, OpenHold):
                holds[at] = told
    asked = [(wanted[at].job.tenant_id, hold) for at, hold in holds.items()]
    for at, refused in zip(holds, billing.open_holds(turn, asked, now), strict=True):
        if refused is not None:
            failed[at] = refused
            del steps[at]
    _write_many(turn.connection, [(wanted[at], step) for at, step in steps.items()], now)
    return failed


def _write_many(connection: Connection, done: Sequence[tuple[Wanted, Step]], now: datetime) -> None:
    changed = [step.job for one, step in done if step.job != one.job]
    store.update_jobs(connection, changed)
    intents = [
        step.attempt
        for one, step in done
        if step.attempt is not None and step.attempt != one.attempt
    ]
    store.insert_attempts(connection, intents)
    orders: list[IssueOrder] = []
    story: list[store.JobEvent] = []
    for _, step in done:
        for told in step.instructions:
            match told:
                case OpenHold(slices=slices):
                    held_fen = sum(part.amount_fen for part in slices)
                    story.append(_line(step, _HELD, now, held_fen))
                case IssueOrder():
                    orders.append(told)
                case Note():
                    story.append(_line(step, told, now))
                case _:
                    raise InvalidTransition(f"no event of the queue asks for {told}")
    store_orders.issue_new_orders(connection, orders, now)
    store.add_events(connection, story)


def _carry_out(turn: Turn, step: Step, instruction: Instruction, now: datetime) -> None:
    match instruction:
        case OpenHold():
            billing.open_hold(turn, step.job.tenant_id, instruction, now)
            held_fen = sum(part.amount_fen for part in instruction.slices)
            _tell(turn.connection, step, _HELD, now, held_fen)
        case ExtendHold(extension=extension):
            billing.extend_hold(turn, instruction, now)
            store_extensions.add(turn.connection, extension)
        case ConfirmExtension(attempt_id=attempt_id, number=number):
            store_extensions.confirm(turn.connection, attempt_id, number, now)
        case IssueOrder():
            store_orders.issue_order(turn.connection, instruction, now)
        case WithdrawOrders(attempt_id=attempt_id):
            store_orders.withdraw_orders(turn.connection, attempt_id)
        case Bill() | ReleaseHold():
            _settle(turn, step, instruction, now)
        case _:
            _tell(turn.connection, step, _note(instruction), now)


def _note(told: Note | Requeue) -> Note:
    return told if isinstance(told, Note) else Note(kind="requeued", message=told.message)


def settle_again(
    turn: Turn,
    job: Job,
    attempt: Attempt,
    settle: Bill | ReleaseHold,
    now: datetime,
) -> None:
    """Settle the hold of an attempt that died before; the same key makes a repeat harmless."""
    _settle(turn, Step(job, attempt), settle, now)


def _settle(turn: Turn, step: Step, instruction: Bill | ReleaseHold, now: datetime) -> None:
    if isinstance(instruction, Bill) and step.attempt is not None:
        settled = billing.settle(turn, step.attempt, instruction, now)
    elif isinstance(instruction, ReleaseHold):
        settled = billing.release(turn, instruction, now)
    else:
        raise InvalidTransition("a bill without an attempt", job_id=step.job.id)
    note = Note(kind=settled.kind, message=settled.message)
    _tell(turn.connection, step, note, now, settled.amount_fen)


def _tell(
    connection: Connection, step: Step, note: Note, now: datetime, amount_fen: int | None = None
) -> None:
    store.add_event(connection, _line(step, note, now, amount_fen))


def _line(step: Step, note: Note, now: datetime, amount_fen: int | None = None) -> store.JobEvent:
    """Return a line of a job's story; it is a line of the log as well."""
    facts: dict[str, object] = {}
    if step.attempt is not None:
        facts["attempt"] = step.attempt.id
        facts["site"] = step.attempt.site_id
    if amount_fen is not None:
        facts["amount_fen"] = amount_fen
    level = logging.ERROR if note.is_alarm else logging.INFO
    if _LOG.isEnabledFor(level):
        _LOG.log(level, "job %s: %s", note.kind, note.message, extra={"job": step.job.id, **facts})
    return store.JobEvent(
        job_id=step.job.id, seq=0, at=now, kind=note.kind, message=note.message, facts=facts
    )
