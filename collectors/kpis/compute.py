"""Compute of a fleet by kind and precision; without its precision a figure says nothing.

Performance is that of dense products. Figures of different precision never add up, and the share of
intelligent compute is taken at one precision, which stands with it: at FP16 an accelerator counts
some fifteen times what it counts at FP32.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from collectors.kpis.figure import Known, Kpi, KpiFigure, told, withheld
from suanwang.energy.compute import Precision
from suanwang.model.reading import Quality, worst

_TERA: Final = 10**12


class ComputeKind(StrEnum):
    """What compute is made for (智能, 通用, 超算)."""

    INTELLIGENT = "intelligent"
    GENERAL = "general"
    SUPER = "super"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCompute:
    """Dense TFLOP/s of one unit by precision; a precision that nobody knows is left out."""

    model: str
    kind: ComputeKind
    tflops: Mapping[Precision, float]
    mark: str


@dataclass(frozen=True, slots=True)
class Fleet:
    """So many units of one model."""

    model: str
    units: int


def compute(
    known: Known,
    fleets: Sequence[Fleet],
    matrix: Mapping[str, ModelCompute],
    precision: Precision,
    kind: ComputeKind | None = None,
) -> KpiFigure:
    """Return the performance of a fleet in FLOP/s at one precision, of one kind or of all.

    Coverage is the share of its units whose performance is known: with fewer than all, the value is
    a lower bound, and an estimate. The parts tell what each kind makes of it.
    """
    taken = [fleet for fleet in fleets if kind is None or _is(kind, fleet, matrix)]
    basis = f"{precision} dense, {kind or 'all kinds'}"
    units = sum(fleet.units for fleet in taken)
    known_units = 0
    tflops = dict.fromkeys(ComputeKind, 0.0)
    marks: set[str] = set()
    for fleet in taken:
        model = matrix.get(fleet.model)
        if model is None or precision not in model.tflops:
            continue
        known_units += fleet.units
        tflops[model.kind] += fleet.units * model.tflops[precision]
        marks.add(model.mark)
    here = _known_share(known, known_units, units)
    if units and not known_units:
        names = ", ".join(sorted({fleet.model for fleet in taken}))
        return withheld(Kpi.COMPUTE, here, f"no {precision} performance of {names}", basis=basis)
    marked = f"{basis}; {', '.join(sorted(marks))}" if marks else basis
    return told(
        Kpi.COMPUTE,
        here,
        sum(tflops.values()) * _TERA,
        basis=marked,
        parts={
            "units": units,
            "units_known": known_units,
            **{f"{one}_flops": value * _TERA for one, value in tflops.items() if value},
        },
    )


def _is(kind: ComputeKind, fleet: Fleet, matrix: Mapping[str, ModelCompute]) -> bool:
    model = matrix.get(fleet.model)
    return model is not None and model.kind is kind


def _known_share(known: Known, known_units: int, units: int) -> Known:
    share = known_units / units if units else 1.0
    is_whole = known_units == units
    return Known(
        start=known.start,
        end=known.end,
        coverage=share,
        quality=known.quality if is_whole else worst(known.quality, Quality.ESTIMATED),
    )


def intelligent_share(
    known: Known,
    fleets: Sequence[Fleet],
    matrix: Mapping[str, ModelCompute],
    precision: Precision,
) -> KpiFigure:
    """Return intelligent over all compute, all of it at one precision."""
    whole = compute(known, fleets, matrix, precision)
    part = compute(known, fleets, matrix, precision, ComputeKind.INTELLIGENT)
    here = Known(start=known.start, end=known.end, coverage=whole.coverage, quality=whole.quality)
    basis = f"{precision} dense"
    if not whole.value:
        why = whole.withheld or "no compute is registered"
        return withheld(Kpi.INTELLIGENT_SHARE, here, why, basis=basis)
    if part.value is None:
        return withheld(Kpi.INTELLIGENT_SHARE, here, part.withheld, basis=basis)
    return told(
        Kpi.INTELLIGENT_SHARE,
        here,
        part.value / whole.value,
        basis=basis,
        parts={"intelligent_flops": part.value, "all_flops": whole.value},
    )
