"""The HTTP client of the command line: one call, one clear error."""

from collections.abc import Callable
from types import TracebackType
from typing import BinaryIO, Final, Self

from cli.output import Json
from suanwang.errors import (
    BadInput,
    Conflict,
    Forbidden,
    NotFound,
    Refused,
    SuanwangError,
    Unauthorised,
    Unavailable,
)

TIMEOUT_S: Final = 30.0
FILE_TIMEOUT_S: Final = 300.0
"""Longest that the centre may take to read and check a file."""
SENDS_MAX: Final = 3
"""How often a request under a key is sent until an answer arrives."""
_ERRORS: Final[dict[int, type[SuanwangError]]] = {
    400: BadInput,
    401: Unauthorised,
    402: Refused,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: Conflict,
    413: BadInput,
    422: BadInput,
    429: Unavailable,
    503: Unavailable,
}


class Client:
    """Calls the centre with an API key; every refusal becomes the domain error of its status.

    With ``new_key`` each POST and PUT goes under a key of its own, so that one whose answer was
    lost on the way is sent again: it is done once, and the first answer comes back.
    """

    def __init__(self, url: str, api_key: str, new_key: Callable[[], str] | None = None) -> None:
        import httpx

        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self.url = url.rstrip("/")
        self.api_key = api_key
        self._new_key = new_key
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def get(self, path: str, **params: str | int | float | None) -> Json:
        """Return the JSON answer to a GET; parameters that are None are left out."""
        sent = {name: value for name, value in params.items() if value is not None}
        return self._call("GET", path, params=sent)

    def post(self, path: str, body: Json = None, *, key: str = "") -> Json:
        """Return the JSON answer to a POST; ``key`` makes a repeat harmless."""
        headers = {"Idempotency-Key": key} if key else {}
        return self._call("POST", path, json=body, headers=headers)

    def put_bytes(self, path: str, content: bytes) -> None:
        """Send bytes by PUT."""
        self._call("PUT", path, content=content)

    def put(self, path: str, body: Json = None) -> Json:
        """Return the JSON answer to a PUT."""
        return self._call("PUT", path, json=body)

    def delete(self, path: str, **params: str) -> Json:
        """Return the JSON answer to a DELETE."""
        return self._call("DELETE", path, params=params)

    def post_file(self, path: str, content: bytes, media_type: str, **params: str | bool) -> Json:
        """Return the JSON answer to a POST of a file's bytes."""
        headers = {"Content-Type": media_type}
        options = {"content": content, "headers": headers, "params": params}
        return self._call("POST", path, timeout=FILE_TIMEOUT_S, **options)

    def get_bytes(self, path: str, **params: str | None) -> bytes:
        """Return the file that answers a GET; parameters that are None are left out."""
        sent = {name: value for name, value in params.items() if value is not None}
        return bytes(self._send("GET", path, params=sent).content)

    def get_table(self, path: str, **params: str | None) -> tuple[bytes, str]:
        """Return the file that answers a GET, and the id after which the next begins, if any."""
        sent = {name: value for name, value in params.items() if value is not None}
        answer = self._send("GET", path, params=sent)
        return bytes(answer.content), str(answer.headers.get("X-Next-After", ""))

    def download(self, path: str, file: BinaryIO) -> None:
        """Write the answer to a GET into a file as it comes, however long it is."""
        import httpx

        try:
            with self._http.stream("GET", path) as answer:
                if answer.is_error:
                    answer.read()
                    raise error_of(answer.status_code, answer.text, path)
                for piece in answer.iter_bytes():
                    file.write(piece)
        except httpx.HTTPError as failure:
            raise Unavailable(
                f"{self.url} broke off: {failure or type(failure).__name__}",
                next_step="the file is not whole; ask again",
            ) from failure

    def post_bytes(self, path: str, body: Json) -> bytes:
        """Return the file that answers a POST."""
        return bytes(self._send("POST", path, json=body).content)

    def exists(self, path: str) -> bool:
        """Return whether a GET finds something there."""
        try:
            self._call("GET", path)
        except NotFound:
            return False
        return True

    def _call(self, method: str, path: str, **options: Json) -> Json:
        answer = self._send(method, path, **options)
        return answer.json() if answer.content else None

    def _send(self, method: str, path: str, **options: Json) -> Json:
        import httpx

        if self._new_key is not None and method in ("POST", "PUT"):
            headers = {"Idempotency-Key": self._new_key(), **(options.get("headers") or {})}
            options = {**options, "headers": headers}
        try:
            answer = self._request(method, path, **options)
        except httpx.HTTPError as failure:
            raise Unavailable(
                f"no answer from {self.url}: {failure or type(failure).__name__}",
                next_step="start it with `suanwang up`, or name another one with --url",
            ) from failure
        if answer.is_success:
            return answer
        raise error_of(answer.status_code, answer.text, path)

    def _request(self, method: str, path: str, **options: Json) -> Json:
        """Send, and send again what has a key and whose answer did not arrive."""
        import httpx

        sends = 1 if self._new_key is None else SENDS_MAX
        for left in reversed(range(sends)):
            try:
                return self._http.request(method, path, **options)
            except httpx.TransportError as failure:
                # Where no connection came about, nothing was asked, and asking at once is in vain.
                if left == 0 or isinstance(failure, httpx.ConnectError):
                    raise
        raise AssertionError("the last send returns or raises")


def error_of(status: int, text: str, path: str) -> SuanwangError:
    """Return the error that an answer of the centre tells."""
    import json

    try:
        problem = json.loads(text)
        detail = str(problem.get("detail") or problem.get("title") or text)
        next_step = str(problem.get("next_step") or "")
        facts = problem.get("facts") if isinstance(problem.get("facts"), dict) else {}
    except (ValueError, AttributeError):
        detail, next_step, facts = text.strip()[:500] or f"status {status}", "", {}
    kind = _ERRORS.get(status, SuanwangError)
    safe = {f"fact_{name}": value for name, value in facts.items()}
    return kind(f"{detail}" if status != 404 else f"{detail} ({path})", next_step=next_step, **safe)
