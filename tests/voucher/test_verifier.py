"""An auditor with one file and an export finds everything that was changed."""

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from ledger_builders import (
    START,
    a_capture,
    a_claim,
    a_claim_payment,
    a_claims_end,
    a_clawback,
    a_close,
    a_deposit,
    a_hold,
    a_mix,
    a_payback,
    a_payout,
    a_redemption,
    a_refund,
    a_release,
    a_repayment,
    a_withdrawal,
    accept,
    add_tenants,
    an_appropriation,
    an_issue,
    more_for,
)
from sqlalchemy import Engine

from suanwang.db.engine import reading
from voucher import verifier
from voucher.chain import link_texts, microseconds
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
    accept(engine, a_repayment(20), an_appropriation(500), a_withdrawal(10), a_payout(5))
    accept(engine, a_claim(funders=a_mix(city=400, 区=600)), a_redemption(30), a_claim_payment(9))
    accept(engine, a_payback(5), a_claims_end(), a_close("2026-09", START))
    with reading(engine) as connection:
        return [line.encode() for line in export_lines(connection)]


PARTS = 3


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports") / "journal.jsonl"


@pytest.fixture
def findings(path: Path) -> Callable[..., list[str]]:
    """What is wrong with an export; reading it in parts must come to the same verdict."""

    def read(lines: list[bytes], *links: str) -> list[str]:
        found = verifier.Verifier()
        assert found.verify(lines, links) == (not found.findings)
        path.write_bytes(b"".join(lines))
        for count in range(1, PARTS + 1):
            proof = verifier.prove(str(path), links, count)
            is_sound = proof is not None and proof.links == set(links)
            assert is_sound == (not found.findings), count
            if is_sound and proof is not None:
                assert (proof.seq, proof.link) == (found.entries, found.link)
                assert proof.closing == found.balances
        return found.findings

    return read


Findings = Callable[..., list[str]]


def test_an_untouched_export_is_sound(export: list[bytes], findings: Findings) -> None:
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


def test_every_flipped_bit_is_found(export: list[bytes], findings: Findings) -> None:
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
    export: list[bytes],
    change: Callable[[list[bytes], int], list[bytes]],
    findings: Findings,
) -> None:
    for position in range(len(export) - 1):
        assert findings(change(export, position)), position


def test_two_neighbours_that_changed_places_are_found(
    export: list[bytes], findings: Findings
) -> None:
    for position in range(len(export) - 1):
        lines = list(export)
        lines[position : position + 2] = reversed(lines[position : position + 2])
        assert findings(lines), position


def test_a_kept_link_is_found_again_and_a_strange_one_is_not(
    export: list[bytes], findings: Findings
) -> None:
    middle = export[4].decode().partition('"chain":"')[2][:66]
    assert findings(export, middle) == []
    assert findings(export, "01" + "ab" * 32) == [f"the link 01{'ab' * 32} is not in this chain"]


# --- by someone who can write every link anew ---------------------------------------------------


def sealed(export: list[bytes], change: Callable[[list[dict[str, str]]], None]) -> list[bytes]:
    """Return the export with entries changed, and every link made to fit."""
    head, *entries, end = (json.loads(line) for line in export)
    change(entries)
    former = bytes([{"sha256": 1, "sm3": 2}[head["digest"]], *bytes(32)]).hex()
    for seq, entry in enumerate(entries, 1):
        at_us = microseconds(datetime.fromisoformat(entry["at"]))
        texts = [entry[name] for name in verifier.TEXTS]
        entry["chain"] = former = link_texts(former, seq, at_us, texts)
    end["end"]["chain"] = former
    return [(verifier.canonical(one) + "\n").encode() for one in (head, *entries, end)]


def replaced(seq: int, name: str, old: str, new: str) -> Callable[[list[dict[str, str]]], None]:
    def change(entries: list[dict[str, str]]) -> None:
        assert old in entries[seq - 1][name]
        entries[seq - 1][name] = entries[seq - 1][name].replace(old, new)

    return change


