"""The time that is paid for, as tables: warned of, extended, known to the agent or not, used up."""

from dataclasses import replace
from datetime import timedelta

import pytest
from scheduler_builders import NEAR, START, a_job, an_attempt

from scheduler.events import (
    Bill,
    ConfirmExtension,
    Extended,
    ExtendHold,
    ExtensionKnown,
    IssueOrder,
    Note,
    Reported,
    Step,
    TimeShort,
)
from scheduler.granted_time import automatic_s, may_grow
from scheduler.lifecycle import advance, billable_window
from suanwang.errors import InvalidTransition
from suanwang.model.attempt import Attempt, AttemptState
from suanwang.model.job import Job, JobState, Wishes
from suanwang.model.plan import ReasonCode
from suanwang.model.voucher import HoldSlice

NOW = START + timedelta(seconds=540)


def running_job(**changes: object) -> Job:
    """A job whose first attempt runs at the near site."""
    return a_job(**({"state": JobState.RUNNING, "attempts": 1, "site_id": NEAR} | changes))


def running(**changes: object) -> Attempt:
    """An attempt that has run since the start."""
    return an_attempt(**({"started_at": START} | changes))  # type: ignore[arg-type]  # a builder


def extended(by_s: int = 300, **changes: object) -> Extended:
    """Five minutes more for 83 fen of cash."""
    fields: dict[str, object] = {
        "at": NOW,
        "by_s": by_s,
        "slices": (HoldSlice(lot_id=None, amount_fen=83),),
        "amount_fen": 83,
        "is_automatic": False,
        "asked_by": "key_1",
        "request_key": "k",
    }
    return Extended(**(fields | changes))  # type: ignore[arg-type]  # a builder takes any field


def of(step: Step) -> Attempt:
    """The attempt of a step."""
    assert step.attempt is not None
    return step.attempt


def told(step: Step) -> list[str]:
    """Kinds of the lines that a step adds to the story."""
    return [one.kind for one in step.instructions if isinstance(one, Note)]


def test_an_extension_moves_limit_and_lease_together_with_its_money_and_its_order() -> None:
    step = advance(running_job(), running(), extended())
    longer = of(step)
    assert (longer.run_s_max, longer.run_s_confirmed, longer.extensions) == (900, 600, 1)
    assert longer.lease_expires_at == running().lease_expires_at + timedelta(seconds=300)
    money, order, note = step.instructions
    assert isinstance(money, ExtendHold)
    assert (money.extension.number, money.extension.amount_fen) == (1, 83)
    assert isinstance(order, IssueOrder)
    assert (order.kind, order.number) == ("extend", 1)
    assert isinstance(note, Note)
    assert "300 s by hand" in note.message
    assert "0.83 yuan" in note.message
    assert "00:15:00 UTC" in note.message


@pytest.mark.parametrize(
    ("job", "attempt"),
    [
        pytest.param(running_job(), running(state=AttemptState.SUCCEEDED), id="it has ended"),
        pytest.param(running_job(), running(state=AttemptState.FENCED), id="it is proven dead"),
        pytest.param(running_job(), running(stop_requested=True), id="the centre stops it"),
        pytest.param(running_job(stop_requested=True), running(), id="its user stops it"),
        pytest.param(running_job(state=JobState.STOPPING), running(), id="it is stopping"),
        pytest.param(running_job(state=JobState.SUCCEEDED), running(), id="the job is final"),
    ],
)
def test_what_ends_is_never_given_more_time(job: Job, attempt: Attempt) -> None:
    assert not may_grow(job, attempt)
    with pytest.raises(InvalidTransition):
        advance(job, attempt, extended())


@pytest.mark.parametrize(
    "state", [one for one in AttemptState if not one.is_dead], ids=lambda one: one.value
)
def test_whatever_lives_may_be_extended(state: AttemptState) -> None:
    assert of(advance(running_job(), running(state=state), extended())).run_s_max == 900


def test_the_end_is_announced_once_for_each_grant_of_time() -> None:
    first = advance(running_job(), running(), TimeShort(at=NOW))
    assert told(first) == ["time-short"]
    assert first.job.reason is ReasonCode.TIME_SHORT
    assert "60 s of the 600 s" in first.job.message
    assert told(advance(first.job, first.attempt, TimeShort(at=NOW))) == []
    longer = advance(first.job, first.attempt, extended())
    assert longer.job.reason is ReasonCode.PLACED
    again = advance(longer.job, longer.attempt, TimeShort(at=START + timedelta(seconds=810)))
    assert told(again) == ["time-short"]
    assert "90 s of the 900 s" in again.job.message


def test_the_warning_goes_into_the_output_too() -> None:
    (order, note) = advance(running_job(), running(), TimeShort(at=NOW)).instructions
    assert isinstance(order, IssueOrder)
    assert isinstance(note, Note)
    assert (order.kind, order.number, order.message) == ("note", 600, note.message)


