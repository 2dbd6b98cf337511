"""Compute performance: a figure without its precision is not a figure.

National totals moved eightfold when their basis became FP16, so the basis stands with every value
and values of different precision never add up.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final, Self

from suanwang.errors import BadInput


class Precision(StrEnum):
    """Number format that a performance figure is stated for (dense, without sparsity).

    INT8 counts operations a second; its figures are written in FLOPS all the same.
    """

    FP64 = "FP64"
    FP32 = "FP32"
    FP16 = "FP16"
    INT8 = "INT8"


_SCALE: Final = {"G": 9, "T": 12, "P": 15, "E": 18}
_TEXT: Final = re.compile(
    r"\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<scale>[GTPE])(?:FLOPS|FLOP/s)?(?:\s*@?\s*(?P<precision>(?:FP|INT)\d+))?\s*"
)


@dataclass(frozen=True, slots=True)
class Compute:
    """Performance in whole FLOP/s at a precision."""

    value: int
    precision: Precision

    def __post_init__(self) -> None:
        if not isinstance(self.precision, Precision):
            raise BadInput(
                f"compute needs a precision (FP64, FP32, FP16 or INT8), got {self.precision}"
            )
        if self.value < 0:
            raise BadInput(f"compute must not be negative, got {self.value}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``160 PFLOPS FP16``; raise BadInput where the precision or the unit is missing."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise BadInput(f"{text!r} is not a compute figure, such as 160 PFLOPS FP16")
        named = found["precision"]
        if named is None:
            raise BadInput(f"{text!r} names no precision; write FP64, FP32, FP16 or INT8 after it")
        if named not in set(Precision):
            raise BadInput(
                f"{text!r} names the unknown precision {named}; use FP64, FP32, FP16 or INT8"
            )
        flops = Decimal(found["number"]).scaleb(_SCALE[found["scale"]])
        return cls(int(flops), Precision(named))

    @property
    def pflops(self) -> float:
        """Value in PFLOPS (国内 "P")."""
        return self.value / 10**15

    def __add__(self, other: "Compute") -> "Compute":
        """Add figures of one precision; raise BadInput for two."""
        if self.precision != other.precision:
            raise BadInput(f"{self} and {other} have different precisions and do not add up")
        return Compute(self.value + other.value, self.precision)

    def __mul__(self, count: int) -> "Compute":
        """Return the performance of ``count`` equal parts."""
        return Compute(self.value * count, self.precision)

    def __str__(self) -> str:
        """Write with unit and precision, as ``parse`` reads it."""
        scale = next((name for name in "EPTG" if self.value >= 10 ** _SCALE[name]), "G")
        number = Decimal(self.value).scaleb(-_SCALE[scale]).normalize()
        return f"{number:f} {scale}FLOPS {self.precision}"
