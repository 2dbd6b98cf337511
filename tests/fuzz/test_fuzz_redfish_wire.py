"""A probe of a Redfish device whose answers are damaged on the wire: words, or numbers."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

import fuzzing
import pytest
from redfish_parts import ROOT, SERVER

from collectors.config import build_source, parse_source
from collectors.sources.port import SourceError
from suanwang.clock import SystemClock

CASES: Final = 60
HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


def answers() -> dict[str, bytes]:
    """Return the whole answer to each path of a server."""
    bodies = {
        ROOT + (path or "/"): json.dumps({"@odata.id": ROOT + path, **document}).encode()
        for path, document in SERVER.items()
    }
    return {path: HEAD % len(body) + body for path, body in bodies.items()}


class Liar:
    """A device that damages its answers, and closes after each."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._whole = answers()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, in two cases of three with faults."""
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            path = request.split(b" ", 2)[1].decode()
            answer = self._whole.get(path, b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
            if self._rng.random() < 0.67:
                answer = fuzzing.damaged(answer, (answer,), self._rng)
            writer.write(answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def lying(rng: random.Random) -> AsyncIterator[str]:
    """Run the device; yield its address."""
    server = await asyncio.start_server(Liar(rng).talk, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def outcomes(url: str) -> Iterable[float | str]:
    """Probe once; return the values, or the words of the failure."""
    raw = {"kind": "redfish", "name": "b", "url": url, "host": "h", "request_timeout_s": 0.5}
    source = build_source(parse_source(raw), SystemClock())
    try:
        return [each.value for each in await source.collect()]
    except SourceError as failure:
        return [failure.message]
    finally:
        await source.close()


@pytest.mark.parametrize("seed", range(3))
async def test_a_damaged_answer_is_a_failure_with_words_or_numbers_that_are_some(
    seed: int,
) -> None:
    async with lying(random.Random(seed)) as url:
        for _ in range(CASES // 3):
            for found in await outcomes(url):
                assert found if isinstance(found, str) else abs(found) < float("inf")
