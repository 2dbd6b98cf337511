"""Whom a source believes over TLS: the system's authorities, a file of them, or one certificate."""

import ssl
from pathlib import Path

import aiohttp

from suanwang.errors import BadInput


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that checks certificates and names; raise BadInput for an unusable file."""
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as failure:
        raise BadInput(
            f"ca_file {ca_file} holds no certificates in PEM: {failure}", path=str(ca_file)
        ) from failure


def pinned(fingerprint: str) -> aiohttp.Fingerprint:
    """Return trust in the one certificate with this SHA-256 fingerprint (hex, colons allowed)."""
    return aiohttp.Fingerprint(bytes.fromhex(fingerprint.replace(":", "")))
