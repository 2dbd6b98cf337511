"""Limits on what a caller may send: size of bodies, and text that no database can hold."""

import json
import re
from typing import Final

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import BodyTooLarge, problem_response
from suanwang.errors import BadInput

JSON_BYTES_MAX: Final = 4 * 1024 * 1024
"""Body of a call with JSON."""
AGENT_BYTES_MAX: Final = 32 * 1024 * 1024
"""Body of a call of the agents' channel, an inventory file, or many jobs: they come in bulk."""
PACKAGE_BYTES_MAX: Final = 100 * 1024 * 1024
"""A package of Ray's clients; the same limit as Ray's own head."""

_SUSPECT: Final = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


def body_limit(path: str) -> int:
    """Return the most bytes that a request to ``path`` may carry."""
    if path.startswith("/api/packages/"):
        return PACKAGE_BYTES_MAX
    is_bulk = path.endswith("/inventory/import") or path == "/v1/job-batches"
    if path.startswith("/agent/") or is_bulk:
        return AGENT_BYTES_MAX
    return JSON_BYTES_MAX


def _too_large(size: int, limit: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"the body has {size:,} bytes or more; the limit here is {limit:,}",
        bytes=size,
        limit=limit,
        next_step="send less at once",
    )


class BodyLimitMiddleware:
    """Answers 413 before more than the limit is in memory, also where no length is announced."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request with a counted body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = body_limit(scope["path"])
        announced = _announced_length(scope)
        if announced > limit:
            await problem_response(scope["path"], _too_large(announced, limit))(
                scope, receive, send
            )
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise HTTPException(413, _too_large(received, limit).message)
            return message

        await self._app(scope, counted, send)


def _announced_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0


def _find_unstorable(value: object) -> bool:
    if isinstance(value, str):
        return _UNSTORABLE.search(value) is not None
    if isinstance(value, dict):
        return any(_find_unstorable(key) or _find_unstorable(item) for key, item in value.items())
    if isinstance(value, list):
        return any(map(_find_unstorable, value))
    return False


async def refuse_unstorable_text(request: Request) -> None:
    """Refuse NUL characters and lone surrogates: PostgreSQL stores neither, in text or JSON.

    Raises BadInput. A body is only parsed here when its bytes look suspicious.
    """
    where = ""
    if any(
        map(_UNSTORABLE.search, [*request.path_params.values(), *request.query_params.values()])
    ):
        where = "the address"
    elif request.headers.get("content-type", "").startswith("application/json"):
        body = await request.body()
        if _SUSPECT.search(body) and _is_unstorable_json(body):
            where = "the body"
    if where:
        raise BadInput(
            f"{where} has a NUL character or half of a surrogate pair, which cannot be stored",
            next_step="remove the character",
        )


def _is_unstorable_json(body: bytes) -> bool:
    try:
        return _find_unstorable(json.loads(body))
    except (ValueError, RecursionError):
        return False
