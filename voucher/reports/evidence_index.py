"""The evidence of a period: many certificates under one index, in one signed pack, pure.

Every certificate is one of a single job, as it would be in a pack of its own; all of them are
proved under one root. The index adds them up and says which entries of the ledger they cover, so
that whoever has the journal can see that none is missing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from voucher.flagging import Flag
from voucher.reports.evidence import Certificate, document, plain, signed_zip, totals, written
from voucher.reports.report import (
    CellKind,
    Column,
    Fact,
    Party,
    Period,
    Report,
    Row,
    Section,
    local,
)
from voucher.reports.settlement import unit_hours
from voucher.reports.signing import Signer

SCHEMA: Final = "suanwang-usage-index/v1"
INDEX: Final = "index.json"
JOBS_MAX: Final = 500
"""Certificates of one pack."""
SUMMED: Final = ("unit_ms", "energy_mwh", "voucher_fen", "cash_fen", "paid_fen")
_README: Final = """Usage certificates of an enterprise's computing jobs in a period.

index.json          the jobs, their totals, and the entries of the ledger that they cover
index.pdf           the same for people
jobs/*.json         a certificate for each job; amounts are fen, energy is mWh
manifest.json       SHA-256 of every file
manifest.sig.json   Ed25519 signature of manifest.json, and the public key
verify_evidence.py  checks all of it offline: python verify_evidence.py PACK.zip --key PUBLIC_KEY
                    with --journal JOURNAL.jsonl also that no payment of the period is missing

Get the public key, and the verifier if you like, from somebody else than the sender of this pack.
"""
_COLUMNS: Final = (
    Column(name="number", label="序号", kind=CellKind.COUNT, width=6),
    Column(name="job", label="作业", width=30),
    Column(name="certificate", label="凭证编号", width=30),
    Column(name="unit_hours", label="卡时", width=14),
    Column(name="voucher_fen", label="算力券", kind=CellKind.AMOUNT, width=14, is_summed=True),
    Column(name="cash_fen", label="自付", kind=CellKind.AMOUNT, width=14, is_summed=True),
    Column(name="flags", label="核查提示", width=30),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """The certificates of a period, all of one enterprise and under one proof.

    With ``application`` they are those that lots of its award paid, which are ``lots``; ``flags``
    are about the enterprise's jobs together.
    """

    id: str
    issued_at: datetime
    issuer: Party
    enterprise: Party
    period: Period
    certificates: tuple[Certificate, ...]
    flags: tuple[Flag, ...] = ()
    application: str = ""
    lots: tuple[str, ...] = ()


def index_document(index: Index) -> dict[str, object]:
    """Return the index as a document; its jobs are in the order of the certificates."""
    jobs = [_job(number, one) for number, one in enumerate(index.certificates, 1)]
    proof = index.certificates[0].proof
    return {
        "schema": SCHEMA,
        "id": index.id,
        "issued_at": plain(index.issued_at),
        "issuer": plain(index.issuer),
        "enterprise": plain(index.enterprise),
        "period": {
            "first": plain(index.period.first),
            "last": plain(index.period.last),
            "start": plain(index.period.start),
            "end": plain(index.period.end),
        },
        "application": index.application,
        "lots": list(index.lots),
        "jobs": jobs,
        "totals": {name: sum(_whole(job, name) for job in jobs) for name in SUMMED},
        "flags": [flag.document() for flag in index.flags],
        "chain": {"seq": proof.size, "link": proof.head, "root": proof.root},
    }


def index_pack(index: Index, signer: Signer, paper: bytes) -> bytes:
    """Return the pack as a zip; ``paper`` is the index as PDF."""
    told = {INDEX: written(index_document(index)), "index.pdf": paper}
    for number, one in enumerate(index.certificates, 1):
        told[file_of(number)] = written(document(one))
    return signed_zip(told, _README, signer)


def file_of(number: int) -> str:
    """Return the name of a certificate's file in the pack."""
    return f"jobs/{number:04d}.json"


def index_report(index: Index) -> Report:
    """Return the index for people."""
    facts = (
        Fact(name="id", label="编号", value=index.id),
        Fact(name="issued_at", label="出具时间", value=local(index.issued_at)),
        Fact(name="issuer", label="出具方", value=index.issuer.name),
        Fact(name="enterprise", label="企业", value=index.enterprise.name),
        Fact(name="uscc", label="统一社会信用代码", value=index.enterprise.uscc),
        Fact(name="period", label="期间", value=f"{index.period.first} 至 {index.period.last}"),
        Fact(name="application", label="申报编号", value=index.application),
        Fact(name="chain_link", label="账本链头", value=index.certificates[0].proof.head),
    )
    return Report(
        name="evidence-index",
        title="算力用量凭证汇总",
        facts=facts,
        main=Section(name="jobs", label="作业", columns=_COLUMNS, rows=_rows(index)),
    )


def _rows(index: Index) -> list[Row]:
    rows: list[Row] = []
    for number, one in enumerate(index.certificates, 1):
        told = totals(one)
        codes = dict.fromkeys(flag.code.value for flag in one.flags)
        rows.append(
            (
                number,
                one.job.submission_id,
                one.id,
                unit_hours(_whole(told, "unit_ms")),
                _whole(told, "voucher_fen"),
                _whole(told, "cash_fen"),
                "、".join(codes),
            )
        )
    return rows


def _job(number: int, one: Certificate) -> dict[str, object]:
    told = totals(one)
    return {
        "file": file_of(number),
        "certificate": one.id,
        "job": one.job.id,
        "submission_id": one.job.submission_id,
        "entries": [proved.entry.seq for proved in one.entries],
        **{name: told[name] for name in SUMMED},
    }


def _whole(told: Mapping[str, object], name: str) -> int:
    value = told[name]
    assert isinstance(value, int), f"{name} is {value!r}"
    return value
