"""Single jobs from the classes and the demo of a world file."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from suanwang.document import Document, complain
from suanwang.errors import BadInput
from suanwang.ids import JobId, TenantId
from suanwang.model.job import Job, JobState, Wishes
from suanwang.model.site import DataClass
from suanwang.model.wishes import parse_wishes
from suanwang.scenario.schema import JobClassFile, WorldFile
from suanwang.scenario.shapes import Arrival, arrivals


@dataclass(frozen=True, slots=True)
class ClassedJob:
    """A job and the name of the class it came from."""

    job: Job
    job_class: str


def class_jobs(file: WorldFile) -> list[ClassedJob]:
    """Expand the classes; equal files give equal jobs, whatever the other classes are."""
    homes = {dataset.id: dataset.data_class for dataset in file.datasets}
    start = file.day.start.astimezone(UTC)
    jobs: list[ClassedJob] = []
    for one in file.job_classes:
        random = Random(f"{file.seed}:{one.id}")  # noqa: S311 - repeatable on purpose
        data_class = homes.get(one.dataset or "", DataClass.GENERAL)
        for number, arrival in enumerate(arrivals(one.shape, one.count, one.hours, random), 1):
            name = f"{one.id}-{number:03d}"
            jobs.append(ClassedJob(_job(one, name, data_class, (start, arrival)), one.id))
    return jobs


def _job(
    one: JobClassFile, name: str, data_class: DataClass, when: tuple[datetime, Arrival]
) -> Job:
    start, arrival = when
    arrives = start + timedelta(minutes=arrival.after_minutes)
    length = timedelta(minutes=arrival.length_minutes)
    deadline = None
    if one.deadline_hours is not None:
        deadline = arrives + timedelta(hours=float(one.deadline_hours))
    elif one.start_within_minutes is not None:
        deadline = arrives + timedelta(minutes=one.start_within_minutes) + length
    wishes = Wishes(
        units=one.units,
        accelerators=one.accelerators,
        run_s_max=round(length.total_seconds()),
        origin=one.origin,
        latency_ms_max=one.latency_ms,
        data_class=data_class,
        data_home=one.dataset or "",
        domestic_only=one.domestic_only,
        uses_voucher=one.voucher,
        deadline=deadline,
        earliest_start=arrives,
    )
    return _queued(name, one.tenant, arrives, wishes)


def demo_jobs(document: Document, file: WorldFile) -> list[ClassedJob]:
    """Return the demo's jobs for the first tenant, as if all were submitted at the day's start."""
    if file.demo is None:
        return []
    if not file.tenants:
        raise complain(document, ("demo",), "a demo needs a tenant")
    start = file.day.start.astimezone(UTC)
    jobs: list[ClassedJob] = []
    for index, one in enumerate(file.demo.jobs):
        try:
            wishes = parse_wishes(one.metadata, num_cpus=None, num_gpus=None)
        except BadInput as failure:
            raise complain(
                document, ("demo", "jobs", index, "metadata"), failure.message
            ) from failure
        jobs.append(ClassedJob(_queued(one.id, file.tenants[0].id, start, wishes), one.id))
    return jobs


def _queued(name: str, tenant: str, submitted_at: datetime, wishes: Wishes) -> Job:
    return Job(
        id=JobId(name),
        submission_id=name,
        tenant_id=TenantId(tenant),
        state=JobState.QUEUED,
        entrypoint="",
        wishes=wishes,
        submitted_at=submitted_at,
    )
