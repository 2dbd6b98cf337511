"""The copy for a time series database, against real Prometheus and real VictoriaMetrics."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redfish_parts import a_certificate, free_port
from remote_builders import DATABASES, QuickClock, now, until
from tsdb_parts import PROGRAMS, Database, database, guarded_victoria

from collectors.remote_write.request import Dropped
from collectors.remote_write.tally import RemoteState
from collectors.remote_write.writer import RemoteWriter, writer_of
from suanwang.clock import SystemClock, to_epoch_ms
from suanwang.model.reading import Reading
from suanwang.settings import RemoteWriteSettings

NEEDS_PROMETHEUS = pytest.mark.skipif(
    PROGRAMS["prometheus"] is None, reason="prometheus is not installed"
)


def sweeps(start: datetime, count: int, meters: int = 50) -> list[list[Reading]]:
    """Return sweeps over meters at 15 s, each with a register and a power."""
    return [
        [
            Reading(subject=f"meter:m{n}/outlet-1", metric=metric, at=at, value=value)
            for n in range(meters)
            for metric, value in (("energy_wh", 1_000.25 * n + 20 * sweep), ("power_w", -0.5 * n))
        ]
        for sweep in range(count)
        for at in (start + timedelta(seconds=15 * sweep),)
    ]


def expected(
    readings: Sequence[Sequence[Reading]], metric: str
) -> dict[str, list[tuple[int, float]]]:
    """Return what a database should have of a metric, by subject."""
    found: dict[str, list[tuple[int, float]]] = {}
    for sweep in readings:
        for each in sweep:
            if each.metric == metric:
                found.setdefault(each.subject, []).append((to_epoch_ms(each.at), each.value))
    return {subject: sorted(rows) for subject, rows in found.items()}


@pytest.fixture(autouse=True)
def _ends_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a writer with samples that nobody takes end without a wait."""
    monkeypatch.setattr("collectors.remote_write.writer.STOP_S", 0.2)


@pytest.fixture
def port() -> int:
    """A port that stays the same over a restart."""
    return free_port()


@pytest.fixture
def writer(port: int) -> Iterator[RemoteWriter]:
    """A writer towards that port, which runs."""
    settings = RemoteWriteSettings(
        url=f"http://127.0.0.1:{port}/api/v1/write",
        external_labels={"city": "青岛", "site": "never"},
        batch_samples=300,
        flush_s=1.0,
    )
    made = writer_of(settings, "centre", QuickClock())
    assert made is not None
    made.start()
    yield made
    made.stop()


def stored(found: Database, metric: str, start: datetime) -> dict[str, list[tuple[int, float]]]:
    """Return what a database has of a metric since a moment."""
    end = now() + timedelta(hours=1)
    selector = f'suanwang_{metric}{{site="east",city="青岛"}}'
    return found.raw(selector, start.timestamp() - 60, end.timestamp())


@pytest.mark.parametrize("kind", DATABASES)
def test_what_was_sent_is_read_back_to_the_bit(
    kind: str, tmp_path: Path, port: int, writer: RemoteWriter
) -> None:
    start = now() - timedelta(minutes=10)
    told = sweeps(start, 30)
    with database(kind, tmp_path, port) as found:
        for sweep in told:
            writer.take("east", sweep)
        state = until(writer, lambda state: state.queued == 0)
        assert (state.sent, sum(state.dropped.values())) == (30 * 100, 0)
        for metric in ("energy_wh", "power_w"):
            assert stored(found, metric, start) == expected(told, metric)
        labels = found.labels(
            'suanwang_power_w{meter="m7"}', (start + timedelta(minutes=2)).timestamp()
        )
    assert labels == [
        {
            "__name__": "suanwang_power_w",
            "city": "青岛",
            "meter": "m7",
            "part": "outlet-1",
            "site": "east",
            "subject": "meter:m7/outlet-1",
        }
    ]


