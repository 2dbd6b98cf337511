"""Ray's Jobs API at the server's root, exact enough for unmodified clients (docs/gateway.md).

Refusals are plain text under 402, 409 or 422: Ray's client prints the text as it is, while it
replaces that of 401 and 403 by words of its own.
"""

import re
from typing import Annotated, Final

from anyio import to_thread
from fastapi import APIRouter, Path, Request
from pydantic import ValidationError
from sqlalchemy import Connection
from starlette.responses import PlainTextResponse, Response

from api.booking import Books
from api.context import RAY_VERSION, ApiContext, Context
from api.identity import Identity, JobReader, JobRunner
from api.routers.jobs import submit
from api.schemas.jobs import JobIn
from api.schemas.ray import (
    RayDeleted,
    RayJob,
    RayLogs,
    RayStopped,
    RaySubmit,
    RaySubmitted,
    RayVersion,
    ray_job,
)
from scheduler import agents, packages, service
from suanwang.errors import BadInput, NotFound
from suanwang.ids import SUBMISSION_ID
from suanwang.model.job import Job
from voucher.turn import Turn

router = APIRouter(prefix="/api", tags=["ray"])

LIST_MAX: Final = 1_000
"""Ray's list has no pages: the newest jobs are shown, the others are found by id or by REST."""
_PACKAGE: Final = re.compile(r"[A-Za-z0-9._+-]{1,200}")

PackageName = Annotated[str, Path(description="name that the client derived from the bytes")]


def find(connection: Connection, identity: Identity, submission_id: str) -> Job:
    """Return a job that the caller may see; raise NotFound in Ray's words."""
    try:
        return service.find_job(connection, identity.tenant_scope, submission_id)
    except NotFound as failure:
        raise NotFound(f"Job {submission_id} does not exist") from failure


def _shown(job: Job, identity: Identity, request: Request) -> RayJob:
    is_browser = "mozilla" in request.headers.get("user-agent", "").lower()
    return ray_job(job, is_redacted=is_browser or job.tenant_id != identity.tenant_id)


@router.get("/version", summary="Version of Ray's Jobs API")
async def version() -> RayVersion:
    """Answer as a Ray head would; clients ask before anything else."""
    return RayVersion(ray_version=RAY_VERSION, ray_commit="suanwang", session_name="suanwang")


def _package_name(protocol: str, name: str) -> str:
    if protocol != "gcs":
        raise BadInput(f"packages of protocol {protocol!r} are not kept here, only gcs")
    if not _PACKAGE.fullmatch(name):
        raise BadInput(f"{name!r} is not a package name: letters, digits, . _ + -, at most 200")
    return name


@router.get(
    "/packages/{protocol}/{name}",
    summary="Is a package here",
    response_class=PlainTextResponse,
)
def has_package(
    protocol: str, name: PackageName, identity: JobRunner, context: Context
) -> Response:
    """Answer 200 when the caller's tenant has sent the package, else 404; there is no body."""
    name = _package_name(protocol, name)
    with context.reading() as connection:
        is_here = packages.has_package(connection, identity.tenant_id, name)
    if not is_here:
        raise NotFound(f"Package {protocol}://{name} does not exist")
    return PlainTextResponse("")


@router.put(
    "/packages/{protocol}/{name}",
    summary="Send a package",
    response_class=PlainTextResponse,
    openapi_extra={
        "requestBody": {
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            },
            "required": True,
        }
    },
)
async def put_package(
    protocol: str, name: PackageName, request: Request, identity: JobRunner, context: Context
) -> Response:
    """Keep a package (at most 100 MiB) for the caller's tenant until a job needs it."""
    checked = _package_name(protocol, name)
    content = await request.body()
    await to_thread.run_sync(_keep, checked, content, identity, context)
    return PlainTextResponse("")


def _keep(name: str, content: bytes, identity: Identity, context: ApiContext) -> None:
    with context.writing() as connection:
        packages.put_package(connection, identity.tenant_id, name, content, context.clock.now())


def _job_in(body: RaySubmit) -> JobIn:
    """Return Ray's submit as a job of ours; raise BadInput."""
    if body.entrypoint_label_selector:
        raise BadInput(
            "entrypoint_label_selector is not supported: sites differ in their labels",
            next_step="ask for accelerator, sites or latency_ms in the metadata",
        )
    fields = body.model_dump(
        exclude={"job_id", "entrypoint_label_selector", "submission_id"}, exclude_none=True
    )
    submission_id = body.submission_id or body.job_id
    if submission_id is not None and not SUBMISSION_ID.fullmatch(submission_id):
        raise BadInput(f"submission_id {submission_id!r} is not 1 to 128 of A-Z a-z 0-9 . _ -")
    try:
        return JobIn(**fields, submission_id=submission_id)
    except ValidationError as failure:
        first = failure.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"{place}: {first['msg']}") from failure


@router.post("/jobs/", summary="Submit a job (Ray)")
def submit_job(body: RaySubmit, identity: JobRunner, context: Context) -> RaySubmitted:
    """Take a job into the queue; the wishes are read from its metadata."""
    job = submit(_job_in(body), identity, context)
    return RaySubmitted(job_id=job.submission_id, submission_id=job.submission_id)


@router.get("/jobs/", summary="List jobs (Ray)")
def list_jobs(request: Request, identity: JobReader, context: Context) -> list[RayJob]:
    """Return the newest jobs that the caller may see."""
    with context.reading() as connection:
        jobs = service.list_jobs(
            connection, tenant_id=identity.tenant_scope, state=None, before=None, limit=LIST_MAX
        )
    return [_shown(job, identity, request) for job in jobs]


@router.get("/jobs/{submission_id}", summary="Look at a job (Ray)")
def look_at_job(
    submission_id: str, request: Request, identity: JobReader, context: Context
) -> RayJob:
    """Return one job; ``message`` says what it waits for, or why it ended."""
    with context.reading() as connection:
        return _shown(find(connection, identity, submission_id), identity, request)


@router.post("/jobs/{submission_id}/stop", summary="Stop a job (Ray)")
def stop_job(submission_id: str, identity: JobRunner, context: Context, books: Books) -> RayStopped:
    """Ask a job to end, also one that waits."""

    def stop(turn: Turn) -> bool:
        job = find(turn.connection, identity, submission_id)
        return service.request_stop(turn, job.tenant_id, submission_id, context.clock.now())

    return RayStopped(stopped=books.change(stop))


@router.delete("/jobs/{submission_id}", summary="Delete a job (Ray)")
def delete_job(submission_id: str, identity: JobRunner, books: Books) -> RayDeleted:
    """Forget a job that has ended; what it cost stays in the ledger."""

    def delete(turn: Turn) -> None:
        job = find(turn.connection, identity, submission_id)
        service.delete_job(turn.connection, job.tenant_id, submission_id)

    books.write(delete)
    return RayDeleted(deleted=True)


@router.get("/jobs/{submission_id}/logs", summary="Output of a job (Ray)")
def read_logs(submission_id: str, identity: JobReader, context: Context) -> RayLogs:
    """Return all output up to now, of all attempts in one stream."""
    with context.reading() as connection:
        job = find(connection, identity, submission_id)
        return RayLogs(logs=agents.read_log(connection, job.id, 0))
