"""Any story that agents, users, operators and time can tell, in any order, any number of times."""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from scheduler_builders import CHEAP, NEAR, START, YUAN, a_job

from scheduler.events import (
    AttemptEvent,
    Bill,
    Event,
    Extended,
    ExtendHold,
    ExtensionKnown,
    Fenced,
    FenceDue,
    IssueOrder,
    LeaseEnded,
    Lost,
    MoveAsked,
    MoveDropped,
    OpenHold,
    Placed,
    ReleaseHold,
    Reported,
    Seen,
    StopAsked,
    TimeShort,
    TimeUsed,
)
from scheduler.granted_time import may_grow
from scheduler.lifecycle import ATTEMPTS_MAX, advance
from scheduler.moves import hold_of_move, may_begin
from suanwang.errors import InvalidTransition
from suanwang.ids import PoolId
from suanwang.model.attempt import Attempt, AttemptState
from suanwang.model.job import Job, JobState
from suanwang.model.voucher import HoldSlice
from suanwang.units import charge_fen, hold_fen

REPORTABLE = ("submitting", "starting", "running", "succeeded", "failed", "stopped")
WORDS = st.sampled_from([*REPORTABLE, "unknown", "fenced"])
RUN_S = 600
GRACE_S = 30
CHECKPOINT_S = 40
SECONDS = st.integers(-500, 5_000)


