"""Batches as bytes: what goes in comes out bit for bit, and damage is a refusal."""

import math
import struct
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanwang.clock import from_epoch_ms
from suanwang.model.batch import gathered
from suanwang.model.reading import Quality, Reading, SourceReport
from suanwang.wire.batch import (
    RAW_BYTES_MAX,
    ROWS_MAX,
    BatchDamaged,
    BatchUnknown,
    TelemetryUpload,
    check,
    decode,
    encode,
    sealed,
)

NOW = datetime(2026, 10, 14, 12, 0, 0, 250_000, tzinfo=UTC)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
readings = st.builds(
    Reading,
    subject=names,
    metric=names,
    value=st.floats(allow_nan=False),
    at=st.integers(0, 4_000_000_000_000).map(from_epoch_ms),
    quality=st.sampled_from(list(Quality)),
    labels=st.just({}),
)


def an_upload(*told: Reading, **changes: object) -> TelemetryUpload:
    """Return a batch of these readings."""
    report = SourceReport(source="pdu-7", is_up=False, duration_s=1.5, at=NOW, error="cable cut")
    values = {"id": "b1", "made_at": NOW, "readings": gathered(told), "reports": (report,)}
    return TelemetryUpload(**(values | changes))  # type: ignore[arg-type] # one test, many shapes


def a_reading(value: float = 5.0, **changes: object) -> Reading:
    """Return a reading of a meter."""
    values = {"subject": "meter:m1", "metric": "energy_wh", "value": value, "at": NOW}
    return Reading(**(values | changes))  # type: ignore[arg-type] # one test, many shapes


@given(st.lists(readings, max_size=50))
def test_what_goes_in_comes_out_bit_for_bit(told: list[Reading]) -> None:
    upload = an_upload(*told)
    found = decode(encode(upload))
    assert list(found.readings.each()) == told
    bits = [struct.pack("<d", one.value) for one in found.readings.each()]
    assert bits == [struct.pack("<d", one.value) for one in told]
    assert (found.id, found.made_at, found.reports) == ("b1", NOW, upload.reports)


def test_labels_go_with_their_series() -> None:
    told = [
        a_reading(),
        a_reading(subject="gpu:1", labels={"host": "a"}),
        a_reading(subject="gpu:1", labels={"host": "b"}),
    ]
    found = decode(encode(an_upload(*told)))
    assert [one.labels for one in found.readings.each()] == [{}, {"host": "a"}, {"host": "a"}]


def test_an_empty_batch_is_one() -> None:
    found = decode(encode(an_upload(reports=())))
    assert (len(found.readings), found.reports) == (0, ())


def test_what_no_text_can_say_is_sent_as_well_as_it_can_be() -> None:
    report = SourceReport(
        source="a\ud800", is_up=True, duration_s=math.nan, at=datetime(1960, 1, 1, tzinfo=UTC)
    )
    told = a_reading(math.nan, subject="x\udc80" + "y" * 300, labels={"k" * 300: "v" * 300})
    found = decode(encode(an_upload(told, reports=(report,))))
    (one,) = found.readings.each()
    assert one.subject.startswith("x?y")
    assert len(one.subject) == 201
    assert math.isnan(one.value)
    assert (found.reports[0].source, found.reports[0].duration_s) == ("a?", 0.0)


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_changed_byte_is_noticed(place: int, byte: int) -> None:
    body = bytearray(encode(an_upload(a_reading(), a_reading(6.0, at=NOW + timedelta(seconds=1)))))
    place %= len(body)
    if body[place] == byte:
        return
    body[place] = byte
    with pytest.raises((BatchDamaged, BatchUnknown)):
        decode(bytes(body))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(b"", "0 bytes are no batch", id="nothing"),
        pytest.param(b'{"id": "b1", "readings": []}', "begins with", id="JSON"),
        pytest.param(encode(an_upload(a_reading()))[:-1], "checksum", id="cut off"),
        pytest.param(sealed(b"\x00"), "no head", id="no head"),
        pytest.param(sealed(b"\xff\xff\xff\xffx"), "head of the batch", id="a head too far"),
        pytest.param(sealed(b"\x02\x00\x00\x00{}"), "id: Field required", id="an empty head"),
        pytest.param(sealed(bytes(RAW_BYTES_MAX + 1)), "more than", id="a bomb"),
    ],
)
def test_what_is_no_batch_is_refused_with_words(body: bytes, words: str) -> None:
    with pytest.raises(BatchDamaged, match=words):
        decode(body)


@pytest.mark.parametrize("rows", [ROWS_MAX + 1, 2, -1])
def test_a_head_that_counts_wrong_is_refused(rows: int) -> None:
    text = f'{{"id":"b","made_ms":1,"rows":{rows},"series":[["a","b"]],"reports":[]}}'.encode()
    raw = struct.pack("<I", len(text)) + text + np.zeros(21, np.uint8).tobytes()
    with pytest.raises(BatchDamaged):
        decode(sealed(raw))


def test_another_version_is_told_apart_from_damage() -> None:
    body = bytearray(encode(an_upload(a_reading())))
    body[4] = 2
    with pytest.raises(BatchUnknown, match="format 2, this centre knows 1") as failure:
        check(bytes(body))
    assert failure.value.status == 415
