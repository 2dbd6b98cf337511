"""Every key of a policy does something: with another value, something else comes out.

A key that changed nothing would be a lie to whoever wrote it. The keys that only describe (names,
sources, marks) must be told in words; all others must change what is granted, when or to whom.
"""

import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final

import pytest
from grant_builders import Office, a_draft, a_spend
from programme_builders import WAN, a_document, a_line, an_application
from pydantic import BaseModel
from sqlalchemy import Engine

from suanwang.clock import VirtualClock
from suanwang.document import Document
from suanwang.errors import BadInput, Conflict
from suanwang.ids import SeededIds
from suanwang.model.tenant import Role
from voucher.actor import Actor
from voucher.grants import service
from voucher.grants.application import advance
from voucher.grants.case import Action, Case, Event, State
from voucher.grants.due import with_due
from voucher.grants.people import roles_of
from voucher.programmes.application import Application
from voucher.programmes.award import assess
from voucher.programmes.facts import FactValue
from voucher.programmes.life import (
    Back,
    end_of,
    freed,
    is_reusing,
    no_lots,
    objections,
    reclaim,
    redeem_by,
)
from voucher.programmes.programme import Programme
from voucher.programmes.redeem import book_redemption, redeem
from voucher.programmes.rounds import decide
from voucher.programmes.schema import Policy
from voucher.programmes.share import split
from voucher.programmes.usage import Usage
from voucher.programmes.values import check_unchanged, digest, read_policy
from voucher.programmes.words import in_words
from voucher.writer import DirectWriter

Json = Mapping[str, object]
Probe = Callable[[Policy], object]
NOW: Final = datetime.fromisoformat("2025-05-01T09:00:00+08:00")
DESCRIBES: Final = {
    "Policy.region", "Policy.issuer", "Policy.legal_basis", "Policy.sources", "Policy.marks",
    "Name.en", "Name.zh", "NewFact.meaning", "NewFact.name_zh", "Predicate.because",
    "Ratio.at_most", "Stage.name", "Trigger.event", "Source.where", "Source.kind", "Mark.mark",
    "Mark.note",
}  # fmt: skip
"""Keys that tell people something and decide nothing."""


def read(changes: Json) -> Policy:
    document = a_document(**changes)
    if "valid" in changes:
        document["valid"] = changes["valid"]
    return read_policy(Document(name="plain.yaml", value=document, root=None))


def applied(number: int = 1, fen: int = 100 * WAN, **facts: FactValue) -> Application:
    """One application of a contract of 24 months, half of it paid, with its papers."""
    line = a_line(
        "l1", contract_fen=fen, paid_fen=fen // 2, contract_no=f"HT-{number}",
        invoice_no=f"I-{number}", contract_months=24, service="intelligent_compute",
        has_invoice=True,
    )  # fmt: skip
    default: dict[str, FactValue] = {
        "region": "Qingdao",
        "group": f"g{number}",
        "score": number,
        "side": "demander",
    }
    at = (NOW + timedelta(minutes=number)).isoformat()
    return an_application(f"a{number}", line, at=at, facts={**default, **facts})


def award(policy: Policy) -> object:
    """What one applicant is granted, and why not."""
    found = assess(Programme.of(policy), applied(), Usage())
    against = [(one.code, one.path) for one in found.reasons]
    tiers, cuts = [line.tier_id for line in found.lines], [cut.path for cut in found.cuts]
    return found.amount_fen, against, tiers, cuts


def second_award(policy: Policy) -> object:
    """What two more contracts are granted months later: the applicant's own, and its sister's."""
    programme, later = Programme.of(policy), NOW + timedelta(days=100)
    mine = replace(applied(2, group="g1"), applicant_id="a1", submitted_at=later)
    sister = replace(applied(3, group="g1"), submitted_at=later)
    return [one.amount_fen for one in decide(programme, [applied(), mine, sister]).awards]


