"""Batches of reviewers' verdicts, and lists of evidence, as tables."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.context import Context
from api.identity import GrantReader, GrantReviewer
from api.routers.grants_front import (
    EXPORT_MAX,
    RAW,
    Counter,
    Format,
    Lang,
    Upload,
    Wanted,
    seen,
    table,
)
from api.schemas import grants as bodies
from suanwang.sheets import read_table
from voucher.grants import store, store_audit, store_programmes
from voucher.grants.application import stage_of
from voucher.grants.judging import JudgeReport, judge
from voucher.grants.papers import papers
from voucher.grants.people import roles_of
from voucher.grants.steps import Till, programme_of
from voucher.grants.verdicts import WAITING, read_verdicts, worklist
from voucher.wording import Language

router = APIRouter(prefix="/v1", tags=["grants"])
After = Annotated[str, Query(max_length=64)]


@router.get("/reviews/export", summary="What waits for a verdict, as a table to fill in")
def export_worklist(
    identity: GrantReviewer,
    context: Context,
    wanted: Wanted,
    format: Format = "xlsx",
    after: After = "",
    lang: Lang = Language.ENGLISH,
) -> Response:
    """Return what is open at a stage of the caller's role; verdict and reason are empty."""
    with context.reading() as connection:
        found = store.page(connection, wanted.of(identity), after=after, limit=EXPORT_MAX)
        mine = []
        for one in found:
            stage = stage_of(programme_of(connection, one).policy, one.case.stage)
            is_mine = stage is not None and identity.role in roles_of(stage)
            if is_mine and one.state in WAITING:
                mine.append(one)
    answer = table(list(worklist(mine, lang)), format, "worklist")
    if len(found) == EXPORT_MAX:
        answer.headers["X-Next-After"] = found[-1].id
    return answer


@router.post("/reviews/import", openapi_extra=RAW, summary="Review by a table")
def import_reviews(
    upload: Upload, identity: GrantReviewer, counter: Counter, dry_run: bool = False
) -> bodies.JudgedOut:
    """Say every sound verdict of a CSV or xlsx file; name each bad row and its column."""
    sheet = read_table(upload.content)

    def act(till: Till) -> bodies.JudgedOut:
        connection = till.connection
        verdicts = read_verdicts(
            sheet, lambda name: programme_of(connection, seen(connection, identity, name))
        )
        trial = connection.begin_nested()
        report = judge(till, verdicts)
        if dry_run:
            trial.rollback()
        else:
            trial.commit()
        return _judged_out(report, is_dry_run=dry_run)

    return counter.serve(
        identity, lambda served, till: served.once.answer(bodies.JudgedOut, lambda: act(till))
    )


def _judged_out(report: JudgeReport, *, is_dry_run: bool) -> bodies.JudgedOut:
    return bodies.JudgedOut(
        said=[
            bodies.JudgementOut(
                id=one.record.id,
                state=one.record.state,
                stage=one.record.case.stage,
                outcome=one.outcome,
                lines=list(one.lines),
            )
            for one in report.said
        ],
        faults=[
            bodies.RowFaultOut(line=fault.line, column=fault.column, reason=fault.reason)
            for fault in report.faults
        ],
        is_dry_run=is_dry_run,
    )


@router.get("/evidence/export", summary="Evidence as a table")
def export_evidence(
    identity: GrantReader,
    context: Context,
    wanted: Wanted,
    format: Format = "xlsx",
    after: After = "",
) -> Response:
    """Return a row for each file and each paper that is missing, of up to 1,000 applications."""
    with context.reading() as connection:
        found = store.page(connection, wanted.of(identity), after=after, limit=EXPORT_MAX)
        policies = {
            one.id: store_programmes.find_programme(
                connection, one.programme_id, one.programme_version
            ).policy
            for one in found
        }
        files = {one.id: store_audit.evidence(connection, one.id) for one in found}
    answer = table(list(papers(found, policies, files)), format, "evidence")
    if len(found) == EXPORT_MAX:
        answer.headers["X-Next-After"] = found[-1].id
    return answer
