"""Compute that always names its precision, and energy that idle accelerators burn."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.kpis.compute import ComputeKind, Fleet, compute, intelligent_share
from collectors.kpis.figure import Known
from collectors.kpis.idle import (
    GpuIdle,
    GpuMoment,
    PoolUse,
    gpu_idle,
    idle_energy,
    idle_energy_by_record,
)
from collectors.kpis.tables import load_tables
from suanwang.energy.catalogue import load_catalogue
from suanwang.energy.compute import Compute, Precision
from suanwang.model.reading import Quality

END = datetime(2026, 10, 14, 1, tzinfo=UTC)
HOUR = Known(start=END - timedelta(hours=1), end=END)
MATRIX = load_tables().compute
FLEETS = [Fleet("nvidia-h100-sxm", 8), Fleet("cpu", 100)]


def test_a_fleet_by_hand_at_two_precisions() -> None:
    half = compute(HOUR, FLEETS, MATRIX, Precision.FP16, ComputeKind.INTELLIGENT)
    single = compute(HOUR, FLEETS, MATRIX, Precision.FP32)
    assert half.value == 8 * 989e12
    assert single.value == pytest.approx(8 * 67e12 + 100 * 0.16e12, rel=1e-12)
    assert "FP16" in half.basis
    kinds = {name: value for name, value in single.parts.items() if name.endswith("_flops")}
    assert kinds == pytest.approx({"intelligent_flops": 536e12, "general_flops": 16e12})


def test_the_share_moves_with_the_precision_and_names_it() -> None:
    at_32 = intelligent_share(HOUR, FLEETS, MATRIX, Precision.FP32)
    at_16 = intelligent_share(HOUR, FLEETS, MATRIX, Precision.FP16)
    assert at_32.value == pytest.approx(536 / 552, rel=1e-9)
    assert at_16.value == pytest.approx(7912 / 7928, rel=1e-9)
    assert (at_32.basis, at_16.basis) == ("FP32 dense", "FP16 dense")


def test_units_of_unknown_performance_lower_the_coverage_and_are_never_guessed() -> None:
    fleets = [*FLEETS, Fleet("metax-c500", 12)]
    figure = compute(HOUR, fleets, MATRIX, Precision.FP32)
    assert figure.value == compute(HOUR, FLEETS, MATRIX, Precision.FP32).value
    assert figure.coverage == pytest.approx(0.9)
    assert figure.quality is Quality.ESTIMATED
    alone = compute(HOUR, [Fleet("metax-c500", 1)], MATRIX, Precision.INT8)
    assert alone.value is None
    assert "INT8" in alone.withheld


def test_the_matrix_agrees_with_the_catalogue_of_accelerators_at_fp16() -> None:
    for name, accelerator in load_catalogue().accelerators.items():
        tflops = MATRIX[name].tflops[Precision.FP16]
        assert accelerator.compute.precision is Precision.FP16
        assert accelerator.compute.value == pytest.approx(tflops * 1e12), name


def test_int8_is_a_precision_that_can_be_read() -> None:
    assert str(Compute.parse("2 PFLOPS INT8")) == "2 PFLOPS INT8"


def moment(second: int, wh: float, used: float = 0.0, processes: int | None = 0) -> GpuMoment:
    return GpuMoment(at_ms=second * 1000, energy_wh=wh, utilisation=used, processes=processes)


def test_an_empty_gpu_is_told_apart_from_a_waiting_one() -> None:
    # 80 W for a minute, then 124 W with a context, then busy at 600 W
    found = gpu_idle(
        [
            moment(0, 0.0),
            moment(60, 80 / 60),
            moment(120, 160 / 60),
            moment(180, 284 / 60, processes=1),
            moment(240, 408 / 60, processes=1),
            moment(300, 1008 / 60, used=1.0, processes=1),
        ]
    )
    # The minute in which the context came counts as empty: it was not there all the time.
    assert found.empty_wh == pytest.approx((160 + 124) / 60)
    assert found.waiting_wh == pytest.approx(124 / 60)
    assert found.busy_wh == pytest.approx(600 / 60)
    assert (found.idle_ms, found.known_ms) == (240_000, 300_000)


def test_a_burst_between_two_polls_is_not_called_idle() -> None:
    found = gpu_idle([moment(0, 0.0), moment(60, 10.0)])
    assert (found.idle_wh, found.busy_wh) == (0.0, 10.0)


def test_a_gap_and_a_register_that_fell_are_not_known() -> None:
    assert gpu_idle([moment(0, 0.0), moment(301, 1.0)]).known_ms == 0
    assert gpu_idle([moment(0, 5.0), moment(60, 1.0)]).known_ms == 0


def test_processes_that_nobody_read_leave_it_unclear() -> None:
    found = gpu_idle([moment(0, 0.0, processes=None), moment(60, 1.0, processes=None)])
    assert (found.unclear_wh, found.empty_wh, found.waiting_wh) == (1.0, 0.0, 0.0)


@given(
    st.lists(
        st.tuples(
            st.integers(1, 400),
            st.floats(0, 50),
            st.sampled_from([0.0, 0.5]),
            st.sampled_from([None, 0, 2]),
        ),
        max_size=30,
    )
)
def test_no_energy_is_counted_twice_or_lost(
    steps: list[tuple[int, float, float, int | None]],
) -> None:
    second, wh, moments = 0, 0.0, [moment(0, 0.0)]
    known_wh = 0.0
    for length, energy, used, processes in steps:
        second, wh = second + length, wh + energy
        moments.append(moment(second, wh, used, processes))
        known_wh += energy if length <= 300 else 0.0
    found = gpu_idle(moments)
    assert math.isclose(found.idle_wh + found.busy_wh, known_wh, rel_tol=1e-9, abs_tol=1e-6)


def test_idle_energy_of_gpus_and_by_the_record() -> None:
    gpus = [
        GpuIdle(empty_wh=80.0, waiting_wh=40.0, known_ms=3_600_000),
        GpuIdle(known_ms=1_800_000),
    ]
    figure = idle_energy(HOUR, gpus)
    assert figure.value == pytest.approx(0.12)
    assert figure.coverage == pytest.approx(0.75)
    assert idle_energy(HOUR, []).value is None
    record = idle_energy_by_record(
        HOUR, [PoolUse(units_awake=8, occupied_unit_h=5.0, idle_w=200.0)]
    )
    assert record.value == pytest.approx(0.6)
    assert record.quality is Quality.ESTIMATED
