"""Who is told of alerts: channels, what was sent to them, and a sample to try one."""

from typing import Annotated, Final

from fastapi import APIRouter, Query

from alerts import store_outbox
from alerts.channels.port import DeliveryFailed
from alerts.message import sample_message
from alerts.store_outbox import MessageState
from api.context import Context
from api.identity import Auditor
from api.schemas.alerts import (
    ChannelList,
    ChannelOut,
    MessageList,
    MessageOut,
    TestOut,
    message_out,
)
from suanwang.errors import NotFound
from suanwang.units import INT64_MAX

router = APIRouter(prefix="/v1", tags=["alerts"])
PAGE: Final = 200


@router.get("/alert-channels", summary="List the channels of alerts")
def list_channels(identity: Auditor, context: Context) -> ChannelList:
    """Return the channels of this process's settings, and how many messages wait or are dead."""
    with context.reading() as connection:
        counts = store_outbox.counts(connection)
    return ChannelList(
        items=[
            ChannelOut(
                name=route.channel,
                kind=context.channels[route.channel].kind,
                at_least=route.at_least,
                sites=list(route.sites),
                rules=list(route.rules),
                waiting=counts.get((route.channel, MessageState.WAITING.value), 0),
                sent=counts.get((route.channel, MessageState.SENT.value), 0),
                dead=counts.get((route.channel, MessageState.DEAD.value), 0),
            )
            for route in context.alerting.routes
            if route.channel in context.channels
        ]
    )


@router.post("/alert-channels/{name}/test", summary="Try a channel")
def try_channel(name: str, identity: Auditor, context: Context) -> TestOut:
    """Send a sample, which says that it is one, and return what became of it."""
    channel = context.channels.get(name)
    if channel is None:
        known = ", ".join(context.channels) or "none"
        raise NotFound(f"there is no channel {name!r}; set are: {known}")
    now = context.clock.now()
    sample = sample_message(context.ids.new("msg"), context.alerting.links, now)
    try:
        channel.send(sample, now)
    except DeliveryFailed as failure:
        return TestOut(channel=name, message_id=sample["id"], is_delivered=False, error=failure.why)
    return TestOut(channel=name, message_id=sample["id"], is_delivered=True, error="")


@router.get("/alert-messages", summary="List messages about alerts")
def list_messages(
    identity: Auditor,
    context: Context,
    state: Annotated[MessageState | None, Query(description="waiting, sent or dead")] = None,
    before: Annotated[int | None, Query(ge=1, le=INT64_MAX, description="of their seq")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE)] = 100,
) -> MessageList:
    """Return messages, the newest first."""
    states = [state] if state is not None else list(MessageState)
    with context.reading() as connection:
        found = store_outbox.listed(connection, states, before, limit)
    return MessageList(
        items=[message_out(one) for one in found],
        next=found[-1].seq if len(found) == limit else None,
    )


@router.post("/alert-messages/{message_id}/retry", summary="Send a dead message again")
def retry_message(message_id: str, identity: Auditor, context: Context) -> MessageOut:
    """Let a message that was given up be delivered after all."""
    with context.writing() as connection:
        store_outbox.retry(connection, message_id, context.clock.now())
        return message_out(store_outbox.find(connection, message_id))
