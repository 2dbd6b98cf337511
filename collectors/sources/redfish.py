"""Servers, chassis and rack PDUs by Redfish.

What a BMC offers is looked up once and kept for about an hour, on disk too, so that a poll asks
only for the few resources that hold numbers: a slow BMC needs seconds for each.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from collectors.json_values import at_pointer, number
from collectors.phases import share_of
from collectors.redfish_client import RedfishClient, RedfishFailure
from collectors.redfish_memory import Known, PlanMemory
from collectors.redfish_plan import Planner, Read, Resource, Shape
from collectors.redfish_readings import members
from collectors.sources.port import Pace, SourceError
from suanwang.clock import Clock
from suanwang.model.reading import Quality, Reading

PLAN_S: Final = 3_600.0
"""How long it is taken as known what a BMC offers: on average, since each source has its own share
of half to one and a half of it, lest a fleet that was found at once is looked through at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointerRule:
    """Turns the number at a JSON pointer of a resource into readings of one metric."""

    path: str
    pointer: str
    metric: str
    subject: str
    scale: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wants:
    """What to read: groups of metrics of the resources (none: all that are found), and own rules.

    Of resources that are found the subject is ``host:<host>`` for a lone chassis, else
    ``chassis:<host>:<id>``, and ``pdu:<host>:<id>`` for a power distributor.
    """

    host: str
    resources: tuple[Resource, ...] = ()
    groups: frozenset[str] = frozenset({"power", "temperature", "health"})
    rules: tuple[PointerRule, ...] = ()


@dataclass(frozen=True, slots=True)
class _Answer:
    document: object
    at: datetime


class _Unkept:
    """The client as the planner uses it: what is asked once need not be remembered."""

    def __init__(self, client: RedfishClient) -> None:
        self._client = client

    async def get(self, path: str) -> object:
        return await self._client.get(path, is_kept=False)


class RedfishSource:
    """One BMC. Any resource that is planned and not answered takes the source down."""

    def __init__(
        self,
        clock: Clock,
        client: RedfishClient,
        wants: Wants,
        pace: Pace,
        memory: PlanMemory | None = None,
    ) -> None:
        self.name = pace.name
        self.interval_s = pace.interval_s
        self.timeout_s = pace.timeout_s
        self._clock = clock
        self._client = client
        self._wants = wants
        self._memory = memory
        self._key = f"{client.url} {wants.host} {sorted(wants.groups)} {wants.resources}"
        self._plan: tuple[Read, ...] | None = None
        self._plan_until = 0.0
        self._was_recalled = False
        self._is_open = True
        client.hold()

    @property
    def must_discover(self) -> bool:
        """Whether the next poll begins with looking through the BMC."""
        return bool(self._wants.groups) and self._plan is None and not self._recall()

    async def collect(self) -> Sequence[Reading]:
        """Return what the planned resources say; each reading has the moment of its answer."""
        reads = await self._reads()
        paths = sorted({each.path for each in reads} | {rule.path for rule in self._wants.rules})
        try:
            answers = await self._answers(paths)
        except RedfishFailure as failure:
            if failure.http_status == 404:
                self._forget()  # the tree has changed: look through it at the next poll
            raise
        readings = (*_planned(reads, answers), *_ruled(self._wants.rules, answers))
        if not readings or _has_shrunk(reads, answers):
            self._forget()
        if not readings:
            raise SourceError(
                f"{self._client.url} gave no number in {', '.join(paths)}",
                next_step="name other resources or groups, or rules of your own",
                url=self._client.url,
            )
        return readings

    async def close(self) -> None:
        """End the session, if no other source needs it."""
        if self._is_open:
            self._is_open = False
            await self._client.release()

    async def _reads(self) -> tuple[Read, ...]:
        if not self._wants.groups:
            return ()
        now_s = self._clock.monotonic()
        if (self._plan is None and not self._recall()) or now_s > self._plan_until:
            planner = Planner(_Unkept(self._client), self._wants.groups, self._clock)
            plan = await planner.plan(self._wants.host, self._wants.resources)
            self._use(plan, PLAN_S * (0.5 + share_of(self.name, 0)))
            if self._memory:
                self._memory.save(self._key, Known(reads=plan, at=self._clock.now()))
        return self._plan or ()

    def _recall(self) -> bool:
        """Take what was known before a restart; return whether there was anything.

        It is asked for once: what was wrong and forgotten does not come back.
        """
        if self._was_recalled or not self._memory:
            return False
        self._was_recalled = True
        known = self._memory.load(self._key)
        if known is None:
            return False
        # However old it is: a fleet that was away for a day is not looked through all at once.
        self._use(known.reads, PLAN_S * share_of(self.name, 0))
        return True

    def _use(self, plan: tuple[Read, ...], for_s: float) -> None:
        self._plan, self._plan_until = plan, self._clock.monotonic() + for_s

    def _forget(self) -> None:
        self._plan = None
        if self._memory:
            self._memory.forget(self._key)

    async def _answers(self, paths: Sequence[str]) -> dict[str, _Answer]:
        """Return every resource; the first failure stops the asking and is raised."""
        if len(paths) == 1:
            document = await self._client.get(paths[0])
            return {paths[0]: _Answer(document, self._clock.now())}
        answers: dict[str, _Answer] = {}

        async def ask(path: str) -> None:
            document = await self._client.get(path)
            answers[path] = _Answer(document, self._clock.now())

        try:
            async with asyncio.TaskGroup() as group:
                for path in paths:
                    group.create_task(ask(path))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from failures
        return answers


