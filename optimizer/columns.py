"""Columns: each (class, shape, pool, slot) where a job could start alone; reasons for the rest.

A column's own cost is all of the objective that does not depend on other jobs: the user's price,
latency, waiting, and the energy of what lies beyond the horizon. Energy inside the horizon depends
on the load of the site and is priced by the model (or by ``occupancy``).

Pools and slots of a class are tables of numpy, without a loop over slots: five million columns are
built in seconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from optimizer.arrays import Bools, Floats, Ints
from optimizer.choices import Choice, choices_of
from optimizer.funding import Funder, Funding
from optimizer.hindrances import (
    no_capacity,
    no_money,
    no_power,
    out_of_time,
    reserved_for_others,
    stays,
    waits_for,
)
from optimizer.instance import Instance
from optimizer.precedence import INSTANT_S
from optimizer.problem import JobSpec, Shape
from optimizer.rules import REASON_RANK, Hindrance, first_hindrance
from optimizer.timeline import Span
from suanwang.units import FEN_PER_YUAN, SECONDS_PER_HOUR

_WATT_SLACK: Final = 1e-6
_RANK: Final = {code: at for at, code in enumerate(REASON_RANK)}


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbouring columns of one class and one shape."""

    shape: Shape
    where: slice


@dataclass(frozen=True, slots=True)
class Columns:
    """All columns, those of class k at ``first[k] .. first[k+1]``, by shape, pool and slot within.

    ``units`` and ``run_s`` are of one job of the column, ``cost`` is yuan a job, ``price_fen`` the
    most that the job can cost the user. ``funding`` is a place in ``fundings``. ``stretches[k]``
    are the columns of class k by shape. ``hindrances[k]`` maps every pool without a column to the
    reason.
    """

    klass: Ints
    pool: Ints
    slot: Ints
    units: Ints
    run_s: Floats
    last: Ints
    last_share: Floats
    tail_s: Floats
    cost: Floats
    price_fen: Ints
    funding: Ints
    first: Ints
    stretches: tuple[tuple[Stretch, ...], ...]
    fundings: tuple[Funding, ...]
    hindrances: tuple[Mapping[int, Hindrance], ...]

    @property
    def count(self) -> int:
        """How many columns there are."""
        return len(self.klass)

    def of_class(self, k: int) -> slice:
        """Return where the columns of class k are."""
        return slice(int(self.first[k]), int(self.first[k + 1]))

    @property
    def group(self) -> Ints:
        """Class, shape and pool as one ascending number."""
        is_first = np.append(True, np.diff(self.klass) != 0)[: self.count]
        is_first[1:] |= (np.diff(self.pool) != 0) | (np.diff(self.units) != 0)
        is_first[1:] |= np.diff(self.run_s) != 0
        numbers: Ints = np.cumsum(is_first) - 1
        return numbers


RuleAnswers = dict[tuple[object, ...], tuple[Bools, Mapping[int, Hindrance]]]
"""What the rules say of jobs that are alike to them: pools that are allowed, reasons of others."""


def columns_of(instance: Instance, answers: RuleAnswers | None = None) -> Columns:
    """Build the columns of all classes; reasons are kept for the pairs that get none.

    ``answers`` of the rules may be kept for other jobs of the same network.
    """
    builder = _Builder(instance, {} if answers is None else answers)
    parts: list[_Part] = []
    stretches: list[tuple[Stretch, ...]] = []
    hindrances: list[Mapping[int, Hindrance]] = []
    first = [0]
    for k, klass in enumerate(instance.classes):
        made, why_not = builder.of_class(k, klass.spec)
        at, own = first[-1], []
        for part in made:
            own.append(Stretch(part.shape, slice(at, at + len(part.pool))))
            at += len(part.pool)
        parts += made
        stretches.append(tuple(own))
        hindrances.append(why_not)
        first.append(at)
    return _joined(instance, parts, (first, stretches, hindrances), builder.funder.fundings)


@dataclass(frozen=True, slots=True)
class _Part:
    """Columns of one class and one shape; ``price_fen`` is by pool, the rest by column.

    ``user_fen`` is what the user pays, by pool; of a job that keeps running it is held already, so
    ``price_fen`` is zero then. ``extra_yuan`` is what changing a place or a promise costs.
    """

    k: int
    shape: Shape
    span: Span
    pool: Ints
    slot: Ints
    funding: Ints
    price_fen: Ints
    user_fen: Ints
    extra_yuan: Floats


