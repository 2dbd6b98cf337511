"""What a user writes into a job's metadata, read into ``Wishes``: strict, clear about each mistake.

Metadata is text to text (Ray's contract). Our keys are below; every other key is the user's own and
passes, unless it looks like one of ours misspelt: a wish that is silently ignored costs money.
"""

import difflib
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, TypeVar

from suanwang.errors import BadInput
from suanwang.model.job import Predecessor, Width, Wishes
from suanwang.model.site import DataClass
from suanwang.units import parse_yuan

MINUTES_MAX: Final = 31 * 24 * 60
"""The longest run that can be asked for: 31 days."""
RUN_S_MAX: Final = MINUTES_MAX * 60
EXTEND_S_MIN: Final = 30
"""Shorter steps would be used up before the site hears of the next one."""
UNITS_MAX: Final = 1_000_000
TRANSFER_GB_MAX: Final = 1e6
PREDECESSORS_MAX: Final = 100
WIDTHS_MAX: Final = 8
"""Other widths that a job may name: each is planned, so each costs time."""
GRACE_S_MAX: Final = 3_600
CHECKPOINT_S_MAX: Final = 24 * 3_600
LATENCY_MS_MAX: Final = 60_000.0
_ALIKE: Final = 0.8
"""From this likeness on (difflib), an unknown key counts as a known one misspelt."""

WISH_KEYS: Final = (
    "units",
    "accelerator",
    "max_minutes",
    "elastic",
    "extend_minutes",
    "extend_max_minutes",
    "origin",
    "latency_ms",
    "data_class",
    "data_home",
    "domestic_only",
    "voucher",
    "cash_max",
    "deadline",
    "earliest",
    "after",
    "sites",
    "grace_s",
    "may_move",
    "checkpoint_s",
)
"""The keys of a job's metadata that the placement respects."""

T = TypeVar("T")


def parse_wishes(
    metadata: Mapping[str, str], *, num_cpus: float | None = None, num_gpus: float | None = None
) -> Wishes:
    """Return the wishes that ``metadata`` states; raise BadInput that names the key.

    Without ``units`` the driver's own request counts: ``num_gpus`` accelerators, else ``num_cpus``
    cores, else one core. Without ``accelerator`` a job that asks for no GPU runs on cores.
    """
    _refuse_misspelt(metadata)
    read = _Reader(metadata)
    gpus = _whole_up(num_gpus)
    is_plain = gpus == 0 and "units" not in metadata
    accelerators = read.get("accelerator", _names, frozenset({"cpu"}) if is_plain else frozenset())
    usual = Wishes()
    wishes = Wishes(
        units=read.get("units", _whole(1, UNITS_MAX), gpus or _whole_up(num_cpus) or 1),
        accelerators=accelerators,
        run_s_max=read.get("max_minutes", _minutes, usual.run_s_max),
        origin=read.get("origin", _name, ""),
        latency_ms_max=read.get("latency_ms", _latency_ms, None),
        data_class=read.get("data_class", _data_class, DataClass.GENERAL),
        data_home=read.get("data_home", _name, ""),
        domestic_only=read.get("domestic_only", _yes_no, False),
        uses_voucher=read.get("voucher", _yes_no, True),
        cash_fen_max=read.get("cash_max", _yuan, None),
        deadline=read.get("deadline", _moment, None),
        earliest_start=read.get("earliest", _moment, None),
        stop_grace_s=read.get("grace_s", _whole(0, GRACE_S_MAX), usual.stop_grace_s),
        sites=read.get("sites", _names, frozenset()),
        extend_s=read.get("extend_minutes", _minutes, 0),
        extend_s_max=read.get("extend_max_minutes", _minutes, 0),
        widths=read.get("elastic", _widths, ()),
        after=read.get("after", _predecessors, ()),
        may_move=read.get("may_move", _yes_no, False),
        checkpoint_s=read.get("checkpoint_s", _whole(0, CHECKPOINT_S_MAX), usual.checkpoint_s),
    )
    _check_together(wishes)
    return wishes


def _refuse_misspelt(metadata: Mapping[str, str]) -> None:
    for key in metadata:
        if key in WISH_KEYS:
            continue
        nearest = difflib.get_close_matches(key.lower(), WISH_KEYS, n=1, cutoff=_ALIKE)
        if nearest:
            raise BadInput(
                f"metadata key {key!r} is not known; did you mean {nearest[0]!r}?",
                next_step=f"write {nearest[0]!r}, or choose a name that is less like it",
                key=key,
                nearest=nearest[0],
            )


def _check_together(wishes: Wishes) -> None:
    if wishes.latency_ms_max is not None and not wishes.origin:
        raise BadInput(
            "metadata key 'latency_ms' needs 'origin': latency is counted from where the users are",
            next_step="add 'origin', such as qingdao",
            key="latency_ms",
        )
    _check_extension(wishes)
    if wishes.may_move and wishes.cash_fen_max is not None:
        raise BadInput(
            "metadata keys 'may_move' and 'cash_max' do not go together: each place is paid by "
            "itself, and a limit over all of them is not kept",
            next_step="leave one of the two out",
            key="may_move",
        )
    named = [wishes.units, *(one.units for one in wishes.widths)]
    twice = sorted({units for units in named if named.count(units) > 1})
    if twice:
        raise BadInput(
            f"metadata key 'elastic' names {twice[0]} units, which were named before",
            next_step="name each width once; the longest run at 'units' is 'max_minutes'",
            key="elastic",
        )
    first, last = wishes.earliest_start, wishes.deadline
    if first is not None and last is not None and last <= first:
        raise BadInput(
            f"metadata key 'deadline' is {last.isoformat()}, "
            f"which is not after 'earliest' {first.isoformat()}",
            key="deadline",
        )


