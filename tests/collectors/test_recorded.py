"""Recorded files: they grow, are replaced, hold nonsense, and no line of theirs is lost."""

import asyncio
import json
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.config import build_source, build_sources, parse_source, parse_sources
from collectors.followed_file import LINE_BYTES_MAX
from collectors.recorded_lines import COLUMNS, BadLine, FileForm, parse_header, parse_line
from collectors.sources.port import Source, SourceError
from suanwang.clock import SystemClock
from suanwang.errors import BadInput, SuanwangError
from suanwang.model.reading import Quality, Reading

HEADER = "at,subject,metric,value\n"


def a_source(path: Path, **more: object) -> Source:
    """Return a source for a file, whose place is kept beside it."""
    raw = {"kind": "file", "name": "f", "path": str(path), "state_dir": str(path.parent / "state")}
    return build_source(parse_source(raw | more), SystemClock())


def rows(*numbers: int) -> str:
    """Return lines of CSV whose values are the numbers."""
    return "".join(f"2026-10-14T12:00:{n % 60:02}Z,meter:m,energy_wh,{n}\n" for n in numbers)


def values(readings: Sequence[Reading]) -> list[float]:
    """Return what the readings say."""
    return [each.value for each in readings]


def append(path: Path, text: str) -> None:
    """Write to the end of a file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


async def test_a_growing_file_is_followed_and_half_a_line_waits(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    append(path, HEADER + rows(1, 2) + "2026-10-14T12:00:03Z,meter:m,ener")
    source = a_source(path)
    first = await source.collect()
    assert values(first) == [1, 2]
    assert (first[0].subject, first[0].metric) == ("meter:m", "energy_wh")
    assert first[0].at == datetime(2026, 10, 14, 12, 0, 1, tzinfo=UTC)
    assert await source.collect() == []
    append(path, "gy_wh,3\n" + rows(4))
    assert values(await source.collect()) == [3, 4]
    await source.close()
    await source.close()


async def test_the_place_outlives_the_process(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    append(path, HEADER + rows(1, 2))
    source = a_source(path)
    await source.collect()
    await source.collect()
    await source.close()
    append(path, rows(3))
    again = a_source(path)
    assert values(await again.collect()) == [3]
    await again.close()


async def test_lines_that_may_not_have_been_taken_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    append(path, HEADER + rows(1, 2))
    crashed = a_source(path)
    before = await crashed.collect()
    again = a_source(path)
    assert await again.collect() == before, "same moments and values: the record counts them once"
    await again.close()
    await crashed.close()


async def test_a_long_file_comes_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    append(path, HEADER + rows(*range(1, 8)))
    source = a_source(path, lines_max=3)
    polls = [values(await source.collect()) for _ in range(4)]
    await source.close()
    assert polls == [[1, 2], [3, 4, 5], [6, 7], []]


async def test_a_renamed_file_is_read_to_its_end_before_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    append(path, HEADER + rows(1))
    source = a_source(path)
    await source.collect()
    append(path, rows(2))
    path.rename(tmp_path / "m.csv.1")
    append(path, "at,metric,subject,value\n2026-10-14T12:01:00Z,energy_wh,meter:m,3\n")
    found = values(await source.collect()) + values(await source.collect())
    await source.close()
    assert found == [2, 3], "the second file has its columns in another order"


@pytest.mark.parametrize("grown", [(7,), (7, 8, 9)])
async def test_a_file_that_is_written_anew_is_read_from_its_start(
    tmp_path: Path, grown: tuple[int, ...]
) -> None:
    path = tmp_path / "m.csv"
    append(path, HEADER + rows(1, 2))
    source = a_source(path)
    await source.collect()
    with path.open("r+", encoding="utf-8") as file:
        file.write(HEADER + rows(*grown))
        file.truncate()
    assert values(await source.collect()) == list(grown)
    await source.close()


async def test_a_bad_line_is_told_once_with_its_number_and_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    long = "x" * (LINE_BYTES_MAX + 5)
    append(
        path, f"{HEADER}{rows(1)}2026-10-14T12:00:00,meter:m,power_w,2\na,b\n\n{long}\n{rows(4)}"
    )
    source = a_source(path)
    assert values(await source.collect()) == [1]
    with pytest.raises(SourceError, match=r"line 3: at .* with a zone.*; line 4: 2 cells instead"):
        await source.collect()
    with pytest.raises(SourceError, match="line 6: it is too long"):
        await source.collect()
    assert values(await source.collect()) == [4]
    await source.close()


async def test_readings_come_as_json_lines_too(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    row = {"at": "2026-10-14T20:00:00+08:00", "subject": "meter:m", "metric": "power_w"}
    append(path, json.dumps(row | {"value": 5, "quality": "estimated"}) + "\n\n[1]\n")
    source = a_source(path)
    (reading,) = await source.collect()
    assert (reading.at.hour, reading.value, reading.quality) == (12, 5, Quality.ESTIMATED)
    with pytest.raises(SourceError, match="line 3: it is not a JSON object"):
        await source.collect()
    await source.close()


async def test_a_file_that_is_not_there_is_told_until_it_is(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    source = a_source(path)
    with pytest.raises(SourceError, match="cannot be read: No such file"):
        await source.collect()
    append(path, "")
    assert await source.collect() == []
    append(path, HEADER + rows(1))
    assert values(await source.collect()) == [1]
    await source.close()


async def test_a_header_that_names_other_columns_stops_the_file(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    append(path, "time,value\n" + rows(1))
    source = a_source(path)
    for _ in range(2):
        with pytest.raises(SourceError, match="line 1: the first line must name the columns at,"):
            await source.collect()
    await source.close()


def test_settings_that_cannot_be_meant_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not tell its form"):
        a_source(tmp_path / "m.txt")
    raw = {"kind": "file", "name": "f", "path": "m.csv"}
    with pytest.raises(BadInput, match="no folder to remember"):
        build_source(parse_source(raw), SystemClock())
    assert build_sources(parse_sources([raw]), SystemClock(), tmp_path)


async def test_a_place_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    append(path, HEADER + rows(1))
    source = a_source(path)
    await source.collect()
    await source.collect()
    await source.close()
    (state,) = (tmp_path / "state").iterdir()
    state.write_text("{", encoding="utf-8")
    with pytest.raises(SuanwangError, match="does not say how far") as failure:
        a_source(path)
    assert "delete it" in failure.value.next_step


@settings(max_examples=25)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=8), st.integers(1, 4))
def test_whatever_happens_no_line_is_lost_and_only_untaken_ones_come_again(
    steps: list[tuple[bool, int]], lines_max: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_followed(Path(folder) / "m.csv", steps, lines_max))


async def _followed(path: Path, steps: list[tuple[bool, int]], lines_max: int) -> None:
    append(path, HEADER)
    written, found = 0, list[float]()
    untaken: list[float] = []
    source = a_source(path, lines_max=lines_max)
    for restarts, more in [*steps, *[(False, 0)] * 45]:
        if restarts:
            await source.close()
            source = a_source(path, lines_max=lines_max)
            del found[len(found) - len(untaken) :]
        append(path, rows(*range(written, written + more)))
        written += more
        untaken = values(await source.collect())
        found += untaken
    await source.close()
    assert found == list(range(written))


@given(st.text(max_size=80) | st.text(',"\n0123456789-:TZ.eé\0', max_size=60))
def test_any_line_is_a_reading_or_told(text: str) -> None:
    for form in FileForm:
        try:
            reading = parse_line(text, form, COLUMNS)
        except BadLine:
            continue
        assert abs(reading.value) < float("inf")
        assert reading.at.tzinfo is UTC
    with suppress(BadLine):
        assert set(parse_header(text)) <= set(COLUMNS)
