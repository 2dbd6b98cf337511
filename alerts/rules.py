"""Rules as data: those that come with the product, and what an operator's own file changes.

Both are strict YAML. A file of one's own names a shipped rule by its id and gives only what
differs, or writes a rule of its own whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from alerts.model import Chart, Limit, Rule, Severity
from alerts.signals import FACTS, SIGNALS
from suanwang.document import Document, complain, parse_document, read_document, validate

SHIPPED: Final = "rules.yaml"
LANGUAGES: Final = ("en", "zh")
SECONDS_MAX: Final = 31_536_000
RULES_MAX: Final = 500

Id = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,59}$")]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=300)]
Seconds = Annotated[float, Field(ge=0, le=SECONDS_MAX, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]


def _limit(value: object) -> object:
    """Refuse facts that nobody tells."""
    if isinstance(value, str) and value not in FACTS:
        known = ", ".join(FACTS)
        raise ValueError(f"a limit is a number or one of {known}, not {value!r}")
    return value


LimitText = Annotated[Number | str, BeforeValidator(_limit)]


class _Part(BaseModel):
    """Unknown keys are an error; values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class _Summary(_Part):
    """One line for people in each language, with {site}, {subject}, {value} and {limit}."""

    en: Annotated[str, StringConstraints(min_length=1, max_length=300)]
    zh: Annotated[str, StringConstraints(min_length=1, max_length=300)]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for text in (self.en, self.zh):
            try:
                text.format(site="", subject="", value="", limit="")
            except (KeyError, IndexError, ValueError, AttributeError) as failure:
                raise ValueError(f"{text!r} names something unknown: {failure}") from failure
        return self


class _Change(_Part):
    """What a file may say of a rule; what it leaves out stays as it is."""

    id: Id
    enabled: bool | None = None
    signal: str | None = None
    above: LimitText | None = None
    below: LimitText | None = None
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    lasts_s: Seconds | None = None
    clear_lasts_s: Seconds | None = None
    lookback_s: Seconds | None = None
    repeat_s: Annotated[float, Field(ge=60, le=SECONDS_MAX, allow_inf_nan=False)] | None = None
    severity: Severity | None = None
    group_by: tuple[Literal["rule", "site", "subject", "severity"], ...] | None = None
    inhibited_by: tuple[Id, ...] | None = None
    only: tuple[Pattern, ...] | None = None
    excluded: tuple[Pattern, ...] | None = Field(default=None, alias="except")
    chart: Chart | None = None
    runbook: Annotated[str, StringConstraints(max_length=500)] | None = None
    summary: _Summary | None = None


class _File(_Part):
    schema_: Literal["alert_rules/v1"] = Field(alias="schema")
    rules: Annotated[tuple[_Change, ...], Field(max_length=RULES_MAX)]


@dataclass(frozen=True, slots=True)
class Rules:
    """Every rule that is switched on, by its id."""

    by_id: Mapping[str, Rule]

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.by_id.values())

    def find(self, rule_id: str) -> Rule | None:
        """Return a rule, or None where there is none of this id."""
        return self.by_id.get(rule_id)


@cache
def shipped() -> Rules:
    """Return the rules that come with the product."""
    return Rules({rule.id: rule for rule in _build([_shipped_file()])})


def load(own: Path | None) -> Rules:
    """Return the shipped rules as an operator's own file changes them; raise BadInput."""
    if own is None:
        return shipped()
    return Rules({rule.id: rule for rule in _build([_shipped_file(), read_document(own)])})


def _shipped_file() -> Document:
    entry = resources.files("alerts").joinpath("data", SHIPPED)
    return parse_document(entry.read_text(encoding="utf-8"), SHIPPED)


def _build(documents: list[Document]) -> list[Rule]:
    """Lay the files over each other and return what is switched on."""
    merged: dict[str, _Change] = {}
    places: dict[str, tuple[Document, int]] = {}
    for document in documents:
        seen: set[str] = set()
        for index, change in enumerate(validate(document, _File).rules):
            if change.id in seen:
                raise complain(document, ("rules", index, "id"), f"{change.id} stands here twice")
            seen.add(change.id)
            places[change.id] = (document, index)
            former = merged.get(change.id)
            told = {name: getattr(change, name) for name in change.model_fields_set}
            merged[change.id] = change if former is None else former.model_copy(update=told)
    rules = []
    for id_, change in merged.items():
        document, index = places[id_]
        if message := _fault(change, merged):
            raise complain(document, ("rules", index), f"{id_}: {message}")
        if change.enabled is not False:
            rules.append(_rule(change))
    return rules


def _fault(change: _Change, known: Mapping[str, _Change]) -> str:
    """Return what is wrong with a rule as a whole, or an empty text."""
    if change.signal is None or change.signal not in SIGNALS:
        return f"signal {change.signal!r} is none of {', '.join(SIGNALS)}"
    if change.severity is None or change.summary is None:
        return "a rule needs signal, severity and summary"
    if change.above is None and change.below is None:
        return "a rule needs above or below"
    if message := _limits_fault(change, SIGNALS[change.signal].limits):
        return f"signal {change.signal}: {message}"
    lost = [id_ for id_ in change.inhibited_by or () if id_ not in known]
    if lost:
        return f"inhibited_by names {lost[0]!r}, which is no rule"
    if SIGNALS[change.signal].is_count and not change.lookback_s:
        return f"signal {change.signal} needs lookback_s"
    return ""


def _limits_fault(change: _Change, told: Sequence[str]) -> str:
    """Return what is wrong with the limits of a rule about a signal that tells these facts."""
    low, high = change.below, change.above
    for limit in (low, high):
        if isinstance(limit, str) and limit not in told:
            return f"it does not tell {limit}"
    if isinstance(low, float) and isinstance(high, float):
        margin = change.margin or 0.0
        if low + margin > high - margin:
            return f"nothing is clear between {low:g} and {high:g} with a margin of {margin:g}"
    return ""


def _rule(change: _Change) -> Rule:
    assert change.signal is not None
    assert change.severity is not None
    assert change.summary is not None
    return Rule(
        id=change.id,
        signal=change.signal,
        severity=change.severity,
        summary={"en": change.summary.en, "zh": change.summary.zh},
        above=_as_limit(change.above),
        below=_as_limit(change.below),
        margin=change.margin or 0.0,
        lasts=timedelta(seconds=change.lasts_s or 0.0),
        clear_lasts=timedelta(seconds=change.clear_lasts_s or 0.0),
        lookback=timedelta(seconds=change.lookback_s or 0.0),
        repeat=timedelta(days=1) if change.repeat_s is None else timedelta(seconds=change.repeat_s),
        group_by=("rule", "site") if change.group_by is None else change.group_by,
        inhibited_by=change.inhibited_by or (),
        only=change.only or (),
        excluded=change.excluded or (),
        chart=change.chart or Chart.ALERTS,
        runbook=change.runbook or "",
    )


def _as_limit(value: float | str | None) -> Limit | None:
    if value is None:
        return None
    if isinstance(value, str):
        return Limit(fact=value)
    return Limit(number=float(value))
