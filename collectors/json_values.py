"""Takes numbers out of JSON that strangers sent: a number is finite and a number, or it is none."""

import json
import math
from typing import Final

_DIGITS_MAX: Final = 64


def parse_json(body: bytes | str) -> object:
    """Return the document; raise ValueError for anything that is not one."""
    try:
        return json.loads(body, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse(word: str) -> object:
    raise ValueError(f"{word} is not a JSON number")


def at_pointer(document: object, pointer: str) -> object:
    """Return what a JSON pointer (RFC 6901) leads to, or None where there is nothing.

    An empty pointer is the document itself.
    """
    found = document
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = found.get(key)
        elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        else:
            return None
    return found


def check_pointer(pointer: str) -> str:
    """Return the pointer; raise ValueError where it is not one."""
    if pointer and not pointer.startswith("/"):
        raise ValueError(f"{pointer!r} is not a JSON pointer such as /power/value")
    return pointer


def number(value: object) -> float | None:
    """Return a finite number, or None: a truth value, a text and an infinity are no numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def plain_number(text: str) -> float | None:
    """Return the finite number that a short text spells, or None."""
    words = text.strip()
    if not words or len(words) > _DIGITS_MAX or "_" in words or not words.isascii():
        return None
    try:
        return number(float(words))
    except ValueError:
        return None
