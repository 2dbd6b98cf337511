"""A model in the making: the variables that several families touch."""

from dataclasses import dataclass, field

import numpy as np

from optimizer.arrays import Floats, Ints
from optimizer.columns import Columns
from optimizer.instance import Instance
from optimizer.model import Block, ModelBuilder


@dataclass(frozen=True, slots=True)
class Draft:
    """Builder, data, and blocks: ``start`` by column, ``left`` by class, ``used`` by (p, t).

    ``mean`` is mean IT power above the base by (s, t), kW; ``reach_w`` the most that any plan can
    make of it, W. ``place`` are the rows of the classes. ``row_of`` gets the rows of single lots
    (``lot:ID``) and of tenants' cash (``cash:ID``): the price board looks them up.
    """

    builder: ModelBuilder
    instance: Instance
    columns: Columns
    start: Block
    left: Block
    used: Block
    mean: Block
    place: Block
    reach_w: Floats
    row_of: dict[str, int] = field(default_factory=dict)

    @property
    def slots(self) -> int:
        """How many slots there are."""
        return self.instance.timeline.slots

    @property
    def units(self) -> Floats:
        """Units of one job, by column."""
        return self.columns.units.astype(np.float64)


def every(block: Block) -> Ints:
    """Return the place of every variable (or row) of a block."""
    return np.arange(block.first, block.first + block.count, dtype=np.int64)
