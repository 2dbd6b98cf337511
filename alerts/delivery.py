"""Delivery: a thread for each channel, so that a slow receiver holds up nobody but itself."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Engine

from alerts import store, store_outbox
from alerts.channels.port import Channel, DeliveryFailed
from alerts.evaluation import Policy
from alerts.message import alert_body
from alerts.metrics import AlertMetrics
from suanwang.clock import Clock
from suanwang.db.engine import reading, writing

_LOG: Final = logging.getLogger(__name__)
IDLE_S: Final = 2.0
"""Pause where nothing waits."""
JOIN_S: Final = 5.0
LEASE: Final = timedelta(seconds=120)
"""A message is ours for so long; longer than the longest time-out of a channel."""
PAUSE_LEAST: Final = timedelta(seconds=5)
PAUSE_MOST: Final = timedelta(minutes=10)
"""Pauses between tries double from the least to the most."""
DOUBLINGS_MAX: Final = 20
RESENT_MAX: Final = 5_000


def pause(attempts: int) -> timedelta:
    """Return how long to wait after so many tries."""
    doubled: timedelta = PAUSE_LEAST * 2 ** min(max(attempts - 1, 0), DOUBLINGS_MAX)
    return min(doubled, PAUSE_MOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every channel's worker needs."""

    engine: Engine
    clock: Clock
    policy: Policy
    metrics: AlertMetrics
    give_up: timedelta
    leads: Callable[[], bool]


class ChannelWorker:
    """Delivers the messages of one channel in their order."""

    def __init__(self, channel: Channel, around: Surroundings) -> None:
        self._channel = channel
        self._around = around
        self._resent_at: datetime | None = None

    def work(self) -> bool:
        """Deliver what comes next; return whether there was something."""
        if not self._around.leads():
            return False
        self._resend()
        now = self._around.clock.now()
        with writing(self._around.engine) as connection:
            message = store_outbox.take(connection, self._channel.name, now, now + LEASE)
        if message is None:
            return False
        try:
            self._channel.send(message.body, now)
        except DeliveryFailed as failure:
            self._failed(message, failure)
        else:
            with writing(self._around.engine) as connection:
                store_outbox.mark_sent(connection, message.seq, self._around.clock.now())
            self._around.metrics.delivered(self._channel.name, "sent")
        return True

    def _failed(self, message: store_outbox.Message, failure: DeliveryFailed) -> None:
        now = self._around.clock.now()
        is_over = failure.is_final or now - message.made_at >= self._around.give_up
        _LOG.warning(
            "an alert's message was not delivered",
            extra={"channel": self._channel.name, "id": message.id, "why": failure.why},
        )
        with writing(self._around.engine) as connection:
            if is_over:
                store_outbox.mark_dead(connection, message.seq, failure.why, now)
            else:
                next_at = now + pause(message.attempts + 1)
                store_outbox.mark_failed(connection, message.seq, failure.why, next_at)
        self._around.metrics.delivered(self._channel.name, "dead" if is_over else "failed")

    def _resend(self) -> None:
        """Repeat what fires, where the channel forgets it otherwise."""
        every_s, now = self._channel.resend_s, self._around.clock.now()
        if every_s is None:
            return
        if self._resent_at is not None and now - self._resent_at < timedelta(seconds=every_s):
            return
        self._resent_at = now
        policy = self._around.policy
        route = next((one for one in policy.routes if one.channel == self._channel.name), None)
        with reading(self._around.engine) as connection:
            firing = store.told_firing(connection, RESENT_MAX)
        wanted = [one for one in firing if route is not None and route.wants(one)]
        try:
            self._channel.resend(
                [alert_body(one, policy.rules, policy.links) for one in wanted], now
            )
        except DeliveryFailed as failure:
            _LOG.warning(
                "alerts were not repeated",
                extra={"channel": self._channel.name, "why": failure.why},
            )


class DeliveryLoop:
    """Runs a worker for each channel until it is stopped."""

    def __init__(self, channels: Mapping[str, Channel], around: Surroundings) -> None:
        self._workers = [ChannelWorker(channel, around) for channel in channels.values()]
        self._names = list(channels)
        self._stopping = threading.Event()
        self._threads: Sequence[threading.Thread] = ()

    def start(self) -> None:
        """Start the threads; a second call changes nothing."""
        if not self._threads:
            self._threads = [
                threading.Thread(
                    target=self._run, args=(worker,), name=f"alerts-{name}", daemon=True
                )
                for name, worker in zip(self._names, self._workers, strict=True)
            ]
            for thread in self._threads:
                thread.start()

    def stop(self) -> None:
        """End after what is being sent."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(JOIN_S)
        self._threads = ()

    def _run(self, worker: ChannelWorker) -> None:
        while not self._stopping.is_set():
            try:
                is_busy = worker.work()
            except Exception:  # noqa: BLE001 - the outermost loop: logged, and tried again
                _LOG.exception("a channel's worker failed")
                is_busy = False
            if not is_busy:
                self._stopping.wait(IDLE_S)
