"""Follows the chain by processes side by side, each through a part of the journal.

A part begins with a stored link, which the part before it must reach. So where every part is whole
and reaches the beginning of the next, the chain is whole. A process that cannot be started, or ends
without an answer, costs time only: its part is followed here.
"""

import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from subprocess import DEVNULL, PIPE, Popen
from typing import Final

from sqlalchemy import Connection

from voucher.links import Order, Part, Source, follow
from voucher.store_audit import driver_of, source_of, stored_links
from voucher.store_book import Head

PART_ENTRIES_MIN: Final = 50_000
"""Entries that are worth a process: following them takes longer than starting it."""
PROCESSES_MAX: Final = 8
_log: Final = logging.getLogger(__name__)


class Following:
    """A chain that is being followed, its first parts by ``processes``."""

    def __init__(
        self, connection: Connection, order: Sequence[Order], processes: Sequence["Popen[str]"]
    ) -> None:
        self._connection = connection
        self.order = order
        self.processes = processes

    @property
    def is_elsewhere(self) -> bool:
        """Whether processes follow all of it."""
        return len(self.processes) == len(self.order)

    def finish(self, end: Head) -> None:
        """Follow here what no process follows; raise ValueError where the chain is not whole."""
        here = self.order[len(self.processes) :]
        later: ValueError | None = None
        reached: list[str] = []
        try:
            reached = [self._follow(order) for order in here]
        except ValueError as broken:
            later = broken  # What is wrong in the parts before is told first.
        before = [
            _answer(process, order) or self._follow(order)
            for order, process in zip(self.order, self.processes, strict=False)
        ]
        if later is not None:
            raise later
        wanted = [*[order.part.former for order in self.order[1:]], end.chain]
        for order, link, former in zip(self.order, [*before, *reached], wanted, strict=True):
            if link != former:
                raise ValueError(f"the chain breaks at entry {order.part.until + 1}")

    def _follow(self, order: Order) -> str:
        driver = driver_of(self._connection)
        return follow(driver, order.part, with_digests=order.with_digests)

    def stop(self) -> None:
        """End the processes that still run."""
        for process in self.processes:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


@contextmanager
def following(
    connection: Connection, begin: Head, end: Head, *, is_shared: bool, with_digests: bool
) -> Iterator[Following]:
    """Let processes follow the entries from ``begin`` to ``end``, where there are enough of them.

    ``is_shared`` leaves a part for this process. No processes are started where they could see
    another state than this connection: it has to be one that only reads, and no database in memory.
    """
    count = min(_processors() - 1, PROCESSES_MAX, (end.seq - begin.seq) // PART_ENTRIES_MIN)
    source = source_of(connection) if count > 0 else None
    parts = _parts(connection, begin, end, count + is_shared if source else 1)
    order = [Order(source or Source("sqlite", ""), part, with_digests) for part in parts]
    chain = Following(connection, order, _started(order[:count]) if source else [])
    try:
        yield chain
    finally:
        chain.stop()


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _parts(connection: Connection, begin: Head, end: Head, count: int) -> list[Part]:
    """Return up to ``count`` parts of one length; fewer where a border's entry has no link."""
    step = (end.seq - begin.seq) // count
    borders = [begin.seq + step * number for number in range(1, count)]
    links = stored_links(connection, borders)
    heads = [begin, *[Head(seq, links[seq]) for seq in borders if seq in links], end]
    return [Part(one.seq, other.seq, one.chain) for one, other in pairwise(heads)]


def _started(orders: Sequence[Order]) -> list["Popen[str]"]:
    """Return processes for the first of the orders, as many as can be started."""
    command = [sys.executable, "-P", "-m", "voucher.links"]
    processes: list[Popen[str]] = []
    try:
        for order in orders:
            processes.append(
                Popen(command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, text=True)  # noqa: S603
            )
            _tell(processes[-1], order)
    except OSError as failure:
        _log.warning("no process could be started to follow the chain: %s", failure)
    return processes


def _tell(process: "Popen[str]", order: Order) -> None:
    """Send an order: not as an argument, since its address may have a password."""
    with process.stdin as pipe:  # type: ignore[union-attr]  # it was asked for
        pipe.write(json.dumps(order) + "\n")


def _answer(process: "Popen[str]", order: Order) -> str:
    """Return the link that a process reached, an empty text for none; raise ValueError."""
    told = process.stdout.read() if process.stdout else ""
    process.wait()
    answer = json.loads(told) if told.endswith("\n") else {"link": ""}
    if "broken" in answer:
        raise ValueError(answer["broken"])
    if not answer["link"]:
        _log.warning(
            "a process ended early (%d): entries %d to %d are followed here",
            *(process.returncode, order.part.after + 1, order.part.until),
        )
    return str(answer["link"])
