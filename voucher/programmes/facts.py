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
    """One fact: the kind of its value, its meaning, and its name in Chinese (empty: none)."""

    kind: FactKind
    meaning: str
    name_zh: str = ""

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
            "申报主体类型",
        ),
        "applicant.side": Fact(_TEXT, "demander or provider of the compute", "供需方"),
        "applicant.region": Fact(_TEXT, "city or zone of registration, such as Qingdao", "注册地"),
        "applicant.province": Fact(_TEXT, "province of registration, such as Henan", "注册省份"),
        "applicant.district": Fact(_TEXT, "district of registration", "注册区市"),
        "applicant.industry": Fact(_TEXT, "software_it, manufacturing or another word", "行业"),
        "applicant.group": Fact(
            _TEXT, "group of related enterprises; the own id if there is none", "所属集团"
        ),
        "applicant.project_class": Fact(
            _TEXT, "class of the project, as the review states it", "项目类别"
        ),
        "applicant.score": Fact(_COUNT, "points of a ranking; more is better", "评分"),
        "applicant.scale_p_fp16": Fact(
            _COUNT, "compute of the project in P (FP16)", "算力规模（P，FP16）"
        ),
        "applicant.is_legal_person": Fact(_FLAG, "is a legal person", "是否法人"),
        "applicant.is_compute_user": Fact(_FLAG, "uses the compute itself", "是否算力使用方"),
        "applicant.is_high_tech_direction": Fact(
            _FLAG, "works in a direction of the city's plan", "是否属于高精尖方向"
        ),
        "applicant.is_startup": Fact(
            _FLAG, "counts as a start-up enterprise (初创企业)", "是否初创企业"
        ),
        "applicant.is_early_small": Fact(
            _FLAG, "is early-stage and small (投早投小)", "是否早期小型企业（投早投小）"
        ),
        "applicant.is_project_leader": Fact(_FLAG, "leads a supported project", "是否项目牵头单位"),
        "applicant.is_filed_multimodal_maker": Fact(
            _FLAG,
            "makes a filed multimodal base model (备案多模态基础大模型)",
            "是否备案多模态基础大模型单位",
        ),
        "applicant.is_park_operator": Fact(
            _FLAG, "operates the compute centre of the AI park", "是否园区算力中心运营方"
        ),
        "applicant.has_bad_credit_3y": Fact(
            _FLAG, "has a bad credit record within three years", "近三年有无不良信用记录"
        ),
        "applicant.is_dishonest": Fact(
            _FLAG, "is on a list of dishonest persons (失信)", "是否失信"
        ),
        "applicant.breaches_green_threshold": Fact(
            _FLAG, "breaches the green threshold (绿色门槛)", "是否触碰绿色门槛"
        ),
        "applicant.has_district_share": Fact(
            _FLAG, "its district pays a share of the voucher", "是否有区级配套"
        ),
        "applicant.has_provincial_voucher": Fact(
            _FLAG, "was granted the province's voucher", "是否已获省级算力券"
        ),
        "line.service": Fact(
            _TEXT,
            "intelligent_compute, supercomputing, general_compute, storage, network, security, "
            "technical_support, maas, tokens or data",
            "服务类型",
        ),
        "line.purpose": Fact(_TEXT, "large_model_training or another word", "用途"),
        "line.provider": Fact(_TEXT, "id of the provider", "服务方"),
        "line.provider_class": Fact(
            _TEXT,
            "listed, listed_centre, matched_partner, supercomputing_centre, ai_centre_100p or "
            "dc_1000_racks",
            "服务方类别",
        ),
        "line.provider_region": Fact(
            _TEXT, "city in which the provider is registered", "服务方注册地"
        ),
        "line.customer_region": Fact(
            _TEXT, "city in which a provider's customer is registered", "客户注册地"
        ),
        "line.contract_no": Fact(_TEXT, "number of the contract", "合同编号"),
        "line.invoice_no": Fact(_TEXT, "number of the invoice, 20 digits, as text", "发票号码"),
        "line.contract_date": Fact(_DATE, "day on which the contract was signed", "合同日期"),
        "line.contract_months": Fact(_COUNT, "term of the contract in months", "合同月数"),
        "line.paid_on": Fact(_DATE, "day of the payment", "付款日期"),
        "line.contract_fen": Fact(_FEN, "amount of the contract", "合同金额"),
        "line.paid_fen": Fact(_FEN, "amount actually paid", "实付金额"),
        "line.rated_fen": Fact(_FEN, "list price of the metered or ordered use", "计费金额"),
        "line.is_related_party": Fact(
            _FLAG, "provider and applicant are related parties", "是否关联方"
        ),
        "line.is_on_platform": Fact(
            _FLAG, "was ordered on the programme's platform", "是否在平台下单"
        ),
        "line.is_self_use": Fact(
            _FLAG, "was delivered by the applicant's own equipment", "是否自建自用"
        ),
        "line.is_domestic": Fact(_FLAG, "ran on domestic accelerators (国产算力)", "是否国产算力"),
        "line.is_filed_maas": Fact(
            _FLAG, "is model service over a filed multimodal base model", "是否备案模型服务"
        ),
        "line.is_discounted": Fact(
            _FLAG, "is a contract at the programme's discount", "是否优惠合同"
        ),
        "line.has_other_subsidy": Fact(
            _FLAG, "already gets another subsidy of the city", "是否已获其他补贴"
        ),
        "line.has_invoice": Fact(_FLAG, "an invoice is on file", "有无发票"),
        "line.has_delivery_proof": Fact(
            _FLAG, "a proof that the compute was delivered is on file", "有无交付证明"
        ),
    }
)
