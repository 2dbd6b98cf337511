"""The part of ``suanwang collect probe`` for Redfish: such a device describes itself."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collectors.target import Target
    from suanwang.model.reading import Reading

PasswordFile = Annotated[
    Path | None, typer.Option(help="Redfish: file with the password of --user.")
]
CaFile = Annotated[Path | None, typer.Option(help="Redfish: certificates that are trusted.")]
Fingerprint = Annotated[
    str | None, typer.Option(help="Redfish: SHA-256 of the certificate that is trusted.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RedfishAccess:
    """As whom a BMC is read, and whom we trust to be it."""

    user: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    fingerprint: str | None = None


def redfish_settings(target: "Target", access: RedfishAccess) -> dict[str, object]:
    """Return the settings of a source that reads the device."""
    scheme = "http" if target.protocol == "redfish+http" else "https"
    host = f"[{target.host}]" if ":" in target.host else target.host
    given = {
        "username": access.user,
        "password_file": access.password_file,
        "ca_file": access.ca_file,
        "fingerprint": access.fingerprint,
    }
    return {
        "kind": "redfish",
        "name": "NAME",
        "url": f"{scheme}://{host}:{target.port}",
        "host": "ID",
        **{key: str(value) for key, value in given.items() if value is not None},
    }


def read_redfish(settings: dict[str, object]) -> "Sequence[Reading]":
    """Return what a Redfish device says now; raise SourceError or BadInput."""

    async def once() -> "Sequence[Reading]":
        from collectors.config import build_source, parse_source
        from suanwang.clock import SystemClock

        # Built inside the loop, in which its sessions will live.
        source = build_source(parse_source(settings), SystemClock())
        try:
            return await asyncio.wait_for(source.collect(), source.timeout_s)
        except TimeoutError as failure:
            from suanwang.errors import Unavailable

            text = f"{settings['url']} did not answer within {source.timeout_s:g} s"
            raise Unavailable(text) from failure
        finally:
            await source.close()

    return asyncio.run(once())
