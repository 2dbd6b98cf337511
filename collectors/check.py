"""Polls each source of a site once, to see before the agent runs whether all is written down right.

Nothing is left behind: no place in a file is kept, and no session of a broker is taken over from an
agent that may be running beside.
"""

import asyncio
import math
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from collectors.lanes import Place
from collectors.sources.port import Source, SourceError
from collectors.specs.base import Spec, Workshop
from suanwang.clock import Clock
from suanwang.errors import BadInput
from suanwang.model.reading import Reading

AT_A_TIME: Final = 64
"""Sources that are polled at the same time; of one address, one after the other."""
METER: Final = "meter:"
REGISTER: Final = "energy_wh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What one poll of a source came to; ``why`` is empty where it answered.

    ``meters`` are the ids of meters that it read, and ``registers`` those of which it read the
    energy register too. ``shared`` meters are read by another source as well.
    """

    name: str
    kind: str
    address: str
    took_s: float = 0.0
    readings: tuple[Reading, ...] = ()
    why: str = ""
    next_step: str = ""
    meters: tuple[str, ...] = ()
    registers: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()

    @property
    def is_ok(self) -> bool:
        """Whether the source answered."""
        return not self.why


async def check_sources(
    specs: Sequence[Spec],
    clock: Clock,
    told: Callable[[Checked], None] = lambda _: None,
    *,
    timeout_s_max: float = math.inf,
) -> tuple[Checked, ...]:
    """Poll each source once; return what came of each in the order of the specs.

    Each has its own ``timeout_s``, or the least of the two.
    """
    gate = asyncio.Semaphore(AT_A_TIME)
    turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
    with tempfile.TemporaryDirectory(prefix="suanwang-check-") as folder:
        workshop = Workshop(clock, Path(folder))

        async def one(spec: Spec) -> Checked:
            async with turns[spec.place.address or spec.name], gate:
                found = await _checked(spec, workshop, timeout_s_max)
            told(found)
            return found

        found = await asyncio.gather(*(one(spec.for_a_look(Path(folder))) for spec in specs))
    return _with_shared(found)


async def _checked(spec: Spec, workshop: Workshop, timeout_s_max: float) -> Checked:
    clock, timeout_s = workshop.clock, min(spec.timeout_s, timeout_s_max)
    seen = Checked(name=spec.name, kind=spec.kind, address=_address(spec.place))
    began_s = clock.monotonic()
    try:
        source = spec.build(workshop)
    except BadInput as failure:
        return _failed(seen, failure.message, failure.next_step, 0.0)
    try:
        readings = await asyncio.wait_for(_collected(source), timeout_s)
    except SourceError as failure:
        took_s = clock.monotonic() - began_s
        return _failed(seen, failure.message or type(failure).__name__, failure.next_step, took_s)
    except TimeoutError:
        why = f"no answer within {timeout_s:g} s"
        return _failed(seen, why, "", clock.monotonic() - began_s)
    except Exception as failure:  # noqa: BLE001 - a source's bug is a finding, and ends no check
        why = f"{type(failure).__name__}: {failure}"
        return _failed(seen, why, "", clock.monotonic() - began_s)
    finally:
        await source.close()
    return replace(
        seen,
        took_s=clock.monotonic() - began_s,
        readings=tuple(readings),
        meters=_meters(readings),
        registers=_meters([each for each in readings if each.metric == REGISTER]),
    )


async def _collected(source: Source) -> Sequence[Reading]:
    return await source.collect()


def _failed(seen: Checked, why: str, next_step: str, took_s: float) -> Checked:
    return replace(seen, why=why, next_step=next_step, took_s=took_s)


def _address(place: Place) -> str:
    return place.address.partition(" ")[2]


def _meters(readings: Sequence[Reading]) -> tuple[str, ...]:
    """Return the ids of meters among the subjects, without their parts, in the order read."""
    ids = (
        each.subject.removeprefix(METER).partition("/")[0]
        for each in readings
        if each.subject.startswith(METER)
    )
    return tuple(dict.fromkeys(ids))


def _with_shared(found: Sequence[Checked]) -> tuple[Checked, ...]:
    """Return the outcomes, each with the meters that another source reads as well.

    Two sources of one register make the record doubt both: of one moment only the first counts.
    """
    readers: dict[str, set[str]] = defaultdict(set)
    for each in found:
        for meter in each.meters:
            readers[meter].add(each.name)
    return tuple(
        replace(each, shared=tuple(one for one in each.meters if len(readers[one]) > 1))
        for each in found
    )
