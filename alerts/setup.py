"""Alerts as the settings want them."""

from collections.abc import Mapping
from datetime import timedelta

from alerts.channels.alertmanager import Alertmanager
from alerts.channels.config import AlertmanagerSpec, EmailSpec, Spec, parse_channels
from alerts.channels.mail import Mail
from alerts.channels.port import Channel
from alerts.channels.webhook import Webhook
from alerts.evaluation import Policy
from alerts.message import Links
from alerts.rules import load
from suanwang.settings import Settings


def make_policy(settings: Settings) -> Policy:
    """Return rules, routes and links; raise BadInput for a rule or a channel that is not sound."""
    branch = settings.alerts
    return Policy(
        rules=load(branch.own_rules),
        routes=tuple(spec.route for spec in parse_channels(branch.channels)),
        links=Links(
            centre=settings.server.url.rstrip("/"),
            grafana=branch.grafana_url.rstrip("/"),
            runbooks=branch.runbooks_url.rstrip("/"),
        ),
        group_interval=timedelta(seconds=branch.group_interval_s),
    )


def make_channels(settings: Settings) -> Mapping[str, Channel]:
    """Return the channels by their names; raise BadInput."""
    return {spec.name: _channel(spec) for spec in parse_channels(settings.alerts.channels)}


def _channel(spec: Spec) -> Channel:
    if isinstance(spec, AlertmanagerSpec):
        return Alertmanager(spec)
    if isinstance(spec, EmailSpec):
        return Mail(spec)
    return Webhook(spec)
