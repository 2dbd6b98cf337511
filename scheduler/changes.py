"""What would change a waiting job's cost or start, in figures and in words of both languages."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from sqlalchemy import Engine

from optimizer.changes import Change, Wish, changes_of
from optimizer.quote import with_asker
from scheduler import quotes
from scheduler.context import Context
from suanwang.db.engine import reading
from suanwang.model.job import Job, JobState
from voucher.wording import Language, Words

_ASKED: Final[Mapping[Wish, Words]] = MappingProxyType(
    {
        Wish.DEADLINE: Words(en="deadline two hours later", zh="截止时间推迟两小时"),
        Wish.EARLIEST: Words(en="allowed to start at once", zh="允许立即开始"),
        Wish.UNITS: Words(en="half the units", zh="加速卡数量减半"),
        Wish.LATENCY: Words(en="no limit of latency", zh="不限制时延"),
        Wish.SITES: Words(en="any site", zh="不限定站点"),
        Wish.ACCELERATORS: Words(en="any accelerator", zh="不限定加速卡型号"),
        Wish.DOMESTIC: Words(en="not only domestic accelerators", zh="不限国产加速卡"),
        Wish.CASH_LIMIT: Words(en="no limit of cash", zh="不限现金上限"),
        Wish.USES_VOUCHER: Words(en="vouchers may pay", zh="允许使用算力券"),
        Wish.VOUCHER: Words(en="voucher +1,000 yuan", zh="算力券增加 1000 元"),
        Wish.CASH: Words(en="cash +1,000 yuan", zh="现金增加 1000 元"),
    }
)
_NOTHING: Final = Words(en="changes nothing", zh="没有变化")
_SAVES: Final = Words(en="{saved:.1f} % cheaper for the plan", zh="计划成本降低 {saved:.1f}%")
_PLACED: Final = Words(en="it would be placed in {pool}", zh="作业可安排到 {pool}")
_EARLIER: Final = Words(en="starts {minutes:.0f} min earlier", zh="提前 {minutes:.0f} 分钟开始")
_NOTHING_PCT: Final = 0.05


@dataclass(frozen=True, slots=True)
class ToldChange:
    """A change with its sentences."""

    change: Change
    en: str
    zh: str


def changes_of_job(engine: Engine, context: Context, job: Job) -> tuple[ToldChange, ...]:
    """Return what each change would mean for a waiting job; nothing for one that waits no more.

    The plan is solved again with each change that its prices do not rule out, outside of any
    transaction.
    """
    if job.state is not JobState.QUEUED:
        return ()
    with reading(engine) as connection:
        asked = quotes.ask_about(connection, job, context)
    relaxation = asked.standing.relaxation()
    if relaxation is None:
        return ()
    data = with_asker(relaxation.problem, asked.job, asked.asker)
    return tuple(
        ToldChange(change, words(change, Language.ENGLISH), words(change, Language.CHINESE))
        for change in changes_of(relaxation, asked.job, data, context.crew)
    )


def words(change: Change, language: Language) -> str:
    """Return a change as a sentence."""
    found = []
    before, after = change.before, change.after
    if before.start is None and after.start is not None:
        found.append(_PLACED.of(language).format(pool=after.pool_id))
    elif change.saved_pct >= _NOTHING_PCT:
        found.append(_SAVES.of(language).format(saved=change.saved_pct))
    if before.start is not None and after.start is not None and after.start < before.start:
        minutes = (before.start - after.start).total_seconds() / 60
        found.append(_EARLIER.of(language).format(minutes=minutes))
    joint, colon = (", ", ": ") if language is Language.ENGLISH else (",", ":")
    told = joint.join(found) or _NOTHING.of(language)
    return f"{_ASKED[change.wish].of(language)}{colon}{told}"
