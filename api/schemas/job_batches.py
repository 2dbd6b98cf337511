"""Batches of jobs: many jobs in one request, arrays among them."""

from datetime import datetime

from pydantic import ConfigDict, Field

from api.schemas.common import In, Out
from api.schemas.jobs import JobIn
from api.schemas.money import IdempotencyKey
from scheduler.batches import JOBS_MAX
from suanwang.model.job import JobState
from suanwang.model.job_batch import JobBatch


class BatchJobIn(JobIn):
    """A job of a batch; with ``array`` it stands for one job for each index."""

    array: str | None = Field(
        default=None, min_length=1, max_length=1_000, description="0-99, 1,3,5-9 or 0-30:5"
    )


class BatchIn(In):
    """Jobs that come in together: all of them or none."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "jobs": [
                    {
                        "entrypoint": "python render.py",
                        "submission_id": "film",
                        "array": "0-99",
                        "metadata": {"units": "1", "max_minutes": "30"},
                    }
                ]
            }
        }
    )

    jobs: list[BatchJobIn] = Field(min_length=1, max_length=JOBS_MAX)
    key: IdempotencyKey | None = Field(default=None, description="instead of Idempotency-Key")


class BatchSubmitted(Out):
    """A batch in the queue; ``is_repeat`` says that the same request was taken in before."""

    batch_id: str
    submitted_at: datetime
    is_repeat: bool
    submission_ids: list[str] = Field(description="of its jobs, in order; deleted ones are gone")


class BatchOut(Out):
    """A batch and how far it is."""

    batch_id: str
    tenant_id: str
    submitted_at: datetime
    jobs: int = Field(description="jobs that it came in with")
    states: dict[JobState, int] = Field(description="jobs in each state; deleted ones are in none")
    is_final: bool = Field(description="whether all of them have ended")


class BatchStopped(Out):
    """How many jobs of the batch were asked to end."""

    stopped: int


def batch_out(batch: JobBatch, states: dict[JobState, int]) -> BatchOut:
    """Return a batch for readers."""
    return BatchOut(
        batch_id=batch.id,
        tenant_id=batch.tenant_id,
        submitted_at=batch.submitted_at,
        jobs=batch.jobs,
        states=states,
        is_final=all(state.is_final for state in states),
    )
