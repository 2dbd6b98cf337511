"""Prometheus' Alertmanager by its API v2; it does grouping, silences and delivery of its own.

It forgets an alert that nobody repeats, so what fires is sent again and again with an end a little
ahead. If the centre dies, its alerts end there within minutes.
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from alerts.channels.config import AlertmanagerSpec
from alerts.channels.http import post
from alerts.channels.port import read_secret
from alerts.message import AlertBody, MessageBody

PATH: Final = "/api/v2/alerts"
MISSED_MAX: Final = 5
"""So many repeats may be missed before an alert ends by itself."""


class Alertmanager:
    """Posts alerts as Prometheus does."""

    kind = "alertmanager"

    def __init__(self, spec: AlertmanagerSpec) -> None:
        self._spec = spec

    @property
    def name(self) -> str:
        """Its name in the settings."""
        return self._spec.name

    @property
    def resend_s(self) -> float | None:
        """How often what fires is repeated, s."""
        return self._spec.resend_s

    def send(self, message: MessageBody, now: datetime) -> None:
        """Post the alerts of a message; raise DeliveryFailed."""
        self.resend(message["alerts"], now)

    def resend(self, alerts: Sequence[AlertBody], now: datetime) -> None:
        """Post alerts as they are now; raise DeliveryFailed."""
        if not alerts:
            return
        end = now + timedelta(seconds=self._spec.resend_s * MISSED_MAX)
        body = json.dumps([posted(one, end) for one in alerts]).encode()
        token = self._spec.token_file
        headers = {"Authorization": f"Bearer {read_secret(token)}"} if token else {}
        post(
            self._spec.url + PATH,
            body,
            headers,
            ca_file=self._spec.ca_file,
            timeout_s=self._spec.timeout_s,
        )


def posted(one: AlertBody, end: datetime) -> dict[str, object]:
    """Return an alert in Alertmanager's form; one that fires ends at ``end`` unless repeated."""
    labels = {
        "alertname": one["rule"],
        "severity": one["severity"],
        "site": one["site"],
        "subject": one["subject"],
    }
    chart = one["chart"]
    form: dict[str, object] = {
        "labels": {name: value for name, value in labels.items() if value},
        "annotations": {
            "summary": one["summary"]["en"],
            "summary_zh": one["summary"]["zh"],
            "description": one["words"],
            "runbook_url": one["runbook"],
            "alert_id": one["id"],
        },
        "startsAt": one["fired_at"] or one["bad_at"],
        "endsAt": one["resolved_at"] or end.isoformat(),
    }
    return form | ({"generatorURL": chart} if chart.startswith("http") else {})
