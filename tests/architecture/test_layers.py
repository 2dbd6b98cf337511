"""Who may import whom: the contracts in pyproject.toml hold."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkout import ROOT, packages, pyproject, python_files

PASSED_ON = {"Connection", "Engine"}
ENTRY_POINTS = {"cli", "benchmarks"}
HEAVY = ("fastapi", "starlette", "ray", "sqlalchemy", "numpy", "highspy", "pulp", "aiohttp")


def test_the_import_contracts_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    ran = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


def test_every_package_is_under_some_contract() -> None:
    contracts = pyproject()["tool"]["importlinter"]["contracts"]
    bound = {name for rule in contracts for name in rule.get("source_modules", rule.get("modules"))}
    free = {"cli", "benchmarks", "scenarios"}
    assert bound >= set(packages()) - free


def sqlalchemy_names(path: Path) -> Iterator[str]:
    """Yield what a file imports from SQLAlchemy; the whole module counts as a star."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sqlalchemy":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ("*" for alias in node.names if alias.name.split(".")[0] == "sqlalchemy")


def test_only_the_database_package_and_stores_speak_sql() -> None:
    others = [
        path
        for path in python_files()
        if path.relative_to(ROOT).parts[0] in set(packages()) - ENTRY_POINTS
        and not path.is_relative_to(ROOT / "suanwang" / "db")
        and not path.stem.startswith("store")
    ]
    offenders = {
        str(path.relative_to(ROOT)): names
        for path in others
        if (names := set(sqlalchemy_names(path)) - PASSED_ON)
    }
    assert offenders == {}


@pytest.mark.parametrize("command", [["--help"], ["--version"], ["submit", "--help"]], ids=" ".join)
def test_help_imports_nothing_heavy(command: list[str]) -> None:
    program = (
        "import sys, typer\n"
        "from cli.main import app\n"
        f"try: app({command!r})\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print('LOADED', *sys.modules, file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    loaded = set(ran.stderr.partition("LOADED")[2].split())
    assert not loaded & set(HEAVY)
