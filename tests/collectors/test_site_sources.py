"""What changes when sources are written down anew."""

import pytest

from collectors.config import parse_sources
from collectors.site_sources import SourceChange, compare
from collectors.specs.base import Spec


def specs(**intervals: float) -> tuple[Spec, ...]:
    """Return sources by name, each with its interval."""
    return parse_sources(
        {"kind": "host", "name": name, "interval_s": interval_s}
        for name, interval_s in intervals.items()
    )


@pytest.mark.parametrize(
    ("new", "added", "changed", "removed"),
    [
        pytest.param({"a": 1, "b": 2}, (), (), (), id="nothing"),
        pytest.param({"b": 2, "a": 1}, (), (), (), id="another order is nothing"),
        pytest.param({"a": 1, "b": 2, "c": 3}, ("c",), (), (), id="one more"),
        pytest.param({"a": 1}, (), (), ("b",), id="one less"),
        pytest.param({"a": 9, "b": 2}, (), ("a",), (), id="another interval"),
        pytest.param({"c": 1, "b": 9}, ("c",), ("b",), ("a",), id="all at once"),
        pytest.param({}, (), (), ("a", "b"), id="none are left"),
    ],
)
def test_what_is_new_other_or_gone_is_told_apart(
    new: dict[str, float],
    added: tuple[str, ...],
    changed: tuple[str, ...],
    removed: tuple[str, ...],
) -> None:
    change = compare(specs(a=1, b=2), specs(**new))
    assert tuple(each.name for each in change.added) == added
    assert tuple(each.name for each in change.changed) == changed
    assert change.removed == removed
    assert bool(change) == bool(added or changed or removed)


def test_what_ends_includes_what_begins_anew() -> None:
    change = compare(specs(a=1, b=2), specs(b=9, c=3))
    assert change.ended == ("a", "b")
    assert [each.name for each in change.fresh] == ["c", "b"]
    assert not SourceChange()
