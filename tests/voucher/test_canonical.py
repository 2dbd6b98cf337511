"""What is written by hand for speed is what the slow and general way would write."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from suanwang.ids import LotId
from suanwang.model.voucher import HoldSlice
from voucher.commands import Capture, OpenHold, body, canonical, canonical_balances, plain_body
from voucher.store_book import read_slices, write_slices

TEXTS = st.text()
AMOUNTS = st.integers()
SLICES = st.lists(
    st.builds(
        HoldSlice,
        lot_id=st.none() | TEXTS.map(LotId),
        amount_fen=AMOUNTS,
        captured_fen=AMOUNTS,
        refunded_fen=AMOUNTS,
    )
).map(tuple)
MOMENTS = st.datetimes(
    min_value=datetime(1971, 1, 1),  # noqa: DTZ001 - the zone comes from its own strategy
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=8))]),
)
HOLDS = st.builds(
    OpenHold, key=TEXTS, hold_id=TEXTS, tenant_id=TEXTS, attempt_id=TEXTS, slices=SLICES
)
PAYMENTS = st.builds(
    Capture,
    key=TEXTS,
    hold_id=TEXTS,
    amount_fen=AMOUNTS,
    payee=TEXTS,
    used_until=st.none() | MOMENTS,
)


@given(HOLDS | PAYMENTS)
def test_the_request_of_a_hold_or_a_payment_is_canonical(command: OpenHold | Capture) -> None:
    assert body(command) == plain_body(command)


@given(st.dictionaries(TEXTS, AMOUNTS))
def test_balances_are_canonical(balances: dict[str, int]) -> None:
    assert canonical_balances(balances) == canonical(balances)


@given(SLICES)
def test_slices_are_canonical_and_read_as_they_were_written(slices: tuple[HoldSlice, ...]) -> None:
    text = write_slices(slices)
    parts = [(s.lot_id, s.amount_fen, s.captured_fen, s.refunded_fen) for s in slices]
    assert text == canonical(parts)
    assert read_slices(text) == slices
