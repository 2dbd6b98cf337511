"""Runs on a Ray cluster through its Jobs REST API: plain HTTP, no Ray in this process.

Ray's own traps and what is done about each stand in ``docs/executors.md``.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import aiohttp
import psutil

from agent import fence
from agent.executors.port import (
    Capacity,
    ExecutorError,
    FenceResult,
    Health,
    HealthState,
    NodeUse,
    RefusedRun,
    RunSpec,
    RunState,
    RunStatus,
    UnknownRun,
)
from agent.executors.ray_nodes import read_nodes
from agent.executors.ray_packages import Package, name_packages, rewrite
from agent.executors.ray_status import SUPERVISOR, Seen, Window, read_status, supervisor_window
from suanwang.clock import Clock

log = logging.getLogger(__name__)

TIMEOUT_S: Final = 15.0
HEALTH_TIMEOUT_S: Final = 5.0
SUBMIT_TIMEOUT_S: Final = 60.0
WINDOW_TRIES: Final = 8
"""The supervisor dies some 100 ms after its job is final; its end is worth waiting for."""
WINDOW_PAUSE_S: Final = 0.25
SETTLE_TRIES: Final = 20
"""Ray notices within a second or two that the processes of a run are gone."""
SETTLE_PAUSE_S: Final = 0.5
PENDING_PATIENCE_S: Final = 2.0
"""A run that is just starting takes the stop by itself, with its grace."""
SCOPE_EVERY_S: Final = 60.0
CANCEL_TRIES: Final = 60
CANCEL_PAUSE_S: Final = 0.5
ANSWER_CHARS: Final = 500
LISTED_MAX: Final = 10_000
"""Rows of one of Ray's lists: it hands out no more."""
STOP_WAIT: Final = "RAY_JOB_STOP_WAIT_TIME_S"
UNITS: Final = "SUANWANG_UNITS"
"""How many units a run was given, in its environment."""
SUPERVISOR_NAMESPACE: Final = "SUPERVISOR_ACTOR_RAY_NAMESPACE"

