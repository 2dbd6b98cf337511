"""Dashboards travel through Grafana's HTTP API: a real HTTP server on loopback plays its part."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dashboards.grafana import boards
from dashboards.grafana.publish import FOLDER_UID, GrafanaHttp, publish
from suanwang.errors import BadInput, Forbidden, Unavailable

TOKEN = "glsa_right"


class GrafanaServer(ThreadingHTTPServer):
    """Folders and dashboards in memory, behind the routes that Grafana documents."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folders: dict[str, str] = {}
        self.boards: dict[str, dict[str, object]] = {}
        self.versions: dict[str, int] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: GrafanaServer

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""

    def answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def is_known(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {TOKEN}":
            return True
        self.answer(401, {"message": "Invalid API key"})
        return False

    def do_GET(self) -> None:
        if not self.is_known():
            return
        uid = self.path.removeprefix("/api/folders/")
        if uid in self.server.folders:
            self.answer(200, {"uid": uid, "title": self.server.folders[uid]})
        else:
            self.answer(404, {"message": "folder not found"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.is_known():
            return
        if self.path == "/api/folders":
            self.server.folders[body["uid"]] = body["title"]
            self.answer(200, body)
            return
        assert self.path == "/api/dashboards/db"
        board, uid = body["dashboard"], body["dashboard"]["uid"]
        if body["folderUid"] not in self.server.folders:
            self.answer(400, {"message": "folder not found"})
            return
        if uid in self.server.boards and not body["overwrite"]:
            self.answer(412, {"message": "name-exists"})
            return
        self.server.boards[uid] = board
        self.server.versions[uid] = self.server.versions.get(uid, 0) + 1
        version = self.server.versions[uid]
        self.answer(
            200, {"uid": uid, "url": f"/d/{uid}/x", "version": version, "status": "success"}
        )


@pytest.fixture
def grafana() -> Iterator[GrafanaServer]:
    server = GrafanaServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_dashboards_arrive_in_the_products_folder(grafana: GrafanaServer) -> None:
    pushed = publish(GrafanaHttp(grafana.url, TOKEN), boards.build_all(), "first")
    assert [board.uid for board in pushed] == [boards.OVERVIEW_UID]
    assert FOLDER_UID in grafana.folders
    assert grafana.boards[boards.OVERVIEW_UID]["panels"]


def test_a_repeat_replaces_the_dashboard(grafana: GrafanaServer) -> None:
    port = GrafanaHttp(grafana.url, TOKEN)
    publish(port, boards.build_all(), "first")
    second = publish(port, boards.build_all(), "second")
    assert [board.version for board in second] == [2]
    assert len(grafana.boards) == 1


def test_a_wrong_token_is_named(grafana: GrafanaServer) -> None:
    with pytest.raises(Forbidden, match="refuses the token"):
        publish(GrafanaHttp(grafana.url, "glsa_wrong"), boards.build_all(), "x")


def test_a_grafana_that_is_not_there_is_named() -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        publish(GrafanaHttp("http://127.0.0.1:9", TOKEN), boards.build_all(), "x")


def test_an_address_without_a_scheme_is_refused() -> None:
    with pytest.raises(BadInput, match="not the address of a Grafana"):
        GrafanaHttp("grafana.example.org", TOKEN)
