"""Evaluation of alerts over a fleet of 20,000 targets: a calm look, a full one, and a mass outage.

The record is filled directly: 20 sites with a year of hours and days, sources, and series with five
minutes of samples. Looks are those of the product, by the shipped rules, with one channel. Times
are those of our own processor, without PostgreSQL's.
"""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, Engine, insert, update

from alerts.evaluation import Evaluator, Policy
from alerts.notify import Route
from alerts.rules import shipped
from benchmarks.frame import Figure, Options
from benchmarks.queries import END, SITES, add_site
from benchmarks.submit import databases
from suanwang.clock import VirtualClock, to_epoch_ms
from suanwang.db.engine import open_engine, writing
from suanwang.db.tables import metadata, sample, series, site, source_state
from suanwang.energy.catalogue import load_catalogue
from suanwang.ids import SeededIds

TARGETS: Final = {True: 2_000, False: 20_000}
LOOKS: Final = {True: 5, False: 20}
EVERY_S: Final = 15.0
POLL_S: Final = 60
METRICS: Final = ("inlet_temperature_c", "ecc_uncorrected_volatile_errors", "power_w")
"""Every target has a series of each; the rules look at the first two."""
_PIECE: Final = 5_000


def run(options: Options) -> Iterator[Figure]:
    """Measure both databases; ``quick`` takes a tenth of the fleet."""
    targets = TARGETS[options.quick]
    for backend, url in databases():
        engine = open_engine(url)
        metadata.create_all(engine)
        with writing(engine) as connection:
            _fill(connection, targets)
        clock = VirtualClock(END)
        policy = Policy(rules=shipped(), routes=(Route(channel="desk"),))
        evaluator = Evaluator(engine, clock, SeededIds(clock, 1), load_catalogue(), policy)
        used = {"first_look": _look(engine, clock, evaluator)}
        calm = sorted(_look(engine, clock, evaluator) for _ in range(LOOKS[options.quick]))
        used["calm_look"] = calm[len(calm) // 2]
        with writing(engine) as connection:
            connection.execute(
                update(source_state).values(is_up=False, up_at=END - timedelta(minutes=10))
            )
        used["outage"] = _look(engine, clock, evaluator)
        used["after_outage"] = _look(engine, clock, evaluator)
        for name, seconds in used.items():
            yield Figure(
                f"alerts.{name}_cpu_ms", seconds * 1_000, "ms", backend=backend, targets=targets
            )
        engine.dispose()


def _look(engine: Engine, clock: VirtualClock, evaluator: Evaluator) -> float:
    """Return the processor time of one look, s."""
    clock.advance(EVERY_S)
    with writing(engine) as connection:
        connection.execute(update(site).values(agent_seen_at=clock.now()))
    before = time.process_time()
    report = evaluator.run()
    used = time.process_time() - before
    assert not report.failed, report
    return used


def _fill(connection: Connection, targets: int) -> None:
    for number in range(SITES):
        add_site(connection, f"s{number}", number)
    sources = [
        {
            "site_id": f"s{n % SITES}", "source": f"t{n}", "is_up": True, "duration_s": 0.1,
            "readings": 3, "error": "", "polled_at": END, "up_at": END, "interval_s": 15.0,
        }
        for n in range(targets)
    ]  # fmt: skip
    connection.execute(insert(source_state), sources)
    names = [
        {
            "id": 1 + n * len(METRICS) + place, "site_id": f"s{n % SITES}", "subject": f"host:t{n}",
            "metric": metric, "labels": {},
        }
        for n in range(targets)
        for place, metric in enumerate(METRICS)
    ]  # fmt: skip
    for low in range(0, len(names), _PIECE):
        connection.execute(insert(series), names[low : low + _PIECE])
    last_ms = to_epoch_ms(END)
    for back in range(5):
        rows = [
            {
                "at_ms": last_ms - back * POLL_S * 1_000, "series_id": one["id"],
                "value": 22.0 if one["metric"] == METRICS[0] else 0.0, "quality": "measured",
            }
            for one in names
        ]  # fmt: skip
        for low in range(0, len(rows), _PIECE):
            connection.execute(insert(sample), rows[low : low + _PIECE])
