"""Needs go where they strand least, never where there is no room, and always the same way."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.packing import BROAD, DEEP, GRADIENT, Need, Node, Packer, Scoring, Spot, Workload
from optimizer.rehearsal import rehearsed
from optimizer.residue import residue_values

HALF = Need(cpu_milli=4_000, memory_mib=8_192, accelerators=1, milli=500)
MOST = Need(cpu_milli=4_000, memory_mib=8_192, accelerators=1, milli=800)
ONE = Need(cpu_milli=10_000, memory_mib=32_768, accelerators=1)
HUNGRY = Need(cpu_milli=40_000, memory_mib=32_768, accelerators=1)
FOUR = Need(cpu_milli=32_000, memory_mib=131_072, accelerators=4)
ONLY_CPU = Need(cpu_milli=16_000, memory_mib=16_384)
PICKY = Need(cpu_milli=1_000, memory_mib=1_024, accelerators=1, models=frozenset({"910B"}))
NEEDS = (HALF, MOST, ONE, HUNGRY, FOUR, ONLY_CPU, PICKY)
TYPICAL = Workload(NEEDS, (30, 10, 30, 5, 5, 10, 2))


def _node(name: str, accelerators: int = 4, cpu: int = 64, model: str = "H100") -> Node:
    return Node(
        id=name,
        cpu_milli=cpu * 1_000,
        memory_mib=524_288,
        free_milli=(1_000,) * accelerators,
        model=model if accelerators else "",
    )


def _some_nodes() -> list[Node]:
    return [
        *(_node(f"gpu-{number}", cpu=48) for number in range(3)),
        _node("roomy", cpu=128),
        _node("small", accelerators=1, cpu=16, model="910B"),
        _node("plain", accelerators=0, cpu=32),
    ]


def test_a_share_goes_to_the_rest_that_it_fills() -> None:
    packer = Packer([_node("a"), _node("b")], TYPICAL)
    first = packer.place(HALF)
    assert packer.place(HALF) == first


def test_a_need_of_processors_alone_goes_where_no_accelerator_is_stranded() -> None:
    packer = Packer([_node("gpu"), _node("plain", accelerators=0)], TYPICAL)
    assert packer.place(ONLY_CPU) == Spot("plain", ())


def test_a_need_of_many_processors_goes_where_there_are_many() -> None:
    packer = Packer([_node("lean", cpu=44), _node("rich", cpu=160)], TYPICAL)
    assert packer.place(HUNGRY) == Spot("rich", (0,))


def test_a_gang_takes_whole_accelerators_of_one_node() -> None:
    packer = Packer([_node("a")], TYPICAL)
    packer.place(HALF)
    assert packer.place(FOUR) is None
    empty = Packer([_node("a")], TYPICAL)
    assert empty.place(FOUR) == Spot("a", (0, 1, 2, 3))


def test_a_model_that_is_not_accepted_is_left_alone() -> None:
    packer = Packer(_some_nodes(), TYPICAL)
    assert packer.place(PICKY) == Spot("small", (0,))
    assert packer.place(PICKY) is None


def test_room_that_somebody_else_chose_is_taken_and_its_lack_is_told() -> None:
    packer = Packer([_node("a", accelerators=1)], TYPICAL)
    assert packer.take("a", ONE) == Spot("a", (0,))
    with pytest.raises(ValueError, match="node a has no room"):
        packer.take("a", ONE)
    assert packer.fitting(ONE).tolist() == []


def test_without_nodes_or_accelerators_nothing_breaks() -> None:
    assert Packer([], TYPICAL).place(ONE) is None
    packer = Packer([_node("plain", accelerators=0)], Workload((), ()))
    assert packer.place(ONLY_CPU) == Spot("plain", ())
    assert rehearsed([_node("plain", accelerators=0)], TYPICAL) is DEEP


@given(st.lists(st.sampled_from(NEEDS), max_size=40), st.sampled_from([DEEP, BROAD, GRADIENT]))
@settings(max_examples=40, deadline=None)
def test_no_node_ever_gives_more_than_it_has(order: list[Need], scoring: Scoring) -> None:
    nodes = _some_nodes()
    packer = Packer(nodes, TYPICAL, scoring)
    taken = [(need, spot) for need in order if (spot := packer.place(need)) is not None]
    for at, node in enumerate(nodes):
        here = [(need, spot) for need, spot in taken if spot.node == node.id]
        left = packer.free(at)
        assert left.cpu_milli == node.cpu_milli - sum(need.cpu_milli for need, _ in here) >= 0
        assert left.memory_mib == node.memory_mib - sum(need.memory_mib for need, _ in here) >= 0
        for number in range(len(node.free_milli)):
            used = sum(need.milli for need, spot in here if number in spot.accelerators)
            assert left.free_milli[number] == 1_000 - used >= 0
    assert all(len(spot.accelerators) == need.accelerators for need, spot in taken)


@given(st.lists(st.sampled_from(NEEDS), max_size=12), st.sampled_from([DEEP, BROAD, GRADIENT]))
@settings(max_examples=15, deadline=None)
def test_kept_scores_decide_as_fresh_ones(order: list[Need], scoring: Scoring) -> None:
    nodes = _some_nodes()
    packer = Packer(nodes, TYPICAL, scoring)
    for need in order:
        fresh = _with_the_same_view(packer, nodes, scoring)
        assert packer.place(need) == fresh.place(need)


def _with_the_same_view(packer: Packer, nodes: Sequence[Node], scoring: Scoring) -> Packer:
    """A packer that never placed anything, with what is free in another one."""
    fresh = Packer(nodes, TYPICAL, scoring)
    for at, node in enumerate(nodes):
        left = packer.free(at)
        gone = Need(
            cpu_milli=node.cpu_milli - left.cpu_milli,
            memory_mib=node.memory_mib - left.memory_mib,
        )
        fresh.take(node.id, gone)
        for number, rest in enumerate(left.free_milli[: len(node.free_milli)]):
            fresh._free[at, number] = rest
        one = np.array([at])
        fresh._now[one] = fresh._burden.of(
            fresh._cpu[one], fresh._memory[one], fresh._free[one], one
        )
    return fresh


def test_a_rest_is_worth_what_common_shares_make_of_it() -> None:
    # Halves alone: a rest of 499 takes none.
    values = residue_values([(1, 500)], [10], 4_000)
    assert values[[0, 499, 500, 999, 1_000]].tolist() == pytest.approx([0, 0, 500, 500, 1_000])


def test_a_rest_that_only_a_rare_share_fills_is_worth_nothing() -> None:
    # A hundred rests of 190 thousandths come, and ten shares of 190: the eleventh finds none.
    values = residue_values([(1, 810), (1, 190)], [100, 10], 100_000)
    assert values[190] == pytest.approx(0.0)
    assert values[810] == pytest.approx(810.0)


def test_a_share_that_tiles_with_another_is_worth_its_size() -> None:
    # As many of 300 as of 700: together they leave nothing.
    values = residue_values([(1, 700), (1, 300)], [50, 50], 40_000)
    assert values[700] + values[300] == pytest.approx(1_000.0)


def test_the_rehearsal_picks_the_same_scoring_each_time() -> None:
    nodes = [_node(f"n{number}") for number in range(6)]
    chosen = rehearsed(nodes, TYPICAL)
    assert chosen in {DEEP, BROAD}
    assert rehearsed(nodes, TYPICAL) is chosen
