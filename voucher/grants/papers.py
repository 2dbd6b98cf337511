"""Evidence as a list: which papers are on file, with their digests, and which are missing."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from voucher.grants.application import stage_of
from voucher.grants.case import EDITABLE
from voucher.grants.records import Record
from voucher.grants.store_audit import Evidence
from voucher.programmes.application import CHINA
from voucher.programmes.schema import Policy, Stage

HEADINGS: Final = (
    "application", "ref", "programme", "name", "state", "stage", "kind", "line", "status", "seq",
    "file", "size_bytes", "sha256", "added_at",
)  # fmt: skip


def papers(
    records: Sequence[Record],
    policies: Mapping[str, Policy],
    files: Mapping[str, Sequence[Evidence]],
) -> Iterator[list[str]]:
    """Yield headings, then a row for each file and each paper that is missing, by application.

    ``policies`` and ``files`` are by the application's id.
    """
    yield list(HEADINGS)
    for one in records:
        head = [one.id, one.ref, one.programme_id, one.identity.name, one.state.value,
                one.case.stage]  # fmt: skip
        filed = files.get(one.id, ())
        for file in filed:
            at = f"{file.added_at.astimezone(CHINA):%Y-%m-%d %H:%M:%S}"
            yield [*head, file.kind, file.line_id, "on file", str(file.seq), file.file_name,
                   str(file.size_bytes), file.sha256, at]  # fmt: skip
        there = {file.kind for file in filed}
        for kind in _wanted(one, policies[one.id]):
            if kind not in there:
                yield [*head, kind, "", "missing", "", "", "", "", ""]


def _wanted(record: Record, policy: Policy) -> tuple[str, ...]:
    """Return the papers that the next step of an application needs."""
    stages: list[Stage] = []
    if record.state in EDITABLE:
        for stage in policy.workflow or ():
            if stage.role != "applicant":
                break
            stages.append(stage)
    else:
        open_stage = stage_of(policy, record.case.stage)
        stages = [open_stage] if open_stage is not None else []
    return tuple(dict.fromkeys(kind for stage in stages for kind in stage.evidence))
