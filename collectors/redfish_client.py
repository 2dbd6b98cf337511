"""Talks HTTP to one BMC as sparingly as BMCs need it.

Most BMCs keep eight sessions, forget to end them, answer in 3 to 30 s and lock an account after a
few wrong passwords. So: one session that is used for all and ended on closing, at most two requests
in flight, unchanged resources not sent twice, and a refused password not tried again at once.
"""

import asyncio
import logging
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import aiohttp

from collectors.http_port import HttpPort
from collectors.json_values import parse_json
from collectors.redfish_readings import path_of
from collectors.sources.port import SourceError
from suanwang.clock import Clock

IN_FLIGHT_MAX: Final = 2
"""Most requests that one BMC gets at a time, from all sources together."""
LOGIN_S_MAX: Final = 60.0
"""Longest that a login may take: longer than a poll, since a login given up leaks a session."""
LOGOUT_S_MAX: Final = 2.0
"""Longest that closing waits for a login under way, and for the answer to the logout."""
REFUSED_S: Final = 900.0
"""How long a refused password is not tried again, since a few tries lock the account."""
BODY_BYTES_MAX: Final = 4 * 1024 * 1024
CACHED_MAX: Final = 2_000
"""Most resources whose last answer is kept for its ETag."""

SESSIONS: Final = "/redfish/v1/SessionService/Sessions"
_LIMIT_WORDS: Final = ("SessionLimitExceeded", "CreateLimitReachedForResource")

_log = logging.getLogger(__name__)


