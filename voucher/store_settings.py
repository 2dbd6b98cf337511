"""Reads how durable the database is told to be."""

from sqlalchemy import Connection, func, select

from voucher.store_rows import dialect

_SQLITE_SYNCHRONOUS = ("off", "normal", "full", "extra")


def durability_settings(connection: Connection) -> dict[str, str]:
    """Return the settings that decide whether a commit is on disk, by name, in lower case."""
    if dialect(connection) == "postgresql":
        names = ("fsync", "synchronous_commit")
        row = connection.execute(select(*(func.current_setting(name) for name in names))).one()
        return {name: str(value).lower() for name, value in zip(names, row, strict=True)}
    level = connection.exec_driver_sql("PRAGMA synchronous").scalar_one()
    return {"synchronous": _SQLITE_SYNCHRONOUS[level]}
