"""The restricted master: the same optimum as the whole model, with a bound that needs no trust."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.anchor import Anchor, make_anchor
from benchmarks.instances import Size, make_problem
from optimizer import direct_route, master, sample
from optimizer.arrays import Floats, Ints
from optimizer.ascent import Ascent
from optimizer.certificate import lagrangian_bound, lawful, violation
from optimizer.columns import columns_of
from optimizer.core import core_of
from optimizer.deadline import Deadline
from optimizer.direct_route import solve_direct
from optimizer.formulation import formulate
from optimizer.highs_route import LiveModel, solve_inside
from optimizer.instance import instance_of
from optimizer.master import Keys, Master
from optimizer.model import Block, Layout, Model
from optimizer.planner import plan
from optimizer.pricing import Pricing
from optimizer.sample import sample_of
from optimizer.solution import Limits, SolveStatus
from suanwang.model.plan import PlannerKind

EXACT = Limits(time_s=60.0, gap=0.0)
SIZES = (
    Size(sites=3, pools_per_site=2, slots=16, classes=30, jobs=120),
    Size(sites=4, pools_per_site=1, slots=24, classes=25, jobs=200, load=1.4, cash_share=0.1),
    Size(sites=2, pools_per_site=3, classes=20, jobs=60, slot_lengths_s=(60, 600, 3_600, 7_200)),
)


def a_model(size: Size, seed: int) -> Model:
    instance = instance_of(make_problem(size, seed))
    return formulate(instance, columns_of(instance)).model.relaxed()


def the_optimum(model: Model) -> float:
    return LiveModel(model).solve(EXACT).objective


@pytest.fixture(scope="module")
def anchor() -> Anchor:
    return make_anchor(57)


@pytest.fixture(scope="module")
def optimum(anchor: Anchor) -> float:
    return the_optimum(anchor.model.relaxed())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_finds_the_optimum_of_the_whole_model(size: Size, seed: int) -> None:
    model = a_model(size, seed)
    found = Master(model).solve(1e-5, Deadline(60))
    assert found is not None
    assert found.is_certified
    optimum = the_optimum(model)
    assert found.objective == pytest.approx(optimum, rel=2e-5, abs=1e-3)
    assert found.bound <= optimum + 1e-6 * abs(optimum)
    assert violation(model, found.values, integral=False) <= 1e-5


def test_its_prices_give_its_bound_to_anybody(anchor: Anchor) -> None:
    model = anchor.model.relaxed()
    found = Master(model).solve(1e-4, Deadline(60))
    assert found is not None
    assert lagrangian_bound(model, found.prices) == pytest.approx(found.bound, rel=1e-9)


def test_few_of_the_starts_are_enough(anchor: Anchor) -> None:
    found = Master(anchor.model.relaxed()).solve(1e-4, Deadline(60))
    assert found is not None
    assert found.is_certified
    assert found.kept.sum() < len(found.kept) / 3


@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([0.0, 1e-3, 1.0, 1e3, 1e9]),
)
def test_prices_of_any_kind_give_no_bound_above_the_optimum(seed: int, scale: float) -> None:
    model = a_model(SIZES[0], 1)
    random = np.random.default_rng(seed)
    priced = Pricing(model).price(scale * random.normal(size=model.row_count))
    assert priced.bound <= the_optimum(model) * (1 + 1e-9)


def test_other_tariffs_and_counts_are_solved_from_what_mattered_last(anchor: Anchor) -> None:
    model = anchor.model.relaxed()
    again = Master(model)
    assert again.solve(1e-4, Deadline(60)) is not None
    random = np.random.default_rng(3)
    for _ in range(3):
        model = changed(model, random)
        again.change(model)
        found = again.solve(1e-4, Deadline(60))
        assert found is not None
        assert found.is_certified
        assert found.objective == pytest.approx(the_optimum(model), rel=2e-4)


def changed(model: Model, random: np.random.Generator) -> Model:
    """Return the model with other tariffs everywhere and other counts of some classes."""
    layout = model.layout
    assert layout is not None
    used = next(block for block in model.variables if block.name == "used")
    cost = model.cost.copy()
    cost[used.where] *= random.uniform(0.9, 1.1, used.count)
    counts: Floats = model.row_upper[layout.place.where].copy()
    some = random.random(len(counts)) < 0.1
    counts[some] = np.round(counts[some] * random.uniform(0.5, 1.5, int(some.sum())))
    upper, rows = model.upper.copy(), model.row_upper.copy()
    upper[layout.left.where] = counts
    upper[layout.start.where] = counts[layout.klass]
    lower_rows = model.row_lower.copy()
    rows[layout.place.where] = lower_rows[layout.place.where] = counts
    return replace(model, cost=cost, upper=upper, row_upper=rows, row_lower=lower_rows)


def test_a_changed_model_is_solved_as_well_as_from_nothing(anchor: Anchor) -> None:
    model = anchor.model.relaxed()
    again = Master(model)
    assert again.solve(1e-3, Deadline(60)) is not None
    random = np.random.default_rng(7)
    for _ in range(3):
        model = changed(model, random)
        again.change(model)
        warm, cold = again.solve(1e-3, Deadline(60)), Master(model).solve(1e-3, Deadline(60))
        assert warm is not None
        assert cold is not None
        assert warm.is_certified
        assert cold.is_certified
        assert warm.bound <= cold.objective * (1 + 1e-9)
        assert cold.bound <= warm.objective * (1 + 1e-9)
        assert lagrangian_bound(model, warm.prices) == pytest.approx(warm.bound, rel=1e-9)
        assert violation(model, warm.values, integral=False) <= 1e-5


@pytest.mark.parametrize("nonsense", ["zero", "huge", "random", "not a number"])
def test_prices_that_went_bad_between_two_models_do_no_harm(anchor: Anchor, nonsense: str) -> None:
    model = anchor.model.relaxed()
    again = Master(model)
    assert again.solve(1e-3, Deadline(60)) is not None
    rows = model.row_count
    again._best = {
        "zero": np.zeros(rows),
        "huge": np.full(rows, 1e12),
        "random": np.random.default_rng(5).normal(size=rows) * 1e3,
        "not a number": np.full(rows, np.nan),
    }[nonsense]
    again._core = again._pricing.groups.spread(1)
    model = changed(model, np.random.default_rng(4))
    again.change(model)
    found = again.solve(1e-3, Deadline(60))
    assert found is not None
    assert found.is_certified
    optimum = the_optimum(model)
    assert found.bound <= optimum * (1 + 1e-9)
    assert found.objective == pytest.approx(optimum, rel=2e-3)


def test_a_solver_that_turns_wrong_between_two_models_gets_no_certificate(
    anchor: Anchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = anchor.model.relaxed()
    again = Master(model)
    assert again.solve(1e-3, Deadline(60)) is not None

    def wrong(part: Model, *, tolerance: float, time_s: float) -> tuple[Floats, Floats]:
        return part.upper.copy(), np.zeros(part.row_count)

    monkeypatch.setattr(master, "solve_inside", wrong)
    monkeypatch.setattr(master, "ROUNDS_MAX", 2)
    model = changed(model, np.random.default_rng(6))
    again.change(model)
    found = again.solve(1e-3, Deadline(60))
    assert found is None or not found.is_certified


def test_units_that_are_not_paid_below_their_cost_never_lower_the_bound(anchor: Anchor) -> None:
    model = anchor.model.relaxed()
    pricing = Pricing(model)
    assert pricing.units is not None
    random = np.random.default_rng(2)
    used = next(block for block in model.variables if block.name == "used").where
    for scale in (1.0, 100.0):
        duals = scale * random.normal(size=model.row_count)
        clean = pricing.units.not_below_cost(lawful(model, duals))
        reduced = model.cost - model.weigh_rows(clean)
        assert reduced[used].max() <= 1e-6 * scale
        without = Pricing(model)
        without.units = None
        assert pricing.price(duals).bound >= without.price(duals).bound - 1e-6


def test_prices_follow_the_tariff_where_units_are_not_scarce(anchor: Anchor) -> None:
    model = anchor.model.relaxed()
    found = Master(model).solve(1e-4, Deadline(60))
    assert found is not None
    dearer = changed(model, np.random.default_rng(3))
    dearer = replace(model, cost=dearer.cost)
    now = Pricing(dearer)
    shifted = now.shifted(found.prices, Pricing(model))
    assert now.price(shifted).bound > now.price(found.prices).bound
    assert now.price(shifted).bound <= the_optimum(dearer) * (1 + 1e-9)


def test_the_core_is_few_of_the_kept_and_leaves_no_place_without_a_start(anchor: Anchor) -> None:
    model = anchor.model.relaxed()
    pricing = Pricing(model)
    found = Master(model).solve(1e-4, Deadline(60))
    assert found is not None
    reduced = pricing.reduced(pricing.price(found.prices))
    everything = np.ones(len(reduced), dtype=np.bool_)
    core = core_of(pricing, everything, reduced)
    assert core.sum() < len(core) / 2
    for runs in (pricing.classes, pricing.groups):
        assert (runs.sum(core.astype(np.float64)) > 0).sum() == len(np.unique(runs.owner))


def test_small_steps_raise_the_bound_and_never_above_the_optimum(
    anchor: Anchor, optimum: float
) -> None:
    model = anchor.model.relaxed()
    pricing = Pricing(model)
    few = Master(model)._restricted(pricing.groups.spread(3), 1e-3, Deadline(60))
    assert few is not None
    before = pricing.price(few[1])
    climbed = Ascent(pricing).climb(before.prices, 40, 0.03, Deadline(60))
    after = pricing.price(climbed.prices)
    assert before.bound < after.bound <= optimum * (1 + 1e-9)
    assert climbed.cheapest.any()


def test_a_sample_asks_for_as_much_as_the_whole(
    anchor: Anchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, layout = anchor.model.relaxed(), anchor.model.layout
    assert layout is not None
    pricing = Pricing(model)
    assert sample_of(pricing, pricing.groups.spread(3)) is None
    monkeypatch.setattr(sample, "SAMPLE_FROM", 1)
    drawn = sample_of(pricing, pricing.groups.spread(3))
    assert drawn is not None
    asked = drawn.model.row_upper[layout.place.where] @ pricing.worth
    counts = model.row_upper[layout.place.where]
    assert asked == pytest.approx(counts @ pricing.worth, rel=0.05)
    assert 0 < np.unique(layout.klass[drawn.starts]).size < layout.place.count / 3


def test_a_model_that_begins_from_a_sample_finds_the_same_optimum(
    anchor: Anchor, optimum: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "SAMPLE_FROM", 1)
    found = Master(anchor.model.relaxed()).solve(1e-4, Deadline(60))
    assert found is not None
    assert found.is_certified
    assert found.objective == pytest.approx(optimum, rel=2e-4)


def test_what_is_called_the_same_is_taken_over_to_a_model_of_another_shape(
    anchor: Anchor, optimum: float
) -> None:
    model = anchor.model.relaxed()
    layout = model.layout
    assert layout is not None
    names = Keys(start=np.arange(layout.start.count), row=np.arange(model.row_count))
    again = Master(model, names)
    assert again.solve(1e-4, Deadline(60)) is not None
    stays = np.flatnonzero(layout.klass != 3)
    smaller = without_starts(model, stays)
    again.change(smaller, Keys(start=names.start[stays], row=names.row))
    assert again._kept.sum() < len(stays) / 3
    assert again._best is not None
    assert Pricing(smaller).price(again._best).bound > 0.9 * optimum
    found = again.solve(1e-4, Deadline(60))
    assert found is not None
    assert found.is_certified
    assert found.objective >= optimum * (1 - 1e-9)
    again.change(model, names)
    grown = again.solve(1e-4, Deadline(60))
    assert grown is not None
    assert grown.objective == pytest.approx(optimum, rel=2e-4)


def test_a_model_of_another_shape_without_keys_is_refused(anchor: Anchor) -> None:
    model = anchor.model.relaxed()
    assert model.layout is not None
    smaller = without_starts(model, np.flatnonzero(model.layout.klass != 3))
    with pytest.raises(ValueError, match="needs keys"):
        Master(model).change(smaller)


def without_starts(model: Model, stays: Ints) -> Model:
    """Return the model with the starts ``stays`` alone; they are its first variables."""
    layout = model.layout
    assert layout is not None
    assert layout.start.first == 0
    gone = layout.start.count - len(stays)
    part = model.only(np.concatenate([stays, np.arange(layout.start.count, model.columns)]))
    return replace(
        part,
        layout=Layout(
            start=Block("start", 0, len(stays)),
            left=Block("left", layout.left.first - gone, layout.left.count),
            place=layout.place,
            klass=layout.klass[stays],
            group=layout.group[stays],
        ),
    )


def test_without_time_there_is_no_answer_or_an_uncertified_one(anchor: Anchor) -> None:
    found = Master(anchor.model.relaxed()).solve(0.0, Deadline(0.0))
    assert found is None or not found.is_certified


def test_a_solver_that_fails_gives_no_answer(
    anchor: Anchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(master, "solve_inside", lambda *_, **__: None)
    assert Master(anchor.model.relaxed()).solve(1e-3, Deadline(60)) is None


def test_a_solver_with_wrong_prices_gets_no_certificate(
    anchor: Anchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = solve_inside

    def wrong(model: Model, *, tolerance: float, time_s: float) -> tuple[Floats, Floats] | None:
        answer = right(model, tolerance=tolerance, time_s=time_s)
        return None if answer is None else (answer[0], np.zeros(model.row_count))

    monkeypatch.setattr(master, "solve_inside", wrong)
    monkeypatch.setattr(master, "ROUNDS_MAX", 3)
    found = Master(anchor.model.relaxed()).solve(1e-3, Deadline(60))
    assert found is not None
    assert not found.is_certified
    assert found.bound <= the_optimum(anchor.model.relaxed())


def test_a_model_without_a_layout_is_refused(anchor: Anchor) -> None:
    with pytest.raises(ValueError, match="where its starts are"):
        Master(replace(anchor.model, layout=None))


def test_a_large_relaxation_goes_through_the_master_to_a_corner(
    anchor: Anchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = anchor.model.relaxed()
    whole = LiveModel(model).solve(EXACT)
    monkeypatch.setattr(direct_route, "MASTER_FROM", 0)
    found = solve_direct(model, Limits(time_s=60.0, gap=1e-4))
    assert found.status is SolveStatus.OPTIMAL
    assert "restricted master" in found.solver
    assert found.objective == pytest.approx(whole.objective, rel=2e-4)
    assert found.inside is not None
    assert found.basis is not None
    fractions = np.abs(found.values - np.round(found.values)) > 1e-6
    assert fractions.sum() <= model.row_count


@pytest.mark.parametrize("seed", [1, 2])
def test_plans_by_the_master_are_as_good(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = make_problem(SIZES[0], seed)
    direct = plan(problem)
    monkeypatch.setattr(direct_route, "MASTER_FROM", 0)
    by_master = plan(problem)
    assert by_master.planner in (PlannerKind.OPTIMAL, PlannerKind.FEASIBLE)
    assert direct.bound is not None
    assert by_master.bound is not None
    assert by_master.bound == pytest.approx(direct.bound, rel=2e-3)
    assert by_master.objective <= direct.objective * 1.01


def test_equal_models_give_equal_points(anchor: Anchor) -> None:
    one = Master(anchor.model.relaxed()).solve(1e-3, Deadline(60))
    other = Master(anchor.model.relaxed()).solve(1e-3, Deadline(60))
    assert one is not None
    assert other is not None
    assert np.array_equal(one.values, other.values)
    assert one.bound == other.bound
