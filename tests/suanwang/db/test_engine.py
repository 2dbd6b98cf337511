"""Transactions mean the same on both databases: nobody spends what another has just spent."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from suanwang.clock import VirtualClock
from suanwang.db.engine import open_engine, reading, writing
from suanwang.db.tables import account, pool, tenant
from suanwang.errors import BadInput

THREADS = 8
START_FEN = 1_000
PRICE_FEN = 70


def _open_account(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(
            insert(account).values(id="cash:t", kind="cash", balance_fen=START_FEN, is_guarded=1)
        )


def _spend_until_empty(engine: Engine) -> int:
    spent = 0
    while True:
        with writing(engine) as connection:
            row = account.c.id == "cash:t"
            balance = connection.execute(
                select(account.c.balance_fen).where(row).with_for_update()
            ).scalar_one()
            if balance < PRICE_FEN:
                return spent
            connection.execute(update(account).where(row).values(balance_fen=balance - PRICE_FEN))
            spent += PRICE_FEN


def test_eight_threads_that_check_then_spend_never_overspend(engine: Engine) -> None:
    _open_account(engine)
    with ThreadPoolExecutor(THREADS) as threads:
        spent = sum(threads.map(_spend_until_empty, [engine] * THREADS))
    with reading(engine) as connection:
        left = connection.execute(select(account.c.balance_fen)).scalar_one()
    assert spent + left == START_FEN
    assert left == START_FEN % PRICE_FEN


def test_a_guarded_account_refuses_to_go_below_zero(engine: Engine) -> None:
    _open_account(engine)
    with pytest.raises(IntegrityError), writing(engine) as connection:
        connection.execute(update(account).values(balance_fen=-1))


def test_foreign_keys_are_enforced(engine: Engine) -> None:
    row = {
        "id": "p",
        "site_id": "nowhere",
        "accelerator": "cpu",
        "units": 1,
        "units_per_node": 1,
        "power_w_idle": 1.0,
        "power_w_busy": 2.0,
        "price_uyuan_per_unit_hour": 1,
        "is_domestic": False,
        "drained_units": 0,
    }
    with pytest.raises(IntegrityError), writing(engine) as connection:
        connection.execute(insert(pool).values(row))


def test_an_error_rolls_the_whole_transaction_back(engine: Engine, clock: VirtualClock) -> None:
    row = {"id": "t", "name": "T", "uscc": "", "created_at": clock.now()}

    def write_then_fail() -> None:
        with writing(engine) as connection:
            connection.execute(insert(tenant).values(row))
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_then_fail()
    with reading(engine) as connection:
        assert connection.execute(select(tenant.c.id)).all() == []


def test_a_reader_does_not_wait_for_a_writer(engine: Engine) -> None:
    _open_account(engine)
    with writing(engine) as writer:
        writer.execute(update(account).values(balance_fen=1))
        with reading(engine) as reader:
            assert reader.execute(select(account.c.balance_fen)).scalar_one() == START_FEN


def test_sqlite_syncs_every_commit_and_keeps_a_write_ahead_log(sqlite_engine: Engine) -> None:
    with reading(sqlite_engine) as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1


def test_other_databases_are_refused_with_the_two_that_work() -> None:
    with pytest.raises(BadInput, match="mysql") as caught:
        open_engine("mysql://localhost/suanwang")
    assert "sqlite:///" in caught.value.next_step
