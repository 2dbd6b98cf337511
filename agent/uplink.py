"""Sends what the spool holds: telemetry, output and reports, oldest first, each until it is taken.

What the centre will never take is set aside with its reason, so it cannot block what comes after.
"""

import logging
from typing import Final

from agent.channel import CentreChannel, CentreRefused, persist
from agent.spool import Piece, Spool
from suanwang.clock import Clock
from suanwang.wire.agent import LogUpload, Receipt, ReportUpload

log = logging.getLogger(__name__)

REPORTS_MAX: Final = 500
"""Reports of one upload."""


class Uplink:
    """Hands over the spool's content. Each ``send_…`` returns whether there was anything."""

    def __init__(self, channel: CentreChannel, spool: Spool, clock: Clock) -> None:
        self._channel = channel
        self._spool = spool
        self._clock = clock

    async def send_telemetry(self) -> bool:
        """Send the oldest batch."""
        batch = self._spool.batches.next()
        if batch is None:
            return False
        try:
            receipt = await persist(lambda: self._channel.send_telemetry(batch.body), self._clock)
        except CentreRefused as failure:
            self._set_aside("telemetry", batch.body, failure)
        else:
            _warn_refused("readings", receipt)
        self._spool.batches.sent(batch.id)
        return True

    async def send_output(self) -> bool:
        """Send the oldest piece of output."""
        piece = self._spool.next_piece()
        if piece is None:
            return False
        upload = LogUpload(attempt_id=piece.attempt_id, offset=piece.start, text=piece.text)
        try:
            receipt = await persist(lambda: self._channel.send_output(upload), self._clock)
        except CentreRefused as failure:
            log.error("output refused", extra={"attempt": piece.attempt_id, "why": failure.message})
            self._spool.drop_output(piece.attempt_id)
            return True
        self._taken(piece, receipt.next_offset)
        return True

    async def send_reports(self) -> bool:
        """Send the oldest reports whose attempts have no output waiting."""
        waiting = self._spool.reports(REPORTS_MAX)
        if not waiting:
            return False
        upload = ReportUpload(reports=tuple(stored.report for stored in waiting))
        try:
            receipt = await persist(lambda: self._channel.send_reports(upload), self._clock)
        except CentreRefused as failure:
            self._set_aside("reports", upload.model_dump_json().encode(), failure)
        else:
            _warn_refused("reports", receipt)
        self._spool.reports_sent([stored.id for stored in waiting])
        return True

    def _taken(self, piece: Piece, next_offset: int) -> None:
        """Let go of what was taken. A gap at the centre cannot be filled: it is gone here too."""
        if next_offset < piece.start + len(piece.text):
            log.error(
                "the centre lost output that it had taken",
                extra={"attempt": piece.attempt_id, "wants": next_offset, "have": piece.start},
            )
            self._spool.drop_output(piece.attempt_id)
            return
        self._spool.output_taken(piece.attempt_id, next_offset)

    def _set_aside(self, kind: str, body: bytes, failure: CentreRefused) -> None:
        log.error("upload refused and set aside", extra={"kind": kind, "why": failure.message})
        self._spool.put_aside(kind, body, failure.message)


def _warn_refused(what: str, receipt: Receipt) -> None:
    for reason in receipt.refused[:10]:
        log.warning("refused by the centre", extra={"what": what, "why": reason})