FenceScope = Literal["auto", "local", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RayJobsConfig:
    """Where the cluster is.

    ``fence_scope``: ``local`` says that all nodes of the cluster are this machine,
    ``none`` that they are not; ``auto`` finds out while the cluster answers, and keeps the answer
    in ``memory_file``.
    """

    address: str
    token: str = ""
    fence_scope: FenceScope = "auto"
    memory_file: Path | None = None


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    text: str

    def json(self) -> dict[str, object]:
        """Return the body; raise ExecutorError where it is not an object."""
        try:
            body = json.loads(self.text)
        except ValueError as failure:
            raise ExecutorError(f"Ray answered no JSON: {self.text[:ANSWER_CHARS]}") from failure
        if not isinstance(body, dict):
            raise ExecutorError(f"Ray answered no JSON object: {self.text[:ANSWER_CHARS]}")
        return body


class RayJobsExecutor:
    """An Executor over one Ray cluster. Give it a clock; close it when done."""

    def __init__(self, config: RayJobsConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._base = config.address.rstrip("/")
        self._http: aiohttp.ClientSession | None = None
        self._session = ""
        self._is_local: bool | None = {"auto": None, "local": True, "none": False}[
            config.fence_scope
        ]
        self._seen: dict[str, Seen] = {}
        self._actors: dict[str, str] = {}
        self._drivers: dict[str, str] = {}
        self._scope_at = -SCOPE_EVERY_S
        self._logs_folder: Path | None = None
        self._recall()

    async def health(self) -> Health:
        """Return whether the cluster answers; never raises."""
        try:
            answer = await self._call("GET", "/api/version", timeout_s=HEALTH_TIMEOUT_S)
            if answer.status != 200:
                return Health(
                    state=HealthState.DEGRADED,
                    session=self._session,
                    message=f"status {answer.status}: {answer.text[:ANSWER_CHARS]}",
                )
            body = answer.json()
            await self._learn(str(body.get("session_name", "")))
        except ExecutorError as failure:
            return Health(
                state=HealthState.UNREACHABLE, session=self._session, message=str(failure)
            )
        return Health(
            state=HealthState.UP, session=self._session, version=str(body.get("ray_version", ""))
        )

    async def capacity(self) -> Capacity:
        """Return CPUs and GPUs in all and in use; a young cluster does not know them for 5 s."""
        body = (await self._ok("GET", "/api/cluster_status")).json()
        usage = _dig(body, "data", "clusterStatus", "loadMetricsReport", "usage")
        if not usage:
            raise ExecutorError("Ray does not know its capacity yet")
        total: dict[str, float] = {}
        used: dict[str, float] = {}
        for resource, name in (("CPU", "cpu"), ("GPU", "gpu")):
            pair = usage.get(resource)
            if isinstance(pair, list) and len(pair) == 2:
                used[name], total[name] = float(pair[0]), float(pair[1])
        return Capacity(total=total, used=used)

    async def nodes(self) -> tuple[NodeUse, ...]:
        """Return living nodes with what each run uses; drivers are known from the run's status."""
        alive = "&filter_keys=state&filter_predicates=%3D&filter_values="
        nodes, actors, groups = await asyncio.gather(
            self._listed("nodes", alive + "ALIVE"),
            self._listed("actors", alive + "ALIVE"),
            self._listed("placement_groups", alive + "CREATED"),
        )
        drivers = {driver: run for run, driver in self._drivers.items()}
        return read_nodes(nodes, actors, groups, drivers)

    async def submit(self, spec: RunSpec) -> None:
        """Upload its packages and submit it; where Ray has this id already, that run is adopted."""
        packages = await asyncio.to_thread(name_packages, spec.packages)
        for package in packages.values():
            await self._upload(package)
        variables = {
            fence.MARKER_NAME: spec.id,
            STOP_WAIT: str(spec.stop_grace_s),
            UNITS: str(spec.units),
        }
        await self._post_job(
            {
                "entrypoint": spec.entrypoint,
                "submission_id": spec.id,
                "runtime_env": rewrite(spec.runtime_env, packages, variables),
                "metadata": dict(spec.metadata),
                "entrypoint_num_cpus": spec.num_cpus,
                "entrypoint_num_gpus": spec.num_gpus,
                "entrypoint_memory": spec.memory,
                "entrypoint_resources": dict(spec.resources) or None,
            }
        )

    async def get(self, run_id: str) -> RunStatus:
        """Return where the run stands, with the exact window of its supervisor."""
        details = await self._details(run_id)
        if driver := _dig(details, "driver_info").get("id"):
            self._drivers[run_id] = str(driver)
        if details["status"] == "RUNNING" and self._seen_of(run_id).running_at is None:
            self._seen[run_id] = replace(self._seen_of(run_id), running_at=self._clock.now())
        is_final = details["status"] not in ("PENDING", "RUNNING")
        window = await self._window(run_id, is_final=is_final)
        return read_status(run_id, details, window, self._seen_of(run_id))

    async def stop(self, run_id: str) -> None:
        """Ask the run to end. A run that Ray has not started yet is taken out of its queue."""
        status = await self.get(run_id)
        if status.state.is_final:
            return
        self._seen[run_id] = replace(self._seen_of(run_id), is_stopped_by_us=True)
        await self._ok("POST", f"/api/jobs/{run_id}/stop")
        if status.state is RunState.PENDING:
            await self._clock.wait(PENDING_PATIENCE_S)
            if (await self.get(run_id)).state is RunState.PENDING:
                await self._cancel_pending(run_id)

    async def logs(self, run_id: str, offset: int) -> str:
        """Return the run's output from character ``offset`` on."""
        answer = await self._call("GET", f"/api/jobs/{run_id}/logs")
        if answer.status == 404:
            raise UnknownRun(f"Ray has no run {run_id}")
        if answer.status == 500 and "UnicodeDecodeError" in answer.text:
            return (await asyncio.to_thread(self._read_log, run_id))[offset:]
        self._check(answer)
        return str(answer.json().get("logs") or "")[offset:]

    async def fence(self, run_id: str) -> FenceResult:
        """Kill every process of the run; FENCED where nothing of it lives or can still start."""
        can_start = await self._can_still_start(run_id)
        sweep = await fence.sweep(fence.marker(run_id), self._clock)
        log.info(
            "fence",
            extra={"run": run_id, "killed": sweep.killed, "survivors": sweep.survivors},
        )
        if not sweep.is_proven or not self._is_local:
            return FenceResult.CANNOT_PROVE
        for _ in range(SETTLE_TRIES if can_start else 0):
            if not await self._can_still_start(run_id):
                return await self._swept_again(run_id)
            await self._clock.wait(SETTLE_PAUSE_S)
        return FenceResult.CANNOT_PROVE if can_start else FenceResult.FENCED

    async def forget(self, run_id: str) -> None:
        """Delete the run's record; an unknown run is no error."""
        answer = await self._call("DELETE", f"/api/jobs/{run_id}")
        if answer.status != 404:
            self._check(answer)
        self._seen.pop(run_id, None)
        self._actors.pop(run_id, None)
        self._drivers.pop(run_id, None)

    async def close(self) -> None:
        """Let go of connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def _swept_again(self, run_id: str) -> FenceResult:
        """Sweep once more: Ray may have started the run while the first sweep looked."""
        sweep = await fence.sweep(fence.marker(run_id), self._clock)
        return FenceResult.FENCED if sweep.is_proven else FenceResult.CANNOT_PROVE

    async def _post_job(self, body: Mapping[str, object]) -> None:
        run_id = body["submission_id"]
        try:
            answer = await self._call(
                "POST",
                "/api/jobs/",
                body=json.dumps({key: value for key, value in body.items() if value is not None}),
                timeout_s=SUBMIT_TIMEOUT_S,
            )
        except ExecutorError as failure:
            if await self._has(str(run_id)):
                return
            raise ExecutorError(f"submission of {run_id} got no answer: {failure}") from failure
        if answer.status >= 400 and "already exists" in answer.text:
            await self._adopt(str(run_id), str(body["entrypoint"]))
            return
        if answer.status == 400 or (answer.status == 500 and "status code 400" in answer.text):
            raise RefusedRun(f"Ray refuses {run_id}: {answer.text[-ANSWER_CHARS:]}")
        self._check(answer)

    async def _adopt(self, run_id: str, entrypoint: str) -> None:
        """Take a run that Ray has under this id already for ours, if it is the same program."""
        known = (await self._details(run_id)).get("entrypoint")
        if known != entrypoint:
            raise RefusedRun(f"Ray runs another program under {run_id}: {known!r}")
        log.info("run adopted", extra={"run": run_id})

    async def _upload(self, package: Package) -> None:
        path = f"/api/packages/gcs/{package.name}"
        known = await self._call("GET", path)
        if known.status == 200:
            return
        data = await asyncio.to_thread(package.path.read_bytes)
        self._check(await self._call("PUT", path, body=data, timeout_s=SUBMIT_TIMEOUT_S))

    async def _listed(self, what: str, query: str) -> list[dict[str, object]]:
        """Return the rows of one of Ray's lists; raise ExecutorError where it is cut short."""
        path = f"/api/v0/{what}?detail=1&limit={LISTED_MAX}{query}"
        answer = await self._call("GET", path, timeout_s=HEALTH_TIMEOUT_S)
        self._check(answer)
        body = _dig(answer.json(), "data", "result")
        rows = body.get("result")
        if not isinstance(rows, list) or body.get("num_after_truncation") != body.get("total"):
            raise ExecutorError(f"Ray does not list all of its {what}")
        return [row for row in rows if isinstance(row, dict)]

    async def _has(self, run_id: str) -> bool:
        try:
            await self._details(run_id)
        except UnknownRun:
            return False
        return True

    async def _details(self, run_id: str) -> dict[str, object]:
        answer = await self._call("GET", f"/api/jobs/{run_id}")
        if answer.status == 404:
            raise UnknownRun(
                f"Ray session {self._session or 'of unknown name'} has no run {run_id}"
            )
        self._check(answer)
        return answer.json()

    async def _window(self, run_id: str, *, is_final: bool) -> Window:
        """Return the supervisor's life; of a final run its end is waited for, for a short while."""
        for _ in range(WINDOW_TRIES if is_final else 1):
            window = supervisor_window(await self._supervisor(run_id))
            if not is_final or window.started_at is None or window.ended_at is not None:
                return window
            await self._clock.wait(WINDOW_PAUSE_S)
        return window

    async def _supervisor(self, run_id: str) -> dict[str, object] | None:
        """Return the supervisor actor's row, or None; by its id once that is known."""
        known = self._actors.get(run_id)
        query = f"&ids={known}" if known else ""
        body = (await self._ok("GET", f"/logical/actors?nocache=1{query}")).json()
        for actor_id, actor in _dig(body, "data", "actors").items():
            if isinstance(actor, dict) and actor.get("name") == SUPERVISOR + run_id:
                self._actors[run_id] = actor_id
                return actor
        return None

    async def _cancel_pending(self, run_id: str) -> None:
        """Kill the supervisor that Ray has not placed yet: its stop call does not reach that one.

        A second, tiny job does it from inside the cluster; it takes no resources.
        """
        code = (
            f"import ray; ray.init(namespace='{SUPERVISOR_NAMESPACE}', log_to_driver=False); "
            f"ray.kill(ray.get_actor('{SUPERVISOR}{run_id}'))"
        )
        helper = f"{run_id[:110]}.cancel"
        await self._post_job(
            {
                "entrypoint": f'python -c "{code}"',
                "submission_id": helper,
                "entrypoint_num_cpus": 0,
                "metadata": {"suanwang": f"cancels {run_id}"},
            }
        )
        for _ in range(CANCEL_TRIES):
            await self._clock.wait(CANCEL_PAUSE_S)
            if (await self._details(helper))["status"] not in ("PENDING", "RUNNING"):
                await self.forget(helper)
                return

    async def _can_still_start(self, run_id: str) -> bool:
        """Whether Ray may yet start processes of the run; asks it to stop the run first."""
        try:
            await self.stop(run_id)
            return not (await self.get(run_id)).state.is_final
        except UnknownRun:
            return False
        except ExecutorError:
            return bool(self._control_processes())

    def _control_processes(self) -> tuple[int, ...]:
        """Return the pids of the cluster's control process, where it runs on this machine."""
        needle = (
            f"--session-name={self._session}"
            if self._session
            else f"--node-ip-address={urlsplit(self._base).hostname} "
        )
        return fence.find_command("gcs_server", needle)

    async def _learn(self, session: str) -> None:
        """Note the session, and whether all its nodes are here, in our own process namespace."""
        is_due = self._clock.monotonic() - self._scope_at >= SCOPE_EVERY_S
        if session == self._session and not is_due:
            return
        if session != self._session:
            self._actors.clear()
            self._drivers.clear()
        self._session = session
        if self._config.fence_scope == "auto":
            body = (await self._ok("GET", "/nodes?view=summary")).json()
            summary = _dig(body, "data").get("summary")
            nodes = {str(row.get("ip")) for row in summary} if isinstance(summary, list) else set()
            self._is_local = _is_here(nodes) and bool(self._control_processes())
        self._logs_folder = self._find_logs()
        self._scope_at = self._clock.monotonic()
        await asyncio.to_thread(self._remember)

    def _remember(self) -> None:
        """Keep the session and the scope: they are asked for when the cluster does not answer."""
        if self._config.memory_file is not None:
            known = {"session": self._session, "is_local": self._is_local}
            self._config.memory_file.write_text(json.dumps(known))

    def _recall(self) -> None:
        if self._config.memory_file is None or not self._config.memory_file.exists():
            return
        try:
            known = json.loads(self._config.memory_file.read_text())
        except ValueError:
            return
        self._session = str(known.get("session", ""))
        if self._config.fence_scope == "auto":
            self._is_local = known.get("is_local") is True

    def _find_logs(self) -> Path | None:
        """Return the folder of the cluster's logs, where its head runs on this machine."""
        for pid in self._control_processes():
            for word in fence.read_command(pid):
                if word.startswith("--log_dir="):
                    return Path(word.removeprefix("--log_dir="))
        return None

    def _read_log(self, run_id: str) -> str:
        """Return output that Ray cannot hand out, since it is not UTF-8, from its file."""
        if self._logs_folder is None:
            raise ExecutorError(f"the log of {run_id} is not UTF-8, and Ray cannot hand it out")
        path = self._logs_folder / f"job-driver-{run_id}.log"
        try:
            return path.read_text(encoding="utf-8", errors="replace")
        except OSError as failure:
            raise ExecutorError(f"the log of {run_id} cannot be read: {failure}") from failure

    def _seen_of(self, run_id: str) -> Seen:
        return self._seen.get(run_id, Seen())

    async def _ok(self, method: str, path: str) -> _Answer:
        answer = await self._call(method, path)
        self._check(answer)
        return answer

    def _check(self, answer: _Answer) -> None:
        if answer.status >= 400:
            raise ExecutorError(f"Ray answered {answer.status}: {answer.text[-ANSWER_CHARS:]}")

    async def _call(
        self,
        method: str,
        path: str,
        *,
        body: str | bytes | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> _Answer:
        async with self._client() as http:
            try:
                async with http.request(
                    method,
                    self._base + path,
                    data=body,
                    timeout=aiohttp.ClientTimeout(total=timeout_s),
                ) as answer:
                    return _Answer(answer.status, await answer.text())
            except (aiohttp.ClientError, TimeoutError, OSError) as failure:
                reason = str(failure) or type(failure).__name__
                raise ExecutorError(f"{method} {self._base}{path}: {reason}") from failure

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[aiohttp.ClientSession]:
        if self._http is None:
            headers = (
                {"Authorization": f"Bearer {self._config.token}"} if self._config.token else {}
            )
            self._http = aiohttp.ClientSession(headers=headers)
        yield self._http


def _is_here(nodes: set[str]) -> bool:
    """Whether every node's address is one of this machine's; False of no nodes."""
    own = {address.address for rows in psutil.net_if_addrs().values() for address in rows}
    return bool(nodes) and all(ip in own or ip.startswith("127.") for ip in nodes)


def _dig(body: Mapping[str, object], *keys: str) -> dict[str, object]:
    """Return the object under a path of keys, empty where a part of the path is missing."""
    found: object = body
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else {}
