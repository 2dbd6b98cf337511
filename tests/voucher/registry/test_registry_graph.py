"""Who is related: found in both directions, over a way whose every step is a tie that is known."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voucher.registry.graph import Hop, Network, Relations, Tie, TieKind, Trait
from voucher.wording import Language

CODES = [f"org-{number}" for number in range(8)]
SHARE_MIN = 250_000
TRAITS = (TieKind.SAME_GROUP, TieKind.SAME_LEGAL_REPRESENTATIVE)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Draw a network of few organisations."""
    kinds = st.sampled_from([kind for kind in TieKind if kind not in TRAITS])
    codes = st.sampled_from(CODES)
    pairs = st.tuples(kinds, codes, codes, st.integers(1, 1_000_000)).filter(
        lambda one: one[1] != one[2]
    )
    ties = [
        Tie(kind=kind, one=one, other=other, share_ppm=share if kind is TieKind.SHARES else 0)
        for kind, one, other, share in draw(st.lists(pairs, max_size=6))
    ]
    shared = st.tuples(st.sampled_from(TRAITS), codes, st.sampled_from(["x", "y"]))
    traits = [
        Trait(kind=kind, code=code, value=value)
        for kind, code, value in draw(st.lists(shared, max_size=6))
    ]
    return Network(ties=ties, traits=traits, state_owners=draw(st.frozensets(codes, max_size=2)))


def is_known(hop: Hop, network: Network) -> bool:
    """Say whether a step is a tie of the network, or a trait that both have."""
    if hop.tie.kind in TRAITS:
        have = {one.code for one in network.traits
                if (one.kind, one.value) == (hop.tie.kind, hop.value)}  # fmt: skip
        return {hop.start, hop.end} <= have
    is_large = hop.tie.kind is not TieKind.SHARES or hop.tie.share_ppm >= SHARE_MIN
    return hop.tie in network.ties and is_large


@given(networks(), st.sampled_from(CODES), st.sampled_from(CODES))
def test_relations_read_the_same_from_both_sides(network: Network, one: str, other: str) -> None:
    relations = Relations(network, SHARE_MIN)
    there, back = relations.path(one, other), relations.path(other, one)
    assert (there is None) == (back is None)
    if there is not None and back is not None:
        assert len(there) == len(back)
    assert (other in relations.related_to(one)) == (there is not None)


@given(networks(), st.sampled_from(CODES), st.sampled_from(CODES))
def test_every_step_of_a_way_is_known_and_leads_on(network: Network, one: str, other: str) -> None:
    path = Relations(network, SHARE_MIN).path(one, other)
    if path is None:
        assert one != other
        return
    stops = [one, *(hop.end for hop in path)]
    assert stops[-1] == other
    assert [hop.start for hop in path] == stops[:-1]
    assert len(set(stops)) == len(stops)
    assert not network.state_owners & set(stops[1:-1])
    assert all(is_known(hop, network) for hop in path)


@given(networks(), st.sampled_from(CODES), st.sampled_from(CODES))
def test_a_way_is_a_shortest_one(network: Network, one: str, other: str) -> None:
    relations = Relations(network, SHARE_MIN)
    path = relations.path(one, other)
    if path is not None and len(path) > 1:
        stops = [one, *(hop.end for hop in path)]
        for number, (_, end) in enumerate(pairwise(stops), 1):
            assert len(relations.path(one, end) or ()) == number


A_WAY = Network(
    traits=[
        Trait(kind=TieKind.SAME_LEGAL_REPRESENTATIVE, code="a", value="lr-1"),
        Trait(kind=TieKind.SAME_LEGAL_REPRESENTATIVE, code="b", value="lr-1"),
    ],
    ties=[
        Tie(kind=TieKind.PARENT, one="b", other="c"),
        Tie(kind=TieKind.SHARES, one="c", other="d", share_ppm=305_000),
    ],
    names={"a": "海云", "b": "东投", "c": "东算", "d": "东部数据"},
)


def test_a_way_is_told_in_both_languages() -> None:
    relations = Relations(A_WAY, SHARE_MIN)
    path = relations.path("a", "d")
    assert path is not None
    assert relations.words(path, "a", Language.ENGLISH) == (
        "海云 – same legal representative – 东投 – parent of – 东算 – holds 30.5% of – 东部数据"
    )
    assert relations.words(path, "a", Language.CHINESE) == (
        "海云 – 法定代表人相同 – 东投 – 控股母公司 – 东算 – 持股 30.5% – 东部数据"
    )
    back = relations.path("d", "a")
    assert back is not None
    assert "held 30.5% by – 东算 – subsidiary of – 东投" in relations.words(
        back, "d", Language.ENGLISH
    )


@pytest.mark.parametrize(("share", "is_related"), [(249_999, False), (250_000, True)])
def test_a_holding_counts_from_the_stated_share_on(share: int, is_related: bool) -> None:
    tie = Tie(kind=TieKind.SHARES, one="a", other="b", share_ppm=share)
    found = Relations(Network(ties=[tie]), SHARE_MIN).path("a", "b")
    assert (found is not None) is is_related


def test_firms_that_only_the_state_owns_are_not_related() -> None:
    ties = [Tie(kind=TieKind.PARENT, one="sasac", other=code) for code in ("a", "b")]
    assert Relations(Network(ties=ties), SHARE_MIN).path("a", "b") is not None
    state = Relations(Network(ties=ties, state_owners=frozenset({"sasac"})), SHARE_MIN)
    assert state.path("a", "b") is None
    assert state.path("a", "sasac") is not None


def test_makers_of_one_sponsor_are_no_group_where_sponsors_are_left_out() -> None:
    ties = [Tie(kind=TieKind.SPONSOR, one="park", other=code) for code in ("m1", "m2")]
    assert Relations(Network(ties=ties), SHARE_MIN).path("m1", "m2") is not None
    without = Relations(Network(ties=ties), SHARE_MIN, frozenset({TieKind.SPONSOR}))
    assert without.related_to("m1") == {"m1"}
