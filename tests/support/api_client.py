"""The application without a socket: a synchronous client with one caller's key."""

import asyncio
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx
from fastapi import FastAPI
from sqlalchemy import Engine

from api.app import create_app
from api.context import ApiContext
from api.identity import PLATFORM, make_key
from api.status_page import StatusPages
from api.store import register_tenant
from scheduler.context import make_context
from suanwang.clock import Clock
from suanwang.db.engine import writing
from suanwang.ids import IdSource, TenantId
from suanwang.model.tenant import Role, Tenant
from suanwang.settings import Settings
from voucher.writer import DirectWriter

Json = Any


class ApiClient:
    """Calls an application in this process; errors of ours become 500 as they would in a server."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._http = httpx.AsyncClient(transport=transport, base_url="http://centre", timeout=30)

    @property
    def context(self) -> ApiContext:
        """The application's surroundings."""
        context: ApiContext = self.app.state.context
        return context

    def call(
        self,
        method: str,
        path: str,
        key: str = "",
        *,
        json: Json = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> httpx.Response:
        """Make one call with a key."""
        sent = {"Authorization": f"Bearer {key}"} if key else {}
        body = (
            {"content": content}
            if content is not None
            else {"json": json}
            if json is not None
            else {}
        )
        request = self._http.request(
            method, path, headers=sent | dict(headers or {}), params=params, **body
        )
        return asyncio.run_coroutine_threadsafe(request, self._loop).result(60)

    def get(self, path: str, key: str = "", **options: Any) -> httpx.Response:
        """Call GET."""
        return self.call("GET", path, key, **options)

    def post(self, path: str, key: str = "", json: Json = None, **options: Any) -> httpx.Response:
        """Call POST."""
        return self.call("POST", path, key, json=json, **options)

    def close(self) -> None:
        """End the loop's thread."""
        asyncio.run_coroutine_threadsafe(self._http.aclose(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class World:
    """A centre with an admin, two enterprises, an operator, a site and its agent."""

    def __init__(self, engine: Engine, clock: Clock, ids: IdSource, settings: Settings) -> None:
        self.wakes = 0
        self.engine = engine
        self.clock = clock
        self.ids = ids
        self.writer = DirectWriter(engine, clock)
        context = ApiContext(
            engine=engine,
            clock=clock,
            ids=ids,
            settings=settings,
            writer=self.writer,
            scheduling=make_context(clock, ids, settings),
            pages=StatusPages(clock),
            wake=self._wake,
        )
        self.client = ApiClient(create_app(context))
        with writing(engine) as connection:
            for tenant in (
                PLATFORM,
                Tenant(id=TenantId("haiyun"), name="海云科技"),
                Tenant(id=TenantId("lanxin"), name="蓝芯智算"),
                Tenant(id=TenantId("dc-east"), name="东部数据中心"),
                Tenant(id=TenantId("dc-west"), name="西部数据中心"),
            ):
                register_tenant(connection, tenant, clock.now())
        self.admin = self.key("platform", Role.ADMIN)
        self.enterprise = self.key("haiyun", Role.ENTERPRISE)
        self.researcher = self.key("haiyun", Role.RESEARCHER)
        self.other = self.key("lanxin", Role.ENTERPRISE)
        self.operator = self.key("dc-east", Role.OPERATOR)
        self.other_operator = self.key("dc-west", Role.OPERATOR)

    def _wake(self) -> None:
        self.wakes += 1

    def key(self, tenant_id: str, role: Role) -> str:
        """Return the secret of a new key."""
        with writing(self.engine) as connection:
            made = make_key(
                connection, self.clock, self.ids, tenant_id=TenantId(tenant_id), role=role
            )
        return made.secret

    def register(self, site_id: str = "east", operator: str = "dc-east", **changes: Json) -> Json:
        """Register a site with 8 cores and one meter for each role; return the answer."""
        body = site_body(site_id, operator) | changes
        answer = self.client.post("/v1/sites", self.admin, body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def token(self, site_id: str = "east") -> str:
        """Return a new token of the site's agent."""
        answer = self.client.post(f"/v1/sites/{site_id}/token", self.admin)
        assert answer.status_code == 201, answer.text
        secret: str = answer.json()["secret"]
        return secret

    def hello(self, token: str) -> Json:
        """Let the site's agent greet."""
        body = {
            "agent_version": "0.1.0",
            "clock": self.clock.now().isoformat(),
            "executor_state": "up",
        }
        answer = self.client.post("/agent/v1/hello", token, body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def fund(self, tenant_id: str = "haiyun", amount_fen: int = 100_000) -> None:
        """Book cash for a tenant."""
        body = {"tenant_id": tenant_id, "amount_fen": amount_fen, "key": self.ids.new("cash")}
        answer = self.client.post("/v1/cash", self.admin, body)
        assert answer.status_code == 201, answer.text

    def submit(self, key: str = "", **body: Json) -> httpx.Response:
        """Submit a job."""
        job = {"entrypoint": "python train.py"} | body
        return self.client.post("/v1/jobs", key or self.enterprise, job)


def site_body(site_id: str = "east", operator: str = "dc-east") -> dict[str, Json]:
    """Return the body that registers a site of 8 cores near every origin."""
    return {
        "id": site_id,
        "name": f"Site {site_id}",
        "operator": operator,
        "region": "CN-SD",
        "timezone": "Asia/Shanghai",
        "cooling": "modern_wse_warmwater",
        "climate": "qingdao",
        "it_design_w": 100_000,
        "background_it_w": 0,
        "contract_w": 200_000,
        "tariff_id": "cn-sd-tou-2026",
        "voltage": "1-10kV",
        "carbon_region": "CN-SD",
        "pue_limit": 1.3,
        "accepts": ["general"],
        "data_homes": [],
        "pools": [
            {
                "id": f"{site_id}-cpu",
                "accelerator": "cpu",
                "units": 8,
                "units_per_node": 8,
                "power_w_idle": 2.0,
                "power_w_busy": 8.0,
                "price_uyuan_per_unit_hour": 120_000,
            }
        ],
        "meters": [
            {
                "id": f"{site_id}-{role}",
                "name": role,
                "role": role,
                "rated_w": 100_000,
                "resolution_wh": 1.0,
                "poll_s": 5.0,
            }
            for role in ("facility", "it")
        ],
        "links": [{"origin": "*", "rtt_ms": 10.0}],
    }