def test_a_refused_wish_is_told_in_words_before_the_end() -> None:
    event = TimeShort(at=NOW, why_not_longer="0.83 yuan of cash are needed, 0.20 are free")
    step = advance(running_job(), running(), event)
    assert told(step) == ["extension-refused", "time-short"]
    assert step.job.message.endswith("not extended: 0.83 yuan of cash are needed, 0.20 are free")
    assert step.job.state is JobState.RUNNING


def test_an_attempt_that_does_not_run_yet_has_no_end_to_announce() -> None:
    step = advance(running_job(), an_attempt(AttemptState.STARTING), TimeShort(at=NOW))
    assert step.instructions == ()


def known(number: int, run_s_max: int, *, is_late: bool = False) -> ExtensionKnown:
    """The site answers that it has an extension."""
    return ExtensionKnown(at=NOW, number=number, run_s_max=run_s_max, is_late=is_late)


def twice_extended() -> Step:
    """Two extensions of five minutes that the site does not know of."""
    first = advance(running_job(), running(), extended())
    return advance(first.job, first.attempt, extended(request_key="k2"))


def test_the_site_confirms_extensions_in_any_order() -> None:
    step = twice_extended()
    assert of(step).unconfirmed_s == 600
    newer = advance(step.job, step.attempt, known(2, 1_200))
    assert (of(newer).run_s_confirmed, told(newer)) == (1_200, ["extension-confirmed"])
    assert any(isinstance(one, ConfirmExtension) for one in newer.instructions)
    older = advance(newer.job, newer.attempt, known(1, 900))
    assert (of(older).run_s_confirmed, told(older)) == (1_200, [])


def test_a_repeated_confirmation_changes_nothing() -> None:
    step = twice_extended()
    first = advance(step.job, step.attempt, known(1, 900))
    assert of(first).run_s_confirmed == 900
    assert advance(first.job, first.attempt, known(1, 900)).instructions == ()


def test_an_extension_that_came_too_late_is_said_and_stays_unconfirmed() -> None:
    step = twice_extended()
    late = advance(step.job, step.attempt, known(2, 1_200, is_late=True))
    assert (of(late).run_s_confirmed, told(late)) == (600, ["extension-late"])


def stopped(at_s: int) -> Reported:
    """The agent has stopped the attempt at its limit."""
    end = START + timedelta(seconds=at_s)
    return Reported(
        at=end, seq=9, state=AttemptState.STOPPED, started_at=START, ended_at=end, exit_code=None
    )


def test_a_site_that_never_heard_of_it_ends_the_run_at_the_limit_it_knows() -> None:
    step = advance(running_job(), running(), extended())
    end = advance(step.job, step.attempt, stopped(601))
    assert (end.job.state, end.job.reason) == (JobState.STOPPED, ReasonCode.TIME_LIMIT)
    assert "600 s that its site knew of; 300 s more were granted" in end.job.message
    (bill,) = [one for one in end.instructions if isinstance(one, Bill)]
    assert bill.ended_at - bill.started_at == timedelta(seconds=601)


def test_a_site_that_knows_ends_it_at_the_new_limit() -> None:
    step = advance(running_job(), running(), extended())
    aware = advance(step.job, step.attempt, known(1, 900))
    end = advance(aware.job, aware.attempt, stopped(900))
    assert end.job.message == "stopped after the 900 s that were paid for"


def test_the_grace_of_a_stop_is_billed_and_nothing_beyond_it() -> None:
    attempt = running(stop_grace_s=20, lease_expires_at=START + timedelta(hours=1))
    within = replace(attempt, ended_at=START + timedelta(seconds=612))
    beyond = replace(attempt, ended_at=START + timedelta(seconds=700))
    late = START + timedelta(seconds=800)
    assert billable_window(within, late) == (START, START + timedelta(seconds=612))
    assert billable_window(beyond, late) == (START, START + timedelta(seconds=620))


@pytest.mark.parametrize(
    ("step_s", "in_all_s", "had_s", "more_s"),
    [
        pytest.param(0, 0, 0, 0, id="no wish"),
        pytest.param(300, 900, 0, 300, id="the first step"),
        pytest.param(300, 900, 600, 300, id="the last whole step"),
        pytest.param(300, 700, 600, 100, id="what is left of the total"),
        pytest.param(300, 900, 900, 0, id="the total is used"),
    ],
)
def test_the_wish_gives_steps_up_to_its_total(
    step_s: int, in_all_s: int, had_s: int, more_s: int
) -> None:
    wishes = Wishes(run_s_max=600, extend_s=step_s, extend_s_max=in_all_s)
    assert automatic_s(running_job(wishes=wishes), running(auto_extended_s=had_s)) == more_s


def test_only_the_wish_counts_against_its_total() -> None:
    step = advance(running_job(), running(), extended())
    assert of(step).auto_extended_s == 0
    step = advance(step.job, step.attempt, extended(is_automatic=True, request_key="k2"))
    assert of(step).auto_extended_s == 300
