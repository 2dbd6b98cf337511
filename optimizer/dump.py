"""A problem as a file, and back: for bug reports, other solvers, and plans of another day.

The file is JSON with a version. It is written from the dataclasses themselves, so a new field is in
it without another line here; a field at its default is left out, so old files can still be read.
Sets and mappings are sorted: equal problems give equal files, in any process. Names of jobs,
tenants, lots and data sets are replaced in a file that leaves the house; what stays is what decides
the plan: amounts, limits, places and moments.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum, StrEnum
from math import inf, isfinite, nan
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from optimizer.problem import Problem
from suanwang.errors import BadInput

FORMAT: Final = "suanwang-problem"
VERSION: Final = 1

# ``Any`` stands here for parsed JSON and for values whose type the annotations tell: the edge.
Json = Any
Hint = Any


class Naming(StrEnum):
    """What a text of the problem is: a name of something that is private, or what all may know."""

    JOB = "job"
    TENANT = "tenant"
    LOT = "lot"
    DATA = "data"
    RESERVATION = "reservation"
    WORDS = "words"
    PUBLIC = "public"


NAMINGS: Final[Mapping[tuple[str, str], Naming]] = MappingProxyType(
    {
        ("After", "job_id"): Naming.JOB,
        ("After", "site_id"): Naming.PUBLIC,
        ("GridEvent", "id"): Naming.PUBLIC,
        ("JobSpec", "id"): Naming.JOB,
        ("JobSpec", "tenant_id"): Naming.TENANT,
        ("JobSpec", "data_home"): Naming.DATA,
        ("JobSpec", "accelerators"): Naming.PUBLIC,
        ("JobSpec", "origin"): Naming.PUBLIC,
        ("JobSpec", "sites"): Naming.PUBLIC,
        ("JobSpec", "avoid"): Naming.WORDS,
        ("LotSpec", "id"): Naming.LOT,
        ("LotSpec", "tenant_id"): Naming.TENANT,
        ("LotSpec", "sites"): Naming.PUBLIC,
        ("LotSpec", "accelerators"): Naming.PUBLIC,
        ("PoolSpec", "id"): Naming.PUBLIC,
        ("PoolSpec", "site_id"): Naming.PUBLIC,
        ("PoolSpec", "accelerator"): Naming.PUBLIC,
        ("Problem", "cash_fen"): Naming.TENANT,
        ("Problem", "links"): Naming.PUBLIC,
        ("Problem", "rtt_ms"): Naming.PUBLIC,
        ("Problem", "weights"): Naming.TENANT,
        ("Promise", "pool_id"): Naming.PUBLIC,
        ("ReservationSpec", "id"): Naming.RESERVATION,
        ("ReservationSpec", "pool_id"): Naming.PUBLIC,
        ("ReservationSpec", "tenants"): Naming.TENANT,
        ("ReservationSpec", "jobs"): Naming.JOB,
        ("RunningAt", "pool_id"): Naming.PUBLIC,
        ("SiteSpec", "id"): Naming.PUBLIC,
        ("SiteSpec", "data_homes"): Naming.DATA,
        ("SiteSpec", "closed_message"): Naming.WORDS,
    }
)
"""Every field that holds text. One that is missing here counts as words, and its text is left out.

