"""What the bodies share: strictness, names, amounts, pages."""

import re
from datetime import datetime
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from suanwang.model.network import Fact, Freshness
from suanwang.model.reading import Quality
from suanwang.units import INT64_MAX

PAGE_MAX: Final = 1_000
"""Most items of a page."""
INT32_MAX: Final = 2**31 - 1
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class In(BaseModel):
    """A body that comes in: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Out(BaseModel):
    """A body that goes out."""

    model_config = ConfigDict(frozen=True)


Name = Annotated[str, Field(pattern=rf"^{NAME.pattern}$", examples=["qingdao-a"])]
"""An id of letters, digits, point, underscore and hyphen, at most 64."""
Title = Annotated[str, Field(min_length=1, max_length=200)]
Fen = Annotated[int, Field(ge=0, le=INT64_MAX, description="fen; 100 fen are 1 CNY")]
FenAboveZero = Annotated[
    int, Field(gt=0, le=INT64_MAX // 4, description="fen; 100 fen are 1 CNY", examples=[100_000])
]
Watts = Annotated[int, Field(ge=0, le=10**12)]
Positive = Annotated[int, Field(gt=0, le=INT32_MAX)]
Ratio = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Moment = AwareDatetime


class FactOut(Out):
    """A number with its age and quality: ``fresh``, ``stale`` or ``lost``."""

    value: float
    at: datetime | None
    quality: Quality
    freshness: Freshness


def fact_out(fact: Fact, now: datetime) -> FactOut | None:
    """Return a fact for people; None where nothing was ever measured."""
    if fact.at is None and fact.quality is Quality.MISSING:
        return None
    return FactOut(
        value=fact.value, at=fact.at, quality=fact.quality, freshness=fact.freshness(now)
    )
