"""What stands in a job's way, in sentences of both languages, made of codes and figures."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from optimizer.conflict import REMEDY_DEMANDS_MAX, Conflict, Demand, Remedy
from optimizer.problem import JobSpec, Problem
from suanwang.model.job import JobState
from voucher.wording import Figures, Language, Words, joined, render

_NAMES: Final[Mapping[Demand, Words]] = MappingProxyType(
    {
        Demand.OPEN: Words(en="sites that are open", zh="站点开放要求"),
        Demand.POWER: Words(en="the sites' power limits", zh="站点功率上限"),
        Demand.RESERVATION: Words(en="units reserved for others", zh="他人预留的算力单元"),
        Demand.CAPACITY: Words(en="free units", zh="空闲算力单元"),
        Demand.SIZE: Words(en="the size of the pools", zh="资源池规模"),
        Demand.MONEY: Words(en="the money that is there", zh="可用资金"),
        Demand.RETRY: Words(en="pools where it has not failed lately", zh="近期未失败的资源池"),
        Demand.AFTER: Words(en="the jobs that must end before", zh="须先结束的作业"),
        Demand.CASH_LIMIT: Words(en="the job's cash limit", zh="作业的现金上限"),
        Demand.EARLIEST: Words(en="the earliest start", zh="最早开始时间"),
        Demand.DEADLINE: Words(en="the deadline", zh="截止时间"),
        Demand.SITES: Words(en="the sites that are named", zh="指定的站点"),
        Demand.DATA: Words(en="where the data may go", zh="数据可去的地点"),
        Demand.ACCELERATOR: Words(en="the accelerators that are named", zh="指定的加速卡"),
        Demand.DOMESTIC: Words(en="domestic accelerators only", zh="仅限国产加速卡"),
        Demand.LATENCY: Words(en="the latency limit", zh="时延上限"),
    }
)
"""Demands as such, and as they are told of many jobs at once."""
_WANTED: Final[Mapping[Demand, Words]] = MappingProxyType(
    {
        Demand.CAPACITY: Words(
            en="{units} units free for {run_s}", zh="连续 {run_s}空闲的 {units} 个算力单元"
        ),
        Demand.SIZE: Words(en="{units} units in one pool", zh="同池 {units} 个算力单元"),
        Demand.MONEY: Words(en="the tenant's vouchers and cash", zh="租户现有的算力券和现金"),
        Demand.CASH_LIMIT: Words(en="at most {cash_fen} of cash", zh="现金不超过 {cash_fen}"),
        Demand.EARLIEST: Words(en="a start not before {earliest_s}", zh="{earliest_s}后才开始"),
        Demand.DEADLINE: Words(en="an end within {deadline_s}", zh="{deadline_s}内结束"),
        Demand.SITES: Words(en="a site of {sites}", zh="站点限于 {sites}"),
        Demand.ACCELERATOR: Words(en="an accelerator of {names}", zh="加速卡限于 {names}"),
        Demand.LATENCY: Words(en="latency ≤ {latency_ms} ms", zh="时延 ≤ {latency_ms} ms"),
    }
)
"""Demands of one job with their figures, where they have any."""
_NOTHING: Final = Words(
    en="nothing stands in its way; it is {state}", zh="没有什么妨碍该作业；其状态为 {state}"
)
_NO_POOL: Final = Words(
    en="there is no pool at all; register a site", zh="尚无任何资源池；请先登记站点"
)
_UNMET: Final = Words(en="no pool meets {demands}", zh="没有资源池满足{demands}")
_UNMET_TOGETHER: Final = Words(
    en="no pool meets {demands} together", zh="没有资源池同时满足{demands}"
)
_NO_WAY_OUT: Final = Words(
    en="more than {most} demands would have to go", zh="须放宽超过 {most} 项要求"
)
_STARTS_NOW: Final = Words(
    en="without {demands} it starts now in {pool} for at most {price_fen}",
    zh="若放宽{demands}，可立即在 {pool} 开始，最高 {price_fen}",
)
_STARTS_LATER: Final = Words(
    en="without {demands} it starts in {start_s} in {pool} for at most {price_fen}",
    zh="若放宽{demands}，可在 {start_s}后于 {pool} 开始，最高 {price_fen}",
)
_ALL_UNMET: Final = Words(
    en="not all {jobs} jobs fit: {demands}", zh="{jobs} 个作业无法全部安排：{demands}"
)
_ALL_UNMET_TOGETHER: Final = Words(
    en="not all {jobs} jobs fit: {demands} together leave too little",
    zh="{jobs} 个作业无法全部安排：{demands}合在一起余量不足",
)
_ALL_FIT: Final = Words(
    en="without {demands} all jobs fit, at least in fractions",
    zh="若放宽{demands}，所有作业至少按比例可以安排",
)


def nothing(state: JobState, language: Language) -> str:
    """Return what is told of a job that has no conflict."""
    return render(_NOTHING, {"state": state.value}, language)


def words(conflict: Conflict, language: Language) -> str:
    """Return a conflict of one job and its ways out as one text."""
    if not conflict.demands:
        return _NO_POOL.of(language)
    (job,) = conflict.problem.jobs
    wanted = [demand_words(demand, job, language) for demand in conflict.demands]
    head = _UNMET if len(wanted) == 1 else _UNMET_TOGETHER
    told = [render(head, {"demands": _listed(wanted, language)}, language)]
    told += [way_out(conflict.problem, remedy, language) for remedy in conflict.remedies]
    if not conflict.remedies:
        told.append(render(_NO_WAY_OUT, {"most": REMEDY_DEMANDS_MAX}, language))
    return joined(told, language)


def words_of_all(conflict: Conflict, language: Language) -> str:
    """Return a conflict of all jobs as one text."""
    counted: Figures = {
        "jobs": len(conflict.problem.jobs),
        "demands": _named(conflict.demands, language),
    }
    head = _ALL_UNMET if len(conflict.demands) <= 1 else _ALL_UNMET_TOGETHER
    ways = ({"demands": _named(remedy.dropped, language)} for remedy in conflict.remedies)
    return joined(
        [render(head, counted, language), *(render(_ALL_FIT, way, language) for way in ways)],
        language,
    )


def figures(demand: Demand, job: JobSpec) -> Figures:
    """Return a job's own figures of a demand: what its sentence has in braces, s, ms and fen."""
    return _FIGURES.get(demand, _no_figures)(job)


