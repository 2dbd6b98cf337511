"""Keeps the polled sources in agreement with the settings, while the agent runs."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from agent.process import allow_files, settle_newer
from agent.site_file import SiteFile, Wanted
from collectors.poller import Poller
from collectors.site_sources import SourceChange, compare
from collectors.sources.port import Source
from collectors.specs.base import Spec, Workshop
from suanwang.errors import BadInput, SuanwangError

log = logging.getLogger(__name__)

NAMES_SHOWN: Final = 20
"""Names of sources in one line of the log; of more only the number is told."""
SHARING_KINDS: Final = frozenset({"snmp"})
"""Kinds of source that have no connection each: all SNMP devices are asked from one socket."""


def connections_of(specs: Sequence[Spec]) -> int:
    """Return how many connections the sources keep open at most."""
    return sum(spec.kind not in SHARING_KINDS for spec in specs)


class SourceKeeper:
    """Knows the sources that are polled, and changes them when it is asked to read anew."""

    def __init__(self, file: SiteFile, specs: Sequence[Spec], workshop: Workshop) -> None:
        self._file = file
        self._specs = tuple(specs)
        self._workshop = workshop
        self.problem = ""
        """Why the settings were not taken when they were read last; empty where they were."""

    def has_changed(self) -> bool:
        """Whether a settings file has changed and is to be read."""
        return self._file.has_changed()

    async def reread(self, poller: Poller) -> SourceChange:
        """Read the settings and change what is polled; where they are wrong, change nothing."""
        try:
            # In a thread, since the settings of 20,000 sources take seconds to read.
            wanted = await asyncio.to_thread(self._file.read)
            change = compare(self._specs, wanted.specs)
            self._workshop.forget_files()
            fresh = await self._built(change)
        except SuanwangError as failure:
            self.problem = f"{failure.message} ({failure.next_step})".removesuffix(" ()")
            log.error(
                "the settings are not taken; the sources go on as they were",
                extra={"why": failure.message, "next_step": failure.next_step},
            )
            return SourceChange()
        self.problem = ""
        await asyncio.gather(*(poller.remove(name) for name in change.ended))
        for spec, source in zip(change.fresh, fresh, strict=True):
            poller.add(source, spec.place)
        self._specs = wanted.specs
        self._tell(change, wanted)
        if change:
            allow_files(connections_of(self._specs))
            settle_newer()
        return change

    async def _built(self, change: SourceChange) -> list[Source]:
        """Return the new sources; raise BadInput where one cannot be built, and keep none then."""
        built: list[Source] = []
        try:
            for spec in change.fresh:
                built.append(spec.build(self._workshop))
        except BadInput:
            for source in built:
                await source.close()
            raise
        return built

    def _tell(self, change: SourceChange, wanted: Wanted) -> None:
        log.info(
            "settings read",
            extra={
                "sources": len(wanted.specs),
                "added": _names([spec.name for spec in change.added]),
                "changed": _names([spec.name for spec in change.changed]),
                "removed": _names(change.removed),
            },
        )
        if wanted.waiting:
            log.warning(
                "these settings take effect when the agent is started anew",
                extra={"settings": ", ".join(wanted.waiting)},
            )


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMES_SHOWN])
    more = len(names) - NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
