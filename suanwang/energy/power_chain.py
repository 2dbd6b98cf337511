"""Losses between the meter at the border and the rack: transformers, UPS or HVDC, by load.

A stage is stated as its maker states it, by efficiency at some loads and the loss without load. In
between the *loss* is drawn straight, and it must be convex: a stage whose efficiency peaks too
sharply is a typing error. Stages follow each other, and each is as many times there as the chain
has paths, which share the load: so 2N runs every stage at half its load, where it is less
efficient.
"""

from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise

from suanwang.errors import BadInput


@dataclass(frozen=True, slots=True)
class LossPoint:
    """Loss at a load, both as shares of what the stage is rated for."""

    load: float
    loss: float


@dataclass(frozen=True, slots=True)
class PowerStage:
    """A stage by its losses, from no load up; beyond the last point its slope goes on."""

    id: str
    points: tuple[LossPoint, ...]

    @classmethod
    def of(
        cls, name: str, no_load: float, efficiency: tuple[tuple[float, float], ...]
    ) -> "PowerStage":
        """Return a stage from (load, efficiency) pairs; raise BadInput where it is not convex."""
        points = [LossPoint(0.0, no_load)]
        for load, share in sorted(efficiency):
            if not (0 < load <= 1 and 0 < share <= 1):
                raise BadInput(f"stage {name}: efficiency {share} at load {load} is none")
            points.append(LossPoint(load, load * (1 / share - 1)))
        slopes = [
            (two.loss - one.loss) / (two.load - one.load) if two.load > one.load else -1.0
            for one, two in pairwise(points)
        ]
        if not slopes or slopes[0] < 0 or no_load < 0:
            raise BadInput(f"stage {name}: its loss must rise from what it is without load")
        for place, (one, two) in enumerate(pairwise(slopes), 1):
            if two < one:
                raise BadInput(
                    f"stage {name}: at load {points[place].load} its loss rises by {one:.4f} "
                    f"before and {two:.4f} after, so it is not convex",
                    next_step="check the efficiencies on both sides",
                )
        return cls(id=name, points=tuple(points))

    def loss(self, load: float) -> float:
        """Return the loss at a load, as a share of the rating."""
        one, two = self._around(load)
        return one.loss + (load - one.load) * (two.loss - one.loss) / (two.load - one.load)

    def slope(self, load: float) -> float:
        """Return what one more unit of load loses; at a point the slope before it."""
        one, two = self._around(load)
        return (two.loss - one.loss) / (two.load - one.load)

    def _around(self, load: float) -> tuple[LossPoint, LossPoint]:
        place = bisect_left([point.load for point in self.points], load)
        place = min(max(place, 1), len(self.points) - 1)
        return self.points[place - 1], self.points[place]


@dataclass(frozen=True, slots=True)
class PowerChain:
    """Stages from the border to the rack, each rated for the site's design IT power a path."""

    id: str
    stages: tuple[PowerStage, ...]
    paths: int = 1

    def __post_init__(self) -> None:
        if self.paths < 1 or not self.stages:
            raise BadInput(f"power chain {self.id} needs a stage and a path")

    def electrical(self, load: float) -> float:
        """Return all losses at an IT load, both as shares of the design IT power."""
        return self._through(load)[0] - load

    def slope(self, load: float) -> float:
        """Return what one more watt of IT loses on its way."""
        return self._through(load)[1] - 1

    def _through(self, load: float) -> tuple[float, float]:
        """Return the power that goes in for ``load`` at the rack, and its slope."""
        power, slope = load, 1.0
        for stage in reversed(self.stages):
            each = power / self.paths
            slope *= 1 + stage.slope(each)
            power += self.paths * stage.loss(each)
        return power, slope
