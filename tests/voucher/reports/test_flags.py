"""Suspicions: what is flagged, and what is not."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from voucher.flagging import Flag, FlagCode
from voucher.reports.flags import (
    BilledRun,
    InvoiceUse,
    Limit,
    Load,
    Metered,
    SignedContract,
    idle_runs,
    night_only,
    repeated_invoices,
    shared_invoices,
    split_contracts,
)

LIMIT = Limit(amount_fen=100, source="the office", days=30)
TEN_AT_NIGHT = datetime(2026, 10, 14, 14, tzinfo=UTC)


def metered(energy_mwh: int, coverage_ppm: int = 1_000_000) -> Metered:
    """Energy that was read."""
    return Metered(energy_mwh=energy_mwh, coverage_ppm=coverage_ppm, quality="measured")


def a_load(mean_ppm: int, coverage_ppm: int = 1_000_000, spread_ppm: int = 0) -> Load:
    """A load that was read."""
    return Load(
        mean_ppm=mean_ppm,
        low_ppm=mean_ppm - spread_ppm,
        high_ppm=mean_ppm,
        coverage_ppm=coverage_ppm,
        quality="measured",
    )


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
        "site_it": metered(9_000_000),
        "load": a_load(800_000),
    }
    return BilledRun(**{**fields, **changes})


def codes(flags: tuple[Flag, ...]) -> list[str]:
    """Return the codes of flags."""
    return [flag.code for flag in flags]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, [], id="power and use fit"),
        pytest.param({"site_it": metered(559_999)}, ["no-power"], id="under a tenth of the power"),
        pytest.param({"site_it": metered(560_000)}, [], id="a tenth of the power is enough"),
        pytest.param({"load": a_load(19_999)}, ["no-use"], id="busy under two percent"),
        pytest.param(
            {"load": a_load(0), "site_it": metered(0)}, ["no-power", "no-use"], id="wash use"
        ),
        pytest.param({"load": None, "site_it": None}, ["not-metered"], id="nobody measured"),
        pytest.param(
            {"load": a_load(0, 499_999), "site_it": metered(0, 499_999)},
            ["not-metered"],
            id="what was read for under half of the time accuses nobody",
        ),
        pytest.param(
            {"load": a_load(0, 499_999), "site_it": metered(0, 500_000)},
            ["no-power"],
            id="half of the time is enough",
        ),
        pytest.param(
            {"load": a_load(0), "site_it": metered(0), "paid_fen": 0}, [], id="free runs are free"
        ),
    ],
)
def test_billed_time_without_power_or_use_is_flagged(
    changes: dict[str, Any], expected: list[str]
) -> None:
    assert codes(idle_runs([a_run(**changes)])) == expected


def test_one_invoice_line_for_two_things_is_flagged() -> None:
    uses = [
        InvoiceUse(number="1" * 20, line=1, used_for="a"),
        InvoiceUse(number="1" * 20, line=2, used_for="b"),
        InvoiceUse(number="1" * 20, line=1, used_for="b"),
    ]
    (flag,) = repeated_invoices(uses)
    assert (flag.code, flag.facts["line"], flag.facts["times"]) == (FlagCode.INVOICE_TWICE, 1, 2)


def a_use(**changes: Any) -> InvoiceUse:
    """A job's pack with an invoice."""
    fields: dict[str, Any] = {"number": "1" * 20, "line": 1, "used_for": "job-1", "tenant_id": "a"}
    return InvoiceUse(**{**fields, **changes})


@pytest.mark.parametrize(
    ("others", "is_flagged"),
    [
        pytest.param([], False, id="one pack"),
        pytest.param([a_use(used_for="job-2")], False, id="two jobs on one invoice"),
        pytest.param([a_use(used_for="app", is_application=True)], False, id="claim and its proof"),
        pytest.param([a_use(contract_no="HT-2")], True, id="two contracts"),
        pytest.param([a_use(payees="west")], True, id="two payees"),
        pytest.param([a_use(line=2, payees="west")], False, id="another line"),
        pytest.param([a_use(tenant_id="b", used_for="")], True, id="another enterprise"),
        pytest.param(
            [a_use(used_for=name, is_application=True) for name in ("app-1", "app-2")],
            True,
            id="two applications",
        ),
    ],
)
def test_an_invoice_for_two_enterprises_contracts_or_payees_is_flagged(
    others: list[InvoiceUse], is_flagged: bool
) -> None:
    assert bool(shared_invoices([a_use(), *others])) is is_flagged


def test_somebody_elses_use_of_an_invoice_is_not_named() -> None:
    (flag,) = shared_invoices([a_use(), a_use(tenant_id="b", used_for="")])
    assert "another enterprise" in flag.message
    assert "其他企业" in flag.message_zh


def a_contract(number: str, amount_fen: int, day: int, provider: str = "p") -> SignedContract:
    """A contract of customer c, signed in the days after the first of October."""
    return SignedContract(
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
    contracts: list[SignedContract], expected: int
) -> None:
    assert len(split_contracts(contracts, LIMIT)) == expected


def test_equal_runs_at_night_only_are_flagged() -> None:
    nights = [a_run(night) for night in range(5)]
    assert codes(night_only(nights)) == ["night-only"]
    assert night_only(nights[:4]) == ()
    assert night_only([*nights, a_run(6, units=4)]) == ()
    assert night_only([*nights, a_run(6, ended_at=TEN_AT_NIGHT + timedelta(days=6, hours=4))]) == ()
    by_day = TEN_AT_NIGHT + timedelta(days=6, hours=11)
    noon = a_run(6, started_at=by_day, ended_at=by_day + timedelta(hours=2))
    assert night_only([*nights, noon]) == ()


def test_a_load_that_moves_at_night_is_no_constant_load() -> None:
    nights = [a_run(night, load=a_load(500_000, spread_ppm=100_001)) for night in range(5)]
    assert night_only(nights) == ()
    constant = [a_run(night, load=a_load(500_000, spread_ppm=100_000)) for night in range(5)]
    (flag,) = night_only(constant)
    assert (flag.facts["measured_runs"], flag.facts["low_ppm"]) == (5, 400_000)
    unread = [a_run(night, load=a_load(500_000, 1, 400_000)) for night in range(5)]
    (flag,) = night_only(unread)
    assert flag.facts["measured_runs"] == 0


def test_contracts_of_related_customers_count_together_but_are_not_named() -> None:
    contracts = [a_contract("1", 60, 0), replace(a_contract("2", 60, 1), customer_id="d")]
    assert split_contracts(contracts, LIMIT) == ()
    (flag,) = split_contracts(contracts, LIMIT, {"d": "c"}, own=lambda one: one.customer_id == "c")
    assert (flag.facts["contracts"], flag.facts["others"]) == ("1", 1)
    assert "1.20 CNY" in flag.message
    assert "1.20 元" in flag.message_zh
