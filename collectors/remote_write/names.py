"""How our series are called in a time series database: a metric's name and its labels."""

import re
from collections.abc import Mapping
from typing import Final

PREFIX: Final = "suanwang_"
NAME: Final = "__name__"
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
_NOT_IN_LABEL: Final = re.compile(r"[^a-zA-Z0-9_]")
_NOT_IN_METRIC: Final = re.compile(r"[^a-zA-Z0-9_:]")
VALUE_CHARS_MAX: Final = 1_024
"""A longer label value is cut: databases refuse whole requests for one."""


def is_label(name: str) -> bool:
    """Return whether a word may be the name of a label that people choose."""
    return bool(_LABEL.match(name)) and not name.startswith("__")


def labels_of(
    site_id: str,
    subject: str,
    metric: str,
    more: Mapping[str, str],
    external: Mapping[str, str],
) -> tuple[tuple[str, str], ...]:
    """Return name and value of each label of a series, in the order that the protocol wants.

    Of labels with one name the series' own count first, then those of its readings, then the
    external ones; empty values are left out.
    """
    kind, _, whole = subject.partition(":")
    thing, _, part = whole.partition("/") if kind != "disk" else (whole, "", "")
    found = dict(external)
    found |= {_label(name): value for name, value in more.items() if value}
    found |= {_label(kind): thing} if thing else {}
    found |= {"part": part} if part else {}
    found |= {"subject": subject, "site": site_id}
    found[NAME] = PREFIX + _NOT_IN_METRIC.sub("_", metric)
    return tuple((name, value[:VALUE_CHARS_MAX]) for name, value in sorted(found.items()) if value)


def _label(name: str) -> str:
    """Return a name that a label may have; two underscores in front are the database's own."""
    legal = _NOT_IN_LABEL.sub("_", name).lstrip("_") or "label"
    return legal if _LABEL.match(legal) else f"_{legal}"