Of a mapping to words (``avoid``) the keys stay: they are pools.
"""
_NO_WORDS: Final = "(left out of the dump)"
_UNUSUAL: Final = {"inf": inf, "-inf": -inf, "nan": nan}

Rename = Callable[[Naming, str], str]


def dump(problem: Problem, *, with_names: bool = False) -> str:
    """Return the problem as JSON text; names of others are replaced unless ``with_names``.

    Replacements keep the order of the names, so the plan stays the same but for them.
    """
    renamed = (lambda _naming, text: text) if with_names else _replacements(problem)
    document = {
        "format": FORMAT,
        "version": VERSION,
        "names": "as they are" if with_names else "replaced",
        "problem": _plain(problem, Problem, _Place("Problem", "", renamed)),
    }
    return json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def load(text: str) -> Problem:
    """Return the problem of a dump; raise BadInput where the text is not one that we can read."""
    try:
        document = json.loads(text)
    except ValueError as failure:
        raise BadInput(f"the dump is not JSON: {failure}") from failure
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise BadInput(f"this is no dump of a problem: its format is not {FORMAT}")
    version = document.get("version")
    if version != VERSION:
        raise BadInput(
            f"the dump has version {version}, this program reads version {VERSION}",
            next_step="Use the version of Suanwang that wrote it, or one that is newer.",
        )
    problem = _built(document.get("problem"), Problem, "problem")
    if not isinstance(problem, Problem):
        raise BadInput("the dump holds no problem")
    return problem


# --- Names --------------------------------------------------------------------------------------


def _replacements(problem: Problem) -> Rename:
    """Number the names of each kind in their order; ``no name`` stays no name."""
    names: defaultdict[Naming, set[str]] = defaultdict(set)

    def collect(naming: Naming, text: str) -> str:
        names[naming].add(text)
        return text

    _plain(problem, Problem, _Place("Problem", "", collect))
    table = {
        (naming, text): f"{naming}-{at:06d}"
        for naming, texts in names.items()
        for at, text in enumerate(sorted(texts - {""}), start=1)
    }

    def rename(naming: Naming, text: str) -> str:
        if naming is Naming.PUBLIC or not text:
            return text
        return _NO_WORDS if naming is Naming.WORDS else table[naming, text]

    return rename


class _Place:
    """Where in the problem a value stands, and what becomes of text there."""

    __slots__ = ("_rename", "field", "kind")

    def __init__(self, kind: str, field: str, rename: Rename) -> None:
        self.kind, self.field, self._rename = kind, field, rename

    def of(self, kind: str, field: str) -> "_Place":
        return _Place(kind, field, self._rename)

    def text(self, text: str) -> str:
        return self._rename(NAMINGS.get((self.kind, self.field), Naming.WORDS), text)

    def key(self, text: str) -> str:
        """Text that is the key of a mapping: the keys of a mapping to words are public."""
        naming = NAMINGS.get((self.kind, self.field), Naming.WORDS)
        return self._rename(Naming.PUBLIC if naming is Naming.WORDS else naming, text)


# --- To JSON ------------------------------------------------------------------------------------


def _plain(value: Any, hint: Hint, place: _Place) -> Json:
    """Return a value as JSON, by the type that its field declares."""
    hint = _bare(hint)
    if is_dataclass(value):
        return _object(value, place)
    if isinstance(value, Mapping):
        return _pairs(value, hint, place)
    if isinstance(value, frozenset):
        (item,) = get_args(hint)
        return sorted(_plain(one, item, place) for one in value)
    if isinstance(value, tuple):
        pairs = zip(value, _items(hint, len(value)), strict=True)
        return [_plain(one, item, place) for one, item in pairs]
    return _leaf(value, place)


def _leaf(value: Any, place: _Place) -> Json:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return place.text(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, float) and not isfinite(value):
        return repr(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    raise TypeError(f"{place.kind}.{place.field}: a {type(value).__name__} cannot be dumped")


def _object(value: Any, place: _Place) -> Json:
    kind = type(value)
    hints = get_type_hints(kind)
    document = {}
    for field in fields(kind):
        own = getattr(value, field.name)
        if own != _default(field) or type(own) is not type(_default(field)):
            document[field.name] = _plain(
                own, hints[field.name], place.of(kind.__name__, field.name)
            )
    return document


def _pairs(value: Mapping[Any, Any], hint: Hint, place: _Place) -> Json:
    """A mapping as sorted pairs: its keys need not be text."""
    _, of_values = get_args(hint)
    pairs = [[_key(one, place), _plain(own, of_values, place)] for one, own in value.items()]
    return sorted(pairs, key=lambda pair: json.dumps(pair[0], ensure_ascii=False))


def _key(key: Any, place: _Place) -> Json:
    if isinstance(key, tuple):
        return [_key(one, place) for one in key]
    if isinstance(key, str) and not isinstance(key, Enum):
        return place.key(key)
    return key


# --- From JSON ----------------------------------------------------------------------------------


def _built(found: Json, hint: Hint, path: str) -> Any:
    """Return the value of a type that a piece of JSON stands for; raise BadInput with its path."""
    hint = _bare(hint)
    origin: Any = get_origin(hint)
    if is_dataclass(hint):
        return _instance(found, hint, path)
    if origin in (Union, UnionType):
        return _one_of(found, hint, path)
    if origin is tuple:
        return _tuple(found, hint, path)
    if origin is frozenset:
        _expect(isinstance(found, list), path, "a list")
        (item,) = get_args(hint)
        return frozenset(_built(one, item, f"{path}[{at}]") for at, one in enumerate(found))
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(found, hint, path)
    return _scalar(found, hint, path)


def _tuple(found: Json, hint: Hint, path: str) -> tuple[Any, ...]:
    _expect(isinstance(found, list), path, "a list")
    items = _items(hint, len(found))
    _expect(len(items) == len(found), path, f"{len(items)} values")
    pairs = enumerate(zip(found, items, strict=True))
    return tuple(_built(one, item, f"{path}[{at}]") for at, (one, item) in pairs)


def _scalar(found: Json, hint: Hint, path: str) -> Any:
    if hint is float:
        unusual = _UNUSUAL.get(found) if isinstance(found, str) else None
        _expect(unusual is not None or _is_number(found), path, "a number")
        return found if unusual is None else unusual
    if hint is datetime:
        _expect(isinstance(found, str), path, "a moment")
        return _moment(found, path)
    if isinstance(hint, type) and issubclass(hint, Enum):
        _expect(found in [one.value for one in hint], path, f"one of {', '.join(hint)}")
        return hint(found)
    _expect(type(found) is hint, path, f"of type {getattr(hint, '__name__', hint)}")
    return found


def _instance(found: Json, kind: Any, path: str) -> Any:
    _expect(isinstance(found, dict), path, "an object")
    hints = get_type_hints(kind)
    unknown = sorted(set(found) - set(hints))
    _expect(not unknown, path, f"without {', '.join(unknown)}, which this version does not know")
    missing = [
        field.name
        for field in fields(kind)
        if field.name not in found and _default(field) is MISSING
    ]
    _expect(not missing, path, f"with {', '.join(missing)}")
    return kind(
        **{name: _built(value, hints[name], f"{path}.{name}") for name, value in found.items()}
    )


def _mapping(found: Json, hint: Hint, path: str) -> dict[Any, Any]:
    of_keys, of_values = get_args(hint)
    _expect(isinstance(found, list), path, "a list of pairs")
    built = {}
    for at, pair in enumerate(found):
        where = f"{path}[{at}]"
        _expect(isinstance(pair, list) and len(pair) == 2, where, "a pair")
        built[_built(pair[0], of_keys, where)] = _built(pair[1], of_values, where)
    return built


def _one_of(found: Json, hint: Hint, path: str) -> Any:
    kinds = get_args(hint)
    if found is None and NoneType in kinds:
        return None
    (kind,) = (kind for kind in kinds if kind is not NoneType)
    return _built(found, kind, path)


def _moment(found: str, path: str) -> datetime:
    try:
        moment = datetime.fromisoformat(found)
    except ValueError as failure:
        raise BadInput(f"the dump's {path} is no moment: {found}") from failure
    _expect(moment.tzinfo is not None, path, "a moment with a zone")
    return moment.astimezone(UTC)


def _expect(is_so: bool, path: str, what: str) -> None:
    if not is_so:
        raise BadInput(f"the dump's {path} is not {what}")


def _is_number(found: Json) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool)


def _items(hint: Hint, count: int) -> list[Hint]:
    """The types of a tuple's values: one for all (``tuple[int, ...]``), or one for each."""
    items = get_args(hint)
    return [items[0]] * count if items[-1:] == (Ellipsis,) else list(items)


def _bare(hint: Hint) -> Hint:
    """A NewType as what it is made of."""
    while hasattr(hint, "__supertype__"):
        hint = hint.__supertype__
    return hint


def _default(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default
