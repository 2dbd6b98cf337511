"""Worlds: what the packaged ones hold, and that every slip in a file is named with its line."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from suanwang.energy.bill import DemandBasis
from suanwang.energy.catalogue import load_catalogue
from suanwang.errors import BadInput, NotFound
from suanwang.ids import SiteId
from suanwang.model.meter import MeterRole
from suanwang.model.reading import Quality
from suanwang.model.site import DataClass, SiteClass
from suanwang.scenario.load import load_world
from suanwang.scenario.network import network_of
from suanwang.scenario.packaged import packaged_worlds, world_path
from suanwang.scenario.shapes import Shape, arrivals

QINGDAO = load_world(world_path("qingdao"))
DEMO = load_world(world_path("demo"))
DEMO_TEXT = world_path("demo").read_text(encoding="utf-8")
QINGDAO_TEXT = world_path("qingdao").read_text(encoding="utf-8")


def written(folder: Path, text: str) -> Path:
    path = folder / "world.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_qingdao_has_its_521_jobs_over_eight_sites_and_a_day() -> None:
    assert len(QINGDAO.jobs) == 521
    assert len(QINGDAO.sites) == 8
    assert sum(pool.units for site in QINGDAO.sites for pool in site.pools) == 11_712
    assert QINGDAO.end - QINGDAO.start == timedelta(days=1)
    assert Counter(QINGDAO.job_class.values()) == {
        "port-video-inference": 200,
        "gov-assistant-serving": 12,
        "open-model-serving": 40,
        "ocean-forecast": 4,
        "llm-pretrain": 1,
        "llm-finetune": 24,
        "sme-finetune": 160,
        "vision-batch": 80,
    }


def test_the_limit_of_a_site_is_its_own_or_that_of_its_class() -> None:
    limits = [(site.site_class, site.pue_limit) for site in QINGDAO.sites]
    assert limits[:3] == [(SiteClass.NEW, 1.3), (SiteClass.RETROFIT, 1.4), (None, 1.5)]
    assert limits[-1] == (SiteClass.HUB_NEW, 1.25)


def test_qingdao_asks_for_a_quarter_of_the_days_capacity() -> None:
    asked = sum(job.wishes.units * job.wishes.run_s_max / 3_600 for job in QINGDAO.jobs)
    assert asked == pytest.approx(74_812)
    assert asked / (11_712 * 24) == pytest.approx(0.27, abs=0.01)


def test_equal_files_give_equal_jobs() -> None:
    assert load_world(world_path("qingdao")) == QINGDAO


def test_another_seed_moves_jobs_but_not_their_number(tmp_path: Path) -> None:
    other = load_world(written(tmp_path, QINGDAO_TEXT.replace("seed: 20261014", "seed: 2")))
    assert other.jobs != QINGDAO.jobs
    assert Counter(other.job_class.values()) == Counter(QINGDAO.job_class.values())


def test_jobs_arrive_in_the_day_and_can_keep_their_deadlines() -> None:
    for job in QINGDAO.jobs:
        wishes = job.wishes
        assert wishes.earliest_start == job.submitted_at
        assert QINGDAO.start <= job.submitted_at < QINGDAO.end
        assert wishes.deadline is not None
        assert job.submitted_at + timedelta(seconds=wishes.run_s_max) <= wishes.deadline


def test_a_dataset_gives_its_readers_home_and_class() -> None:
    job = next(job for job in QINGDAO.jobs if job.id.startswith("gov-assistant"))
    assert (job.wishes.data_home, job.wishes.data_class) == (
        "gov_affairs_corpus",
        DataClass.GOVERNMENT,
    )
    homes = [site.id for site in QINGDAO.sites if job.wishes.data_home in site.data_homes]
    takers = [site.id for site in QINGDAO.sites if DataClass.GOVERNMENT in site.accepts]
    assert (homes, takers) == (["telecom-westcoast"], [])


def test_powers_and_prices_come_with_the_pool() -> None:
    h800 = QINGDAO.site("marine-lab").pools[0]
    assert (h800.id, h800.power_w_idle, h800.power_w_busy) == (
        "marine-lab-nvidia-h800-sxm", 232.5, 800.0,
    )  # fmt: skip
    assert h800.price_uyuan_per_unit_hour == 12_600_000
    ascend = QINGDAO.site("ai-center-laoshan").pools[0]
    assert ascend.is_domestic
    edge = QINGDAO.site("edge-port").pools[0]
    assert (edge.power_w_idle, edge.power_w_busy) == (16 + 30, 65 + 75)


def test_no_sites_units_at_full_power_pass_its_design() -> None:
    for site in QINGDAO.sites + DEMO.sites:
        busy_w = sum(pool.units * pool.power_w_busy for pool in site.pools)
        assert site.background_it_w + busy_w <= site.it_design_w, site.id


def test_the_more_precise_link_wins() -> None:
    rtt = QINGDAO.rtt_ms
    assert rtt["jimo", SiteId("marine-lab")] == 0.7
    assert rtt["shinan", SiteId("marine-lab")] == 0.8
    assert rtt["jimo", SiteId("zhongwei-hub")] == 22.4
    assert rtt["*", SiteId("zhongwei-hub")] == 22.4
    assert QINGDAO.links_of("edge-port")["westcoast"] == 0.4


def test_terms_of_the_demand_charge_are_read() -> None:
    telecom = QINGDAO.demand_terms[SiteId("telecom-westcoast")]
    assert (telecom.basis, telecom.transformer_kva) == (DemandBasis.CAPACITY, 2_000)
    assert QINGDAO.demand_terms[SiteId("edge-port")].basis is DemandBasis.NONE


def test_the_demo_has_two_sites_with_meters_and_five_jobs() -> None:
    assert [site.id for site in DEMO.sites] == ["laoshan", "zhongwei"]
    for site in DEMO.sites:
        assert {meter.role for meter in DEMO.meters_of(site.id)} == {
            MeterRole.FACILITY,
            MeterRole.IT,
        }
        assert [(pool.accelerator, pool.units) for pool in site.pools] == [("cpu", 4)]
    assert DEMO.demo is not None
    assert {job.id for job in DEMO.demo.jobs} == {job.id for job in DEMO.jobs}
    assert len(DEMO.jobs) == 5
    assert DEMO.cash_fen == {"haichuang": 2_000}
    assert [(lot.available_fen, lot.ratio_num, lot.ratio_den) for lot in DEMO.lots] == [
        (3_000, 50, 100)
    ]


def test_a_demo_core_second_costs_one_fen_near_and_half_a_fen_far() -> None:
    prices = [site.pools[0].price_uyuan_per_unit_hour for site in DEMO.sites]
    assert prices == [3_600 * 10_000, 1_800 * 10_000]


def test_demo_programs_compile() -> None:
    assert DEMO.demo is not None
    for name, text in DEMO.demo.files.items():
        compile(text, name, "exec")
    for job in DEMO.demo.jobs:
        assert job.entrypoint.split()[1] in DEMO.demo.files


def test_a_world_without_live_sites_is_seen_by_its_models() -> None:
    catalogue = load_catalogue()
    network = network_of(QINGDAO, catalogue)
    state = network.sites[0]
    idle_w = sum(pool.units * pool.power_w_idle for pool in state.site.pools)
    assert state.it_power_w.value == pytest.approx(400_000 + idle_w)
    assert state.it_power_w.quality is Quality.ESTIMATED
    assert all(pool.units_free == pool.pool.units for pool in state.pools)
    later = network_of(QINGDAO, catalogue, QINGDAO.start + timedelta(hours=15))
    assert later.sites[0].wet_bulb_c.value > state.wet_bulb_c.value


def test_an_unknown_site_is_not_found() -> None:
    with pytest.raises(NotFound, match="world demo has no site 'moon'"):
        DEMO.site("moon")


@pytest.mark.parametrize("shape", list(Shape))
@pytest.mark.parametrize("count", [1, 3, 4, 50])
def test_arrivals_keep_to_their_bounds_in_the_order_of_time(shape: Shape, count: int) -> None:
    made = arrivals(shape, count, (Decimal(1), Decimal(6)), Random(1))
    assert len(made) == count
    assert all(60 <= one.length_minutes <= 360 for one in made)
    minutes = [one.after_minutes for one in made]
    assert minutes == sorted(minutes)
    assert 0 <= minutes[0] <= minutes[-1] < 24 * 60


def test_packaged_worlds_are_found_by_name_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    packaged = packaged_worlds()
    assert {"qingdao", "demo"} <= packaged.keys()
    assert world_path("qingdao") == packaged["qingdao"]
    assert world_path("scenarios/demo.yaml") == packaged["demo"]
    assert world_path("elsewhere/demo.yaml") == Path("elsewhere/demo.yaml")
    assert world_path("nothing.yaml") == Path("nothing.yaml")
    own = written(tmp_path, DEMO_TEXT)
    assert world_path(own) == own


def swap(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text, old
        return text.replace(old, new, 1)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            swap("    cooling: retro", "    coling: retro"),
            r"world.yaml:\d+: sites.0.coling: unknown key; did you mean 'cooling'\?",
            id="misspelt key",
        ),
        pytest.param(
            swap("cooling: retrofit_containment_wse", "cooling: wind"),
            r"world.yaml:\d+: sites.0.cooling: Input should be 'legacy_air_chiller'",
            id="unknown cooling",
        ),
        pytest.param(
            swap("id: cn-sd-tou-2026", "id: cn-sd-tou-1999"),
            r"world.yaml:\d+: sites.0: site laoshan: there is no tariff 'cn-sd-tou-1999'",
            id="unknown tariff",
        ),
        pytest.param(
            swap("accelerator: cpu, units: 4", "accelerator: cpux, units: 4"),
            "",
            id="any accelerator with its power given",
        ),
        pytest.param(
            swap(", power: {idle_w: 30, busy_w: 120}", ""),
            r"sites.0.pools.0.accelerator: there is no accelerator 'cpu'; .*or give its power",
            id="no power for cores",
        ),
        pytest.param(
            swap("busy_w: 120", "busy_w: 12"), r"busy_w 12.0 is below idle_w 30.0", id="busy < idle"
        ),
        pytest.param(
            swap("site: zhongwei, rtt_ms", "site: zhongwai, rtt_ms"),
            r"world.yaml:\d+: links.1.site: 'zhongwai' is not in sites; there are laoshan",
            id="link to nowhere",
        ),
        pytest.param(
            swap("  - id: zhongwei\n", "  - id: laoshan\n"),
            r"sites: id 'laoshan' appears twice",
            id="one id twice",
        ),
        pytest.param(
            swap("timezone: Asia/Shanghai", "timezone: Asia/Qingdao"),
            r"world.yaml:7: timezone: 'Asia/Qingdao' is not an IANA time zone",
            id="unknown zone",
        ),
        pytest.param(
            swap("slot_minutes: 15", "slot_minutes: 7"),
            r"day.slot_minutes: 7 minutes do not divide a day of 4 hours",
            id="slots that do not fit",
        ),
        pytest.param(
            swap("start: 2026-10-14T09:00:00+08:00", "start: 2026-10-14T09:00:00"),
            r"day.start: Input should have timezone info",
            id="time without zone",
        ),
        pytest.param(
            swap('latency_ms: "5"', 'latency_ms: "near"'),
            r"demo.jobs.0.metadata: .*latency_ms.*near",
            id="a wish that is no number",
        ),
        pytest.param(
            swap("expect: {site: laoshan, why: latency}", "expect: {why: latency}"),
            r"demo.jobs.0.expect: name either a site or refused: true",
            id="nothing expected",
        ),
        pytest.param(
            swap("expected: {sites: 2, accelerators: 8", "expected: {sites: 2, accelerators: 9"),
            r"expected.accelerators: the file states 9, but it adds up to 8",
            id="totals that are off",
        ),
        pytest.param(
            swap("demand_basis: max_demand", "demand_basis: capacity"),
            r"demand_basis capacity needs transformer_kva",
            id="capacity without transformer",
        ),
        pytest.param(
            swap("cash_cny: 20", "cash_cny: 20.001"),
            r"tenants.0.cash_cny: .*decimal",
            id="a tenth fen",
        ),
        pytest.param(
            swap("    pue_limit: 1.4\n", ""),
            r"sites.0: name a site_class, whose limit of PUE holds, or a pue_limit",
            id="no limit of PUE",
        ),
        pytest.param(
            swap("schema: world/v1", "schema: world/v2"),
            r"world.yaml:4: schema: Input should be 'world/v1'",
            id="another version",
        ),
    ],
)
def test_every_slip_in_a_world_is_named(
    tmp_path: Path, change: Callable[[str], str], message: str
) -> None:
    path = written(tmp_path, change(DEMO_TEXT))
    if not message:
        assert load_world(path).sites[0].pools[0].accelerator == "cpux"
        return
    with pytest.raises(BadInput, match=message):
        load_world(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            swap("hours: [1, 6]", "hours: [6, 1]"),
            r"hours run from 6 down to 1",
            id="hours reversed",
        ),
        pytest.param(
            swap("deadline_hours: 5", "deadline_hours: 2"),
            r"job_classes.3: deadline_hours 2 is below hours 3",
            id="deadline before the end",
        ),
        pytest.param(
            swap("dataset: haier_vision", "dataset: haier"),
            r"job_classes.7.dataset: 'haier' is not in datasets",
            id="unknown data",
        ),
        pytest.param(
            swap("tenant: gov-cloud", "tenant: gov"),
            r"job_classes.1.tenant: 'gov' is not in tenants",
            id="unknown tenant",
        ),
        pytest.param(
            swap("deadline_hours: 48,", "deadline_hours: 48, start_within_minutes: 5,"),
            r"deadline_hours and start_within_minutes exclude each other",
            id="two deadlines",
        ),
    ],
)
def test_every_slip_in_a_job_class_is_named(
    tmp_path: Path, change: Callable[[str], str], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        load_world(written(tmp_path, change(QINGDAO_TEXT)))


def test_a_demo_without_tenant_is_refused(tmp_path: Path) -> None:
    head, _, rest = DEMO_TEXT.partition("tenants:\n")
    text = head + "tenants: []\n" + rest[rest.index("# The five jobs") :]
    with pytest.raises(BadInput, match="demo: a demo needs a tenant"):
        load_world(written(tmp_path, text))


def test_money_and_sites_of_a_world_are_the_products_own_objects() -> None:
    lot = QINGDAO.lots[0]
    assert lot.issued_fen == lot.available_fen + lot.held_fen + lot.spent_fen + lot.expired_fen
    assert replace(QINGDAO.sites[0]).standard_racks == 1_040.0