class _Builder:
    """Builds the columns of one class after the other."""

    def __init__(self, instance: Instance, answers: RuleAnswers) -> None:
        self.funder = Funder(instance)
        self._instance = instance
        self._room_w = instance.facilities.room_w[instance.site_of]
        self._rules = answers

    def of_class(self, k: int, job: JobSpec) -> tuple[list[_Part], dict[int, Hindrance]]:
        """Return the columns of a class, and the hindrance of every pool that has none."""
        parts, nearest = [], dict[int, Hindrance]()
        taken = np.zeros(len(self._instance.pools), dtype=np.bool_)
        choices = choices_of(self._instance, job)
        for choice in choices:
            part, why_not = self._of_choice(k, job, choice)
            parts.append(part)
            taken[part.pool] = True
            for p, hindrance in why_not.items():
                if p not in nearest or _RANK[hindrance.code] > _RANK[nearest[p].code]:
                    nearest[p] = hindrance
        return parts, {p: hindrance for p, hindrance in nearest.items() if not taken[p]}

    def _of_choice(
        self, k: int, job: JobSpec, choice: Choice
    ) -> tuple[_Part, dict[int, Hindrance]]:
        instance, shape = self._instance, choice.shape
        span = instance.timeline.span(shape.run_s)
        if choice.is_kept:
            return self._kept(k, job, choice, span)
        is_allowed, broken = self._lawful(job, shape.units)
        ready_s = instance.precedence.ready_s(k, instance.site_of)
        is_ready = instance.timeline.start_s[None, :] + INSTANT_S >= ready_s[:, None]
        on_time = is_allowed[:, None] & self._in_time(job, shape)[None, :] & choice.cells
        in_time = on_time & is_ready
        free = self._free(k)
        has_units = in_time & _whole_windows(free >= shape.units, span)
        need_w = shape.units * instance.busy_w
        has_power = _whole_windows(self._room_w + _WATT_SLACK >= need_w[:, None], span)
        is_built = has_units & has_power
        funded = self.funder.fund((k, job, shape), is_built)
        hindrances = dict(broken)
        for p in np.flatnonzero(is_allowed & ~is_built.any(axis=1)):
            if p in funded.short:
                hindrances[int(p)] = no_money(job, funded.short[int(p)])
            elif has_units[p].any():
                room_w = float(self._room_w[p].max())
                hindrances[int(p)] = no_power(float(need_w[p]), room_w)
            elif in_time[p].any():
                plain = _whole_windows(instance.units_free[p : p + 1] >= shape.units, span)[0]
                if (in_time[p] & plain).any():
                    free_max = int(free[p, in_time[p]].max(initial=0))
                    hindrances[int(p)] = reserved_for_others(shape.units, free_max)
                else:
                    free_max = int(instance.units_free[p].max(initial=0))
                    hindrances[int(p)] = no_capacity(shape, free_max)
            elif on_time[p].any():
                names = [after.job_id for after in instance.precedence.fixed[k]]
                hindrances[int(p)] = waits_for(names, float(ready_s[p]))
            else:
                hindrances[int(p)] = out_of_time(job, shape, instance.timeline)
        pool, slot = np.nonzero(is_built)
        prices = funded.price_fen
        extra_yuan = choice.extra_yuan[pool, slot]
        funding = funded.funding[pool, slot]
        return _Part(k, shape, span, pool, slot, funding, prices, prices, extra_yuan), hindrances

    def _kept(
        self, k: int, job: JobSpec, choice: Choice, span: Span
    ) -> tuple[_Part, dict[int, Hindrance]]:
        """The column by which a running job goes on: no rule and no money can forbid that."""
        shape, instance = choice.shape, self._instance
        need_w = shape.units * instance.busy_w
        has_units = _whole_windows(self._free(k) >= shape.units, span)
        has_power = _whole_windows(self._room_w + _WATT_SLACK >= need_w[:, None], span)
        pool, slot = np.nonzero(choice.cells & has_units & has_power)
        funding = np.full(len(pool), self.funder.held(k), dtype=np.int64)
        prices = self.funder.prices(shape)
        held = np.zeros_like(prices)
        why_not = {p: stays(job) for p in range(len(instance.pools)) if not choice.cells[p].any()}
        for p in np.flatnonzero(choice.cells.any(axis=1) & ~np.isin(range(len(prices)), pool)):
            if has_units[p, 0]:
                why_not[int(p)] = no_power(float(need_w[p]), float(self._room_w[p].max()))
            else:
                why_not[int(p)] = no_capacity(shape, int(instance.units_free[p].max(initial=0)))
        extra_yuan = np.zeros(len(pool))
        return _Part(k, shape, span, pool, slot, funding, held, prices, extra_yuan), why_not

    def _free(self, k: int) -> Ints:
        """Units that one job of class k could take if it were alone, by (p, t)."""
        reserved = self._instance.reserved
        if not reserved.count:
            return self._instance.units_free
        inside = np.zeros_like(reserved.covers, np.int64)
        return reserved.room(k, self._instance.units_free, inside)

    def _lawful(self, job: JobSpec, units: int) -> tuple[Bools, Mapping[int, Hindrance]]:
        """Return which pools no rule forbids, and the hindrances of the others.

        Many classes differ only in what no rule looks at, so answers are kept.
        """
        key = (*_rule_fields(job), units)
        if key not in self._rules:
            found = {
                p: first_hindrance(self._instance.pair(job, p, units))
                for p in range(len(self._instance.pools))
            }
            is_allowed = np.array(
                [hindrance is None for hindrance in found.values()], dtype=np.bool_
            )
            broken = {p: hindrance for p, hindrance in found.items() if hindrance is not None}
            self._rules[key] = (is_allowed, broken)
        return self._rules[key]

    def _in_time(self, job: JobSpec, shape: Shape) -> Bools:
        start_s = self._instance.timeline.start_s
        mask: Bools = start_s >= job.earliest_s
        if job.deadline_s is not None:
            mask = mask & (start_s + shape.run_s <= job.deadline_s)
        return mask


