"""From the first draft to the award: filing, evidence, checks, review, rounds.

Functions take a ``Desk`` (who, when, connection) and never commit. Each raises NotFound for an
application that the actor may not see, besides what its line names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from suanwang.errors import BadInput, Conflict, Forbidden, InvalidTransition, Refused
from suanwang.ids import IdSource
from voucher.flagging import Flag, FlagCode
from voucher.grants import store, store_audit, store_programmes
from voucher.grants.application import is_round, stage_of
from voucher.grants.case import EDITABLE, Action, Case, Event, State
from voucher.grants.duplicates import GROUP
from voucher.grants.identity import Identity
from voucher.grants.people import APPLICANTS, CITY
from voucher.grants.records import LINES_MAX, Draft, Record, facts_out, known_facts, read_facts
from voucher.grants.screening import feed, screened
from voucher.grants.steps import (
    Desk,
    Till,
    decide_together,
    note,
    open_case,
    programme_of,
    take,
)
from voucher.programmes.application import Line, text_fact
from voucher.programmes.award import Award, assess
from voucher.programmes.facts import Facts
from voucher.programmes.findings import Finding
from voucher.programmes.life import no_lots
from voucher.programmes.programme import Programme
from voucher.programmes.schema import Stage
from voucher.programmes.sentences import Code
from voucher.wording import Told, documents, texts

_FOLLOWS_FROM_UNKNOWN: Final = frozenset({Code.NOTHING_COUNTS, Code.BELOW_MINIMUM})
_VERDICTS: Final = frozenset({Action.APPROVE, Action.RETURN, Action.REJECT, Action.REOPEN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What the checks say before anything is handed in: the award to be had, reasons, flags.

    ``blocking`` keeps it from being handed in; ``unknown`` are facts that reviewers must still
    state; ``missing`` is evidence that is not attached; ``screened`` is the application with what
    is known elsewhere.
    """

    award: Award
    blocking: tuple[Told, ...]
    unknown: tuple[Finding, ...]
    missing: tuple[str, ...]
    flags: tuple[Flag, ...]
    screened: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a reviewer says. Facts it has found out replace those that the applicant stated."""

    action: Action
    reason: str = ""
    stage: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    line_facts: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


def create(desk: Desk, tenant_id: str, draft: Draft, ids: IdSource) -> tuple[Record, bool]:
    """File a draft; return it and whether it is new. The same reference and body is the same one.

    Raises Conflict for a reference used for another body or a code that is not the tenant's,
    Forbidden for somebody else than the applicant, Refused for a banned one.
    """
    if desk.actor.role in APPLICANTS and desk.actor.tenant_id != tenant_id:
        raise Forbidden(f"you file for {desk.actor.tenant_id}, not for {tenant_id}")
    store.lock_tenant(desk.connection, tenant_id)
    there = store.find_by_ref(desk.connection, tenant_id, draft.ref)
    if there is not None:
        if there.body_digest == draft.digest:
            return there, False
        raise Conflict(
            f"reference {draft.ref} is that of application {there.id}, which says something else",
            next_step="use another reference, or change that application",
            application_id=there.id,
        )
    _require_sound(desk, tenant_id, draft)
    programme = store_programmes.find_programme(desk.connection, draft.programme_id)
    record = _with_draft(
        Record(
            case=Case(
                id=ids.new("app"), tenant_id=tenant_id, district=draft.district, state=State.DRAFT
            ),
            ref=draft.ref,
            programme_id=draft.programme_id,
            programme_version=programme.policy.version,
            programme_digest=programme.digest,
            identity=draft.identity,
            facts={},
            lines=(),
            body_digest="",
            created_by=desk.actor.person,
            created_at=desk.now,
            updated_at=desk.now,
        ),
        draft,
    )
    event = Event(action=Action.CREATE, actor=desk.actor)
    return note(desk, None, record, event, {"body_digest": draft.digest}), True


def edit(desk: Desk, application_id: str, draft: Draft) -> Record:
    """Replace what a draft or a returned application says; raise InvalidTransition later on.

    The same words again change nothing.
    """
    record = open_case(desk, application_id)
    _require_editable(desk, record, Action.EDIT)
    if draft.digest == record.body_digest:
        return record
    if draft.ref != record.ref or draft.programme_id != record.programme_id:
        raise Conflict(
            f"application {record.id} has reference {record.ref} under {record.programme_id}",
            next_step="file another application",
        )
    _require_sound(desk, record.case.tenant_id, draft)
    event = Event(action=Action.EDIT, actor=desk.actor)
    facts = {"body_digest": draft.digest, "before": record.body_digest}
    return note(desk, record.case, _with_draft(record, draft), event, facts)


def attach(
    desk: Desk, application_id: str, file: store_audit.Evidence, content: bytes
) -> store_audit.Evidence:
    """Attach a file: the applicant until it hands in, a reviewer during the review."""
    record = open_case(desk, application_id)
    if desk.actor.role in APPLICANTS:
        is_open = record.state in EDITABLE | {State.GRANTED} or _own_stage(desk, record)
        if not is_open:
            _require_editable(desk, record, Action.ATTACH)
    elif record.case.tenant_id == desk.actor.tenant_id:
        raise Forbidden(f"application {record.id} is of your own organisation", rule="four-eyes")
    if file.line_id and file.line_id not in {line.id for line in record.lines}:
        raise BadInput(f"application {record.id} has no line {file.line_id!r}", field="line")
    filed, is_new = store_audit.add_evidence(desk.connection, record.id, file, content)
    if is_new:
        event = Event(action=Action.ATTACH, actor=desk.actor)
        facts = {"kind": filed.kind, "sha256": filed.sha256, "size_bytes": filed.size_bytes}
        if filed.line_id:
            facts["line"] = filed.line_id
        note(desk, record.case, record, event, facts)
    return filed


def check(desk: Desk, record: Record) -> Checked:
    """Return what would happen if it were handed in now; changes nothing but takes locks."""
    connection = desk.connection
    programme = programme_of(connection, record)
    found = screened(desk, record)
    flags = found.flags + _code_flag(desk, record)
    filed = found.application(store.other_programmes(connection, record), desk.now)
    award = assess(programme, filed, store_programmes.load_usage(connection, programme.policy.id))
    unknown = tuple(one for one in award.reasons if one.code is Code.FACT_UNKNOWN)
    is_reviewed = any(one.role != "applicant" for one in programme.policy.workflow or ())
    against = [one for one in award.reasons if not (is_reviewed and _may_come(one, unknown))]
    against += no_lots(programme.policy)
    return Checked(
        award=award,
        blocking=(*against, *(flag for flag in flags if flag.code.is_blocking)),
        unknown=unknown if is_reviewed else (),
        missing=_missing(desk, record, _first_stages(programme)),
        flags=flags,
        screened=found,
    )


def submit(till: Till, application_id: str) -> Record:
    """Hand in: run the checks and go to the first stage of the review.

    Where the review has come to a stage of the applicant's own, this is how it does it. Raises
    Refused with every reason at once, BadInput for missing evidence.
    """
    record = open_case(till, application_id)
    own = _own_stage(till, record)
    if own is not None:
        _require_evidence(till, record, own)
        reason = "the applicant's own stage"
        return take(till, record, Event(action=Action.APPROVE, actor=till.actor, reason=reason), {})
    _require_editable(till, record, Action.SUBMIT)
    store_programmes.lock_all(till.connection)
    _require_not_banned(till, record.identity, record.facts)
    checked = check(till, record)
    if checked.missing:
        raise BadInput(
            f"application {record.id} lacks evidence: {', '.join(checked.missing)}",
            next_step="attach a file of each kind",
            missing=list(checked.missing),
        )
    if checked.blocking:
        raise Refused(
            f"application {record.id} cannot be handed in: {'; '.join(texts(checked.blocking))}",
            next_step="correct it, or apply under another programme",
            findings=documents(checked.blocking),
        )
    _require_not_banned(till, record.identity, checked.screened.facts)
    feed(till, checked.screened)
    ready = replace(
        checked.screened,
        flags=checked.flags,
        submitted_at=record.submitted_at or till.now,
        case=replace(record.case, has_flags=bool(checked.flags)),
    )
    facts = {
        "expected_fen": checked.award.amount_fen,
        "unknown": documents(checked.unknown),
        "flags": documents(checked.flags),
        "body_digest": record.body_digest,
        "policy": record.programme_id,
        "digest": record.programme_digest,
    }
    return take(till, ready, Event(action=Action.SUBMIT, actor=till.actor), facts)


def review(till: Till, application_id: str, verdict: Verdict) -> Record:
    """Approve, return or reject at the open stage, or reopen; raises what ``advance`` raises."""
    assert verdict.action in _VERDICTS, verdict.action
    record = open_case(till, application_id)
    programme = programme_of(till.connection, record)
    event = Event(
        action=verdict.action, actor=till.actor, reason=verdict.reason, stage=verdict.stage
    )
    if verdict.action is not Action.APPROVE:
        return take(till, record, event, {"flags": documents(record.flags)})
    stage = stage_of(programme.policy, record.case.stage)
    if stage is not None:
        _require_evidence(till, record, stage)
    found, changes = _with_findings(record, programme, verdict)
    store_programmes.lock_all(till.connection)
    found = screened(till, found)
    flags = found.flags + _code_flag(till, found)
    found = replace(found, flags=flags, case=replace(found.case, has_flags=bool(flags)))
    facts = {"set": changes, "flags": documents(flags)}
    return take(till, found, event, facts)


def withdraw(till: Till, application_id: str, reason: str) -> Record:
    """Take an application back; what it claimed is free again."""
    record = open_case(till, application_id)
    return take(till, record, Event(action=Action.WITHDRAW, actor=till.actor, reason=reason), {})


def decide_round(till: Till, programme_id: str) -> tuple[Record, ...]:
    """Decide all applications of a programme that wait for it, together, under one version each.

    Raises Conflict where nothing waits or the programme decides each by itself, Forbidden for
    somebody who may not.
    """
    if till.actor.role not in CITY:
        raise Forbidden("rounds are decided by the city", role=till.actor.role.value)
    programme = store_programmes.find_programme(till.connection, programme_id)
    waiting = store.ready(till.connection, programme_id)
    if not waiting:
        way = "together" if is_round(programme.policy) else "each at the end of its review"
        raise Conflict(f"no application under {programme_id} waits; they are decided {way}")
    decided: list[Record] = []
    for version in sorted({one.programme_version for one in waiting}):
        batch = [one for one in waiting if one.programme_version == version]
        used = programme_of(till.connection, batch[0])
        decided += decide_together(till, used, batch)
    return tuple(decided)


def _with_draft(record: Record, draft: Draft) -> Record:
    return replace(
        record,
        identity=draft.identity,
        facts=draft.facts,
        lines=draft.lines,
        body_digest=draft.digest,
        flags=(),
        case=replace(record.case, district=draft.district, has_flags=False),
    )


def _require_sound(desk: Desk, tenant_id: str, draft: Draft) -> None:
    if not 1 <= len(draft.lines) <= LINES_MAX:
        raise BadInput(f"an application has 1 to {LINES_MAX} lines, this one {len(draft.lines)}")
    ids = [line.id for line in draft.lines]
    if len(set(ids)) < len(ids):
        raise BadInput("two lines have the same id")
    code = store.tenant_code(desk.connection, tenant_id)
    if code and draft.identity.code and code != draft.identity.code:
        raise Conflict(
            f"tenant {tenant_id} is registered with code {code}, "
            f"the application says {draft.identity.code}",
            next_step="correct the code, or ask the platform to correct the registration",
        )
    _require_not_banned(desk, draft.identity, draft.facts)


def _require_not_banned(desk: Desk, identity: Identity, facts: Mapping[str, object]) -> None:
    group = text_fact(facts, GROUP) or ""
    until = store_audit.banned_until(desk.connection, identity.key, group, desk.now)
    if until is not None:
        raise Refused(
            f"{identity.name} is kept out until {until.isoformat()} after a clawback",
            banned_until=until.isoformat(),
        )


def _require_editable(desk: Desk, record: Record, action: Action) -> None:
    own = desk.actor.tenant_id == record.case.tenant_id and desk.actor.role in APPLICANTS
    if not own:
        raise Forbidden(
            f"only the applicant may {action.value} application {record.id}",
            next_step="use an enterprise key of the applicant",
        )
    if record.state not in EDITABLE:
        raise InvalidTransition(
            f"application {record.id} is in state {record.state.value}; "
            f"{action.value} needs {' or '.join(sorted(EDITABLE))}",
            state=record.state.value,
        )


def _own_stage(desk: Desk, record: Record) -> Stage | None:
    """Return the open stage of a review if it is the applicant's own."""
    stage = stage_of(programme_of(desk.connection, record).policy, record.case.stage)
    return stage if stage is not None and stage.role == "applicant" else None


