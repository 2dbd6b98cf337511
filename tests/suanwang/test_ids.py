"""Ids never repeat, sort by time, and are equal where the same thing is meant."""

import re
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from suanwang.clock import SystemClock, VirtualClock
from suanwang.ids import (
    SUBMISSION_ID,
    RandomIds,
    SeededIds,
    attempt_id,
    executor_id,
    new_secret,
    secret_hash,
)

DRAWS = 10_000


def test_ids_never_repeat() -> None:
    ids = RandomIds(SystemClock())
    assert len({ids.new("job") for _ in range(DRAWS)}) == DRAWS


def test_an_id_is_its_prefix_and_22_characters(ids: SeededIds) -> None:
    assert re.fullmatch(r"job_[0-9a-hjkmnp-z]{22}", ids.new("job"))


def test_equal_seeds_draw_equal_ids() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    first, second = (SeededIds(VirtualClock(start), seed=7) for _ in range(2))
    assert [first.new("a") for _ in range(5)] == [second.new("a") for _ in range(5)]


def test_later_ids_sort_after_earlier_ones(clock: VirtualClock, ids: SeededIds) -> None:
    drawn = []
    for _ in range(100):
        drawn.append(ids.new("job"))
        clock.advance(0.001)
    assert drawn == sorted(drawn)


submission_ids = st.from_regex(SUBMISSION_ID, fullmatch=True)


@given(submission_ids, st.integers(1, 999))
def test_an_executor_accepts_every_derived_id(submission_id: str, number: int) -> None:
    derived = executor_id(submission_id, number)
    assert SUBMISSION_ID.fullmatch(derived)
    assert derived == executor_id(submission_id, number)


@given(submission_ids, st.integers(1, 999), st.integers(1, 999))
def test_two_attempts_never_share_an_executor_id(submission_id: str, a: int, b: int) -> None:
    assert (executor_id(submission_id, a) == executor_id(submission_id, b)) is (a == b)


def test_long_submission_ids_that_begin_alike_stay_apart() -> None:
    one, other = "x" * 127 + "1", "x" * 127 + "2"
    assert executor_id(one, 1) != executor_id(other, 1)


def test_an_attempt_is_named_after_its_job() -> None:
    assert attempt_id("job_1", 2) == "job_1-a2"


def test_secrets_are_long_never_repeat_and_are_stored_as_a_digest() -> None:
    secret, other = new_secret("swk"), new_secret("swk")
    assert secret != other
    assert re.fullmatch(r"swk_[A-Za-z0-9_-]{43}", secret)
    assert re.fullmatch(r"[0-9a-f]{64}", secret_hash(secret))
    assert secret_hash(secret) != secret_hash(other)
