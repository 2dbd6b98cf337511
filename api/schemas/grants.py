"""Programmes and applications for vouchers."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from api.schemas.common import INT32_MAX, In, Name, Out, Title
from api.schemas.money import IdempotencyKey
from voucher.flagging import FlagCode
from voucher.grants.case import DueKind, State
from voucher.grants.importing import Outcome
from voucher.grants.judging import Judged
from voucher.grants.store_verify import FaultKind
from voucher.programmes.sentences import Code

Reason = Annotated[str, Field(max_length=2_000)]
FactIn = bool | int | str
"""A value of a fact: a flag, a whole number (money in fen), a text, a day as ISO 8601."""
FactsIn = Annotated[dict[str, FactIn], Field(max_length=200)]


class ProgrammeIn(In):
    """A policy to put in force: a shipped one by id, or the text of a policy file."""

    model_config = ConfigDict(json_schema_extra={"example": {"shipped": "chengdu-2025"}})

    shipped: Name | None = None
    policy: str | None = Field(default=None, max_length=200_000)


class StageOut(Out):
    """A step of the review: which office does it, on which evidence."""

    id: str
    name: str
    office: str
    roles: list[str]
    evidence: list[str]
    publicity_days: int | None


class ProgrammeOut(Out):
    """A programme in force; ``empty`` are values that nobody could read."""

    id: str
    version: int
    name: str
    name_en: str
    digest: str
    mode: str | None
    stages: list[StageOut]
    triggers: list[str]
    empty: list[str]


class ProgrammeList(Out):
    """Every version of every programme in force."""

    items: list[ProgrammeOut]


class PolicyFaultOut(Out):
    """A policy that is not what awards were made under; ``awards`` are their applications."""

    kind: FaultKind
    programme: str
    version: int
    where: str
    used_digest: str
    found_digest: str
    awards: list[str]


class PolicyFaultList(Out):
    """Every policy that is missing or changed."""

    items: list[PolicyFaultOut]
    is_sound: bool


class ApplicantPage(Out):
    """Decided applications in the form that policies are tried on; ``next`` goes into ``after``."""

    applications: list[dict[str, object]]
    next: str | None


class IdentityIn(In):
    """Who applies: an organisation with its code, or a maker with a sponsor."""

    kind: Literal["organisation", "maker"] = "organisation"
    name: Title
    code: str = Field(default="", max_length=40, examples=["91350100M000100Y43"])
    sponsor_name: str = Field(default="", max_length=200)
    sponsor_code: str = Field(default="", max_length=40)
    sponsor_ref: str = Field(default="", max_length=200)


class LineIn(In):
    """A spend line; the names of its facts begin with ``line.``."""

    id: Name
    facts: FactsIn = Field(default={})


class ApplicationIn(In):
    """An application; the names of the applicant's facts begin with ``applicant.``."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "ref": "2026-1",
                "programme": "chengdu-2025",
                "applicant": {"name": "海云科技", "code": "91350100M000100Y43"},
                "facts": {"applicant.region": "Chengdu"},
                "lines": [
                    {
                        "id": "1",
                        "facts": {"line.contract_no": "HT-1", "line.contract_fen": 100_000_000},
                    }
                ],
            }
        }
    )

    ref: Title
    programme: Name
    applicant: IdentityIn
    district: Name | Literal[""] = ""
    facts: FactsIn = Field(default={})
    lines: list[LineIn] = Field(min_length=1, max_length=500)
    tenant_id: Name | None = Field(default=None, description="for whom, where an admin files")


class FlagOut(Out):
    """What reviewers must look at."""

    code: FlagCode
    message: str
    message_zh: str
    line_id: str
    facts: dict[str, int | str]


class ReasonOut(Out):
    """One reason: a code with its figures, and the sentence in English and Chinese.

    ``path`` is the place in the policy, ``line_id`` the spend line it is about; ``causes`` are the
    reasons behind it, where it sums up several.
    """

    code: Code | FlagCode
    message: str
    message_zh: str
    line_id: str
    facts: dict[str, int | str]
    path: str = ""
    causes: list["ReasonOut"] = Field(default=[])


class CutOut(Out):
    """A cap or a pool that made the award smaller."""

    code: Code
    path: str
    from_fen: int
    to_fen: int
    message: str
    message_zh: str


class LineOut(Out):
    """A spend line, and what it was granted."""

    id: str
    facts: dict[str, bool | int | str]
    award_fen: int
    tier: str


class EvidenceOut(Out):
    """A file of an application."""

    seq: int
    kind: str
    file_name: str
    media_type: str
    sha256: str
    size_bytes: int
    added_at: datetime
    line_id: str


class PaymentOut(Out):
    """Money that is due, or was paid out under ``receipt``."""

    seq: int
    ref: str
    paid_on: str
    amount_fen: int
    by_line: dict[str, int]
    receipt: str
    settled_at: datetime | None


