"""The life of a voucher over REST: filed, reviewed, issued; every step with its own key."""

import pytest
from api_client import Json, World
from grant_builders import HAIYUN_CODE, WAN, a_file
from sqlalchemy import update

from suanwang.clock import VirtualClock
from suanwang.db.engine import writing
from suanwang.db.tables import tenant
from suanwang.model.tenant import Role

APPLICATION: Json = {
    "ref": "2026-1",
    "programme": "plain",
    "applicant": {"name": "海云科技", "code": HAIYUN_CODE},
    "district": "dc-west",
    "lines": [
        {
            "id": "1",
            "facts": {
                "line.contract_no": "HT-1",
                "line.invoice_no": "26372000000000000001",
                "line.contract_fen": 100 * WAN,
                "line.contract_date": "2026-09-01",
            },
        }
    ],
}


class Grants:
    """A centre with a programme in force and a reviewer for each office."""

    def __init__(self, world: World, **changes: object) -> None:
        self.world = world
        self.client = world.client
        self.district = world.key("dc-west", Role.REVIEWER_DISTRICT)
        self.city = world.key("platform", Role.REVIEWER_CITY)
        self.payer = world.key("platform", Role.REVIEWER_CITY)
        with writing(world.engine) as connection:
            connection.execute(
                update(tenant).where(tenant.c.id == "haiyun").values(uscc=HAIYUN_CODE)
            )
        answer = self.client.post("/v1/programmes", world.admin, {"policy": a_file(**changes)})
        assert answer.status_code == 201, answer.text

    def file(self, **changes: Json) -> str:
        """File an application with its form; return its id."""
        answer = self.client.post("/v1/applications", self.world.enterprise, APPLICATION | changes)
        assert answer.status_code in (200, 201), answer.text
        self.attach(self.world.enterprise, answer.json()["id"], "申报表")
        return str(answer.json()["id"])

    def attach(self, key: str, application_id: str, kind: str) -> Json:
        """Attach a file of a kind."""
        answer = self.client.call(
            "POST",
            f"/v1/applications/{application_id}/evidence",
            key,
            content=b"%PDF-1.7",
            params={"kind": kind, "name": "form.pdf"},
            headers={"Content-Type": "application/pdf"},
        )
        assert answer.status_code == 201, answer.text
        return answer.json()

    def act(self, key: str, application_id: str, step: str, **body: Json) -> Json:
        """Do a step that must succeed."""
        answer = self.client.post(f"/v1/applications/{application_id}/{step}", key, body)
        assert answer.is_success, answer.text
        return answer.json()

    def to_granted(self) -> str:
        """Bring a new application to the end of its publicity days."""
        name = self.file()
        self.act(self.world.enterprise, name, "submit")
        self.attach(self.district, name, "初审表")
        self.act(self.district, name, "review", verdict="approve")
        self.act(self.city, name, "review", verdict="approve")
        assert isinstance(self.world.clock, VirtualClock)
        self.world.clock.advance(7 * 86_400)
        granted = self.act(self.payer, name, "review", verdict="approve")
        assert granted["state"] == "granted"
        return name


def test_a_voucher_is_applied_for_reviewed_and_issued(world: World) -> None:
    grants = Grants(world)
    name = grants.to_granted()
    refused = world.client.post(f"/v1/applications/{name}/issue", grants.city, {})
    assert refused.status_code == 403
    assert refused.json()["facts"]["rule"] == "four-eyes"
    for _ in range(2):
        issued = grants.act(grants.payer, name, "issue")
        assert (issued["state"], issued["lots"]) == ("issued", [name])
    (lot,) = world.client.get("/v1/vouchers", world.enterprise).json()["items"]
    assert (lot["issued_fen"], lot["ratio_num"], lot["ratio_den"]) == (20 * WAN, 1, 5)
    audit = world.client.get(f"/v1/applications/{name}/events", world.enterprise).json()["items"]
    assert [row["action"] for row in audit][-2:] == ["approve", "issue"]
    (newest, *_) = world.client.get("/v1/messages", world.enterprise).json()["items"]
    assert (newest["code"], "200,000.00" in newest["text_zh"]) == ("issued", True)
    assert world.client.post("/v1/messages/read", world.enterprise).status_code == 204
    unread = world.client.get("/v1/messages", world.enterprise, params={"unread": True})
    assert unread.json()["items"] == []


def test_the_same_draft_twice_is_one_and_the_check_says_what_to_expect(small_world: World) -> None:
    grants = Grants(small_world)
    name = grants.file()
    assert grants.file() == name
    checked = small_world.client.get(f"/v1/applications/{name}/check", small_world.enterprise)
    assert checked.json()["expected_fen"] == 20 * WAN
    assert (checked.json()["blocking"], checked.json()["missing"]) == ([], [])
    other = small_world.client.post(
        "/v1/applications", small_world.enterprise, APPLICATION | {"district": ""}
    )
    assert other.status_code == 409


