"""The settings of a site's sources, read again while the agent runs.

The files are looked at every few seconds; one that has changed and then rests is read. What cannot
be read, or is wrong, changes nothing: the old sources go on, and the reason is told.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from collectors.config import parse_sources
from collectors.specs.base import Spec
from suanwang.errors import BadInput
from suanwang.settings import Loaded, Settings, load
from suanwang.settings.keys import keys

SOURCES_KEY: Final = "agent.sources"

Stamps = Mapping[Path, tuple[int, int, int] | None]
"""Time, size and number of each file; None where it is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The sources that the settings name, and the other settings that differ from those in use."""

    specs: tuple[Spec, ...]
    waiting: tuple[str, ...] = ()


class SiteFile:
    """The files of the settings, as they were at the start and as they are now."""

    def __init__(self, loaded: Loaded, config: Path | None = None) -> None:
        self._config = config
        self._settings = loaded.settings
        self._files = loaded.files
        self._taken = self._seen = self._stamps()

    def has_changed(self) -> bool:
        """Whether a file has changed since it was read last, and rests since the last look."""
        before, self._seen = self._seen, self._stamps()
        return self._seen != self._taken and self._seen == before

    def read(self) -> Wanted:
        """Return what the settings say now; raise BadInput. May take seconds, for many sources."""
        self._taken = self._stamps()
        lost = [path for path, stamp in self._taken.items() if stamp is None]
        if lost:
            raise BadInput(
                f"the settings file {lost[0]} is gone",
                next_step="put it back; to stop all sources, write an empty list",
            )
        settings = load({}, config=self._config).settings
        specs = parse_sources(settings.agent.sources)
        return Wanted(specs=specs, waiting=_differing(self._settings, settings))

    def _stamps(self) -> Stamps:
        return {path: _stamp(path) for path in self._files}


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _differing(old: Settings, new: Settings) -> tuple[str, ...]:
    """Return the keys of settings that differ, but for the sources."""
    return tuple(
        key for key in keys() if key != SOURCES_KEY and _value(old, key) != _value(new, key)
    )


def _value(settings: Settings, key: str) -> object:
    value: object = settings
    for part in key.split("."):
        value = getattr(value, part)
    return value
