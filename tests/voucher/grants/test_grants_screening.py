"""Applications beside the registry: related parties, groups, split contracts, differing papers."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import pytest
from grant_builders import (
    HAIYUN_CODE,
    OTHER_CODE,
    WAN,
    Office,
    a_draft,
    a_spend,
    an_organisation,
)
from sqlalchemy import Engine

from suanwang.clock import VirtualClock
from suanwang.errors import BadInput
from suanwang.ids import SeededIds
from voucher.flagging import Flag, FlagCode
from voucher.grants import service
from voucher.grants.records import Record
from voucher.grants.store_audit import Evidence
from voucher.programmes.application import china_day
from voucher.registry import store as registry
from voucher.registry.entries import Contract, Kind
from voucher.registry.reading import read_statement
from voucher.registry.rules import Rules, limits
from voucher.writer import DirectWriter

SELLER = "91370200MA3TEKT04D"


@pytest.fixture
def office(engine: Engine, clock: VirtualClock, ids: SeededIds) -> Iterator[Office]:
    with DirectWriter(engine, clock).turn() as turn:
        yield Office(turn, clock, ids)


def record(office: Office, kind: Kind, **raw: object) -> None:
    """Record what the office knows."""
    hide = registry.begin_recording(office.connection)
    now = office.clock.now()
    statement = read_statement(kind, raw, "hand", date(2026, 1, 1), hide)
    registry.record(office.connection, statement, "boss", now)


def organisation(office: Office, code: str, name: str, **raw: object) -> None:
    """Record an organisation."""
    record(office, Kind.ORGANISATION, code=code, name=name, **raw)


def check(office: Office, filed: Record, rules: Rules | None = None) -> tuple[Flag, ...]:
    """Return the flags of a check."""
    desk = replace(office.firm(filed.case.tenant_id), rules=rules or Rules())
    return service.check(desk, filed).flags


def found(flags: tuple[Flag, ...], code: FlagCode) -> list[Flag]:
    """Return the flags of a code."""
    return [one for one in flags if one.code is code]


def test_a_seller_that_is_tied_over_others_is_a_related_party(office: Office) -> None:
    office.adopt()
    organisation(office, HAIYUN_CODE, "海云科技", legal_representative="王五")
    organisation(office, OTHER_CODE, "东投", legal_representative="王五")
    organisation(office, SELLER, "东算", parent=OTHER_CODE)
    filed = office.file(a_draft("r1", a_spend(seller_code=SELLER)))
    (flag,) = found(check(office, filed), FlagCode.RELATED_PARTY)
    assert "海云科技 – same legal representative – 东投 – parent of – 东算" in flag.message
    assert "海云科技 – 法定代表人相同 – 东投 – 控股母公司 – 东算" in flag.message_zh
    handed_in = service.submit(office.firm(), filed.id)
    assert handed_in.lines[0].facts["line.is_related_party"] is True


@pytest.mark.parametrize(("share", "is_flagged"), [("25", True), ("24.9999", False)])
def test_a_shareholding_counts_from_the_share_of_the_rules(
    office: Office, share: str, is_flagged: bool
) -> None:
    office.adopt()
    record(office, Kind.RELATION, tie="shares", one=SELLER, other=HAIYUN_CODE, share_percent=share)
    filed = office.file(a_draft("r1", a_spend(seller_code=SELLER)))
    assert bool(found(check(office, filed), FlagCode.RELATED_PARTY)) is is_flagged


GROUP_CAP: dict[str, object] = {
    "caps": [{"id": "together", "scope": "group", "period": "year", "amount_fen": 30 * WAN}]
}


def test_firms_of_one_group_share_the_cap_of_the_group(office: Office) -> None:
    office.adopt(**GROUP_CAP)
    organisation(office, HAIYUN_CODE, "海云科技")
    organisation(office, OTHER_CODE, "蓝芯", parent=HAIYUN_CODE)
    first = office.to_publicity(a_draft("r1"))
    invoice = "26372000000000000002"
    other = an_organisation(OTHER_CODE, "蓝芯")
    line = a_spend(contract_no="HT-2", invoice_no=invoice)
    second = office.to_publicity(a_draft("r2", line, identity=other), "lanxin")
    assert (first.case.award_fen, second.case.award_fen) == (20 * WAN, 10 * WAN)
    assert first.facts["applicant.group"] == second.facts["applicant.group"]


def test_firms_without_ties_have_a_cap_each(office: Office) -> None:
    office.adopt(**GROUP_CAP)
    first = office.to_publicity(a_draft("r1"))
    line = a_spend(contract_no="HT-2", invoice_no="26372000000000000002")
    other = an_organisation(OTHER_CODE, "蓝芯")
    second = office.to_publicity(a_draft("r2", line, identity=other), "lanxin")
    assert (first.case.award_fen, second.case.award_fen) == (20 * WAN, 20 * WAN)


def a_split(office: Office, amount_fen: int, second_on: date) -> Record:
    """File two contracts with one seller."""
    lines = (
        a_spend("1", amount_fen, seller_code=SELLER),
        a_spend(
            "2",
            amount_fen,
            seller_code=SELLER,
            contract_no="HT-2",
            invoice_no="26372000000000000002",
            contract_date=second_on,
        ),
    )
    return office.file(a_draft("r1", *lines))


@pytest.mark.parametrize(
    ("limit_fen", "second_on", "is_flagged"),
    [
        pytest.param(100 * WAN, date(2026, 10, 1), True, id="thirty days apart"),
        pytest.param(100 * WAN, date(2026, 10, 2), False, id="a day later"),
        pytest.param(121 * WAN, date(2026, 9, 2), False, id="together under the limit"),
        pytest.param(120 * WAN, date(2026, 9, 2), True, id="together at the limit"),
        pytest.param(60 * WAN, date(2026, 9, 2), False, id="each at the limit was reviewed"),
        pytest.param(None, date(2026, 9, 2), False, id="nobody states a limit"),
    ],
)
def test_contracts_split_under_the_limit_of_the_office_are_flagged(
    office: Office, limit_fen: int | None, second_on: date, is_flagged: bool
) -> None:
    office.adopt()
    filed = a_split(office, 60 * WAN, second_on)
    rules = Rules(contract_limit_fen=limit_fen)
    flags = found(check(office, filed, rules), FlagCode.SPLIT_CONTRACT)
    assert bool(flags) is is_flagged
    if flags:
        assert "HT-1, HT-2" in flags[0].message
        assert "registry.contract_limit_yuan" in flags[0].message


def test_contracts_split_under_a_cap_of_the_policy_are_flagged(office: Office) -> None:
    caps = [{"id": "each", "scope": "contract", "period": "year", "amount_fen": 20 * WAN}]
    office.adopt(caps=caps)
    flags = found(
        check(office, a_split(office, 60 * WAN, date(2026, 9, 2))), FlagCode.SPLIT_CONTRACT
    )
    assert [(one.facts["limit_fen"], one.facts["together_fen"]) for one in flags] == [
        (100 * WAN, 120 * WAN)
    ]
    assert "caps.each" in flags[0].message


def test_a_contract_of_a_related_customer_counts_but_is_not_named(office: Office) -> None:
    office.adopt()
    organisation(office, HAIYUN_CODE, "海云科技", group="东海")
    organisation(office, OTHER_CODE, "蓝芯", group="东海")
    record(
        office, Kind.CONTRACT, number="GEHEIM-1", customer=OTHER_CODE, provider=SELLER,
        signed_on="2026-09-10", amount_yuan="600000.00",
    )  # fmt: skip
    filed = office.file(a_draft("r1", a_spend("1", 60 * WAN, seller_code=SELLER)))
    rules = Rules(contract_limit_fen=100 * WAN)
    (flag,) = found(check(office, filed, rules), FlagCode.SPLIT_CONTRACT)
    assert (flag.facts["contracts"], flag.facts["others"]) == ("HT-1", 1)
    assert "GEHEIM" not in flag.message


def contracts_of(office: Office) -> list[Contract]:
    """Return the registered contracts of Haiyun."""
    day = china_day(office.clock.now())
    return registry.contracts(office.connection, "customer", [HAIYUN_CODE], day)


def test_handing_in_registers_contracts_and_invoices_once(office: Office) -> None:
    office.adopt()
    filed = office.file(a_draft("r1", a_spend(seller_code=SELLER)))
    service.submit(office.firm(), filed.id)
    (contract,) = contracts_of(office)
    assert (contract.number, contract.amount_fen, contract.provider) == ("HT-1", 100 * WAN, SELLER)
    kept = registry.history(office.connection, Kind.CONTRACT, "number", "HT-1")
    assert [one.statement.source for one in kept] == [f"application:{filed.id}"]
    day = china_day(office.clock.now())
    (invoice,) = registry.invoices(office.connection, "contract_no", ["HT-1"], day)
    assert (invoice.seller, invoice.buyer) == (SELLER, HAIYUN_CODE)


def test_what_the_office_has_registered_otherwise_stays_and_is_flagged(office: Office) -> None:
    office.adopt()
    record(
        office, Kind.CONTRACT, number="HT-1", customer=HAIYUN_CODE, provider=SELLER,
        signed_on="2026-09-01", amount_yuan="900000.00",
    )  # fmt: skip
    filed = office.file(a_draft("r1", a_spend(seller_code=SELLER)))
    handed_in = service.submit(office.firm(), filed.id)
    (flag,) = found(handed_in.flags, FlagCode.REGISTRY_DIFFERS)
    assert flag.facts["fields"] == f"amount_fen {100 * WAN} ≠ {90 * WAN}"
    assert [one.amount_fen for one in contracts_of(office)] == [90 * WAN]


def test_a_limit_is_only_what_somebody_states(office: Office) -> None:
    programme = office.adopt()
    assert limits(Rules(), programme) == ()
    assert [one.amount_fen for one in limits(Rules(contract_limit_fen=5), None)] == [5]


def test_a_file_for_a_line_proves_that_line_only(office: Office) -> None:
    office.adopt()
    filed = a_split(office, 60 * WAN, date(2026, 9, 2))
    proof = Evidence(
        seq=0, kind="发票", file_name="f", media_type="text/plain", sha256="", size_bytes=0,
        added_by="haiyun-key", added_at=office.clock.now(), line_id="1",
    )  # fmt: skip
    first = service.attach(office.firm(), filed.id, proof, b"one")
    again = service.attach(office.firm(), filed.id, proof, b"one")
    other = service.attach(office.firm(), filed.id, replace(proof, line_id="2"), b"one")
    assert (first.seq, again.seq, other.seq) == (2, 2, 3)
    with pytest.raises(BadInput, match="has no line '9'"):
        service.attach(office.firm(), filed.id, replace(proof, line_id="9"), b"one")
