"""A webhook: the message as JSON, signed."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from alerts.channels.config import WebhookSpec
from alerts.channels.http import post
from alerts.channels.port import read_secret
from alerts.message import AlertBody, MessageBody
from alerts.signature import HEADER, sign

ID_HEADER: Final = "Suanwang-Message-Id"


class Webhook:
    """Posts each message to an address."""

    kind = "webhook"
    resend_s: float | None = None

    def __init__(self, spec: WebhookSpec) -> None:
        self._spec = spec

    @property
    def name(self) -> str:
        """Its name in the settings."""
        return self._spec.name

    def send(self, message: MessageBody, now: datetime) -> None:
        """Post a message with its signature; raise DeliveryFailed."""
        body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
        secret = read_secret(self._spec.secret_file).encode()
        headers = {HEADER: sign(secret, body, now), ID_HEADER: message["id"]}
        post(
            self._spec.url,
            body,
            headers,
            ca_file=self._spec.ca_file,
            timeout_s=self._spec.timeout_s,
        )

    def resend(self, alerts: Sequence[AlertBody], now: datetime) -> None:
        """Do nothing: a webhook that answered has the message."""
