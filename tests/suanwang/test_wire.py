"""What arrives at the edge is parsed strictly, and written as it was read."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from suanwang.wire.agent import (
    AttemptReport,
    FenceOrder,
    Hello,
    LogUpload,
    Order,
    OrderAcks,
    OrderList,
    StartOrder,
    StopOrder,
    WireModel,
)

NOW = datetime(2026, 10, 14, tzinfo=UTC)


def a_report(**changes: object) -> dict[str, Any]:
    return {"attempt_id": "j-a1", "seq": 1, "at": NOW, "state": "running", **changes}


START = StartOrder(
    id="o1",
    attempt_id="j-a1",
    executor_id="job-a1",
    submission_id="job",
    entrypoint="python train.py",
    runtime_env={"env_vars": {"A": "1"}},
    metadata={"units": "2"},
    units=2,
    accelerator="cpu",
    run_s_max=60,
    lease_expires_at=NOW,
)


@pytest.mark.parametrize(
    "order",
    [
        START,
        StopOrder(id="o2", attempt_id="j-a1", executor_id="job-a1"),
        FenceOrder(id="o3", attempt_id="j-a1", executor_id="job-a1"),
    ],
    ids=lambda order: order.kind,
)
def test_an_order_survives_the_way_to_the_agent(order: Order) -> None:
    text = OrderList(orders=(order,)).model_dump_json()
    assert OrderList.model_validate_json(text).orders == (order,)


def test_an_order_of_an_unknown_kind_is_refused() -> None:
    adapter: TypeAdapter[Order] = TypeAdapter(Order)
    with pytest.raises(ValidationError, match="kind"):
        adapter.validate_python({"kind": "explode", "id": "o", "attempt_id": "a"})


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"seq": 0}, id="sequence from one"),
        pytest.param({"state": "recovered"}, id="a word of the centre only"),
        pytest.param({"window_source": "guess"}, id="unknown source"),
        pytest.param({"message": "x" * 4_001}, id="endless message"),
    ],
)
def test_a_report_that_means_nothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AttemptReport.model_validate(a_report(**wrong))


def test_a_report_says_where_its_window_comes_from() -> None:
    assert AttemptReport.model_validate(a_report()).window_source == "poll"


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (OrderAcks, {"ids": ["o"] * 10_001}),
        (LogUpload, {"attempt_id": "a", "offset": 0, "text": "x" * 1_000_001}),
        (LogUpload, {"attempt_id": "a", "offset": -1, "text": ""}),
    ],
)
def test_every_upload_has_a_limit(model: type[WireModel], body: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(body)


def test_a_message_never_changes_once_it_is_made() -> None:
    hello = Hello(agent_version="1", clock=NOW, executor_state="up")
    with pytest.raises(ValidationError, match="frozen"):
        hello.agent_version = "2"  # type: ignore[misc] # the mistake that is refused
