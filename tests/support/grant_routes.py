"""Every route about grants that changes something, each with a request that does so."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import httpx
from api_client import Json, World
from grant_builders import HAIYUN_CODE, WAN, a_file
from sqlalchemy import Engine, select, update

from suanwang.clock import VirtualClock
from suanwang.db.engine import reading, writing
from suanwang.db.tables import ledger_head, metadata, tenant
from suanwang.model.tenant import Role

CLAIM: Final = {"kind": "compute", "mode": "claim_then_redeem", "beneficiary": "demander"}
PRORATA: Final[dict[str, object]] = {"shortage": {"rule": "prorata"}}
HAIYUN: Final[Json] = {
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
SHEET: Final = (
    "ref,programme,name,code,line.contract_no,line.contract_yuan\n"
    f"a,plain,海云科技,{HAIYUN_CODE},HT-1,100.00\n"
).encode()


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A request: whose key, which route, what is sent."""

    secret: str
    method: str
    path: str
    json: Json = None
    content: bytes | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    def send(self, world: World, key: str = "") -> httpx.Response:
        """Send it, under a key of the sender's if one is given."""
        headers = {"Idempotency-Key": key} if key else {}
        return world.client.call(
            self.method, self.path, self.secret, json=self.json, content=self.content,
            headers=headers, params=self.params,
        )  # fmt: skip

    def changed(self) -> "Ask":
        """Return another request of the same sender to the same route."""
        if self.content is not None:
            return replace(self, content=self.content + b" ")
        if self.json is not None:
            return replace(self, json={**self.json, "more": 1})
        return replace(self, params={"more": 1})


class Bureau:
    """A centre with a programme in force and a reviewer for each office."""

    def __init__(self, world: World, **changes: object) -> None:
        self.world = world
        self.firm = world.enterprise
        self.district = world.key("dc-west", Role.REVIEWER_DISTRICT)
        self.city = world.key("platform", Role.REVIEWER_CITY)
        self.payer = world.key("platform", Role.REVIEWER_CITY)
        with writing(world.engine) as connection:
            connection.execute(
                update(tenant).where(tenant.c.id == "haiyun").values(uscc=HAIYUN_CODE)
            )
        self.must(Ask(secret=world.admin, method="POST", path="/v1/programmes",
                      json={"policy": a_file(**changes)}))  # fmt: skip
        self.id = ""

    def must(self, ask: Ask) -> Json:
        """Send a request that must succeed."""
        answer = ask.send(self.world)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def step(self, secret: str, name: str, **body: Json) -> Ask:
        """Return the request for a step of the application."""
        path = f"/v1/applications/{self.id}/{name}"
        return Ask(secret=secret, method="POST", path=path, json=body)

    def evidence(self, secret: str, kind: str) -> Ask:
        """Return the request that attaches a file."""
        path = f"/v1/applications/{self.id}/evidence"
        return Ask(secret=secret, method="POST", path=path, content=b"%PDF-1.7",
                   params={"kind": kind, "name": "form.pdf"})  # fmt: skip

    def life(self) -> list[Callable[[], Ask]]:
        """Return every request from the draft to the end of the publicity days, in order."""
        return [
            lambda: Ask(secret=self.firm, method="POST", path="/v1/applications", json=HAIYUN),
            lambda: self.evidence(self.firm, "申报表"),
            lambda: self.step(self.firm, "submit"),
            lambda: self.evidence(self.district, "初审表"),
            lambda: self.step(self.district, "review", verdict="approve", reason="属实"),
            lambda: self.step(self.city, "review", verdict="approve", reason="属实"),
            lambda: self.step(self.payer, "review", verdict="approve", reason="公示无异议"),
        ]

    def go(self, steps: int) -> None:
        """Do so many steps of the life; the last comes after the publicity days."""
        for number, ask in enumerate(self.life()[:steps], start=1):
            if number == 7:
                self.wait(7)
            answer = self.must(ask())
            self.id = self.id or answer["id"]

    def wait(self, days: int) -> None:
        """Let days pass."""
        assert isinstance(self.world.clock, VirtualClock)
        self.world.clock.advance(days * 86_400)


def _filed(bureau: Bureau) -> Ask:
    bureau.go(0)
    return bureau.life()[0]()


def _attached(bureau: Bureau) -> Ask:
    bureau.go(1)
    return bureau.evidence(bureau.firm, "申报表")


def _edited(bureau: Bureau) -> Ask:
    bureau.go(1)
    body = HAIYUN | {"district": ""}
    return Ask(secret=bureau.firm, method="PUT", path=f"/v1/applications/{bureau.id}", json=body)


def _submitted(bureau: Bureau) -> Ask:
    bureau.go(2)
    return Ask(secret=bureau.firm, method="POST", path=f"/v1/applications/{bureau.id}/submit")


def _withdrawn(bureau: Bureau) -> Ask:
    bureau.go(6)
    return bureau.step(bureau.firm, "withdraw", reason="误报")