class RedfishFailure(SourceError):
    """A BMC did not give what was asked; ``http_status`` is its answer, 0 if there was none."""

    def __init__(
        self, message: str, *, url: str, http_status: int = 0, next_step: str = ""
    ) -> None:
        super().__init__(message, next_step=next_step, url=url, http_status=http_status)
        self.http_status = http_status


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where a BMC is, and how to get in. The password stays in its file until it is needed."""

    url: str
    username: str = ""
    password_file: Path | None = None
    auth: Literal["session", "basic"] = "session"
    timeout_s: float = 25.0
    tls: ssl.SSLContext | aiohttp.Fingerprint | bool = field(default=True, repr=False)


@dataclass(frozen=True, slots=True)
class _Session:
    token: str = field(repr=False)
    path: str


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    etag: str
    token: str = field(repr=False)
    location: str

    @property
    def session_path(self) -> str:
        """Where the session that a login opened can be ended; the path alone counts."""
        path = urlsplit(self.location).path
        if path.startswith("/redfish/"):
            return path
        try:
            return path_of(parse_json(self.body))
        except ValueError:
            return ""


@dataclass(frozen=True, slots=True)
class _Kept:
    etag: str
    document: object


class RedfishClient:
    """Reads resources of one BMC, for all sources that name it; the last to close ends the session.

    ``gate`` is shared by everything that talks to the address, ``http`` by all BMCs.
    """

    def __init__(
        self, access: Access, gate: asyncio.Semaphore, clock: Clock, http: HttpPort
    ) -> None:
        self._access = access
        self._gate = gate
        self._clock = clock
        self._http = http
        self._users = 0
        self._session: _Session | None = None
        self._login: asyncio.Task[_Session] | None = None
        self._refused: tuple[str, float] | None = None
        self._kept: dict[str, _Kept] = {}

    @property
    def url(self) -> str:
        """The BMC's address, for messages."""
        return self._access.url

    def hold(self) -> None:
        """Count one more user."""
        if not self._users:
            self._http.enter()
        self._users += 1

    async def get(self, path: str, *, is_kept: bool = True) -> object:
        """Return a resource; raise RedfishFailure. A session that has ended is opened anew.

        ``is_kept`` resources are remembered, so that an unchanged one need not be sent again.
        """
        session = await self._entered()
        try:
            return await self._read(path, session, is_kept=is_kept)
        except RedfishFailure as failure:
            if failure.http_status != 401 or session is None:
                raise
        if self._session is session:
            self._session = None
        return await self._read(path, await self._entered(), is_kept=is_kept)

    async def release(self) -> None:
        """Count one user less; with the last one the session ends."""
        self._users -= 1
        if self._users > 0:
            return
        session = self._session or await self._late_session()
        self._session = None
        try:
            if session and session.path:
                await self._leave(session)
            elif session:
                _log.warning("a BMC did not say how to end our session", extra={"url": self.url})
        finally:
            await self._http.leave()

    async def _late_session(self) -> _Session | None:
        """Return the session of a login that is still under way, if it comes in time."""
        task, self._login = self._login, None
        if task is None:
            return None
        await asyncio.wait({task}, timeout=LOGOUT_S_MAX)
        if task.done() and not task.cancelled() and task.exception() is None:
            return task.result()
        task.cancel()
        return None

    async def _leave(self, session: _Session) -> None:
        try:
            async with self._http.session.delete(
                self._access.url + session.path,
                headers={"X-Auth-Token": session.token},
                timeout=aiohttp.ClientTimeout(total=LOGOUT_S_MAX),
                allow_redirects=False,
                ssl=self._access.tls,
            ) as answer:
                status = answer.status
        except (aiohttp.ClientError, OSError, TimeoutError) as failure:
            _log.warning(
                "a Redfish session may still be open",
                extra={"url": self.url, "error": str(failure) or type(failure).__name__},
            )
            return
        if status >= 400:
            _log.warning("a BMC did not end our session", extra={"url": self.url, "status": status})

    async def _entered(self) -> _Session | None:
        """Return the session, opened if need be; None where the BMC wants none.

        The login runs on when the poll is given up: the BMC has opened the session all the same,
        and the next poll uses it instead of opening another one.
        """
        if not self._access.username or self._access.auth == "basic":
            return None
        if self._session:
            return self._session
        if self._login is None:
            self._login = asyncio.create_task(self._log_in(), name=f"login {self.url}")
            self._login.add_done_callback(self._logged_in)
        return await asyncio.shield(self._login)

    def _logged_in(self, task: asyncio.Task[_Session]) -> None:
        if self._login is task:
            self._login = None
            if not task.cancelled() and task.exception() is None:
                self._session = task.result()

    async def _log_in(self) -> _Session:
        password = self._password()
        now = self._clock.monotonic()
        if self._refused and self._refused[0] == password and now - self._refused[1] < REFUSED_S:
            raise self._wrong_password()
        body = {"UserName": self._access.username, "Password": password}
        answer = await self._send("POST", SESSIONS, {}, LOGIN_S_MAX, body=body)
        if answer.status == 401:
            self._refused = (password, now)
            raise self._wrong_password()
        if answer.status not in (200, 201) or not answer.token:
            raise self._no_session(answer)
        return _Session(answer.token, answer.session_path)

    def _wrong_password(self) -> RedfishFailure:
        return RedfishFailure(
            f"{self.url} refuses user {self._access.username!r} or the password in "
            f"{self._access.password_file}",
            next_step=f"put the right password there; the same one is tried again after "
            f"{REFUSED_S:.0f} s, so that the account is not locked",
            url=self.url,
            http_status=401,
        )

    def _no_session(self, answer: "_Answer") -> RedfishFailure:
        text = answer.body.decode("utf-8", "replace")
        if answer.status == 503 or any(word in text for word in _LIMIT_WORDS):
            return RedfishFailure(
                f"{self.url} opens no further session (status {answer.status})",
                next_step="end sessions that others left open, or set auth: basic",
                url=self.url,
                http_status=answer.status,
            )
        return RedfishFailure(
            f"{self.url} opened no session: status {answer.status}"
            f"{'' if answer.token else ' without a token'}",
            next_step="set auth: basic if it has no session service",
            url=self.url,
            http_status=answer.status,
        )

    def _password(self) -> str:
        file = self._access.password_file
        try:
            return file.read_text(encoding="utf-8").strip() if file else ""
        except (OSError, UnicodeDecodeError) as failure:
            raise RedfishFailure(
                f"the password for {self.url} cannot be read from {file}: {type(failure).__name__}",
                next_step="check the file and its owner",
                url=self.url,
            ) from failure

    async def _read(self, path: str, session: _Session | None, *, is_kept: bool) -> object:
        headers = self._credentials(session)
        if path in self._kept:
            headers["If-None-Match"] = self._kept[path].etag
        answer = await self._send("GET", path, headers, self._access.timeout_s)
        kept = self._kept.get(path)
        if answer.status == 304 and kept:
            return kept.document
        if answer.status != 200:
            raise self._refusal(path, answer.status)
        try:
            document = parse_json(answer.body)
        except ValueError as failure:
            raise RedfishFailure(
                f"{self.url}{path} sent {len(answer.body)} bytes that are not JSON: {failure}",
                url=self.url,
                http_status=answer.status,
            ) from failure
        # An expanded answer may carry the ETag of its outermost resource alone, which stays the
        # same while the numbers inside change.
        if answer.etag and is_kept and "?" not in path and len(self._kept) < CACHED_MAX:
            self._kept[path] = _Kept(answer.etag, document)
        return document

    def _credentials(self, session: _Session | None) -> dict[str, str]:
        if session:
            return {"X-Auth-Token": session.token}
        if self._access.username:
            return {
                "Authorization": aiohttp.BasicAuth(
                    self._access.username, self._password(), "utf-8"
                ).encode()
            }
        return {}

    def _refusal(self, path: str, status: int) -> RedfishFailure:
        words = {
            401: "wants a credential",
            403: "does not let this user read it",
            404: "does not know it",
            503: "is busy",
        }.get(status, "did not give it")
        return RedfishFailure(
            f"{self.url}{path}: the BMC {words} (status {status})",
            next_step="check user and password_file" if status in (401, 403) else "",
            url=self.url,
            http_status=status,
        )

    async def _send(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        timeout_s: float,
        *,
        body: dict[str, str] | None = None,
    ) -> _Answer:
        """Send one request when the gate lets it; raise RedfishFailure where none is answered.

        Redirects are not followed: they would hand the credential to another host.
        """
        url = self._access.url + path
        try:
            async with (
                self._gate,
                self._http.session.request(
                    method,
                    url,
                    headers=headers,
                    json=body,
                    timeout=aiohttp.ClientTimeout(total=timeout_s),
                    allow_redirects=False,
                    ssl=self._access.tls,
                ) as answer,
            ):
                return _Answer(
                    status=answer.status,
                    body=await _body(answer, url),
                    etag=answer.headers.get("ETag", ""),
                    token=answer.headers.get("X-Auth-Token", ""),
                    location=answer.headers.get("Location", ""),
                )
        except TimeoutError as failure:
            raise RedfishFailure(
                f"{url} did not answer within {timeout_s:g} s", url=self.url
            ) from failure
        except aiohttp.ServerFingerprintMismatch as failure:
            raise RedfishFailure(
                f"{self.url} shows a certificate with fingerprint {failure.got.hex()}, not "
                f"{failure.expected.hex()}",
                next_step="set fingerprint anew if the certificate was renewed on purpose",
                url=self.url,
            ) from failure
        except aiohttp.ClientConnectorCertificateError as failure:
            raise RedfishFailure(
                f"the certificate of {self.url} is not trusted: {failure.certificate_error}",
                next_step="name its authority in ca_file, or pin it with fingerprint",
                url=self.url,
            ) from failure
        except (aiohttp.ClientError, OSError, ValueError) as failure:
            words = str(failure) or type(failure).__name__
            raise RedfishFailure(f"{url} cannot be read: {words}", url=self.url) from failure


async def _body(answer: aiohttp.ClientResponse, url: str) -> bytes:
    body = bytearray()
    async for piece in answer.content.iter_chunked(65_536):
        body += piece
        if len(body) > BODY_BYTES_MAX:
            raise RedfishFailure(f"{url} sends more than {BODY_BYTES_MAX} bytes", url=url)
    return bytes(body)
