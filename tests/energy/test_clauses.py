"""Clauses of tariffs: power factors without a square root, and files that do not add up."""

import math
from fractions import Fraction
from itertools import pairwise

import pytest
from energy_builders import bands_of
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from suanwang.energy.clauses import Clauses, Part, Surcharge, Tax, power_factor_hundredths
from suanwang.energy.schema_tariff import ClausesFile
from suanwang.errors import BadInput


@given(active_wh=st.integers(1, 10**15), reactive_varh=st.integers(0, 10**15))
def test_a_power_factor_is_rounded_to_hundredths(active_wh: int, reactive_varh: int) -> None:
    exact = active_wh / math.hypot(active_wh, reactive_varh)
    assert abs(power_factor_hundredths(active_wh, reactive_varh) - 100 * exact) <= 0.5 + 1e-6


@pytest.mark.parametrize(
    ("active_wh", "reactive_varh", "hundredths"),
    [
        pytest.param(100, 0, 100, id="nothing reactive"),
        pytest.param(3, 4, 60, id="3, 4, 5"),
        pytest.param(0, 1, 0, id="nothing active"),
        pytest.param(199, 0, 100, id="exact one"),
    ],
)
def test_power_factors_of_known_triangles(
    active_wh: int, reactive_varh: int, hundredths: int
) -> None:
    assert power_factor_hundredths(active_wh, reactive_varh) == hundredths


def test_no_energy_has_no_power_factor() -> None:
    with pytest.raises(BadInput, match="a power factor needs energy"):
        power_factor_hundredths(0, 0)
    with pytest.raises(BadInput, match="must not be negative"):
        power_factor_hundredths(-1, 0)


def test_the_packaged_clause_has_a_step_for_each_hundredth() -> None:
    clause = bands_of("cn-sd-tou-2026").clauses.power_factor
    assert clause is not None
    percents = [clause.percent(hundredths) for hundredths in range(101)]
    assert percents[95] == percents[100] == Fraction("-0.75")
    assert all(one >= two for one, two in pairwise(percents))
    with pytest.raises(BadInput, match=r"between 0 and 1, got 1\.01"):
        clause.percent(101)


def test_an_included_tax_does_not_make_a_kilowatt_hour_dearer() -> None:
    funds = Surcharge(id="funds", uyuan_per_kwh=20_000)
    both = frozenset({Part.ENERGY, Part.SURCHARGE})
    for is_included, price in ((True, 520_000), (False, 572_000)):
        tax = Tax(id="vat", percent=Fraction(10), on=both, is_included=is_included)
        clauses = Clauses(surcharges=(funds,), taxes=(tax,))
        assert clauses.per_kwh(Fraction(500_000)) == price


def steps(*factors: str) -> dict[str, object]:
    return {
        "power_factor": {
            "of": ["energy"],
            "steps": [{"at_least": one, "percent": "0"} for one in factors],
        }
    }


@pytest.mark.parametrize(
    ("file", "message"),
    [
        pytest.param(steps("0.9", "0.95", "0"), "must fall from the best", id="out of order"),
        pytest.param(steps("0.9", "0.5"), "the last be at_least 0", id="ends early"),
        pytest.param(steps("0.9", "0.9", "0"), "must fall", id="twice"),
        pytest.param(
            {"taxes": [{"id": "t", "percent": "1", "of": ["tax"], "included": False}]},
            "a tax can not be of tax",
            id="a tax of a tax",
        ),
    ],
)
def test_clauses_that_do_not_add_up_are_refused(file: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ClausesFile.model_validate(file)
