"""One answer to one request: a route that changes something may be asked again without harm.

With the header ``Idempotency-Key`` the first answer is kept, in the transaction of the step itself,
and told again for ever; another request under the key is a conflict. Without it, a step that fails
because it was done already answers as the step did, if the caller's own newest step on the
application came from the very same request.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, TypeVar

from fastapi import Depends, Request, Response
from pydantic import TypeAdapter
from sqlalchemy import Connection

from api.booking import KeyHeader
from suanwang.errors import Conflict, Forbidden
from voucher.grants import store_requests

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The request: its key (empty: none), its digest, and the answer's status to be."""

    key: str
    digest: str
    response: Response

    def by(self, person: str) -> store_requests.Request:
        """Return the request with who asks."""
        return store_requests.Request(person=person, key=self.key, digest=self.digest)


async def _asked(request: Request, response: Response, key: KeyHeader = None) -> Asked:
    """Read the request; documents that say the same have one digest, however they are written."""
    body = await request.body()
    if request.headers.get("content-type", "").startswith("application/json"):
        body = _canonical(body)
    parts = [request.method, request.url.path, sorted(request.query_params.multi_items())]
    digest = hashlib.sha256(json.dumps(parts).encode() + b"\n" + body).hexdigest()
    return Asked(key=key or "", digest=digest, response=response)


def _canonical(body: bytes) -> bytes:
    """Return a document in its one form; what is none, or nested without end, as it came."""
    try:
        return json.dumps(json.loads(body), sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        return body


Asking = Annotated[Asked, Depends(_asked)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """The one transaction in which a request is answered."""

    connection: Connection
    asked: Asked
    person: str
    now: datetime

    def answer(
        self, kind: type[T], act: Callable[[], T], again: Callable[[], T | None] = lambda: None
    ) -> T:
        """Return what was answered before, or act and keep the answer.

        ``again`` gives the answer where the request was done before without a key, or None.
        """
        if not self.asked.key:
            return self._act(act, again)
        request, form = self.asked.by(self.person), TypeAdapter[T](kind)
        told = store_requests.begin(self.connection, request, self.now)
        if told is not None:
            if told.status:
                self.asked.response.status_code = told.status
            return form.validate_json(told.body)
        answer = self._act(act, again)
        status = self.asked.response.status_code or 0
        kept = store_requests.Answer(status=status, body=form.dump_json(answer).decode())
        store_requests.end(self.connection, request, kept)
        return answer

    def _act(self, act: Callable[[], T], again: Callable[[], T | None]) -> T:
        try:
            with self.connection.begin_nested():
                return act()
        except (Conflict, Forbidden):
            answer = again()
            if answer is None:
                raise
            return answer
