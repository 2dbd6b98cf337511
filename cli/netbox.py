"""Reads a site out of NetBox over its REST API, page by page."""

import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from cli.output import Json
from suanwang.clock import Clock
from suanwang.errors import BadInput, NotFound, SuanwangError, Unauthorised, Unavailable

PAGE: Final = 200
PAGES_MAX: Final = 5_000
IDS_MAX: Final = 50
"""Most ids in one question."""
TRIES_MAX: Final = 4
WAIT_S_MAX: Final = 30.0
"""Longest that a NetBox which says 429 or 503 is waited for before it is asked again."""
TIMEOUT_S: Final = 30.0
TOKEN_BYTES_MAX: Final = 4_096
_LATER: Final = frozenset({429, 502, 503, 504})
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class NetboxAccess:
    """Where NetBox is, and what opens it; ``ca_file`` are authorities besides the system's."""

    url: str
    token: str
    ca_file: Path | None = None


def read_token(path: Path) -> str:
    """Return the token in a file; raise BadInput, in which it is never shown."""
    try:
        raw = path.read_bytes()
    except OSError as failure:
        raise BadInput(f"the token in {path} cannot be read: {failure.strerror}") from failure
    token = raw[:TOKEN_BYTES_MAX].decode("utf-8", errors="replace").strip()
    if not token or not token.isascii() or len(token.split()) != 1:
        raise BadInput(f"{path} must hold one line of text, the token")
    return token


class Netbox:
    """Asks one NetBox; every refusal becomes a domain error that says what to do."""

    def __init__(self, access: NetboxAccess, clock: Clock) -> None:
        import httpx

        self.url = access.url.rstrip("/")
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadInput(f"{access.url!r} is no address of a NetBox", next_step="https://…")
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise BadInput("a token is not sent over http://", next_step="use https://")
        self._clock = clock
        self._http = httpx.Client(
            headers={"Authorization": _credential(access.token), "Accept": "application/json"},
            timeout=TIMEOUT_S,
            verify=_trust(access.ca_file),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def site_number(self, slug: str) -> int:
        """Return NetBox's number of a site; raise NotFound that names those it shows us."""
        found = list(self.objects("sites", slug=slug))
        if len(found) == 1 and isinstance(found[0].get("id"), int):
            return int(found[0]["id"])
        names = ", ".join(sorted(str(one.get("slug")) for one in self.objects("sites"))[:20])
        raise NotFound(
            f"NetBox has no site {slug!r} that the token may see",
            next_step=f"--netbox-site is one of {names}" if names else "check the token's rights",
        )

    def site(self, slug: str, *, with_parts: bool = False) -> dict[str, list[Json]]:
        """Return everything of a site that an inventory is made of, by endpoint.

        Parts (modules and inventory items) are asked for by device: not every NetBox filters
        them by site.
        """
        number = self.site_number(slug)
        found = {
            endpoint: list(self.objects(endpoint, site_id=number))
            for endpoint in ("locations", "racks", "devices", "power-panels", "power-feeds")
        }
        types = {_nested_id(one, "device_type") for one in found["devices"]} - {0}
        found["device-types"] = [
            one
            for piece in _pieces(sorted(types))
            for one in self.objects("device-types", id=piece)
        ]
        devices = sorted(one["id"] for one in found["devices"] if isinstance(one.get("id"), int))
        for endpoint in ("modules", "inventory-items") if with_parts else ():
            found[endpoint] = [
                one for piece in _pieces(devices) for one in self.objects(endpoint, device_id=piece)
            ]
        return found

    def objects(self, endpoint: str, **query: object) -> Iterator[Json]:
        """Yield the objects of an endpoint in the order of their numbers.

        Pages are asked for by offset on our own address: ``next`` names the host by which NetBox
        knows itself, which may be another one, and the token goes nowhere else.
        """
        offset = 0
        for _ in range(PAGES_MAX):
            asked = {**query, "limit": PAGE, "offset": offset, "ordering": "id"}
            page = self._page(endpoint, asked)
            yield from page["results"]
            offset += len(page["results"])
            if page["next"] is None or not page["results"]:
                return
        raise Unavailable(f"{endpoint} of {self.url} does not end after {PAGES_MAX} pages")

    def _page(self, endpoint: str, query: Mapping[str, object]) -> Json:
        answer = self._get(f"{self.url}/api/dcim/{endpoint}/", query)
        try:
            page = json.loads(answer)
        except ValueError as failure:
            raise Unavailable(f"{self.url} answers something that is no JSON") from failure
        is_page = isinstance(page, dict) and isinstance(page.get("results"), list)
        if not is_page or not all(isinstance(one, dict) for one in page["results"]):
            raise Unavailable(
                f"{endpoint} of {self.url} is no list of a NetBox",
                next_step="--netbox is its address without /api",
            )
        return {"results": page["results"], "next": page.get("next")}

    def _get(self, url: str, query: Mapping[str, object]) -> str:
        import httpx

        for left in reversed(range(TRIES_MAX)):
            try:
                answer = self._http.get(url, params=dict(query))  # type: ignore[arg-type]
            except httpx.HTTPError as failure:
                if left == 0 or isinstance(failure, httpx.ConnectError):
                    raise Unavailable(
                        f"no answer from {self.url}: {failure or type(failure).__name__}",
                        next_step="check --netbox, the network and --ca-file",
                    ) from failure
                continue
            if answer.is_success:
                return answer.text
            if left == 0 or answer.status_code not in _LATER:
                raise self._refusal(answer.status_code, answer.text)
            self._clock.sleep(_wait_s(answer.headers.get("Retry-After")))
        raise AssertionError("the last try returns or raises")

    def _refusal(self, status: int, words: str) -> SuanwangError:
        if status in (401, 403):
            return Unauthorised(
                f"{self.url} refuses the token (status {status})",
                next_step="it needs the right to view dcim objects",
            )
        kind = Unavailable if status in _LATER else BadInput
        return kind(f"{self.url} answers status {status}: {' '.join(words.split())[:200]}")


def _credential(token: str) -> str:
    """Return the header's words: tokens of the second version name themselves."""
    return f"Bearer {token}" if token.startswith("nbt_") else f"Token {token}"


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=str(ca_file))
        except (OSError, ssl.SSLError) as failure:
            raise BadInput(f"{ca_file} holds no certificates in PEM: {failure}") from failure
    return context


def _wait_s(retry_after: str | None) -> float:
    """Return how long to wait; what is no number of seconds counts as one."""
    text = retry_after or ""
    return min(WAIT_S_MAX, float(text)) if text.isdecimal() else 1.0


def _nested_id(one: Json, name: str) -> int:
    nested = one.get(name)
    number = nested.get("id") if isinstance(nested, dict) else None
    return number if isinstance(number, int) else 0


def _pieces(numbers: Sequence[int]) -> Iterator[list[int]]:
    return (list(numbers[low : low + IDS_MAX]) for low in range(0, len(numbers), IDS_MAX))
