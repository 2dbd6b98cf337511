"""What differs between two states of an inventory, thing by thing and field by field."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from collectors.inventory.faults import Ref
from suanwang.model.inventory import Inventory, Item, Kind, Value, values_of


class Verb(StrEnum):
    """What became of a thing."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A thing that was added, changed or removed; ``before`` or ``after`` is None where it was not.

    Both are whole, so each line of the history can be read by itself.
    """

    kind: Kind
    id: str
    verb: Verb
    before: Mapping[str, Value] | None = None
    after: Mapping[str, Value] | None = None

    @property
    def ref(self) -> Ref:
        """The thing."""
        return Ref(self.kind, self.id)

    def differences(self) -> dict[str, tuple[Value, Value]]:
        """Return the fields that differ, each with its value before and after."""
        before, after = self.before or {}, self.after or {}
        names = dict.fromkeys([*before, *after])
        return {
            name: (before.get(name), after.get(name))
            for name in names
            if before.get(name) != after.get(name)
        }


def changes(before: Inventory, after: Inventory) -> tuple[Change, ...]:
    """Return what has to happen to come from one state to the other, by kind and id."""
    return tuple(change for kind in Kind for change in changes_of(kind, before, after))


def changes_of(kind: Kind, before: Inventory, after: Inventory) -> Iterator[Change]:
    """Yield the changes of one kind, by id."""
    former, later = before.of(kind), after.of(kind)
    for item_id in sorted({*former, *later}):
        change = _change(kind, item_id, former.get(item_id), later.get(item_id))
        if change is not None:
            yield change


def _change(kind: Kind, item_id: str, former: Item | None, later: Item | None) -> Change | None:
    if former == later:
        return None
    verb = Verb.CHANGED
    if former is None or later is None:
        verb = Verb.ADDED if former is None else Verb.REMOVED
    return Change(
        kind=kind,
        id=item_id,
        verb=verb,
        before=None if former is None else values_of(former),
        after=None if later is None else values_of(later),
    )