@pytest.mark.parametrize("kind", DATABASES)
def test_a_restart_in_the_middle_loses_nothing(
    kind: str, tmp_path: Path, port: int, writer: RemoteWriter
) -> None:
    start = now() - timedelta(minutes=10)
    told = sweeps(start, 30)
    with database(kind, tmp_path, port):
        for sweep in told[:10]:
            writer.take("east", sweep)
        until(writer, lambda state: state.queued == 0)
    for sweep in told[10:20]:
        writer.take("east", sweep)
    state = until(writer, lambda state: state.retries >= 2)
    assert state.down_since is not None
    assert state.queued == 1_000
    assert state.lag_s > 0
    with database(kind, tmp_path, port) as found:
        for sweep in told[20:]:
            writer.take("east", sweep)
        state = until(writer, lambda state: state.queued == 0)
        assert stored(found, "energy_wh", start) == expected(told, "energy_wh")
    assert (state.sent, sum(state.dropped.values()), state.down_since) == (3_000, 0, None)


@pytest.mark.parametrize("kind", DATABASES)
def test_doubled_samples_count_once_and_the_first_value_stays(
    kind: str, tmp_path: Path, port: int, writer: RemoteWriter
) -> None:
    start = now() - timedelta(minutes=10)
    told = sweeps(start, 4)
    with database(kind, tmp_path, port) as found:
        for sweep in (*told, told[-1]):
            writer.take("east", sweep)
        again = [Reading(subject=r.subject, metric=r.metric, at=r.at, value=-1.0) for r in told[-1]]
        until(writer, lambda state: state.queued == 0)
        writer.take("east", again)
        state = until(writer, lambda state: state.queued == 0)
        assert state.dropped[Dropped.DUPLICATE] == 200
        assert stored(found, "energy_wh", start) == expected(told, "energy_wh")


@pytest.mark.prometheus
@NEEDS_PROMETHEUS
def test_prometheus_turns_late_samples_away_and_takes_the_others_of_their_time(
    tmp_path: Path, port: int, writer: RemoteWriter
) -> None:
    start = now() - timedelta(minutes=10)
    told = sweeps(start, 30)
    with database("prometheus", tmp_path, port) as found:
        for sweep in (*told[:5], *told[10:20]):
            writer.take("east", sweep)
        until(writer, lambda state: state.queued == 0)
        for sweep in (*told[5:10], *told[20:]):
            writer.take("east", sweep)
        state = until(writer, lambda state: state.queued == 0)
        assert state.dropped[Dropped.LATE] == 500
        assert state.sent == 2_500
        assert stored(found, "power_w", start) == expected([*told[:5], *told[10:]], "power_w")
    assert "out of order" in state.trouble


@pytest.mark.prometheus
@NEEDS_PROMETHEUS
def test_prometheus_takes_late_samples_up_to_its_own_window(
    tmp_path: Path, port: int, writer: RemoteWriter
) -> None:
    window = "storage: {tsdb: {out_of_order_time_window: 5m}}\n"
    start = now() - timedelta(minutes=20)
    told = sweeps(start, 60)
    with database("prometheus", tmp_path, port, window) as found:
        writer.take("east", told[0])
        writer.take("east", told[-1])
        until(writer, lambda state: state.queued == 0)
        for sweep in told[1:-1]:
            writer.take("east", sweep)
        state = until(writer, lambda state: state.queued == 0)
        rows = stored(found, "power_w", start)["meter:m7/outlet-1"]
    # The newest sample is at 59 x 15 s, so five minutes back is the fortieth sweep.
    assert [at for at, _ in rows][1:] == [to_epoch_ms(sweep[0].at) for sweep in told[39:]]
    assert state.dropped[Dropped.LATE] == 38 * 100


