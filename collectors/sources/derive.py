"""Readings that formulas make of other readings of the same poll."""

import math
from collections.abc import Iterator, Mapping

from collectors.formulas import FORMULAS
from collectors.profiles.base import Derived, split_key
from suanwang.model.reading import Quality, Reading


def derived_readings(
    derived: Mapping[str, Derived], readings: Mapping[str, Reading], device: str
) -> Iterator[Reading]:
    """Yield what can be derived; nothing where an input is missing or outside a formula's range.

    ``device`` is the subject of the device; a derived reading is as old as its oldest input.
    """
    for key, recipe in derived.items():
        inputs = [readings[each] for each in recipe.of if each in readings]
        if len(inputs) != len(recipe.of):
            continue
        value = FORMULAS[recipe.formula].compute(*(each.value for each in inputs))
        if value is None or not math.isfinite(value):
            continue
        part, metric = split_key(key)
        yield Reading(
            subject=f"{device}/{part}" if part else device,
            metric=metric,
            value=value,
            at=min(each.at for each in inputs),
            quality=Quality.DERIVED,
        )
