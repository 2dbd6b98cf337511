"""The registry over HTTP and by tables: every good row goes in, every bad one is named."""

import pytest
from api_client import Json, World

from suanwang.model.tenant import Role
from suanwang.sheets import write_csv, write_xlsx

HAIYUN, EAST = "91350100M000100Y43", "91370200MA3TEKT04D"


@pytest.fixture
def city(world: World) -> str:
    """A city reviewer's key."""
    return world.key("platform", Role.REVIEWER_CITY)


def an_organisation(code: str = HAIYUN, **entry: Json) -> Json:
    """Return the body that records an organisation."""
    return {
        "kind": "organisation",
        "entry": {"code": code, "name": "海云科技", **entry},
        "valid_from": "2026-01-01",
    }


def test_a_statement_is_recorded_once(world: World, city: str) -> None:
    body = an_organisation(legal_representative="王五")
    first = world.client.post("/v1/registry", city, body)
    assert first.status_code == 201, first.text
    again = world.client.post("/v1/registry", city, body)
    assert (again.status_code, again.json()) == (200, first.json() | {"is_new": False})
    assert "王五" not in first.text
    assert first.json()["entry"]["legal_person"].startswith("lr-")
    listed = world.client.get("/v1/registry", city, params={"kind": "organisation"}).json()
    assert [one["version"] for one in listed["items"]] == [1]
    before = {"kind": "organisation", "on": "2025-12-31"}
    assert world.client.get("/v1/registry", city, params=before).json()["items"] == []


def test_a_wrong_field_is_named(world: World, city: str) -> None:
    answer = world.client.post("/v1/registry", city, an_organisation(code=HAIYUN[:-1] + "0"))
    assert answer.status_code in (400, 422)
    assert answer.json()["facts"]["field"] == "code"


def test_an_enterprise_does_not_read_the_registry(world: World) -> None:
    params = {"kind": "organisation"}
    assert world.client.get("/v1/registry", world.enterprise, params=params).status_code == 403


def test_a_way_is_told_in_words(world: World, city: str) -> None:
    for body in (an_organisation(), an_organisation(EAST, parent=HAIYUN, name="东部数据")):
        assert world.client.post("/v1/registry", city, body).status_code == 201
    params = {"one": HAIYUN, "other": EAST}
    answer = world.client.get("/v1/registry/path", city, params=params).json()
    assert answer == {
        "is_related": True,
        "path": "海云科技 – parent of – 东部数据",
        "path_zh": "海云科技 – 控股母公司 – 东部数据",
        "unknown": [],
    }


TABLE = [
    ["统一社会信用代码", "名称", "控股母公司代码", "法定代表人", "生效日期"],
    [HAIYUN, "海云科技", "", "王五", "2026-01-01"],
    [EAST[:-1] + "1", "错码公司", "", "", "2026-01-01"],
    [EAST, "东部数据", HAIYUN, "", "昨天"],
    [EAST, "东部数据", HAIYUN, "", "2026-01-01"],
]


@pytest.mark.parametrize("write", [write_csv, write_xlsx])
def test_a_bad_row_is_named_and_loses_no_other(world: World, city: str, write: Json) -> None:
    params = {"kind": "organisation", "dry_run": "true"}
    content = write(TABLE)
    path = "/v1/registry/import"
    trial = world.client.post(path, city, content=content, params=params).json()
    assert (trial["rows"], trial["new"], trial["is_dry_run"]) == (2, 2, True)
    params["dry_run"] = "false"
    for new in (2, 0):
        answer = world.client.post(path, city, content=content, params=params).json()
        assert (answer["rows"], answer["new"]) == (2, new)
        assert [(one["line"], one["column"]) for one in answer["faults"]] == [
            (3, "统一社会信用代码"),
            (4, "生效日期"),
        ]
    history = {"kind": "organisation", "key": EAST}
    kept = world.client.get("/v1/registry/history", city, params=history).json()["items"]
    assert [(one["version"], one["source"]) for one in kept] == [(1, "table")]


def test_an_amount_of_a_table_is_in_yuan_and_a_spoilt_number_is_refused(
    world: World, city: str
) -> None:
    rows = "号,合\n"
    content = (
        "合同编号,购买方代码,销售方代码,合同日期,合同金额（元）,合同月数\n"
        f"HT-1,{HAIYUN},{EAST},2026-09-01,1234.50,12\n"
        f"HT-2,{HAIYUN},{EAST},2026-09-01,1.005,12\n"
    ).encode()
    params = {"kind": "contract"}
    path = "/v1/registry/import"
    answer = world.client.post(path, city, content=content, params=params).json()
    assert [(one["line"], one["column"]) for one in answer["faults"]] == [(3, "合同金额（元）")]
    (one,) = world.client.get("/v1/registry", city, params=params).json()["items"]
    assert (one["entry"]["amount_fen"], one["entry"]["months"]) == (123_450, 12)
    unknown = world.client.post(path, city, content=rows.encode(), params=params)
    assert unknown.status_code in (400, 422)
