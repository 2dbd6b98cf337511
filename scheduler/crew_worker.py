"""What runs in a worker of a crew: it keeps parts under numbers, and works on them when asked."""

import os
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Final

_MATTERS: Final = ("suanwang", "numpy", "scipy", "highspy")
"""Distributions that a worker must have in the same version as the centre, for equal results."""


class Keeper:
    """Parts by number. One worker has one keeper and does one thing at a time."""

    def __init__(self) -> None:
        self._parts: dict[int, object] = {}

    def pid(self) -> int:
        """Return the number of the process that this runs in."""
        return os.getpid()

    def versions(self) -> Mapping[str, str]:
        """Return what runs here, to be compared with what runs in the centre."""
        return versions()

    def keep(self, number: int, part: object) -> None:
        """Keep a part."""
        self._parts[number] = part

    def forget(self, number: int) -> None:
        """Forget a part; one that is not there is forgotten already."""
        self._parts.pop(number, None)

    def work(self, number: int, work: Callable[[object, object], object], item: object) -> object:
        """Return ``work(part, item)``."""
        return work(self._parts[number], item)


def versions() -> Mapping[str, str]:
    """Return the version of Python, and of everything that could change a result."""
    found = {"python": ".".join(str(part) for part in sys.version_info[:3])}
    for name in _MATTERS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
