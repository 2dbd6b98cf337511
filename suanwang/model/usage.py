"""What an attempt used, in exact intervals: the ground of every bill."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from suanwang.ids import AttemptId


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageInterval:
    """``quantity`` of ``resource`` between two moments, with the source of the two moments.

    ``resource`` is the pool's accelerator. Sources, best first: ``supervisor`` (the entrypoint's
    exact window), ``poll`` (first and last sight by the agent), ``lease`` (what the lease allowed
    at most).
    """

    attempt_id: AttemptId
    resource: str
    quantity: int
    started_at: datetime
    ended_at: datetime
    source: str

    @property
    def unit_ms(self) -> int:
        """Quantity times milliseconds."""
        return self.quantity * ((self.ended_at - self.started_at) // timedelta(milliseconds=1))
