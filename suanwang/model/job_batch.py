"""A batch of jobs: what came in with one request."""

from dataclasses import dataclass
from datetime import datetime

from suanwang.ids import BatchId, TenantId


@dataclass(frozen=True, slots=True, kw_only=True)
class JobBatch:
    """A batch as stored: who sent it under which key, what it asked for, and when."""

    id: BatchId
    tenant_id: TenantId
    request_key: str
    digest: str
    jobs: int
    submitted_at: datetime
