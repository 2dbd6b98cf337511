"""The shape of a policy file. Everything a city can decide is a value here; nothing is code.

Two ways of saying nothing differ. A key that is **left out**: the text states no such rule. A key
that is **null**: the rule is there or must be, but nobody could read its value; whatever needs it
is refused. ``marks`` say for every value where it was read, or that it is an assumption.
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, Field, field_validator, model_validator

from suanwang.units import INT64_MAX
from voucher.programmes.facts import APPLICANT, FACTS, Fact, FactKind
from voucher.programmes.predicate import Items, Predicate, StrictModel

SCHEMA: Final = "voucher_policy/v1"
DENOMINATOR_MAX: Final = 1_000_000
"""No policy needs a finer ratio; a larger one is a mistake."""

Ident = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
AmountFen = Annotated[int, Field(ge=0, le=INT64_MAX)]
Days = Annotated[int, Field(ge=0, le=36_500)]


class Mode(StrEnum):
    """When money moves."""

    DEDUCT = "deduct"
    CLAIM_THEN_REDEEM = "claim_then_redeem"
    REIMBURSE = "reimburse"


class Beneficiary(StrEnum):
    """Which side of a contract applies and is paid; ``either``: one of the two, never both."""

    DEMANDER = "demander"
    PROVIDER = "provider"
    EITHER = "either"


class Base(StrEnum):
    """Which amount of a spend line the ratio is applied to."""

    CONTRACT = "contract"
    PAID = "paid"
    RATED = "rated"

    @property
    def fact(self) -> str:
        """The line fact that carries the amount."""
        return f"line.{self.value}_fen"


class CapScope(StrEnum):
    """Whose awards a cap adds up; caps are applied in this order, from the inside out."""

    CONTRACT = "contract"
    AWARD = "award"
    APPLICANT = "applicant"
    GROUP = "group"
    POOL = "pool"


class Period(StrEnum):
    """Over which time a cap adds up; ``life`` is the whole programme."""

    LIFE = "life"
    YEAR = "year"
    QUARTER = "quarter"
    MONTH = "month"


class Counts(StrEnum):
    """What a cap adds up: what is granted or claimed, what is redeemed, or each of the two."""

    CLAIMED = "claimed"
    REDEEMED = "redeemed"
    BOTH = "both"


class ShortageRule(StrEnum):
    """Who gets what when the pool is smaller than the claims."""

    FCFS = "fcfs"
    PRORATA = "prorata"
    RANKED = "ranked"


class LastOne(StrEnum):
    """What the first one gets for whom the pool no longer suffices."""

    PARTIAL = "partial"
    REFUSE = "refuse"


class Take(StrEnum):
    """How much a clawback takes: all that was paid, or the part of the term not served."""

    FULL = "full"
    PRORATA = "prorata"


class Unused(StrEnum):
    """What becomes of money that a voucher did not pay when it ended."""

    POOL = "pool"
    LAPSE = "lapse"


class Frees(StrEnum):
    """Whose caps are free again of money that came back: the pool's alone, or all."""

    POOL = "pool"
    ALL = "all"


class MarkKind(StrEnum):
    """How far a value can be trusted."""

    READ = "read"
    ASSUMED = "assumed"
    NOT_SEEN = "not_seen"
    DECIDED = "decided"


class OncePer(StrEnum):
    """What may be claimed once only, by anybody."""

    CONTRACT = "contract"
    INVOICE = "invoice"

    @property
    def fact(self) -> str:
        """The line fact that carries the number."""
        return f"line.{self.value}_no"


def is_unseen(model: BaseModel, field: str) -> bool:
    """Say whether a key is in the file as null: a rule whose value nobody could read."""
    return field in model.model_fields_set and getattr(model, field) is None


class Name(StrictModel):
    """The name in English, and the official one in Chinese."""

    en: str
    zh: str


class Valid(StrictModel):
    """First and last day on which an application may count."""

    start: date | None = Field(alias="from")
    end: date | None = Field(default=None, alias="to")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start and self.end and self.end < self.start:
            raise ValueError(f"the last day {self.end} is before the first {self.start}")
        return self


class Window(StrictModel):
    """From when until when applications are taken; both with their zone."""

    opens: datetime
    closes: datetime

    @model_validator(mode="after")
    def _aware_and_in_order(self) -> Self:
        if self.opens.tzinfo is None or self.closes.tzinfo is None:
            raise ValueError("write the zone, such as 2025-05-15T17:00:00+08:00")
        if self.closes <= self.opens:
            raise ValueError(f"closes at {self.closes}, not after it opens at {self.opens}")
        return self


