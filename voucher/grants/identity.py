"""Who applies: an organisation by its code, or a maker (创客) for whom a sponsor answers.

A unified social credit code (统一社会信用代码, GB 32100) carries two check characters: its own at
place 18, and that of the organisation code (GB 11714) inside it at place 17. Both are checked.
The number of a person's identity card is never asked for: a maker is known by its sponsor's own
reference, and the sponsor is an organisation with a code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from stdnum.cn import uscc
from stdnum.exceptions import ValidationError

from suanwang.errors import BadInput

CODE_LENGTH: Final = 18
_INNER: Final = slice(8, 17)
"""Places 9 to 17 of a code: the organisation code of GB 11714 with its check character."""
_INNER_WEIGHTS: Final = (3, 7, 9, 10, 5, 8, 4, 2)
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class IdentityKind(StrEnum):
    """What the applicant is."""

    ORGANISATION = "organisation"
    MAKER = "maker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The applicant. A maker has a sponsor's name and code, and the sponsor's reference for it."""

    kind: IdentityKind
    name: str
    code: str = ""
    sponsor_name: str = ""
    sponsor_code: str = ""
    sponsor_ref: str = ""

    @property
    def key(self) -> str:
        """The same for every application of the same applicant, whatever key it comes with."""
        if self.kind is IdentityKind.ORGANISATION:
            return f"code:{self.code}"
        return f"maker:{self.sponsor_code}:{self.sponsor_ref}"


def inner_check_character(body: str) -> str:
    """Return the check character of the 8 characters of an organisation code (GB 11714)."""
    total = sum(
        weight * _ALPHABET.index(character)
        for weight, character in zip(_INNER_WEIGHTS, body, strict=True)
    )
    rest = 11 - total % 11
    return {10: "X", 11: "0"}.get(rest, str(rest))


def code_fault(code: str) -> str:
    """Return what is wrong with a unified social credit code, or nothing."""
    if len(code) != CODE_LENGTH:
        return f"a unified social credit code has {CODE_LENGTH} characters, this has {len(code)}"
    try:
        uscc.validate(code)
    except ValidationError as failure:
        return f"{code} is no unified social credit code: {failure}"
    inner = code[_INNER]
    wanted = inner_check_character(inner[:8])
    if inner[8] != wanted:
        return (
            f"{code}: character 17 is {inner[8]}, the organisation code {inner[:8]} in it "
            f"(GB 11714) needs {wanted}"
        )
    return ""


def read_identity(values: Mapping[str, str]) -> Identity:
    """Return a checked identity from its fields; raise BadInput that names the field.

    Codes may be written with blanks and small letters.
    """
    kind = values.get("kind") or IdentityKind.ORGANISATION.value
    if kind not in set(IdentityKind):
        raise BadInput(f"kind {kind!r} is neither organisation nor maker", field="kind")
    name = values.get("name", "").strip()
    if not name:
        raise BadInput("name is missing", field="name")
    if kind == IdentityKind.ORGANISATION.value:
        return Identity(kind=IdentityKind.ORGANISATION, name=name, code=_code(values, "code"))
    if values.get("code", "").strip():
        raise BadInput(
            "a maker has no unified social credit code",
            next_step="apply as an organisation, or leave code empty",
            field="code",
        )
    for field in ("sponsor_name", "sponsor_ref"):
        if not values.get(field, "").strip():
            raise BadInput(f"a maker needs {field}: an organisation answers for it", field=field)
    return Identity(
        kind=IdentityKind.MAKER,
        name=name,
        sponsor_name=values["sponsor_name"].strip(),
        sponsor_code=_code(values, "sponsor_code"),
        sponsor_ref=values["sponsor_ref"].strip(),
    )


def _code(values: Mapping[str, str], field: str) -> str:
    code = "".join(values.get(field, "").split()).upper()
    fault = code_fault(code) if code.isascii() else f"{code} has characters that no code has"
    if fault:
        raise BadInput(f"{field}: {fault}", next_step="copy it from the licence", field=field)
    return code
