"""Telemetry over the agents' channel: taken once, judged row by row, and turned away when full."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from api_client import World
from sqlalchemy import func, select

from api.intake_gate import BATCHES_MAX, SITE_BATCHES_MAX, IntakeGate
from collectors.series_book import SeriesBook
from suanwang.clock import VirtualClock, to_epoch_ms
from suanwang.db.engine import reading
from suanwang.db.tables import sample, series, source_state
from suanwang.ids import SiteId
from suanwang.model.batch import SeriesKey, gathered
from suanwang.model.reading import Reading, SourceReport
from suanwang.wire.batch import CLOCK_HEADER, CONTENT_TYPE, TelemetryUpload, encode

PATH = "/agent/v1/telemetry"


def told(world: World, subject: str = "meter:east-it", **changes: Any) -> Reading:
    """Return a reading that ends now."""
    values: dict[str, Any] = {"metric": "energy_wh", "value": 5.0, "at": world.clock.now()}
    return Reading(subject=subject, **(values | changes))


def upload(world: World, readings: Sequence[Reading], batch_id: str = "b1") -> TelemetryUpload:
    """Return a batch."""
    now = world.clock.now()
    report = SourceReport(source="pdu", is_up=True, duration_s=0.2, at=now)
    return TelemetryUpload(id=batch_id, made_at=now, readings=gathered(readings), reports=(report,))


def send(world: World, token: str, body: bytes, clock: str = "") -> httpx.Response:
    """Send bytes as a batch, by an agent whose clock says so many ms."""
    headers = {"Content-Type": CONTENT_TYPE} | ({CLOCK_HEADER: clock} if clock else {})
    return world.client.post(PATH, token, content=body, headers=headers)


def test_a_batch_is_recorded_once_with_its_reports(world: World) -> None:
    world.register()
    token = world.token()
    body = encode(upload(world, [told(world), told(world, "gpu:1", metric="power_w")]))
    first, again = send(world, token, body), send(world, token, body)
    assert first.json() == {"accepted": 2, "duplicates": 0, "refused": []}
    assert again.json() == {"accepted": 0, "duplicates": 2, "refused": []}
    with reading(world.engine) as connection:
        assert connection.scalar(select(func.count()).select_from(sample)) == 2
        assert connection.scalars(select(source_state.c.source)).all() == ["pdu"]
    text = world.client.get("/metrics", world.admin).text
    assert 'suanwang_intake_samples_total{outcome="new"} 2.0' in text
    assert 'suanwang_intake_batches_total{outcome="repeat"} 1.0' in text


def test_a_source_that_the_agent_gave_up_is_shown_on_demand(world: World) -> None:
    world.register()
    token = world.token()
    send(world, token, encode(upload(world, [])))
    world.clock.sleep(1)
    told_now = TelemetryUpload(
        id="b2", made_at=world.clock.now(), readings=gathered([]), sources=frozenset({"other"})
    )
    assert send(world, token, encode(told_now)).status_code == 200
    path = "/v1/sites/east/sources"
    assert world.client.get(path, world.admin).json() == {"items": []}
    (one,) = world.client.get(f"{path}?retired=true", world.admin).json()["items"]
    assert (one["source"], one["standing"]) == ("pdu", "retired")
    assert one["retired_at"]


def test_a_used_id_with_another_content_is_a_conflict(small_world: World) -> None:
    small_world.register()
    token = small_world.token()
    assert send(small_world, token, encode(upload(small_world, []))).status_code == 200
    other = encode(upload(small_world, [told(small_world)]))
    assert send(small_world, token, other).status_code == 409


def test_each_bad_row_is_named_and_the_good_ones_are_kept(world: World) -> None:
    world.register()
    now = world.clock.now()
    batch = upload(
        world,
        [
            told(world),
            told(world, value=float("nan")),
            told(world, at=now + timedelta(seconds=90)),
            told(world, at=now - timedelta(days=36)),
            told(world, value=-1.0, at=now - timedelta(seconds=1)),
            told(world, "meter:nobody"),
            told(world, "gpu:1", metric=""),
            told(world, "gpu:" + "x" * 300),
            told(world, "gpu:2"),
        ],
    )
    rows = batch.readings.rows
    extra = np.array([99, 0, 0], np.uint32)
    spoilt = replace(
        rows,
        series=np.concatenate((rows.series, extra)),
        at_ms=np.concatenate((rows.at_ms, [rows.at_ms[0], rows.at_ms[0], -(2**63)])),
        value=np.concatenate((rows.value, np.full(3, 5.0))),
        quality=np.concatenate((rows.quality, np.array([0, 7, 0], np.uint8))),
    )
    body = encode(replace(batch, readings=replace(batch.readings, rows=spoilt)))
    answer = send(world, world.token(), body).json()
    assert (answer["accepted"], answer["duplicates"]) == (2, 0)
    words = (
        "nan is not a number",
        "90 s ahead",
        "older than 35 days",
        "-1.0 is not a register's value",
        "meter:nobody energy_wh: no such meter",
        "a subject has 1 to 200 characters",
        "series 99 is not in the table",
        "7 is no quality",
        "-9223372036854775808 ms since 1970 is no moment",
    )
    assert [word for word in words if not any(word in line for line in answer["refused"])] == []


def test_many_bad_rows_of_one_series_are_told_in_one_line(small_world: World) -> None:
    small_world.register()
    ahead = small_world.clock.now() + timedelta(hours=1)
    many = [told(small_world, at=ahead + timedelta(seconds=n)) for n in range(50)]
    answer = send(small_world, small_world.token(), encode(upload(small_world, many))).json()
    (line,) = answer["refused"]
    assert line.endswith("(and 49 more of it)")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        pytest.param(b"{}", 422, "batch-damaged", id="JSON"),
        pytest.param(b"", 422, "batch-damaged", id="nothing"),
        pytest.param(b"SWTB\x02aaaabbbb", 415, "batch-unknown", id="another version"),
    ],
)
def test_what_is_no_batch_is_refused(
    small_world: World, body: bytes, status: int, code: str
) -> None:
    small_world.register()
    answer = send(small_world, small_world.token(), body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_name_that_no_database_holds_is_stored_as_well_as_it_can_be(world: World) -> None:
    world.register()
    body = encode(upload(world, [told(world, "gpu:\x00")]))
    assert send(world, world.token(), body).json()["accepted"] == 1
    with reading(world.engine) as connection:
        assert connection.scalars(select(series.c.subject)).all() == ["gpu:\ufffd"]


@pytest.mark.parametrize(
    ("behind_s", "shift_s"),
    [
        pytest.param(None, 0, id="a clock that is not told is right"),
        pytest.param(20, 0, id="within 30 s is right"),
        pytest.param(300, 300, id="five minutes behind"),
    ],
)
def test_clocks_are_compared_when_a_batch_is_sent_not_by_its_age(
    small_world: World, behind_s: int | None, shift_s: int
) -> None:
    small_world.register()
    made = small_world.clock.now()
    body = encode(upload(small_world, [told(small_world)]))
    small_world.clock.sleep(86_400)
    now_ms = to_epoch_ms(small_world.clock.now())
    clock = "" if behind_s is None else str(now_ms - behind_s * 1_000)
    assert send(small_world, small_world.token(), body, clock).json()["accepted"] == 1
    with reading(small_world.engine) as connection:
        at_ms = connection.scalars(select(sample.c.at_ms)).one()
    assert at_ms == to_epoch_ms(made) + shift_s * 1_000


@pytest.mark.parametrize("words", ["noon", "-1", "1" * 15])
def test_a_clock_that_says_no_moment_is_refused(small_world: World, words: str) -> None:
    small_world.register()
    body = encode(upload(small_world, [told(small_world)]))
    assert send(small_world, small_world.token(), body, words).status_code == 422


def test_a_full_queue_says_when_to_come_again(small_world: World) -> None:
    small_world.register()
    gate = small_world.client.context.gate
    body = encode(upload(small_world, [told(small_world)]))
    token = small_world.token()
    gate._inside["other"] = BATCHES_MAX
    answer = send(small_world, token, body)
    assert (answer.status_code, answer.json()["code"]) == (503, "intake-busy")
    assert 1 <= int(answer.headers["Retry-After"]) <= 30
    del gate._inside["other"]
    gate._inside["east"] = SITE_BATCHES_MAX
    answer = send(small_world, token, body)
    assert (answer.status_code, answer.json()["code"]) == (429, "too-many-batches")
    del gate._inside["east"]
    assert send(small_world, token, body).json()["accepted"] == 1
    text = small_world.client.get("/metrics", small_world.admin).text
    assert 'suanwang_intake_turned_away_total{limit="busy"} 1.0' in text


async def test_places_are_given_back_and_the_pause_grows_with_the_time_of_a_batch(
    clock: VirtualClock,
) -> None:
    gate = IntakeGate(clock)
    for _ in range(100):
        async with gate.entered("east"):
            clock.advance(5)
    assert gate._inside.total() == 0
    assert gate._retry_after_s(8) == 20


def test_a_book_keeps_sites_apart_and_forgets_when_it_is_full() -> None:
    book, key = SeriesBook(most=3), SeriesKey("gpu:1", "power_w")
    book.keep(SiteId("a"), {key: 1})
    book.keep(SiteId("b"), {key: 2})
    assert (book.of(SiteId("a")), book.of(SiteId("b"))) == ({key: 1}, {key: 2})
    book.keep(SiteId("a"), {SeriesKey("gpu:2", metric): n for n, metric in enumerate("xy")})
    assert book.of(SiteId("b")) == {}
    assert len(book.of(SiteId("a"))) == 2


def test_a_series_of_a_batch_that_was_rolled_back_is_not_kept(
    small_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_world.register()
    body = encode(upload(small_world, [told(small_world, "gpu:1")]))
    token, book = small_world.token(), small_world.client.context.series_book
    with monkeypatch.context() as broken:
        broken.setattr("collectors.store.write_reports", SimpleNamespace())
        assert send(small_world, token, body).status_code == 500
    assert book.of(SiteId("east")) == {}
    assert send(small_world, token, body).json()["accepted"] == 1
    assert list(book.of(SiteId("east"))) == [SeriesKey("gpu:1", "energy_wh")]
