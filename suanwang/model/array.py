"""Arrays of jobs: one job many times over, each with an index that the program reads.

The text is that of Slurm's ``--array``: ``0-99``, ``1,3,5-9``, ``0-30:5``.
"""

import re
from typing import Final

from suanwang.errors import BadInput

INDEX_MAX: Final = 10_000_000
"""The largest index."""
INDEX_VARIABLE: Final = "SUANWANG_ARRAY_INDEX"
"""Environment variable with the index of a job in its array."""
COUNT_VARIABLE: Final = "SUANWANG_ARRAY_COUNT"
"""Environment variable with the number of jobs in the array."""
_PART: Final = re.compile(r"(?P<first>[0-9]{1,8})(-(?P<last>[0-9]{1,8})(:(?P<step>[0-9]{1,8}))?)?")


def parse_array(text: str, most: int) -> tuple[int, ...]:
    """Return the indices that ``text`` names, rising; raise BadInput, also for more than ``most``.

    Each stands there once, however often it is named.
    """
    indices: set[int] = set()
    for part in text.split(","):
        named = _range_of(part.strip(), text)
        if len(named) + len(indices) > most and len(indices.union(named)) > most:
            raise BadInput(
                f"array {text!r} has more than {most} jobs",
                next_step="send it in several parts",
                limit=most,
            )
        indices.update(named)
    return tuple(sorted(indices))


def _range_of(part: str, text: str) -> range:
    found = _PART.fullmatch(part)
    if found is None:
        why = (
            " (`%` is not known: what runs at a time is decided by the plan)" if "%" in text else ""
        )
        raise BadInput(
            f"array {text!r} is not indices such as 0-99, 1,3,5-9 or 0-30:5{why}", value=text
        )
    first = int(found["first"])
    last = first if found["last"] is None else int(found["last"])
    step = 1 if found["step"] is None else int(found["step"])
    if last < first or step < 1 or last > INDEX_MAX:
        raise BadInput(
            f"array {text!r}: in {part!r} the last is before the first, the step is 0, "
            f"or an index is above {INDEX_MAX}",
            value=text,
        )
    return range(first, last + 1, step)
