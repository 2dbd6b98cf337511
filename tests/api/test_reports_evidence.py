"""The evidence pack of a job that was really placed, metered and paid."""

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Final

import httpx
import pytest
from api_client import Json, World
from evidence_builders import members, run_a_job, write
from grant_builders import WAN, Office, a_draft, a_spend
from sqlalchemy import update

from suanwang.clock import VirtualClock
from suanwang.db.engine import writing
from suanwang.db.tables import grant_application, tenant
from suanwang.model.tenant import Role
from voucher.grants import service
from voucher.grants.store_audit import Evidence
from voucher.reports.verify_evidence import verify
from voucher.writer import DirectWriter

PAPERS: Final = {
    "contract_no": "HT-2026-001",
    "invoices": [{"number": "26372000000012345678", "amount_fen": 23, "tax_fen": 1}],
    "payments": [{"receipt": "YH-17", "amount_fen": 12, "paid_on": "2026-10-20"}],
}


@pytest.fixture
def run_world(world: World, clock: VirtualClock) -> World:
    """A centre in which haiyun has run and paid a job, half of it by a voucher."""
    world.register()
    world.fund(amount_fen=10_000)
    lot = {
        "lot_id": "lot-1", "tenant_id": "haiyun", "programme": "qingdao-2026", "amount_fen": 10_000,
        "ratio_num": 1, "ratio_den": 2, "expires_at": "2027-01-01T00:00:00+08:00", "key": "k1",
    }  # fmt: skip
    assert world.client.post("/v1/vouchers", world.admin, lot).status_code == 201
    run_a_job(world, clock)
    return world


def ask(world: World, key: str = "", **body: Json) -> httpx.Response:
    """Ask for the pack of train-1."""
    wanted = {"submission_id": "train-1"} | PAPERS | body
    return world.client.post("/v1/reports/evidence", key or world.enterprise, wanted)


def test_a_pack_verifies_offline_with_the_key_that_was_published(
    run_world: World, tmp_path: Path
) -> None:
    answer = ask(run_world)
    assert answer.status_code == 200, answer.text
    key = run_world.client.get("/v1/reports/signing-key", run_world.operator).json()
    pack = tmp_path / "pack.zip"
    pack.write_bytes(answer.content)
    head = f"{key['chain_seq']}:{key['chain_link']}"
    assert verify(str(pack), key["public_key"], head) == 0
    assert verify(str(pack), "00" * 32) == 1
    assert verify(str(pack), key["public_key"], f"{key['chain_seq']}:01{'0' * 64}") == 1


def test_a_certificate_says_what_was_run_and_paid(run_world: World) -> None:
    found = json.loads(members(ask(run_world).content)["certificate.json"])
    assert found["totals"]["paid_fen"] == 24
    assert found["totals"]["by_lot_fen"] == {"lot-1": 12}
    assert found["totals"]["unit_ms"] == 4 * 1_800_000
    (attempt,) = found["job"]["attempts"]
    assert (attempt["accelerator"], attempt["site"]["operator"]["id"]) == ("cpu", "dc-east")
    assert attempt["energy"]["energy_mwh"] == 4 * 8 * 1_000 // 2
    assert [flag["code"] for flag in found["flags"]] == ["not-metered"]
    assert found["references"]["invoices"][0]["number"] == "26372000000012345678"
    assert found["policies"] == [
        {"lot_id": "lot-1", "programme": "qingdao-2026", "version": 0, "digest": ""}
    ]


def test_a_pack_and_the_exported_journal_are_of_one_ledger(
    run_world: World, tmp_path: Path
) -> None:
    pack, journal = tmp_path / "pack.zip", tmp_path / "journal.jsonl"
    pack.write_bytes(ask(run_world).content)
    run_world.fund(amount_fen=77)
    journal.write_bytes(run_world.client.get("/v1/ledger/export", run_world.admin).content)
    assert verify(str(pack), journal=str(journal)) == 0
    journal.write_bytes(journal.read_bytes().replace(b"10000", b"10001"))
    assert verify(str(pack), journal=str(journal)) == 1


def test_a_pack_has_the_certificate_on_paper(run_world: World) -> None:
    paper = members(ask(run_world).content)["certificate.pdf"]
    assert paper.startswith(b"%PDF")
    assert b"/FontFile2" in paper


