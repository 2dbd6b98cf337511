"""Says in plain words what is wrong with a file's keys and values."""

import difflib
from collections.abc import Iterable

from pydantic import ValidationError


def explain(failure: ValidationError, known: Iterable[str]) -> str:
    """Return every error of a validation with its key, and the nearest to an unknown key."""
    names = sorted(known)
    return "; ".join(
        _line(".".join(str(part) for part in error["loc"]), error["type"], error["msg"], names)
        for error in failure.errors(include_url=False, include_input=False)
    )


def _line(place: str, kind: str, message: str, known: list[str]) -> str:
    if kind != "extra_forbidden":
        return f"{place or 'top level'}: {message}"
    key = place.rpartition(".")[2]
    return f"{place}: unknown key{nearest(key, known)}"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``, did you mean …?`` where a known word is near, else an empty text."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f", did you mean {found[0]!r}?" if found else ""
