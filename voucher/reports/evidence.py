"""The usage certificate of a job, and the pack that carries it, pure.

A certificate has whole numbers only: fen, milliseconds, milliwatt-hours, PUE in ten-thousandths,
shares in millionths. So it reads the same in every language, and its bytes can be signed. The pack
is a zip: the certificate, a manifest with the SHA-256 of every file, the manifest's signature, and
the verifier. Nothing in it needs the platform.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, date, datetime
from importlib.resources import files
from typing import Final

from voucher.chain import Entry
from voucher.flagging import Flag
from voucher.reports.flags import Load
from voucher.reports.funders import paid_by_lot
from voucher.reports.lines import movement
from voucher.reports.proof import ChainProof, Step
from voucher.reports.report import Party
from voucher.reports.signing import Signer

SCHEMA: Final = "suanwang-usage-certificate/v1"
STATED: Final = "stated"
"""Source of what was typed with the request."""
CERTIFICATE: Final = "certificate.json"
MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.sig.json"
VERIFIER: Final = "verify_evidence.py"
_README: Final = """Usage certificate of a computing job.

certificate.json    what was run, measured, and paid; amounts are fen, energy is mWh
certificate.pdf     the same for people, shortened
manifest.json       SHA-256 of every file
manifest.sig.json   Ed25519 signature of manifest.json, and the public key
verify_evidence.py  checks all of it offline: python verify_evidence.py PACK.zip --key PUBLIC_KEY

Get the public key, and the verifier if you like, from somebody else than the sender of this pack.
"""
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """``quantity`` units of the attempt's accelerator were in use; ``source`` says who saw it."""

    started_at: datetime
    ended_at: datetime
    quantity: int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """Energy in mWh, how it was found, and its quality; coverage is of the time, in ppm."""

    energy_mwh: int
    method: str
    quality: str
    coverage_ppm: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pue:
    """PUE of the site in ten-thousandths, None where it is withheld, with the reason."""

    pue_e4: int | None
    category: str
    quality: str
    started_at: datetime
    ended_at: datetime
    withheld: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteUse:
    """The site of an attempt while it ran: who runs it, its meters, its PUE."""

    id: str
    name: str
    region: str
    operator: Party
    pue: Pue
    it_energy: Energy
    facility_energy: Energy


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptUse:
    """One run of the job. ``energy`` is its own, from its units, time and the site's PUE."""

    id: str
    number: int
    state: str
    pool_id: str
    accelerator: str
    is_domestic: bool
    units: int
    price_uyuan_per_unit_hour: int
    started_at: datetime | None
    ended_at: datetime | None
    usage: tuple[Usage, ...]
    unit_ms: int
    energy: Energy
    load: Load | None
    site: SiteUse