def overdraw(entries: list[dict[str, str]]) -> None:
    """Move more than there is, and tell the balances that follow."""
    entries[3]["moves"] = entries[3]["moves"].replace("\t300\n", "\t1300\n")
    told = json.loads(entries[3]["balances"])
    told |= {"lot:l1": told["lot:l1"] - 1_000, "held:l1": told["held:l1"] + 1_000}
    entries[3]["balances"] = verifier.canonical(told)


FORGERIES = [
    pytest.param(replaced(4, "moves", "\t300\n", "\t0300\n"), "cannot be read", id="zero in front"),
    pytest.param(replaced(4, "moves", "\t300\n", "\t+300\n"), "cannot be read", id="plus sign"),
    pytest.param(replaced(4, "moves", "\t300\n", "\t301\n"), "do not follow", id="amount"),
    pytest.param(replaced(4, "balances", ":300", ":300.0"), "do not follow", id="fraction"),
    pytest.param(replaced(1, "balances", ":1000", ":1001"), "do not follow", id="first balance"),
    pytest.param(
        replaced(4, "at", "T00:00:00.000000+00:00", "T08:00:00.000000+08:00"), "breaks", id="zone"
    ),
    pytest.param(overdraw, "account lot:l1 comes to -300 fen", id="below zero"),
    pytest.param(replaced(0, "balances", '"cash":', '"cash":1'), "do not follow", id="totals"),
]


def test_sealing_without_a_change_gives_the_export_again(export: list[bytes]) -> None:
    assert sealed(export, lambda _: None) == export


@pytest.mark.parametrize(("change", "told"), FORGERIES)
def test_a_forged_entry_with_a_whole_chain_is_found(
    export: list[bytes],
    change: Callable[[list[dict[str, str]]], None],
    told: str,
    findings: Findings,
) -> None:
    found = findings(sealed(export, change))
    assert found
    assert told in found[0]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(b'"key":"issue', b'"key":"\\u0069ssue', id="escape that is not needed"),
        pytest.param(b'"seq":1,', b'"seq":true,', id="truth for one"),
        pytest.param(b'"seq":1,', b'"seq":1.0,', id="fraction for one"),
        pytest.param(b'"seq":1,', b'"seq": 1,', id="space"),
        pytest.param(b'"version":1', b'"version":1.0', id="fraction in the head"),
        pytest.param(b'{"at":', b'{"more":"","at":', id="field"),
        pytest.param(b"}\n", b"}\r\n", id="line end"),
    ],
)
def test_the_same_written_in_another_way_is_found(
    export: list[bytes], old: bytes, new: bytes, findings: Findings
) -> None:
    whole = b"".join(export)
    assert old in whole
    assert findings(whole.replace(old, new, 1).splitlines(keepends=True))


def test_names_with_quotes_backslashes_and_percents_are_read_like_others(
    engine: Engine, findings: Findings
) -> None:
    names = [
        'a"b',
        "back\\slash",
        '\\"',
        "企业",
        "\\t",
        "x,y",
        "100 %",
        "%s",
        "%d",
        "a",
        "a\\",
        "\\ta",
    ]
    with engine.begin() as connection:
        add_tenants(connection, *names)
    for number, name in enumerate(names):
        accept(engine, a_deposit(5, name, key=f'"key" \\ {number}'))
        accept(engine, a_hold(f"h{number}", (None, 3), tenant_id=name), a_capture(f"h{number}", 2))
        accept(engine, a_deposit(5, name, key=f'another "key" \\ {number}'))
    with reading(engine) as connection:
        assert findings([line.encode() for line in export_lines(connection)]) == []


def test_processes_side_by_side_come_to_the_same_end(
    export: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"".join(export))
    assert verifier.prove_by_processes(str(path)) is None, "too small to be worth it"
    monkeypatch.setattr(verifier, "PART_BYTES_MIN", 1)
    monkeypatch.setattr(verifier, "PROCESSES_MAX", 2)
    link = json.loads(export[5])["chain"]
    assert verifier.prove_by_processes(str(path), [link]) == verifier.prove(str(path), [link])
    path.write_bytes(b"".join(export).replace(b"300", b"301", 1))
    assert verifier.prove_by_processes(str(path)) is None
