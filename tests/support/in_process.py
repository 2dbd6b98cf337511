"""The command line's client, on an application in this process."""

from types import TracebackType
from typing import Any, Self

from api_client import World

from suanwang.errors import BadInput


class InProcess:
    """Sends what a command asks for as the admin; a refusal comes as an error of ours."""

    def __init__(self, world: World) -> None:
        self._world = world

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
        sent = {name: value for name, value in params.items() if value is not None}
        answer = self._world.client.get(path, self._world.admin, params=sent)
        if answer.status_code >= 400:
            raise BadInput(answer.text)
        return answer.json()

    def post(self, path: str, body: Any) -> Any:
        """Return a JSON answer."""
        answer = self._world.client.post(path, self._world.admin, body)
        if answer.status_code >= 400:
            raise BadInput(answer.text)
        return answer.json()
