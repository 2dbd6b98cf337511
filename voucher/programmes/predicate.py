"""Predicates: one question about one fact. A fact that is unknown fails, and says that it is so."""

from collections.abc import Mapping, Sequence
from datetime import date
from enum import StrEnum
from typing import Annotated, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from voucher.programmes.facts import Fact, FactKind, Facts, FactValue
from voucher.programmes.findings import Finding, finding
from voucher.programmes.sentences import OPS, Code, Use, value_words
from voucher.wording import Language, render

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


def predicate_text(predicate: Predicate, known: Mapping[str, Fact]) -> str:
    """Write a predicate as a sentence without its subject's article, such as ``line.x is 3``."""
    if predicate.is_unseen:
        return f"{predicate.fact} {predicate.op} (not seen)"
    wanted = value_words(figure(predicate.value), known[predicate.fact].kind)
    return f"{predicate.fact} {render(OPS[predicate.op], {'wanted': wanted}, Language.ENGLISH)}"


def figure(value: object) -> str | int:
    """Return a fact's value, or a list of them, as figures of a reason hold it."""
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return value
        case tuple():
            return ", ".join(str(figure(one)) for one in value)
        case _:
            return str(value)


def about(fact: str, known: Mapping[str, Fact]) -> dict[str, str | int]:
    """Return the figures that name a fact."""
    name_zh = known[fact].name_zh if fact in known else ""
    return {"fact": fact, "fact_zh": name_zh} if name_zh else {"fact": fact}


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
    fact, value = known[predicate.fact], facts.get(predicate.fact)
    if predicate.is_unseen:
        place = f"{path}.value"
        return finding(
            Code.VALUE_NOT_SEEN,
            path,
            line_id,
            place=place,
            policy_en="the policy",
            policy_zh="本政策",
        )
    if value is not None and fact.accepts(value) and predicate.holds(value):
        return None
    figures = {**about(predicate.fact, known), "kind": fact.kind.value, "op": predicate.op.value}
    if predicate.op not in _FLAG_OPS:
        figures["wanted"] = figure(predicate.value)
    if predicate.because:
        figures["because"] = predicate.because
    if value is None:
        return finding(Code.FACT_UNKNOWN, path, line_id, **figures, use=Use.CONDITION.value)
    code = Code.PREDICATE_FAILED if fact.accepts(value) else Code.FACT_UNUSABLE
    return finding(code, path, line_id, **figures, stated=figure(value))


def unknown(
    fact: str, use: Use, known: Mapping[str, Fact], path: str, line_id: str = ""
) -> Finding:
    """Return the refusal of what needs a fact that nobody has stated."""
    return finding(Code.FACT_UNKNOWN, path, line_id, **about(fact, known), use=use.value)


def unusable(
    fact: str, value: object, known: Mapping[str, Fact], path: str, line_id: str = ""
) -> Finding:
    """Return the refusal of a fact whose value is not what its use needs."""
    kind = known[fact].kind.value
    return finding(
        Code.FACT_UNUSABLE, path, line_id, **about(fact, known), kind=kind, stated=figure(value)
    )
