"""The state of a plan as to order: where the jobs stand that others wait for, or that wait."""

from dataclasses import dataclass, field

import numpy as np

from optimizer.arrays import Bools, Floats
from optimizer.columns import Columns
from optimizer.instance import Instance
from optimizer.precedence import INSTANT_S


@dataclass(slots=True)
class Sequence:
    """``placed[k]`` is the column by which the job of a tied class starts."""

    instance: Instance
    columns: Columns
    placed: dict[int, int] = field(default_factory=dict)

    def note(self, column: int, *, is_placed: bool) -> None:
        """Take in that a job starts by the column, or no longer does."""
        k = int(self.columns.klass[column])
        if not self.instance.precedence.is_tied(k):
            return
        if is_placed:
            self.placed[k] = column
        else:
            self.placed.pop(k, None)

    def has_turn(self, k: int) -> bool:
        """Whether all that class k waits for is placed."""
        return all(arc.before in self.placed for arc in self.instance.precedence.into.get(k, ()))

    def is_awaited(self, k: int) -> bool:
        """Whether a placed job waits for that of class k."""
        return any(arc.after in self.placed for arc in self.instance.precedence.out_of.get(k, ()))

    def in_order(self, k: int) -> Bools:
        """For each column of class k: after all that it waits for, before all that waits for it."""
        own = self.columns.of_class(k)
        clear = np.ones(own.stop - own.start, dtype=np.bool_)
        precedence = self.instance.precedence
        if not precedence.is_tied(k):
            return clear
        start_s = self.instance.timeline.start_s[self.columns.slot[own]]
        site = self.instance.site_of[self.columns.pool[own]]
        for arc in precedence.into.get(k, ()):
            if arc.before not in self.placed:
                return np.zeros_like(clear)
            end_s, at = self._end(self.placed[arc.before])
            moves_s = arc.transfer_gb * precedence.seconds_per_gb[at, site]
            clear &= end_s + moves_s <= start_s + INSTANT_S
        ends_s = start_s + self.columns.run_s[own]
        for arc in precedence.out_of.get(k, ()):
            if arc.after in self.placed:
                begins_s, at = self._begin(self.placed[arc.after])
                moves_s = arc.transfer_gb * precedence.seconds_per_gb[site, at]
                clear &= ends_s + moves_s <= begins_s + INSTANT_S
        return clear

    def ready_s(self, k: int, site: int) -> float | None:
        """When all that class k waits for has come to a site; None where one is not placed."""
        precedence, ready_s = self.instance.precedence, 0.0
        for arc in precedence.into.get(k, ()):
            if arc.before not in self.placed:
                return None
            end_s, at = self._end(self.placed[arc.before])
            moves_s = arc.transfer_gb * float(precedence.seconds_per_gb[at, site])
            ready_s = max(ready_s, end_s + moves_s)
        return ready_s

    def moving_yuan(self, k: int) -> Floats:
        """For each column of class k: what moving data to it and from it costs."""
        own = self.columns.of_class(k)
        total = np.zeros(own.stop - own.start)
        precedence = self.instance.precedence
        site = self.instance.site_of[self.columns.pool[own]]
        for arc in precedence.into.get(k, ()):
            if arc.before in self.placed:
                _, at = self._end(self.placed[arc.before])
                total = total + arc.transfer_gb * precedence.yuan_per_gb[at, site]
        for arc in precedence.out_of.get(k, ()):
            if arc.after in self.placed:
                _, at = self._begin(self.placed[arc.after])
                total = total + arc.transfer_gb * precedence.yuan_per_gb[site, at]
        return total

    def total_yuan(self) -> float:
        """What moving data costs in all."""
        return sum(self.arriving_yuan(k) for k in sorted(self.placed))

    def arriving_yuan(self, k: int) -> float:
        """What moving data to the job of class k costs, where it stands."""
        if k not in self.placed:
            return 0.0
        precedence, total = self.instance.precedence, 0.0
        _, site = self._begin(self.placed[k])
        for arc in precedence.into.get(k, ()):
            if arc.before in self.placed:
                _, at = self._end(self.placed[arc.before])
                total += arc.transfer_gb * float(precedence.yuan_per_gb[at, site])
        return total

    def _begin(self, column: int) -> tuple[float, int]:
        site = int(self.instance.site_of[self.columns.pool[column]])
        return float(self.instance.timeline.start_s[self.columns.slot[column]]), site

    def _end(self, column: int) -> tuple[float, int]:
        begin_s, site = self._begin(column)
        return begin_s + float(self.columns.run_s[column]), site
