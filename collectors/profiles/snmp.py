"""SNMP profiles: which object holds which quantity, and which rows of a table are which part."""

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, BaseModel, Field, model_validator

from collectors.profiles.base import NAME, UNIT, Derived, Key, Model, Point, Profile, split_key

GAUGE32_MODULUS: Final = 2**32

_OID: Final = re.compile(r"[012](?:\.(?:\d{1,10}|\{unit\})){1,127}")
_INDEX_STEP: Final = r"(?:\d{1,10}|\{[a-z][a-z0-9_]*\})"
_INDEX: Final = re.compile(rf"{_INDEX_STEP}(?:\.{_INDEX_STEP})*")


def _oid(text: str) -> str:
    if not _OID.fullmatch(text):
        raise ValueError(f"{text!r} is no object identifier in numbers, such as 1.3.6.1.2.1.1.2.0")
    return text


Oid = Annotated[str, AfterValidator(_oid)]


class SnmpPoint(Point):
    """A quantity in an object, or in a column of a table where there is an ``index``.

    ``index`` tells how rows are numbered: numbers must be met, names in braces stand for any number
    and may be used in the key's part. Rows are summed up where ``is_sum`` is set. ``decimals`` is a
    column or object with the number of digits behind the point; ``signed_oid`` one with the same
    quantity as a signed number, which holds where it is below zero. ``when`` gives objects (in a
    table: columns of the same rows) that must have these values.
    """

    oid: Oid
    index: str = ""
    is_sum: bool = False
    signed_oid: Oid | None = None
    decimals: Oid | None = None
    when: dict[Oid, int] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_a_good_index(self) -> "SnmpPoint":
        if self.index and not _INDEX.fullmatch(self.index):
            raise ValueError(f"index {self.index!r} is not numbers and {{names}} with dots between")
        if self.is_sum and not self.index:
            raise ValueError("is_sum needs an index: a single object is no sum")
        return self

    @property
    def modulus_counts(self) -> int:
        """Where the register wraps, in its own counts: 32 bits, where nothing else is said."""
        return self.modulus or GAUGE32_MODULUS

    @property
    def names(self) -> frozenset[str]:
        """The names that the index gives to a row."""
        return frozenset(NAME.findall(self.index))


class SnmpIdentity(Model):
    """How a device is known: by the beginning of its sysObjectID, and a pattern of its sysDescr."""

    sys_object_id: tuple[Oid, ...] = ()
    sys_descr: str = ""


class SnmpProfile(Profile):
    """A kind of SNMP device."""

    parts: ClassVar[tuple[type[BaseModel], ...]] = (SnmpPoint, SnmpIdentity, Derived)

    protocol: Literal["snmp"]
    identify: SnmpIdentity = SnmpIdentity()
    points: dict[Key, SnmpPoint]

    def points_of(self) -> Mapping[str, SnmpPoint]:
        """Return the points by key."""
        return self.points

    @model_validator(mode="after")
    def _names_what_the_index_gives(self) -> "SnmpProfile":
        for key, spec in self.points.items():
            wanted = set(NAME.findall(split_key(key)[0]))
            known = spec.names | {UNIT}
            if wanted - known:
                raise ValueError(f"{key}: the index does not name {sorted(wanted - known)}")
            if spec.names - {UNIT} - wanted and not spec.is_sum:
                raise ValueError(f"{key}: rows need a part each, or is_sum")
        return self
