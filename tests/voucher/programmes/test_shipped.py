"""Every shipped policy against awards worked out by hand; 万 is 10,000 yuan."""

from datetime import date

import pytest
from programme_builders import WAN, a_line, an_application

from suanwang.errors import BadInput
from voucher.programmes.application import Application
from voucher.programmes.award import Award, assess
from voucher.programmes.facts import FactValue
from voucher.programmes.files import shipped, shipped_ids
from voucher.programmes.programme import Programme
from voucher.programmes.rounds import decide
from voucher.programmes.sentences import Code
from voucher.programmes.share import split
from voucher.programmes.usage import Usage
from voucher.programmes.values import fill, gaps, mark_of

Facts = dict[str, FactValue]

QINGDAO: Facts = {
    "region": "Qingdao", "is_compute_user": True, "is_dishonest": False,
    "breaches_green_threshold": False,
}  # fmt: skip
BEIJING: Facts = {
    "is_legal_person": True, "region": "Beijing", "industry": "software_it",
    "is_high_tech_direction": True, "has_bad_credit_3y": False,
}  # fmt: skip
BEIJING_LINE: Facts = {
    "service": "intelligent_compute", "contract_date": date(2024, 3, 1), "contract_months": 12,
    "is_related_party": False, "has_other_subsidy": False, "contract_no": "HT-1",
}  # fmt: skip
SHANGHAI_LINE: Facts = {"service": "intelligent_compute", "contract_no": "HT-1"}
SHENZHEN_LINE: Facts = {**SHANGHAI_LINE, "purpose": "large_model_training"}
CHENGDU_LINE: Facts = {"provider": "chengdu-ai-centre"}
GUIZHOU_LINE: Facts = {"is_on_platform": True, "service": "intelligent_compute"}
YANGZHOU_LINE: Facts = {**SHANGHAI_LINE, "is_on_platform": True, "is_related_party": False}
LANGFANG_LINE: Facts = {"service": "storage", "provider_region": "Langfang"}

