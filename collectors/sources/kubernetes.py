"""Nodes, pods and accelerators of a Kubernetes cluster, by its API; the agent only ever reads.

Lists come in pages as plain JSON: typed objects take ten times the time for numbers that are then
thrown away. A list whose next page has expired (410) is begun anew, once.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml
from kubernetes.aio import client, config
from kubernetes.utils.quantity import parse_quantity

from collectors.json_values import at_pointer, parse_json
from collectors.kube_readings import Cluster, readings
from collectors.sources.port import Pace, SourceError
from suanwang.clock import Clock
from suanwang.model.reading import Reading

PAGE: Final = 500
BYTES_MAX: Final = 64 * 1024 * 1024
_NOT_ENDED: Final = "status.phase!=Succeeded,status.phase!=Failed"
_UNREADABLE: Final = (
    *(config.ConfigException, yaml.YAMLError),
    *(OSError, ValueError, KeyError, TypeError, AttributeError),
)
"""What the client raises for kubeconfigs that are missing, no YAML, or short of something."""
_NEXT_STEPS: Final = {
    401: "check the token or certificate of the kubeconfig; it may have expired",
    403: "let this account get and list nodes and pods (a ClusterRole, see docs/telemetry.md)",
    429: "the server is busy; poll less often (interval_s)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeAccess:
    """How to reach a cluster. Without a kubeconfig the pod's own account is used."""

    cluster: str
    kubeconfig: Path | None = None
    context: str | None = None
    resources: tuple[str, ...] = ()


class _Expired(Exception):
    """The server no longer keeps the state that the pages before were of."""


class KubernetesSource:
    """One cluster; the subjects are ``k8s:``, ``k8snode:`` and ``k8sunits:`` with its name."""

    def __init__(self, clock: Clock, access: KubeAccess, pace: Pace) -> None:
        self.name = pace.name
        self.interval_s = pace.interval_s
        self.timeout_s = pace.timeout_s
        self._clock = clock
        self._access = access
        self._cluster = Cluster(
            name=access.cluster, quantity=parse_quantity, resources=access.resources
        )
        self._api: client.ApiClient | None = None

    async def collect(self) -> Sequence[Reading]:
        """Return what the cluster's nodes have, what was promised of it, and what is free."""
        try:
            api = client.CoreV1Api(await self._client())
            nodes = await self._all("nodes", api.list_node_without_preload_content, {})
            at = self._clock.now()
            pods = await self._all(
                "pods",
                api.list_pod_for_all_namespaces_without_preload_content,
                {"field_selector": _NOT_ENDED},
            )
        except TimeoutError as failure:
            raise self._error(f"did not answer within {self.timeout_s:g} s") from failure
        except (aiohttp.ClientError, OSError) as failure:
            raise self._error(
                f"cannot be reached: {failure or type(failure).__name__}"
            ) from failure
        return tuple(readings(self._cluster, nodes, pods, at))

    async def close(self) -> None:
        """Close the connections."""
        api, self._api = self._api, None
        if api:
            await api.close()  # type: ignore[no-untyped-call]  # the client has no types here

    async def _client(self) -> client.ApiClient:
        if self._api is None:
            settings = client.Configuration()
            try:
                if self._access.kubeconfig:
                    await config.load_kube_config(  # type: ignore[no-untyped-call]
                        config_file=str(self._access.kubeconfig),
                        context=self._access.context,
                        client_configuration=settings,
                        persist_config=False,
                    )
                else:
                    config.load_incluster_config(  # type: ignore[no-untyped-call]
                        client_configuration=settings
                    )
            except _UNREADABLE as failure:
                raise self._error(
                    f"cannot be reached without a good kubeconfig: {failure}",
                    next_step="check kubeconfig and context; in a pod, its service account",
                ) from failure
            # None is no second try; a number, even 0 or False, makes the client ask for ever.
            settings.retries = None
            self._api = client.ApiClient(settings)
        return self._api

    async def _all(self, what: str, ask: Any, wanted: dict[str, str]) -> list[object]:
        """Return all items of a list; ask is a method of the client, which has no types for it."""
        try:
            return await self._pages(what, ask, wanted)
        except _Expired:
            pass
        try:
            return await self._pages(what, ask, wanted)
        except _Expired as failure:
            raise self._error(f"forgets its list of {what} between two pages") from failure

    async def _pages(self, what: str, ask: Any, wanted: dict[str, str]) -> list[object]:
        items: list[object] = []
        following: dict[str, str] = {}
        while True:
            answer = await ask(
                limit=PAGE, **wanted, **following, _request_timeout=float(self.timeout_s)
            )
            document = await self._document(what, answer)
            page = at_pointer(document, "/items")
            if not isinstance(page, list):
                raise self._error(f"sends a list of {what} without items")
            items += page
            token = at_pointer(document, "/metadata/continue")
            if not isinstance(token, str) or not token:
                return items
            following = {"_continue": token}

    async def _document(self, what: str, answer: aiohttp.ClientResponse) -> object:
        body = await answer.content.read(BYTES_MAX + 1)
        while len(body) <= BYTES_MAX and not answer.content.at_eof():
            body += await answer.content.read(BYTES_MAX + 1)
        if answer.status == 410:
            raise _Expired
        if len(body) > BYTES_MAX:
            answer.close()
            raise self._error(f"sends more than {BYTES_MAX} bytes of {what}")
        # A page of 500 pods is a megabyte: it is read beside the event loop.
        try:
            document = await asyncio.to_thread(parse_json, body)
        except ValueError as failure:
            document = None
            if answer.status == 200:
                raise self._error(f"sent {what} that are not JSON: {failure}") from failure
        if answer.status != 200:
            await self._refused(what, answer.status, document)
        return document

    async def _refused(self, what: str, status: int, document: object) -> None:
        """Raise what the server said; with a new token or certificate the next poll may do."""
        if status == 401:
            await self.close()
        said = at_pointer(document, "/message")
        words = f": {said}" if isinstance(said, str) and said else ""
        raise self._error(
            f"refuses the list of {what} (status {status}{words})",
            next_step=_NEXT_STEPS.get(status, ""),
        )

    def _error(self, words: str, *, next_step: str = "") -> SourceError:
        cluster = self._access.cluster
        message = f"Kubernetes cluster {cluster} {words}"
        return SourceError(message, next_step=next_step, cluster=cluster)
