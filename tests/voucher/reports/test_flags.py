"""Suspicions: what is flagged, and what is not."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from voucher.reports.flags import (
    BilledRun,
    Contract,
    Flag,
    FlagCode,
    InvoiceUse,
    Organisation,
    idle_runs,
    night_only,
    related,
    repeated_invoices,
    split_contracts,
)

TEN_AT_NIGHT = datetime(2026, 10, 14, 14, tzinfo=UTC)


def a_run(night: int = 0, **changes: Any) -> BilledRun:
    """A paid run of eight units over two hours, from ten in the evening in China."""
    start = TEN_AT_NIGHT + timedelta(days=night)
    fields: dict[str, Any] = {
        "attempt_id": f"job-{night}-a1",
        "tenant_id": "haiyun",
        "started_at": start,
        "ended_at": start + timedelta(hours=2),
        "units": 8,
        "paid_fen": 100,
        "busy_mwh": 5_600_000,
        "site_it_mwh": 9_000_000,
        "use_ppm": 800_000,
    }
    return BilledRun(**{**fields, **changes})


def codes(flags: tuple[Flag, ...]) -> list[str]:
    """Return the codes of flags."""
    return [flag.code for flag in flags]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, [], id="power and use fit"),
        pytest.param({"site_it_mwh": 559_999}, ["no-power"], id="under a tenth of the power"),
        pytest.param({"site_it_mwh": 560_000}, [], id="a tenth of the power is enough"),
        pytest.param({"use_ppm": 19_999}, ["no-use"], id="busy under two percent"),
        pytest.param({"use_ppm": 0, "site_it_mwh": 0}, ["no-power", "no-use"], id="wash use"),
        pytest.param({"use_ppm": None, "site_it_mwh": None}, ["not-metered"], id="nobody measured"),
        pytest.param({"use_ppm": 0, "site_it_mwh": 0, "paid_fen": 0}, [], id="free runs are free"),
    ],
)
def test_billed_time_without_power_or_use_is_flagged(
    changes: dict[str, Any], expected: list[str]
) -> None:
    assert codes(idle_runs([a_run(**changes)])) == expected


@pytest.mark.parametrize(
    ("other", "is_flagged"),
    [
        (Organisation(id="p", name="P"), False),
        (Organisation(id="c", name="C"), True),
        (Organisation(id="p", name="P", group="g"), True),
        (Organisation(id="p", name="P", representative="王"), True),
        (Organisation(id="p", name="P", group="h", representative="李"), False),
    ],
)
def test_parties_of_one_group_or_one_head_are_flagged(
    other: Organisation, is_flagged: bool
) -> None:
    customer = Organisation(id="c", name="C", group="g", representative="王")
    assert codes(related(customer, other)) == ["related-party"] * is_flagged


def test_one_invoice_line_for_two_things_is_flagged() -> None:
    uses = [
        InvoiceUse(number="1" * 20, line=1, used_for="a"),
        InvoiceUse(number="1" * 20, line=2, used_for="b"),
        InvoiceUse(number="1" * 20, line=1, used_for="b"),
    ]
    (flag,) = repeated_invoices(uses)
    assert (flag.code, flag.facts["line"], flag.facts["times"]) == (FlagCode.INVOICE_TWICE, 1, 2)


def a_contract(number: str, amount_fen: int, day: int, provider: str = "p") -> Contract:
    """A contract of customer c, signed in the days after the first of October."""
    return Contract(
        number=number,
        customer_id="c",
        provider_id=provider,
        amount_fen=amount_fen,
        signed_on=date(2026, 10, 1) + timedelta(days=day),
    )


@pytest.mark.parametrize(
    ("contracts", "expected"),
    [
        pytest.param([a_contract("1", 60, 0), a_contract("2", 60, 30)], 1, id="within thirty days"),
        pytest.param([a_contract("1", 60, 0), a_contract("2", 60, 31)], 0, id="a day later"),
        pytest.param([a_contract("1", 60, 0), a_contract("2", 39, 1)], 0, id="together under"),
        pytest.param([a_contract("1", 60, 0), a_contract("2", 60, 1, "q")], 0, id="two providers"),
        pytest.param([a_contract("1", 100, 0), a_contract("2", 60, 1)], 0, id="one was reviewed"),
        pytest.param([a_contract(str(n), 60, n) for n in range(3)], 1, id="three are one flag"),
    ],
)
def test_contracts_split_under_a_limit_are_flagged(
    contracts: list[Contract], expected: int
) -> None:
    assert len(split_contracts(contracts, 100)) == expected


def test_equal_runs_at_night_only_are_flagged() -> None:
    nights = [a_run(night) for night in range(5)]
    assert codes(night_only(nights)) == ["night-only"]
    assert night_only(nights[:4]) == ()
    assert night_only([*nights, a_run(6, units=4)]) == ()
    assert night_only([*nights, a_run(6, ended_at=TEN_AT_NIGHT + timedelta(days=6, hours=4))]) == ()
    by_day = TEN_AT_NIGHT + timedelta(days=6, hours=11)
    noon = a_run(6, started_at=by_day, ended_at=by_day + timedelta(hours=2))
    assert night_only([*nights, noon]) == ()
