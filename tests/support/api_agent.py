"""A site's agent played by a test: it speaks the agents' channel and runs nothing."""

from datetime import timedelta
from typing import Any

import httpx

from suanwang.clock import Clock

Json = Any


class PlayedAgent:
    """Greets, takes orders, and reports what the test tells it to."""

    def __init__(self, url: str, token: str, clock: Clock) -> None:
        self._http = httpx.Client(
            base_url=f"{url}/agent/v1", headers={"Authorization": f"Bearer {token}"}, timeout=30
        )
        self._clock = clock
        self._seq: dict[str, int] = {}

    def close(self) -> None:
        """End the connection."""
        self._http.close()

    def post(self, path: str, body: Json) -> Json:
        """Make one call that must succeed; return its answer."""
        answer = self._http.post(path, json=body)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def hello(self) -> Json:
        """Greet."""
        return self.post(
            "/hello",
            {
                "agent_version": "0.1.0",
                "clock": self._clock.now().isoformat(),
                "executor_state": "up",
            },
        )

    def orders(self, wait_s: float = 0.0) -> list[Json]:
        """Fetch and acknowledge orders."""
        answer = self._http.get("/orders", params={"wait_s": wait_s})
        assert answer.status_code == 200, answer.text
        orders: list[Json] = answer.json()["orders"]
        if orders:
            self.post("/orders/ack", {"ids": [order["id"] for order in orders]})
        return orders

    def next_start(self, wait_s: float = 20.0) -> Json:
        """Wait for an order to start an attempt; return it."""
        until = self._clock.monotonic() + wait_s
        while self._clock.monotonic() < until:
            self.hello()
            for order in self.orders(2.0):
                if order["kind"] == "start":
                    return order
        raise AssertionError(f"no start order within {wait_s} s")

    def report(self, attempt_id: str, state: str, **facts: Json) -> Json:
        """Report a state of an attempt."""
        self._seq[attempt_id] = self._seq.get(attempt_id, 0) + 1
        report = {
            "attempt_id": attempt_id,
            "seq": self._seq[attempt_id],
            "at": self._clock.now().isoformat(),
            "state": state,
        }
        return self.post("/reports", {"reports": [report | facts]})

    def log(self, attempt_id: str, text: str, offset: int) -> int:
        """Send output; return where the next piece begins."""
        body = {"attempt_id": attempt_id, "offset": offset, "text": text}
        after: int = self.post("/logs", body)["next_offset"]
        return after

    def run(
        self, order: Json, pieces: list[str], *, state: str = "succeeded", code: int = 0
    ) -> None:
        """Play a whole run of five seconds: running, output, the end."""
        attempt_id = order["attempt_id"]
        ended_at = self._clock.now()
        started_at = (ended_at - timedelta(seconds=5)).isoformat()
        self.report(attempt_id, "running", started_at=started_at)
        offset = 0
        for piece in pieces:
            offset = self.log(attempt_id, piece, offset)
        self.report(
            attempt_id,
            state,
            started_at=started_at,
            ended_at=ended_at.isoformat(),
            window_source="supervisor",
            exit_code=code,
            message="" if code == 0 else f"exit code {code}",
        )

    def fetch(self, sha256: str) -> bytes:
        """Fetch a package."""
        answer = self._http.get(f"/packages/{sha256}")
        assert answer.status_code == 200, answer.text
        return answer.content
