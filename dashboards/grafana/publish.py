"""Pushes dashboards through Grafana's HTTP API; a repeat replaces what was pushed before."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlsplit

from suanwang.errors import BadInput, Forbidden, NotFound, SuanwangError, Unavailable

FOLDER_UID: Final = "suanwang"
FOLDER_TITLE: Final = "Suanwang 算网"
TIMEOUT_S: Final = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """A dashboard as Grafana took it: its id there, its path, and its version."""

    uid: str
    path: str
    version: int


class GrafanaPort(Protocol):
    """What is asked of Grafana; the adapter below speaks its HTTP API by grafana-client."""

    def ensure_folder(self, uid: str, title: str) -> None:
        """Make the folder unless it is there."""

    def push(self, dashboard: dict[str, object], folder_uid: str, message: str) -> Pushed:
        """Create the dashboard, or replace the one with its uid."""


class GrafanaHttp:
    """Grafana behind ``url`` with a service account's token."""

    def __init__(self, url: str, token: str) -> None:
        from grafana_client.api import GrafanaApi
        from grafana_client.client import TokenAuth

        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadInput(
                f"{url!r} is not the address of a Grafana",
                next_step="write it such as http://grafana.example.org:3000",
            )
        self._url = url
        self._api = GrafanaApi(
            TokenAuth(token),
            host=parts.hostname,
            port=parts.port,
            url_path_prefix=parts.path.strip("/"),
            protocol=parts.scheme,
            timeout=TIMEOUT_S,
        )

    def ensure_folder(self, uid: str, title: str) -> None:
        """Make the folder unless it is there; raise Forbidden or Unavailable."""
        try:
            self._call(lambda: self._api.folder.get_folder(uid))
        except NotFound:
            self._call(lambda: self._api.folder.create_folder(title, uid))

    def push(self, dashboard: dict[str, object], folder_uid: str, message: str) -> Pushed:
        """Create or replace the dashboard; raise Forbidden or Unavailable."""
        body = {
            "dashboard": {**dashboard, "id": None},
            "folderUid": folder_uid,
            "overwrite": True,
            "message": message,
        }
        answer = self._call(lambda: self._api.dashboard.update_dashboard(body))
        return Pushed(
            uid=str(answer["uid"]), path=str(answer["url"]), version=int(str(answer["version"]))
        )

    def _call(self, request: Callable[[], dict[str, object]]) -> dict[str, object]:
        from grafana_client.client import GrafanaException

        try:
            return request()
        except GrafanaException as failure:
            raise self._error(failure.status_code, str(failure.message)) from failure
        except OSError as failure:
            raise self._error(0, str(failure)) from failure

    def _error(self, status: int, message: str) -> SuanwangError:
        if status in (401, 403):
            return Forbidden(
                f"Grafana at {self._url} refuses the token ({status})",
                next_step="use a service account with the role Editor",
            )
        if status == 404:
            return NotFound(f"Grafana at {self._url} has no such thing: {message}")
        if status == 0 or status >= 500:
            return Unavailable(f"Grafana at {self._url} does not answer ({status}): {message}")
        return SuanwangError(f"Grafana at {self._url} refuses ({status}): {message}")


def publish(
    grafana: GrafanaPort, dashboards: Mapping[str, dict[str, object]], message: str
) -> tuple[Pushed, ...]:
    """Put every dashboard into the product's folder and return what Grafana made of each."""
    grafana.ensure_folder(FOLDER_UID, FOLDER_TITLE)
    return tuple(grafana.push(board, FOLDER_UID, message) for board in dashboards.values())
