"""The evidence of a period: many jobs under one index, verified by the same program offline."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_client import Json, World
from evidence_builders import members, run_a_job, write
from grant_builders import Office, a_draft
from sqlalchemy import update

from api import evidence
from suanwang.clock import VirtualClock
from suanwang.db.tables import grant_application
from suanwang.model.tenant import Role
from voucher.grants import service
from voucher.reports.signing import load_signer
from voucher.reports.verify_evidence import signature_file, verify
from voucher.writer import DirectWriter

OCTOBER = {"first": "2026-10-01", "last": "2026-10-31"}
DAY_S = 86_400


@pytest.fixture
def run_world(world: World, clock: VirtualClock) -> World:
    """A centre in which haiyun paid two jobs in October by half and one in November by cash."""
    world.register()
    world.fund(amount_fen=10_000)
    lot = {
        "lot_id": "lot-1", "tenant_id": "haiyun", "programme": "qingdao-2026", "amount_fen": 10_000,
        "ratio_num": 1, "ratio_den": 2, "expires_at": "2026-10-31T00:00:00+08:00", "key": "k1",
    }  # fmt: skip
    assert world.client.post("/v1/vouchers", world.admin, lot).status_code == 201
    run_a_job(world, clock, "train-1")
    run_a_job(world, clock, "train-2")
    clock.advance(25 * DAY_S)
    run_a_job(world, clock, "train-3")
    return world


def ask(world: World, key: str = "", **params: str) -> httpx.Response:
    return world.client.get(
        "/v1/reports/evidence", key or world.enterprise, params=OCTOBER | params
    )


def index_of(answer: httpx.Response) -> Json:
    assert answer.status_code == 200, answer.text
    return json.loads(members(answer.content)["index.json"])


def saved(folder: Path, content: bytes) -> str:
    path = folder / "pack.zip"
    path.write_bytes(content)
    return str(path)


def journal_of(world: World, folder: Path) -> str:
    path = folder / "journal.jsonl"
    path.write_bytes(world.client.get("/v1/ledger/export", world.admin).content)
    return str(path)


def test_the_jobs_of_a_period_stand_in_one_index_that_adds_up(
    run_world: World, tmp_path: Path
) -> None:
    answer = ask(run_world)
    index = index_of(answer)
    assert [job["submission_id"] for job in index["jobs"]] == ["train-1", "train-2"]
    assert index["totals"] == {
        "unit_ms": 2 * 4 * 1_800_000, "energy_mwh": 2 * 16_000,
        "voucher_fen": 24, "cash_fen": 24, "paid_fen": 48,
    }  # fmt: skip
    files = members(answer.content)
    assert files["index.pdf"].startswith(b"%PDF")
    one = json.loads(files["jobs/0001.json"])
    assert (one["id"], one["totals"]["paid_fen"]) == (index["jobs"][0]["certificate"], 24)
    key = run_world.client.get("/v1/reports/signing-key", run_world.enterprise).json()
    head = f"{key['chain_seq']}:{key['chain_link']}"
    assert verify(saved(tmp_path, answer.content), key["public_key"], head) == 0
    assert verify(saved(tmp_path, answer.content), "00" * 32) == 1


def test_the_journal_shows_that_no_payment_of_the_period_is_missing(
    run_world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack, journal = saved(tmp_path, ask(run_world).content), journal_of(run_world, tmp_path)
    assert verify(pack, journal=journal) == 0
    assert "every payment of the period is in the pack" in capsys.readouterr().out


def test_the_pack_verifies_with_its_own_verifier_and_no_library(
    run_world: World, tmp_path: Path
) -> None:
    files = members(ask(run_world).content)
    verifier = tmp_path / "verify_evidence.py"
    verifier.write_bytes(files["verify_evidence.py"])
    command = [sys.executable, "-I", "-S", str(verifier), str(write(tmp_path / "p.zip", files))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "all of it holds")


def signed_anew(
    world: World, files: dict[str, bytes], change: Callable[[Any], None]
) -> dict[str, bytes]:
    """Return the files of a pack whose index was changed and signed again by the platform."""
    signer = load_signer(world.client.context.settings.server.state_dir)
    told = json.loads(files["index.json"])
    change(told)
    named = {job["file"] for job in told.get("jobs", [])}
    kept = {name: data for name, data in files.items() if "/" not in name or name in named}
    kept["index.json"] = json.dumps(told).encode()
    manifest = json.loads(files["manifest.json"])
    manifest["files"] = {
        name: hashlib.sha256(data).hexdigest()
        for name, data in kept.items()
        if not name.startswith("manifest")
    }
    kept["manifest.json"] = json.dumps(manifest).encode()
    signature = signer.sign(kept["manifest.json"])
    kept["manifest.sig.json"] = signature_file(signer.public_key, signature)
    return kept


def leave_out_a_job(told: Any) -> None:
    gone = told["jobs"].pop()
    for name in told["totals"]:
        told["totals"][name] -= gone[name]


FORGERIES: dict[str, Callable[[Any], None]] = {
    "more was paid": lambda told: told["totals"].update(paid_fen=49),
    "a job's amount": lambda told: told["jobs"][0].update(paid_fen=25),
    "a job twice": lambda told: told["jobs"].append(told["jobs"][0]),
    "another's name": lambda told: told["jobs"][0].update(submission_id="train-9"),
    "another enterprise": lambda told: told["enterprise"].update(id="lanxin"),
    "another period": lambda told: told["period"].update(start="2026-10-30T00:00:00+00:00"),
    "another root": lambda told: told["chain"].update(root="00" * 32),
    "another head": lambda told: told["chain"].update(seq=3),
    "other entries": lambda told: told["jobs"][0].update(entries=[1]),
    "no jobs": lambda told: told.update(jobs=[]),
    "another lot": lambda told: told.update(lots=["lot-9"]),
}


@pytest.mark.parametrize("change", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forged_index_is_found_even_with_a_good_signature(
    run_world: World, tmp_path: Path, change: Callable[[Any], None]
) -> None:
    files = members(ask(run_world).content)
    forged = signed_anew(run_world, files, change)
    assert verify(str(write(tmp_path / "p.zip", forged))) > 0


def test_a_job_that_was_left_out_is_found_with_the_journal_alone(
    run_world: World, tmp_path: Path
) -> None:
    files = members(ask(run_world).content)
    forged = signed_anew(run_world, files, leave_out_a_job)
    path = str(write(tmp_path / "p.zip", forged))
    assert verify(path) == 0
    assert verify(path, journal=journal_of(run_world, tmp_path)) == 1


def test_the_pack_of_an_award_has_what_its_lots_paid(run_world: World, tmp_path: Path) -> None:
    with DirectWriter(run_world.engine, run_world.clock).turn() as turn:
        office = Office(turn, run_world.clock, run_world.ids, tenants={})
        office.adopt()
        record, _ = service.create(
            office.firm(), "haiyun", a_draft("r1", district="dc-west"), office.ids
        )
        own = grant_application.c.id == record.id
        turn.connection.execute(update(grant_application).where(own).values(lots=["lot-1"]))
    november = {"first": "2026-10-01", "last": "2026-12-31"}
    everything = index_of(ask(run_world, **november))
    of_award = ask(run_world, application=record.id, **november)
    index = index_of(of_award)
    assert [job["submission_id"] for job in everything["jobs"]] == ["train-1", "train-2", "train-3"]
    assert [job["submission_id"] for job in index["jobs"]] == ["train-1", "train-2"]
    assert (index["application"], index["lots"]) == (record.id, ["lot-1"])
    journal = journal_of(run_world, tmp_path)
    assert verify(saved(tmp_path, of_award.content), journal=journal) == 0
    assert ask(run_world, run_world.other, application=record.id).status_code == 404


def test_who_asks_for_what(run_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(run_world, first="2026-09-01", last="2026-09-30").status_code == 404
    assert ask(run_world, run_world.other).status_code == 404
    assert ask(run_world, run_world.admin).status_code == 422
    assert ask(run_world, run_world.admin, tenant_id="haiyun").status_code == 200
    assert ask(run_world, application="app_9").status_code == 404
    assert ask(run_world, run_world.key("dc-west", Role.OPERATOR)).status_code == 403
    assert ask(run_world, first="2026-11-01").status_code == 422
    monkeypatch.setattr(evidence, "JOBS_MAX", 1)
    many = ask(run_world)
    assert many.status_code == 402
    assert "2 jobs were paid" in many.json()["detail"]
