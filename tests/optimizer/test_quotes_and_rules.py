"""Every reason for which a pool is out of the question can be provoked, and says what to do."""

from typing import Any

import pytest
from problem_builders import a_job, a_lot, a_pool, a_problem, a_site

from optimizer.problem import Problem
from optimizer.quote import quote
from suanwang.model.plan import ReasonCode
from suanwang.model.site import DataClass


def _problem(**changes: Any) -> Problem:
    return a_problem(rtt_ms={("laoshan", "near"): 22.4}, **changes)


@pytest.mark.parametrize(
    ("job", "changes", "code", "words"),
    [
        pytest.param(
            {"sites": frozenset({"far"})}, {}, ReasonCode.SITE_NOT_ASKED, "asks for far", id="site"
        ),
        pytest.param(
            {"accelerators": frozenset({"npu"})},
            {},
            ReasonCode.ACCELERATOR,
            "asks for npu, the pool has gpu",
            id="accelerator",
        ),
        pytest.param(
            {"domestic_only": True}, {}, ReasonCode.DOMESTIC_ONLY, "domestic", id="domestic"
        ),
        pytest.param(
            {"data_class": DataClass.GOVERNMENT},
            {"sites": [a_site(accepts=frozenset({DataClass.GENERAL}))]},
            ReasonCode.DATA_LAW,
            "government may not go to near, which accepts: general",
            id="data law",
        ),
        pytest.param(
            {"data_class": DataClass.IMPORTANT, "data_home": "ocean"},
            {"sites": [a_site(accepts=frozenset({DataClass.GENERAL}))]},
            ReasonCode.DATA_HOME,
            "ocean (important) is not kept at near",
            id="data home",
        ),
        pytest.param(
            {"origin": "laoshan", "latency_ms_max": 5.0},
            {},
            ReasonCode.LATENCY,
            "latency 22.4 ms > 5 ms",
            id="latency",
        ),
        pytest.param(
            {"origin": "jimo", "latency_ms_max": 5.0},
            {},
            ReasonCode.LATENCY,
            "not known",
            id="latency that nobody measured",
        ),
        pytest.param(
            {"units": 9}, {}, ReasonCode.TOO_LARGE, "needs 9 units, the pool has 8", id="too large"
        ),
        pytest.param(
            {"avoid": {"near-gpu": "node died"}},
            {},
            ReasonCode.RETRY_ELSEWHERE,
            "node died",
            id="retry elsewhere",
        ),
        pytest.param(
            {},
            {"sites": [a_site(is_open=False, closed_message="no word for 20 min")]},
            ReasonCode.SITE_DOWN,
            "no word for 20 min",
            id="site down",
        ),
        pytest.param(
            {},
            {"sites": [a_site(is_open=False, closed_reason=ReasonCode.STALE)]},
            ReasonCode.STALE,
            "no jobs",
            id="stale",
        ),
        pytest.param(
            {"earliest_s": 1e6}, {}, ReasonCode.NOT_YET, "looks 4.0 h ahead", id="not yet"
        ),
        pytest.param(
            {"deadline_s": 1_800.0}, {}, ReasonCode.DEADLINE, "run 60 min", id="deadline too near"
        ),
        pytest.param(
            {"earliest_s": 100.0, "deadline_s": 3_700.0 + 100.0},
            {"pools": [a_pool()]},
            ReasonCode.DEADLINE,
            "no slot begins",
            id="no slot between earliest and deadline",
        ),
        pytest.param(
            {"units": 4},
            {"pools": [a_pool(units_free=(3, 3, 3, 3))]},
            ReasonCode.CAPACITY,
            "leave at most 3",
            id="capacity",
        ),
        pytest.param(
            {"units": 4},
            {"sites": [a_site(power_w_max=(5_000.0,) * 4)]},
            ReasonCode.SITE_POWER,
            "draws 4.0 kW more, the site's power limit leaves at most 3.3 kW",
            id="site power",
        ),
        pytest.param(
            {"cash_fen_max": 900},
            {},
            ReasonCode.CASH_BUDGET,
            "cost up to 10.00 yuan; vouchers pay 0.00 and the job's cash limit leaves 9.00: 1.00",
            id="cash limit of the job",
        ),
        pytest.param(
            {"uses_voucher": False},
            {"cash_fen": {}, "lots": (a_lot(),)},
            ReasonCode.CASH_BUDGET,
            "free cash is 0.00: 10.00 yuan are missing",
            id="no cash",
        ),
        pytest.param(
            {},
            {"cash_fen": {"acme": 400}, "lots": (a_lot(),)},
            ReasonCode.VOUCHER,
            "vouchers pay 5.00 and free cash is 4.00: 1.00 yuan are missing",
            id="voucher and cash together fall short",
        ),
    ],
)
def test_a_pool_that_is_out_of_the_question_says_why(
    job: dict[str, Any], changes: dict[str, Any], code: ReasonCode, words: str
) -> None:
    (row,) = quote(_problem(**changes), a_job(**job))
    assert row.reason is code
    assert words in row.message
    assert row.start is None


def test_data_at_home_may_stay_whatever_its_class() -> None:
    site = a_site(accepts=frozenset(), data_homes=frozenset({"ocean"}))
    job = a_job(data_home="ocean", data_class=DataClass.GOVERNMENT)
    (row,) = quote(a_problem(sites=[site]), job)
    assert row.reason is ReasonCode.PLACED


def test_a_quote_has_all_figures_and_sorts_by_cost() -> None:
    sites = [a_site("dear"), a_site("cheap", carbon_g_per_kwh=(500.0,) * 4), a_site("shut")]
    sites[2] = a_site("shut", is_open=False)
    pools = [
        a_pool("dear", price_uyuan_per_unit_hour=12_000_000),
        a_pool("cheap", price_uyuan_per_unit_hour=8_000_000),
        a_pool("shut"),
    ]
    problem = a_problem(
        sites=sites, pools=pools, lots=(a_lot(),), rtt_ms={("laoshan", "cheap"): 10.0}
    )
    cheap, dear, shut = quote(problem, a_job(origin="laoshan"))
    assert [row.site_id for row in (cheap, dear, shut)] == ["cheap", "dear", "shut"]
    assert (cheap.price_fen, cheap.voucher_fen, cheap.cash_fen) == (800, 400, 400)
    assert cheap.energy_wh == pytest.approx(1_500.0)
    assert cheap.carbon_g == pytest.approx(750.0)
    assert cheap.latency_ms == 10.0
    # 8 yuan price + 1.5 kWh x (0.60 + 0.5 kg x 0.06) + 10 ms x 0.002
    assert cheap.cost == pytest.approx(8 + 1.5 * 0.63 + 0.02)
    assert dear.cost is not None
    assert cheap.cost is not None
    assert f"dearer by {dear.cost - cheap.cost:.2f} yuan" in dear.message
    assert shut.cost is None


def test_an_unknown_round_trip_is_priced_like_the_worst_known() -> None:
    sites = [a_site("known"), a_site("unknown")]
    problem = a_problem(sites=sites, rtt_ms={("laoshan", "known"): 100.0})
    known, unknown = quote(problem, a_job(origin="laoshan"))
    assert known.cost == pytest.approx(unknown.cost)
    assert unknown.latency_ms is None


def test_a_full_pool_is_quoted_for_the_slot_in_which_it_is_free() -> None:
    (row,) = quote(a_problem(pools=[a_pool(units_free=(0, 0, 8, 8))]), a_job())
    assert row.start is not None
    assert (row.start - a_problem().origin).total_seconds() == 7_200
