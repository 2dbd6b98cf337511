"""Says the verdicts of a table, each in its own savepoint: a refusal touches no other."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from suanwang.errors import Conflict, Forbidden, SuanwangError
from voucher.grants import service, store, store_requests
from voucher.grants.batch import RowFault
from voucher.grants.records import Record
from voucher.grants.steps import Till
from voucher.grants.verdicts import Said, Verdicts


class Judged(StrEnum):
    """What became of a verdict."""

    DONE = "done"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """An application after a verdict of the table, and the lines that it stands in."""

    record: Record
    outcome: Judged
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeReport:
    """What was said, and every fault of the table and of the applications."""

    said: tuple[Judgement, ...]
    faults: tuple[RowFault, ...]


def judge(till: Till, verdicts: Verdicts) -> JudgeReport:
    """Say every sound verdict; one that was said before changes nothing."""
    done: list[Judgement] = []
    faults = list(verdicts.faults)
    store.lock(till.connection, {said.application_id for said in verdicts.said})
    for said in verdicts.said:
        try:
            with till.connection.begin_nested():
                done.append(_say(till, said))
        except SuanwangError as failure:
            column = str(failure.facts.get("fact") or "")
            faults.append(RowFault(line=said.lines[0], column=column, reason=failure.message))
    ordered = tuple(sorted(faults, key=lambda fault: (fault.line, fault.column)))
    return JudgeReport(said=tuple(done), faults=ordered)


def _say(till: Till, said: Said) -> Judgement:
    request = store_requests.Request(person=till.actor.person, key="", digest=_digest(said))
    own = replace(till, request=request.digest)
    name = said.application_id
    try:
        with till.connection.begin_nested():
            record = service.review(own, name, said.verdict)
    except (Conflict, Forbidden):
        if not store_requests.is_repeat(till.connection, request, name):
            raise
        there = store.find(till.connection, name)
        return Judgement(record=there, outcome=Judged.UNCHANGED, lines=said.lines)
    return Judgement(record=record, outcome=Judged.DONE, lines=said.lines)


def _digest(said: Said) -> str:
    """Return the digest of one verdict, by which it is known again in another table."""
    verdict = said.verdict
    facts: Mapping[str, object] = dict(sorted(verdict.facts.items()))
    parts = [
        said.application_id, verdict.action.value, verdict.stage, verdict.reason,
        facts, {line: dict(sorted(of.items())) for line, of in verdict.line_facts.items()},
    ]  # fmt: skip
    text = json.dumps(parts, default=str, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