def demand_words(demand: Demand, job: JobSpec, language: Language) -> str:
    """Return a demand of a job with its figures."""
    return render(template(demand), figures(demand, job), language)


def template(demand: Demand) -> Words:
    """Return the sentence of a demand, with the names of its figures in braces."""
    return _WANTED.get(demand, _NAMES[demand])


def way_out(problem: Problem, remedy: Remedy, language: Language) -> str:
    """Return what a single job gets without some demands."""
    if remedy.placement is None:
        raise AssertionError("a way out for one job names its place")
    place = remedy.placement
    start_s = round((place.start - problem.origin).total_seconds())
    told: Figures = {
        "demands": _named(remedy.dropped, language),
        "start_s": start_s,
        "pool": place.pool_id,
        "price_fen": place.price_fen_max,
    }
    return render(_STARTS_LATER if start_s > 0 else _STARTS_NOW, told, language)


def _no_figures(_job: JobSpec) -> Figures:
    return {}


_FIGURES: Final[Mapping[Demand, Callable[[JobSpec], Figures]]] = MappingProxyType(
    {
        Demand.CAPACITY: lambda job: {"units": job.units, "run_s": round(job.run_s)},
        Demand.SIZE: lambda job: {"units": job.units},
        Demand.CASH_LIMIT: lambda job: {"cash_fen": job.cash_fen_max or 0},
        Demand.EARLIEST: lambda job: {"earliest_s": round(job.earliest_s)},
        Demand.DEADLINE: lambda job: {"deadline_s": round(job.deadline_s or 0.0)},
        Demand.SITES: lambda job: {"sites": ", ".join(sorted(job.sites))},
        Demand.ACCELERATOR: lambda job: {"names": ", ".join(sorted(job.accelerators))},
        Demand.LATENCY: lambda job: {"latency_ms": f"{job.latency_ms_max or 0:g}"},
    }
)


def _named(demands: Iterable[Demand], language: Language) -> str:
    return _listed([_NAMES[demand].of(language) for demand in demands], language)


def _listed(parts: Sequence[str], language: Language) -> str:
    between, last_joint = ("、", "和") if language is Language.CHINESE else (", ", " and ")
    *first, last = parts
    return f"{between.join(first)}{last_joint}{last}" if first else last
