"""What PUE a calendar year will end with, as a band, and how the forecast did on days held back.

Two models of a day's overhead are tried, both against the typical weather of the place:

* the power model of the site's cooling kind, times one factor fitted to the days so far;
* degree days: a + b IT + c IT x kelvins of wet bulb above 10 °C, by least squares.

The last fifth of the days is held back; the model with the smaller error there is fitted to all
days and forecasts the rest of the year at the IT power of the last four weeks. The band covers
90 %: the scatter of weeks, added up as independent, and the bias on the days held back, which is
not.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from collectors.kpis.figure import Known, Kpi, KpiFigure, told, withheld
from suanwang.model.reading import Quality, worst

DAYS_MIN: Final = 14
"""With fewer whole days there is no forecast."""
DEGREE_DAYS_MIN: Final = 60
"""With fewer, the season is not seen well enough for a regression."""
HELD_BACK: Final = 0.2
RECENT_DAYS: Final = 28
WEEK: Final = 7
BALANCE_C: Final = 10.0
"""Below this wet bulb cooling needs about no compressor."""
_Z90: Final = 1.645


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A day: energies in Wh, typical wet bulb, and the overhead that the power model expects."""

    day: date
    it_wh: float
    facility_wh: float
    wet_bulb_c: float
    model_overhead_wh: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """A day to come; the power model's overhead is at the IT power that is assumed."""

    wet_bulb_c: float
    model_overhead_wh: float


Predict = Callable[[float, float, float], float]
"""Overhead, Wh, out of IT Wh, wet bulb and the power model's overhead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    name: str
    predict: Predict


def recent_it_wh(days: Sequence[Day]) -> float:
    """Return the mean daily IT energy of the last four weeks, which the forecast assumes."""
    recent = days[-RECENT_DAYS:]
    return sum(day.it_wh for day in recent) / len(recent)


def forecast(known: Known, days: Sequence[Day], ahead: Sequence[Ahead], limit: float) -> KpiFigure:
    """Return the year's PUE with its band (``low``, ``high``) and the chance to keep the limit.

    ``days`` are the whole days so far, in order; ``ahead`` what is left of the year.
    """
    if len(days) < DAYS_MIN:
        why = f"{len(days)} whole days are known, a forecast takes {DAYS_MIN}"
        return withheld(Kpi.PUE_FORECAST, known, why, parts={"limit": limit})
    if any(day.it_wh <= 0 for day in days):
        return withheld(Kpi.PUE_FORECAST, known, "a day has no IT energy", parts={"limit": limit})
    cut = len(days) - max(WEEK, round(len(days) * HELD_BACK))
    checks = {model.name: _check(model, days[cut:]) for model in _models(days[:cut])}
    chosen = min(checks, key=lambda name: checks[name].error)
    model = next(one for one in _models(days) if one.name == chosen)
    it_wh = recent_it_wh(days)
    overhead_wh = sum(
        max(0.0, model.predict(it_wh, one.wet_bulb_c, one.model_overhead_wh)) for one in ahead
    )
    it_total_wh = sum(day.it_wh for day in days) + it_wh * len(ahead)
    facility_wh = sum(day.facility_wh for day in days) + it_wh * len(ahead) + overhead_wh
    value = facility_wh / it_total_wh
    half = _half_width(model, days, checks[chosen].bias, len(ahead)) * it_wh / it_total_wh
    here = Known(
        start=known.start,
        end=known.end,
        coverage=known.coverage,
        quality=worst(known.quality, Quality.ESTIMATED),
    )
    return told(
        Kpi.PUE_FORECAST,
        here,
        value,
        basis=f"{chosen}; off by {checks[chosen].error:.4f} a day on days held back",
        parts={
            "low": max(1.0, value - half),
            "high": value + half,
            "limit": limit,
            "chance_within_limit": _chance(value, half, limit),
            "held_back_days": len(days) - cut,
            "held_back_error": checks[chosen].error,
            "held_back_bias": checks[chosen].bias,
            "days_known": len(days),
            "days_ahead": len(ahead),
        },
    )


def _models(days: Sequence[Day]) -> list[_Model]:
    models = [_scaled(days)]
    if len(days) >= DEGREE_DAYS_MIN:
        fitted = _degree_days(days)
        if fitted is not None:
            models.append(fitted)
    return models


def _scaled(days: Sequence[Day]) -> _Model:
    expected = sum(day.model_overhead_wh for day in days)
    factor = sum(_overhead(day) for day in days) / expected if expected > 0 else 0.0
    return _Model(
        name="power model of the cooling kind, scaled",
        predict=lambda _it, _wet, model_wh: factor * model_wh,
    )


def _degree_days(days: Sequence[Day]) -> _Model | None:
    """Fit overhead/IT = a/IT + b + c x kelvins; None where the days do not tell them apart."""
    scale = sum(day.it_wh for day in days) / len(days)
    rows = [(scale / day.it_wh, 1.0, _kelvins(day.wet_bulb_c)) for day in days]
    found = _least_squares(rows, [_overhead(day) / day.it_wh for day in days])
    if found is None:
        # With a steady load the fixed part cannot be told from the one that follows the load.
        pair = _least_squares([row[1:] for row in rows], [_overhead(d) / d.it_wh for d in days])
        if pair is None:
            return None
        found = [0.0, *pair]
    a, b, c = found
    return _Model(
        name="degree days",
        predict=lambda it_wh, wet, _model: a * scale + it_wh * (b + c * _kelvins(wet)),
    )


def _overhead(day: Day) -> float:
    return day.facility_wh - day.it_wh


def _kelvins(wet_bulb_c: float) -> float:
    return max(0.0, wet_bulb_c - BALANCE_C)


@dataclass(frozen=True, slots=True)
class _Checked:
    """Mean absolute error of a day's PUE, and its mean, on days that the fit did not see."""

    error: float
    bias: float


