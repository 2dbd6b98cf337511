"""Packs made by hand: whatever is changed in one is found, and nothing makes the verifier fall."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from report_builders import HAIYUN, PLATFORM, START

from voucher.chain import Algorithm, Entry, genesis, link
from voucher.reports.evidence import (
    AttemptUse,
    Certificate,
    Energy,
    JobUse,
    ProvedEntry,
    Pue,
    References,
    SiteUse,
    Usage,
    pack,
    plain,
)
from voucher.reports.proof import ChainProof
from voucher.reports.report import Party
from voucher.reports.signing import Signer, load_signer
from voucher.reports.verify_evidence import is_signed, signature_file, verify

MOVES = "held:l1\tspent:l1\t12\ncash_held:haiyun\tpayable:east\t12\n"
METERED = Energy(energy_mwh=16_000, method="m", quality="measured", coverage_ppm=1_000_000)


def an_entry(seq: int, tenant_id: str = "haiyun") -> Entry:
    """A payment of 24 fen."""
    return Entry(
        seq=seq,
        key=f"settle:{seq}",
        kind="capture",
        tenant_id=tenant_id,
        at=START + timedelta(seconds=seq),
        body="{}",
        balances="{}",
        moves=MOVES,
    )


def an_attempt() -> AttemptUse:
    """Four cores for half an hour at 0.12 yuan: 24 fen."""
    end = START + timedelta(minutes=30)
    pue = Pue(pue_e4=12_500, category="PUE3", quality="measured", started_at=START, ended_at=end,
              withheld="")  # fmt: skip
    operator = Party(id="dc-east", name="东部数据中心")
    return AttemptUse(
        id="job-1-a1", number=1, state="succeeded", pool_id="east-cpu", accelerator="cpu",
        usage=(Usage(started_at=START, ended_at=end, quantity=4, source="supervisor"),),
        is_domestic=True, units=4, price_uyuan_per_unit_hour=120_000, started_at=START,
        ended_at=end, unit_ms=7_200_000, energy=METERED, load=None,
        site=SiteUse(id="east", name="崂山", region="CN-SD", operator=operator, pue=pue,
                     it_energy=METERED, facility_energy=METERED),
    )  # fmt: skip


def a_certificate(entries: int = 5, algorithm: Algorithm = Algorithm.SHA256) -> Certificate:
    """A certificate whose payment is the third entry of a chain."""
    links = [genesis(algorithm)]
    for seq in range(1, entries + 1):
        links.append(link(links[-1], an_entry(seq)))
    proved = ProvedEntry(entry=an_entry(3), former=links[2], link=links[3])
    job = JobUse(id="job-1", submission_id="train-1", state="succeeded", submitted_at=START,
                 attempts=(an_attempt(),))  # fmt: skip
    return Certificate(
        id="cert-1", issued_at=START, issuer=PLATFORM, enterprise=HAIYUN, job=job,
        references=References(), policies=(), awards=(), entries=(proved,), flags=(),
        proof=ChainProof.of_links(links[1:]),
    )  # fmt: skip


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    """A key."""
    return load_signer(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="module")
def content(signer: Signer) -> bytes:
    """A pack."""
    return pack(a_certificate(), signer, b"%PDF")


def signed_anew(content: bytes, change: Callable[[Any], None], signer: Signer) -> bytes:
    """Return a pack whose certificate was changed and signed again: what a forger would send."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    told = json.loads(files["certificate.json"])
    change(told)
    files["certificate.json"] = json.dumps(told).encode()
    manifest = json.loads(files["manifest.json"])
    files["public-key.pem"] = signer.public_pem.encode()
    for name in ("certificate.json", "public-key.pem"):
        manifest["files"][name] = hashlib.sha256(files[name]).hexdigest()
    files["manifest.json"] = json.dumps(manifest).encode()
    signature = signer.sign(files["manifest.json"])
    files["manifest.sig.json"] = signature_file(signer.public_key, signature)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return written.getvalue()


def checked(tmp_path: Path, content: bytes, key: str = "") -> int:
    """Return how many things are wrong with a pack."""
    path = tmp_path / "pack.zip"
    path.write_bytes(content)
    return verify(str(path), key)


