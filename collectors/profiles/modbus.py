"""Modbus profiles: where a meter keeps which quantity, and how its registers spell a number."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BaseModel, Field, model_validator

from collectors.profiles.base import Derived, Key, ModbusFunction, Model, Point, Profile, split_key

BLOCK_MAX: Final = 125
"""Most registers that Modbus hands out in one answer."""
ENERGY: Final = "energy_wh"


class ByteOrder(StrEnum):
    """How the four bytes A, B, C, D of a number lie in two registers; longer ones likewise."""

    ABCD = "ABCD"
    CDAB = "CDAB"
    BADC = "BADC"
    DCBA = "DCBA"

    @property
    def swaps_words(self) -> bool:
        """Whether the last word comes first."""
        return self in (ByteOrder.CDAB, ByteOrder.DCBA)

    @property
    def swaps_bytes(self) -> bool:
        """Whether the low byte of each word comes first."""
        return self in (ByteOrder.BADC, ByteOrder.DCBA)


class Ratio(StrEnum):
    """Which transformer ratios a value still needs."""

    NONE = "none"
    CT = "ct"
    PT = "pt"
    CT_PT = "ct_pt"


_FORMATS: Final = {
    "uint16": ">H",
    "int16": ">h",
    "uint32": ">I",
    "int32": ">i",
    "uint64": ">Q",
    "int64": ">q",
    "float32": ">f",
    "float64": ">d",
}
Kind = Literal["uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]


class ModbusPoint(Point):
    """A quantity in registers. ``byte_order`` overrides the one of the profile."""

    address: Annotated[int, Field(ge=0, le=65_535)]
    type: Kind
    ratio: Ratio = Ratio.NONE
    byte_order: ByteOrder | None = None

    @property
    def words(self) -> int:
        """How many registers the quantity takes."""
        return struct.calcsize(_FORMATS[self.type]) // 2


class ModbusIdentity(Model):
    """How a device of the profile is known: patterns of the words it says of itself.

    Many meters say nothing; then ``ranges`` of what is read must do, in the metric's unit: a wrong
    map gives voltages that no grid has.
    """

    vendor: str = ""
    product: str = ""
    ranges: dict[Key, tuple[float, float]] = Field(default_factory=dict)


class ModbusProfile(Profile):
    """A kind of Modbus device."""

    parts: ClassVar[tuple[type[BaseModel], ...]] = (ModbusPoint, ModbusIdentity, Derived)

    protocol: Literal["modbus"]
    function: ModbusFunction = "holding"
    byte_order: ByteOrder = ByteOrder.ABCD
    identify: ModbusIdentity = ModbusIdentity()
    points: dict[Key, ModbusPoint]

    def points_of(self) -> Mapping[str, ModbusPoint]:
        """Return the points by key."""
        return self.points

    @model_validator(mode="after")
    def _is_within_the_addresses(self) -> "ModbusProfile":
        for key, spec in self.points.items():
            if spec.address + spec.words > 65_536:
                raise ValueError(f"{key} reaches beyond address 65535")
        lost = self.identify.ranges.keys() - self.points.keys()
        if lost:
            raise ValueError(f"identify.ranges has no points {sorted(lost)}")
        return self

    def factor(self, key: str, ct: float, pt: float) -> float:
        """Return what a register's count is multiplied with to get the metric."""
        spec = self.points[key]
        ratios = {Ratio.NONE: 1.0, Ratio.CT: ct, Ratio.PT: pt, Ratio.CT_PT: ct * pt}
        return spec.scale * ratios[spec.ratio]

    def convert(self, key: str, count: float, ct: float, pt: float) -> float | None:
        """Return a point's value, None where the device has none; raise ValueError for garbage."""
        return self.points[key].convert(split_key(key)[1], count, self.factor(key, ct, pt))

    def resolution_wh(self, ct: float = 1.0, pt: float = 1.0) -> float:
        """Return the step in which the energy register moves, Wh."""
        return self.factor(ENERGY, ct, pt) * self.points[ENERGY].resolution

    def modulus_wh(self, ct: float = 1.0, pt: float = 1.0) -> int:
        """Return where the energy register wraps, Wh; 0 for a float, which does not wrap."""
        return round(self.modulus_counts(ENERGY) * self.factor(ENERGY, ct, pt))

    def modulus_counts(self, key: str) -> int:
        """Return where a register wraps, in its own counts; 0 for a float."""
        spec = self.points[key]
        return spec.modulus or _type_modulus(spec.type)

    def blocks(self) -> Iterator["Block"]:
        """Cut the registers into the fewest requests without a hole between two quantities.

        A meter may refuse a whole request for one address that it does not know, so holes are not
        bridged, and quantities that may be missing are not asked together with required ones.
        """
        ordered = sorted(self.points.items(), key=lambda item: item[1].address)
        block: Block | None = None
        for key, spec in ordered:
            if block and block.takes(spec):
                block = Block(
                    block.address, block.words + spec.words, (*block.keys, key), block.required
                )
                continue
            if block:
                yield block
            block = Block(spec.address, spec.words, (key,), spec.required)
        if block:
            yield block

    def decode(self, key: str, words: Sequence[int]) -> float | int:
        """Return the number in the registers of one quantity, before scale and ratios."""
        spec = self.points[key]
        order = spec.byte_order or self.byte_order
        (value,) = struct.unpack(_FORMATS[spec.type], _bytes(words, order))
        assert isinstance(value, int | float)
        return value

    def encode(self, key: str, count: float) -> tuple[int, ...]:
        """Return the registers that spell a count: the opposite of ``decode``, for simulators."""
        spec = self.points[key]
        order = spec.byte_order or self.byte_order
        number = count if spec.type.startswith("float") else int(count)
        raw = struct.pack(_FORMATS[spec.type], number)
        words = [int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2)]
        swapped = _bytes(words, order)
        return tuple(int.from_bytes(swapped[i : i + 2], "big") for i in range(0, len(raw), 2))


class Block:
    """Neighbouring registers that are read in one request."""

    __slots__ = ("address", "keys", "required", "words")

    def __init__(self, address: int, words: int, keys: tuple[str, ...], required: bool) -> None:
        self.address = address
        self.words = words
        self.keys = keys
        self.required = required

    def takes(self, spec: ModbusPoint) -> bool:
        """Whether a quantity continues the block."""
        return (
            spec.address == self.address + self.words
            and spec.required == self.required
            and self.words + spec.words <= BLOCK_MAX
        )


def _bytes(words: Sequence[int], order: ByteOrder) -> bytes:
    """Return the bytes of a number in big-endian order; the function is its own opposite."""
    ordered = reversed(words) if order.swaps_words else words
    side: Literal["big", "little"] = "little" if order.swaps_bytes else "big"
    return b"".join(word.to_bytes(2, side) for word in ordered)


def _type_modulus(kind: Kind) -> int:
    if kind.startswith("float"):
        return 0
    bits = struct.calcsize(_FORMATS[kind]) * 8
    return int(2 ** (bits - kind.startswith("int")))
