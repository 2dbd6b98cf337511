"""Whom to tell: nothing twice, no end lost, and no silence that hides anything after its end."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from alert_builders import Watch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from alerts import store, store_outbox
from alerts.message import MessageBody
from alerts.model import AlertState, Severity, Told
from alerts.notify import Route
from alerts.rules import Rules, shipped
from alerts.store_outbox import MessageState
from suanwang.clock import VirtualClock
from suanwang.db.engine import open_engine, reading, writing
from suanwang.ids import SeededIds

START = datetime(2026, 10, 14, tzinfo=UTC)
LOST = shipped().find("target-lost")
assert LOST is not None
RULES = Rules({"target-lost": replace(LOST, lasts=timedelta(), clear_lasts=timedelta())})


@pytest.fixture
def watch(engine: Engine, clock: VirtualClock, ids: SeededIds) -> Watch:
    return Watch(engine, clock, ids, rules=RULES)


def bodies(watch: Watch, channel: str = "pager") -> list[MessageBody]:
    """Return the messages of a channel in their order."""
    with reading(watch.engine) as connection:
        found = store_outbox.listed(connection, list(MessageState), None, 1_000)
    return [one.body for one in reversed(found) if one.channel == channel]


def told(watch: Watch, channel: str = "pager") -> list[tuple[str, str]]:
    """Return subject and state of everything that was told, in order."""
    return [
        (one["subject"].removeprefix("source:"), one["state"])
        for body in bodies(watch, channel)
        for one in body["alerts"]
    ]


def lose(watch: Watch, *names: str) -> None:
    """Let sources be lost that were up until now."""
    for name in names:
        watch.source(name, is_up=True)
    watch.look(301)
    for name in names:
        watch.source(name, is_up=False)
    watch.look()


def find(watch: Watch, *names: str) -> None:
    """Let sources answer again."""
    for name in names:
        watch.source(name, is_up=True)
    watch.look()


def test_it_is_told_once_and_its_end_once(watch: Watch) -> None:
    lose(watch, "a")
    for _ in range(10):
        watch.look()
    find(watch, "a")
    for _ in range(10):
        watch.look()
    assert told(watch) == [("a", "firing"), ("a", "resolved")]


def test_a_restart_changes_nothing(watch: Watch) -> None:
    lose(watch, "a")
    watch.restart()
    watch.look()
    find(watch, "a")
    watch.restart()
    watch.look()
    assert told(watch) == [("a", "firing"), ("a", "resolved")]


def test_what_comes_together_is_told_together(watch: Watch) -> None:
    lose(watch, "a", "b", "c")
    (body,) = bodies(watch)
    assert body["group"] == {"rule": "target-lost", "site": "qd"}
    assert [one["subject"] for one in body["alerts"]] == ["source:a", "source:b", "source:c"]
    assert body["status"] == "firing"


def test_a_group_is_told_no_more_often_than_its_interval(
    engine: Engine, clock: VirtualClock, ids: SeededIds
) -> None:
    watch = Watch(engine, clock, ids, rules=RULES, group_interval=timedelta(seconds=60))
    lose(watch, "a")
    for name in "bcd":
        watch.source(name, is_up=False)
        watch.look(10)
    assert told(watch) == [("a", "firing")]
    watch.look(60)
    assert [len(body["alerts"]) for body in bodies(watch)] == [1, 3]


def test_a_silenced_alert_is_told_when_the_silence_ends(watch: Watch) -> None:
    watch.silence(timedelta(hours=1), rule_id="target-*", subject="source:a")
    lose(watch, "a", "b")
    for _ in range(5):
        watch.look(600)
    assert told(watch) == [("b", "firing")]
    watch.look(600)
    assert told(watch) == [("b", "firing"), ("a", "firing")]


def test_a_silence_that_is_ended_by_hand_ends_at_once(watch: Watch) -> None:
    silence = watch.silence(timedelta(days=1), subject="source:a")
    lose(watch, "a")
    with writing(watch.engine) as connection:
        store.end_silence(connection, silence.id, "somebody", watch.clock.now())
    watch.look()
    assert told(watch) == [("a", "firing")]


def test_the_end_of_what_was_told_is_told_in_spite_of_a_silence(watch: Watch) -> None:
    lose(watch, "a")
    watch.silence(timedelta(days=1), rule_id="target-lost")
    find(watch, "a")
    assert told(watch) == [("a", "firing"), ("a", "resolved")]


def test_what_began_and_ended_in_silence_is_never_told(watch: Watch) -> None:
    watch.silence(timedelta(hours=1), rule_id="target-lost")
    lose(watch, "a")
    find(watch, "a")
    watch.look(7_200)
    assert told(watch) == []


def test_who_does_not_acknowledge_is_reminded(watch: Watch) -> None:
    lose(watch, "a")
    watch.look(86_400)
    assert [one["is_reminder"] for body in bodies(watch) for one in body["alerts"]] == [False, True]
    (one,) = watch.alerts(AlertState.FIRING)
    with writing(watch.engine) as connection:
        store.acknowledge(connection, one.id, "li", "", watch.clock.now())
    watch.look(86_400)
    assert len(bodies(watch)) == 2


def test_channels_hear_only_what_they_want(
    engine: Engine, clock: VirtualClock, ids: SeededIds
) -> None:
    routes = (
        Route(channel="all"),
        Route(channel="worst", at_least=Severity.CRITICAL),
        Route(channel="elsewhere", sites=("nj-*",)),
        Route(channel="clocks", rules=("clock-*",)),
    )
    rule = RULES.by_id["target-lost"]
    rules = Rules(
        {
            "target-lost": replace(rule, only=("qd/source:a",)),
            "minor": replace(
                rule, id="minor", severity=Severity.INFO, only=("qd/source:b",), inhibited_by=()
            ),
        }
    )
    watch = Watch(engine, clock, ids, rules=rules, routes=routes)
    lose(watch, "a", "b")
    assert sorted(told(watch, "all")) == [("a", "firing"), ("b", "firing")]
    assert told(watch, "worst") == [("a", "firing")]
    assert told(watch, "elsewhere") == told(watch, "clocks") == []


def test_without_a_channel_nothing_counts_as_told(
    engine: Engine, clock: VirtualClock, ids: SeededIds
) -> None:
    watch = Watch(engine, clock, ids, rules=RULES, routes=())
    lose(watch, "a")
    assert watch.alerts()[0].told is Told.NOTHING
    watch.routes = (Route(channel="pager"),)
    watch.restart()
    watch.look()
    assert told(watch) == [("a", "firing")]


def test_alert_history_and_message_are_written_together_or_not_at_all(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    watch.source("a", is_up=True)
    watch.look(301)
    watch.source("a", is_up=False)
    with monkeypatch.context() as patch:
        patch.setattr("alerts.store_outbox.add", broken)
        with pytest.raises(ZeroDivisionError):
            watch.look()
    assert watch.alerts() == []
    watch.restart()
    watch.look()
    assert told(watch) == [("a", "firing")]


def test_an_evaluation_that_comes_late_writes_nothing(watch: Watch) -> None:
    lose(watch, "a")
    late = VirtualClock(watch.clock.now() - timedelta(seconds=30))
    other = replace_clock(watch, late)
    assert other.evaluator.run().is_skipped


def replace_clock(watch: Watch, clock: VirtualClock) -> Watch:
    other = Watch.__new__(Watch)
    for name in ("engine", "ids", "rules", "routes", "group_interval", "is_agent_alive"):
        setattr(other, name, getattr(watch, name))
    other.clock = clock
    other.restart()
    return other


def test_a_thousand_alerts_go_into_messages_of_two_hundred(watch: Watch) -> None:
    names = [f"s{number:04}" for number in range(450)]
    lose(watch, *names)
    assert sorted(len(body["alerts"]) for body in bodies(watch)) == [50, 200, 200]


@dataclass
class Believer:
    """What a receiver believes who is told everything in order."""

    open: set[str] = field(default_factory=set)

    def hear(self, subject: str, state: str) -> None:
        """Take a message in; one that changes nothing was told twice."""
        if state == "firing":
            assert subject not in self.open, f"{subject} was told twice"
            self.open.add(subject)
        else:
            assert subject in self.open, f"the end of {subject} was told twice, or for nothing"
            self.open.remove(subject)


@contextmanager
def a_watch(template: Path, interval_s: int) -> Iterator[Watch]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.db"
        shutil.copyfile(template, path)
        engine = open_engine(f"sqlite:///{path}")
        clock = VirtualClock(START)
        yield Watch(
            engine,
            clock,
            SeededIds(clock, 1),
            rules=RULES,
            group_interval=timedelta(seconds=interval_s),
        )
        engine.dispose()


deeds = st.lists(
    st.one_of(
        st.tuples(st.just("lose"), st.sampled_from("ab")),
        st.tuples(st.just("find"), st.sampled_from("ab")),
        st.tuples(st.just("silence"), st.sampled_from("ab")),
        st.tuples(st.just("unsilence"), st.just("")),
        st.tuples(st.just("restart"), st.just("")),
        st.tuples(st.just("wait"), st.sampled_from(["15", "90", "700"])),
    ),
    max_size=25,
)


def act(watch: Watch, deed: str, what: str, silences: list[str]) -> None:
    """Do what changes no source."""
    match deed:
        case "silence":
            silences.append(watch.silence(timedelta(minutes=5), subject=f"source:{what}").id)
        case "unsilence" if silences:
            with writing(watch.engine) as connection:
                store.end_silence(connection, silences.pop(), "x", watch.clock.now())
        case "restart":
            watch.restart()
        case "wait":
            watch.clock.advance(float(what))


def report(watch: Watch, up: dict[str, bool]) -> None:
    """Let every source tell how it is."""
    for name, is_up in up.items():
        watch.source(name, is_up=is_up)


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(deeds, st.sampled_from([0, 60]))
def test_whatever_happens_receivers_end_up_believing_the_truth(
    _sqlite_template: Path,  # noqa: PT019 - a fixture of the session, whose value is needed
    story: list[tuple[str, str]],
    interval_s: int,
) -> None:
    with a_watch(_sqlite_template, interval_s) as watch:
        silences: list[str] = []
        up = dict.fromkeys("ab", True)
        report(watch, up)
        for deed, what in story:
            if deed in ("lose", "find"):
                up[what] = deed == "find"
            act(watch, deed, what, silences)
            report(watch, up)
            watch.look()
        # No silence, no interval and no damping lasts for longer than this.
        for _ in range(5):
            report(watch, up)
            watch.look(1_800)
        believer = Believer()
        for subject, state in told(watch):
            believer.hear(subject, state)
        assert believer.open == {name for name, is_up in up.items() if not is_up}
