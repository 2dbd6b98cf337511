"""Alerts as the settings want them."""

from alerts.evaluation import Policy
from alerts.message import Links
from alerts.rules import load
from suanwang.settings import Settings


def make_policy(settings: Settings) -> Policy:
    """Return rules, routes and links; raise BadInput for a rule or a channel that is not sound."""
    branch = settings.alerts
    return Policy(
        rules=load(branch.own_rules),
        links=Links(
            centre=settings.server.url.rstrip("/"),
            grafana=branch.grafana_url.rstrip("/"),
            runbooks=branch.runbooks_url.rstrip("/"),
        ),
    )