def test_a_pack_verifies_with_its_own_verifier_and_no_library(
    run_world: World, tmp_path: Path
) -> None:
    files = members(ask(run_world).content)
    pack = write(tmp_path / "pack.zip", files)
    verifier = tmp_path / "verify_evidence.py"
    verifier.write_bytes(files["verify_evidence.py"])
    command = [sys.executable, "-I", "-S", str(verifier), str(pack)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "all of it holds")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("certificate.json", b'"paid_fen": 24', b'"paid_fen": 25'),
        ("certificate.json", b'"quantity": 4', b'"quantity": 8'),
        ("manifest.json", b"certificate.json", b"certificate.jsom"),
        ("manifest.sig.json", b'"signature": "', b'"signature": "00'),
        ("README.txt", b"offline", b"online!"),
    ],
)
def test_a_changed_pack_is_found(
    run_world: World, tmp_path: Path, name: str, old: bytes, new: bytes
) -> None:
    files = members(ask(run_world).content)
    assert old in files[name]
    files[name] = files[name].replace(old, new)
    assert verify(str(write(tmp_path / "pack.zip", files))) > 0


def test_an_added_or_missing_file_is_found(run_world: World, tmp_path: Path) -> None:
    files = members(ask(run_world).content)
    assert verify(str(write(tmp_path / "more.zip", files | {"x.txt": b""}))) > 0
    del files["certificate.json"]
    assert verify(str(write(tmp_path / "less.zip", files))) > 0


def test_a_pack_signed_anew_with_wrong_sums_is_found(run_world: World, tmp_path: Path) -> None:
    files = members(ask(run_world).content)
    found = json.loads(files["certificate.json"])
    entry = found["chain"]["entries"][0]
    entry["moves"] = entry["moves"].replace("12", "13")
    files["certificate.json"] = json.dumps(found).encode()
    assert verify(str(write(tmp_path / "pack.zip", files))) >= 3


def test_an_invoice_twice_in_one_pack_is_flagged(run_world: World) -> None:
    answer = ask(run_world, invoices=PAPERS["invoices"] * 2)  # type: ignore[operator]  # a list
    flags = json.loads(members(answer.content)["certificate.json"])["flags"]
    assert "invoice-twice" in [flag["code"] for flag in flags]


def test_an_invoice_number_that_is_not_one_is_refused(small_world: World) -> None:
    assert ask(small_world, invoices=[{"number": "123", "amount_fen": 1}]).status_code == 422


def test_a_pack_of_a_foreign_or_unfinished_job_is_refused(world: World) -> None:
    world.register()
    world.hello(world.token())
    world.fund()
    assert world.submit(submission_id="train-1").status_code == 201
    assert ask(world).status_code == 409
    assert ask(world, world.other).status_code == 404


def test_the_signing_key_is_made_once_and_readable_by_its_owner_only(small_world: World) -> None:
    client = small_world.client
    first = client.get("/v1/reports/signing-key", small_world.enterprise).json()
    again = client.get("/v1/reports/signing-key", small_world.operator).json()
    assert first == again
    path = client.context.settings.server.state_dir / "signing.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_bytes(b"short")
    assert client.get("/v1/reports/signing-key", small_world.admin).status_code == 503


def test_a_settlement_names_the_run_its_customer_and_its_funders(run_world: World) -> None:
    params = {"first": "2026-10-01", "last": "2026-10-31"}
    report = run_world.client.get("/v1/reports/settlement", run_world.operator, params=params)
    (line,) = report.json()["lines"]
    assert (line["customer"], line["job"], line["paid_fen"]) == ("海云科技", "train-1", 24)
    assert (line["accelerator"], line["unit_hours"]) == ("cpu", "2.000000")
    assert report.json()["funders"] == [
        {"programme": "qingdao-2026", "funder": "platform", "amount_fen": 12},
        {"programme": "自付", "funder": "", "amount_fen": 12},
    ]
    account = {one["programme"]: one for one in report.json()["account"]}
    assert (account["qingdao-2026"]["earned_fen"], account["qingdao-2026"]["open_fen"]) == (12, 12)
    assert (account["自付"]["earned_fen"], account["自付"]["open_fen"]) == (12, 12)
    assert report.json()["payments"] == []
    other = run_world.client.get("/v1/reports/settlement", run_world.other_operator, params=params)
    assert other.json()["lines"] == []


CODES: Final = {"haiyun": "91350100M000100Y43", "dc-east": "91370200MA3TEKT04D"}


def register_papers(world: World) -> None:
    """Let the office register both parties, their contract, an invoice and a receipt."""
    haiyun, east = CODES["haiyun"], CODES["dc-east"]
    with writing(world.engine) as connection:
        for name, code in CODES.items():
            connection.execute(update(tenant).where(tenant.c.id == name).values(uscc=code))
    for kind, entry in (
        ("organisation", {"code": haiyun, "name": "海云科技", "group": "东海集团"}),
        ("organisation", {"code": east, "name": "东部数据中心", "group": "东海集团"}),
        ("contract", {"number": "HT-7", "customer": haiyun, "provider": east,
                      "signed_on": "2026-09-01", "amount_yuan": "1000.00"}),
        ("contract", {"number": "HT-8", "customer": east, "provider": haiyun,
                      "signed_on": "2026-09-01", "amount_yuan": "1000.00"}),
        ("invoice", {"number": "26372000000000000077", "line": 1, "seller": east, "buyer": haiyun,
                     "contract_no": "HT-7", "amount_yuan": "0.23", "tax_yuan": "0.01"}),
        ("receipt", {"number": "YH-77", "payer": haiyun, "payee": east, "contract_no": "HT-7",
                     "amount_yuan": "0.12", "paid_on": "2026-10-10"}),
    ):  # fmt: skip
        body = {"kind": kind, "entry": entry, "valid_from": "2026-09-01"}
        answer = world.client.post("/v1/registry", world.admin, body)
        assert answer.status_code == 201, answer.text


