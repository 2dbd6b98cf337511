"""Reads an entry from what people typed: a body over HTTP, or a row of a table."""

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from datetime import date, datetime
from typing import Final

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from suanwang.errors import BadInput
from suanwang.units import parse_yuan
from voucher.grants.identity import code_fault
from voucher.registry.entries import TYPES, Entry, Kind, Statement, require_sound
from voucher.registry.graph import PPM_PER_PERCENT

PSEUDONYM: Final = re.compile(r"lr-[0-9a-f]{16}")
TEXT_LENGTH_MAX: Final = 200
LEGAL_NAME: Final = "legal_representative"
"""Given as a name, kept as a pseudonym."""
CODES: Final = frozenset(
    {"code", "parent", "one", "other", "customer", "provider", "seller", "buyer", "payer", "payee"}
)
_LISTS: Final = frozenset({"roles", "sites"})
_COUNTS: Final = frozenset({"line", "months", "amount_fen", "tax_fen", "share_ppm"})
_SPAN: Final = ("valid_from", "valid_to")
_ADAPTERS: Final = {kind: TypeAdapter(of) for kind, of in TYPES.items()}
Pseudonym = Callable[[str], str]


def make_pseudonym(salt: str) -> Pseudonym:
    """Return the function that hides names: equal names give equal pseudonyms, keyed by a salt."""

    def hide(name: str) -> str:
        plain = unicodedata.normalize("NFKC", name)
        joined = "".join(plain.split()).casefold()
        digest = hmac.new(salt.encode(), joined.encode(), hashlib.sha256).hexdigest()
        return f"lr-{digest[:16]}"

    return hide


def read_statement(
    kind: Kind, raw: Mapping[str, object], source: str, today: date, hide: Pseudonym
) -> Statement:
    """Return a sound statement; raise BadInput that names the field.

    It holds from today where no day is given.
    """
    given = {name: value for name, value in raw.items() if not _is_empty(value)}
    span = {name: _day(name, given.pop(name)) for name in _SPAN if name in given}
    statement = Statement(
        entry=read_entry(kind, given, hide),
        valid_from=span.get("valid_from", today),
        valid_to=span.get("valid_to"),
        source=source,
    )
    require_sound(statement)
    return statement


def read_entry(kind: Kind, given: Mapping[str, object], hide: Pseudonym) -> Entry:
    """Return an entry from its fields; raise BadInput that names the field that is wrong."""
    known = {one.name for one in fields(TYPES[kind])}
    values: dict[str, object] = {}
    for name, value in given.items():
        field, read = _field(kind, name, value, hide)
        if field not in known:
            raise BadInput(
                f"{name}: an entry of kind {kind.value} has no such field",
                next_step=f"`suanwang voucher registry fields {kind.value}` lists them",
                field=name,
            )
        values[field] = read
    return entry_of(kind, values)


def entry_of(kind: Kind, values: Mapping[str, object]) -> Entry:
    """Return an entry from plain values, such as those that are stored; raise BadInput."""
    held = {name: value for name, value in values.items() if not _is_empty(value)}
    try:
        return _ADAPTERS[kind].validate_python(held)
    except ValidationError as failure:
        faults = failure.errors()
        names = [str(one["loc"][0]) if one["loc"] else "" for one in faults]
        missing = [name for name, one in zip(names, faults, strict=True)
                   if one["type"] == "missing"]  # fmt: skip
        if missing:
            told = ", ".join(as_given(name) for name in missing)
            raise BadInput(f"{told}: missing", field=missing[0]) from failure
        raise BadInput(f"{names[0]}: {_complaint(faults[0])}", field=names[0]) from failure


def as_given(field: str) -> str:
    """Return the name under which people give a field: amounts in yuan, shares in percent."""
    stem = field.removesuffix("_fen").removesuffix("_ppm")
    if field == "legal_person":
        return LEGAL_NAME
    return f"{stem}_yuan" if field.endswith("_fen") else field.replace("share_ppm", "share_percent")


def fields_of(kind: Kind) -> Mapping[str, bool]:
    """Return the fields of a kind as people give them, and whether each is needed."""
    return {as_given(one.name): one.default is MISSING for one in fields(TYPES[kind])}


def _complaint(fault: ErrorDetails) -> str:
    if fault["type"].startswith("int"):
        return f"{fault['input']!r} is no whole number"
    if fault["type"] == "enum":
        return f"{fault['input']!r} is none of {fault['ctx']['expected']}"
    return str(fault["msg"])


def _field(kind: Kind, name: str, value: object, hide: Pseudonym) -> tuple[str, object]:
    """Return the field that a given one stands for, and its value."""
    if kind is Kind.ORGANISATION and name == LEGAL_NAME:
        return "legal_person", hide(_text(name, value))
    if name.endswith("_yuan"):
        return name.removesuffix("_yuan") + "_fen", _fen(name, value)
    if name == "share_percent":
        return "share_ppm", _ppm(name, value)
    return name, _value(name, value)


def _value(name: str, value: object) -> object:
    if name == "legal_person" and not PSEUDONYM.fullmatch(_text(name, value)):
        raise BadInput(f"{name}: give the name as {LEGAL_NAME}, or a pseudonym lr-…", field=name)
    if name in CODES:
        return _code(name, value)
    if name in _LISTS:
        return _list(name, value)
    if name.endswith("_on"):
        return _day(name, value)
    is_count = name in _COUNTS and isinstance(value, int) and not isinstance(value, bool)
    return value if is_count else _text(name, value)


def _is_empty(value: object) -> bool:
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise BadInput(
            f"{name}: {value} is a number in the sheet, where long ones lose digits",
            next_step="format the column as text and type it again",
            field=name,
        )
    if len(value.strip()) > TEXT_LENGTH_MAX:
        raise BadInput(f"{name}: {len(value)} characters, at most {TEXT_LENGTH_MAX}", field=name)
    return value.strip()


def _code(name: str, value: object) -> str:
    code = "".join(_text(name, value).split()).upper()
    fault = code_fault(code) if code.isascii() else f"{code} has characters that no code has"
    if fault:
        raise BadInput(f"{name}: {fault}", next_step="copy it from the licence", field=name)
    return code


def _fen(name: str, value: object) -> int:
    try:
        return parse_yuan(str(value))
    except ValueError as failure:
        raise BadInput(f"{name}: {failure}", field=name) from failure


def _ppm(name: str, value: object) -> int:
    text = str(value).strip().removesuffix("%").strip()
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,4})?", text):
        raise BadInput(f"{name}: {value} is no share such as 30 or 33.3333 percent", field=name)
    whole, _, part = text.partition(".")
    return int(whole) * PPM_PER_PERCENT + int(part.ljust(4, "0") or "0")


def _list(name: str, value: object) -> tuple[str, ...]:
    parts = value if isinstance(value, list) else re.split(r"[,，;；、\s]+", _text(name, value))
    return tuple(sorted({str(part) for part in parts if part}))


def _day(name: str, value: object) -> date:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(_text(name, value))
    except ValueError as failure:
        raise BadInput(f"{name}: {value!r} is no day such as 2026-09-01", field=name) from failure