# (policy, day, facts of the applicant, lines, award in fen)
CASES = [
    # 600万 x 1/5 = 120万, above 100万.
    pytest.param("qingdao-2024-enterprise", "2025-05-01", QINGDAO,
                 [{"paid_fen": 600 * WAN, "paid_on": date(2024, 6, 1), "invoice_no": "1"}],
                 100 * WAN, id="Qingdao 2024: cut to the cap"),
    # 123,456.78 + 100,000.03: 24,691.356 -> 24,691.35 and 20,000.006 -> 20,000.00.
    pytest.param("qingdao-2024-enterprise", "2025-05-01", QINGDAO,
                 [{"paid_fen": 12_345_678, "paid_on": date(2024, 1, 1), "invoice_no": "1"},
                  {"paid_fen": 10_000_003, "paid_on": date(2024, 12, 31), "invoice_no": "2"}],
                 2_469_135 + 2_000_000, id="Qingdao 2024: each line rounds down"),
    # 99,999.99 is below 10万.
    pytest.param("qingdao-2024-enterprise", "2025-05-01", QINGDAO,
                 [{"paid_fen": 9_999_999, "paid_on": date(2024, 6, 1), "invoice_no": "1"}],
                 0, id="Qingdao 2024: one fen below the minimum"),
    # The invoice paid in 2023 does not count: 20万 x 1/5.
    pytest.param("qingdao-2024-enterprise", "2025-05-01", QINGDAO,
                 [{"paid_fen": 20 * WAN, "paid_on": date(2024, 6, 1), "invoice_no": "1"},
                  {"paid_fen": 90 * WAN, "paid_on": date(2023, 12, 31), "invoice_no": "2"}],
                 4 * WAN, id="Qingdao 2024: another year's payment is left out"),
    # 30万 x 1/5.
    pytest.param("qingdao-2026-list", "2026-06-01", {"region": "Qingdao"},
                 [{"paid_fen": 30 * WAN, "invoice_no": "1"}], 6 * WAN, id="Qingdao 2026"),
    # 1200万 x 1/5 = 240万, above 200万.
    pytest.param("beijing-2023", "2024-04-01", BEIJING,
                 [{**BEIJING_LINE, "contract_fen": 1200 * WAN}], 200 * WAN, id="Beijing: cap"),
    # The storage line is split off: 300万 x 1/5.
    pytest.param("beijing-2023", "2024-04-01", BEIJING,
                 [{**BEIJING_LINE, "contract_fen": 300 * WAN},
                  {**BEIJING_LINE, "contract_fen": 100 * WAN, "service": "storage"}],
                 60 * WAN, id="Beijing: storage does not count"),
    pytest.param("beijing-2023", "2024-04-01", BEIJING,
                 [{**BEIJING_LINE, "contract_fen": 300 * WAN, "is_related_party": True}],
                 0, id="Beijing: related party"),
    # 8000万 x 3/10 = 2400万, above 2000万.
    pytest.param("beijing-etown-2026-compute", "2026-09-01", {"region": "Beijing E-Town"},
                 [{**SHANGHAI_LINE, "contract_fen": 8000 * WAN}], 2000 * WAN, id="E-Town compute"),
    # 777.77 x 1/2 = 388.885 -> 388.88.
    pytest.param("beijing-etown-2026-token", "2026-09-01", {"region": "Beijing E-Town"},
                 [{"service": "tokens", "rated_fen": 77_777, "contract_no": "HT-1"}],
                 38_888, id="E-Town tokens: rounded down"),
    # 1000万 x 1/2 = 500万.
    pytest.param("shenzhen-2024-training", "2025-01-01",
                 {"region": "Shenzhen", "kind": "university", "is_startup": False},
                 [{**SHENZHEN_LINE, "contract_fen": 1000 * WAN}], 500 * WAN, id="Shenzhen: common"),
    # 1000万 x 3/5 = 600万.
    pytest.param("shenzhen-2024-training", "2025-01-01",
                 {"region": "Shenzhen", "kind": "enterprise", "is_startup": True},
                 [{**SHENZHEN_LINE, "contract_fen": 1000 * WAN}], 600 * WAN,
                 id="Shenzhen: start-up"),
    # 1200万 x 3/10 = 360万, above 300万.
    pytest.param("chengdu-2022", "2022-06-01",
                 {"kind": "institute", "is_project_leader": True, "project_class": "larger"},
                 [{**CHENGDU_LINE, "rated_fen": 1200 * WAN}], 300 * WAN, id="Chengdu 2022: larger"),
    # 1200万 x 3/10 = 360万, above 150万.
    pytest.param("chengdu-2022", "2022-06-01",
                 {"kind": "maker", "is_project_leader": True, "project_class": "smaller"},
                 [{**CHENGDU_LINE, "rated_fen": 1200 * WAN}], 150 * WAN,
                 id="Chengdu 2022: smaller"),
    # 100万 x 3/5 = 60万.
    pytest.param("chengdu-2025", "2025-10-01", {"side": "demander"},
                 [{"provider_class": "listed", "rated_fen": 100 * WAN}], 60 * WAN,
                 id="Chengdu 2025"),
    # 100万 x 3/10 + 100万 x 1/5 = 50万.
    pytest.param("hangzhou-2024", "2024-06-01",
                 {"region": "Hangzhou", "kind": "enterprise", "is_filed_multimodal_maker": False},
                 [{"provider_class": "listed_centre", "contract_no": "HT-1", "is_domestic": True,
                   "contract_fen": 100 * WAN},
                  {"provider_class": "listed_centre", "contract_no": "HT-2", "is_domestic": False,
                   "contract_fen": 100 * WAN}], 50 * WAN, id="Hangzhou: domestic and other"),
    # 5000万 x 3/10 = 1500万, above 800万.
    pytest.param("hangzhou-2024", "2024-06-01",
                 {"region": "Hangzhou", "kind": "enterprise", "is_filed_multimodal_maker": False},
                 [{"provider_class": "matched_partner", "is_filed_maas": True,
                   "contract_no": "HT-1", "contract_fen": 5000 * WAN}], 800 * WAN,
                 id="Hangzhou: cap"),
    # 777,777.00 x 1/5 = 155,555.40.
    pytest.param("henan-2025", "2025-09-01", {"province": "Henan", "kind": "enterprise"},
                 [{"provider_class": "dc_1000_racks", "paid_fen": 77_777_700}],
                 15_555_540, id="Henan"),
    # 700万 x 1/5 = 140万, above 100万.
    pytest.param("zhengzhou-2024", "2024-09-01", {"region": "Zhengzhou", "is_compute_user": True},
                 [{"is_self_use": False, "contract_no": "HT-1", "contract_fen": 700 * WAN}],
                 100 * WAN, id="Zhengzhou: cap"),
    pytest.param("zhengzhou-2024", "2024-09-01", {"region": "Zhengzhou", "is_compute_user": True},
                 [{"is_self_use": True, "contract_no": "HT-1", "contract_fen": 700 * WAN}],
                 0, id="Zhengzhou: self-built for own use"),
    # 100万 x 1/5 = 20万.
    pytest.param("zhengzhou-2024", "2024-09-01", {"region": "Zhengzhou", "is_compute_user": True},
                 [{"is_self_use": False, "contract_no": "HT-1", "contract_fen": 100 * WAN}],
                 20 * WAN, id="Zhengzhou"),
    # 600万 x 1/5 = 120万, above 100万.
    pytest.param("qingdao-2026-list", "2026-06-01", {"region": "Qingdao"},
                 [{"paid_fen": 600 * WAN, "invoice_no": "1"}], 100 * WAN, id="Qingdao 2026: cap"),
    pytest.param("qingdao-2026-list", "2026-06-01", {"region": "Jinan"},
                 [{"paid_fen": 600 * WAN, "invoice_no": "1"}], 0, id="Qingdao 2026: another city"),
    # 123.45 x 3/10 = 37.035 -> 37.03.
    pytest.param("beijing-etown-2026-compute", "2026-09-01", {"region": "Beijing E-Town"},
                 [{**SHANGHAI_LINE, "contract_fen": 12_345}], 3_703,
                 id="E-Town compute: rounded down"),
    pytest.param("beijing-etown-2026-compute", "2026-09-01", {"region": "Beijing"},
                 [{**SHANGHAI_LINE, "contract_fen": 12_345}], 0,
                 id="E-Town compute: outside the zone"),
    # 1200万 x 1/2 = 600万, above 500万.
    pytest.param("beijing-etown-2026-token", "2026-09-01", {"region": "Beijing E-Town"},
                 [{"service": "tokens", "rated_fen": 1200 * WAN, "contract_no": "HT-1"}],
                 500 * WAN, id="E-Town tokens: cap"),
    pytest.param("beijing-etown-2026-token", "2026-09-01", {"region": "Beijing E-Town"},
                 [{**SHANGHAI_LINE, "rated_fen": 1200 * WAN}], 0,
                 id="E-Town tokens: compute is another voucher"),
    # 3000万 x 1/2 = 1500万, above 1000万.
    pytest.param("shenzhen-2024-training", "2025-01-01",
                 {"region": "Shenzhen", "kind": "institute", "is_startup": False},
                 [{**SHENZHEN_LINE, "contract_fen": 3000 * WAN}], 1000 * WAN, id="Shenzhen: cap"),
    pytest.param("shenzhen-2024-training", "2025-01-01",
                 {"region": "Shenzhen", "kind": "enterprise", "is_startup": True},
                 [{**SHANGHAI_LINE, "purpose": "inference", "contract_fen": 1000 * WAN}], 0,
                 id="Shenzhen: no training"),
    pytest.param("chengdu-2022", "2022-06-01",
                 {"kind": "institute", "is_project_leader": True, "project_class": "larger"},
                 [{"provider": "somebody-else", "rated_fen": 1200 * WAN}], 0,
                 id="Chengdu 2022: another centre"),
    # 1000万 x 3/5 = 600万, above 500万.
    pytest.param("chengdu-2025", "2025-10-01", {"side": "demander"},
                 [{"provider_class": "listed", "rated_fen": 1000 * WAN}], 500 * WAN,
                 id="Chengdu 2025: cap"),
    pytest.param("chengdu-2025", "2025-10-01", {"side": "provider"},
                 [{"provider_class": "listed", "rated_fen": 100 * WAN}], 0,
                 id="Chengdu 2025: who sells"),
    pytest.param("hangzhou-2024", "2024-06-01",
                 {"region": "Hangzhou", "kind": "enterprise", "is_filed_multimodal_maker": False},
                 [{"provider_class": "listed", "contract_no": "HT-1", "is_domestic": True,
                   "contract_fen": 100 * WAN}], 0, id="Hangzhou: a centre that is not listed"),
    # 700万 x 1/5 = 140万, above 100万.
    pytest.param("henan-2025", "2025-09-01", {"province": "Henan", "kind": "university"},
                 [{"provider_class": "ai_centre_100p", "paid_fen": 700 * WAN}], 100 * WAN,
                 id="Henan: cap"),
    pytest.param("henan-2025", "2025-09-01", {"province": "Shandong", "kind": "enterprise"},
                 [{"provider_class": "dc_1000_racks", "paid_fen": 700 * WAN}], 0,
                 id="Henan: another province"),
]  # fmt: skip

