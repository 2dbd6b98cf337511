"""Tariffs: the published prices, the edges of bands and seasons, and files that do not add up."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import resources
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from energy_builders import bands_of
from hypothesis import given
from hypothesis import strategies as st

from suanwang.document import parse_document, validate
from suanwang.energy.schema_tariff import TariffFile
from suanwang.energy.tariff import Band, Tariff
from suanwang.errors import BadInput

CHINA = ZoneInfo("Asia/Shanghai")
SHANDONG = bands_of("cn-sd-tou-2026")
FILE = resources.files("suanwang.energy").joinpath("data/tariff_shandong.yaml")


def read(text: str) -> Tariff:
    document = parse_document(text, "tariff_test.yaml")
    return validate(document, TariffFile).build(document)


def at(month: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, month, 14, hour, minute, tzinfo=CHINA)


@pytest.mark.parametrize(
    ("band", "published_yuan", "off_by_yuan"),
    [
        # flat 0.71, floating share 0.70: price = 0.71 x (1 + 0.70 x multiplier).
        pytest.param(Band.SHARP, 1.20, 0.007, id="0.71 x 1.70 = 1.2070 for 1.20"),
        pytest.param(Band.PEAK, 1.00, 0.058, id="0.71 x 1.49 = 1.0579 for 1.00: the weakest fit"),
        pytest.param(Band.FLAT, 0.71, 0.0, id="flat does not float"),
        pytest.param(Band.VALLEY, 0.35, 0.013, id="0.71 x 0.51 = 0.3621 for 0.35"),
        pytest.param(Band.DEEP, 0.25, 0.013, id="0.71 x 0.37 = 0.2627 for 0.25"),
    ],
)
def test_the_floating_share_reproduces_the_published_prices_of_april_2025(
    band: Band, published_yuan: float, off_by_yuan: float
) -> None:
    text = FILE.read_text(encoding="utf-8").replace('"35kV": 0.64', '"35kV": 0.71')
    price = read(text).band_price_uyuan_per_kwh(band, "35kV") / 1_000_000
    assert abs(price - published_yuan) <= off_by_yuan + 1e-9


def test_a_price_is_exact_in_micro_yuan() -> None:
    # 0.6559 x (1 - 0.7 x 0.9) = 0.242683; 0.6559 x 1.7 = 1.11503; 0.6559 x 1.49 = 0.977291
    assert SHANDONG.band_price_uyuan_per_kwh(Band.DEEP, "1-10kV") == 242_683
    assert SHANDONG.band_price_uyuan_per_kwh(Band.SHARP, "1-10kV") == 1_115_030
    assert SHANDONG.band_price_uyuan_per_kwh(Band.PEAK, "1-10kV") == 977_291


def test_the_true_ratio_of_sharp_to_deep_is_below_five() -> None:
    sharp = SHANDONG.band_price_uyuan_per_kwh(Band.SHARP, "110kV")
    deep = SHANDONG.band_price_uyuan_per_kwh(Band.DEEP, "110kV")
    assert 4.5 < sharp / deep < 4.8


@pytest.mark.parametrize(
    ("moment", "band"),
    [
        pytest.param(at(10, 12), Band.DEEP, id="autumn noon"),
        pytest.param(at(10, 17), Band.SHARP, id="autumn evening"),
        pytest.param(at(10, 16, 59), Band.PEAK, id="a minute before the edge"),
        pytest.param(at(6, 12), Band.FLAT, id="June noon is not cheap"),
        pytest.param(at(6, 8), Band.VALLEY, id="June morning is"),
        pytest.param(at(8, 21, 59), Band.SHARP, id="August evening"),
        pytest.param(at(1, 3), Band.VALLEY, id="January night"),
        pytest.param(at(4, 3), Band.FLAT, id="April night"),
        pytest.param(datetime(2026, 10, 14, 4, tzinfo=UTC), Band.DEEP, id="UTC is converted"),
    ],
)
def test_the_band_follows_month_and_local_hour(moment: datetime, band: Band) -> None:
    assert SHANDONG.band_at(moment) is band


def test_an_average_is_weighted_by_time() -> None:
    # 13:30 to 14:30: half an hour deep (229,400), half an hour valley (316,200).
    average = SHANDONG.average_uyuan_per_kwh(at(10, 13, 30), at(10, 14, 30), "110kV")
    assert average == (229_400 + 316_200) // 2


@given(
    start=st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis wants naive bounds
    length=st.timedeltas(timedelta(milliseconds=1), timedelta(days=2)),
)
def test_segments_cover_a_period_without_gap_in_one_band_each(
    start: datetime, length: timedelta
) -> None:
    segments = list(SHANDONG.segments(start, start + length))
    assert segments[0].start == start
    assert segments[-1].end == start + length
    assert all(one.end == two.start for one, two in pairwise(segments))
    assert all(SHANDONG.band_at(one.start) is one.band for one in segments)
    assert all(
        SHANDONG.band_at(one.end - timedelta(microseconds=1)) is one.band for one in segments
    )


@pytest.mark.parametrize(
    "day", [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)]
)
def test_segments_cover_the_days_on_which_clocks_change(day: datetime) -> None:
    berlin = replace(SHANDONG, timezone="Europe/Berlin")
    segments = list(berlin.segments(day, day + timedelta(days=1)))
    assert (segments[0].start, segments[-1].end) == (day, day + timedelta(days=1))
    assert all(one.end == two.start for one, two in pairwise(segments))
    assert sum(one.length_us for one in segments) == 86_400_000_000


def test_an_empty_period_has_no_price() -> None:
    with pytest.raises(BadInput, match="must end after its start"):
        SHANDONG.average_uyuan_per_kwh(at(10, 12), at(10, 12), "110kV")


def test_an_unknown_voltage_names_the_known_ones() -> None:
    with pytest.raises(BadInput, match=r"no voltage class '6kV'; it has 1-10kV, 35kV, 110kV"):
        SHANDONG.price_uyuan_per_kwh(at(10, 12), "6kV")


def test_a_tariff_knows_when_it_is_in_effect() -> None:
    assert SHANDONG.covers(datetime(2026, 12, 31, 15, 59, tzinfo=UTC))
    assert not SHANDONG.covers(datetime(2026, 12, 31, 16, 0, tzinfo=UTC))


def replace_once(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            replace_once('- {from: "02:00", to: "06:00", band: valley}', ""),
            r"tariff_test.yaml: season winter: 02:00 to 06:00 is in no band",
            id="a gap",
        ),
        pytest.param(
            replace_once('to: "06:00", band: valley', 'to: "07:00", band: valley'),
            r"season winter: 06:00 to 07:00 is in two bands",
            id="an overlap",
        ),
        pytest.param(
            replace_once('- {from: "21:00", to: "24:00", band: flat}', ""),
            r"season winter: 21:00 to 24:00 is in no band",
            id="the day ends early",
        ),
        pytest.param(
            replace_once("months: [12, 1, 2]", "months: [12, 1]"),
            r"month 2 is in no season",
            id="a month without season",
        ),
        pytest.param(
            replace_once("months: [6]", "months: [6, 7]"),
            r"month 7 is in seasons june and summer",
            id="a month in two seasons",
        ),
        pytest.param(
            replace_once("sharp: 1.0, ", ""),
            r"energy.multiplier lacks sharp",
            id="a band without price",
        ),
        pytest.param(
            replace_once("floating_share:", "floating_shar:"),
            r"yaml:\d+: energy.floating_shar: unknown key; did you mean 'floating_share'",
            id="a misspelt key",
        ),
        pytest.param(
            replace_once('"02:00", to', '"02:30", to'),
            r"season winter: 02:30 is not a multiple of 60 minutes",
            id="off the tariff's grid",
        ),
    ],
)
def test_a_tariff_that_does_not_add_up_is_refused(
    change: Callable[[str], str], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        read(change(FILE.read_text(encoding="utf-8")))
