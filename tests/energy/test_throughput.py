"""Throughput: the prior's shape, and how finished jobs move it."""

import math
import random
from collections.abc import Mapping, Sequence

import pytest

from suanwang.energy.accelerators import FigureQuality, LoadKind, PowerRange
from suanwang.energy.catalogue import load_catalogue
from suanwang.energy.compute import Compute
from suanwang.energy.throughput import LearntRate, RateQuality, learn_rates, relative_speed
from suanwang.errors import BadInput, NotFound

CATALOGUE = load_catalogue()
TRANSFORMER = CATALOGUE.family("transformer")
NAMES = ("nvidia-h100-sxm", "nvidia-a100-sxm", "ascend-910b3")
KINDS: Mapping[str, Compute] = {name: CATALOGUE.accelerator(name).compute for name in NAMES}
H100, A100, ASCEND = NAMES


def learnt(finished: Mapping[str, Sequence[float]]) -> dict[str, LearntRate]:
    return learn_rates(TRANSFORMER, KINDS, finished)


def test_the_prior_grows_with_compute_by_the_familys_elasticity() -> None:
    # 989 / 312 = 3.17: a transformer gains all of it, a recommender nothing.
    assert relative_speed(TRANSFORMER, KINDS[H100], KINDS[A100]) == pytest.approx(989 / 312)
    recommender = CATALOGUE.family("recommendation")
    assert relative_speed(recommender, KINDS[H100], KINDS[A100]) == 1.0
    with pytest.raises(BadInput, match="different precisions"):
        relative_speed(TRANSFORMER, KINDS[H100], Compute.parse("60 TFLOPS FP64"))
    with pytest.raises(NotFound, match="there is no family 'moe'"):
        CATALOGUE.family("moe")


def test_kinds_that_ran_none_are_told_by_the_prior_from_those_that_did() -> None:
    found = learnt({A100: [10.0] * 4})
    assert found[A100].rate == pytest.approx(10.0, rel=1e-6)
    assert found[H100].rate == pytest.approx(10.0 * 989 / 312)
    assert (found[H100].quality, found[H100].jobs) == (RateQuality.PRIOR, 0)
    assert found[H100].low < found[A100].rate * 2.5 < found[H100].high
    assert found[H100].high / found[H100].low > found[A100].high / found[A100].low


def test_jobs_move_a_rate_the_more_of_them_there_are() -> None:
    # The Ascend is half as fast as its compute says: 313 / 312 of the A100 by the prior.
    rates, qualities = [], []
    for jobs in (1, 3, 30):
        found = learnt({A100: [10.0] * jobs, ASCEND: [5.0] * jobs})
        rates.append(found[ASCEND].rate / found[A100].rate)
        qualities.append(found[ASCEND].quality)
    assert rates == sorted(rates, reverse=True)
    assert 0.5 < rates[2] < 0.52 < rates[0] < 0.75
    assert qualities == [RateQuality.LEARNT, RateQuality.LEARNT, RateQuality.LEARNT]
    noisy = learn_rates(TRANSFORMER, KINDS, {A100: [10.0], ASCEND: [5.0]}, noise=0.5)
    assert noisy[ASCEND].quality is RateQuality.MIXED
    assert noisy[ASCEND].rate / noisy[A100].rate > rates[0]


def test_one_odd_job_among_many_moves_nothing() -> None:
    found = learnt({A100: [10.0] * 9 + [0.01]})
    assert found[A100].rate == pytest.approx(10.0, rel=1e-6)


def test_true_rates_lie_in_their_ranges_eight_times_of_ten() -> None:
    chance = random.Random(3)
    inside = total = 0
    for _ in range(300):
        level = chance.uniform(-3, 3)
        true = {
            kind: level + TRANSFORMER.log_speed(compute) - 30 + chance.gauss(0, TRANSFORMER.spread)
            for kind, compute in KINDS.items()
        }
        finished = {
            kind: [math.exp(true[kind] + chance.gauss(0, 0.15)) for _ in range(jobs)]
            for kind, jobs in ((H100, 2), (A100, 5))
        }
        for kind, rate in learnt(finished).items():
            another_job = math.exp(true[kind] + chance.gauss(0, 0.15))
            inside += rate.low <= another_job <= rate.high
            total += 1
    assert 0.76 <= inside / total <= 0.86


@pytest.mark.parametrize(
    ("finished", "message"),
    [
        pytest.param({}, "no job of the class has finished", id="nothing"),
        pytest.param({A100: []}, "no job of the class has finished", id="no rates"),
        pytest.param({A100: [0.0]}, "a rate on nvidia-a100-sxm is not positive", id="zero"),
        pytest.param({"abacus": [1.0]}, "jobs ran on abacus", id="unknown kind"),
    ],
)
def test_rates_without_sense_are_refused(
    finished: Mapping[str, Sequence[float]], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        learnt(finished)


def test_power_is_stated_by_kind_of_load_with_its_source() -> None:
    h100, domestic = CATALOGUE.accelerator(H100), CATALOGUE.accelerator(ASCEND)
    small = h100.board_power(LoadKind.INFERENCE_SMALL)
    assert (small.low_w, small.typical_w, small.high_w) == (425, 460, 560)
    assert (small.quality, small.readings) == (FigureQuality.MEASURED, 8)
    assert domestic.board_power(LoadKind.IDLE).quality is FigureQuality.PRINTED
    training = domestic.board_power(LoadKind.TRAINING)
    # Never read: 95 W idle and 0.70, 0.85 and all of the way to 400 W.
    assert training.quality is FigureQuality.ESTIMATE
    assert (training.low_w, training.typical_w, training.high_w) == pytest.approx(
        (308.5, 354.25, 400)
    )


@pytest.mark.parametrize("kind", list(LoadKind))
def test_every_kind_of_accelerator_has_a_range_that_rises_with_the_load(kind: LoadKind) -> None:
    for one in CATALOGUE.accelerators.values():
        board, idle = one.board_power(kind), one.board_power(LoadKind.IDLE)
        assert idle.typical_w <= board.typical_w <= one.tdp_w * 1.05
        node = one.node_power(kind)
        assert node.typical_w > board.typical_w * one.host.units
        assert node.quality is FigureQuality.ESTIMATE


def test_a_node_takes_time_and_energy_to_wake() -> None:
    host = CATALOGUE.accelerator(H100).host
    assert (host.wake_s, host.wake_wh) == (480, 240)


def test_a_range_must_rise() -> None:
    with pytest.raises(BadInput, match="a range of power must rise"):
        PowerRange(low_w=2, typical_w=1, high_w=3, quality=FigureQuality.ESTIMATE)
