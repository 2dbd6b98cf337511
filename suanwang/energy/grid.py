"""What the grid asks of a site: a power that it promised not to pass for a while."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from suanwang.errors import BadInput


@dataclass(frozen=True, slots=True, kw_only=True)
class GridEvent:
    """A site draws at most ``firm_w`` from the grid between two aware moments."""

    id: str
    start: datetime
    end: datetime
    firm_w: float

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise BadInput(f"grid event {self.id}: its moments need a time zone")
        if self.end <= self.start:
            raise BadInput(
                f"grid event {self.id} must end after its start, "
                f"got {self.start.isoformat()} to {self.end.isoformat()}"
            )
        if not self.firm_w >= 0:
            raise BadInput(f"grid event {self.id}: firm_w must not be negative, got {self.firm_w}")

    def touches(self, start: datetime, end: datetime) -> bool:
        """Whether any moment of a period lies in the event; ends are not part of either."""
        return self.start < end and start < self.end


def firm_w(events: Iterable[GridEvent], start: datetime, end: datetime) -> float | None:
    """Return the least power promised for any moment of a period; None where nothing is."""
    return min((one.firm_w for one in events if one.touches(start, end)), default=None)
