"""One look at everything: read the signals, judge the rules, write what changed and whom to tell.

Signals are read before the transaction that writes, each by itself, so a slow or broken one holds
up neither the others nor the centre's other writers. What is written is one transaction: an alert,
its history and the messages about it are there together or not at all.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Engine

from alerts import store, store_counters, store_outbox
from alerts.evaluate import Step, judge, retire
from alerts.message import Links, message_body, of_route
from alerts.model import Alert, Rule, Seen
from alerts.notify import Group, Route, Situation, groups_to_tell
from alerts.readers import READERS, floor_of
from alerts.rules import Rules
from alerts.signals import SIGNALS
from alerts.store_signals import Ask
from suanwang.clock import Clock
from suanwang.db.engine import reading, writing
from suanwang.energy.catalogue import EnergyCatalogue
from suanwang.ids import IdSource

_LOG: Final = logging.getLogger(__name__)
ECC: Final = "ecc_errors"
PRUNE_EVERY: Final = timedelta(hours=1)
_EARLY: Final = timedelta(seconds=1)
"""A signal is read so much before it is due, so that a beat does not just miss it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is judged and who is told."""

    rules: Rules
    routes: tuple[Route, ...] = ()
    links: Links = field(default_factory=Links)
    group_interval: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one evaluation did; ``failed`` names signals that could not be read."""

    signals: int = 0
    changed: int = 0
    messages: int = 0
    failed: tuple[str, ...] = ()
    is_skipped: bool = False


class Evaluator:
    """Evaluates alerts; it remembers only when each signal was read last."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        ids: IdSource,
        catalogue: EnergyCatalogue,
        policy: Policy,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._ids = ids
        self._catalogue = catalogue
        self._policy = policy
        self._read_at: dict[str, datetime] = {}
        self._pruned_at: datetime | None = None

    def run(self) -> Report:
        """Read what is due, and write what follows from it."""
        now = self._clock.now()
        due = {rule.signal for rule in self._policy.rules if self._is_due(rule.signal, now)}
        if ECC in due:
            self._watch_counters(now)
        seen, failed = self._read(due, now)
        self._read_at |= dict.fromkeys(due - set(failed), now)
        with writing(self._engine) as connection:
            if not store.take_turn(connection, now):
                return Report(is_skipped=True)
            steps = self._judge(connection, seen, now)
            store.write(connection, steps)
            messages = self._tell(connection, now)
            self._prune(connection, now)
        return Report(
            signals=len(seen), changed=len(steps), messages=messages, failed=tuple(sorted(failed))
        )

    def _is_due(self, signal: str, now: datetime) -> bool:
        last = self._read_at.get(signal)
        return last is None or now - last >= SIGNALS[signal].every - _EARLY

    def _watch_counters(self, now: datetime) -> None:
        with reading(self._engine) as connection:
            found = store_counters.moved(connection, now)
        if found:
            with writing(self._engine) as connection:
                store_counters.note(connection, found, now)

    def _read(self, due: set[str], now: datetime) -> tuple[dict[str, Seen], list[str]]:
        """Return what each rule of a due signal sees, by rule; and the signals that failed."""
        seen: dict[str, Seen] = {}
        failed: list[str] = []
        for signal in sorted(due):
            rules = [rule for rule in self._policy.rules if rule.signal == signal]
            try:
                for lookback in {rule.lookback for rule in rules}:
                    sharing = [rule for rule in rules if rule.lookback == lookback]
                    found = self._ask(signal, sharing, now)
                    seen |= {rule.id: found for rule in sharing}
            except Exception:  # noqa: BLE001 - one broken signal must not hide the others
                _LOG.exception("signal %s could not be read", signal)
                failed.append(signal)
        return seen, failed

    def _ask(self, signal: str, rules: Sequence[Rule], now: datetime) -> Seen:
        ask = Ask(
            now=now,
            catalogue=self._catalogue,
            floor=floor_of(rules),
            lookback=rules[0].lookback,
        )
        with reading(self._engine) as connection:
            return READERS[signal](connection, ask)

    def _judge(self, connection: Connection, seen: dict[str, Seen], now: datetime) -> list[Step]:
        rules = [rule for rule in self._policy.rules if rule.id in seen]
        alerts: dict[str, list[Alert]] = {rule.id: [] for rule in rules}
        for one in store.kept(connection, list(alerts), now):
            alerts[one.rule_id].append(one)
        steps = [
            step
            for rule in rules
            for step in judge(rule, seen[rule.id], alerts[rule.id], now, self._new_id)
        ]
        for one in store.strangers(connection, list(self._policy.rules.by_id)):
            steps += retire(one, now)
        return steps

    def _new_id(self) -> str:
        return self._ids.new("alert")

    def _tell(self, connection: Connection, now: datetime) -> int:
        """Write messages for whoever must hear of something; return how many."""
        policy = self._policy
        if not policy.routes:
            return 0
        often = min((rule.repeat for rule in policy.rules), default=timedelta())
        waiting = store.untold(connection, now - often)
        if not waiting:
            return 0
        plainer = {other for rule in policy.rules for other in rule.inhibited_by}
        situation = Situation(
            rules=policy.rules,
            silences=store.silences(connection, now),
            firing=store.firing_keys(connection, sorted(plainer)),
        )
        lately = store_outbox.told_since(connection, now - policy.group_interval)
        messages = 0
        for group in groups_to_tell(waiting, situation, lately, policy.group_interval, now):
            messages += self._tell_group(connection, group, now)
        return messages

    def _tell_group(self, connection: Connection, group: Group, now: datetime) -> int:
        bodies = {}
        told: dict[str, Alert] = {}
        for route in self._policy.routes:
            wanted = [one for one in group.alerts if route.wants(one)]
            if wanted:
                told |= {one.id: one for one in wanted}
                bodies[route.channel] = message_body(
                    self._ids.new("msg"),
                    of_route(group, wanted),
                    self._policy.rules,
                    self._policy.links,
                    now,
                )
        if bodies:
            store_outbox.add(connection, bodies, group.key, now)
            store.mark_told(connection, list(told.values()), now)
        return len(bodies)

    def _prune(self, connection: Connection, now: datetime) -> None:
        if self._pruned_at is not None and now - self._pruned_at < PRUNE_EVERY:
            return
        store.prune(connection, now)
        store_outbox.prune(connection, now)
        channels = [route.channel for route in self._policy.routes]
        store_outbox.give_up_strangers(connection, channels, now)
        self._pruned_at = now
