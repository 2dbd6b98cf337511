"""Builders for tests of alerts: a centre's alerts on a clock of the test."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Engine
from telemetry_builders import SITE, add_site

from alerts import store
from alerts.evaluation import Evaluator, Policy, Report
from alerts.model import Alert, AlertState, Silence
from alerts.notify import Route
from alerts.rules import Rules, shipped
from suanwang.clock import VirtualClock
from suanwang.db.engine import reading, writing
from suanwang.db.tables import site, source_state
from suanwang.energy.catalogue import load_catalogue
from suanwang.ids import SeededIds

ALL_STATES = tuple(AlertState)


def judged() -> Rules:
    """Return the shipped rules but those about parts, which nobody makes in a test's database."""
    return Rules({one.id: one for one in shipped() if not one.signal.startswith("partition")})


@dataclass
class Watch:
    """A centre with one site whose agent calls, looked after by the shipped rules."""

    engine: Engine
    clock: VirtualClock
    ids: SeededIds
    rules: Rules = field(default_factory=judged)
    routes: tuple[Route, ...] = (Route(channel="pager"),)
    group_interval: timedelta = timedelta()
    is_agent_alive: bool = True
    evaluator: Evaluator = field(init=False)

    def __post_init__(self) -> None:
        with writing(self.engine) as connection:
            add_site(connection)
        self.restart()

    def restart(self) -> None:
        """Begin with nothing in memory."""
        policy = Policy(rules=self.rules, routes=self.routes, group_interval=self.group_interval)
        self.evaluator = Evaluator(self.engine, self.clock, self.ids, load_catalogue(), policy)

    def look(self, seconds: float = 15.0) -> Report:
        """Let time pass, and evaluate."""
        self.clock.advance(seconds)
        if self.is_agent_alive:
            with writing(self.engine) as connection:
                connection.execute(site.update().values(agent_seen_at=self.clock.now()))
        report = self.evaluator.run()
        assert report.failed == ()
        return report

    def source(
        self,
        name: str,
        *,
        is_up: bool,
        site_id: str = SITE,
        error: str = "",
        interval_s: float = 15.0,
    ) -> None:
        """Let a source report itself."""
        now = self.clock.now()
        with writing(self.engine) as connection:
            key = (source_state.c.site_id == site_id) & (source_state.c.source == name)
            known = connection.execute(source_state.select().where(key)).first()
            connection.execute(source_state.delete().where(key))
            connection.execute(
                source_state.insert().values(
                    site_id=site_id,
                    source=name,
                    is_up=is_up,
                    duration_s=0.1,
                    readings=1,
                    error=error,
                    polled_at=now,
                    up_at=now if is_up else known and known.up_at,
                    interval_s=interval_s,
                )
            )

    def alerts(self, *states: AlertState) -> list[Alert]:
        """Return the alerts in some states, or in any."""
        with reading(self.engine) as connection:
            return store.listed(connection, sites=None, states=states or ALL_STATES)

    def firing(self) -> list[tuple[str, str]]:
        """Return rule and subject of what fires."""
        return sorted((one.rule_id, one.subject) for one in self.alerts(AlertState.FIRING))

    def silence(self, length: timedelta, **patterns: str) -> Silence:
        """Silence what matches from now on."""
        now: datetime = self.clock.now()
        new = Silence(
            id=self.ids.new("silence"),
            rule_id=patterns.get("rule_id", "*"),
            site_id=patterns.get("site_id", "*"),
            subject=patterns.get("subject", "*"),
            from_at=now,
            until_at=now + length,
            reason="a test",
            actor="tester",
            made_at=now,
        )
        with writing(self.engine) as connection:
            store.add_silence(connection, new)
        return new
