"""How much of the planner's time limit is left."""

from dataclasses import dataclass, field
from time import perf_counter


@dataclass(frozen=True, slots=True)
class Deadline:
    """A limit in seconds that runs from the moment it is made."""

    limit_s: float
    _began_s: float = field(default_factory=perf_counter)

    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return perf_counter() - self._began_s

    def left_s(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self.limit_s - self.elapsed_s())

    @property
    def is_over(self) -> bool:
        """Whether nothing is left."""
        return self.left_s() <= 0.0
