"""Devices as data: where a meter keeps which quantity, and how its registers spell a number."""

import struct
from collections.abc import Iterator, Sequence
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Annotated, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from collectors.words import explain
from suanwang.errors import BadInput

BLOCK_MAX: Final = 125
"""Most registers that Modbus hands out in one answer."""


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


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RegisterSpec(_Model):
    """One quantity: ``value x scale x ratio`` is in the unit that the metric's name carries.

    ``modulus`` is where the register wraps, in its own counts (0: at the end of its type).
    ``byte_order`` overrides the one of the profile.
    """

    address: Annotated[int, Field(ge=0, le=65_535)]
    type: Kind
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    ratio: Ratio = Ratio.NONE
    modulus: Annotated[int, Field(ge=0)] = 0
    required: bool = True
    byte_order: ByteOrder | None = None

    @property
    def words(self) -> int:
        """How many registers the quantity takes."""
        return struct.calcsize(_FORMATS[self.type]) // 2


class MeterProfile(_Model):
    """A kind of meter. ``rated_w`` is what it can carry at most, before CT and PT ratios, W."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,60}$")]
    title: str
    source: str
    function: Literal["holding", "input"] = "holding"
    byte_order: ByteOrder = ByteOrder.ABCD
    rated_w: Annotated[int, Field(gt=0)]
    resettable: bool
    registers: Annotated[dict[str, RegisterSpec], Field(min_length=1)]

    @model_validator(mode="after")
    def _has_energy_or_power(self) -> "MeterProfile":
        if not self.registers.keys() & {"energy_wh", "power_w"}:
            raise ValueError("a meter needs a register for energy_wh or power_w")
        for metric, spec in self.registers.items():
            if spec.address + spec.words > 65_536:
                raise ValueError(f"{metric} reaches beyond address 65535")
        return self

    def factor(self, metric: str, ct: float, pt: float) -> float:
        """Return what a register's count is multiplied with to get the metric."""
        spec = self.registers[metric]
        ratios = {Ratio.NONE: 1.0, Ratio.CT: ct, Ratio.PT: pt, Ratio.CT_PT: ct * pt}
        return spec.scale * ratios[spec.ratio]

    def resolution_wh(self, ct: float = 1.0, pt: float = 1.0) -> float:
        """Return what one count of the energy register stands for, Wh."""
        return self.factor("energy_wh", ct, pt)

    def modulus_wh(self, ct: float = 1.0, pt: float = 1.0) -> int:
        """Return where the energy register wraps, Wh; 0 for a float, which does not wrap."""
        return round(self.modulus_counts("energy_wh") * self.factor("energy_wh", ct, pt))

    def modulus_counts(self, metric: str) -> int:
        """Return where a register wraps, in its own counts; 0 for a float."""
        spec = self.registers[metric]
        return spec.modulus or _type_modulus(spec.type)

    def blocks(self) -> Iterator["Block"]:
        """Cut the registers into the fewest requests without a hole between two quantities.

        A meter may refuse a whole request for one address that it does not know, so holes are not
        bridged, and quantities that may be missing are not asked together with required ones.
        """
        ordered = sorted(self.registers.items(), key=lambda item: item[1].address)
        block: Block | None = None
        for metric, spec in ordered:
            if block and block.takes(spec):
                block = Block(
                    block.address,
                    block.words + spec.words,
                    (*block.metrics, metric),
                    block.required,
                )
                continue
            if block:
                yield block
            block = Block(spec.address, spec.words, (metric,), spec.required)
        if block:
            yield block

    def decode(self, metric: str, words: Sequence[int]) -> float | int:
        """Return the number in the registers of one quantity, before scale and ratios."""
        spec = self.registers[metric]
        order = spec.byte_order or self.byte_order
        (value,) = struct.unpack(_FORMATS[spec.type], _bytes(words, order))
        assert isinstance(value, int | float)
        return value

    def encode(self, metric: str, count: float) -> tuple[int, ...]:
        """Return the registers that spell a count: the opposite of ``decode``, for simulators."""
        spec = self.registers[metric]
        order = spec.byte_order or self.byte_order
        number = count if spec.type.startswith("float") else int(count)
        raw = struct.pack(_FORMATS[spec.type], number)
        words = [int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2)]
        swapped = _bytes(words, order)
        return tuple(int.from_bytes(swapped[i : i + 2], "big") for i in range(0, len(raw), 2))


class Block:
    """Neighbouring registers that are read in one request."""

    __slots__ = ("address", "metrics", "required", "words")

    def __init__(self, address: int, words: int, metrics: tuple[str, ...], required: bool) -> None:
        self.address = address
        self.words = words
        self.metrics = metrics
        self.required = required

    def takes(self, spec: RegisterSpec) -> bool:
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


def profile_names() -> tuple[str, ...]:
    """Return the names of the profiles that come with the product."""
    files = resources.files("collectors.profiles").iterdir()
    return tuple(sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml")))


def load_profile(name_or_path: str) -> MeterProfile:
    """Return a profile by its name, or from a YAML file; raise BadInput that says what is wrong."""
    if name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path)
        if not path.is_file():
            raise BadInput(f"there is no profile file {path}", path=str(path))
        return parse_profile(path.read_text(encoding="utf-8"), str(path))
    if name_or_path not in profile_names():
        raise BadInput(
            f"there is no meter profile {name_or_path!r}",
            next_step=f"use one of {', '.join(profile_names())}, or the path of a YAML file",
        )
    file = resources.files("collectors.profiles") / f"{name_or_path}.yaml"
    return parse_profile(file.read_text(encoding="utf-8"), name_or_path)


def parse_profile(text: str, origin: str) -> MeterProfile:
    """Return the profile that a YAML text describes; raise BadInput naming ``origin`` and key."""
    try:
        return MeterProfile.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as failure:
        raise BadInput(f"profile {origin} is not YAML: {failure}") from failure
    except ValidationError as failure:
        known = {*MeterProfile.model_fields, *RegisterSpec.model_fields}
        raise BadInput(f"profile {origin}: {explain(failure, known)}") from failure
