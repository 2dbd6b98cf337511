"""The command line's client, on an application in this process."""

from types import TracebackType
from typing import Any, Self

from api_client import World

from suanwang.errors import BadInput


class InProcess:
    """Sends what a command asks for, as the admin or with another key; a refusal is an error."""

    def __init__(self, world: World, key: str = "") -> None:
        self._world, self._key = world, key or world.admin

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def get(self, path: str, **params: Any) -> Any:
        """Return a JSON answer."""
        return self._taken(
            self._world.client.get(path, self._key, params=_given(params)), path
        ).json()

    def get_bytes(self, path: str, **params: Any) -> bytes:
        """Return a file."""
        answer = self._world.client.get(path, self._key, params=_given(params))
        return bytes(self._taken(answer, path).content)

    def post(self, path: str, body: Any = None, *, key: str = "") -> Any:
        """Return a JSON answer."""
        headers = {"Idempotency-Key": key} if key else {}
        answer = self._world.client.post(path, self._key, body, headers=headers)
        return self._taken(answer, path).json()

    def put(self, path: str, body: Any) -> Any:
        """Return a JSON answer."""
        answer = self._world.client.call("PUT", path, self._key, json=body)
        return self._taken(answer, path).json()

    def post_bytes(self, path: str, body: Any) -> bytes:
        """Return a file."""
        answer = self._world.client.post(path, self._key, body)
        return bytes(self._taken(answer, path).content)

    def _taken(self, answer: Any, path: str) -> Any:
        if answer.status_code >= 400:
            raise self.refusal(answer, path)
        return answer

    def refusal(self, answer: Any, path: str) -> Exception:
        """Return the error for a refused request."""
        return BadInput(answer.text)


def _given(params: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}
