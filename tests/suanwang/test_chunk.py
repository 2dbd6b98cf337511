"""Packed samples come back bit for bit, and damage is told."""

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanwang.chunk import ChunkDamaged, Columns, between, columns, decode, encode, merge
from suanwang.model.reading import Quality

NAMES = [quality.value for quality in Quality]
FIRST_MS = 1_790_000_000_000


def bits(found: Columns) -> list[tuple[int, bytes, str]]:
    """Return samples so that -0.0, NaN and every last bit count."""
    rows = zip(found.at_ms.tolist(), found.value.tolist(), found.qualities(), strict=True)
    return [(at_ms, struct.pack("<d", value), quality) for at_ms, value, quality in rows]


def of(values: list[float], step_ms: int = 15_000) -> Columns:
    moments = [FIRST_MS + step_ms * number for number in range(len(values))]
    return columns(moments, values, ["measured"] * len(values))


any_bits = st.integers(0, 2**64 - 1).map(lambda n: struct.unpack("<d", struct.pack("<Q", n))[0])
usual = st.integers(-(10**9), 10**9).map(lambda n: n / 1000)
moments = st.integers(-(2**62), 2**62)
rows = st.tuples(moments, any_bits | usual | st.floats(), st.sampled_from(NAMES))


@given(st.lists(rows, unique_by=lambda row: row[0]))
def test_every_sample_comes_back_bit_for_bit(found: list[tuple[int, float, str]]) -> None:
    found.sort(key=lambda row: row[0])
    packed = columns(*map(list, zip(*found, strict=True))) if found else columns([], [], [])
    assert bits(decode(encode(packed))) == bits(packed)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([0.0, -0.0, 1.5], id="minus zero"),
        pytest.param([0.1 + 0.2, 0.3, 1e-300], id="no decimal scale fits"),
        pytest.param([2.0**53, 2.0**53 + 2, -(2.0**60)], id="beyond exact whole numbers"),
        pytest.param([9.3e18, -9.3e18, 9.3e18], id="differences that wrap"),
        pytest.param([float("inf"), float("nan"), 1.0], id="no numbers"),
        pytest.param([7.0], id="one"),
    ],
)
def test_odd_values_come_back(values: list[float]) -> None:
    assert bits(decode(encode(of(values)))) == bits(of(values))


def test_any_changed_bit_is_told() -> None:
    chunk = encode(of([random.Random(7).random() for _ in range(50)]))
    for place in range(len(chunk)):
        for bit in (0, 3, 7):
            damaged = bytearray(chunk)
            damaged[place] ^= 1 << bit
            with pytest.raises(ChunkDamaged):
                decode(bytes(damaged))
    with pytest.raises(ChunkDamaged, match="no head"):
        decode(chunk[:3])


def test_an_hour_of_a_power_meter_takes_less_than_six_bytes_a_sample() -> None:
    rng = random.Random(7)
    moments = [FIRST_MS + 15_000 * n + rng.randrange(40) for n in range(240)]
    power = [round(5_000 + rng.gauss(0, 200), 1) for _ in range(240)]
    register = [float(1_000_000 + 20 * n + rng.randrange(3)) for n in range(240)]
    for values, most in ((power, 4), (register, 2)):
        assert len(encode(columns(moments, values, ["measured"] * 240))) < most * 240


def test_of_two_values_of_one_moment_the_first_stays() -> None:
    both = merge(of([1.0, 3.0], 20), of([9.0, 2.0, 9.0], 10))
    assert both.at_ms.tolist() == [FIRST_MS, FIRST_MS + 10, FIRST_MS + 20]
    assert both.value.tolist() == [1.0, 2.0, 3.0]


def test_a_part_has_both_its_ends() -> None:
    part = between(of([1.0, 2.0, 3.0, 4.0], 10), FIRST_MS + 10, FIRST_MS + 20)
    assert part.value.tolist() == [2.0, 3.0]