class Benefit(StrictModel):
    """What is given, how, and to whom."""

    kind: Literal["compute", "model", "token", "corpus"]
    mode: Annotated[Mode | None, Field(strict=False)]
    beneficiary: Annotated[Beneficiary | None, Field(strict=False)]

    @model_validator(mode="after")
    def _buyers_are_deducted(self) -> Self:
        if self.mode is Mode.DEDUCT and self.beneficiary is Beneficiary.PROVIDER:
            raise ValueError("a deduction is had by who buys: mode deduct is not for providers")
        return self


class Ratio(StrictModel):
    """A share of an amount, rounded down to the fen; ``at_most``: the text says "up to"."""

    num: Annotated[int, Field(ge=0)]
    den: Annotated[int, Field(ge=1, le=DENOMINATOR_MAX)]
    at_most: bool = False

    @model_validator(mode="after")
    def _not_above_one(self) -> Self:
        if self.num > self.den:
            raise ValueError(f"{self.num}/{self.den} is more than the whole")
        return self


class Spend(StrictModel):
    """Which spend lines count, on which amount, and what must be on file before redemption."""

    base: Annotated[Base | None, Field(strict=False)]
    require: Items[Predicate] | None
    min_total_fen: AmountFen | None = None
    redeem_require: Items[Predicate] | None = ()


class Tier(StrictModel):
    """A ratio for the lines that pass ``when``; of several the best for the line is taken."""

    id: Ident
    when: Items[Predicate] = ()
    ratio: Ratio | None
    cap_fen: AmountFen | None = None
    max_months: Annotated[int, Field(ge=1, le=1200)] | None = None


class Cap(StrictModel):
    """A limit; it holds for applicants that pass ``when`` and do not pass all of ``unless``."""

    id: Ident
    scope: Annotated[CapScope, Field(strict=False)]
    period: Annotated[Period | None, Field(strict=False)]
    amount_fen: AmountFen | None
    counts: Annotated[Counts, Field(strict=False)] = Counts.CLAIMED
    when: Items[Predicate] = ()
    unless: Items[Predicate] = ()

    @model_validator(mode="after")
    def _pools_are_for_all(self) -> Self:
        if self.scope is CapScope.POOL and (self.when or self.unless):
            raise ValueError("a pool is for all; write a policy of its own for a pool of its own")
        of_claims = self.scope in (CapScope.CONTRACT, CapScope.POOL)
        if of_claims and self.counts is not Counts.CLAIMED:
            raise ValueError(f"a cap of scope {self.scope} counts what is claimed")
        return self


class Funder(StrictModel):
    """Who pays which share, for applicants that pass ``when``; the first takes the remainder."""

    id: Ident
    name: str
    share: Ratio | None
    when: Items[Predicate] = ()


class Shortage(StrictModel):
    """What happens when claims exceed the pool. Who passes ``priority`` is served before others."""

    rule: Annotated[ShortageRule | None, Field(strict=False)]
    last: Annotated[LastOne | None, Field(strict=False)] = None
    rank_by: str | None = None
    priority: Items[Predicate] = ()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        takes_turns = self.rule in (ShortageRule.FCFS, ShortageRule.RANKED)
        if takes_turns and "last" not in self.model_fields_set:
            raise ValueError(f"rule {self.rule} needs last: partial or refuse")
        if self.rule is ShortageRule.RANKED and "rank_by" not in self.model_fields_set:
            raise ValueError("rule ranked needs rank_by: the fact that ranks")
        return self


class Validity(StrictModel):
    """How long a voucher lasts: the earliest end that is stated holds.

    What an ended or recalled voucher did not pay goes back to the pool and is granted again, or
    lapses. Where the text does not say so, it lapses. ``frees``: whose caps what an ended voucher
    gave back frees; where the text does not say so, the pool's alone.
    """

    days_from_issue: Days | None = None
    hard_end: date | None = None
    redeem_within_days: Days | None = None
    grace_days_running_jobs: Days | None = None
    unused: Annotated[Unused | None, Field(strict=False)] = None
    frees: Annotated[Frees | None, Field(strict=False)] = None


