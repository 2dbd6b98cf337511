"""Alerts: what is wrong, who takes it on, and who need not be told."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query
from sqlalchemy import Connection

from alerts import store
from alerts.model import Alert, AlertState, Silence
from api.context import ApiContext, Context
from api.identity import Identity, SiteManager
from api.ownership import may_manage
from api.schemas.alerts import (
    AckIn,
    AlertList,
    AlertOut,
    AlertStory,
    RuleList,
    SilenceIn,
    SilenceList,
    SilenceOut,
    alert_out,
    event_out,
    rule_out,
    silence_out,
)
from api.schemas.common import PAGE_MAX
from scheduler import registry
from suanwang.errors import Forbidden, NotFound
from suanwang.model.tenant import Role

router = APIRouter(prefix="/v1", tags=["alerts"])


class Asked(StrEnum):
    """Which alerts are asked for."""

    LIVE = "live"
    ALL = "all"
    PENDING = "pending"
    FIRING = "firing"
    EXPLAINED = "explained"
    RESOLVED = "resolved"


_STATES: Final = {
    Asked.LIVE: (AlertState.PENDING, AlertState.FIRING, AlertState.EXPLAINED),
    Asked.ALL: tuple(AlertState),
}
Text = Annotated[str, Query(max_length=200)]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which alerts are asked for, as the query says."""

    state: Asked = Asked.LIVE
    site: Text = ""
    rule: Text = ""
    before: Text = ""
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100

    @property
    def states(self) -> tuple[AlertState, ...]:
        """The states that are asked for."""
        return _STATES.get(self.state) or (AlertState(self.state.value),)


def _own_sites(connection: Connection, identity: Identity) -> list[str] | None:
    """Return the sites whose alerts the caller sees; None means all, and the network."""
    if identity.role is Role.ADMIN:
        return None
    sites = registry.sites(connection)
    return [one.site.id for one in sites if may_manage(identity, one.site.operator)]


def _own_alert(connection: Connection, identity: Identity, alert_id: str) -> Alert:
    one = store.find(connection, alert_id)
    own = _own_sites(connection, identity)
    if own is not None and one.site_id not in own:
        raise NotFound(f"there is no alert {alert_id} of yours")
    return one


def _shown(one: Alert, context: ApiContext, silences: list[Silence], now: datetime) -> AlertOut:
    covering = [silence for silence in silences if silence.covers(one, now)]
    last = max(covering, key=lambda silence: silence.until_at, default=None)
    return alert_out(one, context.alerting.rules, context.alerting.links, last)


@router.get("/alerts", summary="List alerts")
def list_alerts(
    identity: SiteManager, context: Context, wanted: Annotated[Wanted, Depends()]
) -> AlertList:
    """Return the alerts of the caller's sites, the newest first."""
    now = context.clock.now()
    with context.reading() as connection:
        sites = _own_sites(connection, identity)
        if wanted.site:
            sites = [wanted.site] if sites is None or wanted.site in sites else []
        found = store.listed(
            connection,
            sites=sites,
            states=wanted.states,
            rule_id=wanted.rule,
            before=wanted.before,
            limit=wanted.limit,
        )
        silences = store.silences(connection, now)
    return AlertList(
        items=[_shown(one, context, silences, now) for one in found],
        next=found[-1].id if len(found) == wanted.limit else None,
    )


@router.get("/alerts/{alert_id}", summary="Look at an alert")
def look_at_alert(alert_id: str, identity: SiteManager, context: Context) -> AlertStory:
    """Return an alert with its history."""
    now = context.clock.now()
    with context.reading() as connection:
        one = _own_alert(connection, identity, alert_id)
        events = store.history(connection, alert_id)
        silences = store.silences(connection, now)
    shown = _shown(one, context, silences, now)
    return AlertStory(**shown.model_dump(), events=[event_out(event) for event in events])


@router.post("/alerts/{alert_id}/ack", summary="Take an alert on")
def acknowledge(alert_id: str, body: AckIn, identity: SiteManager, context: Context) -> AlertOut:
    """Write down who takes care of it; reminders end, until it fires anew."""
    now = context.clock.now()
    with context.writing() as connection:
        _own_alert(connection, identity, alert_id)
        one = store.acknowledge(connection, alert_id, _actor(identity), body.note, now)
        silences = store.silences(connection, now)
    return _shown(one, context, silences, now)


def _actor(identity: Identity) -> str:
    return f"{identity.tenant_id} ({identity.key_id})"


@router.get("/alert-rules", summary="List the rules of alerts")
def list_rules(identity: SiteManager, context: Context) -> RuleList:
    """Return the rules that are switched on, as this centre's file changes them."""
    policy = context.alerting
    return RuleList(items=[rule_out(rule, policy.links) for rule in policy.rules])


@router.get("/silences", summary="List silences")
def list_silences(
    identity: SiteManager,
    context: Context,
    past: Annotated[bool, Query(description="those that are over too")] = False,
) -> SilenceList:
    """Return silences of the caller's sites, the next to end first."""
    with context.reading() as connection:
        own = _own_sites(connection, identity)
        found = store.silences(connection, context.clock.now(), with_past=past)
    return SilenceList(
        items=[silence_out(one) for one in found if own is None or one.site_id in own]
    )


@router.post("/silences", status_code=201, summary="Silence alerts")
def add_silence(body: SilenceIn, identity: SiteManager, context: Context) -> SilenceOut:
    """Keep matching alerts from being told until an end; an operator names one of its sites."""
    now = context.clock.now()
    new = Silence(
        id=context.ids.new("silence"),
        rule_id=body.rule,
        site_id=body.site,
        subject=body.subject,
        from_at=body.from_at or now,
        until_at=body.until_at,
        reason=body.reason,
        actor=_actor(identity),
        made_at=now,
    )
    with context.writing() as connection:
        own = _own_sites(connection, identity)
        if own is not None and body.site not in own:
            raise Forbidden(
                f"you may silence alerts of your own sites, not of {body.site!r}",
                next_step="give the id of one of your sites",
            )
        store.add_silence(connection, new)
    return silence_out(new)


@router.post("/silences/{silence_id}/end", summary="End a silence")
def end_silence(silence_id: str, identity: SiteManager, context: Context) -> SilenceOut:
    """End a silence now; whatever still fires is told at the next look."""
    with context.writing() as connection:
        own = _own_sites(connection, identity)
        one = store.find_silence(connection, silence_id)
        if own is not None and one.site_id not in own:
            raise NotFound(f"there is no silence {silence_id} of yours")
        return silence_out(
            store.end_silence(connection, silence_id, _actor(identity), context.clock.now())
        )
