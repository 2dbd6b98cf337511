"""Predicates: one question about one fact. A fact that is unknown fails, and says that it is so."""

from collections.abc import Mapping, Sequence
from datetime import date
from enum import StrEnum
from typing import Annotated, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from suanwang.units import yuan_text
from voucher.programmes.facts import Fact, FactKind, Facts, FactValue
from voucher.programmes.findings import Code, Finding

ItemT = TypeVar("ItemT")
Items = Annotated[tuple[ItemT, ...], Field(strict=False)]
"""A list in the file; its items are read strictly."""


class StrictModel(BaseModel):
    """Unknown keys and values of another type are errors; values never change."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, populate_by_name=True)


class Op(StrEnum):
    """What a predicate asks; docs/programmes.md explains each."""

    EQ = "eq"
    IN = "in"
    NOT_IN = "not_in"
    GE = "ge"
    LE = "le"
    IS_TRUE = "is_true"
    IS_FALSE = "is_false"


_FLAG_OPS = frozenset({Op.IS_TRUE, Op.IS_FALSE})
_LIST_OPS = frozenset({Op.IN, Op.NOT_IN})
_ORDER_OPS = frozenset({Op.GE, Op.LE})
_ORDERED_KINDS = frozenset({FactKind.FEN, FactKind.COUNT, FactKind.DATE})


class Predicate(StrictModel):
    """``fact op value``, and why it is asked, in the words that an applicant gets."""

    fact: str
    op: Annotated[Op, Field(strict=False)]
    value: int | date | str | Items[str] | None = None
    because: str = ""

    @model_validator(mode="after")
    def _value_fits_op(self) -> Self:
        if self.op in _FLAG_OPS:
            if "value" in self.model_fields_set:
                raise ValueError(f"op {self.op} takes no value")
        elif "value" not in self.model_fields_set:
            raise ValueError(f"op {self.op} needs a value (null where nobody could read it)")
        elif self.value is not None and (self.op in _LIST_OPS) != isinstance(self.value, tuple):
            raise ValueError(
                f"op {self.op} needs {'a list' if self.op in _LIST_OPS else 'one value'}"
            )
        return self

    @property
    def is_unseen(self) -> bool:
        """The value was not seen in any source, so the question cannot be asked."""
        return self.value is None and self.op not in _FLAG_OPS

    def complaint(self, known: Mapping[str, Fact]) -> str:
        """Return what is wrong with this predicate among the known facts, or nothing."""
        fact = known[self.fact]
        if (self.op in _FLAG_OPS) != (fact.kind is FactKind.FLAG):
            return f"{self.fact} is a {fact.kind}, which op {self.op} cannot ask"
        if self.op in _ORDER_OPS and fact.kind not in _ORDERED_KINDS:
            return f"{self.fact} is a {fact.kind}, which has no order"
        if self.op in _LIST_OPS and fact.kind is not FactKind.TEXT:
            return f"{self.fact} is a {fact.kind}; op {self.op} asks about texts"
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        if any(value is not None and not fact.accepts(value) for value in values):
            return f"{self.fact} is a {fact.kind}, the value is not"
        return ""

    def holds(self, value: FactValue) -> bool:
        """Say whether a known value of the right kind passes."""
        match self.op:
            case Op.IS_TRUE | Op.IS_FALSE:
                return value is (self.op is Op.IS_TRUE)
            case Op.EQ:
                return value == self.value
            case Op.IN:
                return isinstance(self.value, tuple) and value in self.value
            case Op.NOT_IN:
                return isinstance(self.value, tuple) and value not in self.value
            case Op.GE | Op.LE:
                return _in_order(value, self.value, is_least=self.op is Op.GE)


def _in_order(value: FactValue, bound: object, *, is_least: bool) -> bool:
    if isinstance(value, date) and isinstance(bound, date):
        return value >= bound if is_least else value <= bound
    if isinstance(value, int) and isinstance(bound, int):
        return value >= bound if is_least else value <= bound
    raise AssertionError(f"{value!r} and {bound!r} have no order; complaint() lets none through")


def value_text(value: object, kind: FactKind) -> str:
    """Write a fact's value for people; money as yuan."""
    if isinstance(value, tuple):
        return ", ".join(value_text(one, kind) for one in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if kind is FactKind.FEN and isinstance(value, int):
        return f"{yuan_text(value)} CNY"
    return str(value)


_VERBS = {
    Op.EQ: "is {}",
    Op.IN: "is one of {}",
    Op.NOT_IN: "is none of {}",
    Op.GE: "is at least {}",
    Op.LE: "is at most {}",
    Op.IS_TRUE: "is true",
    Op.IS_FALSE: "is false",
}


def predicate_text(predicate: Predicate, known: Mapping[str, Fact]) -> str:
    """Write a predicate as a sentence without its subject's article, such as ``line.x is 3``."""
    if predicate.is_unseen:
        return f"{predicate.fact} {predicate.op} (not seen)"
    shown = value_text(predicate.value, known[predicate.fact].kind)
    return f"{predicate.fact} {_VERBS[predicate.op].format(shown)}"


def failures(
    predicates: Sequence[Predicate],
    facts: Facts,
    known: Mapping[str, Fact],
    path: str,
    line_id: str = "",
) -> tuple[Finding, ...]:
    """Return a finding for every predicate that does not hold, in their order; none stops."""
    found = (
        _failure(predicate, facts, known, f"{path}.{index}", line_id)
        for index, predicate in enumerate(predicates)
    )
    return tuple(finding for finding in found if finding is not None)


def _failure(
    predicate: Predicate, facts: Facts, known: Mapping[str, Fact], path: str, line_id: str
) -> Finding | None:
    fact, wanted = known[predicate.fact], predicate_text(predicate, known)
    reason = f" ({predicate.because})" if predicate.because else ""
    value = facts.get(predicate.fact)
    if predicate.is_unseen:
        code, message = Code.VALUE_NOT_SEEN, f"{wanted}: fill it in a version of your own"
    elif value is None:
        code, message = Code.FACT_UNKNOWN, f"{predicate.fact} is not known; needed: {wanted}"
    elif not fact.accepts(value):
        code, message = Code.FACT_UNUSABLE, f"{predicate.fact} is {value!r}, not a {fact.kind}"
    elif predicate.holds(value):
        return None
    else:
        code = Code.PREDICATE_FAILED
        message = f"{predicate.fact} is {value_text(value, fact.kind)}; needed: {wanted}"
    return Finding(code=code, path=path, message=message + reason, line_id=line_id)