def certificate_of(answer: httpx.Response) -> Json:
    """Return the certificate in a pack."""
    assert answer.status_code == 200, answer.text
    return json.loads(members(answer.content)["certificate.json"])


def test_a_pack_has_the_papers_that_are_registered_and_says_who_named_them(
    run_world: World, tmp_path: Path
) -> None:
    register_papers(run_world)
    answer = ask(run_world, contract_no="", invoices=[], payments=[])
    papers = certificate_of(answer)["references"]
    assert [(one["number"], one["source"]) for one in papers["contracts"]] == [("HT-7", "hand")]
    assert [(one["number"], one["tax_fen"], one["source"]) for one in papers["invoices"]] == [
        ("26372000000000000077", 1, "hand")
    ]
    assert [(one["receipt"], one["source"]) for one in papers["payments"]] == [("YH-77", "hand")]
    stated = certificate_of(ask(run_world))["references"]
    assert [one["source"] for one in stated["invoices"]] == ["stated"]
    pack = tmp_path / "pack.zip"
    pack.write_bytes(answer.content)
    assert verify(str(pack)) == 0


def test_a_pack_tells_that_its_parties_are_related_and_how(run_world: World) -> None:
    register_papers(run_world)
    flags = certificate_of(ask(run_world))["flags"]
    (related,) = [one for one in flags if one["code"] == "related-party"]
    assert "海云科技 – same group 东海集团 – 东部数据中心" in related["message"]
    assert "同属集团 东海集团" in related["message_zh"]


def test_one_invoice_in_packs_of_two_contracts_is_flagged_and_a_repeat_is_not(
    run_world: World,
) -> None:
    for _ in range(2):
        codes = [one["code"] for one in certificate_of(ask(run_world))["flags"]]
        assert "invoice-twice" not in codes
    flags = certificate_of(ask(run_world, contract_no="HT-2026-002"))["flags"]
    assert "invoice-twice" in [one["code"] for one in flags]


def test_a_pack_has_the_award_behind_its_lot_with_its_files_by_line(run_world: World) -> None:
    with DirectWriter(run_world.engine, run_world.clock).turn() as turn:
        grant_an_award(Office(turn, run_world.clock, run_world.ids, tenants={}))
    (award,) = certificate_of(ask(run_world))["awards"]
    assert (award["version"], award["award_fen"], award["lots"]) == (1, 20 * WAN, ["lot-1"])
    assert award["decided_at"] < award["publicity_until"]
    assert award["funding"]
    lines = {one["id"]: one for one in award["lines"]}
    kinds = {name: [file["kind"] for file in one["files"]] for name, one in lines.items()}
    assert kinds == {"1": ["申报表", "发票", "初审表"], "2": ["申报表", "初审表"]}
    assert all(len(file["sha256"]) == 64 for file in lines["1"]["files"])


def grant_an_award(office: Office) -> None:
    """Bring an application of two lines to its award, and name the lot of the run as its own."""
    office.adopt()
    lines = (
        a_spend("1", 50 * WAN),
        a_spend("2", 50 * WAN, contract_no="HT-2", invoice_no="26372000000000000002"),
    )
    draft = a_draft("r1", *lines, district="dc-west")
    record, _ = service.create(office.firm(), "haiyun", draft, office.ids)
    office.attach(office.firm(), record.id, "申报表")
    file = Evidence(
        seq=0, kind="发票", file_name="f", media_type="text/plain", sha256="", size_bytes=0,
        added_by="x", added_at=office.clock.now(), line_id="1",
    )  # fmt: skip
    service.attach(office.firm(), record.id, file, b"invoice")
    service.submit(office.firm(), record.id)
    district = office.desk("zhang", Role.REVIEWER_DISTRICT, "dc-west")
    office.attach(district, record.id, "初审表")
    office.approve(district, record.id, "读过")
    office.approve(office.desk("li", Role.REVIEWER_CITY, "platform"), record.id, "属实")
    office.connection.execute(
        update(grant_application).where(grant_application.c.id == record.id).values(lots=["lot-1"])
    )
