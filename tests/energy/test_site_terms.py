"""What of a site's energy may be planned, as an operator's file says it."""

from datetime import UTC, datetime
from math import sqrt
from pathlib import Path

import pytest

from suanwang.energy.carbon_books import CarbonBook
from suanwang.energy.catalogue import load_catalogue
from suanwang.errors import BadInput
from suanwang.model.site_terms import EnergyTerms

WHOLE = """
schema: site_terms/v1
sites:
  - id: west-hall
    sleep: {wake_minutes: 6, wake_kwh: 0.15, wear_cny: 0.5, spare_nodes: 2}
    battery: {kw: 500, kwh: 1000, round_trip: 0.81, charged: 0.4, wear_cny_per_kwh: 0.1}
    solar_kw_by_hour: [0,0,0,0,0,0,5,20,60,90,110,120,120,110,90,60,20,5,0,0,0,0,0,0]
    promises: [{id: dr-17, at: 2026-10-14T17:00:00+08:00, for_minutes: 60, firm_kw: 900}]
  - id: bare
"""


def _terms(folder: Path, text: str) -> dict[str, EnergyTerms]:
    (folder / "site_terms.yaml").write_text(text, encoding="utf-8")
    return dict(load_catalogue().with_folder(folder).terms)


def test_a_whole_file_becomes_terms_by_site(tmp_path: Path) -> None:
    terms = _terms(tmp_path, WHOLE)
    own = terms["west-hall"]
    assert own.sleep is not None
    assert (own.sleep.wake_s, own.sleep.wake_wh) == (360.0, 150.0)
    assert (own.sleep.wear_yuan, own.sleep.spare_nodes) == (0.5, 2)
    assert own.battery is not None
    assert own.battery.efficiency_charge == pytest.approx(sqrt(0.81))
    assert own.battery.round_trip == pytest.approx(0.81)
    assert own.battery.soc_wh == own.battery.soc_end_min_wh == 400_000.0
    assert own.solar_w_by_hour[12] == 120_000.0
    (event,) = own.events
    assert event.start == datetime(2026, 10, 14, 9, tzinfo=UTC)
    assert event.firm_w == 900_000.0
    assert terms["bare"] == EnergyTerms()


def test_a_field_a_book_and_a_source_of_charge_are_terms_too(tmp_path: Path) -> None:
    own = _terms(
        tmp_path,
        """
schema: site_terms/v1
sites:
  - id: west-hall
    carbon_book: market
    battery: {kw: 5, kwh: 10, round_trip: 0.81, charge_from: battery/a}
    solar: {kw_peak: 3, latitude: 36.07, longitude: 120.38, inverter_kw: 2.5,
            month_share: [0.7,0.7,0.7,0.7,0.7,0.7,0.7,0.7,0.7,0.7,0.7,0.7]}
""",
    )["west-hall"]
    assert (own.carbon_book, own.charge_from) == (CarbonBook.MARKET, "battery/a")
    assert own.solar is not None
    assert (own.solar.peak_w, own.solar.inverter_w_max) == (3_000.0, 2_500.0)


def test_without_a_file_nothing_may_be_planned(tmp_path: Path) -> None:
    assert load_catalogue().with_folder(tmp_path).terms == {}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        pytest.param("wake_kwh", "wake_kw", "wake_kw", id="an unknown key"),
        pytest.param("id: bare", "id: west-hall", "stand twice", id="a site twice"),
        pytest.param("[0,0,0,", "[0,0,", "23 hours", id="an hour of sun missing"),
        pytest.param("round_trip: 0.81", "round_trip: 1.2", "round_trip", id="energy for nothing"),
        pytest.param("+08:00", "", "at", id="a moment without a zone"),
        pytest.param(
            "    promises",
            "    solar: {kw_peak: 1, latitude: 0, longitude: 0, month_share: "
            "[1,1,1,1,1,1,1,1,1,1,1,1]}\n    promises",
            "not both",
            id="the sun twice",
        ),
    ],
)
def test_a_slip_of_the_pen_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        _terms(tmp_path, WHOLE.replace(old, new))
