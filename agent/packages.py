"""Packages of jobs at the site: fetched once from the centre, checked against their digest."""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from agent.executors.ray_packages import digest

log = logging.getLogger(__name__)

KEEP_BYTES: Final = 4 * 1024**3
"""Packages on disk in all; those not used for longest go first."""


class PackageSpoiled(Exception):
    """The bytes that came are not those that were asked for."""


class PackageServer(Protocol):
    """Where packages come from: ``agent.channel.CentreChannel``."""

    async def download(self, sha256: str, target: BinaryIO) -> None:
        """Write the bytes that are known under this digest."""


class PackageStore:
    """A folder of packages, each named by the SHA-256 of its bytes."""

    def __init__(self, folder: Path, server: PackageServer, keep_bytes: int = KEEP_BYTES) -> None:
        self._folder = folder
        self._server = server
        self._keep_bytes = keep_bytes
        self._lock = asyncio.Lock()

    async def fetch(self, digests: Mapping[str, str]) -> dict[str, Path]:
        """Return the file of each URI, given the digest of each.

        Raises PackageSpoiled where the bytes do not match, and what the server raises.
        """
        async with self._lock:
            return {uri: await self._fetch_one(sha256) for uri, sha256 in digests.items()}

    async def _fetch_one(self, sha256: str) -> Path:
        path = self._folder / sha256
        if await asyncio.to_thread(_touch, path):
            return path
        part = await asyncio.to_thread(self._make_room, sha256)
        with part.open("wb") as target:
            await self._server.download(sha256, target)
        found = await asyncio.to_thread(digest, part)
        if found != sha256:
            raise PackageSpoiled(f"asked for {sha256}, got bytes with the digest {found}")
        return await asyncio.to_thread(part.rename, path)

    def _make_room(self, sha256: str) -> Path:
        """Remove the packages that were not used for longest; return where to write the next."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        files = [(path.stat(), path) for path in self._folder.iterdir()]
        left = sum(stat.st_size for stat, _ in files)
        for stat, path in sorted(files, key=lambda pair: pair[0].st_mtime_ns):
            if left <= self._keep_bytes:
                break
            path.unlink()
            left -= stat.st_size
        return self._folder / f"{sha256}.part"


def _touch(path: Path) -> bool:
    """Mark a package as used now; return whether it is there."""
    if not path.exists():
        return False
    path.touch()
    return True