@pytest.mark.skipif(
    PROGRAMS["victoria-metrics"] is None, reason="victoria-metrics is not installed"
)
@pytest.mark.prometheus
def test_victoria_metrics_takes_a_day_that_comes_late(
    tmp_path: Path, port: int, writer: RemoteWriter
) -> None:
    start = now() - timedelta(days=1)
    late, told = sweeps(start, 20), sweeps(now() - timedelta(minutes=10), 20)
    with database("victoria-metrics", tmp_path, port) as found:
        for sweep in (*told, *late):
            writer.take("east", sweep)
        state = until(writer, lambda state: state.queued == 0)
        assert (state.sent, sum(state.dropped.values())) == (4_000, 0)
        assert stored(found, "energy_wh", start) == expected([*late, *told], "energy_wh")


@pytest.mark.parametrize("kind", DATABASES)
def test_a_lost_series_ends_at_its_last_sample_and_what_comes_late_still_counts(
    kind: str, tmp_path: Path, port: int, writer: RemoteWriter
) -> None:
    start = now() - timedelta(minutes=10)
    told = sweeps(start, 12)
    later = SystemClock().now() + timedelta(minutes=2)
    last = told[5][0].at
    with database(kind, tmp_path, port) as found:
        for sweep in told[:6]:
            writer.take("east", sweep)
        until(writer, lambda state: state.queued == 0)
        selector = 'suanwang_power_w{meter="m7"}'
        assert len(found.labels(selector, last.timestamp() + 10)) == 1
        writer.put(writer.known.silent(to_epoch_ms(later)))
        until(writer, lambda state: state.queued == 0 and state.sent == 700)
        assert len(found.labels(selector, last.timestamp())) == 1
        assert found.labels(selector, last.timestamp() + 10) == []
        for sweep in told[6:]:
            writer.take("east", sweep)
        state = until(writer, lambda state: state.queued == 0 and state.sent == 1_300)
        assert sum(state.dropped.values()) == 0
        assert stored(found, "power_w", start) == expected(told, "power_w")


@pytest.mark.prometheus
@NEEDS_PROMETHEUS
def test_a_kill_and_wrong_words_of_the_database_hold_nothing_up(
    tmp_path: Path, port: int, writer: RemoteWriter
) -> None:
    told = sweeps(datetime.now(UTC) - timedelta(minutes=10), 10)  # noqa: TID251
    with database("prometheus", tmp_path, port) as found:
        writer.take("east", told[0])
        until(writer, lambda state: state.queued == 0)
        found.kill()
        began = SystemClock().monotonic()
        for sweep in told[1:]:
            writer.take("east", sweep)
        assert SystemClock().monotonic() - began < 10
    assert until(writer, lambda state: state.retries > 0).queued == 900


def _has_tried(state: RemoteState) -> bool:
    return state.retries > 0


def _has_settled(state: RemoteState) -> bool:
    return state.queued == 0


@pytest.mark.prometheus
@pytest.mark.skipif(
    PROGRAMS["victoria-metrics"] is None, reason="victoria-metrics is not installed"
)
def test_a_guarded_database_gets_samples_from_who_trusts_it_and_knows_the_password(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate, key, _ = a_certificate(tmp_path)
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text("s3cret-right\n")
    wrong.write_text("s3cret-wrong\n")
    start = now() - timedelta(minutes=1)
    told = sweeps(start, 1)
    with guarded_victoria(tmp_path, certificate, key, "dc", "s3cret-right") as found:
        for password, ca_file, sent, refused, retried in (
            (wrong, certificate, 0, 100, False),
            (right, None, 0, 0, True),
            (right, certificate, 100, 0, False),
        ):
            settings = RemoteWriteSettings(
                url=found.write_url,
                username="dc",
                password_file=str(password),
                ca_file=str(ca_file or ""),
                flush_s=0.5,
            )
            made = writer_of(settings, "centre", QuickClock())
            assert made is not None
            made.start()
            made.take("east", told[0])
            state = until(made, _has_tried if retried else _has_settled)
            assert (state.sent, state.dropped[Dropped.REJECTED]) == (sent, refused)
            assert "s3cret" not in repr(state) + caplog.text
            made.stop()
        selector = 'suanwang_energy_wh{site="east"}'
        got = found.raw(selector, start.timestamp() - 60, start.timestamp() + 60)
    assert got == expected(told, "energy_wh")