# (policy, day, facts, line, the empty value that stops it, values filled in, award then)
STOPPED = [
    # 100万 x 1/2 = 50万.
    pytest.param("qingdao-ai-park-operator-2024", "2024-06-01",
                 {"is_park_operator": True, "side": "provider"},
                 {"customer_region": "Qingdao", "is_discounted": True, "contract_no": "HT-1",
                  "contract_fen": 100 * WAN}, "caps.operator.amount_fen",
                 {"caps.operator.amount_yuan": "800000", "caps.operator.period": "year"}, 50 * WAN,
                 id="Qingdao AI park: cap"),
    # 24 months for 240万: the first 12 are 120万, paid whole.
    pytest.param("shanghai-2025", "2025-08-01", {"region": "Shanghai", "has_district_share": True},
                 {**SHANGHAI_LINE, "contract_fen": 240 * WAN, "contract_months": 24},
                 "caps.enterprise.amount_fen", {"caps.enterprise.amount_yuan": "10,000,000"},
                 120 * WAN, id="Shanghai: cap; the whole rent of the first year"),
    # 100万 x 3/10 = 30万.
    pytest.param("shanghai-2025", "2025-08-01", {"region": "Shanghai", "has_district_share": False},
                 {**SHANGHAI_LINE, "contract_fen": 100 * WAN}, "caps.enterprise.amount_fen",
                 {"caps.enterprise.amount_fen": 500 * WAN}, 30 * WAN, id="Shanghai: city alone"),
    # 100万 x 1/10 = 10万.
    pytest.param("chengdu-2022", "2022-06-01",
                 {"kind": "maker", "is_project_leader": False, "project_class": "none"},
                 {**CHENGDU_LINE, "rated_fen": 100 * WAN}, "tiers.common.ratio",
                 {"tiers.common.ratio": "1/10", "caps.others.amount_fen": 20 * WAN}, 10 * WAN,
                 id="Chengdu 2022: ratio of others"),
    # 9000万 x 3/10 = 2700万, above the 2000万 filled in.
    pytest.param("hangzhou-2024", "2024-06-01",
                 {"region": "Hangzhou", "kind": "enterprise", "is_filed_multimodal_maker": True},
                 {"provider_class": "listed_centre", "contract_no": "HT-1", "is_domestic": True,
                  "contract_fen": 9000 * WAN}, "caps.model-maker.amount_fen",
                 {"caps.model-maker.amount_fen": 2000 * WAN}, 2000 * WAN,
                 id="Hangzhou: relaxed cap"),
    # 50万 x 3/10 = 15万, from another province.
    pytest.param("guizhou-2023", "2024-02-29", {"kind": "institute", "province": "Shandong"},
                 {**GUIZHOU_LINE, "rated_fen": 50 * WAN}, "tiers.all.ratio",
                 {"tiers.all.ratio": "3/10", "caps.applicant.amount_fen": 100 * WAN}, 15 * WAN,
                 id="Guizhou: ratio"),
    # 10万 x 1/3 = 33,333.333 -> 33,333.33.
    pytest.param("yangzhou-2024", "2024-09-01", {"region": "Yangzhou", "kind": "institute"},
                 {**YANGZHOU_LINE, "paid_fen": 10 * WAN}, "tiers.all.ratio",
                 {"tiers.all.ratio": "1/3", "caps.applicant.amount_fen": 100 * WAN}, 3_333_333,
                 id="Yangzhou: ratio"),
    # 10万 of storage x 3/10 = 3万.
    pytest.param("langfang-2023", "2023-09-01", {"kind": "maker"},
                 {**LANGFANG_LINE, "rated_fen": 10 * WAN}, "tiers.all.ratio",
                 {"tiers.all.ratio": "3/10", "caps.applicant.amount_fen": 100 * WAN}, 3 * WAN,
                 id="Langfang: ratio; storage counts"),
    # 100万 x 1/10 = 10万.
    pytest.param("qingyang-2024", "2024-09-01", {"side": "provider", "scale_p_fp16": 2500},
                 {"contract_no": "HT-1", "contract_fen": 100 * WAN}, "tiers.target.ratio",
                 {"tiers.target.ratio": "1/10"}, 10 * WAN, id="Qingyang: ratio"),
]  # fmt: skip

