"""Carbon, accelerators, compute units, and the catalogue that holds all energy facts."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import yaml
from energy_builders import bands_of

from suanwang.document import parse_document, read_document
from suanwang.energy.accelerators import HostOverhead
from suanwang.energy.catalogue import load_catalogue, read_catalogue
from suanwang.energy.compute import Compute, Precision
from suanwang.energy.limits import limit_of, limits_of
from suanwang.errors import BadInput, NotFound
from suanwang.ids import SiteId
from suanwang.model.site import CoolingKind, DataClass, Site, SiteClass

CATALOGUE = load_catalogue()
SITE = Site(
    id=SiteId("s"), name="s", operator="o", region="CN-SD", timezone="Asia/Shanghai",
    cooling=CoolingKind.COLDPLATE_LIQUID_80, climate="qingdao", it_design_w=100_000,
    background_it_w=0, contract_w=150_000, tariff_id="cn-sd-tou-2026", voltage="35kV",
    carbon_region="CN-SD", pue_limit=1.3, accepts=frozenset(DataClass),
)  # fmt: skip


def test_the_catalogue_is_read_once() -> None:
    assert load_catalogue() is CATALOGUE


def test_carbon_names_the_year_it_used() -> None:
    newest = CATALOGUE.carbon.factor("CN-SD")
    assert newest.year == 2023
    assert newest.g_per_kwh == pytest.approx(619.1)
    assert CATALOGUE.carbon.factor("CN-SD", 2026).year == 2023
    assert CATALOGUE.carbon.factor("CN-SD", 2022).g_per_kwh == pytest.approx(641.0)
    assert CATALOGUE.carbon.factor_g_per_kwh("national", 2021) == pytest.approx(556.8)


def test_carbon_that_is_not_known_is_not_guessed() -> None:
    with pytest.raises(NotFound, match="no carbon factor for region 'CN-XX'"):
        CATALOGUE.carbon.factor("CN-XX")
    with pytest.raises(NotFound, match="oldest carbon factor of CN-SD is of 2021, asked for 2020"):
        CATALOGUE.carbon.factor("CN-SD", 2020)


def test_going_west_saves_no_carbon_by_the_place_itself() -> None:
    carbon = CATALOGUE.carbon
    ratio = carbon.factor_g_per_kwh("CN-NX") / carbon.factor_g_per_kwh("CN-SD")
    assert ratio == pytest.approx(1.0, abs=0.001)


def test_a_unit_carries_its_share_of_the_host() -> None:
    h800 = CATALOGUE.accelerator("nvidia-h800-sxm").unit_power()
    assert (h800.idle_w, h800.busy_w) == (70 + 1_300 / 8, 500 + 2_400 / 8)
    small = HostOverhead(id="edge", units=4, idle_w=120, busy_w=300)
    l4 = CATALOGUE.accelerator("nvidia-l4").unit_power(small)
    assert (l4.idle_w, l4.busy_w) == (16 + 30, 65 + 75)


def test_compute_is_never_stated_without_its_precision() -> None:
    assert Compute.parse("160 PFLOPS FP16") == Compute(160 * 10**15, Precision.FP16)
    assert Compute.parse("119.5 TFLOPS FP16").value == 119_500_000_000_000
    with pytest.raises(BadInput, match="names no precision"):
        Compute.parse("160 P")
    with pytest.raises(BadInput, match="unknown precision FP8"):
        Compute.parse("160 PFLOPS FP8")
    with pytest.raises(BadInput, match="is not a compute figure"):
        Compute.parse("160")
    with pytest.raises(BadInput, match="must not be negative"):
        Compute(-1, Precision.FP16)
    with pytest.raises(BadInput, match="needs a precision"):
        Compute(1, None)  # type: ignore[arg-type]  # what a caller without types may do


def test_compute_of_two_precisions_does_not_add_up() -> None:
    card = CATALOGUE.accelerator("ascend-910b3").compute
    assert str(card * 512) == "160.256 PFLOPS FP16"
    assert (card + card).pflops == pytest.approx(0.626)
    with pytest.raises(BadInput, match="different precisions"):
        card + Compute(1, Precision.FP64)


@pytest.mark.parametrize(
    ("site", "message"),
    [
        pytest.param(
            replace(SITE, tariff_id="cn-xx"), "site s: there is no tariff 'cn-xx'", id="tariff"
        ),
        pytest.param(replace(SITE, voltage="6kV"), "has no voltage '6kV'", id="voltage"),
        pytest.param(replace(SITE, climate="moon"), "there is no climate 'moon'", id="climate"),
        pytest.param(replace(SITE, carbon_region="CN-XX"), "no carbon factor", id="carbon"),
    ],
)
def test_a_site_with_unknown_energy_facts_is_refused(site: Site, message: str) -> None:
    CATALOGUE.check_site(SITE)
    with pytest.raises(BadInput, match=message):
        CATALOGUE.check_site(site)


def test_further_tariffs_replace_those_of_their_id() -> None:
    dearer = replace(bands_of("cn-sd-tou-2026"), flat_uyuan_per_kwh={"35kV": 1_000_000})
    assert CATALOGUE.with_tariffs(dearer).tariff("cn-sd-tou-2026") is dearer


def test_two_files_of_one_tariff_are_refused(tmp_path: Path) -> None:
    text = Path(CATALOGUE.tariff("cn-sd-tou-2026").source)
    source = Path(__file__).parents[2] / "suanwang/energy/data" / text
    for name in ("tariff_a.yaml", "tariff_b.yaml"):
        (tmp_path / name).write_bytes(source.read_bytes())
    with pytest.raises(
        BadInput, match=r"tariff_b.yaml: tariff cn-sd-tou-2026 is already in tariff_a"
    ):
        read_catalogue(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a: 1\nb: 2\na: 3\n", r"f.yaml:3: key 'a' appears twice", id="duplicate key"),
        pytest.param("a: &x 1\nb: *x\n", r"f.yaml:1: anchors and aliases", id="anchor"),
        pytest.param("a: [1\n", r"f.yaml:2: ", id="not closed"),
        pytest.param("a: 2026-13-45\n", r"f.yaml: month must be", id="impossible date"),
        pytest.param("[" * 5_000, r"f.yaml is nested too deeply", id="deep nesting"),
        pytest.param("\x00", r"f.yaml: ", id="control character"),
        pytest.param("a: !!python/object:os.system x\n", r"f.yaml:1: ", id="unsafe tag"),
    ],
)
def test_unsound_yaml_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        parse_document(text, "f.yaml")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"cannot read .*absent.yaml: No such file"):
        read_document(tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(BadInput, match="is not UTF-8 text"):
        read_document(tmp_path / "binary.yaml")
    (tmp_path / "huge.yaml").write_bytes(b" " * 4_000_001)
    with pytest.raises(BadInput, match="larger than 4000000 bytes"):
        read_document(tmp_path / "huge.yaml")


def test_lines_of_keys_and_items_are_found() -> None:
    document = parse_document(yaml.safe_dump({"a": [{"b": 1}, {"c": 2}]}), "f.yaml")
    assert document.line_of(("a", 1, "c")) == 3
    assert document.line_of(("a", 7)) == 1


@pytest.mark.parametrize(
    ("site_class", "day", "at_most"),
    [
        pytest.param(SiteClass.NEW, date(2026, 10, 14), 1.3, id="new"),
        pytest.param(SiteClass.RETROFIT, date(2026, 10, 14), 1.4, id="after its retrofit"),
        pytest.param(SiteClass.HUB_NEW, date(2025, 12, 30), 1.3, id="a hub, before its plan"),
        pytest.param(SiteClass.HUB_NEW, date(2025, 12, 31), 1.25, id="a hub: the strictest of all"),
    ],
)
def test_the_class_of_a_site_has_a_limit_of_pue(
    site_class: SiteClass, day: date, at_most: float
) -> None:
    limit = limit_of(CATALOGUE.pue_limits, site_class, day)
    assert limit.at_most == at_most
    assert limit.source
    assert limit.mark


def test_a_later_limit_takes_the_place_of_an_earlier_one_and_none_holds_before_the_first() -> None:
    first = CATALOGUE.pue_limits[0]
    loose = replace(first, at_most=1.35, since=date(2030, 1, 1))
    limits = (loose, *CATALOGUE.pue_limits)
    assert limit_of(limits, SiteClass.NEW, date(2029, 12, 31)) is first
    assert limits_of(limits, SiteClass.NEW, date(2030, 1, 1)) == (loose,)
    with pytest.raises(BadInput, match="no limit of PUE is in force for sites of the class new"):
        limit_of(limits, SiteClass.NEW, date(2020, 1, 1))
