"""Following a job's output over Ray's websocket: one stream over the queue and every attempt."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from anyio import to_thread
from fastapi import APIRouter, WebSocket
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocketDisconnect

from api.context import ApiContext, Context
from api.identity import Identity, Right, identity_of
from api.routers.gateway import find
from scheduler import agents
from suanwang.errors import SuanwangError
from suanwang.ids import JobId

router = APIRouter(prefix="/api", tags=["ray"])

FRAME_LINES_MAX: Final = 10
FRAME_CHARS_MAX: Final = 20_000
LOOK_EVERY_S_MIN: Final = 0.3
LOOK_EVERY_S_MAX: Final = 2.0
"""Looks into the database grow rarer from the one to the other while nothing comes."""
SETTLE_S: Final = 2.0
"""A job that has ended is followed this long after its last output, for what is still under way."""
NORMAL_CLOSURE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    text: str
    is_final: bool


def frames(text: str) -> Iterator[str]:
    """Cut output into pieces of at most 10 lines and 20,000 characters, as Ray does."""
    lines: list[str] = []
    size = 0
    for line in text.splitlines(keepends=True):
        for start in range(0, len(line), FRAME_CHARS_MAX):
            part = line[start : start + FRAME_CHARS_MAX]
            if lines and (len(lines) == FRAME_LINES_MAX or size + len(part) > FRAME_CHARS_MAX):
                yield "".join(lines)
                lines, size = [], 0
            lines.append(part)
            size += len(part)
    if lines:
        yield "".join(lines)


def _identify(context: ApiContext, socket: WebSocket, submission_id: str) -> Identity:
    identity = identity_of(context, socket, Right.READ_JOBS)
    with context.reading() as connection:
        find(connection, identity, submission_id)
    return identity


def _read(context: ApiContext, identity: Identity, submission_id: str, offset: int) -> _Piece:
    with context.reading() as connection:
        job = find(connection, identity, submission_id)
        text = agents.read_log(connection, JobId(job.id), offset)
    return _Piece(text=text, is_final=job.state.is_final)


@router.websocket("/jobs/{submission_id}/logs/tail")
async def tail_logs(socket: WebSocket, submission_id: str, context: Context) -> None:
    """Send output from its beginning until the job has ended and all is sent, then close 1000.

    A caller without a key, or of another tenant, is refused at the handshake.
    """
    try:
        identity = await to_thread.run_sync(_identify, context, socket, submission_id)
        with context.followers:
            await socket.accept()
            await _serve(socket, context, identity, submission_id)
    except SuanwangError as failure:
        await socket.send_denial_response(PlainTextResponse(failure.message, failure.status))


async def _serve(
    socket: WebSocket, context: ApiContext, identity: Identity, submission_id: str
) -> None:
    """Follow the job until it ends or the client goes, whichever comes first."""
    following = asyncio.create_task(_follow(socket, context, identity, submission_id))
    leaving = asyncio.create_task(_until_gone(socket))
    try:
        await asyncio.wait((following, leaving), return_when=asyncio.FIRST_COMPLETED)
        if following.done():
            following.result()
            await socket.close(NORMAL_CLOSURE)
    except WebSocketDisconnect:
        return
    finally:
        for task in (following, leaving):
            task.cancel()
        # Both end, whatever became of either: what the first one raised is raised above.
        await asyncio.gather(following, leaving, return_exceptions=True)


async def _until_gone(socket: WebSocket) -> None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return


async def _follow(
    socket: WebSocket, context: ApiContext, identity: Identity, submission_id: str
) -> None:
    offset, pause_s, quiet_s = 0, LOOK_EVERY_S_MIN, 0.0
    while True:
        piece = await to_thread.run_sync(_read, context, identity, submission_id, offset)
        for frame in frames(piece.text):
            await socket.send_text(frame)
        offset += len(piece.text)
        if piece.text:
            pause_s, quiet_s = LOOK_EVERY_S_MIN, 0.0
        elif piece.is_final and quiet_s >= SETTLE_S:
            return
        await context.clock.wait(pause_s)
        quiet_s = quiet_s + pause_s if piece.is_final else 0.0
        pause_s = LOOK_EVERY_S_MIN if piece.is_final else min(pause_s * 1.25, LOOK_EVERY_S_MAX)
