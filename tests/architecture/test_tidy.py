"""Limits that keep every file readable: a function fits on a screen, a file holds one noun."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkout import ROOT, python_files

FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 500


def too_long_functions(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name} has {lines} lines"


@pytest.mark.parametrize("path", python_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_and_its_functions_are_short(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= FILE_LINES_MAX, f"{lines} lines: the file holds a second noun"
    assert list(too_long_functions(path)) == []