OPERATOR_LINE: Facts = {
    "customer_region": "Qingdao", "is_discounted": True, "contract_no": "HT-1",
}  # fmt: skip
OPERATOR_FILLED = {"caps.operator.amount_yuan": "800000", "caps.operator.period": "year"}
RATIO_FILLED = {"tiers.all.ratio": "3/10", "caps.applicant.amount_fen": 100 * WAN}

# (policy, day, facts, line, values filled in, award)
FILLED = [
    # 200万 x 1/2 = 100万, above the 80万 filled in.
    pytest.param("qingdao-ai-park-operator-2024", "2024-06-01",
                 {"is_park_operator": True, "side": "provider"},
                 {**OPERATOR_LINE, "contract_fen": 200 * WAN}, OPERATOR_FILLED, 80 * WAN,
                 id="Qingdao AI park: cut to the cap"),
    pytest.param("qingdao-ai-park-operator-2024", "2024-06-01",
                 {"is_park_operator": True, "side": "demander"},
                 {**OPERATOR_LINE, "contract_fen": 200 * WAN}, OPERATOR_FILLED, 0,
                 id="Qingdao AI park: who buys"),
    # The whole rent of 12 months, 3000万, above the 1000万 filled in.
    pytest.param("shanghai-2025", "2025-08-01", {"region": "Shanghai", "has_district_share": True},
                 {**SHANGHAI_LINE, "contract_fen": 3000 * WAN, "contract_months": 12},
                 {"caps.enterprise.amount_yuan": "10,000,000"}, 1000 * WAN,
                 id="Shanghai: cut to the cap"),
    pytest.param("shanghai-2025", "2025-08-01", {"region": "Suzhou", "has_district_share": False},
                 {**SHANGHAI_LINE, "contract_fen": 3000 * WAN},
                 {"caps.enterprise.amount_yuan": "10,000,000"}, 0, id="Shanghai: another city"),
    # 500万 x 3/10 = 150万, above the 100万 filled in.
    pytest.param("guizhou-2023", "2024-02-29", {"kind": "university"},
                 {**GUIZHOU_LINE, "rated_fen": 500 * WAN}, RATIO_FILLED, 100 * WAN,
                 id="Guizhou: cut to the cap"),
    pytest.param("guizhou-2023", "2024-02-29", {"kind": "university"},
                 {**GUIZHOU_LINE, "is_on_platform": False, "rated_fen": 500 * WAN}, RATIO_FILLED,
                 0, id="Guizhou: not on the platform"),
    # 1000万 x 3/10 = 300万, above the 100万 filled in.
    pytest.param("yangzhou-2024", "2024-09-01", {"region": "Yangzhou", "kind": "institute"},
                 {**YANGZHOU_LINE, "paid_fen": 1000 * WAN}, RATIO_FILLED, 100 * WAN,
                 id="Yangzhou: cut to the cap"),
    pytest.param("yangzhou-2024", "2024-09-01", {"region": "Yangzhou", "kind": "institute"},
                 {**YANGZHOU_LINE, "is_related_party": True, "paid_fen": 1000 * WAN},
                 RATIO_FILLED, 0, id="Yangzhou: related party"),
    # 1000万 x 3/10 = 300万, above the 100万 filled in.
    pytest.param("langfang-2023", "2023-09-01", {"kind": "maker"},
                 {**LANGFANG_LINE, "rated_fen": 1000 * WAN}, RATIO_FILLED, 100 * WAN,
                 id="Langfang: cut to the cap"),
    pytest.param("langfang-2023", "2023-09-01", {"kind": "maker"},
                 {**LANGFANG_LINE, "provider_region": "Beijing", "rated_fen": 10 * WAN},
                 RATIO_FILLED, 0, id="Langfang: a provider elsewhere"),
    # 100万 x 1/10 = 10万, above the pool of 4万 filled in.
    pytest.param("qingyang-2024", "2024-09-01", {"side": "demander", "scale_p_fp16": 5000},
                 {"contract_no": "HT-1", "contract_fen": 100 * WAN},
                 {"tiers.target.ratio": "1/10", "caps.pool.amount_fen": 4 * WAN,
                  "shortage.rule": "prorata"}, 4 * WAN, id="Qingyang: cut to the pool"),
    pytest.param("qingyang-2024", "2024-09-01", {"side": "provider", "scale_p_fp16": 2499},
                 {"contract_no": "HT-1", "contract_fen": 100 * WAN},
                 {"tiers.target.ratio": "1/10"}, 0, id="Qingyang: too small"),
]  # fmt: skip


