"""How programmes and applications look in answers, and how requests become drafts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from sqlalchemy import Connection

from api.schemas import grants as out
from voucher.flagging import Flag
from voucher.grants import store_audit
from voucher.grants.identity import read_identity
from voucher.grants.importing import Report
from voucher.grants.people import roles_of
from voucher.grants.records import Draft, Record, facts_out, known_facts, read_facts
from voucher.grants.store_programmes import find_programme
from voucher.programmes.application import Line
from voucher.programmes.facts import APPLICANT, LINE
from voucher.programmes.findings import Cut
from voucher.programmes.programme import Programme
from voucher.programmes.values import gaps
from voucher.wording import Told


def draft_of(connection: Connection, body: out.ApplicationIn) -> Draft:
    """Return what a request files; raise BadInput for an identity or a fact that is wrong."""
    known = known_facts(find_programme(connection, body.programme))
    return Draft(
        ref=body.ref,
        programme_id=body.programme,
        identity=read_identity(body.applicant.model_dump()),
        facts=read_facts(body.facts, known, APPLICANT),
        lines=tuple(
            Line(id=line.id, facts=read_facts(line.facts, known, LINE)) for line in body.lines
        ),
        district=body.district,
    )


def programme_out(programme: Programme) -> out.ProgrammeOut:
    """Return a programme in force."""
    policy = programme.policy
    return out.ProgrammeOut(
        id=policy.id,
        version=policy.version,
        name=policy.name.zh,
        name_en=policy.name.en,
        digest=programme.digest,
        mode=policy.benefit.mode,
        stages=[
            out.StageOut(
                id=stage.id,
                name=stage.name,
                office=stage.role,
                roles=sorted(roles_of(stage)),
                evidence=list(stage.evidence),
                publicity_days=stage.publicity_days,
            )
            for stage in policy.workflow or ()
        ],
        triggers=[trigger.id for trigger in policy.clawback or ()],
        empty=list(gaps(policy)),
    )


def flag_out(flag: Flag) -> out.FlagOut:
    """Return what reviewers must look at."""
    return out.FlagOut.model_validate(flag.document())


def reason_out(reason: Told) -> out.ReasonOut:
    """Return a reason with both sentences."""
    return out.ReasonOut.model_validate(reason.document())


def cut_out(cut: Cut) -> out.CutOut:
    """Return what made an award smaller."""
    return out.CutOut.model_validate(cut.document())


def _fields(record: Record) -> dict[str, object]:
    case = record.case
    awards = {line.line_id: line for line in record.award.lines} if record.award else {}
    return {
        "id": record.id,
        "ref": record.ref,
        "tenant_id": case.tenant_id,
        "programme": record.programme_id,
        "version": record.programme_version,
        "digest": record.programme_digest,
        "district": case.district,
        "applicant": {name: str(value) for name, value in asdict(record.identity).items()},
        "facts": facts_out(record.facts),
        "state": case.state,
        "stage": case.stage,
        "flags": [flag_out(flag) for flag in record.flags],
        "created_at": record.created_at,
        "submitted_at": record.submitted_at,
        "publicity_ends_at": case.publicity_ends_at,
        "ends_at": case.ends_at,
        "due": case.due.kind if case.due else None,
        "due_at": case.due.at if case.due else None,
        "entitled_fen": record.entitled_fen,
        "award_fen": case.award_fen,
        "redeemed_fen": case.redeemed_fen,
        "settled_fen": case.settled_fen,
        "cuts": [cut_out(one) for one in record.award.cuts] if record.award else [],
        "reasons": [reason_out(one) for one in record.award.reasons] if record.award else [],
        "funding": [
            out.ShareOut(funder=one.funder_id, name=one.name, amount_fen=one.amount_fen)
            for one in record.funding
        ],
        "lots": list(record.lots),
        "lines": [
            out.LineOut(
                id=line.id,
                facts=facts_out(line.facts),
                award_fen=awards[line.id].amount_fen if line.id in awards else 0,
                tier=awards[line.id].tier_id if line.id in awards else "",
            )
            for line in record.lines
        ],
    }


def application_out(record: Record) -> out.ApplicationOut:
    """Return an application as it stands."""
    return out.ApplicationOut.model_validate(_fields(record))


def page_out(records: Sequence[Record]) -> out.ApplicationPage:
    """Return applications as one page that none follows."""
    return out.ApplicationPage(items=[application_out(one) for one in records], next=None)


def detail_out(connection: Connection, record: Record) -> out.ApplicationDetail:
    """Return an application with its files, payments and demands."""
    return out.ApplicationDetail.model_validate(
        {
            **_fields(record),
            "evidence": [evidence_out(one) for one in store_audit.evidence(connection, record.id)],
            "payments": [
                payment_out(one) for one in store_audit.redemptions(connection, record.id)
            ],
            "clawbacks": [
                out.ClawbackOut(
                    seq=one.seq,
                    trigger=one.trigger,
                    state=one.state,
                    amount_fen=one.amount_fen,
                    ban_years=one.ban_years,
                    reason=one.reason,
                    banned_until=one.banned_until,
                )
                for one in store_audit.clawbacks(connection, record.id)
            ],
        }
    )


def evidence_out(file: store_audit.Evidence) -> out.EvidenceOut:
    """Return a file without its bytes."""
    return out.EvidenceOut(
        seq=file.seq,
        kind=file.kind,
        file_name=file.file_name,
        media_type=file.media_type,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        added_at=file.added_at,
        line_id=file.line_id,
    )


def payment_out(payment: store_audit.Redemption) -> out.PaymentOut:
    """Return a payment that is due or done."""
    return out.PaymentOut(
        seq=payment.seq,
        ref=payment.ref,
        paid_on=payment.paid_on,
        amount_fen=payment.amount_fen,
        by_line=dict(payment.by_line),
        receipt=payment.receipt,
        settled_at=payment.settled_at,
    )


def audit_out(row: store_audit.AuditRow) -> out.AuditOut:
    """Return one step of the audit."""
    return out.AuditOut(
        seq=row.seq,
        at=row.at,
        actor=row.actor.person,
        actor_tenant_id=row.actor.tenant_id,
        role=row.actor.role,
        action=row.action,
        stage=row.stage,
        state_before=row.state_before,
        state_after=row.state_after,
        reason=row.reason,
        facts=dict(row.facts),
    )


def import_out(report: Report, *, is_dry_run: bool) -> out.ImportOut:
    """Return what a file brought."""
    return out.ImportOut(
        filed=[
            out.ImportedOut(
                id=one.record.id, ref=one.record.ref, outcome=one.outcome, lines=list(one.lines)
            )
            for one in report.filed
        ],
        faults=[
            out.RowFaultOut(line=fault.line, column=fault.column, reason=fault.reason)
            for fault in report.batch.faults
        ],
        held_back={ref: list(lines) for ref, lines in report.batch.held_back.items()},
        is_dry_run=is_dry_run,
    )


def line_facts(body: Mapping[str, Mapping[str, object]]) -> dict[str, dict[str, object]]:
    """Return facts by line as plain maps."""
    return {line: dict(facts) for line, facts in body.items()}