def _check_extension(wishes: Wishes) -> None:
    """A step without a total would spend without an end; a total needs its step."""
    if bool(wishes.extend_s) != bool(wishes.extend_s_max):
        missing, why = "extend_minutes", "how much is added at a time"
        if wishes.extend_s:
            missing, why = "extend_max_minutes", "how much may be added in all"
        raise BadInput(
            f"metadata key {missing!r} is missing: it says {why}",
            next_step="give both 'extend_minutes' and 'extend_max_minutes', or neither",
            key=missing,
        )
    if 0 < wishes.extend_s < EXTEND_S_MIN:
        raise BadInput(
            f"metadata key 'extend_minutes' is {wishes.extend_s} s, the least is {EXTEND_S_MIN} s",
            key="extend_minutes",
        )
    if wishes.extend_s > wishes.extend_s_max:
        raise BadInput(
            f"metadata key 'extend_minutes' is {wishes.extend_s} s, "
            f"'extend_max_minutes' only {wishes.extend_s_max} s in all",
            key="extend_minutes",
        )
    longest_s = max(wishes.run_s_max, *(one.run_s_max for one in wishes.widths), 0)
    if longest_s + wishes.extend_s_max > RUN_S_MAX:
        raise BadInput(
            f"'max_minutes' (or the longest run of 'elastic') and 'extend_max_minutes' together "
            f"are {longest_s + wishes.extend_s_max} s, allowed are {RUN_S_MAX}",
            key="extend_max_minutes",
        )


class _Reader:
    """Reads one key after the other; what a parser refuses becomes an error with the key's name."""

    def __init__(self, metadata: Mapping[str, str]) -> None:
        self._metadata = metadata

    def get(self, key: str, parse: Callable[[str], T], default: T) -> T:
        """Return the parsed value of ``key``, or ``default`` where the user says nothing."""
        text = self._metadata.get(key)
        if text is None:
            return default
        try:
            return parse(text.strip())
        except ValueError as error:
            raise BadInput(
                f"metadata key {key!r} is {text!r}: {error}", key=key, value=text
            ) from None


def _whole_up(number: float | None) -> int:
    """Round a driver's request up to whole units; nothing asked is zero."""
    if number is None:
        return 0
    if not math.isfinite(number) or number < 0 or number > UNITS_MAX:
        raise BadInput(f"a request of {number} units is not between 0 and {UNITS_MAX}")
    return math.ceil(number)


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 12):
            raise ValueError(f"allowed is a whole number from {least} to {most}")
        number = int(text)
        if not least <= number <= most:
            raise ValueError(f"allowed is a whole number from {least} to {most}")
        return number

    return parse


def _number(text: str, most: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number <= most:
        raise ValueError(f"allowed is a number above 0, up to {most:g}")
    return number


def _minutes(text: str) -> int:
    """Read minutes, fractions allowed, into whole seconds (at least one)."""
    return max(1, math.ceil(_number(text, MINUTES_MAX) * 60))


def _widths(text: str) -> tuple[Width, ...]:
    """Read ``16:30, 4:150``: units, and the longest run at them in minutes."""
    widths = []
    for part in text.split(","):
        units, colon, minutes = part.partition(":")
        if not colon:
            raise ValueError("allowed are pairs of units and minutes, such as 16:30,4:150")
        widths.append(Width(_whole(1, UNITS_MAX)(units.strip()), _minutes(minutes.strip())))
    if len(widths) > WIDTHS_MAX:
        raise ValueError(f"allowed are at most {WIDTHS_MAX} other widths")
    return tuple(widths)


def _predecessors(text: str) -> tuple[Predecessor, ...]:
    """Read ``prepare:12.5, other``: submission ids, and gigabytes that are handed over."""
    found = []
    for part in text.split(","):
        name, colon, amount = part.strip().partition(":")
        gigabytes = _number(amount, TRANSFER_GB_MAX) if colon else 0.0
        found.append(Predecessor(_name(name.strip()), gigabytes))
    if len(found) > PREDECESSORS_MAX:
        raise ValueError(f"allowed are at most {PREDECESSORS_MAX} jobs")
    if len({one.submission_id for one in found}) != len(found):
        raise ValueError("each job may stand there once")
    return tuple(found)


def _latency_ms(text: str) -> float | None:
    return _number(text, LATENCY_MS_MAX)


def _name(text: str) -> str:
    if not text or len(text) > 200:
        raise ValueError("allowed is a name of 1 to 200 characters")
    return text


def _names(text: str) -> frozenset[str]:
    names = [part.strip() for part in text.split(",")]
    if not all(names):
        raise ValueError("allowed is one name or several with commas between")
    return frozenset(_name(name) for name in names)


def _data_class(text: str) -> DataClass:
    try:
        return DataClass(text.lower())
    except ValueError:
        allowed = ", ".join(member.value for member in DataClass)
        raise ValueError(f"allowed are {allowed}") from None


def _yes_no(text: str) -> bool:
    answers = {"yes": True, "true": True, "no": False, "false": False}
    try:
        return answers[text.lower()]
    except KeyError:
        raise ValueError("allowed are yes and no") from None


def _yuan(text: str) -> int | None:
    amount = parse_yuan(text)
    if amount < 0:
        raise ValueError("allowed is an amount in yuan, 0 or more, such as 12.50")
    return amount


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("allowed is a moment such as 2026-10-14T08:00:00+08:00") from None
    if moment.tzinfo is None:
        raise ValueError("the time zone is missing, such as +08:00 or Z")
    return moment.astimezone(UTC)
