"""Devices that send by MQTT: what came since the last poll is handed over at the next one."""

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from collectors.mqtt_rules import Nonsense, TopicRule
from collectors.sources.port import Pace, SourceError
from suanwang.clock import Clock
from suanwang.model.reading import Reading

KEEPALIVE_S: Final = 30
PAUSE_S_MIN: Final = 1.0
PAUSE_S_MAX: Final = 60.0
_REFUSED: Final = 128
"""The first code by which a broker refuses a subscription."""
STATES_MAX: Final = 100_000
"""Most states that are held, over all topics."""

METRICS: Final = ("messages_total", "dropped_total")
"""What a source tells about itself."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where the messages come from. The password is read from its file for each connection."""

    host: str
    port: int
    username: str = ""
    password_file: Path | None = None
    client_id: str = ""
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    @property
    def words(self) -> str:
        """The broker's address, for messages."""
        return f"{self.host}:{self.port}"


class MqttSource:
    """One broker and its topics. The connection is opened by the first poll and kept.

    A poll never waits: it returns what came. It raises SourceError where the broker is away or
    nothing came for ``silence_s``, but never before what was received has been handed over.
    """

    def __init__(
        self,
        clock: Clock,
        broker: Broker,
        rules: Sequence[TopicRule],
        pace: Pace,
        *,
        buffer_max: int,
        silence_s: float,
    ) -> None:
        self.name = pace.name
        self.interval_s = pace.interval_s
        self.timeout_s = pace.timeout_s
        self._clock = clock
        self._broker = broker
        self._rules = [(rule, rule.pattern()) for rule in rules]
        self._silence_s = silence_s
        self._has_only_states = all(rule.is_state for rule in rules)
        self._received: deque[Reading] = deque()
        self._buffer_max = buffer_max
        self._states: dict[tuple[str, str], Reading] = {}
        self._task: asyncio.Task[None] | None = None
        self._attempted = asyncio.Event()
        self._down = ""
        self._step = ""
        self._nonsense = ""
        self._heard_at = 0.0
        self._messages = 0
        self._dropped = 0

    async def collect(self) -> Sequence[Reading]:
        """Return what came since the poll before, states as they are now, and two counters."""
        if self._task is None:
            self._heard_at = self._clock.monotonic()
            self._task = asyncio.create_task(self._listen(), name=f"mqtt {self.name}")
        await self._attempted.wait()
        received, self._received = self._received, deque()
        if not received:
            self._complain()
        return (*received, *self._held(), *self._about())

    async def close(self) -> None:
        """Leave the broker."""
        task, self._task = self._task, None
        if task:
            task.cancel()
            await asyncio.wait({task})

    def _complain(self) -> None:
        nonsense, self._nonsense = self._nonsense, ""
        if self._down:
            raise SourceError(self._down, next_step=self._step, broker=self._broker.words)
        if nonsense:
            raise SourceError(
                f"{self._broker.words} brings only messages that give no reading: {nonsense}",
                next_step="check value, time and words of the topic",
                broker=self._broker.words,
            )
        silent_s = self._clock.monotonic() - self._heard_at
        if silent_s > self._silence_s and not self._has_only_states:
            raise SourceError(
                f"{self._broker.words} brought no message for {silent_s:.0f} s, more than "
                f"{self._silence_s:g} s",
                next_step="check the publishers and the topics",
                broker=self._broker.words,
            )

    def _held(self) -> list[Reading]:
        at = self._clock.now()
        return [
            Reading(subject=held.subject, metric=held.metric, value=held.value, at=at)
            for held in self._states.values()
        ]

    def _about(self) -> list[Reading]:
        at, subject = self._clock.now(), f"source:{self.name}"
        values = (("messages_total", self._messages), ("dropped_total", self._dropped))
        return [
            Reading(subject=subject, metric=metric, value=float(value), at=at)
            for metric, value in values
        ]

    async def _listen(self) -> None:
        """Stay connected; after a failure wait a second, and each time twice as long."""
        try:
            import aiomqtt
        except ImportError:
            self._fail("aiomqtt is not installed", "pip install 'suanwang[mqtt]'")
            return
        pause_s = PAUSE_S_MIN
        while True:
            heard_before = self._messages
            try:
                await self._session()
            except (aiomqtt.MqttError, OSError, ValueError) as failure:
                words = str(failure) or type(failure).__name__
                step = ""
                if "authori" in words or "password" in words:
                    step = "check username and password_file"
                self._fail(f"the broker {self._broker.words} cannot be reached: {words}", step)
            except Exception as failure:  # noqa: BLE001 - the outermost loop of this source
                # The loop must outlive what nobody thought of, and say it.
                _log.exception("mqtt source failed", extra={"source": self.name})
                self._fail(f"{type(failure).__name__}: {failure}", "")
            if self._messages > heard_before:
                pause_s = PAUSE_S_MIN
            await self._clock.wait(pause_s)
            pause_s = min(2 * pause_s, PAUSE_S_MAX)

    def _fail(self, words: str, step: str) -> None:
        self._down, self._step = words, step
        self._states.clear()  # what is held is not known to hold any more
        self._attempted.set()

    async def _session(self) -> None:
        """Take messages until the connection ends; raise what ended it."""
        import aiomqtt

        broker = self._broker
        secret = broker.password_file
        if broker.username and broker.tls is None:
            _log.warning("a password goes to the broker in clear", extra={"source": self.name})
        client = aiomqtt.Client(
            broker.host,
            broker.port,
            username=broker.username or None,
            password=secret.read_text(encoding="utf-8").strip() if secret else None,
            identifier=broker.client_id or None,
            clean_session=not broker.client_id,
            keepalive=KEEPALIVE_S,
            tls_context=broker.tls,
        )
        async with client:
            for topic in sorted({rule.filter for rule, _ in self._rules}):
                granted = await client.subscribe(topic, qos=1)
                if any(_code(each) >= _REFUSED for each in granted):
                    raise ValueError(f"the broker refuses the topic {topic}")
            self._down = ""
            self._heard_at = self._clock.monotonic()
            self._attempted.set()
            async for message in client.messages:
                payload = message.payload if isinstance(message.payload, bytes) else b""
                self.take(str(message.topic), payload, is_retained=message.retain)

    def take(self, topic: str, payload: bytes, *, is_retained: bool = False) -> None:
        """Keep what a message says; one that says nothing to any rule is counted as dropped."""
        at = self._clock.now()
        self._messages += 1
        self._heard_at = self._clock.monotonic()
        is_meant = False
        for rule, pattern in self._rules:
            match = pattern.fullmatch(topic)
            if match is None:
                continue
            is_meant = True
            try:
                reading = rule.reading(match.groupdict(), payload, at, is_retained=is_retained)
            except Nonsense as failure:
                self._dropped += 1
                self._nonsense = f"{topic}: {failure}"
                continue
            if reading:
                self._keep(reading, is_state=rule.is_state)
        self._dropped += not is_meant

    def _keep(self, reading: Reading, *, is_state: bool) -> None:
        if is_state:
            key = (reading.subject, reading.metric)
            if key in self._states or len(self._states) < STATES_MAX:
                self._states[key] = reading
            else:
                self._dropped += 1
            return
        self._received.append(reading)
        if len(self._received) > self._buffer_max:
            self._received.popleft()  # the newest say more about the present
            self._dropped += 1


def _code(granted: object) -> int:
    """Return the number of a broker's answer, which the library gives as a number or a word."""
    found = getattr(granted, "value", granted)
    return found if isinstance(found, int) else 0
