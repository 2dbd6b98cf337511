"""A process that books batches for ever and says which entry it was told is durable.

Run as ``python ledger_crash_writer.py URL ROUND``; somebody kills it in mid-stream.
"""

import sys

from ledger_builders import START, a_capture, a_deposit, a_hold, accepted, writer_of

from suanwang.db.engine import open_engine
from voucher.ledger import Command, apply


def main(url: str, name: str) -> None:
    """Book holds and payments in batches of odd sizes until killed."""
    engine = open_engine(url)
    number = 0
    while True:
        batch: list[Command] = []
        for _ in range(1 + number % 7):
            number += 1
            hold = f"h{name}-{number}"
            batch += [a_deposit(3, key=f"d{hold}"), a_hold(hold, (None, 3)), a_capture(hold, 2)]
        with writer_of(engine).turn() as turn:
            outcomes = apply(turn, batch, START)
        sys.stdout.write(f"{accepted(outcomes[-1]).seq} {batch[-1].key}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