def _misses(model: _Model, days: Sequence[Day]) -> list[float]:
    return [
        (_overhead(day) - model.predict(day.it_wh, day.wet_bulb_c, day.model_overhead_wh))
        / day.it_wh
        for day in days
    ]


def _check(model: _Model, days: Sequence[Day]) -> _Checked:
    misses = _misses(model, days)
    return _Checked(sum(map(abs, misses)) / len(misses), sum(misses) / len(misses))


def _half_width(model: _Model, days: Sequence[Day], bias: float, ahead: int) -> float:
    """Return half the band of the PUEs of the days ahead, added up."""
    misses = _misses(model, days)
    weeks = [misses[low : low + WEEK] for low in range(0, len(misses) - WEEK + 1, WEEK)]
    means = [sum(week) / len(week) for week in weeks]
    variance = sum(mean * mean for mean in means) / max(1, len(means) - 1)
    return _Z90 * WEEK * math.sqrt(variance * ahead / WEEK) + abs(bias) * ahead


def _chance(value: float, half: float, limit: float) -> float:
    if half <= 0:
        return float(value <= limit)
    return 0.5 * (1 + math.erf((limit - value) / (half / _Z90) / math.sqrt(2)))


def _least_squares(rows: Sequence[Sequence[float]], targets: Sequence[float]) -> list[float] | None:
    """Solve the normal equations by Gauss; None where they have no clear solution."""
    size = len(rows[0])
    system = [
        [sum(row[i] * row[j] for row in rows) for j in range(size)]
        + [sum(row[i] * target for row, target in zip(rows, targets, strict=True))]
        for i in range(size)
    ]
    scale = max(abs(value) for line in system for value in line) or 1.0
    for column in range(size):
        pivot = max(range(column, size), key=lambda i: abs(system[i][column]))
        if abs(system[pivot][column]) <= 1e-9 * scale:
            return None
        system[column], system[pivot] = system[pivot], system[column]
        for other in range(size):
            if other != column:
                share = system[other][column] / system[column][column]
                system[other] = [
                    a - share * b for a, b in zip(system[other], system[column], strict=True)
                ]
    return [system[i][size] / system[i][i] for i in range(size)]
