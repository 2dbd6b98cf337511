"""The facts that predicates may ask about: their names, kinds and meanings.

A closed list catches a misspelt fact when the policy is read, not when an enterprise is refused.
A policy that needs more declares them under ``facts``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import Final

FactValue = bool | int | str | date
Facts = Mapping[str, FactValue]
"""Fact values by full name; a fact that is not there is unknown."""


class FactKind(StrEnum):
    """What a fact's value is."""

    TEXT = "text"
    FLAG = "flag"
    FEN = "fen"
    COUNT = "count"
    DATE = "date"


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact: the kind of its value, and its meaning."""

    kind: FactKind
    meaning: str

    def accepts(self, value: object) -> bool:
        """Say whether ``value`` is of this fact's kind."""
        match self.kind:
            case FactKind.FLAG:
                return isinstance(value, bool)
            case FactKind.TEXT:
                return isinstance(value, str)
            case FactKind.DATE:
                return type(value) is date
            case FactKind.FEN | FactKind.COUNT:
                return isinstance(value, int) and not isinstance(value, bool)


APPLICANT: Final = "applicant."
LINE: Final = "line."

_TEXT, _FLAG, _FEN, _COUNT, _DATE = (
    FactKind.TEXT, FactKind.FLAG, FactKind.FEN, FactKind.COUNT, FactKind.DATE,
)  # fmt: skip

FACTS: Final[Mapping[str, Fact]] = MappingProxyType(
    {
        "applicant.kind": Fact(
            _TEXT,
            "enterprise, university, institute, maker, intermediary, tech_sme, "
            "key_enterprise_613 or centre_operator",
        ),
        "applicant.side": Fact(_TEXT, "demander or provider of the compute"),
        "applicant.region": Fact(_TEXT, "city or zone of registration, such as Qingdao"),
        "applicant.province": Fact(_TEXT, "province of registration, such as Henan"),
        "applicant.district": Fact(_TEXT, "district of registration"),
        "applicant.industry": Fact(_TEXT, "software_it, manufacturing or another word"),
        "applicant.group": Fact(_TEXT, "group of related enterprises; the own id if there is none"),
        "applicant.project_class": Fact(_TEXT, "class of the project, as the review states it"),
        "applicant.score": Fact(_COUNT, "points of a ranking; more is better"),
        "applicant.scale_p_fp16": Fact(_COUNT, "compute of the project in P (FP16)"),
        "applicant.is_legal_person": Fact(_FLAG, "is a legal person"),
        "applicant.is_compute_user": Fact(_FLAG, "uses the compute itself"),
        "applicant.is_high_tech_direction": Fact(_FLAG, "works in a direction of the city's plan"),
        "applicant.is_startup": Fact(_FLAG, "counts as a start-up enterprise (初创企业)"),
        "applicant.is_early_small": Fact(_FLAG, "is early-stage and small (投早投小)"),
        "applicant.is_project_leader": Fact(_FLAG, "leads a supported project"),
        "applicant.is_filed_multimodal_maker": Fact(
            _FLAG, "makes a filed multimodal base model (备案多模态基础大模型)"
        ),
        "applicant.is_park_operator": Fact(_FLAG, "operates the compute centre of the AI park"),
        "applicant.has_bad_credit_3y": Fact(_FLAG, "has a bad credit record within three years"),
        "applicant.is_dishonest": Fact(_FLAG, "is on a list of dishonest persons (失信)"),
        "applicant.breaches_green_threshold": Fact(
            _FLAG, "breaches the green threshold (绿色门槛)"
        ),
        "applicant.has_district_share": Fact(_FLAG, "its district pays a share of the voucher"),
        "applicant.has_provincial_voucher": Fact(_FLAG, "was granted the province's voucher"),
        "line.service": Fact(
            _TEXT,
            "intelligent_compute, supercomputing, general_compute, storage, network, security, "
            "technical_support, maas, tokens or data",
        ),
        "line.purpose": Fact(_TEXT, "large_model_training or another word"),
        "line.provider": Fact(_TEXT, "id of the provider"),
        "line.provider_class": Fact(
            _TEXT,
            "listed, listed_centre, matched_partner, supercomputing_centre, ai_centre_100p or "
            "dc_1000_racks",
        ),
        "line.provider_region": Fact(_TEXT, "city in which the provider is registered"),
        "line.customer_region": Fact(_TEXT, "city in which a provider's customer is registered"),
        "line.contract_no": Fact(_TEXT, "number of the contract"),
        "line.invoice_no": Fact(_TEXT, "number of the invoice, 20 digits, as text"),
        "line.contract_date": Fact(_DATE, "day on which the contract was signed"),
        "line.contract_months": Fact(_COUNT, "term of the contract in months"),
        "line.paid_on": Fact(_DATE, "day of the payment"),
        "line.contract_fen": Fact(_FEN, "amount of the contract"),
        "line.paid_fen": Fact(_FEN, "amount actually paid"),
        "line.rated_fen": Fact(_FEN, "list price of the metered or ordered use"),
        "line.is_related_party": Fact(_FLAG, "provider and applicant are related parties"),
        "line.is_on_platform": Fact(_FLAG, "was ordered on the programme's platform"),
        "line.is_self_use": Fact(_FLAG, "was delivered by the applicant's own equipment"),
        "line.is_domestic": Fact(_FLAG, "ran on domestic accelerators (国产算力)"),
        "line.is_filed_maas": Fact(_FLAG, "is model service over a filed multimodal base model"),
        "line.is_discounted": Fact(_FLAG, "is a contract at the programme's discount"),
        "line.has_other_subsidy": Fact(_FLAG, "already gets another subsidy of the city"),
        "line.has_invoice": Fact(_FLAG, "an invoice is on file"),
        "line.has_delivery_proof": Fact(_FLAG, "a proof that the compute was delivered is on file"),
    }
)