def again(policy: Policy) -> object:
    """What somebody else is granted for the same contract, and for the same invoice."""
    programme, mine = Programme.of(policy), applied()
    (line,) = mine.lines
    amounts = []
    for changed in ("line.invoice_no", "line.contract_no"):
        theirs = replace(line, facts={**line.facts, changed: "another"})
        other = replace(applied(2), lines=(theirs,))
        amounts.append([one.amount_fen for one in decide(programme, [mine, other]).awards])
    return amounts


def round_of_three(policy: Policy) -> object:
    """Who gets what of a pool of 25万 that three want 20万 of each."""
    found = decide(Programme.of(policy), [applied(n) for n in (1, 2, 3)])
    return sorted((one.application_id, one.amount_fen) for one in found.awards)


def excluded(policy: Policy) -> object:
    """What somebody is granted who has the voucher of another programme."""
    holder = replace(applied(), other_programmes=frozenset({"other"}))
    return assess(Programme.of(policy), holder, Usage()).amount_fen


def redeemed(policy: Policy) -> object:
    """What two redemptions pay, the second 100 days later."""
    programme, usage = Programme.of(policy), Usage()
    claim = assess(programme, applied(), usage)
    first = redeem(programme, applied(), claim, date(2025, 6, 1), {}, usage)
    book_redemption(programme, applied(), first.amount_fen, date(2025, 6, 1), usage)
    late = redeem(programme, applied(), claim, date(2025, 9, 9), {}, usage)
    return first.amount_fen, [one.code for one in first.findings], [one.code for one in
                                                                   late.findings]  # fmt: skip


def ends(policy: Policy) -> object:
    """When a voucher ends, with its grace, and until when a claim is redeemed."""
    return end_of(policy, date(2025, 6, 1)), redeem_by(policy, date(2025, 6, 1))


def taken_back(policy: Policy) -> object:
    """What is taken back after a fraud, with half of the term not served."""
    return reclaim(policy, "fraud", 1000, unserved=1, term=2)


def given_back(policy: Policy) -> object:
    """Of what the caps are free when 10 fen have expired and 20 came back after a fraud."""
    return freed(policy, Back(expired_fen=10, reclaimed_fen=20), "fraud")


def funded(policy: Policy) -> object:
    """Who pays an award of 101 fen."""
    return split(Programme.of(policy), applied(), 101)


def reviewed(policy: Policy) -> object:
    """Where a hand-in and the first approval lead, when that is due, and who may do it."""
    firm = Actor(person="f", tenant_id="t", role=Role.ENTERPRISE)
    city = Actor(person="c", tenant_id="bureau", role=Role.ADMIN)
    before = Case(id="a", tenant_id="t", district="", state=State.DRAFT)
    filed = advance(before, Event(action=Action.SUBMIT, actor=firm), policy, NOW).case
    places = [filed]
    if filed.state is State.REVIEW:
        event = Event(action=Action.APPROVE, actor=city, reason="read")
        places.append(advance(filed, event, policy, NOW).case)
    if places[-1].state is State.READY:
        event = Event(action=Action.DECIDE, actor=city, amount_fen=5)
        places.append(advance(places[-1], event, policy, NOW).case)
    stages = policy.workflow or ()
    return (
        [(one.state, one.stage, one.publicity_ends_at) for one in places],
        [with_due(before, one, policy, NOW, NOW).due for one in places],
        [sorted(roles_of(stage)) for stage in stages],
        [objections(policy, stages[-1].id, "c", {"city": "c"}) if stages else None],
    )


def told(policy: Policy) -> object:
    """The policy in words."""
    return in_words(policy)


def lots(policy: Policy) -> object:
    """Whether its awards can become lots."""
    return no_lots(policy)


def is_the_used_version(policy: Policy) -> object:
    """Whether it is, or conflicts with, what was used under its id and version."""
    try:
        check_unchanged(policy, {("plain", 1): digest(read({}))})
    except Conflict as failure:
        return failure.message
    return (policy.id, policy.version)