class ClawbackOut(Out):
    """A demand for money back."""

    seq: int
    trigger: str
    state: str
    amount_fen: int
    ban_years: int
    reason: str
    banned_until: datetime | None


class ShareOut(Out):
    """What one funder pays."""

    funder: str
    name: str
    amount_fen: int


class ApplicationOut(Out):
    """An application as it stands. Money in fen; ``reasons`` speak against it or its lines."""

    id: str
    ref: str
    tenant_id: str
    programme: str
    version: int
    digest: str
    district: str
    applicant: dict[str, str]
    facts: dict[str, bool | int | str]
    state: State
    stage: str
    flags: list[FlagOut]
    created_at: datetime
    submitted_at: datetime | None
    publicity_ends_at: datetime | None
    ends_at: datetime | None
    due: DueKind | None
    due_at: datetime | None
    entitled_fen: int
    award_fen: int
    redeemed_fen: int
    settled_fen: int
    cuts: list[CutOut]
    reasons: list[ReasonOut]
    funding: list[ShareOut]
    lots: list[str]
    lines: list[LineOut]


class ApplicationDetail(ApplicationOut):
    """An application with its files, payments and demands."""

    evidence: list[EvidenceOut]
    payments: list[PaymentOut]
    clawbacks: list[ClawbackOut]


class ApplicationPage(Out):
    """A page of applications, oldest first; ``next`` goes into ``after``."""

    items: list[ApplicationOut]
    next: str | None


class CheckOut(Out):
    """What handing in would bring now; ``blocking`` and ``missing`` must be empty for that."""

    expected_fen: int
    blocking: list[ReasonOut]
    missing: list[str]
    unknown: list[ReasonOut]
    cuts: list[CutOut]
    flags: list[FlagOut]


class ReviewIn(In):
    """A reviewer's verdict; facts that it has found out replace those that were stated."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"verdict": "return", "reason": "合同缺少盖章页"}}
    )

    verdict: Literal["approve", "return", "reject", "reopen"]
    reason: Reason = ""
    stage: str = Field(default="", max_length=64, description="refuse unless this one is open")
    facts: FactsIn = Field(default={})
    line_facts: dict[str, FactsIn] = Field(default={}, max_length=500)


class ReasonIn(In):
    """Why."""

    reason: Reason = ""


class IssueIn(In):
    """What the issuer adds to the policy."""

    last_day: date | None = Field(default=None, description="needed where the policy has no end")
    rank: int = Field(default=0, ge=0, le=INT32_MAX)
    sites: list[Name] = Field(default=[], max_length=1_000)
    accelerators: list[Name] = Field(default=[], max_length=1_000)


class RedeemIn(In):
    """What was paid since, by line: ``line.paid_fen`` is the sum of all payments so far."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"ref": "p1", "lines": {"1": {"line.paid_fen": 50_000_000}}}}
    )

    ref: IdempotencyKey
    lines: dict[str, FactsIn] = Field(max_length=500)


class SettleIn(In):
    """The bank's receipt, and the payment that it is for."""

    receipt: Title
    payment: int | None = Field(default=None, ge=1, le=INT32_MAX)


class ClawbackIn(In):
    """A demand for money back; ``unserved`` of ``term`` were not served (any one unit)."""

    trigger: Title
    reason: Reason
    unserved: int = Field(default=1, ge=0, le=INT32_MAX)
    term: int = Field(default=1, ge=1, le=INT32_MAX)


class ClawbackVerdict(In):
    """How a demand is decided, by somebody else than who made it."""

    verdict: Literal["approve", "refuse"]
    reason: Reason = ""


class AuditOut(Out):
    """One step: who, when, why, from where to where."""

    seq: int
    at: datetime
    actor: str
    actor_tenant_id: str
    role: str
    action: str
    stage: str
    state_before: str
    state_after: str
    reason: str
    facts: dict[str, object]


class AuditList(Out):
    """The audit of an application, oldest first."""

    items: list[AuditOut]


class MessageOut(Out):
    """A message to the applicant."""

    application_id: str
    at: datetime
    code: str
    text: str
    text_zh: str
    read_at: datetime | None


class MessageList(Out):
    """Messages, newest first."""

    items: list[MessageOut]


class RowFaultOut(Out):
    """A bad row of a file."""

    line: int
    column: str
    reason: str


class ImportedOut(Out):
    """An application of a file."""

    id: str
    ref: str
    outcome: Outcome
    lines: list[int]


class JudgementOut(Out):
    """An application after a verdict of a file."""

    id: str
    state: State
    stage: str
    outcome: Judged
    lines: list[int]


class JudgedOut(Out):
    """What the verdicts of a file brought."""

    said: list[JudgementOut]
    faults: list[RowFaultOut]
    is_dry_run: bool


class ImportOut(Out):
    """What a file brought; rows of ``held_back`` are good, but their application has a bad one."""

    filed: list[ImportedOut]
    faults: list[RowFaultOut]
    held_back: dict[str, list[int]]
    is_dry_run: bool