def application_of(day: str, facts: Facts, lines: list[Facts]) -> Application:
    made = [a_line(f"l{number}", **line) for number, line in enumerate(lines, start=1)]
    return an_application("a1", *made, at=f"{day}T09:00:00+08:00", facts=facts)


def award_of(programme: Programme, application: Application) -> Award:
    return assess(programme, application, Usage())


@pytest.mark.parametrize(("policy_id", "day", "facts", "lines", "fen"), CASES)
def test_awards_worked_out_by_hand(
    policy_id: str, day: str, facts: Facts, lines: list[Facts], fen: int
) -> None:
    award = award_of(Programme.of(shipped(policy_id)), application_of(day, facts, lines))
    assert award.amount_fen == fen
    assert sum(line.amount_fen for line in award.lines) == fen
    assert bool(award.reasons) or fen > 0


@pytest.mark.parametrize(("policy_id", "day", "facts", "line", "path", "filled", "fen"), STOPPED)
def test_an_unread_value_is_refused_until_it_is_filled_in(
    policy_id: str, day: str, facts: Facts, line: Facts, path: str,
    filled: dict[str, object], fen: int,
) -> None:  # fmt: skip
    application = application_of(day, facts, [line])
    policy = shipped(policy_id)
    refused = award_of(Programme.of(policy), application)
    assert refused.amount_fen == 0
    reason = next(one for one in refused.reasons if one.path == path)
    assert reason.code is Code.VALUE_NOT_SEEN
    assert reason.message == (
        f"{path} of {policy_id} was not seen in any source: fill it in a version of your own"
    )
    own = fill(policy, filled, version=2)
    award = award_of(Programme.of(own), application)
    assert (award.amount_fen, award.version) == (fen, 2)
    assert award.digest != refused.digest