@dataclass(frozen=True)
class Try:
    """Two values of a key, and where the difference must show; ``other`` None: refused."""

    key: str
    one: Json
    other: Json
    probe: Probe = award


def in_list(group: str, base: Json, /, **changes: object) -> Json:
    return {group: [{**base, **changes}]}


STARTUP = [{"fact": "applicant.is_startup", "op": "is_true"}]
QINGDAO = [{"fact": "applicant.region", "op": "eq", "value": "Qingdao"}]
JINAN = [{"fact": "applicant.region", "op": "eq", "value": "Jinan"}]
TIER: Json = {"id": "all", "ratio": {"num": 1, "den": 5}}
CAP: Json = {"id": "own", "scope": "applicant", "period": "life", "amount_fen": 10 * WAN}
POOL: Json = {"id": "pool", "scope": "pool", "period": "life", "amount_fen": 25 * WAN}
CITY: Json = {"id": "city", "name": "City", "share": {"num": 1, "den": 1}}
HALF: Json = {"num": 1, "den": 2}
STAGE: Json = {"id": "city", "name": "市局", "role": "city-bureau"}
FRAUD: Json = {"id": "fraud", "event": "false papers", "take": "full"}
CLAIM: Json = {"kind": "compute", "mode": "claim_then_redeem", "beneficiary": "demander"}
SPEND: Json = {"base": "contract", "require": []}
FACT = {"applicant.size": {"kind": "count", "meaning": "size"}}
SHORT: Json = {"caps": [POOL]}
PROOF = [{"fact": "line.has_invoice", "op": "is_true"}]
NO_PROOF = [{"fact": "line.has_delivery_proof", "op": "is_true"}]
PAGE: Json = {"where": "page 1", "kind": "official"}
ASSUMED: Json = {"mark": "assumed", "note": "believed"}


def spend(**changes: object) -> Json:
    return {"spend": {**SPEND, **changes}}


def benefit(**changes: object) -> Json:
    return {"benefit": {**CLAIM, **changes}}


def short(**changes: object) -> Json:
    return {**SHORT, "shortage": {"rule": "fcfs", "last": "partial", **changes}}


def marked(mark: Json) -> Json:
    return {"marks": {"*": {"mark": "decided"}, "issuer": mark}, "sources": {"p": PAGE, "q": PAGE}}


def asks(**changes: object) -> Json:
    return {"eligibility": [{"fact": "applicant.region", "op": "eq", "value": "Qingdao",
                             **changes}]}  # fmt: skip


