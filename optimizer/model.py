"""A linear model as plain arrays, ready for any solver, and the builder the families write to."""

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix

from optimizer.arrays import Bools, Floats, Ints

INFINITY: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Block:
    """Neighbouring variables (or rows) of one family: ``first .. first + count``."""

    name: str
    first: int
    count: int

    @property
    def where(self) -> slice:
        """The block as a slice."""
        return slice(self.first, self.first + self.count)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a model has its starts.

    ``start`` and ``left`` are variables, ``place`` the rows ``sum of start + left = n`` of the
    classes. ``klass`` is each start's class, ascending; ``group`` its class, shape and pool as
    one number, ascending too.
    """

    start: Block
    left: Block
    place: Block
    klass: Ints
    group: Ints


@dataclass(frozen=True, slots=True)
class Model:
    """Minimise ``cost x`` subject to ``row_lower <= A x <= row_upper`` and ``lower <= x <= upper``.

    A is stored by columns (``start``, ``index``, ``value``). All variables have finite bounds, so
    the Lagrangian bound is finite for any duals.
    """

    cost: Floats
    lower: Floats
    upper: Floats
    is_integral: Bools
    row_lower: Floats
    row_upper: Floats
    start: NDArray[np.int32]
    index: NDArray[np.int32]
    value: Floats
    variables: tuple[Block, ...]
    rows: tuple[Block, ...]
    layout: Layout | None = None

    @property
    def columns(self) -> int:
        """How many variables there are."""
        return len(self.cost)

    @property
    def row_count(self) -> int:
        """How many rows there are."""
        return len(self.row_lower)

    @property
    def nonzeros(self) -> int:
        """How many coefficients there are."""
        return len(self.value)

    def activity(self, values: Floats) -> Floats:
        """Return A x."""
        weights = self.value * np.repeat(values, np.diff(self.start))
        sums = np.bincount(self.index, weights=weights, minlength=self.row_count)
        return sums.astype(np.float64)

    def weigh_rows(self, duals: Floats) -> Floats:
        """Return the product of A transposed and ``duals``."""
        sums = np.concatenate([[0.0], np.cumsum(self.value * duals[self.index])])
        weighed: Floats = sums[self.start[1:]] - sums[self.start[:-1]]
        return weighed

    def relaxed(self) -> "Model":
        """Return the model without integrality."""
        return replace(self, is_integral=np.zeros(self.columns, dtype=np.bool_))

    def fixed_at_zero(self, drop: Bools) -> "Model":
        """Return the model with the given variables held at zero, for any presolve to remove."""
        return replace(self, upper=np.where(drop, np.minimum(self.upper, 0.0), self.upper))

    def matrix(self) -> csc_matrix:
        """Return A."""
        shape = (self.row_count, self.columns)
        return csc_matrix((self.value, self.index, self.start), shape=shape)

    def only(self, inside: Ints, matrix: csc_matrix | None = None) -> "Model":
        """Return the model of the variables ``inside``; the others are zero in it.

        ``matrix`` is A, where the caller has it at hand.
        """
        part = (self.matrix() if matrix is None else matrix)[:, inside]
        return replace(
            self,
            cost=self.cost[inside],
            lower=self.lower[inside],
            upper=self.upper[inside],
            is_integral=self.is_integral[inside],
            start=part.indptr.astype(np.int32),
            index=part.indices.astype(np.int32),
            value=part.data,
            variables=(Block("inside", 0, len(inside)),),
            layout=None,
        )

    def variable_names(self) -> list[str]:
        """Return a name for every variable: its family and its place within."""
        return [f"{block.name}_{at}" for block in self.variables for at in range(block.count)]

    def row_names(self) -> list[str]:
        """Return a name for every row: its family and its place within."""
        return [f"{block.name}_{at}" for block in self.rows for at in range(block.count)]


@dataclass(frozen=True, slots=True)
class _Variables:
    cost: Floats
    upper: Floats
    is_integral: bool


@dataclass(slots=True)
class ModelBuilder:
    """Collects variables, rows and coefficients of all families, then gives the arrays."""

    _variables: list[Block] = field(default_factory=list)
    _rows: list[Block] = field(default_factory=list)
    _variable_data: list["_Variables"] = field(default_factory=list)
    _row_data: list[tuple[Floats, Floats]] = field(default_factory=list)
    _entries: list[tuple[Ints, Ints, Floats]] = field(default_factory=list)

    def add_variables(
        self, name: str, *, upper: Floats, cost: Floats | float = 0.0, is_integral: bool = False
    ) -> Block:
        """Add non-negative variables with finite upper bounds; return where they are."""
        block = _next_block(self._variables, name, len(upper))
        if not np.isfinite(upper).all():
            raise AssertionError(f"variables {name} need finite upper bounds")
        self._variables.append(block)
        costs = np.full(len(upper), cost, dtype=np.float64)
        self._variable_data.append(_Variables(costs, upper, is_integral))
        return block

    def add_rows(
        self, name: str, count: int, *, lower: Floats | float, upper: Floats | float
    ) -> Block:
        """Add empty rows; return where they are."""
        block = _next_block(self._rows, name, count)
        self._rows.append(block)
        self._row_data.append((np.full(count, lower), np.full(count, upper)))
        return block

    def add_entries(self, rows: Ints, columns: Ints, values: Floats | float) -> None:
        """Add coefficients; those of the same place add up."""
        self._entries.append((rows, columns, np.full(len(rows), values, dtype=np.float64)))

    def build(self, layout: Layout | None = None) -> Model:
        """Return the model; ``layout`` says where its starts are."""
        columns = sum(block.count for block in self._variables)
        rows = sum(block.count for block in self._rows)
        matrix = csc_matrix(
            (
                _joined([values for _, _, values in self._entries]),
                (
                    _joined([where for where, _, _ in self._entries]).astype(np.int32),
                    _joined([where for _, where, _ in self._entries]).astype(np.int32),
                ),
            ),
            shape=(rows, columns),
        )
        matrix.eliminate_zeros()
        return Model(
            cost=_joined([data.cost for data in self._variable_data]),
            lower=np.zeros(columns),
            upper=_joined([data.upper for data in self._variable_data]),
            is_integral=np.repeat(
                [data.is_integral for data in self._variable_data],
                [block.count for block in self._variables],
            ).astype(np.bool_),
            row_lower=_joined([lower for lower, _ in self._row_data]),
            row_upper=_joined([upper for _, upper in self._row_data]),
            start=matrix.indptr.astype(np.int32),
            index=matrix.indices.astype(np.int32),
            value=matrix.data.astype(np.float64),
            variables=tuple(self._variables),
            rows=tuple(self._rows),
            layout=layout,
        )


def _next_block(blocks: list[Block], name: str, count: int) -> Block:
    first = blocks[-1].first + blocks[-1].count if blocks else 0
    return Block(name, first, count)


def _joined(parts: list[Floats] | list[Ints]) -> Floats:
    return np.concatenate([np.empty(0), *parts])
