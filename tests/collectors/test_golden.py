"""PUE of days that were computed by hand, to 1e-9; the calculation is in each file."""

from fractions import Fraction
from pathlib import Path
from typing import Final

import pytest
import yaml
from sqlalchemy import Engine
from telemetry_builders import SITE, add_site, at, send

from collectors import store, store_meters
from collectors.store_meters import NewEpisode
from collectors.upkeep import keep_up
from suanwang.clock import VirtualClock
from suanwang.db.engine import writing
from suanwang.ids import MeterId
from suanwang.model.meter import CARRIER_UNITS, Carrier, Meter, MeterRole
from suanwang.model.reading import Reading

FOLDER: Final = Path(__file__).parent / "golden"
FILES: Final = sorted(FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("is_kept_up", [False, True], ids=["as it comes", "after upkeep"])
@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_pue_is_the_one_computed_by_hand(engine: Engine, path: Path, is_kept_up: bool) -> None:
    golden = yaml.safe_load(path.read_text(encoding="utf-8"))
    meters = [
        Meter(
            id=MeterId(one["id"]),
            site_id=SITE,
            name=one["id"],
            role=MeterRole(one["role"]),
            carrier=Carrier(one.get("carrier", "electricity")),
            rated_w=one["rated_w"],
            resolution_wh=one["resolution_wh"],
            modulus_wh=one["modulus_wh"],
            poll_s=one["poll_s"],
        )
        for one in golden["meters"]
    ]
    end_s = max(second for told in golden["readings"].values() for second in told)
    with writing(engine) as connection:
        add_site(connection)
        store.register_meters(connection, meters)
        for one in golden.get("episodes", ()):
            episode = NewEpisode(
                from_at=at(one["at_s"]),
                final_wh=one["final_wh"],
                initial_wh=one["initial_wh"],
                factor_num=one["factor"],
                reason="replaced",
                actor="key-1",
            )
            store_meters.begin_episode(connection, one["meter"], episode, at(end_s))
        metric = {one.id: CARRIER_UNITS[one.carrier].metric for one in meters}
        readings = [
            Reading(subject=f"meter:{id_}", metric=metric[MeterId(id_)], value=value, at=at(second))
            for id_, told in golden["readings"].items()
            for second, value in told.items()
        ]
        send(connection, "b1", readings, end_s)
    if is_kept_up:
        keep_up(engine, VirtualClock(at(end_s + 3 * 86_400)))
    low, high = golden["period_s"]
    with writing(engine) as connection:
        figure = store.pue(connection, SITE, at(low), at(high), at(end_s + 3 * 86_400))
    expected = golden["expected"]
    assert figure.value == pytest.approx(float(Fraction(expected["pue"])), abs=1e-9)
    assert figure.it_wh == pytest.approx(expected["it_wh"], abs=1e-3)
    assert figure.facility_wh == pytest.approx(expected["facility_wh"], abs=1e-3)
    assert figure.coverage_it == pytest.approx(float(Fraction(expected["coverage_it"])), abs=1e-9)
    assert figure.coverage_facility == pytest.approx(expected["coverage_facility"], abs=1e-9)
    assert figure.quality.value == expected["quality"]
