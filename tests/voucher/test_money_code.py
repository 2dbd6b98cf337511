"""No float and no division touches money: read from the source itself."""

import ast
from pathlib import Path

import pytest
from sqlalchemy import Float, Numeric, Table

import suanwang
import voucher
from suanwang.db.tables import ledger as tables
from suanwang.db.tables import metadata

PACKAGE = Path(voucher.__file__).parent
UNITS = Path(suanwang.__file__).parent / "units.py"
MONEY_MODULES = [UNITS, *sorted(PACKAGE.rglob("*.py"))]


def faults(source: str) -> list[str]:
    """Return the places where a float could come in."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            found.append(f"line {node.lineno}: division")
        if isinstance(node, ast.Name) and node.id in {"float", "round", "Decimal"}:
            found.append(f"line {node.lineno}: {node.id}")
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            found.append(f"line {node.lineno}: {node.value}")
    return found


@pytest.mark.parametrize("module", MONEY_MODULES, ids=lambda path: path.name)
def test_no_float_and_no_division_in_money_code(module: Path) -> None:
    assert faults(module.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("source", ["a / b", "a /= b", "float(a)", "round(a)", "0.5", "Decimal(1)"])
def test_the_search_finds_what_it_looks_for(source: str) -> None:
    assert faults(source)


def test_no_ledger_column_is_a_float() -> None:
    names = {"account", "lot", "hold", "journal", "ledger_period", "ledger_receipt", "ledger_head",
             "ledger_actor"}  # fmt: skip
    assert names == {table.name for table in vars(tables).values() if isinstance(table, Table)}
    for name in names:
        for column in metadata.tables[name].columns:
            assert not isinstance(column.type, Float | Numeric), column
            if column.name.endswith("_fen"):
                assert "BIGINT" in str(column.type), column
