"""A POST that says plainly whether it arrived."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import httpx

from alerts.channels.port import DeliveryFailed

IN_VAIN: Final = frozenset({400, 413, 415, 422})
"""Answers that the same message will get again."""
ANSWER_BYTES: Final = 500


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    ca_file: Path | None,
    timeout_s: float,
) -> None:
    """Send a JSON body; raise DeliveryFailed. Redirects are not followed, proxies not used."""
    # What follows a question mark is often a secret, and this name goes into the log.
    name = url.partition("?")[0]
    sent = {"Content-Type": "application/json", "User-Agent": "suanwang"} | dict(headers)
    try:
        with (
            httpx.Client(verify=_trust(url, ca_file), timeout=timeout_s, trust_env=False) as client,
            client.stream("POST", url, content=body, headers=sent) as answer,
        ):
            if answer.is_success:
                return
            said = next(answer.iter_bytes(ANSWER_BYTES), b"").decode(errors="replace")
    except httpx.HTTPError as failure:
        raise DeliveryFailed(f"{name}: {failure or type(failure).__name__}") from failure
    words = " ".join(said.split())
    raise DeliveryFailed(
        f"{name} answered {answer.status_code}: {words}".rstrip(": "),
        is_final=answer.status_code in IN_VAIN,
    )


def _trust(url: str, ca_file: Path | None) -> ssl.SSLContext | bool:
    """Return who may vouch for the server; loading that is dear, and plain HTTP needs none."""
    if url.startswith("http://"):
        return False
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as failure:
        raise DeliveryFailed(f"{ca_file} is no file of authorities: {failure}") from failure
