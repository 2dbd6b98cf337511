"""How fast a class of jobs runs on each kind of accelerator: a prior, and what jobs teach.

The prior says how speed grows with the compute of the chip: ``(FLOPS / FLOPS of another) ^
elasticity``, with an elasticity for each family of models that was fitted to public measurements.
Finished jobs move it: all rates are in logarithms, a class has one unknown level, each kind of
accelerator a deviation from the prior, which is shrunk by how many jobs stand behind it::

    level    = mean of (median rate of k - prior of k), by weights 1 / (spread^2 + noise^2 / n_k)
    learnt_k = level + prior_k + w_k (median rate of k - level - prior_k)
    w_k      = spread^2 / (spread^2 + noise^2 / n_k)
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import Final

from suanwang.energy.compute import Compute
from suanwang.errors import BadInput

NOISE: Final = 0.15
"""Spread of the logarithm of one kind's rate from job to job, where a class says no other."""
LEARNT_FROM: Final = 0.8
"""Where the jobs weigh so much against the prior, a rate counts as learnt."""
SURE: Final = 1.28
"""Deviations either side that hold eight of ten values."""


class RateQuality(StrEnum):
    """How far a rate rests on jobs of the class: none, some, or enough."""

    PRIOR = "prior"
    MIXED = "mixed"
    LEARNT = "learnt"


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyPrior:
    """How speed grows with compute for a family of models.

    ``spread`` is how far a chip's logarithm of speed was off that line. ``measured_on`` names the
    kinds it was fitted to: any other is a guess along the line.
    """

    id: str
    elasticity: float
    spread: float
    measured_on: tuple[str, ...]
    source: str

    def log_speed(self, compute: Compute) -> float:
        """Return the logarithm of speed, up to a level that is the same for all kinds."""
        if compute.value <= 0:
            raise BadInput("an accelerator without compute has no speed")
        return self.elasticity * math.log(compute.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class LearntRate:
    """A rate (work a second) of a class on one kind: eight of ten jobs lie from low to high."""

    rate: float
    low: float
    high: float
    jobs: int
    quality: RateQuality


def relative_speed(prior: FamilyPrior, one: Compute, other: Compute) -> float:
    """Return how many times as fast a chip is as another, by the prior alone."""
    if one.precision != other.precision:
        raise BadInput(f"{one} and {other} have different precisions and do not compare")
    return math.exp(prior.log_speed(one) - prior.log_speed(other))


def learn_rates(
    prior: FamilyPrior,
    kinds: Mapping[str, Compute],
    finished: Mapping[str, Sequence[float]],
    noise: float = NOISE,
) -> dict[str, LearntRate]:
    """Return the rate on every kind, out of the rates of finished jobs of one class.

    Kinds that ran none are told by the prior, from the level of those that did. Raise BadInput for
    a rate that is not positive, an unknown kind, or where nothing has finished.
    """
    unknown = sorted(finished.keys() - kinds.keys())
    if unknown:
        raise BadInput(f"jobs ran on {', '.join(unknown)}, of which no compute is known")
    seen = {kind: _log_median(kind, rates) for kind, rates in finished.items() if rates}
    if not seen:
        raise BadInput(
            "no job of the class has finished yet", next_step="use relative_speed until one has"
        )
    counts = {kind: len(finished[kind]) for kind in seen}
    lines = {kind: prior.log_speed(compute) for kind, compute in kinds.items()}
    level, level_variance = _level(prior, seen, counts, lines, noise)
    return {
        kind: _rate(
            prior, line, seen.get(kind), counts.get(kind, 0), (level, level_variance, noise)
        )
        for kind, line in lines.items()
    }


def _log_median(kind: str, rates: Sequence[float]) -> float:
    if not all(rate > 0 and math.isfinite(rate) for rate in rates):
        raise BadInput(f"a rate on {kind} is not positive")
    return median(math.log(rate) for rate in rates)


def _level(
    prior: FamilyPrior,
    seen: Mapping[str, float],
    counts: Mapping[str, int],
    lines: Mapping[str, float],
    noise: float,
) -> tuple[float, float]:
    """Return the level of the class and its variance."""
    weights = {kind: 1 / (prior.spread**2 + noise**2 / counts[kind]) for kind in seen}
    total = sum(weights.values())
    return sum(weights[kind] * (seen[kind] - lines[kind]) for kind in seen) / total, 1 / total


def _rate(
    prior: FamilyPrior,
    line: float,
    seen: float | None,
    jobs: int,
    known: tuple[float, float, float],
) -> LearntRate:
    level, level_variance, noise = known
    expected, off = level + line, math.sqrt(level_variance + prior.spread**2 + noise**2)
    quality = RateQuality.PRIOR
    if seen is not None:
        weight = prior.spread**2 / (prior.spread**2 + noise**2 / jobs)
        expected += weight * (seen - expected)
        off = math.sqrt((1 - weight) * prior.spread**2 + noise**2)
        quality = RateQuality.LEARNT if weight >= LEARNT_FROM else RateQuality.MIXED
    return LearntRate(
        rate=math.exp(expected),
        low=math.exp(expected - SURE * off),
        high=math.exp(expected + SURE * off),
        jobs=jobs,
        quality=quality,
    )
