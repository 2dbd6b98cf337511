"""The runner on a fake executor and a virtual clock."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from agent_builders import NOON, Site, a_fence, a_start, a_stop

from agent.executors.port import RunState, UnknownRun
from agent.record import LocalState
from agent.runner import Pace
from suanwang.clock import VirtualClock


@pytest.fixture
def site(tmp_path: Path, clock: VirtualClock) -> Iterator[Site]:
    """An empty site."""
    made = Site(tmp_path, clock)
    yield made
    made.spool.close()


async def test_an_attempt_is_submitted_followed_and_reported_to_its_end(site: Site) -> None:
    assert site.runner.take([a_start()]) == ("job_1-a1-start",)
    await site.turns(14)
    reports = site.deliver()
    assert [report.state for report in reports] == [
        "submitting",
        "starting",
        "running",
        "succeeded",
    ]
    end = reports[-1]
    assert end.exit_code == 0
    assert end.started_at is not None
    assert end.ended_at is not None
    assert (end.ended_at - end.started_at).total_seconds() == 10.0
    assert end.window_source == "supervisor"
    assert [one.seq for one in reports] == sorted({one.seq for one in reports})


async def test_all_output_is_on_disk_before_the_end_is_reported(site: Site) -> None:
    site.runner.take([a_start("echo one; sleep 10; echo two")])
    await site.turns(14)
    assert site.spool.reports(10) == ()
    text = ""
    while (piece := site.spool.next_piece()) is not None:
        assert piece.start == len(text)
        text += piece.text
        site.spool.output_taken(piece.attempt_id, len(text))
    assert text == "one\ntwo\n"
    assert [one.report.state for one in site.spool.reports(10)][-1] == "succeeded"


async def test_the_executor_forgets_a_run_only_when_the_centre_has_all_of_it(site: Site) -> None:
    site.runner.take([a_start("sleep 2")])
    await site.turns(6)
    assert (await site.executor.get("train-a1")).state is RunState.SUCCEEDED
    site.deliver()
    await site.turn()
    with pytest.raises(UnknownRun):
        await site.executor.get("train-a1")
    assert site.book.records() == ()


async def test_a_repeated_order_does_not_run_twice(site: Site) -> None:
    site.runner.take([a_start(), a_start()])
    await site.turns(3)
    site.runner.take([a_start()])
    await site.turns(2)
    assert site.executor.submissions == 1


async def test_an_order_for_an_attempt_that_ended_is_answered_with_its_end(site: Site) -> None:
    site.runner.take([a_start("sleep 1")])
    await site.turns(5)
    site.deliver()
    await site.turns(2)
    site.runner.take([a_start("sleep 1")])
    assert site.states() == ["succeeded"]
    await site.turns(2)
    assert site.executor.submissions == 1


async def test_a_killed_agent_goes_on_where_it_was(site: Site) -> None:
    site.runner.take([a_start()])
    await site.turns(4)
    site.restart()
    await site.turns(12)
    assert site.states() == ["submitting", "starting", "running", "succeeded"]
    assert site.executor.submissions == 1


async def test_an_agent_killed_between_submission_and_answer_adopts_the_run(site: Site) -> None:
    site.executor.faults.loses_answers = True
    site.runner.take([a_start()])
    await site.turn()
    site.restart()
    site.executor.faults.loses_answers = False
    await site.turns(14)
    assert site.states() == ["submitting", "starting", "running", "succeeded"]
    assert site.executor.submissions == 1


async def test_a_stop_order_ends_the_run(site: Site) -> None:
    site.runner.take([a_start("sleep 600")])
    await site.turns(3)
    site.runner.take([a_stop("the user had enough")])
    await site.turns(3)
    end = site.deliver()[-1]
    assert end.state == "stopped"
    assert end.message == "the user had enough"


async def test_a_stop_order_before_the_submission_never_submits(site: Site) -> None:
    site.runner.take([a_start(), a_stop()])
    await site.turns(2)
    assert site.executor.submissions == 0
    assert site.states()[-1] == "stopped"


async def test_a_run_may_not_outlive_what_was_granted(site: Site) -> None:
    site.runner.take([a_start("sleep 600", run_s_max=20)])
    await site.turns(30)
    end = site.deliver()[-1]
    assert end.state == "stopped"
    assert "20 s" in end.message
    assert end.started_at is not None
    assert end.ended_at is not None
    assert 20 <= (end.ended_at - end.started_at).total_seconds() <= 22


async def test_a_run_may_not_outlive_its_lease_by_the_centres_clock(site: Site) -> None:
    site.book.note_skew(3_600.0)
    site.restart()
    lease = NOON + timedelta(hours=1, seconds=30)
    site.runner.take([a_start("sleep 600", lease_expires_at=lease)])
    await site.turns(40)
    end = site.deliver()[-1]
    assert end.state == "stopped"
    assert end.at >= lease


async def test_a_submission_without_an_answer_is_not_repeated_in_another_session(
    site: Site,
) -> None:
    site.executor.faults.loses_answers = True
    site.runner.take([a_start("sleep 600")])
    await site.turn()
    site.executor.lose_records("fake-2")
    site.executor.faults.loses_answers = False
    await site.turns(4)
    assert site.states()[-1] == "fenced"
    assert site.executor.submissions == 1


async def test_a_stop_that_is_not_heard_ends_in_a_fence(site: Site) -> None:
    site.runner.take([a_start("sleep 6000")])
    await site.turns(3)
    site.executor.faults.is_unreachable = True
    site.runner.take([a_stop("enough")])
    await site.turns(40)
    end = site.deliver()[-1]
    assert (end.state, end.message) == ("stopped", "enough")
    assert end.started_at is not None
    assert end.ended_at is not None


async def test_a_silent_executor_makes_attempts_unknown_and_back(site: Site) -> None:
    site.runner.take([a_start("sleep 600")])
    await site.turns(3)
    site.executor.faults.is_unreachable = True
    await site.turns(20)
    assert site.states() == ["submitting", "starting", "running"]
    assert site.book.running() == ()
    await site.turns(15)
    assert site.states() == ["unknown"]
    site.executor.faults.is_unreachable = False
    await site.turns(2)
    assert site.states() == ["running"]
    assert site.book.running() == ("job_1-a1",)


async def test_a_long_silent_executors_runs_are_fenced(site: Site) -> None:
    site.runner.take([a_start("sleep 6000")])
    await site.turns(3)
    site.executor.faults.is_unreachable = True
    await site.turns(100)
    assert site.states()[-2:] == ["unknown", "fenced"]


async def test_an_unproven_fence_stays_unknown_and_is_tried_again(site: Site) -> None:
    site.executor.faults.cannot_prove = True
    site.runner.take([a_start("sleep 6000"), a_fence()])
    await site.turns(3)
    assert site.states() == ["unknown"]
    site.executor.faults.cannot_prove = False
    await site.turns(40)
    assert site.states() == ["fenced"]


async def test_a_fence_order_spares_the_end_of_a_run_that_had_ended(site: Site) -> None:
    site.runner.take([a_start("sleep 2")])
    await site.turns(2)
    site.clock.advance(10)
    site.runner.take([a_fence()])
    await site.turns(2)
    assert site.states()[-1] == "succeeded"


async def test_a_fence_order_for_an_attempt_never_heard_of_is_proven(site: Site) -> None:
    site.runner.take([a_fence()])
    await site.turn()
    assert site.states() == ["fenced"]


async def test_an_executor_that_lost_its_records_leads_to_a_fence(site: Site) -> None:
    site.runner.take([a_start("sleep 600")])
    await site.turns(3)
    site.executor.lose_records("fake-2")
    await site.turns(2)
    assert site.states()[-1] == "fenced"


async def test_a_record_deleted_by_somebody_is_unknown_and_not_run_again(site: Site) -> None:
    site.runner.take([a_start("sleep 600")])
    await site.turns(3)
    site.executor.lose_records("fake-1")
    await site.turns(10)
    assert site.states()[-1] == "unknown"
    assert site.executor.submissions == 1


async def test_a_failure_of_the_site_is_proven_dead_before_it_is_reported(site: Site) -> None:
    site.runner.take([a_start("sleep 600")])
    await site.turns(3)
    site.executor.break_run("train-a1")
    site.executor.faults.cannot_prove = True
    await site.turns(2)
    assert site.states()[-1] == "unknown"
    site.executor.faults.cannot_prove = False
    await site.turns(40)
    assert site.states() == ["fenced"]


async def test_a_refused_run_is_its_owners_failure(site: Site) -> None:
    site.executor.faults.refuses = True
    site.runner.take([a_start()])
    await site.turn()
    end = site.deliver()[-1]
    assert (end.state, end.is_infrastructure) == ("failed", False)


async def test_an_executor_that_never_answers_fails_the_attempt_at_the_site(site: Site) -> None:
    site.executor.faults.is_unreachable = True
    site.runner.take([a_start()])
    await site.turns(80, seconds=2.0)
    end = site.deliver()[-1]
    assert (end.state, end.is_infrastructure) == ("failed", True)
    assert "no answer" in end.message


async def test_submissions_under_way_are_limited(site: Site) -> None:
    site.pace = Pace(submissions_max=2)
    site.restart()
    site.executor.start_s = 5.0
    orders = [
        a_start("sleep 60", id=f"o{n}", attempt_id=f"job_{n}-a1", executor_id=f"e{n}")
        for n in range(6)
    ]
    site.runner.take(orders)
    await site.turn()
    assert site.executor.submissions == 2
    await site.turns(20)
    assert site.executor.submissions == 6


async def test_output_beyond_the_limit_is_cut_with_a_note(site: Site) -> None:
    site.pace = Pace(output_chars_max=10)
    site.restart()
    site.runner.take([a_start("echo 0123456789abcdef; sleep 1")])
    await site.turns(4)
    piece = site.spool.next_piece()
    assert piece is not None
    assert piece.text.startswith("0123456789\n[suanwang: the output is longer than 10")


async def test_an_attempt_that_only_the_centre_knows_is_reported_unknown_once(site: Site) -> None:
    site.book.compare(["ghost-a1"])
    assert site.states() == []
    site.book.compare(["ghost-a1"])
    site.book.compare(["ghost-a1"])
    assert site.states() == ["unknown"]


async def test_an_end_that_the_centre_missed_is_reported_again(site: Site) -> None:
    site.runner.take([a_start("sleep 1")])
    await site.turns(5)
    first = site.deliver()[-1]
    await site.turn()
    site.book.compare(["job_1-a1"])
    again = site.deliver()[-1]
    assert again.state == first.state == "succeeded"
    assert again.seq > first.seq
    assert site.spool.find("job_1-a1") is not None


async def test_the_intent_is_on_disk_before_the_executor_hears_of_it(site: Site) -> None:
    site.executor.faults.is_unreachable = True
    site.runner.take([a_start()])
    site.restart()
    assert [one.state for one in site.book.records()] == [LocalState.INTENT]
