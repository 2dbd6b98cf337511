"""Faults of an inventory: their codes, what they are about, and what else must be known."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from suanwang.model.inventory import Kind


class Code(StrEnum):
    """Kinds of faults."""

    FIELD = "field"
    UNKNOWN = "unknown"
    OTHER_SITE = "other-site"
    CYCLE = "cycle"
    SIDE = "side"
    OVER_FEED = "over-feed"
    OVER_DESIGN = "over-design"
    PLACE = "place"
    SAME_UNIT = "same-unit"
    SAME_SLOT = "same-slot"
    ROLE = "role"
    CATEGORY = "category"
    DOUBLE_COUNT = "double-count"
    CARRIER = "carrier"
    IN_USE = "in-use"


@dataclass(frozen=True, slots=True)
class Ref:
    """A thing of a site, by kind and id."""

    kind: Kind
    id: str

    def __str__(self) -> str:
        return f"{self.kind.value[:-1]} {self.id}"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that cannot be: at which thing, in which field, why, and what else takes part."""

    code: Code
    kind: Kind
    id: str
    field: str
    reason: str
    others: tuple[Ref, ...] = ()

    @property
    def ref(self) -> Ref:
        """The thing at which it is."""
        return Ref(self.kind, self.id)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes it the same fault, whatever its figures."""
        return self.code.value, self.kind.value, self.id, self.field


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is known besides the inventory: the site's design power and pools, and other sites.

    ``pools`` has the registered units by pool. ``elsewhere`` has the site of each id that the
    inventory uses and that belongs to another one. ``with_energy`` are meters in the record.
    """

    it_design_w: int
    pools: Mapping[str, int] = field(default_factory=dict)
    elsewhere: Mapping[Ref, str] = field(default_factory=dict)
    with_energy: frozenset[str] = frozenset()


def cycles(kind: Kind, parents: Mapping[str, str | None]) -> Iterator[Fault]:
    """Find things that are behind themselves; each of a ring is a fault that shows the ring."""
    done: set[str] = set()
    for start in sorted(parents):
        path: list[str] = []
        at: str | None = start
        while at is not None and at in parents and at not in done and at not in path:
            path.append(at)
            at = parents[at]
        if at is not None and at in path:
            ring = path[path.index(at) :]
            shown = " → ".join([*ring, at] if len(ring) <= 8 else [*ring[:8], "…"])
            for member in ring:
                others = tuple(Ref(kind, one) for one in ring if one != member)
                yield Fault(Code.CYCLE, kind, member, "parent_id", f"a ring: {shown}", others)
        done.update(path)