class Stacking(StrictModel):
    """What may not be had together."""

    exclusive_with: Items[Ident] | None = ()
    once_per: Annotated[OncePer | None, Field(strict=False)] = None


class Stage(StrictModel):
    """A step of the review; who did one of ``not_same_as`` may not do this one (four eyes).

    After ``review_days`` an undecided step is overdue. Silence decides nothing.
    """

    id: Ident
    name: str
    role: Ident
    evidence: Items[str] = ()
    publicity_days: Days | None = None
    review_days: Days | None = None
    not_same_as: Items[Ident] = ()


class Trigger(StrictModel):
    """An event after which money is taken back, how much, and for how long the applicant is out.

    ``frees``: whose caps the money frees as it comes back; where the text does not say so, the
    pool's alone.
    """

    id: Ident
    event: str
    take: Annotated[Take | None, Field(strict=False)]
    ban_years: Annotated[int, Field(ge=0, le=100)] | None = None
    frees: Annotated[Frees | None, Field(strict=False)] = None


class Source(StrictModel):
    """A text that was read; secondary ones quote the official text."""

    where: str
    kind: Literal["official", "secondary"]


class Mark(StrictModel):
    """How a value is known: a source for what was read, a note where it needs one."""

    mark: Annotated[MarkKind, Field(strict=False)]
    source: str = ""
    note: str = ""

    @model_validator(mode="after")
    def _read_has_a_source(self) -> Self:
        if self.mark is MarkKind.READ and not self.source:
            raise ValueError("what was read needs its source")
        if self.mark is MarkKind.ASSUMED and not self.note:
            raise ValueError("what is assumed needs a note that says why")
        return self


class NewFact(StrictModel):
    """A fact beyond the common ones; its name begins with ``applicant.`` or ``line.``."""

    kind: Annotated[FactKind, Field(strict=False)]
    meaning: str
    name_zh: str = ""


class Policy(StrictModel):
    """One version of one programme. It never changes once an award was made under it."""

    schema_: Literal["voucher_policy/v1"] = Field(alias="schema")
    id: Ident
    version: Annotated[int, Field(ge=1)]
    name: Name
    region: str
    issuer: str | None
    legal_basis: str | None
    currency: Literal["CNY"]
    valid: Valid
    window: Window | None = None
    benefit: Benefit
    facts: dict[str, NewFact] = Field(default_factory=dict)
    eligibility: Items[Predicate] | None
    spend: Spend
    tiers: Annotated[tuple[Tier, ...], Field(strict=False, min_length=1)]
    caps: Items[Cap] | None
    funders: Annotated[tuple[Funder, ...], Field(strict=False, min_length=1)] | None
    shortage: Shortage | None
    validity: Validity | None
    stacking: Stacking | None
    workflow: Items[Stage] | None
    clawback: Items[Trigger] | None
    sources: dict[str, Source] = Field(default_factory=dict)
    marks: dict[str, Mark]

    @field_validator("facts")
    @classmethod
    def _facts_are_new(cls, facts: dict[str, NewFact]) -> dict[str, NewFact]:
        for name in facts:
            if name in FACTS or not name.startswith((APPLICANT, "line.")):
                raise ValueError(f"{name!r} is known already, or not applicant.… or line.…")
        return facts

    @property
    def known_facts(self) -> Mapping[str, Fact]:
        """Every fact that this policy may ask about."""
        return {
            **FACTS,
            **{k: Fact(new.kind, new.meaning, new.name_zh) for k, new in self.facts.items()},
        }

    @property
    def ref(self) -> str:
        """Id and version, for people."""
        return f"{self.id} v{self.version}"

    def predicates(self) -> Iterator[tuple[str, Predicate]]:
        """Yield every predicate with its path."""
        groups = [("eligibility", self.eligibility), ("spend.require", self.spend.require)]
        groups.append(("spend.redeem_require", self.spend.redeem_require))
        groups += [(f"tiers.{tier.id}.when", tier.when) for tier in self.tiers]
        for cap in self.caps or ():
            groups += [(f"caps.{cap.id}.when", cap.when), (f"caps.{cap.id}.unless", cap.unless)]
        groups += [(f"funders.{one.id}.when", one.when) for one in self.funders or ()]
        groups.append(("shortage.priority", self.shortage.priority if self.shortage else ()))
        for path, predicates in groups:
            yield from ((f"{path}.{n}", one) for n, one in enumerate(predicates or ()))
