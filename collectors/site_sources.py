"""What changes when a site's sources are written down anew; pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from collectors.specs.base import Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceChange:
    """Sources that are new, those with other settings, and the names of those that are gone."""

    added: tuple[Spec, ...] = ()
    changed: tuple[Spec, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything changes."""
        return bool(self.added or self.changed or self.removed)

    @property
    def fresh(self) -> tuple[Spec, ...]:
        """Return the sources that have to be built."""
        return (*self.added, *self.changed)

    @property
    def ended(self) -> tuple[str, ...]:
        """Return the names of the sources that end, if only to begin anew."""
        return (*self.removed, *(spec.name for spec in self.changed))


def compare(old: Iterable[Spec], new: Sequence[Spec]) -> SourceChange:
    """Return what changes from one list of sources to another; the order says nothing."""
    before = {spec.name: spec for spec in old}
    after = {spec.name for spec in new}
    return SourceChange(
        added=tuple(spec for spec in new if spec.name not in before),
        changed=tuple(spec for spec in new if before.get(spec.name, spec) != spec),
        removed=tuple(name for name in before if name not in after),
    )