def _first_stages(programme: Programme) -> list[Stage]:
    stages = []
    for stage in programme.policy.workflow or ():
        if stage.role != "applicant":
            break
        stages.append(stage)
    return stages


def _missing(desk: Desk, record: Record, stages: Sequence[Stage]) -> tuple[str, ...]:
    there = {file.kind for file in store_audit.evidence(desk.connection, record.id)}
    wanted = [kind for stage in stages for kind in stage.evidence]
    return tuple(kind for kind in wanted if kind not in there)


def require_evidence(desk: Desk, record: Record) -> None:
    """Raise BadInput unless the evidence of the open stage is on file."""
    stage = stage_of(programme_of(desk.connection, record).policy, record.case.stage)
    if stage is not None:
        _require_evidence(desk, record, stage)


def _require_evidence(desk: Desk, record: Record, stage: Stage) -> None:
    missing = _missing(desk, record, [stage])
    if missing:
        raise BadInput(
            f"stage {stage.id} of application {record.id} lacks evidence: {', '.join(missing)}",
            next_step="attach a file of each kind",
            missing=list(missing),
        )


def _may_come(finding: Finding, unknown: Sequence[Finding]) -> bool:
    """Say whether a reason may go away once reviewers state the facts that are unknown now."""
    return finding in unknown or (bool(unknown) and finding.code in _FOLLOWS_FROM_UNKNOWN)