def test_a_foreign_application_does_not_exist(small_world: World) -> None:
    grants = Grants(small_world)
    name = grants.file()
    other_district = small_world.key("dc-east", Role.REVIEWER_DISTRICT)
    for key in (small_world.other, other_district):
        for path in ("", "/events", "/check", "/evidence/1"):
            answer = small_world.client.get(f"/v1/applications/{name}{path}", key)
            assert answer.status_code == 404, path
        listed = small_world.client.get("/v1/applications", key).json()["items"]
        assert listed == []
    for key in (small_world.enterprise, grants.district, grants.city, small_world.admin):
        listed = small_world.client.get("/v1/applications", key).json()["items"]
        assert [one["id"] for one in listed] == [name]
    answer = small_world.client.post(
        "/v1/applications", small_world.other, APPLICATION | {"tenant_id": "haiyun"}
    )
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"applicant": {"name": "x", "code": "91350100M000100Y56"}}, "GB 11714"),
        ({"applicant": {"name": "x", "kind": "maker"}}, "sponsor_name"),
        ({"facts": {"applicant.colour": "red"}}, "unknown fact"),
        ({"facts": {"line.paid_fen": 1}}, "does not begin with applicant."),
        ({"lines": [{"id": "1", "facts": {"line.contract_fen": -1}}]}, "not between"),
        ({"lines": [{"id": "1", "facts": {"line.contract_date": "2026-13-01"}}]}, "month"),
        ({"lines": [{"id": "1"}, {"id": "1"}]}, "same id"),
    ],
)
def test_a_wrong_field_is_named(small_world: World, change: Json, says: str) -> None:
    Grants(small_world)
    answer = small_world.client.post(
        "/v1/applications", small_world.enterprise, APPLICATION | change
    )
    assert answer.status_code == 422
    assert says in answer.json()["detail"]


def test_evidence_comes_back_to_the_byte_under_its_digest(small_world: World) -> None:
    grants = Grants(small_world)
    name = grants.file()
    detail = small_world.client.get(f"/v1/applications/{name}", grants.city).json()
    (file,) = detail["evidence"]
    assert (file["kind"], file["size_bytes"]) == ("申报表", 8)
    answer = small_world.client.get(f"/v1/applications/{name}/evidence/1", grants.city)
    assert (answer.content, answer.headers["x-content-sha256"]) == (b"%PDF-1.7", file["sha256"])


def test_a_shipped_programme_may_have_gaps_and_refuses_at_use(small_world: World) -> None:
    grants = Grants(small_world)
    body = {"shipped": "qingdao-2026-list"}
    adopted = small_world.client.post("/v1/programmes", small_world.admin, body).json()
    assert "workflow" in adopted["empty"]
    name = grants.file(programme="qingdao-2026-list", ref="q1")
    answer = small_world.client.post(f"/v1/applications/{name}/submit", small_world.enterprise)
    assert answer.status_code == 402
    reasons = answer.json()["facts"]["findings"]
    assert any(one["facts"].get("fact") == "applicant.region" for one in reasons)
    checked = small_world.client.get(f"/v1/applications/{name}/check", small_world.enterprise)
    assert checked.json()["blocking"] == reasons
    assert (
        small_world.client.post(
            "/v1/programmes", small_world.admin, {"shipped": "nowhere"}
        ).status_code
        == 404
    )


def test_a_table_is_filed_and_its_bad_row_named(small_world: World) -> None:
    grants = Grants(small_world)
    text = (
        "ref,programme,name,code,line.contract_no,line.contract_yuan\n"
        f"a,plain,海云科技,{HAIYUN_CODE},HT-1,100.00\n"
        f"b,plain,海云科技,{HAIYUN_CODE},HT-2,lots\n"
        f"c,plain,海云科技,{HAIYUN_CODE},HT-3,300.00\n"
    ).encode()
    path = "/v1/applications/import"
    for dry_run in (True, False):
        answer = small_world.client.call(
            "POST", path, small_world.enterprise, content=text, params={"dry_run": dry_run}
        ).json()
        assert [one["ref"] for one in answer["filed"]] == ["a", "c"]
        (fault,) = answer["faults"]
        assert (fault["line"], fault["column"]) == (3, "line.contract_yuan")
        listed = small_world.client.get("/v1/applications", small_world.enterprise).json()
        assert len(listed["items"]) == (0 if dry_run else 2)
    exported = small_world.client.get(
        "/v1/applications/export", grants.city, params={"format": "csv"}
    )
    assert exported.content.decode("utf-8-sig").count("\n") == 3
    again = small_world.client.call(
        "POST", path, small_world.enterprise, content=exported.content
    ).json()
    assert [one["outcome"] for one in again["filed"]] == ["unchanged", "unchanged"]
    template = small_world.client.get("/v1/programmes/plain/template", grants.city)
    assert template.content[:2] == b"PK"


def test_a_claim_is_redeemed_settled_and_taken_back(small_world: World) -> None:
    grants = Grants(
        small_world,
        benefit={"kind": "compute", "mode": "claim_then_redeem", "beneficiary": "demander"},
    )
    name = grants.to_granted()
    lines = {"1": {"line.paid_fen": 100 * WAN}}
    payment = grants.act(small_world.enterprise, name, "redeem", ref="p1", lines=lines)
    assert payment["amount_fen"] == 20 * WAN
    settled = grants.act(grants.payer, name, "settle", receipt="BANK-1")
    assert (settled["state"], settled["settled_fen"]) == ("settled", 20 * WAN)
    grants.act(grants.district, name, "clawback", trigger="fraud", reason="材料造假")
    done = grants.act(grants.payer, name, "clawback/decide", verdict="approve")
    assert done["state"] == "reclaimed"
    detail = small_world.client.get(f"/v1/applications/{name}", small_world.enterprise).json()
    assert detail["payments"][0]["receipt"] == "BANK-1"
    assert detail["clawbacks"][0]["ban_years"] == 3
    banned = small_world.client.post(
        "/v1/applications", small_world.enterprise, APPLICATION | {"ref": "new"}
    )
    assert banned.status_code == 402
