"""Conflicts in words: every demand has a sentence with its figures in both languages."""

from dataclasses import replace
from datetime import timedelta

import pytest
from problem_builders import a_job, a_pool, a_problem, a_site

from optimizer.conflict import Conflict, Demand, Remedy, conflict_of, conflict_of_all
from optimizer.greedy import plan_greedy
from optimizer.problem import JobSpec
from scheduler import conflict_words
from suanwang.model.job import JobState
from voucher.wording import Language

EN, ZH = Language.ENGLISH, Language.CHINESE
JOB = a_job(
    units=8,
    run_s=5_400.0,
    deadline_s=126 * 3_600.0,
    earliest_s=1_200.0,
    cash_fen_max=123_456,
    sites=frozenset({"west", "east"}),
    accelerators=frozenset({"a100"}),
    latency_ms_max=2.5,
)


def both(conflict: Conflict) -> tuple[str, str]:
    return conflict_words.words(conflict, EN), conflict_words.words(conflict, ZH)


def a_conflict(*demands: Demand, remedies: tuple[Remedy, ...] = (), job: JobSpec = JOB) -> Conflict:
    return Conflict(demands, remedies, a_problem(jobs=[job]))


def a_remedy(*dropped: Demand, after: timedelta) -> Remedy:
    (place,) = plan_greedy(a_problem(jobs=[a_job()])).starts
    return Remedy(dropped, replace(place, start=place.start + after))


def test_two_wishes_that_no_pool_meets_are_told_with_the_way_out_of_each() -> None:
    job = a_job(origin="o", latency_ms_max=5.0, domestic_only=True)
    pools = [a_pool("near"), a_pool("far", accelerator="npu", is_domestic=True)]
    found = conflict_of(
        a_problem(
            jobs=[job],
            sites=[a_site("near"), a_site("far")],
            pools=pools,
            rtt_ms={("o", "near"): 2.0, ("o", "far"): 22.4},
        ),
        "job",
    )
    assert found is not None
    assert both(found) == (
        "no pool meets domestic accelerators only and latency ≤ 5 ms together; "
        "without domestic accelerators only it starts now in near-gpu for at most 10.00 CNY; "
        "without the latency limit it starts now in far-gpu for at most 10.00 CNY",
        "没有资源池同时满足仅限国产加速卡和时延 ≤ 5 ms；"
        "若放宽仅限国产加速卡，可立即在 near-gpu 开始，最高 10.00 元；"
        "若放宽时延上限，可立即在 far-gpu 开始，最高 10.00 元",
    )


@pytest.mark.parametrize(
    ("demand", "figures", "english", "chinese"),
    [
        (
            Demand.CAPACITY,
            {"units": 8, "run_s": 5_400},
            "8 units free for 1.5 h",
            "连续 1.5 小时空闲的 8 个算力单元",
        ),
        (Demand.SIZE, {"units": 8}, "8 units in one pool", "同池 8 个算力单元"),
        (
            Demand.CASH_LIMIT,
            {"cash_fen": 123_456},
            "at most 1,234.56 CNY of cash",
            "现金不超过 1,234.56 元",
        ),
        (
            Demand.EARLIEST,
            {"earliest_s": 1_200},
            "a start not before 20 min",
            "20 分钟后才开始",
        ),
        (Demand.DEADLINE, {"deadline_s": 453_600}, "an end within 126 h", "126 小时内结束"),
        (Demand.SITES, {"sites": "east, west"}, "a site of east, west", "站点限于 east, west"),
        (Demand.ACCELERATOR, {"names": "a100"}, "an accelerator of a100", "加速卡限于 a100"),
        (Demand.LATENCY, {"latency_ms": "2.5"}, "latency ≤ 2.5 ms", "时延 ≤ 2.5 ms"),
        (Demand.MONEY, {}, "the tenant's vouchers and cash", "租户现有的算力券和现金"),
        (Demand.POWER, {}, "the sites' power limits", "站点功率上限"),
    ],
)
def test_a_demand_is_told_with_its_figures(
    demand: Demand, figures: dict[str, str | int], english: str, chinese: str
) -> None:
    assert conflict_words.figures(demand, JOB) == figures
    assert conflict_words.demand_words(demand, JOB, EN) == english
    assert conflict_words.demand_words(demand, JOB, ZH) == chinese


@pytest.mark.parametrize("demand", Demand)
def test_every_demand_has_words_in_both_languages(demand: Demand) -> None:
    english, chinese = both(
        a_conflict(demand, remedies=(a_remedy(demand, after=timedelta(minutes=45)),))
    )
    assert "it starts in 45 min in near-gpu for at most 10.00 CNY" in english
    assert "可在 45 分钟后于 near-gpu 开始，最高 10.00 元" in chinese
    assert english != chinese
    assert "{" not in english + chinese


def test_what_is_far_from_a_place_is_told_so() -> None:
    assert both(a_conflict(Demand.OPEN, Demand.POWER, Demand.SIZE)) == (
        "no pool meets sites that are open, the sites' power limits and 8 units in one pool "
        "together; more than 3 demands would have to go",
        "没有资源池同时满足站点开放要求、站点功率上限和同池 8 个算力单元；须放宽超过 3 项要求",
    )


def test_a_network_without_pools_is_said_to_be_one() -> None:
    found = conflict_of(a_problem(jobs=[a_job()], sites=[], pools=[]), "job")
    assert found is not None
    assert both(found) == (
        "there is no pool at all; register a site",
        "尚无任何资源池；请先登记站点",
    )


def test_a_job_that_nothing_is_in_the_way_of_is_told_its_state() -> None:
    assert conflict_words.nothing(JobState.RUNNING, EN).endswith("it is running")
    assert conflict_words.nothing(JobState.RUNNING, ZH).endswith("其状态为 running")


def test_jobs_that_do_not_fit_together_are_told_what_keeps_them() -> None:
    job = a_job("j0", units=8, run_s=2 * 3_600.0, deadline_s=3 * 3_600.0)
    found = conflict_of_all(a_problem(jobs=[job, replace(job, id="j1")]))
    assert found is not None
    english = conflict_words.words_of_all(found, EN)
    assert english.startswith(
        "not all 2 jobs fit: free units and the deadline together leave too little; "
        "without free units all jobs fit"
    )
    assert conflict_words.words_of_all(found, ZH).startswith(
        "2 个作业无法全部安排：空闲算力单元和截止时间合在一起余量不足；若放宽空闲算力单元，"
    )
