"""What holds for every policy and every list: drawn by Hypothesis."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from programme_builders import a_line, a_programme, an_application

from voucher.programmes.application import Application
from voucher.programmes.award import assess
from voucher.programmes.facts import FactValue
from voucher.programmes.programme import Programme
from voucher.programmes.rounds import Decision, decide
from voucher.programmes.schema import CapScope
from voucher.programmes.share import largest_remainder, split
from voucher.programmes.usage import CLAIMED, Usage, cap_key

FEN = st.integers(min_value=0, max_value=10**9)
RULES = st.sampled_from(
    [
        {"rule": "fcfs", "last": "partial"},
        {"rule": "fcfs", "last": "refuse"},
        {"rule": "prorata"},
        {"rule": "ranked", "last": "partial", "rank_by": "applicant.score"},
    ]
)


@st.composite
def ratios(draw: st.DrawFn) -> dict[str, object]:
    den = draw(st.integers(1, 1000))
    return {"num": draw(st.integers(0, den)), "den": den}


@st.composite
def policies(draw: st.DrawFn, *, with_pool: bool = True) -> Programme:
    scopes = [scope for scope in CapScope if with_pool or scope is not CapScope.POOL]
    chosen = draw(st.lists(st.sampled_from(scopes), max_size=5, unique=True))
    caps = [
        {
            "id": scope.value, "scope": scope.value, "amount_fen": draw(FEN),
            "period": draw(st.sampled_from(["life", "year", "quarter", "month"])),
        }
        for scope in chosen
    ]  # fmt: skip
    when = [{"fact": "line.is_domestic", "op": "is_true"}]
    tiers = [
        {"id": "common", "ratio": draw(ratios()), "cap_fen": draw(FEN)},
        {"id": "domestic", "ratio": draw(ratios()), "when": when},
        {"id": "months", "ratio": draw(ratios()), "max_months": draw(st.integers(1, 36))},
    ]
    spend = {"base": "contract", "require": [], "min_total_fen": draw(st.integers(0, 10**6))}
    return a_programme(caps=caps, tiers=tiers, shortage=draw(RULES), spend=spend)


@st.composite
def applications(draw: st.DrawFn, name: str = "a1") -> Application:
    lines = [
        a_line(
            f"l{number}",
            contract_fen=draw(FEN),
            contract_no=draw(st.sampled_from(["c1", "c2", f"{name}-c"])),
            contract_months=draw(st.integers(1, 60)),
            is_domestic=draw(st.booleans()),
        )
        for number in range(draw(st.integers(1, 4)))
    ]
    month, day = draw(st.integers(1, 12)), draw(st.integers(1, 28))
    facts: dict[str, FactValue] = {
        "group": draw(st.sampled_from(["g1", "g2"])),
        "score": draw(st.integers(0, 3)),
    }
    return an_application(
        name,
        *lines,
        at=f"{draw(st.sampled_from([2024, 2025]))}-{month:02d}-{day:02d}T09:00:00+08:00",
        applicant=draw(st.sampled_from(["A", "B", "C"])),
        facts=facts,
    )


@st.composite
def lists(draw: st.DrawFn) -> list[Application]:
    return [draw(applications(f"a{number}")) for number in range(draw(st.integers(1, 6)))]


@given(policies(), lists())
@settings(max_examples=200, deadline=None)
def test_awards_are_never_above_any_cap(programme: Programme, asked: list[Application]) -> None:
    decision = decide(programme, asked)
    by_id = {one.id: one for one in asked}
    used: dict[object, int] = {}
    for award in decision.awards:
        application = by_id[award.application_id]
        assert award.amount_fen == sum(line.amount_fen for line in award.lines)
        assert 0 <= award.amount_fen <= award.entitled_fen
        day = application.submitted_at.date()
        for cap in programme.policy.caps or ():
            for line in award.lines:
                key = cap_key(cap, application, day, CLAIMED, line.contract)
                used[key] = used.get(key, 0) + line.amount_fen
    limits = {cap.id: cap.amount_fen for cap in programme.policy.caps or ()}
    for key, amount in decision.usage.taken.items():
        limit = limits[key.cap_id]
        assert limit is not None
        assert used.get(key, 0) == amount <= limit


@given(policies(with_pool=False), applications(), st.data())
@settings(max_examples=200, deadline=None)
def test_more_spend_never_means_a_smaller_award(
    programme: Programme, application: Application, data: st.DataObject
) -> None:
    before = assess(programme, application, Usage())
    at = data.draw(st.integers(0, len(application.lines) - 1))
    line = application.lines[at]
    spent = line.facts["line.contract_fen"]
    assert isinstance(spent, int)
    facts = {**line.facts, "line.contract_fen": spent + data.draw(FEN)}
    lines = list(application.lines)
    lines[at] = replace(line, facts=facts)
    after = assess(programme, replace(application, lines=tuple(lines)), Usage())
    assert after.amount_fen >= before.amount_fen


@given(st.lists(FEN, min_size=1, max_size=20), st.integers(0, 10**11))
def test_largest_remainder_adds_up_and_is_within_a_fen_of_proportion(
    weights: list[int], total: int
) -> None:
    whole = sum(weights)
    total = min(total, whole)
    parts = largest_remainder(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert part <= weight
        if whole:
            assert abs(part * whole - total * weight) < whole


def amounts(decision: Decision) -> dict[str, int]:
    return {award.application_id: award.amount_fen for award in decision.awards}


@given(policies(), lists(), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_the_order_of_the_list_changes_nothing(
    programme: Programme, asked: list[Application], random: object
) -> None:
    shuffled = list(asked)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # Hypothesis hands in a random.Random
    assert amounts(decide(programme, asked)) == amounts(decide(programme, shuffled))


CLAIMS = st.lists(FEN, min_size=2, max_size=8)


def claims_on(pool_fen: int, shortage: dict[str, object]) -> Programme:
    pool = {"id": "pool", "scope": "pool", "period": "life", "amount_fen": pool_fen}
    tiers = [{"id": "all", "ratio": {"num": 1, "den": 1}}]
    return a_programme(caps=[pool], tiers=tiers, shortage=shortage)


def claimants(claims: list[int]) -> list[Application]:
    return [
        an_application(f"a{n}", a_line(contract_fen=claim), at=f"2025-05-01T09:00:0{n}+08:00")
        for n, claim in enumerate(claims)
    ]


@given(CLAIMS, FEN)
def test_first_come_serves_a_prefix_whole_and_at_most_one_in_part(
    claims: list[int], pool: int
) -> None:
    programme = claims_on(pool, {"rule": "fcfs", "last": "partial"})
    got = amounts(decide(programme, claimants(claims)))
    cut = [n for n, claim in enumerate(claims) if got[f"a{n}"] < claim]
    assert sum(got.values()) == min(pool, sum(claims))
    assert all(got[f"a{n}"] == 0 for n in cut[1:])


@given(CLAIMS, FEN)
def test_pro_rata_spends_the_pool_exactly_and_keeps_the_order_of_claims(
    claims: list[int], pool: int
) -> None:
    programme = claims_on(pool, {"rule": "prorata"})
    got = amounts(decide(programme, claimants(claims)))
    assert sum(got.values()) == min(pool, sum(claims))
    by_size = sorted(range(len(claims)), key=lambda n: claims[n])
    assert all(got[f"a{x}"] <= got[f"a{y}"] + 1 for x, y in pairwise(by_size))


@given(st.lists(st.integers(1, 50), min_size=1, max_size=5), FEN)
def test_funder_shares_add_up_to_the_fen(weights: list[int], amount: int) -> None:
    den = sum(weights)
    funders = [
        {"id": f"f{n}", "name": f"F{n}", "share": {"num": weight, "den": den}}
        for n, weight in enumerate(weights)
    ]
    shares = split(a_programme(funders=funders), an_application("a1"), amount).shares
    assert sum(share.amount_fen for share in shares) == amount
    for share, weight in zip(shares[1:], weights[1:], strict=True):
        assert share.amount_fen == amount * weight // den
