"""The agent's line to the centre: outbound HTTP with the site's token, and nothing else.

An upload ends in one of three ways: taken, refused for good (``CentreRefused``: repeating it cannot
help), or not answered (``CentreUnreachable``: it is repeated, with growing pauses and jitter). A
wrong token counts as not answered, and nothing is uploaded before a greeting was answered: so a
mistake in a setting loses nothing.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import BinaryIO, Final, TypeVar

import aiohttp
from pydantic import BaseModel, ValidationError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.wait import wait_random_exponential

from suanwang.clock import Clock, to_epoch_ms
from suanwang.errors import SuanwangError, Unavailable
from suanwang.wire.agent import (
    Hello,
    LogReceipt,
    LogUpload,
    OrderAcks,
    OrderList,
    Receipt,
    ReportUpload,
    Welcome,
)
from suanwang.wire.batch import CLOCK_HEADER, CONTENT_TYPE

log = logging.getLogger(__name__)

TIMEOUT_S: Final = 30.0
LONG_POLL_S: Final = 20.0
PAUSE_S_MAX: Final = 30.0
RETRY_AFTER_S_MAX: Final = 300
"""Longest pause that the centre may ask for."""
PACKAGE_TIMEOUT_S: Final = 600.0
CHUNK: Final = 1 << 20
ANSWER_CHARS: Final = 500
JSON: Final = {"Content-Type": "application/json"}
_FOR_GOOD: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.CONFLICT,
        HTTPStatus.GONE,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)

Answer = TypeVar("Answer", bound=BaseModel)
Result = TypeVar("Result")


class CentreUnreachable(Unavailable):
    """The centre did not answer, or cannot answer now: try again."""


class CentreRefused(SuanwangError):
    """The centre will never take this."""

    code = "centre-refused"


class CentreChannel:
    """One site's channel. ``skew_s`` is the centre's clock minus ours, known after a greeting."""

    def __init__(self, url: str, token: str, clock: Clock) -> None:
        self._base = url.rstrip("/") + "/agent/v1"
        self._token = token
        self._clock = clock
        self._http: aiohttp.ClientSession | None = None
        self.skew_s = 0.0

    async def hello(self, greeting: Hello) -> Welcome:
        """Greet, and note how far the two clocks are apart (half the round trip is allowed for)."""
        started = self._clock.monotonic()
        welcome = await self._post("/hello", greeting, Welcome)
        travel = timedelta(seconds=(self._clock.monotonic() - started) / 2)
        self.skew_s = (welcome.clock + travel - self._clock.now()).total_seconds()
        return welcome

    async def send_telemetry(self, batch: bytes) -> Receipt:
        """Hand over a batch of ``suanwang.wire.batch``; the same id is recorded once."""
        headers = {"Content-Type": CONTENT_TYPE, CLOCK_HEADER: str(to_epoch_ms(self._clock.now()))}
        return _read(Receipt, await self._call("POST", "/telemetry", body=batch, headers=headers))

    async def orders(self, wait_s: float = LONG_POLL_S) -> OrderList:
        """Return orders that are not acknowledged, waiting up to ``wait_s`` for the first."""
        path = f"/orders?wait_s={wait_s:g}"
        return _read(OrderList, await self._call("GET", path, timeout_s=wait_s + TIMEOUT_S))

    async def acknowledge(self, ids: tuple[str, ...], late: tuple[str, ...] = ()) -> Receipt:
        """Tell the centre that these orders are on disk here, and which came too late."""
        return await self._post("/orders/ack", OrderAcks(ids=ids, late=late), Receipt)

    async def send_reports(self, upload: ReportUpload) -> Receipt:
        """Hand over reports on attempts."""
        return await self._post("/reports", upload, Receipt)

    async def send_output(self, upload: LogUpload) -> LogReceipt:
        """Hand over a piece of output; the receipt says where the next one should begin."""
        return await self._post("/logs", upload, LogReceipt)

    async def download(self, sha256: str, target: BinaryIO) -> None:
        """Write the bytes that the centre has under this digest; the caller checks them."""
        url = f"{self._base}/packages/{sha256}"
        timeout = aiohttp.ClientTimeout(total=PACKAGE_TIMEOUT_S)
        try:
            async with self._client().get(url, timeout=timeout) as answer:
                if answer.status != HTTPStatus.OK:
                    _check("GET", url, answer.status, await answer.text())
                async for chunk in answer.content.iter_chunked(CHUNK):
                    target.write(chunk)
        except (aiohttp.ClientError, TimeoutError, OSError) as failure:
            raise CentreUnreachable(_words("GET", url, failure)) from failure

    async def close(self) -> None:
        """Let go of connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def _post(self, path: str, body: BaseModel, answer: type[Answer]) -> Answer:
        return _read(answer, await self._call("POST", path, body=body.model_dump_json()))

    async def _call(
        self,
        method: str,
        path: str,
        *,
        body: str | bytes | None = None,
        headers: Mapping[str, str] = JSON,
        timeout_s: float = TIMEOUT_S,
    ) -> str:
        try:
            async with self._client().request(
                method,
                self._base + path,
                data=body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
            ) as answer:
                text, after = await answer.text(), answer.headers.get("Retry-After", "")
        except (aiohttp.ClientError, TimeoutError, OSError) as failure:
            raise CentreUnreachable(_words(method, self._base + path, failure)) from failure
        _check(method, self._base + path, answer.status, text, after)
        return text

    def _client(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(headers={"Authorization": f"Bearer {self._token}"})
        return self._http


def _words(method: str, url: str, failure: BaseException) -> str:
    return f"{method} {url}: {failure or type(failure).__name__}"


def _check(method: str, url: str, status: int, text: str, retry_after: str = "") -> None:
    if status < HTTPStatus.BAD_REQUEST:
        return
    words = f"{method} {url}: status {status}: {text[:ANSWER_CHARS]}"
    if status in _FOR_GOOD:
        raise CentreRefused(words, http_status=status)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise CentreUnreachable(
            words, next_step="check agent.token: it must be the token of this site"
        )
    pause_s = min(int(retry_after), RETRY_AFTER_S_MAX) if retry_after.isdigit() else 0
    raise CentreUnreachable(words, retry_after_s=pause_s)


def _read(model: type[Answer], text: str) -> Answer:
    try:
        return model.model_validate_json(text)
    except ValidationError as failure:
        raise CentreUnreachable(
            f"the answer is not a {model.__name__}: {failure}",
            next_step="is agent.centre_url the address of a Suanwang centre of this version?",
        ) from failure


def _log_retry(state: RetryCallState) -> None:
    failure = state.outcome.exception() if state.outcome else None
    next_step = getattr(failure, "next_step", "")
    log.warning(
        "the centre is not reached",
        extra={"try": state.attempt_number, "error": str(failure), "next_step": next_step},
    )


_BACKOFF: Final = wait_random_exponential(multiplier=0.5, max=PAUSE_S_MAX)


def _pause(state: RetryCallState) -> float:
    """Wait as long as the centre asked for, and then so much that not all come back at once."""
    failure = state.outcome.exception() if state.outcome else None
    asked = failure.facts.get("retry_after_s", 0) if isinstance(failure, CentreUnreachable) else 0
    return _BACKOFF(state) + (asked if isinstance(asked, int) else 0)


async def persist(call: Callable[[], Awaitable[Result]], clock: Clock) -> Result:
    """Make a call until the centre answers it, with growing pauses and jitter.

    CentreRefused is an answer, and raised. Cancel the task to give up.
    """
    retrying = AsyncRetrying(
        retry=retry_if_exception_type(CentreUnreachable),
        wait=_pause,
        sleep=clock.wait,
        before_sleep=_log_retry,
        reraise=True,
    )
    async for attempt in retrying:
        with attempt:
            return await call()
    raise AssertionError("retries never end without a result")
