"""Redfish profiles: on which resource a quantity lies, and where inside it."""

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, BaseModel, Field, model_validator

from collectors.profiles.base import NAME, UNIT, Derived, Key, Model, Point, Profile, split_key

_STEP: Final = r"(?:[A-Za-z][A-Za-z0-9]*|\{[a-z][a-z0-9_]*\})"
_RESOURCE: Final = re.compile(rf"{_STEP}(?:/{_STEP})*")
_FIELD: Final = r"[@A-Za-z][A-Za-z0-9@._]*?(?:\[(?:\d{1,4}|\{[a-z][a-z0-9_]*\})\])?"
_VALUE: Final = re.compile(rf"{_FIELD}(?:\.{_FIELD})*")


def _resource(text: str) -> str:
    if not _RESOURCE.fullmatch(text):
        raise ValueError(f"{text!r} is not a way such as Chassis/{{chassis}}/Power")
    return text


def _value(text: str) -> str:
    if not _VALUE.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a place such as PowerWatts.Reading or Fans[{{fan}}].Speed"
        )
    return text


class RedfishPoint(Point):
    """A quantity on a resource.

    ``resource`` is the way from the service root: each step is a property with a link, and a name
    in braces is every member of the collection that was reached, called by its ``Id``. ``value`` is
    the place in the resource: properties with dots between; ``[0]`` is an element of a list and
    ``[{name}]`` every element, called by its ``MemberId``, or by its place where it has none.
    ``when`` gives properties beside the value (of the same element) that must have these values.
    """

    resource: Annotated[str, AfterValidator(_resource)]
    value: Annotated[str, AfterValidator(_value)]
    is_sum: bool = False
    when: dict[str, str | int | bool] = Field(default_factory=dict)

    @property
    def names(self) -> frozenset[str]:
        """The names that the way gives to a part."""
        return frozenset(NAME.findall(self.resource) + NAME.findall(self.value))


class RedfishIdentity(Model):
    """How a device is known: patterns of what it says, and a link that its service root has."""

    vendor: str = ""
    model: str = ""
    root_has: str = ""


class RedfishProfile(Profile):
    """A kind of Redfish device."""

    parts: ClassVar[tuple[type[BaseModel], ...]] = (RedfishPoint, RedfishIdentity, Derived)

    protocol: Literal["redfish"]
    identify: RedfishIdentity = RedfishIdentity()
    points: dict[Key, RedfishPoint]

    def points_of(self) -> Mapping[str, RedfishPoint]:
        """Return the points by key."""
        return self.points

    @model_validator(mode="after")
    def _names_what_the_way_gives(self) -> "RedfishProfile":
        for key, spec in self.points.items():
            wanted = set(NAME.findall(split_key(key)[0]))
            known = spec.names | {UNIT}
            if wanted - known:
                raise ValueError(f"{key}: the way does not name {sorted(wanted - known)}")
            if spec.names - {UNIT} - wanted and not spec.is_sum:
                raise ValueError(f"{key}: several resources need a part each, or is_sum")
        return self
