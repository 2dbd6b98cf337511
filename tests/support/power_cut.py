"""A disk whose power can be cut: what was written and not synced may be gone, in any order.

SQLite writes through a file system of ours (apsw), which keeps of every file what was synced and
what was written since. ``Disk.after_cut`` says what a computer would find after a power cut: all
that was synced, and of the rest whichever sectors happened to reach the disk.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

import apsw
from sqlalchemy import Connection as SqlConnection
from sqlalchemy import Engine, StaticPool, create_engine, event

SECTOR: Final = 512


class Image:
    """One file: as it reads now, as it was synced, and the writes in between."""

    def __init__(self) -> None:
        self.now = bytearray()
        self.synced: bytes | None = None
        self.pending: list[tuple[int, bytes]] = []

    def write(self, offset: int, data: bytes) -> None:
        """Change what reads; nothing of it is durable yet."""
        _put(self.now, offset, data)
        first = offset - offset % SECTOR
        for start in range(first, offset + len(data), SECTOR):
            low, high = max(start, offset), min(start + SECTOR, offset + len(data))
            self.pending.append((low, data[low - offset : high - offset]))

    def sync(self) -> None:
        """Make all of it durable."""
        self.synced = bytes(self.now)
        self.pending.clear()


class Disk:
    """Every file that SQLite has."""

    def __init__(self) -> None:
        self.files: dict[str, Image] = {}

    def image(self, name: str) -> Image:
        """Return a file, made when it is not there."""
        return self.files.setdefault(name, Image())

    def wrote(self) -> None:
        """Called after every write; a test may look at the disk then."""

    def after_cut(self, random: Random, share: float) -> dict[str, bytes]:
        """Return the files after a power cut; of unsynced sectors ``share`` reached the disk."""
        found = {}
        for name, image in self.files.items():
            if image.synced is None and not share:
                continue
            content = bytearray(image.synced or b"")
            for offset, data in image.pending:
                if random.random() < share:
                    _put(content, offset, data)
            found[name] = bytes(content)
        return found


class _File(apsw.VFSFile):
    def __init__(self, base: str, name: Any, flags: list[int], disk: Disk) -> None:
        super().__init__(base, name, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        self.disk = disk
        self.image = disk.image(path)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        super().xWrite(data, offset)
        self.image.write(offset, bytes(data))
        self.disk.wrote()

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's name
        super().xTruncate(newsize)
        del self.image.now[newsize:]

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        self.image.sync()


class _FileSystem(apsw.VFS):
    def __init__(self, name: str, disk: Disk) -> None:
        super().__init__(name, "")
        self.disk = disk

    def xOpen(self, name: Any, flags: list[int]) -> _File:  # noqa: N802 - SQLite's name
        return _File("", name, flags, self.disk)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - SQLite's name
        super().xDelete(filename, syncdir)
        self.disk.files.pop(filename, None)


def open_on_disk(path: Path, disk: Disk) -> Engine:
    """Return an engine with one connection whose files lie on ``disk``."""
    system = _FileSystem(f"power-cut-{path}", disk)
    database = apsw.Connection(str(path), vfs=f"power-cut-{path}")
    database.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 1)
    for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL"):
        database.execute(f"PRAGMA {pragma}").fetchall()
    connection = _Connection(database, system)
    engine = create_engine(
        "sqlite://", module=_Driver, creator=lambda: connection, poolclass=StaticPool
    )

    def begin(opened: SqlConnection) -> None:
        opened.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine, "begin", begin)
    return engine


def set_pragma(engine: Engine, pragma: str) -> None:
    """Change a setting outside of a transaction."""
    raw = engine.raw_connection()
    raw.cursor().execute(f"PRAGMA {pragma}")
    raw.close()


def _put(content: bytearray, offset: int, data: bytes) -> None:
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


# --- apsw as SQLAlchemy wants a driver ----------------------------------------------------------


class _Driver:
    """The module-level names that SQLAlchemy looks for."""

    paramstyle = "qmark"
    sqlite_version_info = tuple(map(int, apsw.sqlite_lib_version().split(".")))
    sqlite_version = apsw.sqlite_lib_version()
    Error = DatabaseError = OperationalError = InterfaceError = apsw.Error
    IntegrityError = apsw.ConstraintError
    ProgrammingError = NotSupportedError = InternalError = DataError = apsw.Error
    Binary = bytes


class _Cursor:
    def __init__(self, database: apsw.Connection) -> None:
        self._database = database
        self._rows: list[tuple[Any, ...]] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid = 0
        self.arraysize = 1

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> None:
        cursor = self._database.cursor()
        self.description = None
        cursor.exec_trace = self._describe
        self._rows = list(cursor.execute(statement, tuple(parameters)))
        self.rowcount = self._database.changes()

    def executemany(self, statement: str, many: Iterable[Sequence[Any]]) -> None:
        changed = 0
        for parameters in many:
            self.execute(statement, parameters)
            changed += self.rowcount
        self.rowcount = changed

    def _describe(self, cursor: apsw.Cursor, _statement: str, _parameters: Any) -> bool:
        columns = cursor.get_description()
        self.description = [(name, *[None] * 6) for name, *_ in columns] or None
        return True

    def fetchone(self) -> tuple[Any, ...] | None:
        return self._rows.pop(0) if self._rows else None

    def fetchmany(self, size: int = 1) -> list[tuple[Any, ...]]:
        page, self._rows = self._rows[:size], self._rows[size:]
        return page

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.fetchmany(len(self._rows))

    def close(self) -> None:
        self._rows = []


class _Connection:
    isolation_level = None

    def __init__(self, database: apsw.Connection, system: _FileSystem) -> None:
        self._database = database
        self._system = system

    def cursor(self) -> _Cursor:
        return _Cursor(self._database)

    def create_function(self, *_arguments: Any, **_options: Any) -> None:
        """SQLAlchemy makes functions for regular expressions, which nothing here uses."""

    def commit(self) -> None:
        if self._database.in_transaction:
            self._database.execute("COMMIT")

    def rollback(self) -> None:
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")

    def close(self) -> None:
        self._database.close()
