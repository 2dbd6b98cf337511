"""Whose money a lot is: whole fen by funder, and each funder's part of any amount of it. Pure.

The journal does not repeat the funders with every payment. A lot is granted with its *mix*, the fen
that each funder put into it; from then on the funders' parts of what the lot has paid, lost or
given back follow from how much that is, and from nothing else. So any way of paying the same total
in steps gives the same parts, they always add up, and no funder's part ever shrinks while a total
grows.
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from suanwang.units import share_fen

PLATFORM: Final = "platform"
"""Who funds a lot that names no funders: a grant by the platform's own admin."""


class FunderPart(NamedTuple):
    """What one funder put into a lot."""

    funder: str
    amount_fen: int


Mix = tuple[FunderPart, ...]


def read_mix(text: str) -> Mix:
    """Return the mix that a lot keeps as JSON."""
    return tuple(FunderPart(str(funder), int(amount)) for funder, amount in json.loads(text))


def shares(amount_fen: int, mix: Sequence[FunderPart]) -> tuple[int, ...]:
    """Return each funder's part of the first ``amount_fen`` of a lot.

    The first funder keeps its proportion rounded up and passes the rest on, which the others share
    in the same way. So the parts add up to the amount, each grows with it by whole fen and never
    shrinks, and of the whole lot each has what it put in.
    """
    parts: list[int] = []
    left, whole = amount_fen, sum(part.amount_fen for part in mix)
    for part in mix[:-1]:
        rest = whole - part.amount_fen
        passed_on = share_fen(left, rest, whole)
        parts.append(left - passed_on)
        left, whole = passed_on, rest
    return (*parts, left)


def between(lower_fen: int, upper_fen: int, mix: Sequence[FunderPart]) -> tuple[int, ...]:
    """Return each funder's part of what lies between two amounts of a lot."""
    pairs = zip(shares(lower_fen, mix), shares(upper_fen, mix), strict=True)
    return tuple(upper - lower for lower, upper in pairs)


def from_the_end(amount_fen: int, mix: Sequence[FunderPart]) -> tuple[int, ...]:
    """Return each funder's part of the last ``amount_fen`` of a lot: of what it does not pay."""
    whole = sum(part.amount_fen for part in mix)
    return between(whole - amount_fen, whole, mix)


def divided(mix: Sequence[FunderPart], sizes: Sequence[int]) -> tuple[Mix, ...]:
    """Return a mix for each of several lots that together are the whole; nothing is lost."""
    mixes, begins = [], 0
    for size in sizes:
        parts = between(begins, begins + size, mix)
        begins += size
        mixes.append(
            tuple(
                FunderPart(one.funder, amount)
                for one, amount in zip(mix, parts, strict=True)
                if amount
            )
        )
    return tuple(mixes)


class Parts(NamedTuple):
    """What became of a lot, or of one funder's money in it, in fen."""

    spent: int = 0
    held: int = 0
    left: int = 0
    recalled: int = 0
    expired: int = 0

    @property
    def granted(self) -> int:
        """All of it."""
        return sum(self)

    def plus(self, other: "Parts") -> "Parts":
        """Add two up."""
        return Parts(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def minus(self, other: "Parts") -> "Parts":
        """Return what is more here than there."""
        return Parts(*(mine - theirs for mine, theirs in zip(self, other, strict=True)))


def by_funder(parts: Parts, mix: Sequence[FunderPart]) -> dict[str, Parts]:
    """Return what became of each funder's money: rows and columns add up to the fen.

    What was spent is the beginning of a lot, what expired its end; so neither depends on the other.
    """
    columns, begins = [], 0
    for amount in parts:
        columns.append(between(begins, begins + amount, mix))
        begins += amount
    return {
        one.funder: Parts(*row) for one, row in zip(mix, zip(*columns, strict=True), strict=True)
    }


@lru_cache(maxsize=4096)
def pair(programme: str, name: str) -> str:
    """Return the owner of an account of a programme and somebody else; no two pairs share one."""
    escaped = programme.replace("%", "%25").replace("/", "%2F")
    return f"{escaped}/{name}"


def unpaired(owner: str) -> tuple[str, str]:
    """Return the programme and the name that make up an owner."""
    programme, _, name = owner.partition("/")
    return programme.replace("%2F", "/").replace("%25", "%"), name
