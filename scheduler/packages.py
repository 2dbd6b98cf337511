"""Working directories and modules that jobs need: kept at the centre until a site fetches them.

A client names a package itself, so a name means something only within its tenant; what a site gets
is addressed by the digest of the bytes.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from scheduler import store_orders
from suanwang.errors import BadInput
from suanwang.ids import SiteId, TenantId

PACKAGE_BYTES_MAX: Final = 104_857_600
"""Ray's own limit for one package (100 MiB)."""
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,200}")
_SCHEME: Final = "gcs://"


def put_package(
    connection: Connection, tenant_id: TenantId, name: str, content: bytes, now: datetime
) -> str:
    """Store a package, in place of an older one of that name; return its SHA-256.

    Raises BadInput for a name that is not a plain file name, or more than 100 MiB.
    """
    if not _NAME.fullmatch(name):
        raise BadInput(f"{name!r} is not a package's name", next_step="use letters, digits, . _ -")
    if len(content) > PACKAGE_BYTES_MAX:
        raise BadInput(
            f"package {name} has {len(content)} bytes, allowed are {PACKAGE_BYTES_MAX}",
            next_step="exclude large files, or fetch data in the job",
        )
    return store_orders.put_package(connection, tenant_id, name, content, now)


def has_package(connection: Connection, tenant_id: TenantId, name: str) -> bool:
    """Return whether the tenant has stored a package of this name."""
    return bool(store_orders.package_digests(connection, tenant_id, [name]))


def package_by_digest(connection: Connection, site_id: SiteId, sha256: str) -> bytes:
    """Return a package's bytes for a site that runs a job of its owner; raise NotFound."""
    return store_orders.package_for_site(connection, site_id, sha256)


def package_uris(runtime_env: Mapping[str, object]) -> tuple[str, ...]:
    """Return the ``gcs://`` URIs that a runtime environment names."""
    return tuple(dict.fromkeys(_uris(runtime_env)))


def digests_of(
    connection: Connection, tenant_id: TenantId, runtime_env: Mapping[str, object]
) -> dict[str, str]:
    """Return URI → SHA-256 for each package of a runtime environment that is stored."""
    names = {uri.removeprefix(_SCHEME): uri for uri in package_uris(runtime_env)}
    if not names:
        return {}
    stored = store_orders.package_digests(connection, tenant_id, list(names))
    return {names[name]: digest for name, digest in stored.items()}


def _uris(value: object) -> Iterator[str]:
    if isinstance(value, str) and value.startswith(_SCHEME):
        yield value
    elif isinstance(value, Mapping):
        for key in ("working_dir", "py_modules"):
            yield from _uris(value.get(key))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _uris(part)