def _reviewed(bureau: Bureau) -> Ask:
    bureau.go(4)
    return bureau.step(bureau.district, "review", verdict="approve", reason="属实")


def _decided(bureau: Bureau) -> Ask:
    bureau.go(6)
    return Ask(secret=bureau.city, method="POST", path="/v1/programmes/plain/decide")


def _issued(bureau: Bureau) -> Ask:
    bureau.go(7)
    return bureau.step(bureau.payer, "issue", rank=1)


def _redeemed(bureau: Bureau) -> Ask:
    bureau.go(7)
    lines = {"1": {"line.paid_fen": 50 * WAN}}
    return bureau.step(bureau.firm, "redeem", ref="p1", lines=lines)


def _settled(bureau: Bureau) -> Ask:
    bureau.must(_redeemed(bureau))
    return bureau.step(bureau.payer, "settle", receipt="BANK-1", payment=1)


def _closed(bureau: Bureau) -> Ask:
    bureau.must(_settled(bureau))
    return bureau.step(bureau.payer, "close", reason="合同终止")


def _demanded(bureau: Bureau) -> Ask:
    bureau.must(_issued(bureau))
    return bureau.step(bureau.district, "clawback", trigger="fraud", reason="材料造假")


def _taken_back(bureau: Bureau) -> Ask:
    bureau.must(_demanded(bureau))
    return bureau.step(bureau.payer, "clawback/decide", verdict="approve", reason="属实")


def _adopted(bureau: Bureau) -> Ask:
    body = {"policy": a_file(id="other")}
    return Ask(secret=bureau.world.admin, method="POST", path="/v1/programmes", json=body)


def _imported(bureau: Bureau) -> Ask:
    return Ask(secret=bureau.firm, method="POST", path="/v1/applications/import", content=SHEET)


def _judged(bureau: Bureau) -> Ask:
    bureau.go(4)
    text = f"application,stage,verdict,reason\n{bureau.id},district,approve,属实\n"
    path = "/v1/reviews/import"
    return Ask(secret=bureau.district, method="POST", path=path, content=text.encode())


def _read(bureau: Bureau) -> Ask:
    bureau.go(3)
    return Ask(secret=bureau.firm, method="POST", path="/v1/messages/read")


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """How to come to the request of a route, under a policy with these changes."""

    prepare: Callable[[Bureau], Ask]
    policy: Mapping[str, object] = field(default_factory=dict)

    def begin(self, world: World) -> Ask:
        """Bring a centre to the moment before the request, and return the request."""
        return self.prepare(Bureau(world, **self.policy))


SCENARIOS: Final[dict[tuple[str, str], Scenario]] = {
    ("POST", "/v1/programmes"): Scenario(prepare=_adopted),
    ("POST", "/v1/programmes/{programme_id}/decide"): Scenario(prepare=_decided, policy=PRORATA),
    ("POST", "/v1/applications"): Scenario(prepare=_filed),
    ("POST", "/v1/applications/import"): Scenario(prepare=_imported),
    ("POST", "/v1/reviews/import"): Scenario(prepare=_judged),
    ("PUT", "/v1/applications/{application_id}"): Scenario(prepare=_edited),
    ("POST", "/v1/applications/{application_id}/evidence"): Scenario(prepare=_attached),
    ("POST", "/v1/applications/{application_id}/submit"): Scenario(prepare=_submitted),
    ("POST", "/v1/applications/{application_id}/withdraw"): Scenario(prepare=_withdrawn),
    ("POST", "/v1/applications/{application_id}/review"): Scenario(prepare=_reviewed),
    ("POST", "/v1/applications/{application_id}/issue"): Scenario(prepare=_issued),
    ("POST", "/v1/applications/{application_id}/redeem"): Scenario(
        prepare=_redeemed, policy={"benefit": CLAIM}
    ),
    ("POST", "/v1/applications/{application_id}/settle"): Scenario(
        prepare=_settled, policy={"benefit": CLAIM}
    ),
    ("POST", "/v1/applications/{application_id}/close"): Scenario(
        prepare=_closed, policy={"benefit": CLAIM}
    ),
    ("POST", "/v1/applications/{application_id}/clawback"): Scenario(prepare=_demanded),
    ("POST", "/v1/applications/{application_id}/clawback/decide"): Scenario(prepare=_taken_back),
    ("POST", "/v1/messages/read"): Scenario(prepare=_read),
}
"""By method and path."""


def content_of(engine: Engine) -> dict[str, list[str]]:
    """Return every row of every table, as text and in one order, but for the writer's lease."""
    lease = {ledger_head.c.writer, ledger_head.c.epoch, ledger_head.c.writer_until}
    with reading(engine) as connection:
        return {
            table.name: sorted(
                str(tuple(row))
                for row in connection.execute(select(*(one for one in table.c if one not in lease)))
            )
            for table in metadata.sorted_tables
        }