def _rule_fields(job: JobSpec) -> tuple[object, ...]:
    """Every field of a job that ``rules.RULES`` look at."""
    return (
        job.sites,
        job.accelerators,
        job.domestic_only,
        job.data_class,
        job.data_home,
        job.origin,
        job.latency_ms_max,
        tuple(sorted(job.avoid.items())),
    )


def _joined(
    instance: Instance,
    parts: Sequence[_Part],
    by_class: tuple[list[int], list[tuple[Stretch, ...]], list[Mapping[int, Hindrance]]],
    fundings: Sequence[Funding],
) -> Columns:
    first, stretches, hindrances = by_class
    sizes = np.array([len(part.pool) for part in parts], dtype=np.int64)
    pool = _ints([part.pool for part in parts])
    slot = _ints([part.slot for part in parts])
    klass = np.repeat(np.array([part.k for part in parts], dtype=np.int64), sizes)
    units = np.repeat(np.array([part.shape.units for part in parts], dtype=np.int64), sizes)
    run_s = np.repeat(np.array([part.shape.run_s for part in parts], dtype=np.float64), sizes)
    tail_s = _floats([part.span.tail_s[part.slot] for part in parts])
    price_fen = _ints([part.price_fen[part.pool] for part in parts])
    policy, timeline = instance.problem.policy, instance.timeline
    user_fen = _ints([part.user_fen[part.pool] for part in parts])
    cost = (
        policy.user_price_weight * user_fen / FEN_PER_YUAN
        + _floats([part.extra_yuan for part in parts])
        + policy.latency_yuan_per_ms * _latency_ms(instance, klass, pool)
        + policy.waiting_yuan_per_unit_hour * units * timeline.start_s[slot] / SECONDS_PER_HOUR
        + units
        * instance.busy_w[pool]
        * (tail_s / SECONDS_PER_HOUR)
        * _tail_prices(instance)[instance.site_of[pool]]
    )
    for k in instance.precedence.fixed:
        own = slice(first[k], first[k + 1])
        cost[own] += instance.precedence.fixed_yuan(k, instance.site_of)[pool[own]]
    return Columns(
        klass=klass,
        pool=pool,
        slot=slot,
        units=units,
        run_s=run_s,
        last=_ints([part.span.last[part.slot] for part in parts]),
        last_share=_floats([part.span.last_share[part.slot] for part in parts]),
        tail_s=tail_s,
        cost=cost,
        price_fen=price_fen,
        funding=_ints([part.funding for part in parts]),
        first=np.array(first, dtype=np.int64),
        stretches=tuple(stretches),
        fundings=tuple(fundings),
        hindrances=tuple(hindrances),
    )


def _latency_ms(instance: Instance, klass: Ints, pool: Ints) -> Floats:
    """Round trip that is priced, by column."""
    origins = sorted({one.spec.origin for one in instance.classes})
    row_of = {origin: at for at, origin in enumerate(origins)}
    spec_of = {one.spec.origin: one.spec for one in instance.classes}
    pools = range(len(instance.pools))
    table = np.array(
        [[instance.rtt_ms(spec_of[origin], p) for p in pools] for origin in origins]
    ).reshape(len(origins), len(instance.pools))
    row = np.array([row_of[one.spec.origin] for one in instance.classes], dtype=np.int64)
    latency_ms: Floats = table[row[klass], pool]
    return latency_ms


def _whole_windows(is_good: Bools, span: Span) -> Bools:
    """For each pool and start: whether every slot that the run touches is good."""
    if is_good.all():
        return is_good
    bad = np.zeros((is_good.shape[0], is_good.shape[1] + 1), dtype=np.int64)
    np.cumsum(~is_good, axis=1, out=bad[:, 1:])
    clean: Bools = bad[:, span.last + 1] == bad[:, : len(span.last)]
    return clean


def _tail_prices(instance: Instance) -> Floats:
    """Yuan for an IT watt-hour beyond the horizon, by site: last slot's price and base slope."""
    facilities = instance.facilities
    prices: Floats = facilities.base_slope[:, -1] * facilities.price[:, -1] / 1_000.0
    return prices


def _ints(parts: Sequence[Ints]) -> Ints:
    return np.concatenate([np.empty(0, dtype=np.int64), *parts]).astype(np.int64)


def _floats(parts: Sequence[Floats]) -> Floats:
    return np.concatenate([np.empty(0), *parts])
