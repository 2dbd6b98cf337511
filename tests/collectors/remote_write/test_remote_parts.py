"""The parts of the copy for a time series database: words, messages, order, answers, pauses."""

import logging
import struct
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cramjam import snappy
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from collectors.remote_write import message
from collectors.remote_write.known import KnownSeries, Samples
from collectors.remote_write.names import labels_of
from collectors.remote_write.queue import SampleQueue
from collectors.remote_write.request import (
    Answer,
    Dropped,
    Verdict,
    arrange,
    decide,
    encode,
    retry_after_s,
)
from collectors.remote_write.shard import Pace, Shard
from collectors.remote_write.tally import Tally
from collectors.remote_write.target import target_of
from collectors.remote_write.writer import RemoteWriter, writer_of
from suanwang.clock import VirtualClock, to_epoch_ms
from suanwang.errors import BadInput, Unavailable
from suanwang.model.batch import gathered
from suanwang.model.reading import Reading
from suanwang.settings import RemoteWriteSettings

NOW = datetime(2026, 10, 14, 12, tzinfo=UTC)
NOW_MS = to_epoch_ms(NOW)
Told = list[tuple[dict[str, str], list[tuple[int, float]]]]


def _request_type() -> Any:
    """Return the WriteRequest of remote write 1.0, declared for Google's own decoder."""
    file = descriptor_pb2.FileDescriptorProto(name="remote.proto", package="p", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    for name, fields in (
        ("Label", [("name", 1, kinds.TYPE_STRING, ""), ("value", 2, kinds.TYPE_STRING, "")]),
        ("Sample", [("value", 1, kinds.TYPE_DOUBLE, ""), ("timestamp", 2, kinds.TYPE_INT64, "")]),
        ("TimeSeries", [("labels", 1, 11, ".p.Label"), ("samples", 2, 11, ".p.Sample")]),
        ("WriteRequest", [("timeseries", 1, 11, ".p.TimeSeries")]),
    ):
        declared = file.message_type.add(name=name)
        for field, number, kind, of in fields:
            is_many = kind == kinds.TYPE_MESSAGE
            declared.field.add(
                name=field,
                number=number,
                type=kind,
                **({"type_name": of} if of else {}),
                label=kinds.LABEL_REPEATED if is_many else kinds.LABEL_OPTIONAL,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("p.WriteRequest"))


_WRITE_REQUEST = _request_type()


def decoded(body: bytes) -> Told:
    """Return what a body says, by Google's decoder."""
    request = _WRITE_REQUEST()
    request.ParseFromString(bytes(snappy.decompress_raw(body)))
    return [
        (
            {label.name: label.value for label in series.labels},
            [(sample.timestamp, sample.value) for sample in series.samples],
        )
        for series in request.timeseries
    ]


def a_reading(subject: str = "meter:m1", after_s: float = 0.0, value: float = 1.0) -> Reading:
    """Return a reading of power."""
    at = NOW + timedelta(seconds=after_s)
    return Reading(subject=subject, metric="power_w", at=at, value=value)


def some(known: KnownSeries, *readings: Reading) -> Samples:
    """Return readings as samples."""
    return known.take("east", readings, NOW_MS)


@given(
    st.lists(
        st.tuples(
            st.text(min_size=1, max_size=200),
            st.integers(message.FIRST_MS, message.LAST_MS),
            st.floats(allow_nan=False),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_another_decoder_reads_what_was_written(rows: list[tuple[str, int, float]]) -> None:
    known = KnownSeries({"city": "青岛"}, 1)
    found = some(
        known,
        *(
            Reading(
                subject=f"meter:{name}",
                metric="energy_wh",
                at=datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms),
                value=value,
            )
            for name, at_ms, value in rows
        ),
    )
    arranged = arrange(found)
    first: dict[tuple[str, int], float] = {}
    for name, at_ms, value in rows:
        first.setdefault((f"meter:{name}", at_ms), value)
    got = {
        (labels["subject"], at_ms): value
        for labels, samples in decoded(encode(arranged.fresh))
        for at_ms, value in samples
    }
    assert got == first
    assert arranged.duplicates == len(rows) - len(first)
    for labels, samples in decoded(encode(arranged.fresh)):
        assert list(labels) == sorted(labels)
        assert [at_ms for at_ms, _ in samples] == sorted({at_ms for at_ms, _ in samples})


def test_the_mark_of_a_lost_series_keeps_its_bits() -> None:
    rows = message.samples(np.array([NOW_MS], np.int64), np.array([message.STALE]))
    assert struct.unpack("<Q", rows[3:11]) == (0x7FF0000000000002,)


@pytest.mark.parametrize(
    ("subject", "more", "own"),
    [
        ("meter:m1", {}, {"meter": "m1"}),
        ("meter:pdu-7/outlet-12", {}, {"meter": "pdu-7", "part": "outlet-12"}),
        ("disk:h1:/var/lib", {}, {"disk": "h1:/var/lib"}),
        ("gpu:GPU-3f", {"modelName": "H200", "empty": ""}, {"gpu": "GPU-3f", "modelName": "H200"}),
        ("gpu:g", {"site": "x", "__name__": "y", "a b": "z"},
         {"gpu": "g", "name__": "y", "a_b": "z"}),
        ("site:x", {}, {}),
        ("7up:x", {}, {"_7up": "x"}),
        ("lonely", {}, {}),
    ],
)  # fmt: skip
def test_labels_say_site_thing_and_part(
    subject: str, more: dict[str, str], own: dict[str, str]
) -> None:
    found = labels_of("east", subject, "power w", more, {"site": "never", "city": "qd"})
    base = {"__name__": "suanwang_power_w", "site": "east", "subject": subject, "city": "qd"}
    assert dict(found) == base | own
    assert list(found) == sorted(found)


@pytest.mark.parametrize(
    ("answer", "verdict", "reason"),
    [
        (Answer(200), Verdict.TAKEN, None),
        (Answer(204), Verdict.TAKEN, None),
        (Answer(429), Verdict.AGAIN, None),
        (Answer(500, "disk full"), Verdict.FAILED, Dropped.FAILED),
        (Answer(503, "too old a leader"), Verdict.AGAIN, None),
        (Answer(400, "out of order sample"), Verdict.SPLIT, Dropped.LATE),
        (Answer(500, "too old sample"), Verdict.SPLIT, Dropped.LATE),
        (Answer(400, "out of bounds"), Verdict.SPLIT, Dropped.LATE),
        (Answer(400, "err-mimir-sample-timestamp-too-old"), Verdict.SPLIT, Dropped.LATE),
        (Answer(400, "duplicate sample for timestamp"), Verdict.SPLIT, Dropped.CONFLICT),
        (Answer(413), Verdict.SPLIT, Dropped.TOO_LARGE),
        (Answer(400, "invalid label"), Verdict.DROP, Dropped.REJECTED),
        (Answer(401), Verdict.DROP, Dropped.REJECTED),
        (Answer(404), Verdict.DROP, Dropped.REJECTED),
        (Answer(301), Verdict.DROP, Dropped.REJECTED),
    ],
)
def test_each_answer_has_its_consequence(
    answer: Answer, verdict: Verdict, reason: Dropped | None
) -> None:
    decision = decide(answer, NOW)
    assert decision.verdict is verdict
    if reason is not None:
        assert decision.reason is reason


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("", 0.0),
        ("7", 7.0),
        ("1e9", 300.0),
        ("-5", 0.0),
        ("nan", 0.0),
        ("soon", 0.0),
        ("Wed, 14 Oct 2026 12:00:30 GMT", 30.0),
        ("Wed, 14 Oct 2026 11:00:00 GMT", 0.0),
        ("Wed, 14 Oct 2026 12:00:30", 0.0),
    ],
)
def test_retry_after_is_heeded_within_reason(header: str, wait_s: float) -> None:
    assert retry_after_s(header, NOW) == wait_s


def test_late_samples_travel_apart_and_the_newest_moment_is_kept() -> None:
    known = KnownSeries({}, 1)
    first = arrange(some(known, a_reading(after_s=10), a_reading("meter:m2")))
    assert (len(first.fresh), len(first.late)) == (2, 0)
    second = arrange(
        some(known, a_reading(after_s=5), a_reading(after_s=20), a_reading(after_s=10))
    )
    assert (second.fresh.at_ms - NOW_MS).tolist() == [20_000]
    assert (second.late.at_ms - NOW_MS).tolist() == [5_000]
    assert second.duplicates == 1


def test_a_full_queue_lets_the_oldest_go_and_cuts_blocks() -> None:
    known, queue = KnownSeries({}, 1), SampleQueue(5)
    for second in range(3):
        given = some(known, *(a_reading(f"meter:m{n}", second) for n in range(3)))
        assert queue.put(given, float(second)) == (0, 1, 3)[second]
    assert len(queue) == 5
    assert queue.since_s == 1.0
    taken = queue.take(3)
    assert taken is not None
    assert (taken.samples.at_ms - NOW_MS).tolist() == [1_000, 1_000, 2_000]
    assert queue.since_s == 2.0
    assert len(queue) == 2


def test_silence_of_five_polls_is_told_once_and_a_day_forgets() -> None:
    known = KnownSeries({}, 1)
    some(known, a_reading(after_s=0), a_reading("meter:m2"))
    some(known, a_reading(after_s=15))
    assert len(known.silent(NOW_MS + 75_000)) == 0
    marks = known.silent(NOW_MS + 75_001)
    # A series of which one sample is known has no pace yet.
    assert (marks.at_ms - NOW_MS).tolist() == [15_001]
    assert np.isnan(marks.value).all()
    assert len(known.silent(NOW_MS + 200_000)) == 0
    some(known, a_reading(after_s=30))
    assert len(known.silent(NOW_MS + 200_000)) == 1
    assert known.forget(NOW_MS + 86_400_000) == 0
    assert known.forget(NOW_MS + 86_400_001) == 2
    assert len(known) == 0


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 60), st.floats(-9, 9)), max_size=30),
    st.integers(1, 3),
)
def test_readings_by_column_are_taken_like_single_ones(
    rows: list[tuple[str, int, float]], shards: int
) -> None:
    one, other = KnownSeries({}, shards), KnownSeries({}, shards)
    readings = [a_reading(f"meter:{name}", second, value) for name, second, value in rows]
    # Of no use in the protocol, and left out by both.
    readings.append(replace(a_reading("meter:d"), at=datetime(1970, 1, 1, tzinfo=UTC)))
    found = one.take("east", readings, NOW_MS)
    columns = other.take_rows("east", gathered(readings), NOW_MS)
    assert [each.labels for each in columns.series] == [each.labels for each in found.series]
    assert columns.at_ms.tolist() == found.at_ms.tolist()
    assert columns.value.tolist() == found.value.tolist()
    newest = {each.labels: each.seen_ms for each in found.series}
    assert {each.labels: each.seen_ms for each in columns.series} == newest
    assert len(one) == len(other) == len(newest)