TRIES: Final = [
    Try("Policy.version", {}, {"version": 2}, is_the_used_version),
    Try("Policy.id", {}, {"id": "other"}, is_the_used_version),
    Try("Policy.name", {}, {"name": {"en": "Other", "zh": "另"}}, is_the_used_version),
    Try("Policy.region", {}, {"region": "Jinan"}, told),
    Try("Policy.issuer", {}, {"issuer": "other"}, told),
    Try("Policy.legal_basis", {}, {"legal_basis": "no. 2"}, told),
    Try("Policy.valid", {}, {"valid": {"from": date(2025, 6, 1)}}),
    Try("Policy.window", {}, {"window": {"opens": NOW + timedelta(days=1),
                                         "closes": NOW + timedelta(days=2)}}),
    Try("Policy.benefit", benefit(), benefit(beneficiary="provider")),
    Try("Policy.facts", asks(), {"facts": FACT, **asks(fact="applicant.size", op="ge", value=1)}),
    Try("Policy.eligibility", {}, {"eligibility": JINAN}),
    Try("Policy.spend", spend(), spend(base="paid")),
    Try("Policy.tiers", {}, in_list("tiers", TIER, ratio=HALF)),
    Try("Policy.caps", {}, in_list("caps", CAP)),
    Try("Policy.funders", in_list("funders", CITY), in_list("funders", CITY, id="x"), funded),
    Try("Policy.shortage", short(), {**SHORT, "shortage": {"rule": "prorata"}}, round_of_three),
    Try("Policy.validity", {}, {"validity": {"days_from_issue": 5}}, ends),
    Try("Policy.stacking", {}, {"stacking": {"exclusive_with": ["other"]}}, excluded),
    Try("Policy.workflow", {}, in_list("workflow", STAGE), reviewed),
    Try("Policy.clawback", {}, in_list("clawback", FRAUD), taken_back),
    Try("Policy.sources", {}, {"sources": {"p": PAGE}}, told),
    Try("Policy.marks", {}, marked(ASSUMED), told),
    Try("Name.en", {}, {"name": {"en": "Other", "zh": "普通"}}, told),
    Try("Name.zh", {}, {"name": {"en": "Plain", "zh": "另"}}, told),
    Try("Valid.from", {}, {"valid": {"from": date(2025, 6, 1)}}),
    Try("Valid.to", {}, {"valid": {"from": date(2025, 1, 1), "to": date(2025, 4, 1)}}),
    Try("Window.opens", {"window": {"opens": NOW, "closes": NOW + timedelta(days=2)}},
        {"window": {"opens": NOW + timedelta(days=1), "closes": NOW + timedelta(days=2)}}),
    Try("Window.closes", {"window": {"opens": NOW, "closes": NOW + timedelta(days=2)}},
        {"window": {"opens": NOW, "closes": NOW + timedelta(seconds=1)}}),
    Try("Benefit.kind", benefit(mode="deduct"), benefit(mode="deduct", kind="token"), lots),
    Try("Benefit.mode", benefit(), benefit(mode="reimburse"), redeemed),
    Try("Benefit.beneficiary", benefit(), benefit(beneficiary="either"), again),
    Try("NewFact.kind", {"facts": FACT, **asks(fact="applicant.score", op="ge", value=1)},
        {"facts": {"applicant.size": {"kind": "count", "meaning": "x"}},
         **asks(fact="applicant.size", op="ge", value=1)}),
    Try("NewFact.meaning", {"facts": FACT},
        {"facts": {"applicant.size": {"kind": "count", "meaning": "how large"}}}, told),
    Try("NewFact.name_zh", {"facts": FACT, **asks(fact="applicant.score", op="ge", value=1)},
        {"facts": {"applicant.size": {"kind": "count", "meaning": "x", "name_zh": "规模"}}},
        told),
    Try("Predicate.fact", asks(), asks(fact="applicant.province")),
    Try("Predicate.op", asks(), asks(op="not_in", value=["Qingdao"])),
    Try("Predicate.value", asks(), asks(value="Jinan")),
    Try("Predicate.because", asks(), asks(because="so it says"), told),
    Try("Spend.base", spend(), spend(base="paid")),
    Try("Spend.require", spend(), spend(require=[{"fact": "line.service", "op": "eq",
                                                  "value": "storage"}])),
    Try("Spend.min_total_fen", spend(), spend(min_total_fen=101 * WAN)),
    Try("Spend.redeem_require", spend(redeem_require=PROOF), spend(redeem_require=NO_PROOF),
        redeemed),
    Try("Tier.id", in_list("tiers", TIER), in_list("tiers", TIER, id="other")),
    Try("Tier.when", in_list("tiers", TIER), in_list("tiers", TIER, when=JINAN)),
    Try("Tier.ratio", in_list("tiers", TIER), in_list("tiers", TIER, ratio=HALF)),
    Try("Tier.cap_fen", in_list("tiers", TIER), in_list("tiers", TIER, cap_fen=7)),
    Try("Tier.max_months", in_list("tiers", TIER), in_list("tiers", TIER, max_months=12)),
    Try("Ratio.num", in_list("tiers", TIER), in_list("tiers", TIER, ratio={"num": 2, "den": 5})),
    Try("Ratio.den", in_list("tiers", TIER), in_list("tiers", TIER, ratio={"num": 1, "den": 4})),
    Try("Ratio.at_most", in_list("tiers", TIER),
        in_list("tiers", TIER, ratio={"num": 1, "den": 5, "at_most": True}), told),
    Try("Cap.id", in_list("caps", CAP), in_list("caps", CAP, id="other")),
    Try("Cap.scope", in_list("caps", CAP), in_list("caps", CAP, scope="group"), second_award),
    Try("Cap.period", in_list("caps", CAP), in_list("caps", CAP, period="month"), second_award),
    Try("Cap.amount_fen", in_list("caps", CAP), in_list("caps", CAP, amount_fen=7)),
    Try("Cap.counts", in_list("caps", CAP, amount_fen=WAN),
        in_list("caps", CAP, amount_fen=WAN, counts="redeemed")),
    Try("Cap.when", in_list("caps", CAP), in_list("caps", CAP, when=JINAN)),
    Try("Cap.unless", in_list("caps", CAP), in_list("caps", CAP, unless=QINGDAO)),
    Try("Funder.id", in_list("funders", CITY), in_list("funders", CITY, id="x"), funded),
    Try("Funder.name", in_list("funders", CITY), in_list("funders", CITY, name="Other"), funded),
    Try("Funder.share", {"funders": [{**CITY, "share": HALF},
                                     {**CITY, "id": "d", "share": HALF}]},
        {"funders": [{**CITY, "share": {"num": 1, "den": 4}},
                     {**CITY, "id": "d", "share": {"num": 3, "den": 4}}]}, funded),
    Try("Funder.when", in_list("funders", CITY), in_list("funders", CITY, when=JINAN), funded),
    Try("Shortage.rule", short(), {**SHORT, "shortage": {"rule": "prorata"}}, round_of_three),
    Try("Shortage.last", short(), short(last="refuse"), round_of_three),
    Try("Shortage.rank_by", short(rule="ranked", rank_by="applicant.score"),
        short(rule="ranked", rank_by="applicant.scale_p_fp16"), round_of_three),
    Try("Shortage.priority", short(), short(priority=[{"fact": "applicant.score", "op": "ge",
                                                       "value": 3}]), round_of_three),
    Try("Validity.days_from_issue", {}, {"validity": {"days_from_issue": 5}}, ends),
    Try("Validity.hard_end", {}, {"validity": {"hard_end": date(2025, 7, 1)}}, ends),
    Try("Validity.redeem_within_days", {}, {"validity": {"redeem_within_days": 60}}, redeemed),
    Try("Validity.grace_days_running_jobs", {}, {"validity": {"grace_days_running_jobs": 3}},
        ends),
    Try("Validity.unused", {"validity": {"unused": "lapse"}}, {"validity": {"unused": "pool"}},
        is_reusing),
    Try("Validity.frees", {**benefit(mode="deduct"), "validity": {"unused": "pool"}},
        {**benefit(mode="deduct"), "validity": {"unused": "pool", "frees": "all"}}, given_back),
    Try("Stacking.exclusive_with", {}, {"stacking": {"exclusive_with": ["other"]}}, excluded),
    Try("Stacking.once_per", {"stacking": {"once_per": "contract"}},
        {"stacking": {"once_per": "invoice"}}, again),
    Try("Stage.id", in_list("workflow", STAGE), in_list("workflow", STAGE, id="x"), reviewed),
    Try("Stage.name", in_list("workflow", STAGE), in_list("workflow", STAGE, name="x"), told),
    Try("Stage.role", in_list("workflow", STAGE), in_list("workflow", STAGE, role="applicant"),
        reviewed),
    Try("Stage.publicity_days", {"workflow": [STAGE, {**STAGE, "id": "p", "publicity_days": 5}]},
        {"workflow": [STAGE, {**STAGE, "id": "p", "publicity_days": 7}]}, reviewed),
    Try("Stage.review_days", in_list("workflow", STAGE), in_list("workflow", STAGE, review_days=3),
        reviewed),
    Try("Stage.not_same_as", {"workflow": [STAGE, {**STAGE, "id": "p"}]},
        {"workflow": [STAGE, {**STAGE, "id": "p", "not_same_as": ["city"]}]}, reviewed),
    Try("Trigger.id", in_list("clawback", FRAUD), in_list("clawback", FRAUD, id="x"), taken_back),
    Try("Trigger.event", in_list("clawback", FRAUD), in_list("clawback", FRAUD, event="x"), told),
    Try("Trigger.take", in_list("clawback", FRAUD), in_list("clawback", FRAUD, take="prorata"),
        taken_back),
    Try("Trigger.ban_years", in_list("clawback", FRAUD), in_list("clawback", FRAUD, ban_years=3),
        taken_back),
    Try("Trigger.frees", in_list("clawback", FRAUD), in_list("clawback", FRAUD, frees="all"),
        given_back),
    Try("Source.where", {"sources": {"p": PAGE}}, {"sources": {"p": {**PAGE, "where": "x"}}},
        told),
    Try("Source.kind", {"sources": {"p": PAGE}}, {"sources": {"p": {**PAGE, "kind": "secondary"}}},
        told),
    Try("Mark.mark", marked({"mark": "decided"}), marked({**ASSUMED}), told),
    Try("Mark.note", marked(ASSUMED), marked({**ASSUMED, "note": "x"}), told),
]  # fmt: skip

