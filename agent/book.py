"""The attempts of this site: in memory for speed, on disk before anything is done about them.

Every change goes through ``update``, which writes the record and, where the centre must hear of it,
the report in the same step.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from agent.record import (
    SKEW_S_MIN,
    LocalState,
    Record,
    accept,
    is_late,
    is_news,
    make_report,
    with_note,
)
from agent.spool import Spool
from suanwang.clock import Clock
from suanwang.wire.agent import ExtendOrder, NoteOrder, Order

log = logging.getLogger(__name__)


class AttemptBook:
    """Records of attempts that have something left to do; the rest is in the spool only."""

    def __init__(self, spool: Spool, clock: Clock) -> None:
        self._spool = spool
        self._clock = clock
        self._records = {record.attempt_id: record for record in spool.open_records()}
        self._strangers: dict[str, int] = {}
        self._skew_s = spool.skew_s()

    @property
    def skew_s(self) -> float:
        """The centre's clock minus ours, in seconds, as last measured."""
        return self._skew_s

    def note_skew(self, skew_s: float) -> None:
        """Keep how far the two clocks are apart: leases end by the centre's."""
        if abs(skew_s - self._skew_s) >= SKEW_S_MIN / 2:
            self._spool.keep_skew(skew_s)
            self._skew_s = skew_s

    def __contains__(self, attempt_id: str) -> bool:
        """Whether there is something left to do for the attempt."""
        return attempt_id in self._records

    def get(self, attempt_id: str) -> Record:
        """Return the record; raises KeyError."""
        return self._records[attempt_id]

    def records(self) -> tuple[Record, ...]:
        """Return the attempts with something left to do, in the order they came."""
        return tuple(self._records.values())

    def running(self) -> tuple[str, ...]:
        """Return the attempts that we know to be alive, or on their way."""
        return tuple(
            record.attempt_id
            for record in self._records.values()
            if not record.state.is_final
            and record.state is not LocalState.UNKNOWN
            and record.silent_since is None
        )

    def attempts_by_run(self) -> dict[str, str]:
        """Return which attempt each of the executor's runs is."""
        return {
            record.executor_id: record.attempt_id
            for record in self._records.values()
            if record.executor_id
        }

    def update(self, attempt_id: str, change: Callable[[Record], Record]) -> Record:
        """Apply a change to the record as it stands now; keep it, and its report, on disk."""
        before = self._records[attempt_id]
        after = change(before)
        if after == before:
            return before
        report = None
        if is_news(before, after):
            after, report = make_report(after, self._clock.now(), self._skew_s)
            log.info(
                "attempt",
                extra={
                    "attempt": attempt_id,
                    "state": after.state.value,
                    "why": after.message[:200],
                },
            )
        self._spool.save(after, report)
        self._records[attempt_id] = after
        if after.is_archived:
            del self._records[attempt_id]
        return after

    def add_output(self, attempt_id: str, text: str) -> None:
        """Keep output that follows on what is here."""
        record = self._records[attempt_id]
        longer = replace(record, log_read=record.log_read + len(text))
        self._spool.add_output(longer, text)
        self._records[attempt_id] = longer

    def take(self, orders: Sequence[Order]) -> tuple[str, ...]:
        """Put orders on disk; return the ids of those that are there now.

        An order for an attempt that is known already is answered by another report on it.
        """
        for order in orders:
            known = self._find(order.attempt_id)
            if known is None and isinstance(order, ExtendOrder | NoteOrder):
                log.warning("order for an unknown attempt", extra={"id": order.id})
                continue
            record = accept(known, order, self._clock.now())
            if known is None:
                log.info(
                    "order", extra={"attempt": order.attempt_id, "kind": order.kind, "id": order.id}
                )
            if known is not None and known.state is not LocalState.INTENT:
                self._report_again(record)
            else:
                self._keep(record)
            if isinstance(order, ExtendOrder | NoteOrder):
                self._add_note(order)
        return tuple(order.id for order in orders)

    def late(self, orders: Sequence[Order]) -> tuple[str, ...]:
        """Return the ids of those extensions among taken orders that came too late."""
        return tuple(
            order.id
            for order in orders
            if isinstance(order, ExtendOrder) and is_late(self._find(order.attempt_id), order)
        )

    def _find(self, attempt_id: str) -> Record | None:
        return self._records.get(attempt_id) or self._spool.find(attempt_id)

    def _add_note(self, order: ExtendOrder | NoteOrder) -> None:
        """Put a line of the centre's into the output, once; with an extension only if it counts."""
        record = self._find(order.attempt_id)
        if record is None or (isinstance(order, ExtendOrder) and is_late(record, order)):
            return
        noted, line = with_note(record, order)
        if line:
            self._spool.add_output(noted, line)
            self._records[noted.attempt_id] = noted

    def compare(self, believed: Sequence[str]) -> None:
        """Answer the centre's list of attempts that it believes alive here.

        One that ended is reported again. One that we have no record of, twice in a row, is reported
        as unknown: only a fence, which names its executor id, can tell.
        """
        strangers: dict[str, int] = {}
        for attempt_id in believed:
            known = self._find(attempt_id)
            if known is None:
                strangers[attempt_id] = self._strangers.get(attempt_id, 0) + 1
            elif known.state.is_final and not self._spool.has_unsent(attempt_id):
                self._report_again(known)
        for attempt_id, times in strangers.items():
            if times == 2:
                self._report_stranger(attempt_id)
        self._strangers = strangers

    def has_unsent(self, attempt_id: str) -> bool:
        """Whether reports or output of the attempt wait to be sent."""
        return self._spool.has_unsent(attempt_id)

    def _keep(self, record: Record) -> None:
        self._spool.save(record)
        self._records[record.attempt_id] = record

    def _report_again(self, record: Record) -> None:
        numbered, report = make_report(record, self._clock.now(), self._skew_s)
        self._spool.save(numbered, report)
        if not numbered.is_archived:
            self._records[record.attempt_id] = numbered

    def _report_stranger(self, attempt_id: str) -> None:
        log.error("the centre believes in an attempt unknown here", extra={"attempt": attempt_id})
        stranger = Record(
            attempt_id=attempt_id,
            executor_id="",
            accepted_at=self._clock.now(),
            state=LocalState.UNKNOWN,
            message="the agent has no record of this attempt; only a fence can tell",
        )
        self._spool.add_report(make_report(stranger, self._clock.now())[1])