def test_the_pace_of_a_series_is_seen_in_one_batch() -> None:
    known = KnownSeries({}, 1)
    known.take_rows("east", gathered(a_reading(after_s=15 * n) for n in range(4)), NOW_MS)
    assert len(known.silent(NOW_MS + 75_000)) == 0
    assert (known.silent(NOW_MS + 75_001).at_ms - NOW_MS).tolist() == [45_001]


class Script:
    """A door that answers by a list, then takes everything; a text is a connection that failed."""

    def __init__(self, *answers: Answer | str) -> None:
        self.answers = list(answers)
        self.bodies: list[bytes] = []

    async def post(self, body: bytes) -> Answer:
        """Return the next answer."""
        self.bodies.append(body)
        answer = self.answers.pop(0) if self.answers else Answer(200)
        if isinstance(answer, str):
            raise Unavailable(answer)
        return answer


async def sent(door: Script, *batches: Sequence[Reading]) -> tuple[Tally, VirtualClock]:
    """Send batches, one request each, through a door; return the counts and the clock."""
    clock, known = VirtualClock(NOW), KnownSeries({}, 1)
    tally = Tally(clock)
    shard = Shard(door, tally, clock, SampleQueue(1_000), Pace(batch=1_000, flush_s=1.0), seed=1)
    for batch in batches:
        shard.queue.put(known.take("east", batch, NOW_MS), 0.0)
        shard.stop()
        await shard.run()
    assert shard.waiting == 0
    return tally, clock