class Story(RuleBasedStateMachine):
    """One job; everything that was ever reported may come again."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        job = a_job()
        wishes = replace(job.wishes, stop_grace_s=GRACE_S, may_move=True, checkpoint_s=CHECKPOINT_S)
        self.job: Job = replace(job, wishes=wishes)
        self.attempts: dict[int, Attempt] = {}
        self.holds: dict[str, str] = {}
        self.starts: list[str] = []
        self.granted_s: dict[str, int] = {}
        self.least_s: dict[str, int] = {}
        self.told: list[tuple[int, Reported]] = []
        self.final: Job | None = None

    def happen(self, event: Event, number: int | None = None) -> None:
        """Advance, and carry out what follows as the shell would."""
        attempt = self.attempts.get(number or self.newest)
        step = advance(self.job, attempt, event)
        self.job = step.job
        if step.attempt is not None:
            self.attempts[step.attempt.number] = step.attempt
            self.least_s.setdefault(step.attempt.id, step.attempt.run_s_max)
            self.granted_s.setdefault(step.attempt.id, step.attempt.run_s_max)
        for instruction in step.instructions:
            match instruction:
                case OpenHold(hold_id=hold_id):
                    assert hold_id not in self.holds, "a hold is opened once"
                    self.holds[hold_id] = "open"
                case ExtendHold(hold_id=hold_id, extension=extension):
                    assert self.holds[hold_id] == "open", "only an open hold grows"
                    self.granted_s[extension.attempt_id] += extension.by_s
                case Bill(attempt_id=attempt_id) | ReleaseHold(attempt_id=attempt_id):
                    assert self.holds[f"hold:{attempt_id}"] == "open", "a hold ends once"
                    self.holds[f"hold:{attempt_id}"] = "closed"
                case IssueOrder(kind="start", attempt_id=attempt_id):
                    assert attempt_id not in self.starts, "an attempt is ordered to start once"
                    self.starts.append(attempt_id)
            if isinstance(instruction, Bill):
                self.bill_is_sound(instruction)

    @property
    def newest(self) -> int:
        """Number of the newest attempt; a move takes a number before its attempt is there."""
        return max(self.attempts, default=0)

    def bill_is_sound(self, bill: Bill) -> None:
        """Never negative, never in the future, never more than was held."""
        attempt = next(one for one in self.attempts.values() if one.id == bill.attempt_id)
        assert attempt.intent_at <= bill.started_at < bill.ended_at <= self.now
        assert bill.ended_at <= attempt.lease_expires_at
        used_ms = attempt.units * ((bill.ended_at - bill.started_at) // timedelta(milliseconds=1))
        assert attempt.run_s_max == self.granted_s[attempt.id]
        held = hold_fen(attempt.units * (attempt.run_s_max + GRACE_S) * 1_000, 10 * YUAN)
        assert charge_fen(used_ms, 10 * YUAN) <= held

    @rule(seconds=st.integers(1, 900))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.attempts)
    @rule()
    def move(self) -> None:
        """A job that runs undisturbed is asked to move; any other can never be."""
        attempt = self.attempts[self.newest]
        event = MoveAsked(
            at=self.now,
            pool_id=PoolId("cheap-cpu"),
            slices=(HoldSlice(lot_id=None, amount_fen=200),),
            message="cheaper",
        )
        if may_begin(self.job, attempt):
            self.happen(event)
            return
        before = self.job
        with suppress(InvalidTransition):
            self.happen(event)
            raise AssertionError("a job was moved that does not run undisturbed")
        assert self.job == before

    @precondition(lambda self: self.job.state is JobState.QUEUED)
    @rule()
    def drop_the_move(self) -> None:
        self.happen(MoveDropped(at=self.now, message="no room"))

    @precondition(lambda self: self.job.state is JobState.QUEUED)
    @rule(site=st.sampled_from([NEAR, CHEAP]))
    def place(self, site: str) -> None:
        self.happen(
            Placed(
                at=self.now,
                site_id=NEAR if site == NEAR else CHEAP,
                pool_id=PoolId(f"{site}-cpu"),
                price_uyuan_per_unit_hour=10 * YUAN,
                epoch=1,
                lease_expires_at=self.now + timedelta(seconds=1_500),
                slices=(HoldSlice(lot_id=None, amount_fen=167),),
                is_held=self.job.move_to is not None,
            )
        )

    @rule(was_handed_out=st.booleans())
    def stop(self, was_handed_out: bool) -> None:
        self.happen(StopAsked(at=self.now, was_handed_out=was_handed_out))

    @precondition(lambda self: self.attempts)
    @rule(by_s=st.integers(1, 900), is_automatic=st.booleans())
    def extend(self, by_s: int, is_automatic: bool) -> None:
        """More time, with its money; what ends is never given any."""
        before = self.job, dict(self.attempts)
        event = Extended(
            at=self.now,
            by_s=by_s,
            slices=(HoldSlice(lot_id=None, amount_fen=by_s),),
            amount_fen=by_s,
            is_automatic=is_automatic,
            asked_by="",
            request_key="k",
        )
        attempt = self.attempts[self.newest]
        if may_grow(self.job, attempt):
            self.happen(event)
            return
        with suppress(InvalidTransition):
            self.happen(event)
            raise AssertionError("what ends was given more time")
        assert (self.job, self.attempts) == before

    @precondition(lambda self: self.attempts)
    @rule(which=st.integers(0, 1_000), grown=st.integers(0, 10), is_late=st.booleans())
    def site_answers(self, which: int, grown: int, is_late: bool) -> None:
        """The site knows of some extension, maybe an old one, maybe too late."""
        attempt = list(self.attempts.values())[which % len(self.attempts)]
        number = min(grown, attempt.extensions)
        is_newest = number == attempt.extensions
        run_s_max = attempt.run_s_max if is_newest else self.least_s[attempt.id]
        event = ExtensionKnown(at=self.now, number=number, run_s_max=run_s_max, is_late=is_late)
        self.happen(event, attempt.number)

    @precondition(lambda self: self.attempts)
    @rule(
        word=WORDS,
        skip=st.integers(0, 3),
        window=st.tuples(SECONDS, SECONDS),
        is_infrastructure=st.booleans(),
    )
    def report(
        self,
        word: str,
        skip: int,
        window: tuple[int, int],
        is_infrastructure: bool,
    ) -> None:
        number = self.newest
        event = Reported(
            at=self.now,
            seq=self.attempts[number].report_seq + skip,
            state=AttemptState(word),
            started_at=self.moment(window[0]),
            ended_at=self.moment(window[1]),
            is_infrastructure=is_infrastructure,
        )
        self.told.append((number, event))
        self.happen(event, number)

    def moment(self, seconds: int) -> datetime | None:
        """A moment by the agent's clock, or none for every seventh."""
        return None if seconds % 7 == 0 else START + timedelta(seconds=seconds)

    @precondition(lambda self: self.told)
    @rule(which=st.integers(0, 1_000))
    def report_again(self, which: int) -> None:
        number, event = self.told[which % len(self.told)]
        self.happen(replace(event, at=self.now), number)

    @precondition(lambda self: self.attempts)
    @rule(which=st.integers(0, 1_000), kind=st.integers(0, 6))
    def time_or_people(self, which: int, kind: int) -> None:
        number = list(self.attempts)[which % len(self.attempts)]
        events: tuple[AttemptEvent, ...] = (
            Seen(at=self.now),
            Lost(at=self.now, message="no news"),
            FenceDue(at=self.now),
            LeaseEnded(at=self.now),
            TimeUsed(at=self.now),
            TimeShort(at=self.now, why_not_longer="no money"),
            Fenced(at=self.now, message="said so"),
        )
        self.happen(events[kind], number)

    @precondition(lambda self: self.job.state is not JobState.QUEUED)
    @rule()
    def placing_twice_is_refused(self) -> None:
        before = self.job
        try:
            self.place(NEAR)
        except InvalidTransition:
            assert self.job == before
        else:
            raise AssertionError("a job that is not in the queue was placed")

    @invariant()
    def at_most_one_attempt_is_not_proven_dead(self) -> None:
        alive = [one for one in self.attempts.values() if not one.state.is_dead]
        assert len(alive) <= 1
        is_out = self.job.state in (JobState.PLACED, JobState.RUNNING, JobState.STOPPING)
        assert bool(alive) == is_out

    @invariant()
    def money_is_set_aside_exactly_while_an_attempt_lives(self) -> None:
        for attempt in self.attempts.values():
            is_open = self.holds[attempt.hold_id] == "open"
            assert is_open != attempt.state.is_dead

    @invariant()
    def a_site_never_knows_of_more_time_than_was_granted(self) -> None:
        for attempt in self.attempts.values():
            assert self.least_s[attempt.id] <= attempt.run_s_confirmed <= attempt.run_s_max
            assert attempt.run_s_max == self.granted_s[attempt.id]

    @invariant()
    def attempts_are_counted_and_limited(self) -> None:
        assert self.job.attempts - self.job.moves <= ATTEMPTS_MAX
        assert self.job.attempts - self.job.moves <= len(self.attempts) <= self.job.attempts

    @invariant()
    def money_waits_for_a_move_exactly_while_there_is_one(self) -> None:
        moves = {hold for hold in self.holds if hold not in self.holds_of_attempts()}
        waiting = {hold for hold in moves if self.holds[hold] == "open"}
        assert waiting == ({hold_of_move(self.job)[1]} if self.job.move_to else set())
        assert not (self.job.state.is_final and self.job.move_to)

    def holds_of_attempts(self) -> set[str]:
        """Holds of attempts that are there."""
        return {str(attempt.hold_id) for attempt in self.attempts.values()}

    @invariant()
    def what_is_left_after_a_move_was_granted_before(self) -> None:
        if self.job.left_run_s is not None:
            most_s = max(self.granted_s.values()) + CHECKPOINT_S
            assert CHECKPOINT_S < self.job.left_run_s <= most_s

    @invariant()
    def final_is_final(self) -> None:
        if self.final is not None:
            assert self.job == self.final
        if self.job.state.is_final:
            self.final = self.job


TestStory = Story.TestCase
TestStory.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
