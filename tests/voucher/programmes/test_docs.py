"""The page about programmes agrees with the code: every key, op, fact, code and shipped file."""

import re
import typing
from collections.abc import Iterator
from enum import StrEnum

import pytest
from checkout import ROOT
from pydantic import BaseModel

from suanwang.document import parse_document, validate
from voucher.flagging import FlagCode
from voucher.programmes.applicants import ListFile
from voucher.programmes.facts import FACTS, FactKind
from voucher.programmes.files import shipped_ids
from voucher.programmes.predicate import Op
from voucher.programmes.schema import (
    Base,
    Beneficiary,
    CapScope,
    Counts,
    LastOne,
    MarkKind,
    Mode,
    OncePer,
    Period,
    Policy,
    ShortageRule,
    Take,
)
from voucher.programmes.sentences import Code

PAGE = (ROOT / "docs" / "programmes.md").read_text(encoding="utf-8")
REASONS = (ROOT / "docs" / "reasons.md").read_text(encoding="utf-8")
TESTS = "".join(
    path.read_text(encoding="utf-8")
    for folder in ("programmes", "grants")
    for path in (ROOT / "tests" / "voucher" / folder).glob("test_*.py")
    if path.name != "test_docs.py"
)


def rows(title: str, page: str = PAGE) -> list[str]:
    """Return the first cells of the table under a heading."""
    section = re.split(r"^#+ ", page.partition(f"# {title}\n")[2], maxsplit=1, flags=re.MULTILINE)
    return re.findall(r"^\| `([^`]+)` \|", section[0], re.MULTILINE)


def models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for info in annotation.model_fields.values():
            yield from models(info.annotation)
    for part in typing.get_args(annotation):
        yield from models(part)


def keys(model: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def test_every_key_of_a_policy_has_its_row_in_order() -> None:
    assert rows("The file") == keys(Policy)


@pytest.mark.parametrize("model", list(dict.fromkeys(models(Policy))))
def test_every_key_of_every_part_is_explained(model: type[BaseModel]) -> None:
    assert [key for key in keys(model) if not re.search(rf"`{key}\b|{key}:", PAGE)] == []


@pytest.mark.parametrize(
    "group",
    ["benefit", "spend", "tiers", "caps", "funders", "shortage", "validity", "stacking",
     "workflow", "clawback", "marks"],
)  # fmt: skip
def test_every_group_has_a_table_with_exactly_its_keys(group: str) -> None:
    model = next(models(Policy.model_fields[group].annotation))
    assert rows(group) == keys(model)


@pytest.mark.parametrize(
    "words",
    [Base, Beneficiary, CapScope, Counts, FactKind, LastOne, MarkKind, Mode, OncePer, Period,
     ShortageRule, Take],
)  # fmt: skip
def test_every_word_that_a_key_takes_is_explained(words: type[StrEnum]) -> None:
    assert [word.value for word in words if f"`{word.value}`" not in PAGE] == []


def test_every_op_and_fact_has_its_row() -> None:
    assert rows("Predicates") == [op.value for op in Op]
    assert rows("Facts") == list(FACTS)


def test_every_code_of_a_reason_and_every_flag_has_its_row_in_the_page_of_reasons() -> None:
    assert rows("Reasons of programmes", REASONS) == [code.value for code in Code]
    assert rows("Flags", REASONS) == [code.value for code in FlagCode]


def test_every_shipped_policy_has_its_row() -> None:
    assert rows("Shipped programmes") == list(shipped_ids())


@pytest.mark.parametrize("code", Code)
def test_every_code_has_a_test_that_provokes_it(code: Code) -> None:
    assert f'"{code.value}"' in TESTS or f"Code.{code.name}" in TESTS


def test_the_example_of_a_list_can_be_read() -> None:
    example = PAGE.partition("```yaml\n")[2].partition("```")[0]
    assert validate(parse_document(example, "example"), ListFile).applications[0].id == "2025-001"
