"""Who does work that can be shared out: the port, the crew of one that is always there, and calm.

A crew applies a pure function to many things at once. It either **holds** parts, which stay with
its workers so that only questions and answers travel, or **spreads** items that are each worked on
once. Answers come back in the order of the parts or items, so whoever adds them up gets the same
sum from every crew. What a crew's workers do not answer is done here (``Steady``): a lost worker
costs time, never an answer.

Functions that are handed to a crew are named on the top level of a module and depend on nothing
but their arguments. They may remember in a part what they would otherwise compute again.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

from suanwang.errors import Unavailable

_LOG = logging.getLogger(__name__)

ASK_S: Final = 30.0
"""Seconds after which a worker that has not answered counts as lost, unless the caller says."""

_Part = TypeVar("_Part")
_Part_co = TypeVar("_Part_co", covariant=True)
_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


class CrewLost(Unavailable):
    """A worker did not answer, in time or at all; which one and why is in the message."""

    code = "crew-lost"


class Held(Protocol[_Part_co]):
    """Parts that stay with the workers."""

    def ask(
        self, work: Callable[[_Part_co, _Item], _Answer], item: _Item, time_s: float = ASK_S
    ) -> list[_Answer]:
        """Return ``work(part, item)`` of every part, in their order; raise CrewLost."""

    def close(self) -> None:
        """Let the workers forget the parts; a second call changes nothing."""


class Crew(Protocol):
    """Workers. ``size`` is how many parts pay; ``name`` is what a plan calls them."""

    @property
    def name(self) -> str:
        """Who they are, in words."""

    @property
    def size(self) -> int:
        """How many work side by side."""

    def hold(self, parts: Sequence[_Part], time_s: float = ASK_S) -> Held[_Part]:
        """Hand out parts that stay; raise CrewLost."""

    def spread(
        self,
        work: Callable[[_Part, _Item], _Answer],
        common: _Part,
        items: Sequence[_Item],
        time_s: float = ASK_S,
    ) -> list[_Answer]:
        """Return ``work(common, item)`` of every item, in their order; raise CrewLost."""


class _HeldHere(Held[_Part]):
    def __init__(self, parts: Sequence[_Part]) -> None:
        self._parts = parts

    def ask(
        self, work: Callable[[_Part, _Item], _Answer], item: _Item, time_s: float = ASK_S
    ) -> list[_Answer]:
        return [work(part, item) for part in self._parts]

    def close(self) -> None:
        pass


class InProcess:
    """The crew of one: this process, one thing after the other. It cannot be lost.

    ``size`` in parts, for who wants to see that their number makes no difference.
    """

    name: Final = "this process"

    def __init__(self, size: int = 1) -> None:
        self._size = size

    @property
    def size(self) -> int:
        """In how many parts work is cut."""
        return self._size

    def hold(self, parts: Sequence[_Part], time_s: float = ASK_S) -> Held[_Part]:
        """Keep the parts as they are."""
        return _HeldHere(parts)

    def spread(
        self,
        work: Callable[[_Part, _Item], _Answer],
        common: _Part,
        items: Sequence[_Item],
        time_s: float = ASK_S,
    ) -> list[_Answer]:
        """Work on one item after the other."""
        return [work(common, item) for item in items]


IN_PROCESS: Final = InProcess()


class Steady:
    """A crew that does here what its workers do not answer; ``notes`` says when that was.

    From the first loss on everything is done here: make a new one for the next plan.
    """

    def __init__(self, crew: Crew, patience_s: float = ASK_S) -> None:
        """Whoever does not answer within ``patience_s`` is not waited for."""
        self._crew: Crew = crew
        self._patience_s = patience_s
        self._notes: list[str] = []

    @property
    def name(self) -> str:
        """Who worked at last."""
        return self._crew.name

    @property
    def size(self) -> int:
        """How many work side by side now."""
        return self._crew.size

    @property
    def notes(self) -> tuple[str, ...]:
        """What went wrong, in words; empty where nothing did."""
        return tuple(self._notes)

    def hold(self, parts: Sequence[_Part], time_s: float = ASK_S) -> Held[_Part]:
        """Hand out parts; the caller's own stay at hand for a loss."""
        try:
            held = self._crew.hold(parts, self.patience_s(time_s))
        except CrewLost as failure:
            self.give_up(failure)
            held = IN_PROCESS.hold(parts)
        return _SteadyHeld(self, parts, held)

    def spread(
        self,
        work: Callable[[_Part, _Item], _Answer],
        common: _Part,
        items: Sequence[_Item],
        time_s: float = ASK_S,
    ) -> list[_Answer]:
        """Spread items; where a worker is lost, all of them are worked on here."""
        try:
            return self._crew.spread(work, common, items, self.patience_s(time_s))
        except CrewLost as failure:
            self.give_up(failure)
            return IN_PROCESS.spread(work, common, items)

    def patience_s(self, time_s: float) -> float:
        """Return how long to wait for an answer, where so long is asked for."""
        return min(time_s, self._patience_s)

    def give_up(self, failure: CrewLost) -> None:
        """Go on in this process, and say so, once."""
        if self._crew is IN_PROCESS:
            return
        note = f"{self._crew.name} failed ({failure.message}); their work was done in this process"
        _LOG.warning("%s", note)
        self._notes.append(note)
        self._crew = IN_PROCESS


class _SteadyHeld(Held[_Part]):
    def __init__(self, crew: Steady, parts: Sequence[_Part], held: Held[_Part]) -> None:
        self._crew, self._parts, self._held = crew, parts, held

    def ask(
        self, work: Callable[[_Part, _Item], _Answer], item: _Item, time_s: float = ASK_S
    ) -> list[_Answer]:
        try:
            return self._held.ask(work, item, self._crew.patience_s(time_s))
        except CrewLost as failure:
            self._crew.give_up(failure)
            self._held = IN_PROCESS.hold(self._parts)
            return self._held.ask(work, item)

    def close(self) -> None:
        try:
            self._held.close()
        except CrewLost as failure:
            self._crew.give_up(failure)
