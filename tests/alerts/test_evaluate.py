"""How alerts move, on a clock of the test."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.evaluate import CALM, Step, clear_for, judge, retire
from alerts.model import (
    Alert,
    AlertState,
    EventKind,
    Limit,
    Observation,
    Rule,
    Seen,
    Severity,
    Told,
)

START = datetime(2026, 10, 14, tzinfo=UTC)
RULE = Rule(
    id="too-hot",
    signal="inlet_temperature_c",
    severity=Severity.WARNING,
    summary={"en": "x", "zh": "x"},
    above=Limit(number=30.0),
    margin=2.0,
    lasts=timedelta(seconds=60),
    clear_lasts=timedelta(seconds=30),
)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def seen(value: float | None, **more: Any) -> Observation:
    return replace(Observation(site_id="qd", subject="host:a", value=value), **more)


class Story:
    """One subject under one rule, looked at again and again."""

    def __init__(self, rule: Rule = RULE) -> None:
        self.rule = rule
        self.alert: Alert | None = None
        self.events: list[EventKind] = []
        self._ids: Callable[[], str] = map("alert-{}".format, itertools.count(1)).__next__

    def look(self, seconds: float, value: float | None, **more: Any) -> AlertState | None:
        return self.take(seconds, Seen(observations=(seen(value, **more),)))

    def take(self, seconds: float, found: Seen) -> AlertState | None:
        kept = [self.alert] if self.alert else []
        steps = list(judge(self.rule, found, kept, at(seconds), self._ids))
        return self._apply(steps)

    def _apply(self, steps: Sequence[Step]) -> AlertState | None:
        for step in steps:
            assert step.before == self.alert
            self.alert = step.after
            self.events += [event.kind for event in step.events]
        return self.alert.state if self.alert else None


def test_it_fires_only_after_the_condition_has_lasted() -> None:
    story = Story()
    assert story.look(0, 31) is AlertState.PENDING
    assert story.look(59, 31) is AlertState.PENDING
    assert story.events == []
    assert story.look(60, 31) is AlertState.FIRING
    assert story.events == [EventKind.FIRED]
    assert story.look(75, 31) is AlertState.FIRING
    assert story.events == [EventKind.FIRED]


def test_what_was_bad_for_a_moment_leaves_nothing_behind() -> None:
    story = Story()
    story.look(0, 31)
    assert story.look(15, 29.5) is None
    assert story.look(60, 31) is AlertState.PENDING
    assert story.events == []


def test_between_limit_and_clear_level_a_firing_alert_goes_on() -> None:
    story = Story()
    story.look(0, 31)
    story.look(60, 31)
    for second in range(75, 600, 15):
        assert story.look(second, 29) is AlertState.FIRING
    assert story.look(600, 27) is AlertState.FIRING
    assert story.look(615, 29) is AlertState.FIRING, "the clear time begins anew"
    assert story.look(630, 27) is AlertState.FIRING
    assert story.look(660, 27) is AlertState.RESOLVED
    assert story.events == [EventKind.FIRED, EventKind.RESOLVED]


def test_what_is_not_observed_any_more_is_well() -> None:
    story = Story()
    story.look(0, 31)
    story.look(60, 31)
    assert story.take(75, Seen()) is AlertState.FIRING
    assert story.take(105, Seen()) is AlertState.RESOLVED


def test_nothing_changes_for_a_site_that_cannot_be_seen() -> None:
    story = Story()
    story.look(0, 31)
    story.look(60, 31)
    for second in range(75, 900, 15):
        story.take(second, Seen(blind=frozenset({"qd"})))
    assert story.alert is not None
    assert story.alert.state is AlertState.FIRING
    assert story.look(900, None) is AlertState.FIRING


def test_a_rule_without_a_duration_fires_at_once() -> None:
    story = Story(replace(RULE, lasts=timedelta(), clear_lasts=timedelta()))
    assert story.look(0, 31) is AlertState.FIRING
    assert story.look(15, 20) is AlertState.RESOLVED


@pytest.mark.parametrize(
    ("value", "is_bad"), [(0.99, True), (1.0, False), (3.0, False), (3.1, True)]
)
def test_a_rule_may_have_both_limits(value: float, is_bad: bool) -> None:
    rule = replace(
        RULE, below=Limit(number=1.0), above=Limit(number=3.0), margin=0.0, lasts=timedelta()
    )
    assert (Story(rule).look(0, value) is AlertState.FIRING) is is_bad


def test_a_limit_may_be_a_fact_of_the_site() -> None:
    rule = replace(RULE, above=Limit(fact="site.pue_limit"), margin=0.0, lasts=timedelta())
    assert Story(rule).look(0, 1.35, facts={"site.pue_limit": 1.3}) is AlertState.FIRING
    assert Story(rule).look(0, 1.35, facts={"site.pue_limit": 1.4}) is None
    assert Story(rule).look(0, 1.35) is None


def test_an_excuse_explains_instead_of_firing() -> None:
    story = Story(replace(RULE, lasts=timedelta()))
    assert story.look(0, 31, excuse="less load", baseline=29.0) is AlertState.EXPLAINED
    assert story.look(15, 31, excuse="less load", baseline=29.0) is AlertState.EXPLAINED
    assert story.events == [EventKind.EXPLAINED]
    assert story.look(30, 31) is AlertState.FIRING, "the excuse is gone"


def test_an_excuse_does_not_hold_where_it_was_bad_before() -> None:
    story = Story(replace(RULE, lasts=timedelta()))
    assert story.look(0, 32, excuse="less load", baseline=31.0) is AlertState.FIRING


def test_what_fires_already_is_not_explained_away() -> None:
    story = Story(replace(RULE, lasts=timedelta()))
    story.look(0, 31)
    assert story.look(15, 31, excuse="less load", baseline=29.0) is AlertState.FIRING


def test_an_alert_that_flaps_must_be_clear_for_longer_and_longer() -> None:
    story = Story(replace(RULE, lasts=timedelta(), clear_lasts=timedelta()))
    second = 0.0
    lengths = []
    for _ in range(8):
        assert story.look(second, 31) is AlertState.FIRING
        began = second
        while story.look(second, 20) is AlertState.FIRING:
            second += 15
        lengths.append(second - began)
        second += 15
    assert lengths == sorted(lengths)
    assert lengths[0] == 0
    assert lengths[-1] >= 3_600
    assert story.alert is not None
    assert story.alert.firings == 8


def test_after_a_calm_hour_it_is_an_alert_like_any_other() -> None:
    story = Story(replace(RULE, lasts=timedelta(), clear_lasts=timedelta()))
    for second in (0, 15, 200, 400):
        story.look(second, 31 if second % 200 == 0 else 20)
    assert story.alert is not None
    story.take(4_000, Seen())
    story.take(8_000, Seen())
    assert story.alert.state is AlertState.RESOLVED
    story.look(20_000, 31)
    assert story.alert.firings == 1


def test_acknowledgement_ends_with_the_alert() -> None:
    story = Story(replace(RULE, lasts=timedelta(), clear_lasts=timedelta()))
    story.look(0, 31)
    assert story.alert is not None
    story.alert = replace(story.alert, acked_at=at(1), acked_by="li", ack_note="on my way")
    story.look(15, 31)
    assert story.alert.acked_by == "li"
    story.look(30, 20)
    story.look(45, 31)
    assert story.alert.acked_by == ""


def test_excluded_subjects_are_left_alone_and_let_go() -> None:
    story = Story(replace(RULE, lasts=timedelta()))
    story.look(0, 31)
    story.rule = replace(story.rule, excluded=("qd/host:*",))
    assert story.look(15, 31) is AlertState.RESOLVED
    assert Story(story.rule).look(0, 31) is None


def test_an_alert_whose_rule_is_gone_is_resolved() -> None:
    story = Story(replace(RULE, lasts=timedelta()))
    story.look(0, 31)
    assert story.alert is not None
    (step,) = retire(story.alert, at(15))
    assert step.after is not None
    assert step.after.state is AlertState.RESOLVED


def test_the_end_of_what_nobody_heard_of_need_not_be_told() -> None:
    story = Story(replace(RULE, lasts=timedelta(), clear_lasts=timedelta()))
    story.look(0, 31)
    story.look(15, 20)
    assert story.alert is not None
    assert story.alert.told is Told.NOTHING


def test_a_value_that_creeps_is_not_written_each_time() -> None:
    story = Story(replace(RULE, lasts=timedelta()))
    story.look(0, 100)
    former = story.alert
    story.look(15, 101)
    assert story.alert is former
    story.look(30, 110)
    assert story.alert is not None
    assert story.alert.value == 110


values = st.lists(
    st.tuples(st.integers(1, 400), st.none() | st.floats(20, 40)), min_size=1, max_size=60
)


@given(values, st.integers(0, 200), st.integers(0, 200))
def test_events_alternate_and_every_firing_that_clears_is_resolved(
    looks: list[tuple[int, float | None]], lasts: int, clear: int
) -> None:
    rule = replace(RULE, lasts=timedelta(seconds=lasts), clear_lasts=timedelta(seconds=clear))
    story = Story(rule)
    second = 0
    for step, value in looks:
        second += step
        story.look(second, value)
    for _ in range(20):
        second += 600
        story.look(second, 20)
    kinds = [kind for kind in story.events if kind is not EventKind.EXPLAINED]
    expected = [EventKind.FIRED, EventKind.RESOLVED] * (len(kinds) // 2)
    assert kinds == expected
    assert story.alert is None or story.alert.state is AlertState.RESOLVED


@given(st.integers(0, 50))
def test_the_clear_time_grows_with_flapping_and_is_bounded(firings: int) -> None:
    shorter, longer = clear_for(RULE, firings), clear_for(RULE, firings + 1)
    assert timedelta() <= shorter <= longer <= CALM