def _has_shrunk(reads: Sequence[Read], answers: Mapping[str, _Answer]) -> bool:
    """Whether an expanded answer has lost a resource that it held, which no status tells."""
    return any(
        read.inside and at_pointer(answers[read.path].document, read.inside) is None
        for read in reads
    )


def _planned(reads: Sequence[Read], answers: Mapping[str, _Answer]) -> Iterator[Reading]:
    told: set[tuple[str, str]] = set()
    for read in reads:
        if read.shape is Shape.SUMMED:
            continue
        answer = answers[read.path]
        for subject, document in _subjects(read, answer.document):
            for metric, value in read.take(document).items():
                if (subject, metric) not in told:
                    told.add((subject, metric))
                    yield Reading(subject=subject, metric=metric, value=value, at=answer.at)
    yield from _sums([read for read in reads if read.shape is Shape.SUMMED], answers)


def _subjects(read: Read, document: object) -> Iterator[tuple[str, object]]:
    if read.shape is not Shape.MEMBERS:
        yield read.subject, at_pointer(document, read.inside) if read.inside else document
        return
    for member in members(document):
        name = at_pointer(member, "/Id")
        if isinstance(name, str) and name:
            yield f"{read.subject}:{name}", member


def _sums(reads: Sequence[Read], answers: Mapping[str, _Answer]) -> Iterator[Reading]:
    """Return the sums over the parts of each subject, where no part is without the number."""
    for subject in sorted({read.subject for read in reads}):
        parts = [read for read in reads if read.subject == subject]
        values = [read.take(answers[read.path].document) for read in parts]
        at = max(answers[read.path].at for read in parts)
        for metric in sorted(set.intersection(*(set(each) for each in values))):
            yield Reading(
                subject=subject,
                metric=metric,
                value=sum(each[metric] for each in values),
                at=at,
                quality=Quality.DERIVED,
            )


def _ruled(rules: Sequence[PointerRule], answers: Mapping[str, _Answer]) -> Iterator[Reading]:
    for rule in rules:
        answer = answers[rule.path]
        value = number(at_pointer(answer.document, rule.pointer))
        if value is None:
            raise SourceError(
                f"{rule.path} has no number at {rule.pointer}",
                next_step="check path and pointer of the rule",
                path=rule.path,
            )
        yield Reading(
            subject=rule.subject, metric=rule.metric, value=value * rule.scale, at=answer.at
        )