def filled_award(
    policy_id: str, day: str, facts: Facts, line: Facts, filled: dict[str, object]
) -> Award:
    """Return the award under a filled version; the pool is looked at where its amount is known."""
    programme = Programme.of(fill(shipped(policy_id), filled, version=2))
    application = application_of(day, facts, [line])
    if "caps.pool.amount_fen" not in filled:
        return award_of(programme, application)
    return decide(programme, [application]).awards[0]


@pytest.mark.parametrize(("policy_id", "day", "facts", "line", "filled", "fen"), FILLED)
def test_awards_under_filled_versions_worked_out_by_hand(
    policy_id: str, day: str, facts: Facts, line: Facts, filled: dict[str, object], fen: int
) -> None:
    award = filled_award(policy_id, day, facts, line, filled)
    assert award.amount_fen == fen
    assert award.cuts if fen else award.reasons
    assert not any(one.code is Code.VALUE_NOT_SEEN for one in award.reasons)


@pytest.mark.parametrize("policy_id", shipped_ids())
def test_every_policy_has_three_awards_by_hand_a_refusal_and_a_cut_among_them(
    policy_id: str,
) -> None:
    plain = [case.values[1:] for case in CASES if case.values[0] == policy_id]
    filled = [case.values for case in FILLED if case.values[0] == policy_id]
    stopped = [case for case in STOPPED if case.values[0] == policy_id]
    programme = Programme.of(shipped(policy_id))
    awards = [award_of(programme, application_of(*case[:3])) for case in plain]  # type: ignore[arg-type]
    awards += [filled_award(*case[:5]) for case in filled]  # type: ignore[arg-type]
    assert len(awards) + len(stopped) >= 3
    assert any(award.is_refused for award in awards)
    assert any(award.cuts for award in awards)


