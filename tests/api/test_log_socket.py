"""The websocket that follows a job's output, seen by the library that Ray's client uses."""

import asyncio
from collections.abc import Iterator

import aiohttp
import httpx
import pytest
from api_agent import PlayedAgent
from api_client import site_body
from api_server import PATIENCE_S, RunningCentre, running_centre
from sqlalchemy import Engine

from api.context import ApiContext
from api.routers import gateway_tail


@pytest.fixture
def centre(engine: Engine) -> Iterator[RunningCentre]:
    """A centre with one funded tenant, one site, and a job in the queue."""
    with running_centre(engine) as running:
        key = running.key("haiyun")
        with httpx.Client(base_url=running.url, timeout=PATIENCE_S) as http:
            admin = {"Authorization": f"Bearer {running.admin}"}
            cash = {"tenant_id": "haiyun", "amount_fen": 100_000, "key": "first"}
            assert http.post("/v1/cash", json=cash, headers=admin).status_code == 201
            assert http.post("/v1/sites", json=site_body(), headers=admin).status_code == 201
            job = {"entrypoint": "x", "submission_id": "followed"}
            mine = {"Authorization": f"Bearer {key}"}
            assert http.post("/api/jobs/", json=job, headers=mine).status_code == 200
        yield running


@pytest.fixture
def agent(centre: RunningCentre) -> Iterator[PlayedAgent]:
    """The agent of the centre's site."""
    headers = {"Authorization": f"Bearer {centre.admin}"}
    answer = httpx.post(f"{centre.url}/v1/sites/east/token", headers=headers, timeout=PATIENCE_S)
    played = PlayedAgent(centre.url, answer.json()["secret"], centre.clock)
    yield played
    played.close()


def path(centre: RunningCentre, job: str = "followed") -> str:
    """Return the socket's address."""
    return f"{centre.url}/api/jobs/{job}/logs/tail"


def open_sockets(centre: RunningCentre) -> int:
    """Return how many clients follow."""
    context: ApiContext = centre.app.state.context
    return context.followers.open


@pytest.mark.parametrize(
    ("who", "job", "status"),
    [
        ("", "followed", 401),
        ("swk_x", "followed", 401),
        ("lanxin", "followed", 404),
        ("haiyun", "no", 404),
    ],
)
async def test_the_handshake_refuses_strangers(
    centre: RunningCentre, who: str, job: str, status: int
) -> None:
    key = centre.key(who) if who in ("lanxin", "haiyun") else who
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with aiohttp.ClientSession(headers=headers) as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(path(centre, job))
    assert refused.value.status == status
    assert open_sockets(centre) == 0


async def test_a_client_that_goes_away_is_followed_no_more(centre: RunningCentre) -> None:
    headers = {"Authorization": f"Bearer {centre.key('haiyun')}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        socket = await session.ws_connect(path(centre))
        with pytest.raises(asyncio.TimeoutError):
            await socket.receive(timeout=1.0)
        assert open_sockets(centre) == 1
        await socket.close()
        for _ in range(300):
            if open_sockets(centre) == 0:
                break
            await asyncio.sleep(0.1)
    assert open_sockets(centre) == 0


async def test_the_socket_stays_open_from_the_queue_over_two_attempts_to_the_end(
    centre: RunningCentre, agent: PlayedAgent
) -> None:
    headers = {"Authorization": f"Bearer {centre.key('haiyun')}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        socket = await session.ws_connect(path(centre))

        def play() -> None:
            first = agent.next_start()
            agent.report(first["attempt_id"], "running", started_at=centre.clock.now().isoformat())
            agent.log(first["attempt_id"], "first attempt\n", 0)
            agent.report(first["attempt_id"], "fenced", is_infrastructure=True, message="lost")
            agent.run(agent.next_start(40), ["second attempt\n", "done\n"])

        playing = asyncio.get_running_loop().run_in_executor(None, play)
        received = []
        async with asyncio.timeout(60):
            async for message in socket:
                assert message.type is aiohttp.WSMsgType.TEXT
                received.append(message.data)
        await playing
        assert "".join(received) == "first attempt\nsecond attempt\ndone\n"
        assert socket.close_code == 1000


async def test_a_follower_that_fails_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        async def receive(self) -> None:
            await asyncio.Event().wait()

    async def fails(*_: object) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("the database is gone")

    monkeypatch.setattr(gateway_tail, "_follow", fails)
    before = asyncio.all_tasks()
    with pytest.raises(RuntimeError, match="the database is gone"):
        await gateway_tail._serve(Silent(), None, None, "job")  # type: ignore[arg-type]  # unused
    assert asyncio.all_tasks() == before