def _code_flag(desk: Desk, record: Record) -> tuple[Flag, ...]:
    if not record.identity.code or store.tenant_code(desk.connection, record.case.tenant_id):
        return ()
    return (Flag(code=FlagCode.CODE_NOT_ON_FILE, facts={"tenant_id": record.case.tenant_id}),)


def _with_findings(
    record: Record, programme: Programme, verdict: Verdict
) -> tuple[Record, dict[str, list[object]]]:
    """Return the record with what the reviewer found out, and what that changed."""
    known = known_facts(programme)
    facts = {**record.facts, **read_facts(verdict.facts, known, "applicant.")}
    changes = _changes("", record.facts, facts)
    strangers = set(verdict.line_facts) - {line.id for line in record.lines}
    if strangers:
        raise BadInput(f"application {record.id} has no line {sorted(strangers)[0]!r}")
    lines = []
    for line in record.lines:
        stated = read_facts(verdict.line_facts.get(line.id, {}), known, "line.")
        lines.append(Line(id=line.id, facts={**line.facts, **stated}))
        changes |= _changes(f"{line.id}: ", line.facts, lines[-1].facts)
    return replace(record, facts=facts, lines=tuple(lines)), changes


def _changes(prefix: str, before: Facts, after: Facts) -> dict[str, list[object]]:
    old, new = facts_out(before), facts_out(after)
    return {
        f"{prefix}{name}": [old.get(name), value]
        for name, value in new.items()
        if old.get(name) != value
    }
