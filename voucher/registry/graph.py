"""Who is related to whom, and over which organisations: a search in a graph of ties, pure.

A tie joins two organisations, or an organisation with something that several share (a group, a
legal representative). Organisations are related when ties lead from one to the other. The way does
not lead through an organisation that owns for the state: firms that only the state controls are not
related by that alone (Accounting Standard for Business Enterprises No. 36, article 6). Shareholding
counts from a stated share on; as in the tax rules on related parties, a holding of a holding counts
when each of them reaches the share (State Administration of Taxation 2016 No. 42, article 2).
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from voucher.wording import Language

PPM_PER_PERCENT: Final = 10_000


class TieKind(StrEnum):
    """What a tie is; ``one`` stands first: the parent, the holder, the sponsor."""

    PARENT = "parent"
    SHARES = "shares"
    SPONSOR = "sponsor"
    SAME_GROUP = "same-group"
    SAME_LEGAL_REPRESENTATIVE = "same-legal-representative"


SHARED: Final = frozenset({TieKind.SAME_GROUP, TieKind.SAME_LEGAL_REPRESENTATIVE})
"""Kinds that read the same in both directions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tie:
    """Two organisations that are tied; ``share_ppm`` of a shareholding, in millionths."""

    kind: TieKind
    one: str
    other: str
    share_ppm: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trait:
    """What an organisation may share with others: its group, or its legal representative."""

    kind: TieKind
    code: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What is known: ties, traits, names, and who owns for the state."""

    ties: Sequence[Tie] = ()
    traits: Sequence[Trait] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    state_owners: frozenset[str] = frozenset()

    def joined(self, other: "Network") -> "Network":
        """Return what both know; names of this one win."""
        return Network(
            ties=(*self.ties, *other.ties),
            traits=(*self.traits, *other.traits),
            names={**other.names, **self.names},
            state_owners=self.state_owners | other.state_owners,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """A step of a way: ``is_forward`` when it goes from the tie's ``one`` to its ``other``."""

    tie: Tie
    is_forward: bool
    value: str = ""

    @property
    def start(self) -> str:
        """Where it starts."""
        return self.tie.one if self.is_forward else self.tie.other

    @property
    def end(self) -> str:
        """Where it ends."""
        return self.tie.other if self.is_forward else self.tie.one


class Relations:
    """Answers whether organisations are related, with one of the shortest ways."""

    def __init__(
        self, network: Network, share_ppm_min: int, without: frozenset[TieKind] = frozenset()
    ) -> None:
        self._network = network
        self._ties: dict[str, list[Hop]] = {}
        self._traits: dict[str, list[Trait]] = {}
        self._sharing: dict[tuple[TieKind, str], list[str]] = {}
        for tie in network.ties:
            is_small = tie.kind is TieKind.SHARES and tie.share_ppm < share_ppm_min
            if tie.kind in without or is_small:
                continue
            self._ties.setdefault(tie.one, []).append(Hop(tie=tie, is_forward=True))
            self._ties.setdefault(tie.other, []).append(Hop(tie=tie, is_forward=False))
        for trait in network.traits:
            self._traits.setdefault(trait.code, []).append(trait)
            self._sharing.setdefault((trait.kind, trait.value), []).append(trait.code)

    def path(self, start: str, end: str) -> tuple[Hop, ...] | None:
        """Return a shortest way, empty for one and the same, None where they are not related."""
        came = self._search(start, end)
        if end not in came:
            return None
        way: list[Hop] = []
        at = end
        while (hop := came[at]) is not None:
            way.append(hop)
            at = hop.start
        return tuple(reversed(way))

    def related_to(self, start: str) -> frozenset[str]:
        """Return everybody who is related to an organisation, itself included."""
        return frozenset(self._search(start, None))

    def words(self, path: Sequence[Hop], start: str, language: Language) -> str:
        """Return a way in words: ``A – same legal representative – B – parent of – C``."""
        shown = [self.name(start)]
        for hop in path:
            shown += [_hop_words(hop, language), self.name(hop.end)]
        return " – ".join(shown)

    def name(self, code: str) -> str:
        """Return an organisation's name, or its code where nobody has named it."""
        return self._network.names.get(code) or code

    def _search(self, start: str, wanted: str | None) -> dict[str, Hop | None]:
        """Return how each organisation was reached, breadth first, up to the wanted one."""
        came: dict[str, Hop | None] = {start: None}
        used: set[tuple[TieKind, str]] = set()
        waiting = deque([start])
        while waiting and (wanted is None or wanted not in came):
            at = waiting.popleft()
            if at != start and at in self._network.state_owners:
                continue
            for hop in self._hops(at, used):
                if hop.end not in came:
                    came[hop.end] = hop
                    waiting.append(hop.end)
        return came

    def _hops(self, at: str, used: set[tuple[TieKind, str]]) -> Iterable[Hop]:
        yield from self._ties.get(at, ())
        for trait in self._traits.get(at, ()):
            shared = trait.kind, trait.value
            if shared in used:
                continue
            used.add(shared)
            for code in self._sharing[shared]:
                if code != at:
                    tie = Tie(kind=trait.kind, one=at, other=code)
                    yield Hop(tie=tie, is_forward=True, value=trait.value)


def _hop_words(hop: Hop, language: Language) -> str:
    is_chinese = language is Language.CHINESE
    match hop.tie.kind, hop.is_forward:
        case TieKind.PARENT, True:
            return "控股母公司" if is_chinese else "parent of"
        case TieKind.PARENT, False:
            return "受控于" if is_chinese else "subsidiary of"
        case TieKind.SPONSOR, True:
            return "推荐" if is_chinese else "sponsor of"
        case TieKind.SPONSOR, False:
            return "推荐单位为" if is_chinese else "sponsored by"
        case TieKind.SHARES, True:
            share = _percent(hop.tie.share_ppm)
            return f"持股 {share}" if is_chinese else f"holds {share} of"
        case TieKind.SHARES, False:
            share = _percent(hop.tie.share_ppm)
            return f"被持股 {share}" if is_chinese else f"held {share} by"
        case TieKind.SAME_GROUP, _:
            return f"{'同属集团' if is_chinese else 'same group'} {hop.value}".rstrip()
        case _:
            return "法定代表人相同" if is_chinese else "same legal representative"


def _percent(share_ppm: int) -> str:
    whole, rest = divmod(share_ppm, PPM_PER_PERCENT)
    return f"{whole}.{rest:04d}".rstrip("0").rstrip(".") + "%"
