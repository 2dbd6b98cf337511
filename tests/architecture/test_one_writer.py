"""There is one way into the ledger: a turn, which only its writer gives."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from checkout import ROOT, packages, python_files

GIVES_TURNS = {"voucher/writer.py", "voucher/group.py"}
TOOLS = {"benchmarks", "tests", "scripts"}
"""Where a writer of one's own may be started instead of the centre's."""


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def trees(*, is_product: bool = False) -> Iterator[tuple[str, ast.Module]]:
    """Yield every file by name; ``is_product`` leaves out tools and tests."""
    for path in python_files():
        if not is_product or path.relative_to(ROOT).parts[0] in set(packages()) - TOOLS:
            yield named(path), ast.parse(path.read_text(encoding="utf-8"))


def called(tree: ast.Module) -> set[str]:
    """Return the last name of everything that a file calls."""
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {
        func.attr if isinstance(func, ast.Attribute) else func.id
        for func in calls
        if isinstance(func, ast.Attribute | ast.Name)
    }


def imported(tree: ast.Module, module: str) -> set[str]:
    """Return what a file imports from a module."""
    return {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == module
        for alias in node.names
    }


def imported_modules(tree: ast.Module) -> set[str]:
    """Return the modules that a file imports whole."""
    return {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }


def test_only_the_writer_makes_a_turn() -> None:
    users = {
        name
        for name, tree in trees()
        if "Turn" in imported(tree, "voucher.turn") & called(tree)
        or "voucher.turn" in imported_modules(tree)
    }
    assert users == GIVES_TURNS


def test_only_the_ledgers_door_writes_the_journal() -> None:
    users = {name for name, tree in trees() if "write" in imported(tree, "voucher.store_journal")}
    assert users == {"voucher/ledger.py"}


def test_the_door_opens_only_to_a_turn() -> None:
    """The type says so, mypy holds it, and nobody may silence mypy there."""
    door = next(tree for name, tree in trees() if name == "voucher/ledger.py")
    (apply,) = (n for n in door.body if isinstance(n, ast.FunctionDef) and n.name == "apply")
    first = apply.args.args[0]
    assert isinstance(first.annotation, ast.Name)
    assert (first.arg, first.annotation.id) == ("turn", "Turn")
    silenced = [
        named(path)
        for path in python_files()
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"\bapply\(.*# type: ignore", line)
    ]
    assert silenced == []


def test_the_product_writes_through_the_centres_writer() -> None:
    users = {name for name, tree in trees(is_product=True) if "DirectWriter" in called(tree)}
    assert users == set()


def test_a_route_that_needs_the_ledger_says_so_by_asking_for_books() -> None:
    """Else the request would not be passed on where another process writes."""
    users = {
        name
        for name, tree in trees(is_product=True)
        if name.startswith("api/routers/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node).endswith("context.writer")
    }
    assert users == set()
