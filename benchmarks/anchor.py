"""The anchor instance of the planner's figures: a start-indexed model of any size, as arrays.

Eight sites on four continents with three pools each (fast, mid and slow accelerators), 96 hourly
slots; tariffs, carbon and outdoor temperature that swing with the day, PUE = 1.10 + 0.010 x (T - 8)
above 8 degrees; 64 tenants, each with a budget and a soft share. Classes of jobs are heavy-tailed
in width, length and number; a class has an origin, a limit of latency, a worst accelerator that it
accepts, a release and a deadline. Asked work is 0.8 of what the units can do, and a part cannot be
served: budgets, gangs and windows bind. Everything is made from a seed; no data is read.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator, default_rng

from optimizer.arrays import Bools, Floats, Ints
from optimizer.model import INFINITY, Layout, Model, ModelBuilder
from optimizer.room import Windows

SITES: Final = 8
KINDS: Final = 3
POOLS: Final = SITES * KINDS
SLOTS: Final = 96
TENANTS: Final = 64
CLASSES: Final = {"10k": 57, "107k": 512, "406k": 2_145, "990k": 5_039, "5m": 26_002}
"""Classes of the instance whose number of start columns is about that of its name."""

KW: Final = np.array([0.9, 0.5, 0.25])
_SPEED: Final = np.array([1.0, 0.5, 0.2])
RATE: Final = np.array([2.5, 1.1, 0.4])
_OFFSET_H: Final = np.array([-8, -6, -5, 1, 8, 9, 10, 5])
_TARIFF: Final = np.array([0.038, 0.031, 0.034, 0.074, 0.110, 0.083, 0.097, 0.055])
_CARBON_G: Final = np.array([250.0, 390.0, 380.0, 350.0, 490.0, 480.0, 620.0, 640.0])
_MEAN_C: Final = np.array([22.0, 30.0, 26.0, 19.0, 28.5, 28.0, 11.0, 29.0])
_LOAD: Final = 0.8
_CARBON_PRICE: Final = 0.05
_UNSERVED: Final = 3.0
_SHARE_PRICE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Classes:
    """Job classes, one a place; ``hours[k, kind]`` is how long a job runs, in slots."""

    count: Floats
    gang: Floats
    hours: Ints
    release: Ints
    deadline: Ints
    may_use: Bools
    tenant: Ints

    @property
    def work(self) -> Floats:
        """Hours of fast accelerators that one job takes."""
        return self.gang * self.hours[:, 0]


@dataclass(frozen=True, slots=True)
class Starts:
    """Columns in the order of class, pool, slot."""

    klass: Ints
    pool: Ints
    slot: Ints
    hours: Ints

    @property
    def group(self) -> Ints:
        """Class and pool as one ascending number."""
        return self.klass * POOLS + self.pool


@dataclass(frozen=True, slots=True)
class Anchor:
    """The instance: data, and the model made of it."""

    classes: Classes
    starts: Starts
    energy_cost: Floats
    model: Model


def make_anchor(classes: int, seed: int = 0, *, fitting: bool = False) -> Anchor:
    """Return the instance of a number of classes.

    ``fitting`` leaves out the starts that an empty plan has no room or no money for, as the planner
    does; a gang of 64 cannot begin in 60 units, but a fraction of it could.
    """
    random = default_rng(seed)
    xy = random.random((SITES, 2))
    rtt_ms = 20.0 + 220.0 * np.linalg.norm(xy[:, None] - xy[None], axis=2)
    np.fill_diagonal(rtt_ms, 2.0)
    jobs = _classes(random, classes, rtt_ms)
    starts = _starts(jobs)
    energy_cost = _energy_cost(random)
    units, power_kw = _supply(random, jobs)
    money = _Money(random, jobs)
    if fitting:
        starts = _fitting(jobs, starts, (units, power_kw), money)
    model = _model(jobs, starts, energy_cost, (units, power_kw), money)
    return Anchor(jobs, starts, energy_cost, model)


def _classes(random: Generator, count: int, rtt_ms: Floats) -> Classes:
    gang = 2.0 ** np.minimum(6, random.geometric(0.45, count) - 1)
    work_h = np.minimum(60.0, np.exp(random.normal(1.2, 1.0, count)))
    hours = np.ceil(np.maximum(0.5, work_h[:, None] / _SPEED)).astype(np.int64)
    number = 1 + (random.pareto(1.3, count) * 5.0).astype(np.int64) + random.integers(0, 3, count)
    release = np.where(random.random(count) < 0.35, 0, random.integers(0, SLOTS // 2, count))
    slack = random.choice([1.2, 1.6, 2.5, 16.0], count, p=[0.15, 0.25, 0.3, 0.3])
    deadline = np.minimum(SLOTS, release + np.ceil(hours[:, 0] * slack).astype(np.int64) + 1)
    limit_ms = random.choice([60.0, 120.0, 250.0, 1_000.0], count, p=[0.1, 0.2, 0.3, 0.4])
    is_near = rtt_ms[random.integers(0, SITES, count)] <= limit_ms[:, None]
    worst = random.integers(0, KINDS, count)
    may_use = np.repeat(is_near, KINDS, axis=1)
    may_use &= np.tile(np.arange(KINDS), SITES)[None, :] <= worst[:, None]
    tenant = random.integers(0, TENANTS, count)
    return Classes(number.astype(np.float64), gang, hours, release, deadline, may_use, tenant)


def _starts(jobs: Classes) -> Starts:
    hours = np.tile(jobs.hours, (1, SITES))
    windows = jobs.deadline[:, None] - hours - jobs.release[:, None] + 1
    windows = np.where(jobs.may_use, np.maximum(0, windows), 0)
    pairs = np.repeat(np.arange(windows.size), windows.ravel())
    first = np.cumsum(windows.ravel()) - windows.ravel()
    klass = pairs // POOLS
    slot = jobs.release[klass] + np.arange(len(pairs)) - first[pairs]
    return Starts(klass, pairs % POOLS, slot, hours.ravel()[pairs])


def _energy_cost(random: Generator) -> Floats:
    """Return what a unit in use costs in an hour, by pool and slot: energy with PUE, and carbon."""
    local_h = np.arange(SLOTS)[None, :] + _OFFSET_H[:, None]
    day = np.cos(2 * np.pi * (local_h - 18) / 24)
    noise = random.normal(0.0, 0.15, (SITES, SLOTS))
    tariff = _TARIFF[:, None] * (1.0 + 0.45 * day + noise)
    # Sunny noons with more wind than wanted: hours of negative price, as two of the markets have.
    tariff[[3, 6]] -= 0.09 * (random.random((2, SLOTS)) < 0.06)
    carbon = _CARBON_G[:, None] * (1.0 + 0.2 * day + 0.5 * noise)
    celsius = _MEAN_C[:, None] + 5.0 * np.cos(2 * np.pi * (local_h - 15) / 24)
    pue = 1.10 + 0.010 * np.maximum(0.0, celsius - 8.0)
    per_kwh = pue * (tariff + _CARBON_PRICE * carbon / 1_000.0)
    cost: Floats = np.tile(KW, SITES)[:, None] * np.repeat(per_kwh, KINDS, axis=0)
    return cost


def _supply(random: Generator, jobs: Classes) -> tuple[Floats, Floats]:
    """Return units by pool and slot (some are busy at first), and kW by site and slot."""
    asked = float((jobs.count * jobs.work).sum())
    mean = asked / _LOAD / (SLOTS * np.tile(_SPEED, SITES).sum())
    units = np.maximum(64.0, np.floor(mean * random.uniform(0.5, 1.5, POOLS)))
    free = np.repeat(units[:, None], SLOTS, axis=1)
    free[:, : SLOTS // 6] *= random.uniform(0.5, 1.0, (POOLS, 1))
    full_kw = (units * np.tile(KW, SITES)).reshape(SITES, KINDS).sum(axis=1)
    power_kw = np.repeat((full_kw * random.uniform(0.6, 1.05, SITES))[:, None], SLOTS, axis=1)
    return np.floor(free), power_kw


class _Money:
    """Budgets and soft shares of the tenants."""

    def __init__(self, random: Generator, jobs: Classes) -> None:
        asked = np.bincount(jobs.tenant, jobs.count * jobs.work, TENANTS)
        self.budget = asked * RATE[0] * random.uniform(0.4, 1.2, TENANTS)
        self.share = (0.3 * asked).astype(np.float64)


def _fitting(jobs: Classes, at: Starts, supply: tuple[Floats, Floats], money: _Money) -> Starts:
    """Return the starts that one job finds units, power and money for in an empty plan."""
    units, power_kw = supply
    powered = np.repeat(power_kw, KINDS, axis=0) / np.tile(KW, SITES)[:, None]
    gang = jobs.gang[at.klass]
    windows = Windows(pool=at.pool, first=at.slot, last=at.slot + at.hours - 1, units=gang)
    price = RATE[at.pool % KINDS] * gang * at.hours
    fits = windows.rooms(np.minimum(units, powered)) >= 1
    fits &= price <= money.budget[jobs.tenant[at.klass]]
    return Starts(at.klass[fits], at.pool[fits], at.slot[fits], at.hours[fits])


def _model(
    jobs: Classes, at: Starts, energy_cost: Floats, supply: tuple[Floats, Floats], money: _Money
) -> Model:
    builder = ModelBuilder()
    units, power_kw = supply
    gang, kind = jobs.gang[at.klass], at.pool % KINDS
    price = RATE[kind] * gang * at.hours
    cost = 0.02 * price + 0.01 * gang * (at.slot - jobs.release[at.klass])
    start = builder.add_variables("start", upper=jobs.count[at.klass], cost=cost, is_integral=True)
    left = builder.add_variables("left", upper=jobs.count, cost=_UNSERVED * RATE[0] * jobs.work)
    used = builder.add_variables("used", upper=units.ravel(), cost=energy_cost.ravel())
    short = builder.add_variables("short", upper=10.0 * money.share, cost=_SHARE_PRICE)
    all_start, all_left = np.arange(start.count), np.arange(len(jobs.count))
    place = builder.add_rows("place", len(jobs.count), lower=jobs.count, upper=jobs.count)
    builder.add_entries(place.first + at.klass, all_start, 1.0)
    builder.add_entries(place.first + all_left, left.first + all_left, 1.0)
    usage = builder.add_rows("usage", used.count, lower=0.0, upper=0.0)
    where = np.arange(used.count)
    has_next = where % SLOTS != SLOTS - 1
    builder.add_entries(usage.first + where, used.first + where, 1.0)
    builder.add_entries(usage.first + where[has_next] + 1, used.first + where[has_next], -1.0)
    ends = at.slot + at.hours < SLOTS
    builder.add_entries(usage.first + at.pool * SLOTS + at.slot, all_start, -gang)
    ended = usage.first + (at.pool * SLOTS + at.slot + at.hours)[ends]
    builder.add_entries(ended, all_start[ends], gang[ends])
    power = builder.add_rows("power", power_kw.size, lower=-INFINITY, upper=power_kw.ravel())
    of_site = where // SLOTS // KINDS * SLOTS + where % SLOTS
    builder.add_entries(
        power.first + of_site, used.first + where, np.repeat(np.tile(KW, SITES), SLOTS)
    )
    budget = builder.add_rows("budget", TENANTS, lower=-INFINITY, upper=money.budget)
    builder.add_entries(budget.first + jobs.tenant[at.klass], all_start, price)
    asked = np.bincount(jobs.tenant, jobs.count * jobs.work, TENANTS)
    share = builder.add_rows("share", TENANTS, lower=money.share - asked, upper=INFINITY)
    builder.add_entries(share.first + jobs.tenant, left.first + all_left, -jobs.work)
    builder.add_entries(share.first + np.arange(TENANTS), short.first + np.arange(TENANTS), 1.0)
    layout = Layout(start=start, left=left, place=place, klass=at.klass, group=at.group)
    return builder.build(layout)
