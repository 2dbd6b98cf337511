"""``suanwang plan``: the reference world offline, in tables and in JSON."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cli.plan import plan
from suanwang.errors import BadInput, Unavailable

app = typer.Typer()
app.command()(plan)
RUNNER = CliRunner()


def ran(*arguments: str) -> str:
    result = RUNNER.invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return str(result.stdout)


@pytest.fixture(scope="module")
def document() -> dict[str, object]:
    loaded: dict[str, object] = json.loads(ran("qingdao", "--json"))
    return loaded


def test_the_reference_world_is_planned_in_seconds(document: dict[str, object]) -> None:
    assert document["jobs"] == 521
    placed, refused = document["placed"], document["refused"]
    assert isinstance(placed, int)
    assert isinstance(refused, int)
    assert placed + refused == 521
    assert placed > 500
    assert isinstance(document["total_s"], float)
    assert document["total_s"] < 30
    assert document["planner"] in ("optimal", "feasible")


def test_totals_are_the_sums_of_their_sites(document: dict[str, object]) -> None:
    sites, totals = document["sites"], document["totals"]
    assert isinstance(sites, list)
    assert isinstance(totals, dict)
    assert len(sites) == 8
    assert totals["bill_fen"] == sum(site["bill"]["total_fen"] for site in sites)
    assert totals["carbon_g"] == pytest.approx(sum(site["carbon_g"] for site in sites))
    for site in sites:
        lines = site["bill"]["lines"]
        assert site["bill"]["energy_fen"] == sum(line["amount_fen"] for line in lines)


def test_every_job_is_placed_once_or_refused_once(document: dict[str, object]) -> None:
    placements, rejections = document["placements"], document["rejections"]
    assert isinstance(placements, list)
    assert isinstance(rejections, list)
    names = [one["job_id"] for one in placements + rejections]
    assert len(set(names)) == len(names) == 521
    assert all(one["message"] for one in rejections)


def test_voucher_and_cash_make_up_each_price(document: dict[str, object]) -> None:
    placements = document["placements"]
    assert isinstance(placements, list)
    for one in placements:
        assert sum(one["lots"].values()) + one["cash_fen"] == one["price_fen_max"]


def test_tables_show_plan_bill_reasons_and_refusals() -> None:
    text = ran("demo", "--jobs")
    assert "4 placed, 1 refused" in text
    assert "assistant  latency    zhongwei 1" in text
    assert "report     data-home  zhongwei 1" in text
    assert "30.00" in text
    assert "bill CNY" in text
    assert "\x1b" not in text


def test_rows_are_cut_with_a_word_about_the_rest() -> None:
    assert "… and 3 more rows; --limit-rows 0 shows all" in ran(
        "demo", "--jobs", "--limit-rows", "1"
    )


@pytest.mark.parametrize("solver", ["greedy", "pulp:highs", "highs-ipm"])
def test_other_routes_place_the_same_jobs_of_the_demo(solver: str) -> None:
    found = json.loads(ran("demo", "--json", "--solver", solver))
    assert {one["job_id"]: one["site_id"] for one in found["placements"]} == {
        "assistant": "laoshan",
        "render": "zhongwei",
        "report": "laoshan",
        "train": "zhongwei",
    }


def test_slots_of_another_length_must_fit_the_world() -> None:
    assert json.loads(ran("demo", "--json", "--slot-minutes", "60"))["slots"] == 4
    with pytest.raises(BadInput, match="--slot-minutes 7 does not divide the world's 240 minutes"):
        ran("demo", "--slot-minutes", "7")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"cannot read .*absent.yaml: No such file"):
        ran(str(tmp_path / "absent.yaml"))


def test_a_solver_that_is_not_there_is_named() -> None:
    with pytest.raises(Unavailable, match="the solver pulp:CUOPT is not installed here"):
        ran("demo", "--solver", "pulp:cuopt")
    with pytest.raises(BadInput, match="there is no solver best; there are auto, highs-simplex"):
        ran("demo", "--solver", "best")


def test_a_dumped_world_has_the_same_plan(tmp_path: Path) -> None:
    file, named = tmp_path / "problem.json", tmp_path / "named.json"
    assert "5 jobs, " in ran("demo", "--dump", str(file))
    assert "names as they are" in ran("demo", "--dump", str(named), "--with-names")
    of_world = json.loads(ran("demo", "--json"))
    of_dump = json.loads(ran("--problem", str(named), "--json"))
    assert {one["job_id"]: one["pool_id"] for one in of_dump["starts"] + of_dump["later"]} == {
        one["job_id"]: one["pool_id"] for one in of_world["placements"]
    }
    assert of_dump["certificate"]["faults"] == 0
    text = ran("--problem", str(file), "--limit-rows", "1")
    assert "4 placed, 1 refused" in text
    assert "certificate: " in text
    assert "job-00000" in text
    assert "… and 3 more" in text


def test_either_a_world_or_a_problem_is_named(tmp_path: Path) -> None:
    for arguments in ((), ("demo", "--problem", "x.json")):
        with pytest.raises(BadInput, match="name either a world or"):
            ran(*arguments)
    with pytest.raises(BadInput, match=r"cannot read .*absent.json"):
        ran("--problem", str(tmp_path / "absent.json"))


def test_the_certificate_is_told() -> None:
    text = ran("demo")
    assert "certificate: " in text
    assert "checked anew: 0 limits broken" in text
    assert json.loads(ran("demo", "--json"))["certificate"]["gap"] is not None


def test_a_plan_with_energy_says_what_sleeps_and_that_pue_may_rise() -> None:
    text = ran("qingdao", "--energy", "--time-limit", "5", "--solver", "greedy")
    assert "Energy schedule" in text
    assert "PUE may rise while energy falls" in text


def test_the_schedule_of_a_site_is_told_slot_by_slot() -> None:
    loaded = json.loads(ran("qingdao", "--energy", "--json", "--solver", "greedy"))
    (unicom,) = [one for one in loaded["energy"] if one["site_id"] == "unicom-westcoast"]
    assert unicom["saved_wh"] > 5_000_000
    assert unicom["pue"] > unicom["pue_awake"]
    assert len(unicom["slots"]) == 24
    assert sorted(unicom["slots"][0]["awake"]) == [
        "unicom-westcoast-nvidia-h20",
        "unicom-westcoast-nvidia-h800-sxm",
        "unicom-westcoast-nvidia-l20",
    ]
    first = unicom["slots"][0]
    from_site_w = first["solar_w"] + first["discharge_w"] - first["charge_w"]
    assert first["grid_w"] == pytest.approx(first["facility_w"] - from_site_w)


def test_without_being_asked_a_plan_has_no_energy_schedule(document: dict[str, object]) -> None:
    assert document["energy"] == []
