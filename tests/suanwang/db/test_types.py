"""Moments are stored in UTC and come back aware; naive ones never get in."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Engine, insert, select
from sqlalchemy.exc import StatementError

from suanwang.db.engine import reading, writing
from suanwang.db.tables import api_key, tenant

CHINA = timezone(timedelta(hours=8))
AT = datetime(2026, 10, 14, 8, 0, 0, 123_456, tzinfo=CHINA)


def store(engine: Engine, at: datetime) -> None:
    with writing(engine) as connection:
        row = {"id": "t", "name": "T", "uscc": "", "created_at": at}
        connection.execute(insert(tenant).values(row))


def test_a_moment_comes_back_aware_in_utc_to_the_microsecond(engine: Engine) -> None:
    store(engine, AT)
    with reading(engine) as connection:
        found = connection.execute(select(tenant.c.created_at)).scalar_one()
    assert found == AT
    assert found.utcoffset() == timedelta(0)


def test_a_moment_is_found_by_another_zone_s_name_for_it(engine: Engine) -> None:
    store(engine, AT)
    question = select(tenant.c.id).where(tenant.c.created_at == AT.astimezone(UTC))
    with reading(engine) as connection:
        assert connection.execute(question).scalar_one() == "t"


def test_a_naive_moment_is_refused(engine: Engine) -> None:
    with pytest.raises(StatementError, match="no time zone"):
        store(engine, datetime(2026, 1, 1))  # noqa: DTZ001 - the mistake that is refused


def test_no_moment_stays_no_moment(engine: Engine) -> None:
    store(engine, AT)
    row = {"id": "k", "tenant_id": "t", "role": "admin", "prefix": "p", "hash": "h"}
    with writing(engine) as connection:
        connection.execute(insert(api_key).values(row | {"created_at": AT}))
        assert connection.execute(select(api_key.c.revoked_at)).scalar_one() is None
