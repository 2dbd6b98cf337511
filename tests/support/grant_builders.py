"""Programmes, applicants and desks for tests of grants."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final

import yaml
from programme_builders import a_document
from sqlalchemy import Connection, insert

from suanwang.clock import Clock
from suanwang.db.tables import tenant
from suanwang.ids import IdSource
from suanwang.model.tenant import Role
from voucher.actor import Actor
from voucher.grants import service
from voucher.grants.case import Action
from voucher.grants.identity import Identity, read_identity
from voucher.grants.records import Draft, Record
from voucher.grants.service import Verdict
from voucher.grants.steps import Desk, Till, till_of
from voucher.grants.store_audit import Evidence
from voucher.grants.store_programmes import adopt
from voucher.programmes.application import Line
from voucher.programmes.facts import FactValue
from voucher.programmes.programme import Programme
from voucher.turn import Turn

WAN: Final = 1_000_000
"""Fen of 10,000 yuan."""
HAIYUN_CODE: Final = "91350100M000100Y43"
OTHER_CODE: Final = "91330106673959654P"
WORKFLOW: Final[list[dict[str, object]]] = [
    {"id": "file", "name": "企业申报", "role": "applicant", "evidence": ["申报表"]},
    {
        "id": "district",
        "name": "区市初审",
        "role": "district-reviewer",
        "evidence": ["初审表"],
        "not_same_as": ["file"],
    },
    {"id": "city", "name": "市局审定", "role": "city-bureau", "not_same_as": ["district"]},
    {"id": "publicity", "name": "公示", "role": "city-bureau", "publicity_days": 5},
]
TENANTS: Final = {"haiyun": HAIYUN_CODE, "lanxin": OTHER_CODE, "shinan": "", "bureau": ""}
"""Organisations by id, with their codes: two enterprises, a district's office, the city's."""


def a_file(**changes: object) -> str:
    """Return a policy file of the mode deduct with a whole review, but for the changes."""
    defaults: dict[str, object] = {
        "id": "plain",
        "benefit": {"kind": "compute", "mode": "deduct", "beneficiary": "demander"},
        "workflow": WORKFLOW,
        "validity": {"days_from_issue": 30},
        "stacking": {"once_per": "invoice"},
        "caps": [
            {"id": "firm", "scope": "applicant", "period": "year", "amount_fen": 100 * WAN},
            {"id": "pool", "scope": "pool", "period": "year", "amount_fen": 150 * WAN},
        ],
        "clawback": [{"id": "fraud", "event": "false papers", "take": "full", "ban_years": 3}],
    }
    document = a_document(**{**defaults, **changes})
    return yaml.safe_dump(document, allow_unicode=True)


def an_organisation(code: str = HAIYUN_CODE, name: str = "海云科技") -> Identity:
    """Return an organisation."""
    return read_identity({"kind": "organisation", "name": name, "code": code})


def a_draft(
    ref: str = "r1",
    *lines: Line,
    identity: Identity | None = None,
    programme: str = "plain",
    facts: Mapping[str, FactValue] | None = None,
    district: str = "shinan",
) -> Draft:
    """Return a draft with one line of 100万, but for the changes."""
    return Draft(
        ref=ref,
        programme_id=programme,
        identity=identity or an_organisation(),
        facts=dict(facts or {}),
        lines=lines or (a_spend(),),
        district=district,
    )


def a_spend(line_id: str = "1", amount_fen: int = 100 * WAN, **facts: FactValue) -> Line:
    """Return a spend line with contract and invoice, but for the changes."""
    defaults: dict[str, FactValue] = {
        "line.contract_fen": amount_fen,
        "line.contract_no": "HT-1",
        "line.invoice_no": "26372000000000000001",
        "line.contract_date": date(2026, 9, 1),
    }
    return Line(id=line_id, facts={**defaults, **{f"line.{k}": v for k, v in facts.items()}})


class Office:
    """A centre in which a programme is in force; each method is one act of one person."""

    def __init__(
        self, turn: Turn, clock: Clock, ids: IdSource, tenants: Mapping[str, str] = TENANTS
    ) -> None:
        self.turn = turn
        self.clock = clock
        self.ids = ids
        for name, code in tenants.items():
            self.connection.execute(
                insert(tenant).values(id=name, name=name, uscc=code, created_at=clock.now())
            )

    @property
    def connection(self) -> Connection:
        """The transaction in which everything happens."""
        return self.turn.connection

    def adopt(self, **changes: object) -> Programme:
        """Put a policy in force."""
        return adopt(self.connection, a_file(**changes), "plain.yaml", "boss", self.clock.now())

    def desk(self, person: str, role: Role, tenant_id: str) -> Till:
        """Return somebody's desk, now; it is a till too, so that the city's may book."""
        actor = Actor(person=person, tenant_id=tenant_id, role=role)
        desk = Desk(connection=self.connection, actor=actor, now=self.clock.now())
        return till_of(self.turn, desk)

    def firm(self, tenant_id: str = "haiyun") -> Till:
        """Return the applicant's desk."""
        return self.desk(f"{tenant_id}-key", Role.ENTERPRISE, tenant_id)

    def district(self, person: str = "zhang") -> Till:
        """Return a district reviewer's desk."""
        return self.desk(person, Role.REVIEWER_DISTRICT, "shinan")

    def city(self, person: str = "li") -> Till:
        """Return a city reviewer's desk."""
        return self.desk(person, Role.REVIEWER_CITY, "bureau")

    def file(self, draft: Draft | None = None, tenant_id: str = "haiyun") -> Record:
        """File a draft with its form."""
        record, _ = service.create(self.firm(tenant_id), tenant_id, draft or a_draft(), self.ids)
        self.attach(self.firm(tenant_id), record.id, "申报表")
        return record

    def attach(self, desk: Desk, application_id: str, kind: str) -> Evidence:
        """Attach a file of a kind."""
        file = Evidence(
            seq=0, kind=kind, file_name=f"{kind}.pdf", media_type="application/pdf", sha256="",
            size_bytes=0, added_by=desk.actor.person, added_at=desk.now,
        )  # fmt: skip
        return service.attach(desk, application_id, file, f"%PDF {kind}".encode())

    def approve(self, desk: Till, application_id: str, reason: str = "") -> Record:
        """Approve the open stage."""
        return service.review(desk, application_id, Verdict(action=Action.APPROVE, reason=reason))

    def to_city(self, draft: Draft | None = None, tenant_id: str = "haiyun") -> Record:
        """File, hand in and pass the district."""
        record = self.file(draft, tenant_id)
        service.submit(self.firm(tenant_id), record.id)
        self.attach(self.district(), record.id, "初审表")
        return self.approve(self.district(), record.id, "读过")

    def to_publicity(self, draft: Draft | None = None, tenant_id: str = "haiyun") -> Record:
        """Go on to the city's approval, which makes the award."""
        record = self.to_city(draft, tenant_id)
        return self.approve(self.city(), record.id, "属实")

    def to_granted(self, draft: Draft | None = None, tenant_id: str = "haiyun") -> Record:
        """Go on to the end of the publicity days."""
        record = self.to_publicity(draft, tenant_id)
        self.clock.sleep(timedelta(days=7).total_seconds())
        return self.approve(self.city("wang"), record.id, "公示无异议")
