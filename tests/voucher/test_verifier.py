"""An auditor with one file and an export finds everything that was changed."""

import ast
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from ledger_builders import (
    START,
    a_capture,
    a_clawback,
    a_close,
    a_deposit,
    a_hold,
    a_refund,
    a_release,
    a_repayment,
    accept,
    add_tenants,
    an_issue,
    more_for,
)
from sqlalchemy import Engine

from suanwang.db.engine import reading
from voucher import verifier
from voucher.export import export_lines
from voucher.ledger import Algorithm, begin

SCRIPT = Path(verifier.__file__)
SEED = 20261014


@pytest.fixture(params=list(Algorithm))
def export(engine: Engine, request: pytest.FixtureRequest) -> list[bytes]:
    """The lines of a ledger in which everything happened once."""
    with engine.begin() as connection:
        add_tenants(connection, "t1", "企业")
        begin(connection, request.param)
    accept(engine, an_issue(), a_deposit(500), a_deposit(7, "企业"))
    accept(engine, a_hold("h1", ("l1", 300), (None, 200)), more_for("h1", (None, 50)))
    accept(engine, a_capture("h1", 520), a_refund("h1", 20), now=START + timedelta(seconds=1))
    accept(engine, a_hold("h2", ("l1", 10)), a_release("h2"), a_clawback("l1", 900))
    accept(engine, a_repayment(20), a_close("2026-09", START))
    with reading(engine) as connection:
        return [line.encode() for line in export_lines(connection)]


def findings(lines: list[bytes], *links: str) -> list[str]:
    found = verifier.Verifier()
    assert found.verify(lines, links) == (not found.findings)
    return found.findings


def test_an_untouched_export_is_sound(export: list[bytes]) -> None:
    assert findings(export) == []


def test_the_verifier_imports_nothing_but_python() -> None:
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"))
    names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)} | {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert {str(name).partition(".")[0] for name in names} <= sys.stdlib_module_names


def test_it_runs_alone_and_says_what_it_found(export: list[bytes], tmp_path: Path) -> None:
    script, good, bad = (tmp_path / name for name in ("v.py", "good", "bad"))
    script.write_bytes(SCRIPT.read_bytes())
    good.write_bytes(b"".join(export))
    bad.write_bytes(b"".join(export).replace(b"-300", b"-301").replace(b'"seq":5', b'"seq":6'))
    for path, code, last in ((good, 0, "the journal is sound"), (bad, 1, "NOT SOUND")):
        done = subprocess.run(
            [sys.executable, "-I", str(script), str(path)], capture_output=True, text=True
        )
        assert (done.returncode, last in done.stdout) == (code, True), done.stdout + done.stderr
    missing = subprocess.run([sys.executable, "-I", str(script), str(tmp_path / "no")])
    assert missing.returncode == 2


def test_every_flipped_bit_is_found(export: list[bytes]) -> None:
    random = Random(SEED)
    whole = b"".join(export)
    for position in random.sample(range(len(whole)), 400):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << random.randrange(8)
        assert findings(bytes(flipped).splitlines(keepends=True)), position


CHANGES: list[tuple[str, Callable[[list[bytes], int], list[bytes]]]] = [
    ("dropped", lambda lines, at: lines[:at] + lines[at + 1 :]),
    ("doubled", lambda lines, at: [*lines[: at + 1], lines[at], *lines[at + 1 :]]),
    ("cut off after", lambda lines, at: lines[:at]),
    ("moved", lambda lines, at: [*lines[:at], *lines[at + 1 :], lines[at]]),
]


@pytest.mark.parametrize("change", [one for _, one in CHANGES], ids=[name for name, _ in CHANGES])
def test_every_line_that_is_dropped_doubled_or_moved_is_found(
    export: list[bytes], change: Callable[[list[bytes], int], list[bytes]]
) -> None:
    for position in range(len(export) - 1):
        assert findings(change(export, position)), position


def test_two_neighbours_that_changed_places_are_found(export: list[bytes]) -> None:
    for position in range(len(export) - 1):
        lines = list(export)
        lines[position : position + 2] = reversed(lines[position : position + 2])
        assert findings(lines), position


def test_a_kept_link_is_found_again_and_a_strange_one_is_not(export: list[bytes]) -> None:
    middle = export[4].decode().partition('"chain":"')[2][:66]
    assert findings(export, middle) == []
    assert findings(export, "01" + "ab" * 32) == [f"the link 01{'ab' * 32} is not in this chain"]