@pytest.mark.parametrize("algorithm", list(Algorithm))
@pytest.mark.parametrize("entries", [3, 4, 9])
def test_a_good_pack_verifies_with_either_digest_of_the_chain(
    tmp_path: Path, signer: Signer, algorithm: Algorithm, entries: int
) -> None:
    made = pack(a_certificate(entries, algorithm), signer, b"%PDF")
    assert checked(tmp_path, made, signer.public_key) == 0


def test_equal_certificates_give_equal_packs(signer: Signer, content: bytes) -> None:
    assert pack(a_certificate(), signer, b"%PDF") == content


def entry_of(told: Any) -> Any:
    """Return the proved entry."""
    return told["chain"]["entries"][0]


FORGERIES: dict[str, Callable[[Any], None]] = {
    "more was paid": lambda told: told["totals"].update(paid_fen=25),
    "an entry's amount": lambda told: entry_of(told).update(moves=MOVES.replace("12", "13")),
    "an entry's moment": lambda told: entry_of(told).update(at="2026-10-15T00:00:03+00:00"),
    "an entry's number": lambda told: entry_of(told).update(seq=2),
    "an entry's link": lambda told: entry_of(told).update(link="01" + "00" * 32),
    "another's entry": lambda told: told["enterprise"].update(id="lanxin"),
    "a path": lambda told: entry_of(told).update(path=entry_of(told)["path"][::-1]),
    "the root": lambda told: told["chain"].update(root="00" * 32),
    "an earlier head": lambda told: told["chain"]["head"].update(seq=2),
    "longer use": lambda told: told["job"]["attempts"][0]["usage"][0].update(quantity=8),
    "a lower price": lambda told: told["job"]["attempts"][0].update(price_uyuan_per_unit_hour=1),
    "more energy": lambda told: told["totals"].update(energy_mwh=1),
    "no chain": lambda told: told.pop("chain"),
    "a list": lambda told: told.update(chain=[]),
    "a text": lambda told: entry_of(told).update(seq="3"),
    "a longer chain": lambda told: told["chain"]["head"].update(seq=6),
    "another place": lambda told: entry_of(told)["path"].reverse(),
    "a huge number": lambda told: entry_of(told).update(seq=2**70),
}


@pytest.mark.parametrize("change", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forgery_is_found_even_with_a_good_signature(
    tmp_path: Path, signer: Signer, content: bytes, change: Callable[[Any], None]
) -> None:
    assert checked(tmp_path, signed_anew(content, change, signer), signer.public_key) > 0


def test_a_pack_signed_by_somebody_else_is_found_by_the_key(
    tmp_path: Path, signer: Signer, content: bytes
) -> None:
    other = load_signer(tmp_path / "other")
    made = signed_anew(content, lambda told: None, other)
    assert checked(tmp_path, made) == 0
    assert checked(tmp_path, made, signer.public_key) == 1


@given(data=st.data())
def test_no_pack_makes_the_verifier_fall(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("pack")
    at = data.draw(st.integers(0, len(content) - 1))
    changed = bytearray(content)
    changed[at] ^= data.draw(st.integers(1, 255))
    assert checked(folder, bytes(changed)) >= 0
    assert checked(folder, content[:at]) > 0


@given(data=st.data())
def test_every_changed_byte_of_every_file_is_found(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, data: st.DataObject
) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: bytearray(archive.read(name)) for name in archive.namelist()}
    name = data.draw(st.sampled_from(sorted(files)))
    at = data.draw(st.integers(0, len(files[name]) - 1))
    files[name][at] ^= data.draw(st.integers(1, 255))
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for each, held in files.items():
            archive.writestr(each, bytes(held))
    assert checked(tmp_path_factory.mktemp("pack"), written.getvalue()) > 0


@given(st.binary(max_size=200), st.data())
def test_signatures_are_judged_as_the_library_does(message: bytes, data: st.DataObject) -> None:
    seed = data.draw(st.binary(min_size=32, max_size=32))
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = key.public_key().public_bytes_raw(), key.sign(message)
    assert is_signed(public, message, signature)
    assert not is_signed(public, message + b"x", signature)
    wrong = bytearray(signature)
    wrong[data.draw(st.integers(0, 63))] ^= data.draw(st.integers(1, 255))
    assert not is_signed(public, message, bytes(wrong))
    assert not is_signed(public, message, signature[:63])
    assert not is_signed(b"\xff" * 32, message, signature)


def test_a_number_that_is_not_whole_has_no_place_in_a_certificate() -> None:
    with pytest.raises(AssertionError):
        plain(1.5)