@dataclass(frozen=True, slots=True, kw_only=True)
class JobUse:
    """The job and its runs."""

    id: str
    submission_id: str
    state: str
    submitted_at: datetime
    attempts: tuple[AttemptUse, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """An electronic invoice of 20 digits; price and tax apart, in fen."""

    number: str
    line: int
    amount_fen: int
    tax_fen: int
    issued_on: date | None = None
    source: str = STATED


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """A bank payment and its receipt."""

    receipt: str
    amount_fen: int
    paid_on: date
    source: str = STATED


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractRef:
    """A contract between the parties as it is registered."""

    number: str
    customer: str
    provider: str
    signed_on: date
    amount_fen: int
    months: int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """The papers that belong to this use; each says who named it.

    ``stated`` is what was typed with the request and what nobody has looked at; the rest is from
    the registry: by ``hand`` or ``table`` of the office, or from an application.
    """

    contract_no: str = ""
    contracts: tuple[ContractRef, ...] = ()
    invoices: tuple[Invoice, ...] = ()
    payments: tuple[Payment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRef:
    """The policy behind a lot that paid; version 0 and no digest where it was granted by hand."""

    lot_id: str
    programme: str
    version: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRef:
    """A file that was handed in as evidence, by its digest."""

    kind: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AwardLine:
    """A line of an award: its papers, what it was granted, and the files that prove it."""

    id: str
    contract_no: str
    invoice_no: str
    award_fen: int
    files: tuple[FileRef, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AwardRef:
    """The award behind lots that paid: its policy, its days of publicity, its lines, its funders.

    ``receipts`` are those of the payments that were made on it.
    """

    application_id: str
    programme: str
    version: int
    digest: str
    award_fen: int
    decided_at: datetime | None
    publicity_until: datetime | None
    lots: tuple[str, ...]
    funding: Mapping[str, int]
    lines: tuple[AwardLine, ...]
    receipts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvedEntry:
    """An entry of the ledger with the link before it and its own."""

    entry: Entry
    former: str
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Everything that is certified. ``proof`` opens the blocks of its entries and the newest."""

    id: str
    issued_at: datetime
    issuer: Party
    enterprise: Party
    job: JobUse
    references: References
    policies: tuple[PolicyRef, ...]
    awards: tuple[AwardRef, ...]
    entries: tuple[ProvedEntry, ...]
    flags: tuple[Flag, ...]
    proof: ChainProof


def document(certificate: Certificate) -> dict[str, object]:
    """Return the certificate as a document of texts, whole numbers, lists and maps."""
    return {
        "schema": SCHEMA,
        "id": certificate.id,
        "issued_at": plain(certificate.issued_at),
        "issuer": plain(certificate.issuer),
        "enterprise": plain(certificate.enterprise),
        "job": plain(certificate.job),
        "references": plain(certificate.references),
        "policies": plain(certificate.policies),
        "awards": plain(certificate.awards),
        "totals": totals(certificate),
        "flags": [flag.document() for flag in certificate.flags],
        "chain": _chain(certificate),
    }


def pack(certificate: Certificate, signer: Signer, paper: bytes) -> bytes:
    """Return the evidence pack of a certificate as a zip; equal input gives equal bytes.

    ``paper`` is the certificate as PDF.
    """
    told = {CERTIFICATE: written(document(certificate)), "certificate.pdf": paper}
    return signed_zip(told, _README, signer)


def signed_zip(told: Mapping[str, bytes], readme: str, signer: Signer) -> bytes:
    """Return files as a zip with the verifier and a signed manifest; equal input, equal bytes."""
    members = {
        **told,
        VERIFIER: files("voucher.reports").joinpath(VERIFIER).read_bytes(),
        "README.txt": readme.encode(),
        "public-key.pem": signer.public_pem.encode(),
    }
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}
    manifest = written({"schema": "suanwang-manifest/v1", "files": digests})
    signature = {
        "algorithm": "Ed25519",
        "public_key": signer.public_key,
        "signature": signer.sign(manifest),
        "signed": MANIFEST,
    }
    members |= {MANIFEST: manifest, SIGNATURE: written(signature)}
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(members.items()):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return target.getvalue()


def plain(value: object) -> object:
    """Return a dataclass and what is in it as a document; moments become UTC texts."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, str):
        return str(value)
    assert value is None or isinstance(value, int), f"{value!r} has no place in a certificate"
    return value


def written(value: object) -> bytes:
    """Return a document in the one form in which it is signed."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, indent=1)
    return f"{text}\n".encode()


def totals(certificate: Certificate) -> dict[str, object]:
    """Return what was used and paid, added up over the runs and entries."""
    postings = [one for proved in certificate.entries for one in proved.entry.postings]
    moved = movement(postings)
    attempts = certificate.job.attempts
    return {
        "unit_ms": sum(attempt.unit_ms for attempt in attempts),
        "energy_mwh": sum(attempt.energy.energy_mwh for attempt in attempts),
        "voucher_fen": moved.voucher_paid_fen,
        "cash_fen": moved.cash_paid_fen,
        "paid_fen": moved.voucher_paid_fen + moved.cash_paid_fen,
        "by_lot_fen": paid_by_lot(postings),
    }


def _chain(certificate: Certificate) -> dict[str, object]:
    """Return the head, the root over all links, and the way from each entry to the root."""
    proof = certificate.proof
    head: dict[str, object] = {"seq": proof.size, "link": proof.head}
    if proof.size:
        head["path"] = _path(proof.path(proof.size))
    return {
        "head": head,
        "root": proof.root,
        "entries": [
            {**_entry(proved), "path": _path(proof.path(proved.entry.seq))}
            for proved in certificate.entries
        ],
    }


def _entry(proved: ProvedEntry) -> dict[str, object]:
    entry = proved.entry
    return {
        "seq": entry.seq,
        "at": plain(entry.at),
        "key": entry.key,
        "kind": entry.kind,
        "tenant_id": entry.tenant_id,
        "body": entry.body,
        "balances": entry.balances,
        "moves": entry.moves,
        "late_for": entry.late_for,
        "former": proved.former,
        "link": proved.link,
    }


def _path(steps: Sequence[Step]) -> list[str]:
    """Return steps as text: L or R for the sibling's side, and its digest."""
    return [f"{'L' if step.is_left else 'R'}{step.digest}" for step in steps]