REFUSED: Final = {
    "Policy.schema": {"schema": "voucher_policy/v2"},
    "Policy.currency": {"currency": "USD"},
    "Mark.source": marked({"mark": "read", "source": "nowhere"}),
}
"""Keys of which another value is refused, and such a value."""


def models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for info in annotation.model_fields.values():
            yield from models(info.annotation)
    for part in typing.get_args(annotation):
        yield from models(part)


def test_every_key_of_the_schema_is_tried() -> None:
    keys = {
        f"{model.__name__}.{info.alias or name}"
        for model in models(Policy)
        for name, info in model.model_fields.items()
    }
    assert {one.key for one in TRIES} | set(REFUSED) | {"Stage.evidence"} == keys


@pytest.mark.parametrize("attempt", [pytest.param(one, id=one.key) for one in TRIES])
def test_another_value_makes_a_difference(attempt: Try) -> None:
    one, other = read(attempt.one), read(attempt.other)
    assert attempt.probe(one) != attempt.probe(other)
    assert digest(one) != digest(other)


def test_only_what_describes_is_content_with_being_told() -> None:
    assert {one.key for one in TRIES if one.probe is told} == DESCRIBES


def test_evidence_is_asked_for(sqlite_engine: Engine, clock: VirtualClock, ids: SeededIds) -> None:
    with DirectWriter(sqlite_engine, clock).turn() as turn:
        office = Office(turn, clock, ids)
        for version, evidence in ((1, []), (2, ["声明"])):
            stage = {"id": "file", "name": "申报", "role": "applicant", "evidence": evidence}
            office.adopt(version=version, workflow=[stage])
            draft = a_draft(f"r{version}", a_spend(invoice_no=f"I{version}"))
            record, _ = service.create(office.firm(), "haiyun", draft, office.ids)
            if evidence:
                with pytest.raises(BadInput, match="声明"):
                    service.submit(office.firm(), record.id)
            else:
                assert service.submit(office.firm(), record.id).state is State.GRANTED


@pytest.mark.parametrize("key", sorted(REFUSED))
def test_another_value_is_refused(key: str) -> None:
    with pytest.raises(BadInput):
        read(REFUSED[key])