async def test_pauses_double_and_a_retry_after_is_the_least() -> None:
    door = Script("refused", Answer(500), Answer(503, retry_after="40"), Answer(429))
    tally, clock = await sent(door, [a_reading()])
    assert (tally.sent, tally.retries, tally.down_since) == (1, 4, None)
    low, high = (0.5 + 1 + 4) * 0.75 + 40, (0.5 + 1 + 4) * 1.25 + 40
    assert low <= clock.monotonic() <= high
    assert len(set(door.bodies)) == 1


async def test_a_refusal_is_dropped_counted_and_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    door = Script(Answer(400, "no such tenant"), Answer(400, "no such tenant"))
    tally, _ = await sent(door, [a_reading()], [a_reading(after_s=1)], [a_reading(after_s=2)])
    assert (tally.sent, tally.dropped[Dropped.REJECTED], tally.retries) == (1, 2, 0)
    assert tally.trouble == "400: no such tenant"
    assert len([each for each in caplog.records if each.levelno == logging.ERROR]) == 1


class OneIsWrong(Script):
    """A door that refuses every request with one certain sample in it."""

    async def post(self, body: bytes) -> Answer:
        """Look into the body."""
        self.bodies.append(body)
        moments = {at for _, samples in decoded(body) for at, _ in samples}
        is_wrong = NOW_MS + 37_000 in moments
        return Answer(400, "duplicate sample for timestamp") if is_wrong else Answer(200)


