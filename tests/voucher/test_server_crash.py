"""PostgreSQL itself is killed at seeded moments: what it acknowledged is there when it is back."""

import threading
from random import Random

import pytest
from ledger_builders import START, a_capture, a_deposit, a_hold, accepted, add_tenants, writer_of
from postgres_server import PostgresServer, ServerUnavailable, running_server
from sqlalchemy.exc import DBAPIError

from suanwang.db.engine import open_engine
from suanwang.db.tables import metadata
from voucher import store
from voucher.ledger import Command, apply

ROUNDS = 3
SEED = 20261014
WRITERS = 4


class Writer(threading.Thread):
    """Books batches until the server is gone; keeps the last key that was acknowledged."""

    def __init__(self, url: str, name: str) -> None:
        super().__init__(name=name)
        self.url = url
        self.told: list[tuple[int, str]] = []

    def run(self) -> None:
        engine = open_engine(self.url)
        number = 0
        try:
            while True:
                number += 1
                hold = f"{self.name}-{number}"
                batch: list[Command] = [
                    a_deposit(3, key=f"d{hold}"),
                    a_hold(hold, (None, 3)),
                    a_capture(hold, 2),
                ]
                with writer_of(engine).turn() as turn:
                    outcomes = apply(turn, batch, START)
                self.told.append((accepted(outcomes[-1]).seq, batch[-1].key))
        except DBAPIError:
            engine.dispose()


@pytest.mark.postgresql
@pytest.mark.timeout(180)
def test_acknowledged_entries_survive_a_killed_server() -> None:
    random = Random(SEED)
    try:
        with running_server() as server:
            url = server.create("ledger")
            engine = open_engine(url)
            metadata.create_all(engine)
            with engine.begin() as connection:
                add_tenants(connection, "t1")
            engine.dispose()
            for turn in range(ROUNDS):
                killed_after(random.randint(5, 40), server, url, turn)
    except ServerUnavailable as missing:
        pytest.skip(str(missing))


def killed_after(acknowledged: int, server: PostgresServer, url: str, turn: int) -> None:
    """Kill the server after so many answers; every answer must still be true afterwards."""
    writers = [Writer(url, f"w{turn}-{number}") for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    while sum(len(writer.told) for writer in writers) < acknowledged:
        writers[0].join(timeout=0.005)
    server.crash()
    for writer in writers:
        writer.join()
    server.start_again()
    engine = open_engine(url)
    with engine.begin() as connection:
        report = store.check(connection)
        assert report.is_sound, report.findings
        assert (report.entries % 3, report.holds_open) == (0, 0)
        for seq, key in [answer for writer in writers for answer in writer.told]:
            (entry,) = store.entries(connection, "t1", seq - 1, 1)
            assert (entry.seq, entry.key) == (seq, key)
    engine.dispose()