@pytest.mark.parametrize("policy_id", shipped_ids())
def test_every_value_says_where_it_is_from(policy_id: str) -> None:
    policy = shipped(policy_id)
    assert policy.id == policy_id
    assert policy.sources
    for path in gaps(policy):
        mark = mark_of(policy, path)
        assert mark is not None
        assert mark.mark == "not_seen"


def test_only_empty_values_may_be_filled() -> None:
    with pytest.raises(BadInput, match=r"tiers\.all\.ratio of henan-2025 is not an empty value"):
        fill(shipped("henan-2025"), {"tiers.all.ratio": "1/2"})


def test_henan_is_paid_by_province_and_city_one_to_one() -> None:
    programme = Programme.of(shipped("henan-2025"))
    application = application_of("2025-09-01", {"province": "Henan", "kind": "enterprise"}, [])
    # 155,555.40 = 77,777.70 + 77,777.70; of an odd fen the first takes one more.
    assert amounts(programme, application, 15_555_540) == [7_777_770, 7_777_770]
    assert amounts(programme, application, 3) == [2, 1]


def test_shanghai_is_paid_by_the_city_alone_or_with_the_district() -> None:
    programme = Programme.of(shipped("shanghai-2025"))
    alone = application_of("2025-08-01", {"has_district_share": False}, [])
    joined = application_of("2025-08-01", {"has_district_share": True}, [])
    assert amounts(programme, alone, 101) == [101]
    assert amounts(programme, joined, 101) == [31, 70]  # 30.3 -> 30 + 1 left over; 70.7 -> 70


def amounts(programme: Programme, application: Application, fen: int) -> list[int]:
    return [share.amount_fen for share in split(programme, application, fen).shares]


def test_funders_that_nobody_could_read_are_refused() -> None:
    programme = Programme.of(shipped("beijing-2023"))
    funding = split(programme, application_of("2024-04-01", BEIJING, []), 100)
    assert [one.code for one in funding.findings] == [Code.VALUE_NOT_SEEN]
