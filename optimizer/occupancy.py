"""The state of a plan in the making: units, power, energy and money, exact, never over a limit.

Greedy, rounding, improvement and explanation all work on this one state, so they cannot disagree
about what fits. (The finished plan is checked again by ``check``, which shares none of this.)
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from optimizer.arrays import Bools, Floats, Ints
from optimizer.columns import Columns, Stretch
from optimizer.expiry import worth_of_lots, worth_yuan
from optimizer.instance import Instance
from optimizer.money import Payment, Purse, Run, Shortfall
from optimizer.problem import JobSpec
from optimizer.sequence import Sequence
from suanwang.units import SECONDS_PER_HOUR

Seats = tuple[tuple[str, int], ...]
"""Nodes and how many units each gives to a gang."""
Place = tuple[Ints, Ints]
"""Sites and slots, side by side: an index into any (s, t) table."""

WATT_SLACK: Final = 1e-6


@dataclass(slots=True)
class Occupancy:
    """What is taken so far. ``payments[column]`` holds one payment a job that starts there.

    ``held[r,t]`` are units in use by jobs that sit in a reservation. ``worth`` is what a fen of a
    lot that would expire is worth, ``saved_yuan`` what the plan uses of such lots. ``barred``
    columns find no node that holds their units; it maps them to the most that one has free.
    ``seats[column]`` are the nodes of each of its starts, where they are known.

    ``used[p,t]`` are units in use in any part of a slot, ``peak_w[s,t]`` their IT power together,
    ``mean_w[s,t]`` the mean IT power over the slot (a run may end in the middle of one), and
    ``demand_w[s,t]`` that over the window at its beginning by which a guide prices the peak.
    """

    instance: Instance
    columns: Columns
    used: Ints
    held: Ints
    peak_w: Floats
    mean_w: Floats
    demand_w: Floats
    purse: Purse
    left: Ints
    order: Sequence
    worth: Mapping[str, float]
    saved_yuan: float = 0.0
    payments: dict[int, list[Payment]] = field(default_factory=lambda: defaultdict(list))
    barred: dict[int, int] = field(default_factory=dict)
    seats: dict[int, list[Seats]] = field(default_factory=dict)

    def job(self, column: int) -> JobSpec:
        """Return the job that stands for the column's class."""
        return self.instance.classes[int(self.columns.klass[column])].spec

    def is_kept(self, column: int) -> bool:
        """Whether the column is that of a running job that goes on where it is."""
        k = int(self.columns.klass[column])
        stay = self.columns.stretches[k][0].where
        return self.job(column).running is not None and stay.start <= column < stay.stop

    def watts(self, column: int) -> float:
        """Return the IT power that one job of the column adds."""
        busy_w = self.instance.busy_w[self.columns.pool[column]]
        return float(self.columns.units[column] * busy_w)

    def fits(self, k: int) -> Bools:
        """For each column of class k: whether one more job has room, and comes in order."""
        has_room = self.has_units(k) & self.has_power(k) & self.order.in_order(k)
        return has_room & self.is_seatable(k)

    def is_seatable(self, k: int) -> Bools:
        """For each column of class k: whether no node is known to be too full for it."""
        own = self.columns.of_class(k)
        seatable = np.ones(own.stop - own.start, dtype=np.bool_)
        for column in self.barred:
            if own.start <= column < own.stop:
                seatable[column - own.start] = False
        return seatable

    def has_units(self, k: int) -> Bools:
        """For each column of class k: whether enough units are free in every slot it touches."""
        free = self.free_for(k)
        return self._windows_are_clear(lambda units: free < units, k)

    def free_for(self, k: int) -> Ints:
        """Return how many more units jobs of class k may take, by (p, t): reserved ones are not."""
        free = self.instance.units_free - self.used
        reserved = self.instance.reserved
        if not reserved.count:
            return free
        inside = np.minimum(self.held, reserved.units[:, None] * reserved.covers)
        return reserved.room(k, free, inside)

    def has_power(self, k: int) -> Bools:
        """For each column of class k: whether its site has power left in every slot it touches."""
        room_w = (self.instance.facilities.room_w - self.peak_w)[self.instance.site_of]
        busy_w = self.instance.busy_w[:, None]
        return self._windows_are_clear(lambda units: room_w + WATT_SLACK < units * busy_w, k)

    def room(self, column: int) -> int:
        """Return how many jobs of the column still fit into units and power."""
        columns, instance = self.columns, self.instance
        if column in self.barred:
            return 0
        p, k = int(columns.pool[column]), int(columns.klass[column])
        is_tied = instance.precedence.is_tied(k)
        if is_tied and not self.order.in_order(k)[column - int(columns.first[k])]:
            return 0
        window = slice(int(columns.slot[column]), int(columns.last[column]) + 1)
        if instance.reserved.count:
            free = int(self.free_for(k)[p, window].min())
        else:
            free = int((instance.units_free[p, window] - self.used[p, window]).min())
        count = free // int(columns.units[column])
        watts = self.watts(column)
        if count <= 0 or watts <= 0:
            return max(0, count)
        s = int(instance.site_of[p])
        room_w = float((instance.facilities.room_w[s, window] - self.peak_w[s, window]).min())
        return max(0, min(count, int((room_w + WATT_SLACK) / watts)))

    def added_yuan(self, k: int) -> Floats:
        """For each column of class k: what one more job adds to the plan, beside its own cost."""
        return self.energy_yuan(k) + self.order.moving_yuan(k) - self.saving_yuan(k)

    def saving_yuan(self, k: int) -> Floats:
        """For each column of class k: worth of what one more job uses of lots that would expire."""
        own = self.columns.of_class(k)
        total = np.zeros(own.stop - own.start)
        tenant = self.instance.classes[k].spec.tenant_id
        lots = {lot.id for lot in self.purse.lots_of.get(tenant, ())}
        if not lots & self.worth.keys():
            return total
        # Who pays, and how much, is the same for all columns of one price and one funding.
        alike = np.stack([self.columns.price_fen[own], self.columns.funding[own]])
        _, first, kind = np.unique(alike, axis=1, return_index=True, return_inverse=True)
        splits = [self.split(own.start + int(at)) for at in first]
        worth = [
            worth_yuan(split.lots, self.worth) if isinstance(split, Payment) else 0.0
            for split in splits
        ]
        total += np.array(worth)[kind.ravel()]
        return total

    def energy_yuan(self, k: int) -> Floats:
        """For each column of class k: what the energy of one more job costs at the present load."""
        facilities = self.instance.facilities
        energy = self._over_slots(k, facilities.added_cost_yuan)
        if facilities.rise is None:
            return energy
        rise: Floats = energy + self._over_slots(k, facilities.added_rise_yuan, is_demand=True)
        return rise

    def energy_wh(self, k: int) -> Floats:
        """For each column of class k: facility watt-hours of one more job, the tail included."""
        total: Floats = self._over_slots(k, self._added_wh) + self._tail_wh(k)
        return total

    def carbon_g(self, k: int) -> Floats:
        """For each column of class k: grams of CO2 of one more job, the tail included."""
        carbon_g = self.instance.facilities.carbon_g
        site = self.instance.site_of[self.columns.pool[self.columns.of_class(k)]]
        tail = self._tail_wh(k) * carbon_g[site, -1] / 1_000.0
        total: Floats = self._over_slots(k, self._added_g) + tail
        return total

    def split(self, column: int) -> Payment | Shortfall:
        """Return how one more job of the column would be paid."""
        columns = self.columns
        start_s = float(self.instance.timeline.start_s[columns.slot[column]])
        run = Run(
            job=self.job(column),
            pool=self.instance.pools[columns.pool[column]],
            price_fen=int(columns.price_fen[column]),
            start_s=start_s,
            end_s=start_s + float(columns.run_s[column]),
        )
        return self.purse.split(run)

    def take(self, column: int, payment: Payment) -> None:
        """Start one job of the column; the caller has made sure that it fits."""
        self.payments[column].append(payment)
        self.purse.take(self.job(column), payment)
        self.left[self.columns.klass[column]] -= 1
        self._load(column, 1)
        self.saved_yuan += worth_yuan(payment.lots, self.worth)
        self.order.note(column, is_placed=True)

    def give_back(self, column: int) -> Payment:
        """Undo the column's last start and return how it was paid."""
        payment = self.payments[column].pop()
        if not self.payments[column]:
            del self.payments[column]
        self.purse.give_back(self.job(column), payment)
        self.left[self.columns.klass[column]] += 1
        self._load(column, -1)
        self.saved_yuan -= worth_yuan(payment.lots, self.worth)
        self.order.note(column, is_placed=False)
        return payment

    def place(self, column: int, wanted: int) -> int:
        """Start up to ``wanted`` jobs as units, power and money allow; return how many."""
        count = min(wanted, int(self.left[self.columns.klass[column]]), self.room(column))
        for done in range(count):
            payment = self.split(column)
            if isinstance(payment, Shortfall):
                return done
            self.take(column, payment)
        return max(0, count)

    def objective(self) -> float:
        """Return the plan's cost in yuan: columns, energy above the base, data, the unserved.

        What tenants get less than they are due costs too; vouchers saved from expiry lower it.
        """
        starts = sum(
            float(self.columns.cost[column]) * len(self.payments[column])
            for column in sorted(self.payments)
        )
        energy = float(self.energy_cost_yuan().sum())
        unserved = sum(
            klass.unserved_yuan * int(left)
            for klass, left in zip(self.instance.classes, self.left, strict=True)
        )
        unfair = self.instance.fairness.cost_yuan(self.left)
        saved = self.saved_yuan if self.payments else 0.0
        return starts + energy + unserved + unfair - saved + self.order.total_yuan()

    def energy_cost_yuan(self) -> Floats:
        """Return what energy above the base costs by (s, t), with a guide's price of the peak."""
        facilities = self.instance.facilities
        return facilities.cost_yuan(self.mean_w) + facilities.rise_yuan(self.demand_w)

    def _load(self, column: int, sign: int) -> None:
        columns = self.columns
        p, last = int(columns.pool[column]), int(columns.last[column])
        s = int(self.instance.site_of[p])
        window = slice(int(columns.slot[column]), last + 1)
        watts = self.watts(column)
        units = sign * int(columns.units[column])
        self.used[p, window] += units
        seat = self.instance.reserved.seat(int(columns.klass[column]))
        if seat is not None:
            at = np.flatnonzero(seat[p, window] >= 0) + window.start
            self.held[seat[p, at], at] += units
        self.peak_w[s, window] += sign * watts
        self.mean_w[s, window] += sign * watts
        share = columns.last_share[column]
        self.mean_w[s, last] -= sign * watts * (1.0 - float(share))
        self.demand_w[s, window] += sign * watts
        self.demand_w[s, last] -= sign * watts * (1.0 - float(self._in_window(s, last, share)))

    def _in_window(self, site: Ints | int, slot: Ints | int, share: Floats) -> Floats:
        """Return the share in use of windows at the beginning of slots, by that of the slots."""
        rise = self.instance.facilities.rise
        if rise is None:
            return share
        in_use: Floats = np.minimum(1.0, share / rise.window[site, slot])
        return in_use

    def _windows_are_clear(self, is_bad: Callable[[int], Bools], k: int) -> Bools:
        """For each column of class k: no slot it touches is bad for the units of its shape."""
        columns = self.columns
        clear = np.zeros(int(columns.first[k + 1] - columns.first[k]), dtype=np.bool_)
        for stretch in columns.stretches[k]:
            own = stretch.where
            pool, slot, last = columns.pool[own], columns.slot[own], columns.last[own]
            bad = _prefix(is_bad(stretch.shape.units))
            begin = int(columns.first[k])
            clear[own.start - begin : own.stop - begin] = bad[pool, last + 1] == bad[pool, slot]
        return clear

    def _over_slots(
        self,
        k: int,
        added: Callable[[Place, Floats, Floats], Floats],
        *,
        is_demand: bool = False,
    ) -> Floats:
        """For each column of class k: ``added`` summed over the slots that one more job touches."""
        stretches = self.columns.stretches[k]
        parts = [self._over_slots_of(one, added, is_demand=is_demand) for one in stretches]
        return np.concatenate(parts)

    def _over_slots_of(
        self,
        stretch: Stretch,
        added: Callable[[Place, Floats, Floats], Floats],
        *,
        is_demand: bool,
    ) -> Floats:
        instance, columns = self.instance, self.columns
        own = stretch.where
        pool, slot, last = columns.pool[own], columns.slot[own], columns.last[own]
        watts = stretch.shape.units * instance.busy_w
        pools, slots = instance.units_free.shape
        everywhere = (
            np.repeat(instance.site_of, slots),
            np.tile(np.arange(slots, dtype=np.int64), pools),
        )
        at_end = (instance.site_of[pool], last)
        load_w, share = self.mean_w, columns.last_share[own]
        if is_demand:
            load_w, share = self.demand_w, self._in_window(*at_end, share)
        whole = added(everywhere, load_w[everywhere], np.repeat(watts, slots))
        part = added(at_end, load_w[at_end], watts[pool] * share)
        summed = _prefix(whole.reshape(pools, slots))
        total: Floats = summed[pool, last] - summed[pool, slot] + part
        return total

    def _added_wh(self, place: Place, load_w: Floats, more_w: Floats) -> Floats:
        facilities = self.instance.facilities
        return facilities.added_w(place, load_w, more_w) * facilities.hours[place[1]]

    def _added_g(self, place: Place, load_w: Floats, more_w: Floats) -> Floats:
        carbon_g = self.instance.facilities.carbon_g[place]
        return self._added_wh(place, load_w, more_w) * carbon_g / 1_000.0

    def _tail_wh(self, k: int) -> Floats:
        columns, instance = self.columns, self.instance
        own = columns.of_class(k)
        watts = columns.units[own] * instance.busy_w[columns.pool[own]]
        slope = instance.facilities.base_slope[instance.site_of[columns.pool[own]], -1]
        tail: Floats = slope * watts * columns.tail_s[own] / SECONDS_PER_HOUR
        return tail


def empty_occupancy(instance: Instance, columns: Columns) -> Occupancy:
    """Return a state in which nothing is placed and all money is there."""
    power = instance.facilities.base_w.shape
    return Occupancy(
        instance=instance,
        columns=columns,
        used=np.zeros(instance.units_free.shape, dtype=np.int64),
        held=np.zeros(instance.reserved.covers.shape, dtype=np.int64),
        peak_w=np.zeros(power),
        mean_w=np.zeros(power),
        demand_w=np.zeros(power),
        purse=instance.purse(),
        left=np.array([klass.count for klass in instance.classes], dtype=np.int64),
        order=Sequence(instance, columns),
        worth=worth_of_lots(instance.problem),
    )


def _prefix(table: Floats | Bools) -> Floats:
    """Return running sums along slots, with a zero in front."""
    sums = np.zeros((table.shape[0], table.shape[1] + 1))
    np.cumsum(table, axis=1, out=sums[:, 1:])
    return sums