async def test_one_conflict_costs_one_sample() -> None:
    door = OneIsWrong()
    tally, _ = await sent(door, [a_reading(after_s=second) for second in range(200)])
    assert (tally.sent, dict(tally.dropped)) == (199, {Dropped.CONFLICT: 1})
    assert len(door.bodies) < 20


class AllIsLate(Script):
    """A door that takes nothing."""

    async def post(self, body: bytes) -> Answer:
        """Say no."""
        self.bodies.append(body)
        return Answer(400, "out of order sample")


async def test_what_nobody_takes_is_not_asked_for_ever() -> None:
    door = AllIsLate()
    tally, _ = await sent(door, [a_reading(after_s=second) for second in range(900)])
    assert (tally.sent, tally.dropped[Dropped.LATE]) == (0, 900)
    assert len(door.bodies) < 60


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"url": "127.0.0.1:8428"}, "no http"),
        ({"url": "http://dc:s3cret@127.0.0.1/write"}, "a name or a password"),
        ({"token_file": "t", "username": "u", "password_file": "p"}, "both set"),
        ({"username": "u"}, "belong together"),
        ({"password_file": "p"}, "belong together"),
        ({"external_labels": {"__name__": "x"}}, "cannot be a label"),
        ({"external_labels": {"a-b": "x"}}, "cannot be a label"),
        ({"url": "https://x/w", "ca_file": "/dev/null"}, "no certificates"),
    ],
)
def test_settings_that_cannot_be_are_named(changes: dict[str, object], words: str) -> None:
    settings = RemoteWriteSettings.model_validate({"url": "http://127.0.0.1/w"} | changes)
    with pytest.raises(BadInput, match=words) as told:
        target_of(settings)
    assert "s3cret" not in told.value.message


def test_a_token_is_read_for_each_request_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "token"
    settings = RemoteWriteSettings(url="http://db.example/w?key=s3cret", token_file=str(file))
    target = target_of(settings)
    with pytest.raises(Unavailable, match="cannot be read"):
        target.headers()
    for word in ("one", "two"):
        file.write_text(f"{word}\n")
        assert target.headers() == {"Authorization": f"Bearer {word}"}
    assert target.shown == "http://db.example/w"
    assert target.is_overheard


def a_writer(**changes: object) -> RemoteWriter | None:
    """Return the centre's writer of some settings; it does not run."""
    settings = {"url": "http://127.0.0.1:1/w", "queue_samples": 10_000, "shards": 3}
    found = RemoteWriteSettings.model_validate(settings | changes)
    return writer_of(found, "centre", VirtualClock(NOW))


def test_only_the_named_sender_sends_and_only_where_an_address_is_set() -> None:
    assert a_writer() is not None
    assert a_writer(sender="agent") is None
    assert a_writer(url="") is None


def test_a_writer_that_cannot_send_bounds_what_waits_and_counts_the_rest() -> None:
    writer = a_writer()
    assert writer is not None
    for second in range(30):
        writer.take("east", [a_reading(f"meter:m{n}", second) for n in range(1_000)])
    state = writer.state
    assert state.queued == 3 * 3_333
    assert state.dropped[Dropped.QUEUE_FULL] == 30_000 - state.queued
    assert state.series == 1_000
    writer.stop()
