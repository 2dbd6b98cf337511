"""Room for jobs, for many starts at once: the least over each window, and never too little."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problem_builders import a_random_problem

from optimizer.columns import columns_of
from optimizer.deadline import Deadline
from optimizer.greedy import fill
from optimizer.instance import instance_of
from optimizer.occupancy import empty_occupancy
from optimizer.room import ExactHolder, Windows


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 100_000), slots=st.integers(1, 40))
def test_room_is_the_least_over_every_slot_of_a_window(seed: int, slots: int) -> None:
    random = np.random.default_rng(seed)
    free = random.integers(0, 100, (3, slots)).astype(np.float64)
    first = random.integers(0, slots, 20)
    last = np.minimum(slots - 1, first + random.integers(0, slots, 20))
    pool = random.integers(0, 3, 20)
    units = random.integers(1, 9, 20).astype(np.float64)
    rooms = Windows(pool=pool, first=first, last=last, units=units).rooms(free)
    for at in range(20):
        least = free[pool[at], first[at] : last[at] + 1].min()
        assert rooms[at] == least // units[at]


@pytest.mark.parametrize("seed", range(6))
def test_no_start_takes_more_jobs_than_it_was_said_to_have_room_for(seed: int) -> None:
    instance = instance_of(a_random_problem(seed, jobs=40, classes=20, load=2.0))
    columns = columns_of(instance)
    state = empty_occupancy(instance, columns)
    every = np.arange(columns.count)
    for _ in range(2):
        rooms = ExactHolder(state).rooms(every)
        taken = [min(state.room(int(at)), int(state.left[columns.klass[at]])) for at in every]
        assert (rooms >= taken).all()
        fill(state, Deadline(1e6))
