"""Resources and nodes of a Ray cluster, by the HTTP API of its dashboard."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from collectors import ray_readings
from collectors.json_values import parse_json
from collectors.sources.port import Pace, SourceError
from suanwang.clock import Clock
from suanwang.model.reading import Reading

BYTES_MAX: Final = 16 * 1024 * 1024
STATUS: Final = "/api/cluster_status"
NODES: Final = "/api/v0/nodes?limit=10000"


@dataclass(frozen=True, slots=True, kw_only=True)
class RayDashboard:
    """Where the dashboard is; ``token_file`` holds the cluster's token, read for each poll."""

    url: str
    cluster: str
    token_file: Path | None = None


class RaySource:
    """One cluster; the subjects are ``ray:<cluster>`` and ``raynode:<cluster>:<node>``."""

    def __init__(self, clock: Clock, dashboard: RayDashboard, pace: Pace) -> None:
        self.name = pace.name
        self.interval_s = pace.interval_s
        self.timeout_s = pace.timeout_s
        self._clock = clock
        self._dashboard = dashboard
        self._http: aiohttp.ClientSession | None = None

    async def collect(self) -> Sequence[Reading]:
        """Return what the cluster has and uses, and its nodes."""
        cluster = self._dashboard.cluster
        status = await self._get(STATUS)
        at = self._clock.now()
        listed = await self._get(NODES)
        try:
            return (
                *ray_readings.cluster(status, cluster, at),
                *ray_readings.nodes(listed, cluster, self._clock.now()),
            )
        except ray_readings.NotYet as failure:
            raise SourceError(str(failure), cluster=cluster) from failure

    async def close(self) -> None:
        """Close the connection."""
        http, self._http = self._http, None
        if http:
            await http.close()

    async def _get(self, path: str) -> object:
        url = self._dashboard.url + path
        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self.timeout_s))
        try:
            async with self._http.get(
                url, headers=self._headers(), allow_redirects=False
            ) as answer:
                if answer.status in (401, 403):
                    raise SourceError(
                        f"{url} refuses the token (status {answer.status})",
                        next_step="put the cluster's token into token_file",
                        url=url,
                    )
                if answer.status != 200:
                    raise SourceError(f"{url} answered {answer.status} {answer.reason}", url=url)
                body = await answer.content.read(BYTES_MAX + 1)
                while len(body) <= BYTES_MAX and not answer.content.at_eof():
                    body += await answer.content.read(BYTES_MAX + 1)
        except TimeoutError as failure:
            raise SourceError(
                f"{url} did not answer within {self.timeout_s:g} s", url=url
            ) from failure
        except (aiohttp.ClientError, OSError, UnicodeDecodeError) as failure:
            words = str(failure) or type(failure).__name__
            raise SourceError(f"{url} cannot be read: {words}", url=url) from failure
        return _document(body, url)

    def _headers(self) -> dict[str, str]:
        if self._dashboard.token_file is None:
            return {}
        token = self._dashboard.token_file.read_text(encoding="utf-8").strip()
        return {"Authorization": f"Bearer {token}"}


def _document(body: bytes, url: str) -> object:
    if len(body) > BYTES_MAX:
        raise SourceError(f"{url} sends more than {BYTES_MAX} bytes", url=url)
    try:
        return parse_json(body)
    except ValueError as failure:
        raise SourceError(
            f"{url} sent {len(body)} bytes that are not JSON: {failure}", url=url
        ) from failure
