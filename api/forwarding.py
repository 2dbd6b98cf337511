"""Requests that need the ledger, passed on from a replica to the one that writes it.

The writer checks the same credentials again, so passing on gives nobody a right. A request is
passed on once: one that comes back from another replica is refused instead, since the writer has
just changed.
"""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import httpx
from fastapi import FastAPI, Request
from starlette.responses import Response

from api.context import ApiContext, context_of
from api.problems import problem_response
from suanwang.errors import Unavailable
from voucher.store_writer import Tenure

HOP_HEADER: Final = "X-Suanwang-Hop"
"""Carried by a request that was passed on."""
CONNECT_S: Final = 3.0
ANSWER_S: Final = 100.0
"""Longest wait for the writer's answer; an agent's poll is held open for 60 s."""
LOOK_EVERY_S: Final = 1.0
"""How often a request that is passed on asks itself whether the writer is still the same."""
CONNECTIONS_MAX: Final = 200
RETRY_AFTER_S_MAX: Final = 15

_KEPT_BACK: Final = frozenset(
    {
        "accept-encoding", "connection", "content-length", "expect", "keep-alive",
        "proxy-authenticate", "proxy-authorization", "trailer", "transfer-encoding",
        "upgrade",
    }
)  # fmt: skip
"""Headers that are about one connection only."""
_MADE_ANEW: Final = _KEPT_BACK | {"date", "server", "content-encoding"}
_AGAIN: Final = "send the same request again"
_log: Final = logging.getLogger(__name__)


class Elsewhere(Exception):
    """Another process writes the ledger: pass the request on to it."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


class Forwarder:
    """Passes requests on, over connections that stay open."""

    def __init__(self) -> None:
        self._http: httpx.AsyncClient | None = None

    async def send(self, request: Request, url: str) -> httpx.Response:
        """Return the writer's answer to a request; raises what httpx raises."""
        if self._http is None:
            self._http = httpx.AsyncClient(
                timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
                limits=httpx.Limits(max_connections=CONNECTIONS_MAX),
                trust_env=False,
            )
        headers = [(k, v) for k, v in request.headers.items() if k not in _KEPT_BACK]
        return await self._http.request(
            request.method,
            f"{url.rstrip('/')}{request.url.path}",
            params=request.url.query.encode() or None,
            content=await request.body(),
            headers=[*headers, (HOP_HEADER, "1")],
        )

    async def close(self) -> None:
        """End the connections."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None


def require_writer(request: Request, context: ApiContext) -> None:
    """Return where this process may try to write the ledger.

    Raises Elsewhere where the request can be passed on, Unavailable where it cannot.
    """
    found = context.writer.elsewhere
    if found is None:
        return
    if HOP_HEADER in request.headers:
        raise Unavailable(
            "the ledger's writer has just changed; nothing was booked",
            next_step=_AGAIN,
            retry_after_s=1,
        )
    if not found.writer or not found.url:
        raise _no_writer(found, context)
    raise Elsewhere(found.url)


def _no_writer(found: Tenure, context: ApiContext) -> Unavailable:
    now = context.clock.now()
    left_s = 1.0 if found.until is None else (found.until - now).total_seconds()
    wait_s = min(RETRY_AFTER_S_MAX, max(1, math.ceil(left_s)))
    return Unavailable(
        "no process of the centre that can be reached writes the ledger now; nothing was booked",
        next_step=f"{_AGAIN} in {wait_s} s",
        retry_after_s=wait_s,
    )


async def _pass_on(request: Request, failure: Exception) -> Response:
    """Answer with what the writer answers, or say in a problem what became of the request."""
    assert isinstance(failure, Elsewhere)
    context = context_of(request)
    forwarder: Forwarder = request.app.state.forwarder
    sending = asyncio.ensure_future(forwarder.send(request, failure.url))
    try:
        answer = await _while_it_writes(sending, context, failure.url)
    except httpx.ConnectError as error:
        return _lost(request, context, "unreached", f"cannot be reached ({error})")
    except (httpx.HTTPError, Unavailable) as error:
        return _lost(request, context, "lost", f"gave no answer ({error or type(error).__name__})")
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    context.ledger_metrics.passed_on("answered")
    response = Response(answer.content, answer.status_code)
    for name, value in answer.headers.multi_items():
        if name.lower() not in _MADE_ANEW:
            response.headers.append(name, value)
    return response


async def _while_it_writes(
    sending: "asyncio.Future[httpx.Response]", context: ApiContext, url: str
) -> httpx.Response:
    """Return the answer; raise Unavailable once that process is known not to write any more."""
    while True:
        done, _ = await asyncio.wait((sending,), timeout=LOOK_EVERY_S)
        if done:
            return sending.result()
        found = context.writer.elsewhere
        if found is None or found.url != url:
            raise Unavailable("it does not write any more")


def _lost(request: Request, context: ApiContext, outcome: str, how: str) -> Response:
    context.writer.nudge()
    context.ledger_metrics.passed_on(outcome)
    fate = "nothing was booked" if outcome == "unreached" else "it may have been booked"
    _log.warning("a request was not passed on", extra={"path": request.url.path, "why": how})
    told = Unavailable(
        f"the process that writes the ledger {how}; {fate}",
        next_step=f"{_AGAIN}: another process takes over within {RETRY_AFTER_S_MAX} s",
        retry_after_s=2,
    )
    return problem_response(request.url.path, told)


def install_forwarding(app: FastAPI) -> None:
    """Let the application pass on what its handlers cannot do here."""
    app.state.forwarder = Forwarder()
    handler: Callable[[Request, Exception], Awaitable[Response]] = _pass_on
    app.add_exception_handler(Elsewhere, handler)


@asynccontextmanager
async def forwarding(app: FastAPI) -> AsyncIterator[None]:
    """Keep the forwarder's connections for as long as the application runs."""
    try:
        yield
    finally:
        await app.state.forwarder.close()
